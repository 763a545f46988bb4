/** What tests of the REST door stand on: a clock that is moved by hand, entities in memory, and a door built of them. */
import { ifMatchHolds, ifNoneMatchHolds } from "../../../shared/conditions.ts";
import { secretHash } from "../../../shared/crypto/tokens.ts";
import { applyMergePatch } from "../../../shared/json/merge_patch.ts";
import { type RecordingLogger, recordingLogger } from "../../../shared/logging/logger.ts";
import {
  compareNames,
  encodeName,
  type EntityKey,
  type EntityName,
  entityName,
  parseSchemaId,
  type SchemaId,
  schemaPrefix,
  splitEntityName,
} from "../../../shared/names.ts";
import { type EntityMeta, type Failure, failure, type Outcome, type Violation } from "../../../shared/outcome.ts";
import { compileSchema } from "../../../shared/schema/validator.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import { type Random, randomHex } from "../../../shared/seams/random.ts";
import type { Shelf } from "../../../shared/storage/store.ts";
import type { Changed, Control, NewApiKey, Permission, Snapshot, Template, WorkerView } from "../../control/control.ts";
import { CredentialStore } from "../../control/credentials.ts";
import { LoginLimiter } from "../../control/login_limiter.ts";
import { Authenticator } from "../auth.ts";
import type {
  Conditions,
  EntityService,
  ListOptions,
  ListOutcome,
  PutManyOutcome,
  Watch,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "../entities.ts";
import type { AdminOperations, ExistingPolicy, RestoreProgress, RewrapProgress } from "./admin_operations.ts";
import { createRestApp, type RestApp } from "./app.ts";
import type { Readiness } from "./health.ts";
import { describeRoutes } from "./openapi.ts";
import { RequestStatistics } from "./statistics.ts";
import type { ServerStats } from "./stats.ts";
import { DescriptionCheck } from "./testing_description.ts";

/** Bytes that count up: different at each call, the same in each run. */
export function countingRandom(): Random {
  let last = 0;
  return {
    bytes(size) {
      last++;
      const bytes = new Uint8Array(size);
      for (let i = 0; i < size; i++) bytes[i] = (last * 131 + i * 31 + (last >> 8)) & 255;
      return bytes;
    },
    unit: () => 0.5,
  };
}

/** A shelf in memory. */
export function memoryShelf(): Shelf & { readonly objects: Map<string, Uint8Array> } {
  const objects = new Map<string, Uint8Array>();
  let revision = 0;
  const revisions = new Map<string, string>();
  return {
    objects,
    get: (name) => Promise.resolve(objects.get(name)),
    put(name, bytes) {
      objects.set(name, bytes.slice());
      revisions.set(name, String(++revision));
      return Promise.resolve();
    },
    delete: (name) => Promise.resolve(objects.delete(name)),
    list: () =>
      Promise.resolve(
        [...objects.keys()].sort(compareNames).map((name) => ({ name, revision: revisions.get(name) ?? "0" })),
      ),
  };
}

interface StoredEntity {
  readonly document: Uint8Array;
  readonly meta: EntityMeta;
}

/** What a test may do to {@linkcode FakeEntities}: an operation on a key ends in this failure instead. */
export type Fault = (operation: string, key: string) => Failure | undefined;

/** Entities in memory, with the conditions, orders and events of the real service. */
export class FakeEntities implements EntityService {
  readonly stored = new Map<EntityName, StoredEntity>();
  readonly watches = new Set<FakeWatch>();
  /** Set by a test to make operations fail. */
  fault: Fault = () => undefined;
  /** Set by a test to judge documents. */
  judge: (schemaId: SchemaId, key: EntityKey, document: Uint8Array) => readonly Violation[] = () => [];
  /** Set by a test: too much is waiting. */
  isCrowded = false;
  /** Whether listings know versions without documents (a directory does). */
  listsVersions = true;
  #writes = 0;
  #sequence = 0;

  constructor(readonly clock: Clock) {}

  get(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Outcome | Promise<Outcome> {
    const failed = this.fault("get", key);
    if (failed !== undefined) return Promise.resolve(failed);
    const found = this.stored.get(entityName(schemaId, key));
    if (found === undefined) return Promise.resolve(failure("not_found", "there is no entity with this key"));
    const { document, meta } = found;
    return ifNoneMatchHolds(conditions.ifNoneMatch, meta.etag)
      ? { kind: "found", document, meta }
      : { kind: "not_modified", meta };
  }

  put(schemaId: SchemaId, key: EntityKey, document: Uint8Array, options: WriteOptions): Promise<Outcome> {
    const violations = this.judge(schemaId, key, document);
    if (violations.length > 0) {
      return Promise.resolve(failure("schema_violation", "the document does not match its schema", { violations }));
    }
    return Promise.resolve(this.#write("put", schemaId, key, options, () => document.slice()));
  }

  crowded(): Failure | undefined {
    return this.isCrowded ? failure("overloaded", "too much is waiting", { retryAfterS: 1 }) : undefined;
  }

  putMany(
    schemaId: SchemaId,
    documents: ReadonlyMap<EntityKey, Uint8Array>,
    options: WriteOptions,
  ): Promise<PutManyOutcome> {
    const violations = [...documents].flatMap(([key, document]) => this.judge(schemaId, key, document));
    if (violations.length > 0) {
      return Promise.resolve(failure("schema_violation", "some documents do not match their schema", { violations }));
    }
    const outcomes = new Map<EntityKey, Outcome>();
    for (const [key, document] of documents) {
      outcomes.set(key, this.#write("put", schemaId, key, options, () => document.slice()));
    }
    return Promise.resolve({ kind: "done", outcomes });
  }

  patch(schemaId: SchemaId, key: EntityKey, patch: Uint8Array, conditions: Conditions): Promise<Outcome> {
    return Promise.resolve(this.#write("patch", schemaId, key, conditions, (current) => {
      if (current === undefined) return failure("not_found", "there is no entity with this key");
      const patched = applyMergePatch(current.document, patch, 1 << 20);
      if (patched.kind === "failed") return patched;
      const violations = this.judge(schemaId, key, patched.document);
      return violations.length > 0
        ? failure("schema_violation", "the result does not match its schema", { violations })
        : patched.document;
    }));
  }

  delete(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Promise<Outcome> {
    const name = entityName(schemaId, key);
    const current = this.stored.get(name);
    const failed = this.fault("delete", key) ?? mismatch(conditions, current);
    if (failed !== undefined) return Promise.resolve(failed);
    if (current !== undefined) {
      this.stored.delete(name);
      this.#tell("delete", name, current.meta);
    }
    return Promise.resolve({ kind: "deleted", existed: current !== undefined });
  }

  async getMany(schemaId: SchemaId, keys: readonly EntityKey[]): Promise<ReadonlyMap<EntityKey, Outcome>> {
    const outcomes = await Promise.all(keys.map(async (key) => [key, await this.get(schemaId, key, {})] as const));
    return new Map(outcomes);
  }

  list(schemaId: SchemaId, { prefix, after, limit, values }: ListOptions): Promise<ListOutcome> {
    const failed = this.fault("list", "");
    if (failed !== undefined) return Promise.resolve(failed);
    const start = schemaPrefix(schemaId) + (prefix === "" ? "" : encodeName(prefix));
    const names = [...this.stored.keys()].filter((name) => name.startsWith(start) && name > after).sort(compareNames);
    const page = names.slice(0, limit);
    return Promise.resolve({
      kind: "page",
      entries: page.map((name) => {
        const { document, meta } = this.stored.get(name)!;
        const { key } = splitEntityName(name)!;
        const problem = this.fault("open", key)?.code;
        return {
          key,
          meta: values || this.listsVersions ? meta : undefined,
          size: document.length,
          ...(problem === "tampered" || problem === "key_unavailable"
            ? { problem }
            : values
            ? { value: document }
            : {}),
        };
      }),
      next: names.length > limit ? page.at(-1) ?? null : null,
    });
  }

  counts(): ReturnType<EntityService["counts"]> {
    const failed = this.fault("counts", "");
    if (failed !== undefined) return Promise.resolve(failed);
    const counts = new Map<SchemaId, number | null>();
    for (const name of this.stored.keys()) {
      const { schemaId } = splitEntityName(name)!;
      counts.set(schemaId, this.listsVersions ? (counts.get(schemaId) ?? 0) + 1 : null);
    }
    return Promise.resolve({ kind: "counts", counts });
  }

  watch(schemaId: SchemaId, options: WatchOptions): Promise<Watch | Failure> {
    const failed = this.fault("watch", "");
    if (failed !== undefined) return Promise.resolve(failed);
    const watch = new FakeWatch(schemaPrefix(schemaId) + encodeName(options.prefix), () => this.watches.delete(watch));
    if (options.lastEventId !== undefined && options.lastEventId !== String(this.#sequence)) {
      watch.push({ kind: "reset", sequence: String(this.#sequence) });
    }
    this.watches.add(watch);
    return Promise.resolve(watch);
  }

  #write(
    operation: string,
    schemaId: SchemaId,
    key: EntityKey,
    options: WriteOptions,
    document: (current: StoredEntity | undefined) => Uint8Array | Failure,
  ): Outcome {
    const name = entityName(schemaId, key);
    const current = this.stored.get(name);
    const fault = this.fault(operation, key);
    const failed = (fault?.code === "key_unavailable" && options.force ? undefined : fault) ??
      (operation === "patch" && current === undefined
        ? failure("not_found", "there is no entity with this key")
        : mismatch(options, current));
    if (failed !== undefined) return failed;
    const next = document(current);
    if (!(next instanceof Uint8Array)) return next;
    const version = (current?.meta.version ?? 0) + 1;
    const meta: EntityMeta = {
      version,
      etag: `${version}-${(++this.#writes).toString(16).padStart(16, "0")}`,
      writtenAtMs: this.clock.now(),
      size: next.length,
    };
    this.stored.set(name, { document: next, meta });
    this.#tell("put", name, meta);
    return { kind: "stored", meta };
  }

  #tell(kind: "put" | "delete", name: EntityName, meta: EntityMeta): void {
    const { key } = splitEntityName(name)!;
    const event: WatchEvent = { kind, sequence: String(++this.#sequence), key, version: meta.version, etag: meta.etag };
    for (const watch of this.watches) if (name.startsWith(watch.prefix)) watch.push(event);
  }
}

function mismatch(conditions: Conditions, current: StoredEntity | undefined): Failure | undefined {
  const etag = current?.meta.etag;
  if (ifMatchHolds(conditions.ifMatch, etag) && ifNoneMatchHolds(conditions.ifNoneMatch, etag)) return undefined;
  return failure("version_mismatch", "the entity has another version", current ? { current: current.meta } : {});
}

/** A watch of {@linkcode FakeEntities}. */
export class FakeWatch implements Watch {
  #events: WatchEvent[] = [];
  #wake: () => void = () => {};
  closed = false;

  constructor(readonly prefix: string, readonly onClose: () => void) {}

  push(event: WatchEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  close(): void {
    this.closed = true;
    this.onClose();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly WatchEvent[]> {
    while (!this.closed) {
      const events = this.#events;
      this.#events = [];
      if (events.length > 0) yield events;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

/** Control with its real credentials and limiter, templates in a map, and workers as a test sets them. */
export class FakeControl implements Control {
  #snapshot: Snapshot;
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  readonly #limiter: LoginLimiter;
  /** Set by a test to make changes fail. */
  fault: () => Failure | undefined = () => undefined;
  workerViews: readonly WorkerView[] = [];

  private constructor(clock: Clock, readonly credentials: CredentialStore, snapshot: Snapshot) {
    this.#limiter = new LoginLimiter(clock);
    this.#snapshot = snapshot;
  }

  static async open(clock: Clock, random: Random, adminKey: string | undefined): Promise<FakeControl> {
    let control: FakeControl | undefined = undefined;
    const credentials = await CredentialStore.open({
      shelf: memoryShelf(),
      clock,
      random,
      adminKeyHash: adminKey === undefined ? null : secretHash(adminKey),
      sessionKeys: [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)],
      clientTtlMs: 24 * 60 * 60 * 1000,
      publish: (next) => {
        control!.publish({ credentials: next });
        return Promise.resolve();
      },
    });
    control = new FakeControl(clock, credentials, {
      routes: { epoch: 1, workers: new Map(), owners: ["none", "moving", "none", "none"], takenEpochs: [0, 0, 0, 0] },
      credentials: credentials.current,
      schemas: { revision: 1, templates: new Map() },
      finished: new Map(),
    });
    return control;
  }

  /** Replaces parts of the snapshot and tells the listeners. */
  publish(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener(this.#snapshot);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #setTemplates(change: (templates: Map<SchemaId, Template>) => void): void {
    const { revision, templates } = this.#snapshot.schemas;
    const next = new Map(templates);
    change(next);
    this.publish({ schemas: { revision: revision + 1, templates: next } });
  }

  putSchema(id: SchemaId, text: Uint8Array): Promise<Changed<{ created: boolean }>> {
    const compiled = compileSchema(text);
    const failed = this.fault() ??
      (compiled.kind === "invalid" ? failure("invalid_schema", compiled.message) : undefined);
    if (failed !== undefined) return Promise.resolve(failed);
    const created = !this.#snapshot.schemas.templates.has(id);
    this.#setTemplates((templates) => templates.set(id, { hash: secretHash(String(text)), text }));
    return Promise.resolve({ kind: "done", value: { created } });
  }

  deleteSchema(id: SchemaId): Promise<Changed<{ existed: boolean }>> {
    const failed = this.fault();
    if (failed !== undefined) return Promise.resolve(failed);
    const existed = this.#snapshot.schemas.templates.has(id);
    this.#setTemplates((templates) => templates.delete(id));
    return Promise.resolve({ kind: "done", value: { existed } });
  }

  createApiKey(key: NewApiKey): ReturnType<Control["createApiKey"]> {
    const failed = this.fault();
    return failed === undefined ? this.credentials.create(key) : Promise.resolve(failed);
  }

  revokeApiKey(id: string): ReturnType<Control["revokeApiKey"]> {
    const failed = this.fault();
    return failed === undefined ? this.credentials.revoke(id) : Promise.resolve(failed);
  }

  loginFailed(address: string): number {
    return this.#limiter.failed(address);
  }

  loginBlocked(address: string): number {
    return this.#limiter.blocked(address);
  }

  workerRefused(): void {}
  batchFloor(): void {}

  workers(): readonly WorkerView[] {
    return this.workerViews;
  }
}

/** Administrative work that answers what a test sets. */
export class FakeAdmin implements AdminOperations {
  fault: Failure | undefined;
  backupChunks: readonly (Uint8Array | Error)[] = [];
  backupSignal: AbortSignal | undefined;
  restored: { readonly existing: ExistingPolicy; readonly bytes: number } | undefined;
  rewrap: RewrapProgress = {
    status: "idle",
    key_id: "main-key-v1",
    scanned: 0,
    rewrapped: 0,
    failed: 0,
    total: null,
    started_at: null,
    finished_at: null,
  };

  stats(): Promise<ServerStats> {
    return Promise.resolve({
      started_at: "2026-01-31T11:00:00.000Z",
      storage: { kind: "directory", location: "./data/db", store_id: "0".repeat(32) },
      key_id: "main-key-v1",
      cache: { entries: 1, bytes: 2, hits: 3, misses: 1, evictions: 0, bytes_max: 64, hit_ratio: 0.75 },
      sync: { mean_ms: 0.2, syncs: 12 },
      warnings: [{ code: "dev_mode", severity: "warning", message: "Anybody may log in", since: null }],
      configuration: { "rest-addr": "127.0.0.1:8080", "admin-key": "set" },
    });
  }

  backup(signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | Failure> {
    this.backupSignal = signal;
    if (this.fault !== undefined) return Promise.resolve(this.fault);
    const chunks = this.backupChunks;
    return Promise.resolve((async function* () {
      for (const chunk of chunks) {
        await Promise.resolve();
        if (chunk instanceof Error) throw chunk;
        yield chunk;
      }
    })());
  }

  async *restore(
    body: ReadableStream<Uint8Array>,
    existing: ExistingPolicy,
  ): AsyncGenerator<RestoreProgress> {
    const counts = {
      entities: 0,
      entities_skipped: 0,
      templates: 0,
      templates_skipped: 0,
      api_keys: 0,
      api_keys_skipped: 0,
    };
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      counts.entities++;
      yield { status: "running", ...counts };
    }
    this.restored = { existing, bytes };
    if (this.fault === undefined) yield { status: "done", ...counts };
    else yield { status: "failed", failure: this.fault, ...counts };
  }

  startRewrap(): Promise<RewrapProgress | Failure> {
    if (this.fault !== undefined) return Promise.resolve(this.fault);
    this.rewrap = { ...this.rewrap, status: "running", started_at: "2026-01-31T12:00:00.000Z" };
    return Promise.resolve(this.rewrap);
  }

  rewrapProgress(): Promise<RewrapProgress> {
    return Promise.resolve(this.rewrap);
  }
}

/** What a test of the door may look at and change. */
export interface Harness {
  readonly app: RestApp;
  readonly clock: ManualClock;
  readonly entities: FakeEntities;
  readonly control: FakeControl;
  readonly admin: FakeAdmin;
  readonly authenticator: Authenticator;
  readonly statistics: RequestStatistics;
  readonly log: RecordingLogger;
  /** Administrative actions that were counted: `<action> <result>`. */
  readonly actions: string[];
  readonly stop: AbortController;
  readiness: Readiness;
  /** Sends a request; `path` is taken as it is. The credential is the admin key unless told otherwise; `null`: none. */
  send(method: string, path: string, options?: SendOptions): Promise<Response>;
  /** An API key's secret. */
  key(permissions: readonly Permission[], schemas?: readonly string[]): Promise<string>;
}

/** Options of {@linkcode Harness.send}. */
export interface SendOptions {
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodyInit | null;
  readonly from?: string;
}

/** The admin key of {@linkcode createHarness}. */
export const ADMIN_KEY = "the-admin-key";

/** A door on fakes. `adminKey: null`: dev mode. */
export async function createHarness(
  options: { readonly adminKey?: string | null; readonly bodyBytesMax?: number; readonly threads?: number } = {},
): Promise<Harness> {
  const { adminKey = ADMIN_KEY, bodyBytesMax = 1 << 20, threads = 1 } = options;
  const clock = new ManualClock(Date.UTC(2026, 0, 31, 12));
  const random = countingRandom();
  const entities = new FakeEntities(clock);
  const control = await FakeControl.open(clock, random, adminKey ?? undefined);
  const admin = new FakeAdmin();
  const authenticator = new Authenticator(clock, () => control.snapshot().credentials);
  const statistics = new RequestStatistics(clock);
  const log = recordingLogger();
  const actions: string[] = [];
  const stop = new AbortController();
  const app = createRestApp({
    entities,
    control,
    authenticator,
    admin,
    statistics,
    clock,
    random,
    log,
    metrics: { request() {}, credentialRefused() {}, sessionIssued() {}, watchers() {} },
    countAction: (action, result) => void actions.push(`${action} ${result}`),
    bodyBytesMax,
    threads,
    version: "0.0.0-test",
    ui: {
      get: (path) =>
        path === "/" || path === "/assets/app.js"
          ? { status: 200, headers: { "content-type": "text/html" }, body: new TextEncoder().encode("<p>UI</p>") }
          : undefined,
    },
    ready: () => Promise.resolve(harness.readiness),
    stopping: stop.signal,
  });
  const description = new DescriptionCheck(describeRoutes(app.routes, "0.0.0-test"));
  const harness: Harness = {
    app,
    clock,
    entities,
    control,
    admin,
    authenticator,
    statistics,
    log,
    actions,
    stop,
    readiness: { kind: "ready" },
    async send(method, path, { key = adminKey, headers = {}, body = null, from = "192.0.2.1" } = {}) {
      const request = new RawRequest(method, path, {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...headers,
      }, body);
      const response = await app.fetch(request.request, { remoteAddr: { hostname: from } });
      await description.check(method, path, response);
      return response;
    },
    async key(permissions, schemas) {
      const created = await control.createApiKey({
        name: `key ${randomHex(random, 2)}`,
        permissions,
        ...(schemas === undefined ? {} : { schemas }),
      });
      if (created.kind === "failed") throw new Error(created.message);
      return created.value.secret;
    },
  };
  return harness;
}

/** A request whose URL is not normalised, as the server's own requests are not. */
class RawRequest {
  readonly request: Request;

  constructor(method: string, path: string, headers: Record<string, string>, body: BodyInit | null) {
    const inner = new Request("http://server/", { method, headers, body });
    this.request = new Proxy(inner, {
      get(target, property) {
        if (property === "url") return `http://server${path}`;
        const value = Reflect.get(target, property, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

/** A schema id for tests. */
export function schemaId(text: string): SchemaId {
  return parseSchemaId(text);
}
