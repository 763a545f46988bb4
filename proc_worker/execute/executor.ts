/**
 * Executes operations on entities: order per entity, conditions, validation, sealing, durable commit, cache. This is the only
 * place where a document is plain text in a processing worker, and it is so in memory only.
 */
import { ifMatchHolds, ifNoneMatchHolds } from "../../shared/conditions.ts";
import { documentSize, etagOf, metaOf, readEnvelopeHeader } from "../../shared/crypto/envelope.ts";
import type { EnvelopeHeader, Sealer } from "../../shared/crypto/sealer.ts";
import { applyMergePatch } from "../../shared/json/merge_patch.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_VIOLATIONS_CHARS_MAX,
  PATCH_TURNS,
  RETRY_AFTER_S,
  VIOLATIONS_MAX,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import { type EntityName, type Partition, splitEntityName } from "../../shared/names.ts";
import { type EntityMeta, type Failure, failure, type Outcome, ViolationRoom } from "../../shared/outcome.ts";
import type { CompiledSchemas } from "../../shared/schema/compiled_schemas.ts";
import { type Clock, sleep } from "../../shared/seams/clock.ts";
import { type Entities, StorageError, type Stored } from "../../shared/storage/store.ts";
import { Turns } from "../../shared/turns.ts";
import type {
  BatchRequest,
  BatchResponse,
  EntityEvent,
  Epoch,
  Operation,
  OperationResult,
} from "../../shared/wire/messages.ts";
import type { CachedEntity, DocumentCache } from "../cache/document_cache.ts";
import type { CommitEvents } from "../events.ts";
import type { Ownership } from "../ownership/ownership.ts";
import { AbsenceRate } from "./absence_rate.ts";
import type { BatchFloors } from "./batch_floors.ts";
import { EntityOrder } from "./entity_order.ts";

/** What the executor tells the metrics. */
export interface ExecutorMetrics {
  operation(kind: Operation["kind"], status: string, seconds: number): void;
  encryption(direction: "seal" | "open", ok: boolean): void;
  tampered(): void;
}

/** The parts that an executor works with. */
export interface ExecutorParts {
  readonly entities: Entities;
  readonly ownership: Ownership;
  readonly cache: DocumentCache;
  readonly schemas: CompiledSchemas;
  readonly events: CommitEvents;
  readonly floors: BatchFloors;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ExecutorMetrics;
}

/** Times that a commit is decided anew because somebody else wrote the object under it (a bucket). */
const CONFLICTS_MAX = 5;

/** The entity as it is, with its document opened. */
interface Current {
  readonly meta: EntityMeta;
  readonly opId: string;
  readonly token: string | undefined;
  readonly document: Uint8Array;
}

/** What the answer to a batch holds so far. */
interface Answer {
  /** Of documents. */
  bytes: number;
  readonly violations: ViolationRoom;
  /** For each write that may still take effect: until it can't any more. */
  readonly doubts: Promise<void>[];
}

/** What an overwriting needs to know of what is there; its document was not opened. */
type Known = Omit<Current, "document">;

/** Documents are judged for so long before others get a turn. */
const JUDGING_MS_A_TURN = 10;

const NOT_OWNER: OperationResult = { kind: "retry", reason: "not_owner" };

const ABSENT = failure("not_found", "there is no such entity");

export class Executor {
  readonly #parts: ExecutorParts;
  readonly #order = new EntityOrder();
  readonly #absence = new AbsenceRate();
  /** Weighed by the bytes of their documents. */
  readonly #patches: Turns;
  #sealer: Sealer;
  #documentBytesMax: number;
  #active = 0;
  /** Time that was spent on judging since the last pause. */
  #judgingMs = 0;
  #pause: Promise<void> | undefined;

  constructor(parts: ExecutorParts, sealer: Sealer, documentBytesMax: number) {
    this.#parts = parts;
    this.#patches = new Turns(parts.clock, PATCH_TURNS);
    this.#sealer = sealer;
    this.#documentBytesMax = documentBytesMax;
  }

  /** Replaces the keys and the limit, after a join. */
  renew(sealer: Sealer, documentBytesMax: number): void {
    this.#sealer = sealer;
    this.#documentBytesMax = documentBytesMax;
  }

  /** Operations under way. */
  get active(): number {
    return this.#active;
  }

  /** Executes a batch: its operations concurrently, in the given order per entity. Never rejects. */
  async processBatch(request: BatchRequest): Promise<BatchResponse> {
    const { floors, schemas } = this.#parts;
    const { dispatcher, seq, epoch } = request;
    if (!floors.begin(dispatcher, seq, request.floor)) return { results: request.operations.map(() => NOT_OWNER) };
    const violations = new ViolationRoom(BATCH_VIOLATIONS_CHARS_MAX, Infinity);
    const answer: Answer = { bytes: 0, violations, doubts: [] };
    try {
      for (const [hash, text] of request.schemas) schemas.add(hash, text);
      const results = request.operations.map((op) =>
        floors.admit(dispatcher, seq, op) ? this.#run(op, epoch, answer) : NOT_OWNER
      );
      return { results: await Promise.all(results) };
    } finally {
      const { doubts } = answer;
      if (doubts.length === 0) floors.end(dispatcher, seq);
      else Promise.all(doubts).then(() => floors.end(dispatcher, seq));
    }
  }

  async #run(op: Operation, epoch: Epoch, answer: Answer): Promise<OperationResult> {
    const { ownership, metrics, clock } = this.#parts;
    if (op.kind !== "validate" && !ownership.enter(op.partition, epoch)) return NOT_OWNER;
    this.#active += 1;
    const startedMs = clock.monotonic();
    let result: OperationResult;
    try {
      result = await this.#execute(op);
    } catch (error) {
      result = this.#failed(op, error, answer);
    } finally {
      this.#active -= 1;
      if (op.kind !== "validate") ownership.leave(op.partition);
    }
    if (result.kind === "found") {
      const fits = answer.bytes === 0 || answer.bytes + result.document.byteLength <= BATCH_BYTES_MAX;
      if (fits) answer.bytes += result.document.byteLength;
      else result = { kind: "retry", reason: "response_full" };
    }
    if (result.kind === "failed" && result.violations !== undefined) {
      result = { ...result, violations: answer.violations.take(result.violations) };
    }
    metrics.operation(
      op.kind,
      result.kind === "failed" ? result.code : result.kind,
      (clock.monotonic() - startedMs) / 1_000,
    );
    return result;
  }

  #execute(op: Operation): Promise<OperationResult> | OperationResult {
    switch (op.kind) {
      case "validate":
        return this.#validate(op);
      case "get": {
        const cached = this.#parts.cache.get(op.name);
        return cached ? this.#found(op, cached) : this.#order.run(op.name, () => this.#get(op));
      }
      case "put":
        return this.#order.run(op.name, () => this.#decide(op, (again) => this.#put(op, again)));
      case "patch":
        return this.#order.run(op.name, () => this.#decide(op, () => this.#patch(op)));
      case "delete":
        return this.#order.run(op.name, () => this.#decide(op, () => this.#delete(op)));
      case "rewrap":
        return this.#order.run(op.name, () => this.#decide(op, () => this.#rewrap(op)));
      case "restore":
        return this.#order.run(op.name, () => this.#decide(op, () => this.#restore(op)));
    }
  }

  /** Repeats a decision as long as its commit meets a conflict; `again`: it has met one. */
  async #decide(
    op: Operation,
    decide: (again: boolean) => Promise<OperationResult | "conflict">,
  ): Promise<OperationResult> {
    for (let tries = 0; tries < CONFLICTS_MAX; tries++) {
      const result = await decide(tries > 0);
      if (result !== "conflict") return result;
      this.#parts.cache.delete(op.name);
    }
    return failure("storage_unavailable", "the entity keeps being changed by somebody outside this database", {
      retryAfterS: RETRY_AFTER_S,
    });
  }

  async #get(op: Operation): Promise<OperationResult> {
    const { entities, cache } = this.#parts;
    const stored = await entities.read(op.partition, op.name);
    if (stored === undefined) return ABSENT;
    const current = await this.#open(op.name, stored);
    if (current.kind === "failed") return current;
    cache.set(op.name, { ...current.entity, partition: op.partition });
    return this.#found(op, current.entity);
  }

  #found(op: Operation, entity: Current): Outcome {
    if (op.ifNoneMatch !== undefined && !ifNoneMatchHolds(op.ifNoneMatch, entity.meta.etag)) {
      return { kind: "not_modified", meta: entity.meta };
    }
    return { kind: "found", document: entity.document, meta: entity.meta };
  }

  async #put(op: Operation, again: boolean): Promise<OperationResult | "conflict"> {
    const { entities } = this.#parts;
    // A repeated operation may have been carried out, and what came after it as well: it reads first.
    const blind = entities.blindCreate && !again && op.attempt === 1 && op.ifMatch === undefined &&
      this.#absence.likely && this.#parts.cache.version(op.name) === undefined;
    const before = blind ? undefined : await this.#known(op);
    if (before !== undefined && "kind" in before) return before;
    if (before?.opId === op.opId) {
      // Written a moment ago, blindly, by a request whose answer was lost.
      if (again) this.#tell("put", op, before.meta);
      return { kind: "stored", meta: before.meta };
    }
    const missed = this.#conditionMissed(op, before);
    if (missed) return missed;
    const refused = op.validated ? undefined : await this.#judged(op, op.payload);
    // What is answered does not depend on the guess: what is there may be a reason to refuse that comes first.
    if (refused) return blind ? "conflict" : refused;
    return await this.#write(op, before, op.payload, blind);
  }

  async #patch(op: Operation): Promise<OperationResult | "conflict"> {
    const before = await this.#current(op);
    if (before === undefined) return op.ifMatch ? this.#conditionMissed(op, undefined)! : ABSENT;
    if ("kind" in before) return before;
    if (before.opId === op.opId) return { kind: "stored", meta: before.meta };
    const missed = this.#conditionMissed(op, before);
    if (missed) return missed;
    // However small the patch is, the whole document is made anew.
    const bytes = before.document.byteLength + op.payload.byteLength;
    return await this.#patches.run(() => this.#writePatched(op, before), OVERLOADED, bytes);
  }

  async #writePatched(op: Operation, before: Current): Promise<OperationResult | "conflict"> {
    const patched = applyMergePatch(before.document, op.payload, this.#documentBytesMax);
    if (patched.kind === "failed") return patched;
    const refused = await this.#judged(op, patched.document);
    if (refused) return refused;
    return await this.#write(op, before, patched.document);
  }

  async #delete(op: Operation): Promise<OperationResult | "conflict"> {
    const { entities, cache } = this.#parts;
    const before = await this.#known(op);
    if (before !== undefined && "kind" in before) return before;
    if (before === undefined) {
      if (op.ifMatch === undefined) return { kind: "deleted", existed: false };
      // A repeated conditional delete that finds nothing cannot know whether it was the one that removed it.
      if (op.attempt > 1) return OUTCOME_UNKNOWN;
    }
    const missed = this.#conditionMissed(op, before);
    if (missed) return missed;
    cache.delete(op.name);
    const outcome = await entities.commit({
      partition: op.partition,
      name: op.name,
      envelope: undefined,
      expected: before!.token,
    });
    if (outcome.kind === "conflict") return "conflict";
    this.#tell("delete", op, before!.meta);
    return { kind: "deleted", existed: true };
  }

  /** Seals the entity anew under the current key; version, operation and time stay, so its ETag does. */
  async #rewrap(op: Operation): Promise<OperationResult | "conflict"> {
    const { entities, cache } = this.#parts;
    const stored = await entities.read(op.partition, op.name);
    if (stored === undefined) return ABSENT;
    const header = readEnvelopeHeader(stored.envelope);
    const current = await this.#open(op.name, stored);
    if (current.kind === "failed") return current;
    if (header?.keyId === this.#sealer.keyId) return { kind: "not_modified", meta: current.entity.meta };
    const { meta, opId, document } = current.entity;
    const envelope = await this.#seal(
      op.name,
      { version: meta.version, opId, writtenAtMs: meta.writtenAtMs },
      document,
    );
    const outcome = await entities.commit({
      partition: op.partition,
      name: op.name,
      envelope,
      expected: stored.token,
    });
    cache.delete(op.name);
    return outcome.kind === "conflict" ? "conflict" : { kind: "stored", meta };
  }

  /** Forgets what is cached of an entity, also by an operation that is reading it now. */
  #forget(name: EntityName): Promise<void> {
    return this.#order.run(name, () => Promise.resolve(this.#parts.cache.delete(name)));
  }

  /** Puts an envelope of a backup in place, if it is authentic under a key that is held. */
  async #restore(op: Operation): Promise<OperationResult | "conflict"> {
    const { entities, cache } = this.#parts;
    const opened = await this.#open(op.name, { envelope: op.payload, token: undefined });
    if (opened.kind === "failed") return opened;
    const stored = await entities.read(op.partition, op.name);
    if (stored !== undefined && !op.force) return { kind: "not_modified", meta: opened.entity.meta };
    cache.delete(op.name);
    const outcome = await entities.commit({
      partition: op.partition,
      name: op.name,
      envelope: op.payload.slice(),
      expected: stored?.token,
    });
    if (outcome.kind === "conflict") return "conflict";
    const { meta } = opened.entity;
    this.#tell("put", op, meta);
    return { kind: "stored", meta };
  }

  /** Seals and commits the next version; the cache and the watchers learn of it when it is durable. */
  async #write(
    op: Operation,
    before: Known | undefined,
    document: Uint8Array,
    blind = false,
  ): Promise<OperationResult | "conflict"> {
    const { entities, cache, clock } = this.#parts;
    const header = { version: (before?.meta.version ?? 0) + 1, opId: op.opId, writtenAtMs: clock.now() };
    const envelope = await this.#seal(op.name, header, document);
    let outcome;
    try {
      outcome = await entities.commit({
        partition: op.partition,
        name: op.name,
        envelope,
        expected: before?.token,
        blind,
      });
    } catch (error) {
      cache.delete(op.name);
      throw error;
    }
    if (outcome.kind === "conflict") return "conflict";
    if (blind) this.#absence.note(true);
    const meta: EntityMeta = {
      version: header.version,
      etag: etagOf(header),
      writtenAtMs: header.writtenAtMs,
      size: document.byteLength,
    };
    cache.set(op.name, {
      partition: op.partition,
      meta,
      opId: op.opId,
      document: document.slice(),
      token: outcome.token,
    });
    this.#tell("put", op, meta);
    return { kind: "stored", meta };
  }

  #tell(kind: EntityEvent["kind"], { name, partition }: Operation, { version, etag }: EntityMeta): void {
    const { events, ownership } = this.#parts;
    if (!events.wanted) return;
    events.emit({ kind, name, version, etag, partition, epoch: ownership.epochOf(partition) });
  }

  /** What is there, as far as an overwriting must know it. A header alone is enough; with a condition it is authenticated. */
  async #known(op: Operation): Promise<Known | Failure | undefined> {
    const cached = this.#parts.cache.version(op.name);
    if (cached !== undefined) return cached;
    const conditional = op.ifMatch !== undefined;
    if (conditional && !op.force) return await this.#current(op);
    const stored = await this.#parts.entities.read(op.partition, op.name);
    if (op.kind === "put") this.#absence.note(stored === undefined);
    if (stored === undefined) return undefined;
    const header = readEnvelopeHeader(stored.envelope);
    const belongs = header !== undefined && this.#belongs(op.name, header);
    if (!belongs) {
      if (!op.force) return this.#tampered(op.partition, "the header is not one of this entity");
      return { meta: NO_META, opId: "", token: stored.token };
    }
    if (!this.#sealer.holds(header.keyId) && !op.force) return keyUnavailable(header.keyId);
    const meta = metaOf(header, documentSize(stored.envelope));
    return { meta, opId: header.opId, token: stored.token };
  }

  #belongs(name: EntityName, header: EnvelopeHeader): boolean {
    const parts = splitEntityName(name);
    return parts !== undefined && parts.schemaId === header.schemaId && parts.key === header.entityKey;
  }

  /** The entity with its document, from the cache or opened. */
  async #current(op: Operation): Promise<Current | Failure | undefined> {
    const { cache, entities } = this.#parts;
    const cached = cache.get(op.name);
    if (cached !== undefined) return cached;
    const stored = await entities.read(op.partition, op.name);
    if (stored === undefined) return undefined;
    const opened = await this.#open(op.name, stored);
    return opened.kind === "failed" ? opened : opened.entity;
  }

  async #seal(name: EntityName, write: { version: number; opId: string; writtenAtMs: number }, document: Uint8Array) {
    const parts = splitEntityName(name)!;
    const envelope = await this.#sealer.seal(
      name,
      { schemaId: parts.schemaId, entityKey: parts.key, ...write },
      document,
    );
    this.#parts.metrics.encryption("seal", true);
    return envelope;
  }

  async #open(name: EntityName, stored: Stored): Promise<{ kind: "opened"; entity: Current } | Failure> {
    const opened = await this.#sealer.open(name, stored.envelope);
    this.#parts.metrics.encryption("open", opened.kind === "opened");
    if (opened.kind === "key_unavailable") return keyUnavailable(opened.keyId);
    if (opened.kind === "tampered") return this.#tampered(undefined, opened.reason);
    const { header, document } = opened;
    const meta = metaOf(header, document.byteLength);
    return { kind: "opened", entity: { meta, opId: header.opId, token: stored.token, document } };
  }

  #tampered(partition: Partition | undefined, reason: string): Failure {
    this.#parts.metrics.tampered();
    this.#parts.log.error("tamper_detected", { partition, reason });
    return failure("tampered", "what is stored for this entity is not what was written; it was damaged or changed");
  }

  #conditionMissed(op: Operation, before: Known | undefined): Failure | undefined {
    const etag = before?.meta.etag;
    if (ifMatchHolds(op.ifMatch, etag) && ifNoneMatchHolds(op.ifNoneMatch, etag)) return undefined;
    const message = before === undefined
      ? "the condition failed: the entity does not exist"
      : `the condition failed: the entity is at version ${before.meta.version}`;
    return failure("version_mismatch", message, before === undefined ? {} : { current: before.meta });
  }

  async #validate(op: Operation): Promise<OperationResult> {
    return await this.#judged(op, op.payload) ?? { kind: "valid" };
  }

  /**
   * Judges a document by the operation's schema: what to answer instead of storing it, or `undefined`. After so much judging
   * other operations have their turn first: a batch may hold many small documents, and each may cost far more than its bytes.
   */
  async #judged(op: Operation, document: Uint8Array): Promise<OperationResult | undefined> {
    if (op.schemaHash === "") return undefined;
    const { clock, schemas } = this.#parts;
    const validator = schemas.get(op.schemaHash);
    if (validator === undefined) return { kind: "retry", reason: "schema_unknown" };
    while (this.#judgingMs > JUDGING_MS_A_TURN) {
      await (this.#pause ??= sleep(clock, 0).then(() => {
        this.#judgingMs = 0;
        this.#pause = undefined;
      }));
    }
    const startedMs = clock.monotonic();
    const violations = validator.validate(document);
    this.#judgingMs += clock.monotonic() - startedMs;
    if (violations.length === 0) return undefined;
    const key = splitEntityName(op.name)!.key;
    return failure("schema_violation", "the document does not fit its schema", {
      violations: violations.slice(0, VIOLATIONS_MAX).map((v) => ({ key, path: v.path, message: v.message })),
    });
  }

  #failed(op: Operation, error: unknown, answer: Answer): Failure {
    const { log } = this.#parts;
    if (error instanceof StorageError) {
      if (error.reason === "unnameable") return UNNAMEABLE;
      log.error("storage_failed", {
        operation: op.kind,
        partition: op.partition,
        reason: error.reason,
        error: error.message,
      });
      if (error.decided !== undefined) answer.doubts.push(error.decided.then(() => this.#forget(op.name)));
      if (error.reason === "unknown") return OUTCOME_UNKNOWN;
      return failure("storage_unavailable", "the storage does not take or give this entity now; nothing was changed", {
        retryAfterS: RETRY_AFTER_S,
      });
    }
    log.error("operation_failed", { operation: op.kind, partition: op.partition, error });
    return failure("internal", "the operation failed for a reason that nobody expected; the log of the worker has it");
  }
}

const OVERLOADED = failure("overloaded", "too many large documents are being patched; nothing was changed", {
  retryAfterS: RETRY_AFTER_S,
});

const UNNAMEABLE = failure(
  "invalid_key",
  "the storage service takes no name as long as schema id and key make together; choose a shorter key",
);

const NO_META: EntityMeta = { version: 0, etag: "", writtenAtMs: 0, size: 0 };

const OUTCOME_UNKNOWN = failure("deadline", "whether the write took effect is not known; it is safe to repeat it");

function keyUnavailable(keyId: string): Failure {
  return failure("key_unavailable", `the entity is encrypted with the key "${keyId}", which this server does not hold`);
}

export type { CachedEntity };
