/**
 * The main worker's cache of hot documents: least recently used out first, bounded by bytes, coherent by {@linkcode CoherenceTable}.
 *
 * It keeps what is asked for, up to date by the writes that pass. Of what is only written it keeps the latest, for clients that read
 * what they have just written, as in the small queue of S3-FIFO (Yang et al. 2023): what lives for longer than a moment is work for
 * the collector. Keeping every write took a sixth of all that a PUT costs the main worker, and a third of its memory.
 */
import { LRUCache } from "lru-cache";
import { inOwnMemory } from "../../../shared/bytes.ts";
import {
  CACHE_TEXT_BYTES_MAX,
  CACHE_UNREAD_WRITES_MAX,
  CACHE_WRITTEN_BYTES_MAX,
  CACHE_WRITTEN_ENTRIES_MAX,
  JSON_ANSWER_BYTES_MAX,
} from "../../../shared/limits.ts";
import type { EntityName } from "../../../shared/names.ts";
import type { EntityMeta, Found } from "../../../shared/outcome.ts";
import type { CacheFigures } from "../../../shared/wire/messages.ts";
import type { CoherenceTable, Stamp } from "./coherence.ts";

const encoder = new TextEncoder();
// What is kept as text must come back byte for byte: nothing is replaced, and no byte order mark dropped.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A document as it was current under its stamp. It comes as bytes; one that is asked for is kept as text from then on. A
 * response takes text as it is, where it begins with a copy of bytes: that is a fifth of all that a hot GET costs.
 */
class ReadCacheEntry implements Found {
  readonly kind = "found";
  readonly #body: Uint8Array | string;

  constructor(
    body: Uint8Array | string,
    /** Bytes that the document takes, as it is kept. */
    readonly bytes: number,
    readonly meta: EntityMeta,
    readonly slot: number,
    readonly stamp: Stamp,
    /** Writes of the entity since it was asked for. */
    public unread: number,
  ) {
    this.#body = body;
  }

  get document(): Uint8Array {
    return typeof this.#body === "string" ? encoder.encode(this.#body) : this.#body;
  }

  get text(): string | undefined {
    return typeof this.#body === "string" ? this.#body : undefined;
  }

  /** Bytes that it takes in V8's heap. */
  get textBytes(): number {
    return typeof this.#body === "string" ? this.bytes : 0;
  }
}

/** What an entry weighs beside its document: objects, name, tag, and its place in the table, as measured. */
const ENTRY_OVERHEAD_BYTES = 512;

/** How much of the room is for what is only written, if that is not too much. */
const WRITTEN_SHARE = 0.25;

/** Of a cache that nothing has happened to. */
export const NO_FIGURES: CacheFigures = { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 };

/** Of two caches together. */
export function addFigures(a: CacheFigures, b: CacheFigures): CacheFigures {
  return {
    entries: a.entries + b.entries,
    bytes: a.bytes + b.bytes,
    hits: a.hits + b.hits,
    misses: a.misses + b.misses,
    evictions: a.evictions + b.evictions,
  };
}

export class ReadCache {
  /** What was asked for. */
  readonly #entries: LRUCache<EntityName, ReadCacheEntry> | undefined;
  /** What was written lately, and not asked for yet. */
  readonly #written: LRUCache<EntityName, ReadCacheEntry> | undefined;
  readonly #coherence: CoherenceTable;
  readonly #textBytesMax: number;
  #textBytes = 0;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  /**
   * @param bytesMax 0 turns the cache off.
   * @param textBytesMax of these. Default: {@linkcode CACHE_TEXT_BYTES_MAX}
   */
  constructor(bytesMax: number, coherence: CoherenceTable, textBytesMax: number = CACHE_TEXT_BYTES_MAX) {
    const writtenBytesMax = Math.min(CACHE_WRITTEN_BYTES_MAX, Math.ceil(bytesMax * WRITTEN_SHARE));
    const readBytesMax = bytesMax - writtenBytesMax;
    this.#coherence = coherence;
    this.#textBytesMax = Math.min(textBytesMax, readBytesMax - ENTRY_OVERHEAD_BYTES);
    if (readBytesMax <= 0) return;
    const sizeCalculation = (entry: ReadCacheEntry) => entry.bytes + ENTRY_OVERHEAD_BYTES;
    this.#written = new LRUCache({ max: CACHE_WRITTEN_ENTRIES_MAX, maxSize: writtenBytesMax, sizeCalculation });
    this.#entries = new LRUCache({
      maxSize: readBytesMax,
      maxEntrySize: readBytesMax,
      sizeCalculation,
      onInsert: (entry) => {
        this.#textBytes += entry.textBytes;
      },
      dispose: (entry, _name, reason) => {
        this.#textBytes -= entry.textBytes;
        if (reason === "evict") this.#evictions += 1;
      },
    });
  }

  /** The entity, if it is cached and nothing has changed it since. */
  get(name: EntityName): Found | undefined {
    const entry = this.#current(this.#entries, name) ?? this.#firstRead(name);
    if (entry === undefined) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    entry.unread = 0;
    return entry.text === undefined ? this.#keepAsText(name, entry) : entry;
  }

  #current(entries: LRUCache<EntityName, ReadCacheEntry> | undefined, name: EntityName): ReadCacheEntry | undefined {
    const entry = entries?.get(name);
    return entry !== undefined && this.#coherence.isCurrent(entry.slot, entry.stamp) ? entry : undefined;
  }

  /** What was only written until now, and from now on is among what was asked for. */
  #firstRead(name: EntityName): ReadCacheEntry | undefined {
    const entry = this.#current(this.#written, name);
    if (entry === undefined) return undefined;
    this.#written!.delete(name);
    this.#entries!.set(name, entry);
    return entry;
  }

  /** The entry as text, where there is room for that: one byte for each of ASCII, otherwise two for each character. */
  #keepAsText(name: EntityName, entry: ReadCacheEntry): ReadCacheEntry {
    const { document, bytes, meta, slot, stamp } = entry;
    // A larger one goes out in pieces, which are bytes.
    if (bytes > JSON_ANSWER_BYTES_MAX || this.#textBytes + 2 * bytes > this.#textBytesMax) return entry;
    let text: string;
    try {
      text = decoder.decode(document);
    } catch {
      // An envelope that something else has sealed with the same key: what is in it goes out as it is.
      return entry;
    }
    const kept = new ReadCacheEntry(text, text.length === bytes ? bytes : 2 * text.length, meta, slot, stamp, 0);
    this.#entries!.set(name, kept);
    return kept;
  }

  /** Keeps a document that was asked for, and that nobody may change any more, if the stamp is still current. */
  fill(name: EntityName, document: Uint8Array, meta: EntityMeta, slot: number, stamp: Stamp): void {
    if (this.#entries === undefined || !this.#coherence.isCurrent(slot, stamp)) return;
    this.#entries.set(name, new ReadCacheEntry(inOwnMemory(document), document.byteLength, meta, slot, stamp, 0));
  }

  /**
   * Keeps a document that was written, under the same conditions: in the place of one that is asked for, unless it was only written
   * time and again since; otherwise among the latest writes.
   */
  fillWritten(name: EntityName, document: Uint8Array, meta: EntityMeta, slot: number, stamp: Stamp): void {
    if (this.#entries === undefined || !this.#coherence.isCurrent(slot, stamp)) return;
    const before = this.#entries.peek(name);
    const unread = (before?.unread ?? CACHE_UNREAD_WRITES_MAX) + 1;
    const entry = new ReadCacheEntry(inOwnMemory(document), document.byteLength, meta, slot, stamp, unread);
    if (unread <= CACHE_UNREAD_WRITES_MAX) this.#entries.set(name, entry);
    else {
      if (before !== undefined) this.#entries.delete(name);
      this.#written!.set(name, entry);
    }
  }

  clear(): void {
    this.#entries?.clear();
    this.#written?.clear();
  }

  figures(): CacheFigures {
    return {
      entries: (this.#entries?.size ?? 0) + (this.#written?.size ?? 0),
      bytes: (this.#entries?.calculatedSize ?? 0) + (this.#written?.calculatedSize ?? 0),
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }
}
