/** What the tests of the executor stand on: a store in memory that fails when it is told to, and everything around it. */
import { Keyring } from "../../shared/crypto/keyring.ts";
import { MasterKey } from "../../shared/crypto/master_key.ts";
import { recordingLogger } from "../../shared/logging/logger.ts";
import { type EntityName, entityName, parseEntityKey, parseSchemaId, type Partition } from "../../shared/names.ts";
import { CompiledSchemas } from "../../shared/schema/compiled_schemas.ts";
import { ManualClock } from "../../shared/seams/manual_clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import type { CommitOutcome, Entities, EntityWrite, Stored, TakeOutcome } from "../../shared/storage/store.ts";
import type { EntityEvent, Operation, OperationResult } from "../../shared/wire/messages.ts";
import { DocumentCache } from "../cache/document_cache.ts";
import { CommitEvents } from "../events.ts";
import { Ownership } from "../ownership/ownership.ts";
import { BatchFloors } from "./batch_floors.ts";
import { Executor } from "./executor.ts";

export const SCHEMA = parseSchemaId("s");
export const P0 = 0 as Partition;

const NO_STATS = {
  logBytes: 0,
  dirtyEntities: 0,
  dirtyBytes: 0,
  syncs: 0,
  syncSecondsTotal: 0,
  checkpoints: 0,
  requests: 0,
  retries: 0,
};

/** Entities in memory, with tokens as a bucket has them. */
export class MemoryEntities implements Entities {
  blindCreate = false;
  exclusive = true;
  readonly stored = new Map<EntityName, { envelope: Uint8Array; token: string }>();
  reads = 0;
  commits: EntityWrite[] = [];
  /** Called before each commit and read; what it throws or waits for happens to it. */
  beforeCommit: (write: EntityWrite) => Promise<void> | void = () => {};
  beforeRead: (name: EntityName) => Promise<void> | void = () => {};
  takes: (partition: Partition) => Promise<TakeOutcome> | TakeOutcome = () => ({ kind: "taken", recovered: 0 });
  releases: (partition: Partition) => Promise<void> | void = () => {};
  #tokens = 0;

  async take(partition: Partition): Promise<TakeOutcome> {
    return await this.takes(partition);
  }

  async release(partition: Partition): Promise<void> {
    await this.releases(partition);
  }

  async read(_partition: Partition, name: EntityName): Promise<Stored | undefined> {
    this.reads += 1;
    await this.beforeRead(name);
    return this.stored.get(name);
  }

  async commit(write: EntityWrite): Promise<CommitOutcome> {
    await this.beforeCommit(write);
    if (this.stored.get(write.name)?.token !== write.expected) return { kind: "conflict" };
    this.commits.push(write);
    return { kind: "committed", token: this.put(write.name, write.envelope) };
  }

  /** Changes an entity past everybody. */
  put(name: EntityName, envelope: Uint8Array | undefined): string {
    const token = `t${++this.#tokens}`;
    if (envelope === undefined) this.stored.delete(name);
    else this.stored.set(name, { envelope, token });
    return token;
  }

  list(): Promise<never[]> {
    return Promise.resolve([]);
  }

  counts(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  stats() {
    return NO_STATS;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export function keyring(id: string, byte: number, ...old: [string, number][]): Keyring {
  const key = (id: string, byte: number) => new MasterKey(id, new Uint8Array(32).fill(byte));
  return new Keyring({ current: key(id, byte), old: old.map(([id, byte]) => key(id, byte)), random: systemRandom });
}

export const nameOf = (key: string): EntityName => entityName(SCHEMA, parseEntityKey(key));
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (document: Uint8Array): string => new TextDecoder().decode(document);

interface ExecutingOptions {
  readonly cacheEntries?: number;
  readonly documentBytesMax?: number;
}

/** An executor on entities in memory that serves partition 0 under epoch 1. */
export async function executing(options: ExecutingOptions = {}) {
  const entities = new MemoryEntities();
  return { ...await executingOn(entities, options), entities };
}

/** An executor on these entities that serves partition 0 under epoch 1. */
export async function executingOn(entities: Entities, options: ExecutingOptions = {}) {
  const clock = new ManualClock();
  const log = recordingLogger();
  const cache = new DocumentCache({ entriesMax: options.cacheEntries ?? 16, bytesMax: 1 << 20, ttlMs: 0 }, () => 0);
  const ownership = new Ownership(entities, clock, log, {
    changed() {},
    dropped: (partition) => cache.dropPartition(partition),
  });
  const schemas = new CompiledSchemas();
  const events = new CommitEvents();
  const state = { pokes: 0, seq: 0, opIds: 0 };
  const floors = new BatchFloors(() => state.pokes += 1);
  const metrics = { tampered: 0, operations: [] as string[] };
  const executor = new Executor(
    {
      entities,
      ownership,
      cache,
      schemas,
      events,
      floors,
      clock,
      log,
      metrics: {
        operation: (kind, status) => metrics.operations.push(`${kind} ${status}`),
        encryption() {},
        tampered: () => metrics.tampered += 1,
      },
    },
    keyring("k1", 1),
    options.documentBytesMax ?? 1 << 20,
  );
  ownership.assign(1, [{ partition: P0, epoch: 1 }]);
  await clock.advance(0);

  const op = (kind: Operation["kind"], key: string, more: Partial<Operation> = {}): Operation => ({
    opId: (++state.opIds).toString(16).padStart(32, "0"),
    kind,
    partition: P0,
    name: nameOf(key),
    payload: new Uint8Array(0),
    schemaHash: "",
    attempt: 1,
    ...more,
  });
  const batch = async (
    operations: readonly Operation[],
    more: { epoch?: number; seq?: number; floor?: number } = {},
  ) => {
    const seq = more.seq ?? ++state.seq;
    const { results } = await executor.processBatch({
      epoch: more.epoch ?? 1,
      dispatcher: "d",
      seq,
      floor: more.floor ?? 0,
      deadlineMs: 1_000,
      operations,
      schemas: new Map(),
    });
    return results;
  };
  const run = async (operation: Operation): Promise<OperationResult> => (await batch([operation]))[0]!;
  return {
    clock,
    log,
    cache,
    ownership,
    schemas,
    events,
    floors,
    metrics,
    executor,
    state,
    op,
    batch,
    run,
    put: (key: string, document: string, more: Partial<Operation> = {}) =>
      run(op("put", key, { payload: bytes(document), ...more })),
    get: (key: string, more: Partial<Operation> = {}) => run(op("get", key, more)),
    watch(): EntityEvent[] {
      const seen: EntityEvent[] = [];
      events.stream((event) => (seen.push(event), true), new AbortController().signal);
      return seen;
    },
  };
}
