/** A database in memory for the tests of the administration: envelopes under real keys, without a network or a disk. */
import { etagOf, metaOf, readEnvelopeHeader } from "../../shared/crypto/envelope.ts";
import { Keyring } from "../../shared/crypto/keyring.ts";
import { MasterKey } from "../../shared/crypto/master_key.ts";
import { type EntityName, entityName, parseEntityKey, parseSchemaId, type SchemaId } from "../../shared/names.ts";
import { failure, type Outcome } from "../../shared/outcome.ts";
import type { Clock, Timer } from "../../shared/seams/clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import type { Shelf } from "../../shared/storage/store.ts";
import type { ListItem, Operation } from "../../shared/wire/messages.ts";
import type { ApiKey, Changed, Snapshot, Template } from "../control/control.ts";
import type { Answer } from "../front/dispatch/dispatcher.ts";
import type { ListedPage, Lister, Listing } from "../front/dispatch/lister.ts";
import { Operations } from "../front/dispatch/operations.ts";
import { type BackupParts } from "./backup.ts";
import { type RestoreParts } from "./restore.ts";

export const PARTITIONS = 4;

/** Time that passes only by timers, each of which fires as soon as it can. */
export class HastyClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #set = new Set<Timer>();

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  setTimer(fn: () => void, ms: number): Timer {
    const timer = {};
    this.#set.add(timer);
    queueMicrotask(() => {
      if (!this.#set.delete(timer)) return;
      this.#nowMs += ms;
      fn();
    });
    return timer;
  }

  clearTimer(timer: Timer): void {
    this.#set.delete(timer);
  }
}

/** Keys by id, each of 32 equal bytes; the first is the current one. */
export function keys(...all: readonly (readonly [id: string, byte: number])[]): Keyring {
  const [current, ...old] = all.map(([id, byte]) => new MasterKey(id, new Uint8Array(32).fill(byte)));
  return new Keyring({ current: current!, old, random: systemRandom });
}

/** What another database would see of this one, and what it does with operations that restore and re-encrypt. */
export class MemoryDatabase implements Lister {
  readonly envelopes = new Map<EntityName, Uint8Array>();
  readonly templates = new Map<SchemaId, Template>();
  readonly operations = new Operations(systemRandom, PARTITIONS);
  readonly clock = new HastyClock();
  apiKeys: ApiKey[] = [];
  keyring: Keyring;
  /** Called before each operation: a failure is its outcome. */
  before: (op: Operation) => Outcome | undefined | Promise<Outcome | undefined> = () => undefined;
  /** Called before each listing: a failure is its outcome. */
  beforePage: (listing: Listing) => ListedPage | undefined = () => undefined;
  /** The most operations, and bytes, that were under way together. */
  readonly most = { operations: 0, bytes: 0 };
  readonly #now = { operations: 0, bytes: 0 };
  /** Envelopes that were handed out so far. */
  listed = 0;

  constructor(keyring: Keyring) {
    this.keyring = keyring;
  }

  /** Stores a document as a worker would. */
  async put(schema: string, key: string, document: string, version = 1): Promise<EntityName> {
    const [schemaId, entityKey] = [parseSchemaId(schema), parseEntityKey(key)];
    const name = entityName(schemaId, entityKey);
    const header = {
      schemaId,
      entityKey,
      version,
      opId: systemRandom.bytes(16).toHex(),
      writtenAtMs: 1_700_000_000_000,
    };
    this.envelopes.set(name, await this.keyring.seal(name, header, new TextEncoder().encode(document)));
    return name;
  }

  /** A document as a reader would see it. */
  async get(name: EntityName): Promise<{ document: string; etag: string; version: number; keyId: string }> {
    const opened = await this.keyring.open(name, this.envelopes.get(name)!);
    if (opened.kind !== "opened") throw new Error(opened.kind);
    const { header, document } = opened;
    return {
      document: new TextDecoder().decode(document),
      etag: etagOf(header),
      version: header.version,
      keyId: header.keyId,
    };
  }

  page({ prefix, after, limit, want, partitions }: Listing): Promise<ListedPage> {
    const failed = this.beforePage({ prefix, after, limit, want, ...(partitions ? { partitions } : {}) });
    if (failed) return Promise.resolve(failed);
    const names = [...this.envelopes.keys()].sort().filter((name) =>
      name.startsWith(prefix) && name > after &&
      (partitions === undefined || partitions.includes(this.operations.partition(name)))
    );
    if (want === "counts") {
      return Promise.resolve({ kind: "page", items: [], more: false, counts: new Map([["all_", names.length]]) });
    }
    const items = names.slice(0, limit).map((name): ListItem => {
      const bytes = this.envelopes.get(name)!;
      const keyId = readEnvelopeHeader(bytes)?.keyId ?? "";
      return { name, version: 1, etag: "", writtenAtMs: 0, size: 0, keyId, ...(want === "envelopes" ? { bytes } : {}) };
    });
    if (want === "envelopes") this.listed += items.length;
    return Promise.resolve({ kind: "page", items, more: names.length > limit, counts: undefined });
  }

  async submit(op: Operation): Promise<Answer> {
    this.#now.operations += 1;
    this.#now.bytes += op.payload.length;
    this.most.operations = Math.max(this.most.operations, this.#now.operations);
    this.most.bytes = Math.max(this.most.bytes, this.#now.bytes);
    try {
      const outcome = await this.before(op) ?? await (op.kind === "rewrap" ? this.#rewrap(op) : this.#restore(op));
      return { outcome, stamp: undefined };
    } finally {
      this.#now.operations -= 1;
      this.#now.bytes -= op.payload.length;
    }
  }

  async #restore(op: Operation): Promise<Outcome> {
    const opened = await this.keyring.open(op.name, op.payload);
    if (opened.kind === "key_unavailable") return failure("key_unavailable", `the key "${opened.keyId}" is not held`);
    if (opened.kind === "tampered") return failure("tampered", opened.reason);
    const meta = metaOf(opened.header, opened.document.length);
    if (this.envelopes.has(op.name) && !op.force) return { kind: "not_modified", meta };
    this.envelopes.set(op.name, op.payload.slice());
    return { kind: "stored", meta };
  }

  async #rewrap(op: Operation): Promise<Outcome> {
    const envelope = this.envelopes.get(op.name);
    if (envelope === undefined) return failure("not_found", "there is no such entity");
    const opened = await this.keyring.open(op.name, envelope);
    if (opened.kind === "key_unavailable") return failure("key_unavailable", `the key "${opened.keyId}" is not held`);
    if (opened.kind === "tampered") return failure("tampered", opened.reason);
    const meta = metaOf(opened.header, opened.document.length);
    if (opened.header.keyId === this.keyring.keyId) return { kind: "not_modified", meta };
    this.envelopes.set(op.name, await this.keyring.seal(op.name, opened.header, opened.document));
    return { kind: "stored", meta };
  }

  snapshot(): Snapshot {
    return {
      schemas: { revision: 1, templates: this.templates },
      credentials: { apiKeys: this.apiKeys },
    } as unknown as Snapshot;
  }

  putSchema(id: SchemaId, text: Uint8Array): Promise<Changed<{ created: boolean }>> {
    if (new TextDecoder().decode(text).includes("invalid")) {
      return Promise.resolve(failure("invalid_schema", "what it says is not for other eyes"));
    }
    const created = !this.templates.has(id);
    this.templates.set(id, { hash: "", text });
    return Promise.resolve({ kind: "done", value: { created } });
  }

  restoreApiKeys(added: readonly ApiKey[]): Promise<Changed<{ added: number }>> {
    const more = added.filter(({ id }) => !this.apiKeys.some((key) => key.id === id));
    this.apiKeys.push(...more);
    return Promise.resolve({ kind: "done", value: { added: more.length } });
  }

  backupParts(listing: "owners" | "store" = "owners"): BackupParts {
    return {
      control: this,
      lister: this,
      listing,
      clock: this.clock,
      storeId: "0123456789abcdef".repeat(2),
      partitions: PARTITIONS,
      version: "1.2.3",
    };
  }

  restoreParts(): RestoreParts {
    return {
      control: this,
      dispatcher: this,
      operations: this.operations,
      clock: this.clock,
      documentBytesMax: 1 << 20,
    };
  }
}

/** A shelf in memory. */
export class MemoryShelf implements Shelf {
  readonly objects = new Map<string, Uint8Array>();

  get(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.objects.get(name));
  }

  put(name: string, bytes: Uint8Array): Promise<void> {
    this.objects.set(name, bytes);
    return Promise.resolve();
  }

  delete(name: string): Promise<boolean> {
    return Promise.resolve(this.objects.delete(name));
  }

  list(): Promise<{ name: string; revision: string }[]> {
    return Promise.resolve([...this.objects.keys()].sort().map((name) => ({ name, revision: "" })));
  }
}

/** All chunks as one. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** Bytes as a body that comes in chunks of these sizes, again and again. */
export function bodyOf(bytes: Uint8Array, ...sizes: readonly number[]): ReadableStream<Uint8Array> {
  let at = 0;
  let chunk = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const size = sizes.length === 0 ? bytes.length : sizes[chunk++ % sizes.length]!;
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
}
