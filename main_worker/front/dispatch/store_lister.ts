/** Lists entities of a store that can be listed itself (a bucket): names from the store, documents from their owners. */
import { documentSize, etagOf, readEnvelopeHeader } from "../../../shared/crypto/envelope.ts";
import { LIST_PAGE_BYTES_MAX, LISTING_TURNS, RETRY_AFTER_S } from "../../../shared/limits.ts";
import type { EntityName } from "../../../shared/names.ts";
import { type Failure, failure } from "../../../shared/outcome.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { withinBytes } from "../../../shared/storage/page.ts";
import { type Listed, type ListQuery, StorageError } from "../../../shared/storage/store.ts";
import { Turns } from "../../../shared/turns.ts";
import type { ListItem } from "../../../shared/wire/messages.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { type ListedPage, type Lister, type Listing, OVERLOADED_LISTING } from "./lister.ts";
import type { Operations } from "./operations.ts";

export interface StoreListerParts {
  readonly clock: Clock;
  list(query: ListQuery): Promise<Listed[]>;
  schemaPrefixes(): Promise<string[]>;
  readonly dispatcher: Dispatcher;
  readonly operations: Operations;
}

export class StoreLister implements Lister {
  readonly #parts: StoreListerParts;
  /** For pages that are more than names. */
  readonly #turns: Turns;

  constructor(parts: StoreListerParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.clock, LISTING_TURNS);
  }

  async page(listing: Listing): Promise<ListedPage> {
    try {
      if (listing.want === "counts") return await this.#schemas();
      if (listing.want === "meta") return await this.#page(listing);
      return await this.#turns.run(() => this.#page(listing), OVERLOADED_LISTING);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      return failure("storage_unavailable", "the storage does not answer now", { retryAfterS: RETRY_AFTER_S });
    }
  }

  async #page(listing: Listing): Promise<ListedPage> {
    for (let { after } = listing;;) {
      const { listed, more } = await this.#list({ ...listing, after });
      const items = await this.#items(listed, listing.want);
      if ("kind" in items) return items;
      // Everything on this page was deleted since it was listed: an empty one would mean the end.
      if (items.length > 0 || !more) return { kind: "page", items, more, counts: undefined };
      after = listed.at(-1)!.name;
    }
  }

  async #list({ prefix, after, limit, want, partitions }: Listing): Promise<{ listed: Listed[]; more: boolean }> {
    if (partitions !== undefined) throw new TypeError("a store lists all partitions at once");
    const query = { prefix, envelopes: want === "envelopes", bytesMax: LIST_PAGE_BYTES_MAX };
    const found = await this.#parts.list({ ...query, limit: limit + 1, ...(after === "" ? {} : { after }) });
    const some = found.slice(0, limit);
    const listed = want === "documents" ? withinBytes(some, LIST_PAGE_BYTES_MAX) : some;
    // With envelopes a page may end by its bytes; what comes after it is then not known.
    return { listed, more: listed.length < found.length || (query.envelopes && listed.length > 0) };
  }

  /** What is asked for of each; a document comes from its owner, so that it is as current as any read. */
  async #items(listed: readonly Listed[], want: Listing["want"]): Promise<ListItem[] | Failure> {
    if (want !== "documents") return listed.map((entry) => stored(entry, want === "envelopes"));
    const { dispatcher, operations } = this.#parts;
    const items: ListItem[] = [];
    const answers = await Promise.all(listed.map(async ({ name }) => {
      const { outcome } = await dispatcher.submit(operations.named("get", name, {}), undefined);
      return { name, outcome };
    }));
    for (const { name, outcome } of answers) {
      if (outcome.kind === "found") {
        const { version, etag, writtenAtMs, size } = outcome.meta;
        items.push({ name, version, etag, writtenAtMs, size, keyId: "", bytes: outcome.document });
      } else if (outcome.kind === "failed" && (outcome.code === "tampered" || outcome.code === "key_unavailable")) {
        items.push({ ...UNKNOWN, name, problem: outcome.code });
      } else if (outcome.kind === "failed" && outcome.code !== "not_found") {
        return outcome;
      }
    }
    return items;
  }

  /** Which schemas hold an entity. How many is not in a listing: the counts are not numbers. */
  async #schemas(): Promise<ListedPage> {
    const prefixes = await this.#parts.schemaPrefixes();
    const held = new Set<string>();
    const left = prefixes.values();
    await Promise.all(Array.from({ length: SCHEMAS_AT_ONCE }, async () => {
      for (const prefix of left) {
        const query = { prefix, limit: 1, envelopes: false, bytesMax: LIST_PAGE_BYTES_MAX };
        if ((await this.#parts.list(query)).length > 0) held.add(prefix);
      }
    }));
    const counts = new Map(prefixes.filter((prefix) => held.has(prefix)).map((prefix) => [prefix, NaN]));
    return { kind: "page", items: [], more: false, counts };
  }
}

/** Schemas that are looked at together. */
const SCHEMAS_AT_ONCE = 16;

const UNKNOWN = { version: 0, etag: "", writtenAtMs: 0, size: 0, keyId: "" };

function stored(
  { name, size, envelope }: { name: EntityName; size: number; envelope: Uint8Array },
  whole: boolean,
): ListItem {
  const header = whole ? readEnvelopeHeader(envelope) : undefined;
  if (header === undefined) return { ...UNKNOWN, name, size, ...(whole ? { bytes: envelope } : {}) };
  return {
    name,
    version: header.version,
    etag: etagOf(header),
    writtenAtMs: header.writtenAtMs,
    size: documentSize(envelope),
    keyId: header.keyId,
    bytes: envelope,
  };
}
