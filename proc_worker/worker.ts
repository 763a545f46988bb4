/** A processing worker, put together from its parts: everything but the process around it, so that it runs in a test or a simulation too. */
import { formatSize } from "../shared/config/values.ts";
import type { Sealer } from "../shared/crypto/sealer.ts";
import { GRPC_MESSAGE_OVERHEAD_BYTES, HEARTBEAT_MS, HEARTBEATS_MISSED_MAX, LISTING_TURNS } from "../shared/limits.ts";
import type { Logger } from "../shared/logging/logger.ts";
import type { Partition } from "../shared/names.ts";
import type { CompiledSchemas } from "../shared/schema/compiled_schemas.ts";
import type { Clock } from "../shared/seams/clock.ts";
import type { Random } from "../shared/seams/random.ts";
import { type Entities, type EntitiesStats, StorageError, type Store } from "../shared/storage/store.ts";
import { Turns } from "../shared/turns.ts";
import type { ListResponse, StorageFigures, SubscribeResponse } from "../shared/wire/messages.ts";
import { type MainClient, TransportError, type WorkerHandler } from "../shared/wire/transport.ts";
import { DocumentCache, type DocumentCacheOptions } from "./cache/document_cache.ts";
import { CommitEvents } from "./events.ts";
import { BatchFloors } from "./execute/batch_floors.ts";
import { Executor, type ExecutorMetrics } from "./execute/executor.ts";
import { listPartitions } from "./execute/listing.ts";
import { type Identity, JoinRefused, Membership } from "./membership/membership.ts";
import { Ownership } from "./ownership/ownership.ts";

/** What a worker is made of. */
export interface WorkerParts {
  readonly entities: Entities;
  readonly client: MainClient;
  readonly identity: Identity;
  readonly schemas: CompiledSchemas;
  readonly cache: DocumentCacheOptions;
  /** Bytes that a message to this worker may have. */
  readonly messageBytesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: ExecutorMetrics & { heartbeatFailed(): void };
  /** The store that {@linkcode WorkerParts.entities} belong to. */
  readonly store: Pick<Store, "isMainLockFree">;
  /** Unwraps the keys of a join. The sealer that it answers replaces the one before. */
  unwrap(response: SubscribeResponse): Promise<Sealer>;
}

export class Worker {
  /** What the main worker may call, once its token was checked by {@linkcode Worker.authorize}. */
  readonly handler: WorkerHandler;
  readonly membership: Membership;
  readonly cache: DocumentCache;
  readonly ownership: Ownership;
  readonly #executor: Executor;
  #sealer: Sealer = NO_KEYS;

  constructor(parts: WorkerParts) {
    const { entities, clock, log, schemas, metrics } = parts;
    const events = new CommitEvents();
    const cache = new DocumentCache(parts.cache, () => clock.monotonic());
    const ownership = new Ownership(entities, clock, log.child("ownership"), {
      changed: () => this.membership.poke(),
      dropped: (partition) => cache.dropPartition(partition),
    });
    const floors = new BatchFloors(() => this.membership.poke());
    const executor = new Executor(
      {
        entities,
        ownership,
        cache,
        schemas,
        events,
        floors,
        clock,
        log: log.child("execute"),
        metrics,
      },
      NO_KEYS,
      0,
    );
    this.cache = cache;
    this.ownership = ownership;
    this.#executor = executor;
    this.membership = new Membership({
      client: parts.client,
      identity: parts.identity,
      clock,
      random: parts.random,
      log: log.child("membership"),
      metrics,
      peers: {
        joined: async (response) => {
          const needed = response.documentBytesMax + GRPC_MESSAGE_OVERHEAD_BYTES;
          if (needed > parts.messageBytesMax) {
            throw new JoinRefused(
              `the main worker takes documents of ${formatSize(response.documentBytesMax)}, for which ` +
                `-grpc-max-recv-msg-size must be ${formatSize(needed)} or more here, too`,
            );
          }
          await checkSharedLocks(parts.store);
          this.#sealer = await parts.unwrap(response);
          executor.renew(this.#sealer, response.documentBytesMax);
        },
        assigned: (response) => {
          if (!this.mayWrite()) ownership.lapse();
          for (const { dispatcher, floor } of response.floors) floors.raise(dispatcher, floor);
          ownership.assign(response.epoch, response.assigned);
          if (floors.pending()) this.membership.poke();
        },
        holding: () => ownership.holding(),
        report: () => ({
          owned: ownership.serving(),
          releasing: ownership.releasing(),
          failing: ownership.failing(),
          finished: floors.report(),
          epoch: ownership.epoch,
          activeRequests: executor.active,
          cache: cache.figures(),
          storage: storageFigures(entities.stats()),
        }),
      },
    });
    const listing = { entities, ownership, clock, log, sealer: () => this.#sealer };
    const listings = new Turns(clock, LISTING_TURNS);
    this.handler = {
      processBatch: (request) => executor.processBatch(request),
      list: (request) => listings.run(() => listPartitions(listing, request), OVERLOADED_LISTING),
      events: (_request, send, signal) => events.stream(send, signal),
    };
  }

  /**
   * Whether this worker may still change what it owns, or the partition: not when its last answered heartbeat is so old that the
   * main worker may have given its partitions away, nor where operations from before such a gap are under way. Locks make that
   * sure in a directory; a bucket has nothing else.
   */
  mayWrite(partition?: Partition): boolean {
    return this.membership.sinceAssignedMs < FENCE_MS && !(partition !== undefined && this.ownership.lapsed(partition));
  }

  /** Operations under way. */
  get active(): number {
    return this.#executor.active;
  }

  /** Finishes what is under way, hands every partition over and leaves. */
  async leave(): Promise<void> {
    await this.membership.leave();
    await this.ownership.close();
    await this.membership.stop();
  }
}

/**
 * Checks that this worker sees the lock of the main worker that has just answered it: one that does not could not be kept
 * off another worker's partitions either. @throws {TransportError} `denied` when the lock is free.
 */
async function checkSharedLocks(store: Pick<Store, "isMainLockFree">): Promise<void> {
  const isFree = await store.isMainLockFree?.().catch((error) => {
    throw error instanceof StorageError ? new TransportError("broken", error.message, { cause: error }) : error;
  });
  if (!isFree) return;
  throw new TransportError(
    "denied",
    "the main worker's lock on the store looks free from here: this is another copy of the store, or a file system that " +
      "does not share its locks among machines (NFSv4 does, unless mounted with nolock or local_lock)",
  );
}

/** The part of an engine's figures that the main worker shows. */
function storageFigures(stats: EntitiesStats): StorageFigures {
  const { syncs, syncSecondsTotal, logBytes, dirtyEntities, dirtyBytes, checkpoints } = stats;
  return {
    syncs,
    syncMicroseconds: Math.round(syncSecondsTotal * 1e6),
    logBytes,
    dirtyEntities,
    dirtyBytes,
    checkpoints,
  };
}

/** Sooner than the main worker gives a silent worker up. */
const FENCE_MS = HEARTBEAT_MS * HEARTBEATS_MISSED_MAX - 1_000;

const OVERLOADED_LISTING: ListResponse = { items: [], more: false, notOwned: [], overloaded: true };

/** Before the first join there is nothing that could be opened. */
const NO_KEYS: Sealer = {
  keyId: "",
  holds: () => false,
  seal: () => Promise.reject(new Error("this worker has no keys yet")),
  open: () => Promise.reject(new Error("this worker has no keys yet")),
};
