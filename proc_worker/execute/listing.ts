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
  readonly entities: Pick<Entities, "list" | "read" | "counts">;
  readonly ownership: Pick<Ownership, "enter" | "leave">;
  readonly clock: Clock;
  readonly log: Logger;
  sealer(): Sealer;
}

/**
 * Partitions and bytes that are read, and documents that are opened, before others get a turn: a page of 1,000 is a long pause.
 */
const PARTITIONS_A_TURN = 8;
const BYTES_A_TURN = 1024 * 1024;
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

/** A page; where everything on it was deleted meanwhile, the next one: an empty page would mean the end. */
async function page(
  parts: ListingParts,
  request: ListRequest,
  partitions: readonly Partition[],
): Promise<ListResponse> {
  for (let { after } = request;;) {
    const { found, more } = await find(parts, { ...request, after }, partitions);
    const { items, full } = await itemsOf(parts, request, found);
    if (items.length > 0 || !more) return { items, more: more || full, notOwned: [] };
    after = found.at(-1)!.name;
  }
}

/** An entity of a page, of which there may be only the beginning. */
interface Found extends Listed {
  readonly partition: Partition;
}

/**
 * The entities of a page, by their beginnings: of each partition some are read that will not be on it, and as wholes those would
 * be many times a page.
 */
async function find(
  { entities, clock }: ListingParts,
  { prefix, after, limit, want, bytesMax }: ListRequest,
  partitions: readonly Partition[],
): Promise<{ found: Found[]; more: boolean }> {
  // Names are spread evenly, so each partition has about its share of the page; whichever runs out is asked again.
  const share = Math.min(limit, Math.ceil(limit / Math.max(1, partitions.length) * 1.5) + 4);
  const sources = partitions.map((partition) =>
    new Source(
      (from) => entities.list(partition, { prefix, ...(from === "" ? {} : { after: from }), limit: share }),
      partition,
      after,
      share,
    )
  );
  const found: Found[] = [];
  let bytes = 0;
  let filled = 0;
  for (;;) {
    for (const source of sources) {
      if (!source.empty) continue;
      await source.fill();
      if (++filled % PARTITIONS_A_TURN === 0) await sleep(clock, 0);
    }
    const next = sources.reduce<Source | undefined>(
      (least, source) =>
        source.head !== undefined && (least?.head === undefined || compareNames(source.head.name, least.head.name) < 0)
          ? source
          : least,
      undefined,
    );
    if (next?.head === undefined) return { found, more: false };
    const { name, size } = next.head;
    bytes += size;
    if (found.length >= limit || (want !== "meta" && found.length > 0 && bytes > bytesMax)) {
      return { found, more: true };
    }
    if (name <= (found.at(-1)?.name ?? after) || !isStorageName(name)) {
      throw new StorageError(
        "corrupt",
        "a partition lists names out of order, or something that is none: it is damaged",
      );
    }
    found.push(next.take());
  }
}

/** What is asked for of each as it is now: of what has grown, so much as the page has room for, which is `full` then. */
async function itemsOf(
  parts: ListingParts,
  { want, bytesMax }: ListRequest,
  found: readonly Found[],
): Promise<{ items: ListItem[]; full: boolean }> {
  const items: ListItem[] = [];
  let bytes = 0;
  let bytesInTurn = 0;
  let full = false;
  for (let at = 0; at < found.length && !full; at += DOCUMENTS_A_TURN) {
    const some: Listed[] = [];
    for (const entry of found.slice(at, at + DOCUMENTS_A_TURN)) {
      const listed = want === "meta" ? entry : await whole(parts, entry);
      if (listed === undefined) continue;
      bytes += listed.size;
      full = want !== "meta" && bytes > bytesMax && items.length + some.length > 0;
      if (full) break;
      some.push(listed);
      if (want !== "meta" && (bytesInTurn += listed.size) >= BYTES_A_TURN) {
        await sleep(parts.clock, 0);
        bytesInTurn = 0;
      }
    }
    items.push(...await Promise.all(some.map((entry) => item(parts, entry, want))));
  }
  return { items, full };
}

/** The entity with its whole envelope; `undefined` when it was deleted since it was found. */
async function whole({ entities }: ListingParts, found: Found): Promise<Listed | undefined> {
  const { name, size, envelope, partition } = found;
  if (envelope.length === size) return found;
  const stored = await entities.read(partition, name);
  return stored && { name, size: stored.envelope.length, envelope: stored.envelope };
}

/** The entities of one partition in order, fetched as they are needed. */
class Source {
  readonly #fetch: (after: string) => Promise<Listed[]>;
  readonly #partition: Partition;
  readonly #share: number;
  #after: string;
  #listed: Listed[] = [];
  #at = 0;
  #ended = false;

  constructor(fetch: (after: string) => Promise<Listed[]>, partition: Partition, after: string, share: number) {
    this.#fetch = fetch;
    this.#partition = partition;
    this.#after = after;
    this.#share = share;
  }

  /** The next entity; `undefined` at the end, or when {@linkcode Source.fill} must be called. */
  get head(): Listed | undefined {
    return this.#listed[this.#at];
  }

  /** Whether nothing is left of what was fetched, and there may be more. */
  get empty(): boolean {
    return this.#at >= this.#listed.length && !this.#ended;
  }

  take(): Found {
    return { ...this.#listed[this.#at++]!, partition: this.#partition };
  }

  async fill(): Promise<void> {
    this.#listed = await this.#fetch(this.#after);
    this.#at = 0;
    this.#after = this.#listed.at(-1)?.name ?? this.#after;
    this.#ended = this.#listed.length < this.#share;
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
