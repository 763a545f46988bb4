/**
 * Control: the one place where the state of the cluster changes. It keeps the registry, the credentials and the schemas, makes
 * an immutable snapshot after each change, and answers a change that must hold at once only when every front has it.
 */
import type { Keyring } from "../../shared/crypto/keyring.ts";
import { createJoinSecret, JOIN_SECRET_OBJECT, verifyJoinProof } from "../../shared/crypto/join.ts";
import { secretHash } from "../../shared/crypto/tokens.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import type { SchemaId } from "../../shared/names.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { Random } from "../../shared/seams/random.ts";
import { type Shelf, StorageError, type Store } from "../../shared/storage/store.ts";
import type { SubscribeRequest } from "../../shared/wire/messages.ts";
import type { MainHandler, ProbeWorker } from "../../shared/wire/transport.ts";
import type { ApiKey, Changed, Control, NewApiKey, Snapshot, WorkerView } from "./control.ts";
import { CredentialStore } from "./credentials.ts";
import { LoginLimiter } from "./login_limiter.ts";
import type { Unserved } from "./placement.ts";
import { Registry, type RegistryMetrics } from "./registry.ts";
import { SchemaStore } from "./schemas.ts";

export interface ControlOptions {
  readonly store: Store;
  readonly keys: Pick<Keyring, "keyId" | "sessionTokenKeys" | "wrapFor">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: RegistryMetrics;
  /** `undefined`: dev mode. */
  readonly adminKey: string | undefined;
  /** Shared secret of the workers; `undefined`: they prove that they can read the store. */
  readonly workerKey: string | undefined;
  readonly workerTtlMs: number;
  readonly clientTtlMs: number;
  readonly documentBytesMax: number;
  readonly probe: ProbeWorker;
}

const TERM_OBJECT = "term.json";

export class ControlPlane implements Control {
  readonly #registry: Registry;
  readonly #credentials: CredentialStore;
  readonly #schemas: SchemaStore;
  readonly #limiter: LoginLimiter;
  readonly #listeners = new Set<(snapshot: Snapshot) => void | Promise<void>>();
  #snapshot: Snapshot;

  private constructor(registry: Registry, credentials: CredentialStore, schemas: SchemaStore, limiter: LoginLimiter) {
    this.#registry = registry;
    this.#credentials = credentials;
    this.#schemas = schemas;
    this.#limiter = limiter;
    this.#snapshot = {
      routes: registry.routes(),
      credentials: credentials.current,
      schemas: schemas.current,
      finished: registry.finished(),
    };
  }

  /** Reads the store's control objects and begins a new term. The caller holds the store's main lock. @throws {StorageError} */
  static async open(options: ControlOptions): Promise<ControlPlane> {
    const { store, keys, clock, random, log, adminKey, workerKey } = options;
    const term = await nextTerm(store.auth);
    const secret = workerKey === undefined ? createJoinSecret(random) : new TextEncoder().encode(workerKey);
    if (workerKey === undefined) await store.auth.put(JOIN_SECRET_OBJECT, secret);
    else await store.auth.delete(JOIN_SECRET_OBJECT);
    let plane: ControlPlane | undefined = undefined;
    const registry = new Registry({
      clock,
      random,
      log: log.child("registry"),
      metrics: options.metrics,
      storeId: store.id,
      partitions: store.partitions,
      term,
      workerTtlMs: options.workerTtlMs,
      documentBytesMax: options.documentBytesMax,
      keyId: keys.keyId,
      probe: options.probe,
      verifyJoin: (request) => verify(request, secret, clock.now()),
      wrapKeys: (publicKey) => keys.wrapFor(publicKey),
      locked: store.kind === "directory",
      changed: () => plane?.publishRoutes(),
    });
    const credentials = await CredentialStore.open({
      shelf: store.auth,
      clock,
      random,
      adminKeyHash: adminKey === undefined ? null : secretHash(adminKey),
      sessionKeys: keys.sessionTokenKeys(),
      clientTtlMs: options.clientTtlMs,
      publish: (next) => plane === undefined ? Promise.resolve() : plane.#publish({ credentials: next }),
    });
    const schemas = await SchemaStore.open({
      shelf: store.templates,
      clock,
      log: log.child("schemas"),
      publish: (next) => plane === undefined ? Promise.resolve() : plane.#publish({ schemas: next }),
    });
    plane = new ControlPlane(registry, credentials, schemas, new LoginLimiter(clock));
    log.info("term_begins", { term, store_id: store.id, partitions: store.partitions });
    return plane;
  }

  /** What processing workers may call. */
  get handler(): MainHandler {
    return this.#registry;
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void | Promise<void>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  putSchema(id: SchemaId, text: Uint8Array): Promise<Changed<{ created: boolean }>> {
    return this.#schemas.put(id, text);
  }

  deleteSchema(id: SchemaId): Promise<Changed<{ existed: boolean }>> {
    return this.#schemas.delete(id);
  }

  createApiKey(key: NewApiKey): Promise<Changed<{ key: ApiKey; secret: string }>> {
    return this.#credentials.create(key);
  }

  revokeApiKey(id: string): Promise<Changed<{ existed: boolean }>> {
    return this.#credentials.revoke(id);
  }

  /** Adds the API keys of a backup; see {@linkcode CredentialStore.restore}. */
  restoreApiKeys(keys: readonly ApiKey[]): Promise<Changed<{ added: number }>> {
    return this.#credentials.restore(keys);
  }

  loginFailed(address: string): number {
    return this.#limiter.failed(address);
  }

  loginBlocked(address: string): number {
    return this.#limiter.blocked(address);
  }

  workerRefused(session: string): void {
    this.#registry.refused(session);
  }

  batchFloor(session: string, dispatcher: string, floor: number): void {
    this.#registry.batchFloor(session, dispatcher, floor);
  }

  workers(): readonly WorkerView[] {
    return this.#registry.workers();
  }

  /** Partitions that nobody serves. */
  unserved(): Unserved[] {
    return this.#registry.unserved();
  }

  publishRoutes(): void {
    this.#publish({ routes: this.#registry.routes(), finished: this.#registry.finished() });
  }

  close(): void {
    this.#registry.close();
    this.#schemas.close();
    this.#listeners.clear();
  }

  /** Resolves when every front has confirmed; one on this thread does so by returning. */
  async #publish(change: { -readonly [K in keyof Snapshot]?: Snapshot[K] }): Promise<void> {
    this.#snapshot = { ...this.#snapshot, ...change };
    const confirmations = [...this.#listeners].map((listener) => listener(this.#snapshot));
    await Promise.all(confirmations);
  }
}

function verify(
  request: SubscribeRequest,
  secret: Uint8Array,
  nowMs: number,
): { ok: true } | { ok: false; reason: string } {
  const verdict = verifyJoinProof(request.proof, { ...request, secret }, nowMs);
  return verdict.kind === "valid" ? { ok: true } : { ok: false, reason: verdict.message };
}

/** The number of this start on this store: one more than that of the last. Epochs and event ids are built on it. */
async function nextTerm(shelf: Shelf): Promise<number> {
  const bytes = await shelf.get(TERM_OBJECT);
  let last = 0;
  if (bytes !== undefined) {
    const { term } = parse(bytes) ?? {};
    if (typeof term !== "number" || !Number.isSafeInteger(term) || term < 0) {
      throw new StorageError("corrupt", `_auth/${TERM_OBJECT} does not hold the number of the last start`);
    }
    last = term;
  }
  const term = last + 1;
  await shelf.put(TERM_OBJECT, new TextEncoder().encode(JSON.stringify({ term }) + "\n"));
  return term;
}

function parse(bytes: Uint8Array): { term?: unknown } | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as { term?: unknown };
  } catch {
    return undefined;
  }
}
