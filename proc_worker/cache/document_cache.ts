/**
 * The worker's cache of opened documents: bounded by entries, bytes and, if asked, age. Only the owner of a partition has its
 * entities here. Of many more entities than it has room for it remembers the version: that is all an overwriting needs.
 */
import { LRUCache } from "lru-cache";
import { CACHE_VERSIONS_MAX } from "../../shared/limits.ts";
import type { EntityName, Partition } from "../../shared/names.ts";
import type { EntityMeta } from "../../shared/outcome.ts";
import type { CacheFigures } from "../../shared/wire/messages.ts";

/** What is known of an entity as it durably is, without its document. */
export interface CachedVersion {
  readonly meta: EntityMeta;
  readonly opId: string;
  /** The engine's mark for a conditional write; see `Stored`. */
  readonly token: string | undefined;
}

/** An entity as it durably is. */
export interface CachedEntity extends CachedVersion {
  readonly partition: Partition;
  /** A copy of its own: a view would pin the whole message that it arrived in. */
  readonly document: Uint8Array;
}

/** A version, and during which ownership of its partition it was learnt. */
interface Remembered extends CachedVersion {
  readonly partition: Partition;
  readonly ownership: number;
}

/** Bounds of a {@linkcode DocumentCache}. A bound of 0 entries or bytes turns it off; `ttlMs` 0: no age limit. */
export interface DocumentCacheOptions {
  readonly entriesMax: number;
  readonly bytesMax: number;
  readonly ttlMs: number;
}

/** What an entry weighs beside its document: objects, names, tags and its place in the table, as measured. */
const ENTRY_OVERHEAD_BYTES = 512;

export class DocumentCache {
  readonly #entries: LRUCache<EntityName, CachedEntity> | undefined;
  readonly #versions: LRUCache<EntityName, Remembered> | undefined;
  /** Times that each partition was given up: versions of before count no more. */
  readonly #givenUp = new Map<Partition, number>();
  /** Partitions that were given up, and whose documents go in one pass over all, before anything is looked at again. */
  readonly #toForget = new Set<Partition>();
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(options: DocumentCacheOptions, now: () => number) {
    if (options.entriesMax === 0 || options.bytesMax === 0) return;
    const age = options.ttlMs > 0 ? { ttl: options.ttlMs, perf: { now } } : {};
    this.#versions = new LRUCache({ max: CACHE_VERSIONS_MAX, ...age });
    this.#entries = new LRUCache({
      max: options.entriesMax,
      maxSize: options.bytesMax,
      maxEntrySize: options.bytesMax,
      sizeCalculation: (entity) => entity.document.byteLength + ENTRY_OVERHEAD_BYTES,
      ...age,
      dispose: (_entity, _name, reason) => {
        if (reason === "evict") this.#evictions += 1;
      },
    });
  }

  get(name: EntityName): CachedEntity | undefined {
    this.#forget();
    const entity = this.#entries?.get(name);
    if (entity === undefined) this.#misses += 1;
    else this.#hits += 1;
    return entity;
  }

  /** The version of an entity, whether or not its document is here; counts as neither hit nor miss. */
  version(name: EntityName): CachedVersion | undefined {
    const version = this.#versions?.get(name);
    if (version === undefined || version.ownership === this.#ownership(version.partition)) return version;
    this.#versions!.delete(name);
    return undefined;
  }

  set(name: EntityName, entity: CachedEntity): void {
    this.#forget();
    const { partition, meta, opId, token } = entity;
    this.#versions?.set(name, { partition, ownership: this.#ownership(partition), meta, opId, token });
    this.#entries?.set(name, entity);
  }

  delete(name: EntityName): void {
    this.#versions?.delete(name);
    this.#entries?.delete(name);
  }

  #ownership(partition: Partition): number {
    return this.#givenUp.get(partition) ?? 0;
  }

  /** Forgets everything of a partition that is given up. */
  dropPartition(partition: Partition): void {
    this.#toForget.add(partition);
    this.#givenUp.set(partition, this.#ownership(partition) + 1);
  }

  /** A worker gives up many partitions at once, and a pass over a large cache takes a while: one for all of them. */
  #forget(): void {
    if (this.#toForget.size === 0) return;
    for (const [name, { partition }] of this.#entries?.entries() ?? []) {
      if (this.#toForget.has(partition)) this.#entries!.delete(name);
    }
    this.#toForget.clear();
  }

  clear(): void {
    this.#versions?.clear();
    this.#entries?.clear();
  }

  figures(): CacheFigures {
    this.#forget();
    return {
      entries: this.#entries?.size ?? 0,
      bytes: this.#entries?.calculatedSize ?? 0,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }
}
