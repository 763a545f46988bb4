/** The worker's cache of opened documents: bounded by entries, bytes and, if asked, age. Only the owner of a partition has its entities here. */
import { LRUCache } from "lru-cache";
import type { EntityName, Partition } from "../../shared/names.ts";
import type { EntityMeta } from "../../shared/outcome.ts";
import type { CacheFigures } from "../../shared/wire/messages.ts";

/** An entity as it durably is. */
export interface CachedEntity {
  readonly partition: Partition;
  readonly meta: EntityMeta;
  readonly opId: string;
  /** A copy of its own: a view would pin the whole message that it arrived in. */
  readonly document: Uint8Array;
  /** The engine's mark for a conditional write; see `Stored`. */
  readonly token: string | undefined;
}

/** Bounds of a {@linkcode DocumentCache}. A bound of 0 entries or bytes turns it off; `ttlMs` 0: no age limit. */
export interface DocumentCacheOptions {
  readonly entriesMax: number;
  readonly bytesMax: number;
  readonly ttlMs: number;
}

/** What an entry weighs beside its document: names, numbers and the table's own share. */
const ENTRY_OVERHEAD_BYTES = 256;

export class DocumentCache {
  readonly #entries: LRUCache<EntityName, CachedEntity> | undefined;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(options: DocumentCacheOptions, now: () => number) {
    if (options.entriesMax === 0 || options.bytesMax === 0) return;
    this.#entries = new LRUCache({
      max: options.entriesMax,
      maxSize: options.bytesMax,
      maxEntrySize: options.bytesMax,
      sizeCalculation: (entity) => entity.document.byteLength + ENTRY_OVERHEAD_BYTES,
      ...(options.ttlMs > 0 ? { ttl: options.ttlMs, perf: { now } } : {}),
      dispose: (_entity, _name, reason) => {
        if (reason === "evict") this.#evictions += 1;
      },
    });
  }

  get(name: EntityName): CachedEntity | undefined {
    const entity = this.#entries?.get(name);
    if (entity === undefined) this.#misses += 1;
    else this.#hits += 1;
    return entity;
  }

  /** Whether it is here; counts as neither hit nor miss, and leaves its age. */
  has(name: EntityName): boolean {
    return this.#entries?.has(name) ?? false;
  }

  set(name: EntityName, entity: CachedEntity): void {
    this.#entries?.set(name, entity);
  }

  delete(name: EntityName): void {
    this.#entries?.delete(name);
  }

  /** Forgets everything of a partition that is given up. */
  dropPartition(partition: Partition): void {
    for (const [name, entity] of this.#entries?.entries() ?? []) {
      if (entity.partition === partition) this.#entries!.delete(name);
    }
  }

  clear(): void {
    this.#entries?.clear();
  }

  figures(): CacheFigures {
    return {
      entries: this.#entries?.size ?? 0,
      bytes: this.#entries?.calculatedSize ?? 0,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }
}
