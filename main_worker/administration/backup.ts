/**
 * Backups: everything in a store as lines of JSON, still encrypted. A header line, a line per entity, template and API key (by
 * its hash), and a last line with counts and the SHA-256 of all bytes before it; without that line a backup is truncated.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../shared/seams/clock.ts";
import type { Partition } from "../../shared/names.ts";
import type { Failure } from "../../shared/outcome.ts";
import type { Control } from "../control/control.ts";
import { storedKey } from "../control/credentials.ts";
import type { Lister } from "../front/dispatch/lister.ts";

/** Version of the format; a restore refuses a newer one. */
export const BACKUP_FORMAT = 1;

/** Entities that are asked for at once. */
const PAGE = 256;

export interface BackupParts {
  readonly control: Pick<Control, "snapshot">;
  readonly lister: Lister;
  readonly clock: Clock;
  readonly storeId: string;
  readonly partitions: number;
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
 * Makes a backup while it is read, a partition after the other; each entity as of some moment during it.
 * @throws {BackupError} when a partition could not be read; the last line is missing then.
 */
export async function* backup(parts: BackupParts, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const { control, lister, clock } = parts;
  const hash = createHash("sha256");
  const encoder = new TextEncoder();
  const line = (value: unknown): Uint8Array => {
    const bytes = encoder.encode(JSON.stringify(value) + "\n");
    hash.update(bytes);
    return bytes;
  };
  yield line({
    kind: "header",
    format: BACKUP_FORMAT,
    store_id: parts.storeId,
    partitions: parts.partitions,
    created_at: new Date(clock.now()).toISOString(),
    version: parts.version,
  });
  let entities = 0;
  for (let partition = 0; partition < parts.partitions; partition++) {
    for (let after = "", more = true; more;) {
      signal.throwIfAborted();
      const page = await lister.page({
        prefix: "",
        after,
        limit: PAGE,
        want: "envelopes",
        partitions: [partition as Partition],
      });
      if (page.kind === "failed") throw new BackupError(page);
      for (const { name, bytes } of page.items) {
        yield line({ kind: "entity", name, envelope: bytes!.toBase64() });
        entities += 1;
      }
      after = page.items.at(-1)?.name ?? "";
      more = page.more && after !== "";
    }
  }
  const { schemas, credentials } = control.snapshot();
  for (const [id, { text }] of schemas.templates) yield line({ kind: "template", id, text: text.toBase64() });
  for (const key of credentials.apiKeys) yield line({ kind: "api_key", key: storedKey(key) });
  const counts = { entities, templates: schemas.templates.size, api_keys: credentials.apiKeys.length };
  yield encoder.encode(JSON.stringify({ kind: "end", ...counts, sha256: hash.digest("hex") }) + "\n");
}
