/**
 * Backups: everything in a store as lines of JSON, still encrypted. A header line, a line per entity, template and API key (by
 * its hash), and a last line with counts and the SHA-256 of all bytes before it; without that line a backup is truncated.
 */
import { createHash } from "node:crypto";
import { BACKUP_CHUNK_BYTES, BACKUP_PAGE } from "../../shared/limits.ts";
import type { Partition } from "../../shared/names.ts";
import type { Failure } from "../../shared/outcome.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { Control } from "../control/control.ts";
import { storedKey } from "../control/credentials.ts";
import type { Lister, Listing } from "../front/dispatch/lister.ts";
import type { ListItem } from "../../shared/wire/messages.ts";
import { patiently } from "./patience.ts";

/** Version of the format; a restore refuses another one. */
export const BACKUP_FORMAT = 1;

export interface BackupParts {
  readonly control: Pick<Control, "snapshot">;
  readonly lister: Lister;
  /** See {@linkcode listingsOf}. */
  readonly listing: "owners" | "store";
  readonly clock: Clock;
  readonly storeId: string;
  readonly partitions: number;
  /** Of the program, for people. */
  readonly version: string;
}

/** A backup that could not be completed. */
export class BackupError extends Error {
  override name = "BackupError";
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/**
 * Makes a backup while it is read; each entity as of some moment during it. Nothing is made ahead of the reader: at most a
 * page of envelopes is in memory.
 * @throws {BackupError} when a partition could not be read for `ADMINISTRATION_WAIT_MS`; the last line is missing then.
 */
export async function* backup(parts: BackupParts, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  const { control, clock, storeId, partitions, version } = parts;
  const lines = new Lines();
  yield* lines.add({
    kind: "header",
    format: BACKUP_FORMAT,
    store_id: storeId,
    partitions,
    created_at: new Date(clock.now()).toISOString(),
    version,
  });
  let entities = 0;
  for await (const items of pages(parts, signal)) {
    for (const { name, bytes } of items) {
      yield* lines.add({ kind: "entity", name, envelope: bytes!.toBase64() });
      entities += 1;
    }
  }
  const { schemas, credentials } = control.snapshot();
  for (const [id, { text }] of schemas.templates) {
    yield* lines.add({ kind: "template", id, text: text.toBase64() });
  }
  for (const key of credentials.apiKeys) yield* lines.add({ kind: "api_key", key: storedKey(key) });
  const counts = { entities, templates: schemas.templates.size, api_keys: credentials.apiKeys.length };
  yield lines.end({ kind: "end", ...counts });
}

/**
 * The listings that together hold every entity: one a partition where owners list, so that no owner has to be waited for but
 * that of the partition; a single one where the store does, because it would go through all names for each partition.
 */
export function listingsOf(listing: "owners" | "store", partitions: number): { partitions?: readonly Partition[] }[] {
  if (listing === "store") return [{}];
  return Array.from({ length: partitions }, (_, partition) => ({ partitions: [partition as Partition] }));
}

async function* pages(parts: BackupParts, signal: AbortSignal): AsyncGenerator<readonly ListItem[], void, void> {
  for (const some of listingsOf(parts.listing, parts.partitions)) {
    for (let after = "", more = true; more;) {
      const page = await onePage(parts, { prefix: "", after, limit: BACKUP_PAGE, want: "envelopes", ...some }, signal);
      yield page.items;
      after = page.items.at(-1)?.name ?? "";
      more = page.more && after !== "";
    }
  }
}

async function onePage({ lister, clock }: BackupParts, listing: Listing, signal: AbortSignal) {
  const page = await patiently(clock, signal, () => {
    signal.throwIfAborted();
    return lister.page(listing);
  });
  if (page.kind === "page") return page;
  signal.throwIfAborted();
  throw new BackupError(page);
}

/** Puts lines together into chunks, and keeps the checksum. */
class Lines {
  readonly #hash = createHash("sha256");
  readonly #encoder = new TextEncoder();
  #waiting: Uint8Array[] = [];
  #bytes = 0;

  /** Takes a line in; a chunk comes out when there is enough for one. */
  *add(value: unknown): Generator<Uint8Array, void, void> {
    const line = this.#encoder.encode(JSON.stringify(value) + "\n");
    this.#hash.update(line);
    this.#waiting.push(line);
    this.#bytes += line.length;
    if (this.#bytes >= BACKUP_CHUNK_BYTES) yield this.#take();
  }

  /** The last chunk; its last line holds the checksum of all lines before it. */
  end(value: object): Uint8Array {
    const line = this.#encoder.encode(JSON.stringify({ ...value, sha256: this.#hash.digest("hex") }) + "\n");
    this.#waiting.push(line);
    this.#bytes += line.length;
    return this.#take();
  }

  #take(): Uint8Array {
    const chunk = new Uint8Array(this.#bytes);
    let at = 0;
    for (const line of this.#waiting) {
      chunk.set(line, at);
      at += line.length;
    }
    this.#waiting = [];
    this.#bytes = 0;
    return chunk;
  }
}
