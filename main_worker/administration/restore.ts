/** Restores: takes the lines of a backup into this store, checks each before it is written, and says how far it is. */
import { createHash } from "node:crypto";
import { BACKUP_LINE_BYTES_MAX, RESTORE_PARALLEL_MAX } from "../../shared/limits.ts";
import { parseSchemaId, splitEntityName } from "../../shared/names.ts";
import { type Failure, failure } from "../../shared/outcome.ts";
import { parseStoredKey } from "../control/credentials.ts";
import type { ControlPlane } from "../control/control_plane.ts";
import type { Dispatcher } from "../front/dispatch/dispatcher.ts";
import type { Operations } from "../front/dispatch/operations.ts";
import type { ExistingPolicy, RestoreCounts, RestoreProgress } from "../front/rest/admin_operations.ts";
import { BACKUP_FORMAT } from "./backup.ts";

export interface RestoreParts {
  readonly control: Pick<ControlPlane, "snapshot" | "putSchema" | "restoreApiKeys">;
  readonly dispatcher: Dispatcher;
  readonly operations: Operations;
}

type Counts = { -readonly [K in keyof RestoreCounts]: RestoreCounts[K] };

/** A progress line at least this often, in entities. */
const PROGRESS_EVERY = 1_000;
/** An entity waits this long for its partition; a restore is not a request of a client. */
const ENTITY_DEADLINE_MS = 60_000;

/** A backup that is not one, or not whole; the message is for the person who sent it. */
class BadBackup extends Error {}

/** Reads a backup and restores it. What was counted before a failure is restored and stays. */
export async function* restore(
  parts: RestoreParts,
  body: ReadableStream<Uint8Array>,
  existing: ExistingPolicy,
  signal: AbortSignal,
): AsyncIterable<RestoreProgress> {
  const counts: Counts = {
    entities: 0,
    entities_skipped: 0,
    templates: 0,
    templates_skipped: 0,
    api_keys: 0,
    api_keys_skipped: 0,
  };
  const hash = createHash("sha256");
  const writes = new Set<Promise<void>>();
  const told: { failure: Failure | undefined } = { failure: undefined };
  let header = false;
  let ended = false;
  let lines = 0;
  try {
    for await (const bytes of splitLines(body)) {
      signal.throwIfAborted();
      if (ended) throw new BadBackup("there is something after the last line of the backup");
      const line = parseLine(bytes, ++lines);
      if (!header) {
        if (line.kind !== "header") throw new BadBackup("the first line is not the header of a backup");
        if (line.format !== BACKUP_FORMAT) {
          throw new BadBackup(`the backup has format ${line.format}; ${BACKUP_FORMAT} is known`);
        }
        header = true;
      } else if (line.kind === "entity") {
        const write = restoreEntity(parts, line, existing, counts, lines).then((failed) => {
          told.failure ??= failed;
        });
        writes.add(write);
        write.finally(() => writes.delete(write));
        if (writes.size >= RESTORE_PARALLEL_MAX) await Promise.race(writes);
      } else if (line.kind === "template") {
        told.failure ??= await restoreTemplate(parts, line, existing, counts, lines);
      } else if (line.kind === "api_key") {
        told.failure ??= await restoreApiKey(parts, line, counts, lines);
      } else if (line.kind === "end") {
        ended = true;
        checkEnd(line, counts, hash.digest("hex"));
      } else {
        throw new BadBackup(`line ${lines} is of no known kind`);
      }
      if (told.failure !== undefined) break;
      if (!ended) hash.update(bytes).update("\n");
      if (lines % PROGRESS_EVERY === 0) yield { status: "running", ...counts };
    }
    await Promise.all(writes);
    if (told.failure === undefined && !ended) {
      throw new BadBackup("the backup is truncated: its last line is missing");
    }
  } catch (error) {
    await Promise.all(writes);
    told.failure ??= error instanceof BadBackup
      ? failure("bad_request", error.message)
      : failure("bad_request", "the backup could not be read to its end");
  }
  yield told.failure === undefined
    ? { status: "done", ...counts }
    : { status: "failed", failure: told.failure, ...counts };
}

async function restoreEntity(
  { dispatcher, operations }: RestoreParts,
  line: Line,
  existing: ExistingPolicy,
  counts: Counts,
  number: number,
): Promise<Failure | undefined> {
  const { name, envelope } = line;
  const payload = typeof envelope === "string" ? fromBase64(envelope) : undefined;
  const parts = typeof name === "string" ? splitEntityName(name) : undefined;
  if (payload === undefined || parts === undefined) return failure("bad_request", `line ${number} is not an entity`);
  const force = existing === "overwrite";
  const op = operations.make("restore", parts.schemaId, parts.key, { payload, ...(force ? { force } : {}) });
  const { outcome } = await dispatcher.submit(op, undefined, ENTITY_DEADLINE_MS);
  if (outcome.kind === "failed") return { ...outcome, message: `line ${number}: ${outcome.message}` };
  if (outcome.kind === "not_modified") counts.entities_skipped += 1;
  else counts.entities += 1;
  return undefined;
}

async function restoreTemplate(
  { control }: RestoreParts,
  line: Line,
  existing: ExistingPolicy,
  counts: Counts,
  number: number,
): Promise<Failure | undefined> {
  const text = typeof line.text === "string" ? fromBase64(line.text) : undefined;
  if (text === undefined || typeof line.id !== "string") {
    return failure("bad_request", `line ${number} is not a template`);
  }
  let id;
  try {
    id = parseSchemaId(line.id);
  } catch {
    return failure("bad_request", `line ${number} is not a template`);
  }
  if (existing === "skip" && control.snapshot().schemas.templates.has(id)) {
    counts.templates_skipped += 1;
    return undefined;
  }
  const changed = await control.putSchema(id, text);
  if (changed.kind === "failed") return { ...changed, message: `line ${number}: ${changed.message}` };
  counts.templates += 1;
  return undefined;
}

async function restoreApiKey(
  { control }: RestoreParts,
  line: Line,
  counts: Counts,
  number: number,
): Promise<Failure | undefined> {
  const key = parseStoredKey(line.key);
  if (key === undefined) return failure("bad_request", `line ${number} is not an API key`);
  const changed = await control.restoreApiKeys([key]);
  if (changed.kind === "failed") return { ...changed, message: `line ${number}: ${changed.message}` };
  if (changed.value.added === 0) counts.api_keys_skipped += 1;
  else counts.api_keys += 1;
  return undefined;
}

function checkEnd(line: Line, counts: Counts, sha256: string): void {
  // Entities may still be on their way; the checksum covers every line, so the counts are only compared where they are final.
  const templates = counts.templates + counts.templates_skipped;
  const keys = counts.api_keys + counts.api_keys_skipped;
  if (line.sha256 !== sha256 || line.templates !== templates || line.api_keys !== keys) {
    throw new BadBackup("the backup was changed or damaged: its checksum does not match");
  }
}

type Line = Readonly<Record<string, unknown>>;

function parseLine(bytes: Uint8Array, number: number): Line {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value === "object" && value !== null) return value as Line;
  } catch {
    // Said below, with the number of the line.
  }
  throw new BadBackup(number === 1 ? "this is not a backup" : `line ${number} is cut off or damaged`);
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}

/** The lines of a stream, without their ends; the last one need not have one. */
async function* splitLines(body: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const take = (): Uint8Array => {
    const line = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      line.set(part, at);
      at += part.length;
    }
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      parts.push(chunk.subarray(start, end));
      length += end - start;
      yield take();
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > BACKUP_LINE_BYTES_MAX) throw new BadBackup("a line of the backup is too long");
  }
  if (length > 0) yield take();
}
