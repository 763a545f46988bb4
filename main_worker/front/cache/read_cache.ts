/** The main worker's cache of hot documents: least recently used out first, bounded by bytes, coherent by {@linkcode CoherenceTable}. */
import { LRUCache } from "lru-cache";
import { inOwnMemory } from "../../../shared/bytes.ts";
import type { EntityName } from "../../../shared/names.ts";
import type { EntityMeta } from "../../../shared/outcome.ts";
import type { CacheFigures } from "../../../shared/wire/messages.ts";
import type { CoherenceTable, Stamp } from "./coherence.ts";

/** A document as it was current under its stamp. */
export interface ReadCacheEntry {
  readonly document: Uint8Array;
  readonly meta: EntityMeta;
  readonly slot: number;
  readonly stamp: Stamp;
}

/** What an entry weighs beside its document. */
const ENTRY_OVERHEAD_BYTES = 256;

export class ReadCache {
  readonly #entries: LRUCache<EntityName, ReadCacheEntry> | undefined;
  readonly #coherence: CoherenceTable;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  /** @param bytesMax 0 turns the cache off. */
  constructor(bytesMax: number, coherence: CoherenceTable) {
    this.#coherence = coherence;
    if (bytesMax === 0) return;
    this.#entries = new LRUCache({
      maxSize: bytesMax,
      maxEntrySize: bytesMax,
      sizeCalculation: (entry) => entry.document.byteLength + ENTRY_OVERHEAD_BYTES,
      dispose: (_entry, _name, reason) => {
        if (reason === "evict") this.#evictions += 1;
      },
    });
  }

  /** The entity, if it is cached and nothing has changed it since. */
  get(name: EntityName): ReadCacheEntry | undefined {
    const entry = this.#entries?.get(name);
    if (entry !== undefined && this.#coherence.isCurrent(entry.slot, entry.stamp)) {
      this.#hits += 1;
      return entry;
    }
    this.#misses += 1;
    return undefined;
  }

  /** Keeps the document, which nobody may change any more, if the stamp is still current. */
  fill(name: EntityName, document: Uint8Array, meta: EntityMeta, slot: number, stamp: Stamp): void {
    if (this.#entries === undefined || !this.#coherence.isCurrent(slot, stamp)) return;
    this.#entries.set(name, { document: inOwnMemory(document), meta, slot, stamp });
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
