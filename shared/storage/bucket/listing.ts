/**
 * Lists entities in the byte order of their storage names, out of a listing in the byte order of keys, with bounded
 * memory.
 *
 * The two orders differ: the key of `a` is `a.json.enc` and comes after `a-b.json.enc`, because `-` is below `.`,
 * though `a` comes before `a-b`. They differ only where one name begins with the other: `p` and `p…` swap places when
 * what follows sorts below `.json.enc`. So a name that was read may be handed out as soon as no proper prefix of it
 * can still follow: each such prefix was passed in key order, or was looked up by itself and is not there. Names wait
 * for the rest of the listing as long as a page is not full; then the few prefixes that block the page are looked up.
 */
import { compareNames, type EntityName, splitEntityName } from "../../names.ts";
import { ENVELOPE_SUFFIX, envelopeKey, FILES_PREFIX, parseFileKey } from "./layout.ts";
import type { KeyQuery, ObjectPage } from "./object_client.ts";

/** An entity that is there, by its name and the size of its envelope. */
export interface Listing {
  readonly name: EntityName;
  readonly size: number;
}

/** Where the listing comes from. */
export interface ListingSource {
  /** One page of keys in byte order. */
  page(query: KeyQuery): Promise<ObjectPage>;
  /** Size of the envelope under a name, or `undefined` when there is none. */
  size(name: EntityName): Promise<number | undefined>;
}

/** Whether the key of `prefix` comes after that of `name`, which begins with it and is longer. */
function swapped(prefix: string, name: string): boolean {
  return `${name.slice(prefix.length)}${ENVELOPE_SUFFIX}` < ENVELOPE_SUFFIX;
}

/** Entities whose names begin with `prefix` and are greater than `after`, in order, a page at a time. */
export class OrderedListing {
  readonly #source: ListingSource;
  readonly #prefix: string;
  readonly #after: string;
  readonly #keysMax: number;
  readonly #accept: (name: EntityName) => boolean;
  /** Read and not handed out, in the order of names. */
  #ready: Listing[] = [];
  /** Prefixes that were looked up: whether they are there. Only prefixes of names that are still in sight stay. */
  #known = new Map<string, boolean>();
  /** Last key read; `undefined` before the first page. */
  #position: string | undefined;
  #continuation: string | undefined;
  #ended = false;

  /**
   * @param keysMax keys in a page of the service; also bounds what is held
   * @param accept which names are wanted; default: all
   */
  constructor(
    source: ListingSource,
    query: { readonly prefix: string; readonly after?: string },
    keysMax: number,
    accept: (name: EntityName) => boolean = () => true,
  ) {
    this.#source = source;
    this.#prefix = query.prefix;
    this.#after = query.after ?? "";
    this.#keysMax = keysMax;
    this.#accept = accept;
  }

  /** The next entities, at most `limit`; empty at the end. */
  async next(limit: number): Promise<Listing[]> {
    const out: Listing[] = [];
    while (out.length < limit) {
      this.#handOut(out, limit);
      if (out.length >= limit) break;
      if (this.#ended) break;
      if (this.#ready.length >= limit - out.length) await this.#lookUp(limit - out.length);
      else await this.#read();
    }
    return out;
  }

  /** Moves what nothing can precede any more from `#ready` to `out`. */
  #handOut(out: Listing[], limit: number): void {
    let count = 0;
    while (count < this.#ready.length && out.length < limit) {
      const entry = this.#ready[count]!;
      if (this.#blockers(entry.name).length > 0) break;
      out.push(entry);
      count++;
    }
    if (count > 0) this.#ready.splice(0, count);
  }

  /** Proper prefixes of a name that may be entities, would come before it, and have not been reached. */
  #blockers(name: string): EntityName[] {
    if (this.#ended) return [];
    const found: EntityName[] = [];
    // An entity's name has its separator; a shorter prefix is none. Those up to `after` were handed out earlier.
    const shortest = Math.max(name.indexOf("_") + 2, this.#prefix.length, 2);
    for (let length = shortest; length < name.length; length++) {
      const next = name.charCodeAt(length);
      if (next > 0x2e) continue;
      const prefix = name.slice(0, length);
      if (!swapped(prefix, name) || prefix <= this.#after || this.#known.has(prefix)) continue;
      if (this.#position !== undefined && envelopeKey(prefix) <= this.#position) continue;
      if (splitEntityName(prefix) === undefined || !this.#accept(prefix as EntityName)) continue;
      found.push(prefix as EntityName);
    }
    return found;
  }

  /** Asks for the prefixes that block the first names, instead of reading on until they are passed. */
  async #lookUp(wanted: number): Promise<void> {
    const blockers = new Set(this.#ready.slice(0, wanted).flatMap((entry) => this.#blockers(entry.name)));
    const first = [...blockers].slice(0, this.#keysMax);
    const sizes = await Promise.all(first.map((name) => this.#source.size(name)));
    first.forEach((name, at) => {
      const size = sizes[at];
      this.#known.set(name, size !== undefined);
      if (size !== undefined) this.#insert({ name, size });
    });
  }

  async #read(): Promise<void> {
    const start = this.#after > this.#prefix ? this.#after : undefined;
    const page = await this.#source.page({
      prefix: FILES_PREFIX + this.#prefix,
      limit: this.#keysMax,
      ...(this.#continuation !== undefined
        ? { continuation: this.#continuation }
        : start === undefined
        ? {}
        : { startAfter: FILES_PREFIX + start }),
    });
    const fresh: Listing[] = [];
    for (const entry of page.entries) {
      const file = parseFileKey(entry.key);
      if (file?.kind !== "envelope" || file.name <= this.#after || this.#known.get(file.name) === true) continue;
      // A prefix may end within the suffix of a shorter name's key.
      if (!file.name.startsWith(this.#prefix)) continue;
      if (splitEntityName(file.name) === undefined || !this.#accept(file.name)) continue;
      fresh.push({ name: file.name, size: entry.size });
    }
    const last = page.entries.at(-1);
    if (last !== undefined) this.#position = last.key;
    this.#continuation = page.next;
    this.#ended = page.next === undefined;
    for (const name of this.#known.keys()) {
      if (this.#position !== undefined && envelopeKey(name) <= this.#position) this.#known.delete(name);
    }
    if (fresh.length > 0) {
      this.#ready.push(...fresh);
      this.#ready.sort((a, b) => compareNames(a.name, b.name));
    }
  }

  #insert(entry: Listing): void {
    let at = 0;
    while (at < this.#ready.length && this.#ready[at]!.name < entry.name) at++;
    this.#ready.splice(at, 0, entry);
  }
}
