/** Answers listings of owned partitions: each in the store's order, merged into one page, documents opened if asked for. */
import { documentSize, etagOf, readEnvelopeHeader } from "../../shared/crypto/envelope.ts";
import type { Sealer } from "../../shared/crypto/sealer.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import { compareNames, isStorageName, type Partition } from "../../shared/names.ts";
import { type Clock, sleep } from "../../shared/seams/clock.ts";
import { type Entities, type Listed, StorageError } from "../../shared/storage/store.ts";
import type { ListItem, ListRequest, ListResponse } from "../../shared/wire/messages.ts";
import type { Ownership } from "../ownership/ownership.ts";

export interface ListingParts {
  readonly entities: Pick<Entities, "list" | "counts">;
  readonly ownership: Pick<Ownership, "enter" | "leave">;
  readonly clock: Clock;
  readonly log: Logger;
  sealer(): Sealer;
}

/** Partitions that are read, and documents that are opened, before others get a turn: a page of 1,000 is a long pause. */
const PARTITIONS_A_TURN = 8;
const DOCUMENTS_A_TURN = 32;

/** Lists what this worker owns of the request's partitions; the others are named in the answer, which is then not whole. */
export async function listPartitions(parts: ListingParts, request: ListRequest): Promise<ListResponse> {
  const { ownership } = parts;
  const entered: Partition[] = [];
  const notOwned: Partition[] = [];
  for (const partition of request.partitions) {
    (ownership.enter(partition, request.epoch) ? entered : notOwned).push(partition);
  }
  try {
    if (notOwned.length > 0) return { items: [], more: false, notOwned };
    if (request.want === "counts") return await count(parts.entities, entered);
    return await page(parts, request, entered);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    parts.log.error("storage_failed", { operation: "list", reason: error.reason, error: error.message });
    return { items: [], more: false, notOwned: [], unreadable: true };
  } finally {
    for (const partition of entered) ownership.leave(partition);
  }
}

async function count(entities: Pick<Entities, "counts">, partitions: readonly Partition[]): Promise<ListResponse> {
  const counts = new Map<string, number>();
  for (const partition of partitions) {
    const own = await entities.counts(partition);
    if (own === undefined) return { items: [], more: false, notOwned: [] };
    for (const [prefix, n] of own) counts.set(prefix, (counts.get(prefix) ?? 0) + n);
  }
  return { items: [], more: false, notOwned: [], counts };
}

async function page(
  parts: ListingParts,
  request: ListRequest,
  partitions: readonly Partition[],
): Promise<ListResponse> {
  const { prefix, after, limit, want, bytesMax } = request;
  const envelopes = want !== "meta";
  // Names are spread evenly, so each partition has about its share of the page; whichever runs out is asked again.
  const share = Math.min(limit, Math.ceil(limit / Math.max(1, partitions.length) * 1.5) + 4);
  const shareBytes = envelopes ? Math.max(SHARE_BYTES_MIN, Math.ceil(bytesMax / partitions.length * 1.5)) : Infinity;
  const sources = partitions.map((partition) =>
    new Source(
      async (from) => {
        const query = {
          prefix,
          ...(from === "" ? {} : { after: from }),
          limit: share,
          envelopes,
          bytesMax: shareBytes,
        };
        return await parts.entities.list(partition, query);
      },
      after,
      share,
      envelopes,
    )
  );
  const merged: Listed[] = [];
  let bytes = 0;
  let more = false;
  let filled = 0;
  for (;;) {
    for (const source of sources) {
      if (!source.empty) continue;
      await source.fill();
      if (++filled % PARTITIONS_A_TURN === 0) await sleep(parts.clock, 0);
    }
    const next = sources.reduce<Source | undefined>(
      (least, source) =>
        source.head !== undefined && (least?.head === undefined || compareNames(source.head.name, least.head.name) < 0)
          ? source
          : least,
      undefined,
    );
    if (next?.head === undefined) break;
    if (merged.length >= limit || (envelopes && merged.length > 0 && bytes + next.head.size > bytesMax)) {
      more = true;
      break;
    }
    if (next.head.name <= (merged.at(-1)?.name ?? after) || !isStorageName(next.head.name)) {
      throw new StorageError(
        "corrupt",
        "a partition lists names out of order, or something that is none: it is damaged",
      );
    }
    bytes += next.head.size;
    merged.push(next.take());
  }
  const items: ListItem[] = [];
  for (let at = 0; at < merged.length; at += DOCUMENTS_A_TURN) {
    items.push(...await Promise.all(merged.slice(at, at + DOCUMENTS_A_TURN).map((entry) => item(parts, entry, want))));
  }
  return { items, more, notOwned: [] };
}

/** Bytes that are asked of a partition at once, at least. */
const SHARE_BYTES_MIN = 64 * 1024;

/** The entities of one partition in order, fetched as they are needed. */
class Source {
  readonly #fetch: (after: string) => Promise<Listed[]>;
  readonly #share: number;
  readonly #byBytes: boolean;
  #after: string;
  #listed: Listed[] = [];
  #at = 0;
  #ended = false;

  constructor(fetch: (after: string) => Promise<Listed[]>, after: string, share: number, byBytes: boolean) {
    this.#fetch = fetch;
    this.#after = after;
    this.#share = share;
    this.#byBytes = byBytes;
  }

  /** The next entity; `undefined` at the end, or when {@linkcode Source.fill} must be called. */
  get head(): Listed | undefined {
    return this.#listed[this.#at];
  }

  /** Whether nothing is left of what was fetched, and there may be more. */
  get empty(): boolean {
    return this.#at >= this.#listed.length && !this.#ended;
  }

  take(): Listed {
    return this.#listed[this.#at++]!;
  }

  async fill(): Promise<void> {
    this.#listed = await this.#fetch(this.#after);
    this.#at = 0;
    this.#after = this.#listed.at(-1)?.name ?? this.#after;
    // A page may be short because it is full by its bytes: then only an empty one says that there is nothing more.
    this.#ended = this.#listed.length === 0 || (!this.#byBytes && this.#listed.length < this.#share);
  }
}

async function item(
  parts: ListingParts,
  { name, size, envelope }: Listed,
  want: ListRequest["want"],
): Promise<ListItem> {
  const header = readEnvelopeHeader(envelope);
  const meta = header === undefined ? { version: 0, etag: "", writtenAtMs: 0, size: 0, keyId: "" } : {
    version: header.version,
    etag: etagOf(header),
    writtenAtMs: header.writtenAtMs,
    size: documentSize(envelope, size),
    keyId: header.keyId,
  };
  if (want === "envelopes") return { name, ...meta, bytes: envelope };
  if (want !== "documents") return header === undefined ? { name, ...meta, problem: "tampered" } : { name, ...meta };
  const opened = await parts.sealer().open(name, envelope);
  if (opened.kind === "opened") return { name, ...meta, bytes: opened.document };
  if (opened.kind === "tampered") parts.log.error("tamper_detected", { reason: opened.reason });
  return { name, ...meta, problem: opened.kind };
}
