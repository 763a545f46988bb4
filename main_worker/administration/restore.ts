/** Restores: takes the lines of a backup into this store, checks each before it is written, and says how far it is. */
import { createHash } from "node:crypto";
import { documentSize, ENVELOPE_PREFIX_BYTES_MAX, IV_BYTES, TAG_BYTES } from "../../shared/crypto/envelope.ts";
import {
  ADMINISTRATION_WAIT_MS,
  RESTORE_BYTES_MAX,
  RESTORE_PARALLEL_MAX,
  RESTORE_REFUSED_MAX,
} from "../../shared/limits.ts";
import { entityName, parseSchemaId, type SchemaId, splitEntityName } from "../../shared/names.ts";
import { type Failure, failure, type Outcome } from "../../shared/outcome.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { Operation } from "../../shared/wire/messages.ts";
import type { ControlPlane } from "../control/control_plane.ts";
import { parseStoredKey } from "../control/credentials.ts";
import type { Dispatcher } from "../front/dispatch/dispatcher.ts";
import type { Operations } from "../front/dispatch/operations.ts";
import type { ExistingPolicy, RestoreCounts, RestoreProgress } from "../front/rest/admin_operations.ts";
import { BACKUP_FORMAT } from "./backup.ts";
import { passes, patiently } from "./patience.ts";
import { BadBackup, fromBase64, type Line, parseLine, splitLines } from "./restore_lines.ts";

export interface RestoreParts {
  readonly control: Pick<ControlPlane, "snapshot" | "putSchema" | "restoreApiKeys">;
  readonly dispatcher: Pick<Dispatcher, "submit">;
  readonly operations: Operations;
  readonly clock: Clock;
  /** Largest document that this server takes. */
  readonly documentBytesMax: number;
}

/** A progress line after so many lines of the backup, and after so much time. */
const PROGRESS_EVERY = 1_000;
const PROGRESS_MS = 1_000;

/**
 * Reads a backup and restores it. What was counted before a failure is restored and stays. Entities and templates that are
 * damaged, and names that this store cannot take, are left out, and the restore fails at its end; whatever else is wrong ends it
 * at once. Only a few envelopes are in memory: {@linkcode RESTORE_BYTES_MAX}.
 * @throws what reading `body` throws, once everything that was begun has ended.
 */
export function restore(
  parts: RestoreParts,
  body: ReadableStream<Uint8Array>,
  existing: ExistingPolicy,
  signal: AbortSignal,
): AsyncGenerator<RestoreProgress, void, void> {
  return new Restore(parts, existing, signal).run(body);
}

class Restore {
  readonly #parts: RestoreParts;
  readonly #existing: ExistingPolicy;
  readonly #signal: AbortSignal;
  readonly #counts: { -readonly [K in keyof RestoreCounts]: RestoreCounts[K] } = {
    entities: 0,
    entities_skipped: 0,
    templates: 0,
    templates_skipped: 0,
    api_keys: 0,
    api_keys_skipped: 0,
  };
  readonly #hash = createHash("sha256");
  readonly #writes = new Set<Promise<void>>();
  #writeBytes = 0;
  #lines = 0;
  /** Lines of each kind. */
  readonly #seen = { entity: 0, template: 0, api_key: 0 };
  #end: Line | undefined;
  /** What ends the restore. */
  #failure: Failure | undefined;
  /** What was left out: how much, and why the first of it. */
  #refused = 0;
  #firstRefusal: { line: number; failure: Failure } | undefined;

  constructor(parts: RestoreParts, existing: ExistingPolicy, signal: AbortSignal) {
    this.#parts = parts;
    this.#existing = existing;
    this.#signal = signal;
  }

  async *run(body: ReadableStream<Uint8Array>): AsyncGenerator<RestoreProgress, void, void> {
    const { clock } = this.#parts;
    let told = clock.monotonic();
    try {
      for await (const bytes of splitLines(body)) {
        this.#signal.throwIfAborted();
        await this.#take(bytes);
        if (this.#failure !== undefined) break;
        if (this.#lines % PROGRESS_EVERY === 0 || clock.monotonic() - told > PROGRESS_MS) {
          told = clock.monotonic();
          yield { status: "running", ...this.#counts };
        }
      }
    } catch (error) {
      if (!(error instanceof BadBackup)) throw error;
      this.#failure ??= failure("bad_request", error.message);
    } finally {
      await Promise.all(this.#writes);
    }
    const failed = this.#failure ?? this.#verdict();
    yield failed === undefined
      ? { status: "done", ...this.#counts }
      : { status: "failed", failure: failed, ...this.#counts };
  }

  async #take(bytes: Uint8Array): Promise<void> {
    if (this.#end !== undefined) throw new BadBackup("there is something after the last line of the backup");
    const number = ++this.#lines;
    const line = parseLine(bytes, number);
    if (line.kind === "end" && number > 1) {
      this.#end = line;
      return;
    }
    this.#hash.update(bytes).update("\n");
    if (number === 1) return checkHeader(line);
    switch (line.kind) {
      case "entity":
        this.#seen.entity += 1;
        return await this.#entity(line, number);
      case "template":
        this.#seen.template += 1;
        return await this.#template(line, number);
      case "api_key":
        this.#seen.api_key += 1;
        return await this.#apiKey(line, number);
      default:
        throw new BadBackup(`line ${number} is of no known kind`);
    }
  }

  /** Begins to write an entity; waits first until there is room for it among those under way. */
  async #entity(line: Line, number: number): Promise<void> {
    const { operations, documentBytesMax } = this.#parts;
    const payload = fromBase64(line.envelope);
    const parts = typeof line.name === "string" ? splitEntityName(line.name) : undefined;
    if (payload === undefined || parts === undefined || entityName(parts.schemaId, parts.key) !== line.name) {
      return this.#refuse(number, failure("bad_request", "it is not an entity"));
    }
    // What has no header of an envelope can still be more than a message may carry.
    const size = Math.max(documentSize(payload), payload.length - ENVELOPE_PREFIX_BYTES_MAX - IV_BYTES - TAG_BYTES);
    if (size > documentBytesMax) {
      return this.#fail(
        number,
        failure("too_large", `the document is larger than ${documentBytesMax} bytes; see -rest-max-body-size`),
      );
    }
    const full = () =>
      this.#writes.size >= RESTORE_PARALLEL_MAX ||
      (this.#writes.size > 0 && this.#writeBytes + payload.length > RESTORE_BYTES_MAX);
    while (full()) await Promise.race(this.#writes);
    const force = this.#existing === "overwrite";
    const op = operations.make("restore", parts.schemaId, parts.key, { payload, ...(force ? { force } : {}) });
    this.#writeBytes += payload.length;
    const write = this.#submit(op).then((outcome) => {
      if (outcome.kind === "failed" && outcome.code === "tampered") {
        this.#refuse(number, { ...outcome, message: "the envelope is not what was written for this entity" });
      } else if (outcome.kind === "failed" && outcome.code === "invalid_key") this.#refuse(number, outcome);
      else if (outcome.kind === "failed") this.#fail(number, outcome);
      else if (outcome.kind === "not_modified") this.#counts.entities_skipped += 1;
      else this.#counts.entities += 1;
    }).finally(() => {
      this.#writes.delete(write);
      this.#writeBytes -= payload.length;
    });
    this.#writes.add(write);
  }

  #submit(op: Operation): Promise<Outcome> {
    return this.#patiently(async () =>
      (await this.#parts.dispatcher.submit(op, undefined, ADMINISTRATION_WAIT_MS)).outcome
    );
  }

  /** Waits for a partition that moves, a worker that starts, or others that have their turn. */
  #patiently<Result extends object>(attempt: () => Promise<Result>): Promise<Result> {
    return patiently(this.#parts.clock, this.#signal, attempt);
  }

  async #template(line: Line, number: number): Promise<void> {
    const { control } = this.#parts;
    const text = fromBase64(line.text);
    const id = schemaIdOf(line.id);
    if (text === undefined || id === undefined) {
      return this.#refuse(number, failure("bad_request", "it is no template"));
    }
    if (this.#existing === "skip" && control.snapshot().schemas.templates.has(id)) {
      this.#counts.templates_skipped += 1;
      return;
    }
    const changed = await this.#patiently(() => control.putSchema(id, text));
    if (changed.kind === "done") this.#counts.templates += 1;
    else if (passes(changed.code)) this.#fail(number, changed);
    else this.#refuse(number, { ...changed, message: "the template is not a schema that this server takes" });
  }

  async #apiKey(line: Line, number: number): Promise<void> {
    const key = parseStoredKey(line.key);
    if (key === undefined) return this.#refuse(number, failure("bad_request", "it is no API key"));
    const changed = await this.#patiently(() => this.#parts.control.restoreApiKeys([key]));
    if (changed.kind === "failed") return this.#fail(number, changed);
    if (changed.value.added === 0) this.#counts.api_keys_skipped += 1;
    else this.#counts.api_keys += 1;
  }

  #fail(line: number, failed: Failure): void {
    this.#failure ??= { ...failed, message: `line ${line}: ${failed.message}` };
  }

  #refuse(line: number, failed: Failure): void {
    this.#refused += 1;
    if (this.#firstRefusal === undefined || line < this.#firstRefusal.line) {
      this.#firstRefusal = { line, failure: failed };
    }
    if (this.#refused > RESTORE_REFUSED_MAX) {
      this.#failure ??= this.#leftOut("so many lines are damaged that it was given up");
    }
  }

  /** After the last line and all writes: whether the backup was whole, and all of it could be restored. */
  #verdict(): Failure | undefined {
    const end = this.#end;
    if (end === undefined) return failure("bad_request", "the backup is truncated: its last line is missing");
    const { entity, template, api_key } = this.#seen;
    const whole = end.entities === entity && end.templates === template && end.api_keys === api_key &&
      end.sha256 === this.#hash.digest("hex");
    if (!whole) {
      const message = "the backup was changed or damaged: its checksum or its counts do not match";
      return this.#refused === 0 ? failure("bad_request", message) : this.#leftOut(message);
    }
    if (this.#refused > 0) return this.#leftOut("everything else was restored");
    const { entities, entities_skipped, templates, templates_skipped, api_keys, api_keys_skipped } = this.#counts;
    const accounted = entities + entities_skipped === entity && templates + templates_skipped === template &&
      api_keys + api_keys_skipped === api_key;
    return accounted ? undefined : failure("internal", "not every line of the backup was accounted for");
  }

  #leftOut(more: string): Failure {
    const { line, failure: first } = this.#firstRefusal!;
    const lines = this.#refused === 1 ? "1 line was" : `${this.#refused} lines were`;
    return { ...first, message: `${lines} left out, the first is line ${line}: ${first.message}; ${more}` };
  }
}

function checkHeader(line: Line): void {
  if (line.kind !== "header") throw new BadBackup("the first line is not the header of a backup");
  if (line.format !== BACKUP_FORMAT) {
    throw new BadBackup(`the backup is not of format ${BACKUP_FORMAT}, which is the one that this version knows`);
  }
}

function schemaIdOf(id: unknown): SchemaId | undefined {
  if (typeof id !== "string") return undefined;
  try {
    return parseSchemaId(id);
  } catch {
    return undefined;
  }
}
