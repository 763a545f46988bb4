/** Answers listings of owned partitions: each in the store's order, merged into one page, documents opened if asked for. */
import { documentSize, etagOf, readEnvelopeHeader } from "../../shared/crypto/envelope.ts";
import type { Sealer } from "../../shared/crypto/sealer.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import { compareNames, type Partition } from "../../shared/names.ts";
import type { Entities, Listed } from "../../shared/storage/store.ts";
import type { ListItem, ListRequest, ListResponse } from "../../shared/wire/messages.ts";
import type { Ownership } from "../ownership/ownership.ts";

export interface ListingParts {
  readonly entities: Entities;
  readonly ownership: Ownership;
  readonly log: Logger;
  sealer(): Sealer;
}

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
  } finally {
    for (const partition of entered) ownership.leave(partition);
  }
}

async function count(entities: Entities, partitions: readonly Partition[]): Promise<ListResponse> {
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
  let listed: Listed[] = [];
  let frontier: string | undefined;
  let trimmed = false;
  for (const partition of partitions) {
    const query = { prefix, ...(after === "" ? {} : { after }), limit, envelopes, bytesMax };
    const own = await parts.entities.list(partition, query);
    const bytes = own.reduce((sum, { size }) => sum + size, 0);
    const last = own.at(-1)?.name;
    // A full page, by number or by bytes, says nothing of what lies beyond its end.
    const cut = own.length >= limit || (envelopes && bytes >= bytesMax);
    if (cut && last !== undefined && (frontier === undefined || last < frontier)) frontier = last;
    const all = [...listed, ...own];
    listed = trim(all, limit, envelopes ? bytesMax : Infinity);
    trimmed ||= listed.length < all.length;
  }
  const known = listed.filter(({ name }) => frontier === undefined || name <= frontier);
  const items = await Promise.all(known.map((entry) => item(parts, entry, want)));
  return { items, more: trimmed || frontier !== undefined, notOwned: [] };
}

/** The first entries in order, as far as the bounds allow; at least one. */
function trim(listed: Listed[], limit: number, bytesMax: number): Listed[] {
  listed.sort((a, b) => compareNames(a.name, b.name));
  let bytes = 0;
  const end = listed.findIndex(({ size }, i) => i >= limit || ((bytes += size) > bytesMax && i > 0));
  return end < 0 ? listed : listed.slice(0, end);
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
