/**
 * Entity access of one processing worker in a bucket: an object for each entity, and an acknowledged write is an
 * acknowledged PUT.
 *
 * **Ownership.** A bucket has no locks that end with the process that holds them. Who owns a partition is what the main
 * worker says, so `take` asks nobody. What keeps two owners from hurting each other, if there should ever be two for a
 * moment, is that every write names the state that it was decided on: `If-None-Match: *` for an entity that was
 * absent, `If-Match` for one that was read. Of two writes decided on the same state one is refused (`conflict`), and
 * its writer reads again and decides again. No acknowledged write is overwritten unseen.
 *
 * **An owner that comes back.** Between two epochs of one owner another one may have written: a new main worker gives all
 * partitions to the worker that joins it first. So `exclusive` is false, and what was cached under the earlier epoch is
 * forgotten.
 *
 * **A paused owner.** A worker that was stopped (SIGSTOP, a frozen machine) and wakes up may believe for a moment that it
 * still owns what has been given to another one. `mayWrite` is asked right before each request that changes something,
 * also before each repetition and after each wait for a turn; it answers from this process's own clocks, so the
 * woken worker, whose last heartbeat is too old, sends nothing. Once a heartbeat was answered again, what had begun before the
 * gap still sends nothing: it would decide anew on what another owner wrote, though that one has answered it long ago. What
 * remains is a request that had left before the pause,
 * or is stuck in the network:
 * - It arrives before the new owner wrote the entity: it is carried out. The new owner may have read the older
 *   version already and serve that from its cache until its next write to the entity, which is refused, or until the
 *   entry leaves the cache. Nobody was told that the late write succeeded (its worker's answers are not taken
 *   any more), so it counts as a write of unknown outcome that takes effect late. The main worker repeats it under
 *   the same operation id at the new owner, whose conditional write is refused; it reads again and finds it done.
 * - It arrives after the new owner wrote the entity: its condition does not hold, and it changes nothing.
 * - It would create the entity, and arrives after the new owner has deleted it: it is carried out, as a write of unknown
 *   outcome that takes effect late.
 *
 * **Lost answers.** A PUT whose answer was lost may have been carried out, or may still be. It is repeated under the same
 * condition, which lets one of them through at most. When the repetition is refused, or there is no time left, the object
 * is read back: if it is ours, byte for byte (an envelope's random IV makes it unique), it is committed; if another write
 * of the same version is there, ours was not carried out; otherwise the outcome is unknown and said to be.
 *
 * **Blind writes.** The owner of a partition may try to create an entity without having read it, which saves a request where the
 * guess is right. Where something is there, the creation is refused, and the owner reads and decides. The rules above hold
 * for it as for every creation, and so do those below.
 *
 * **Services without some conditions** (see `conditions.ts`). Instead of a conditional request the current ETag is
 * compared right before an unconditional one, which leaves a gap.
 *
 * **Late requests.** A request that was not answered may be carried out at any time until the service drops it, and
 * could then undo a later change where no condition stops it: an unconditional one anything, a late `If-None-Match: *`
 * the deletion of what another attempt had created or had found in its way. So after a request that may still be under
 * way the name takes no such change from this process for `S3_DOUBT_MS`; the client hears that the store is unavailable
 * for this entity. The next owner of its partition does not know of it: there, too, a late creation can bring back what was
 * deleted, if it is stuck for longer than the handover takes.
 */
import { sameBytes } from "../../bytes.ts";
import { readEnvelopeHeader } from "../../crypto/envelope.ts";
import {
  S3_ATTEMPTS_MAX,
  S3_DOUBT_MS,
  S3_DOUBTS_MAX,
  S3_FLUSH_MS,
  S3_HANDOVER_FLUSH_MS,
  S3_OPERATION_MS,
  S3_READ_BACK_MS,
} from "../../limits.ts";
import { type EntityName, type Partition, partitionOf } from "../../names.ts";
import { type Clock, sleep } from "../../seams/clock.ts";
import {
  type CommitOutcome,
  type Entities,
  type EntitiesStats,
  type EntityWrite,
  type Listed,
  type NameQuery,
  StorageError,
  type Stored,
  type TakeOutcome,
} from "../store.ts";
import { conditionOn, type Conditions, spell } from "./conditions.ts";
import { envelopeKey } from "./layout.ts";
import { fetchPage } from "./listed.ts";
import { Maintenance } from "./maintenance.ts";
import { MetaWriter } from "./meta.ts";
import type { Condition, ETag, ObjectBody, ObjectClient } from "./object_client.ts";
import { RequestFailure, type RequestKind, type Requests, storageError } from "./requests.ts";

/** What the engine is made of; shared by everything of one store. */
export interface BucketParts {
  readonly client: ObjectClient;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly conditions: Conditions;
  readonly partitions: number;
  /** Whether this process may still act as the owner of the partition, or of anything; asked right before each change. */
  readonly mayWrite: (partition?: Partition) => boolean;
}

/** A change of which some attempt may have been carried out, after `error` ended the efforts to find out. */
function unknown(error: unknown): StorageError {
  return new StorageError("unknown", error instanceof Error ? error.message : String(error), { cause: error });
}

/** {@linkcode Entities} in a bucket. */
export class BucketEntities implements Entities {
  readonly blindCreate: boolean;
  readonly exclusive = false;
  readonly #parts: BucketParts;
  readonly #taken = new Set<Partition>();
  /** Names to which a request may still be under way that could undo a later change of this kind, and until when. */
  readonly #doubts = new Map<EntityName, { readonly blocks: "any" | "delete"; readonly until: number }>();
  readonly #meta: MetaWriter;
  readonly #maintenance: Maintenance;
  readonly #stop = new AbortController();

  constructor(parts: BucketParts) {
    this.#parts = parts;
    this.blindCreate = parts.conditions.create;
    this.#meta = new MetaWriter(parts.client, parts.requests, parts.clock, parts.mayWrite);
    this.#maintenance = new Maintenance(parts, this.#meta, (partition) => !this.#closed && this.#taken.has(partition));
  }

  take(partition: Partition): Promise<TakeOutcome> {
    if (this.#closed) return Promise.resolve({ kind: "unavailable", detail: "the store is closed" });
    this.#taken.add(partition);
    this.#maintenance.start();
    return Promise.resolve({ kind: "taken", recovered: 0 });
  }

  async release(partition: Partition): Promise<void> {
    this.#check(partition);
    this.#taken.delete(partition);
    await this.#meta.handOver(partition, S3_HANDOVER_FLUSH_MS);
  }

  async read(partition: Partition, name: EntityName): Promise<Stored | undefined> {
    this.#check(partition);
    try {
      const found = await this.#get(name, this.#parts.clock.monotonic() + S3_OPERATION_MS);
      return found && { envelope: found.bytes, token: found.etag };
    } catch (error) {
      throw storageError(error, false);
    }
  }

  async commit(write: EntityWrite): Promise<CommitOutcome> {
    this.#check(write.partition);
    this.#checkDoubt(write);
    let outcome: CommitOutcome;
    try {
      outcome = await (write.envelope === undefined ? this.#delete(write) : this.#put(write, write.envelope));
    } catch (error) {
      throw this.#undecided(storageError(error, true));
    }
    if (outcome.kind === "committed") this.#meta.changed(write.partition, write.name, write.envelope);
    return outcome;
  }

  async list(partition: Partition, query: NameQuery): Promise<Listed[]> {
    this.#check(partition);
    const isIn = (name: EntityName) => partitionOf(name, this.#parts.partitions) === partition;
    return await fetchPage(this.#parts, { ...query, envelopes: false, bytesMax: Infinity }, isIn);
  }

  // deno-lint-ignore require-await
  async counts(partition: Partition): Promise<Map<string, number> | undefined> {
    this.#check(partition);
    return undefined;
  }

  stats(): EntitiesStats {
    return {
      logBytes: 0,
      dirtyEntities: 0,
      dirtyBytes: 0,
      syncs: 0,
      syncSecondsTotal: 0,
      checkpoints: 0,
      requests: this.#parts.requests.requests,
      retries: this.#parts.requests.retries,
    };
  }

  /** Rebuilds `meta.json` objects that are missing or older than their envelopes, now. */
  maintain(): Promise<void> {
    return this.#maintenance.run();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#stop.abort();
    await this.#maintenance.close();
    await this.#meta.flush(S3_FLUSH_MS);
    this.#taken.clear();
    await this.#meta.close();
  }

  get #closed(): boolean {
    return this.#stop.signal.aborted;
  }

  #check(partition: Partition): void {
    if (this.#closed || !this.#taken.has(partition)) {
      throw new StorageError("unavailable", `partition ${partition} is not taken`);
    }
  }

  /** Asked right before each request that changes something. */
  #guard(partition: Partition): void {
    if (!this.#parts.mayWrite(partition)) {
      throw new StorageError(
        "unavailable",
        "this worker has not heard from the main worker for so long that others may own what it owned",
      );
    }
  }

  async #get(name: EntityName, deadline: number): Promise<ObjectBody | undefined> {
    const key = envelopeKey(name);
    return (await this.#parts.requests.run("get", (signal) => this.#parts.client.get(key, signal), { deadline })).value;
  }

  async #put(write: EntityWrite, envelope: Uint8Array): Promise<CommitOutcome> {
    const key = envelopeKey(write.name);
    const condition = conditionOn(write.expected, this.#parts.conditions);
    if (condition === undefined) {
      return await this.#unconditionally(write, "put", async (signal) => {
        const answer = await this.#parts.client.put(key, envelope, undefined, signal);
        return answer.kind === "stored" ? answer.etag : undefined;
      });
    }
    const deadline = this.#parts.clock.monotonic() + S3_OPERATION_MS;
    const { outcome, open } = await this.#putConditionally(write, envelope, condition, deadline);
    // A late attempt to create is refused as long as something is there, but not once it has been deleted.
    if (open && write.expected === undefined) this.#doubt(write.name, "delete");
    if (outcome instanceof StorageError) throw outcome;
    return outcome;
  }

  /** `open`: some attempt may still be carried out. */
  async #putConditionally(
    write: EntityWrite,
    envelope: Uint8Array,
    condition: Condition,
    deadline: number,
  ): Promise<{ readonly outcome: CommitOutcome | StorageError; readonly open: boolean }> {
    const { client, requests } = this.#parts;
    const key = envelopeKey(write.name);
    let doubts: number;
    let lost: string | undefined;
    try {
      const answer = await requests.run("put", (signal) => client.put(key, envelope, condition, signal), {
        deadline: deadline - S3_READ_BACK_MS,
        guard: () => this.#guard(write.partition),
      });
      doubts = answer.doubts;
      if (answer.value.kind === "stored") {
        return { outcome: { kind: "committed", token: answer.value.etag }, open: doubts > 0 };
      }
      // Whoever wrote blindly reads next, and knows its own write by the operation's id.
      if (doubts === 0 && write.blind) return { outcome: { kind: "conflict" }, open: false };
      if (doubts > 0) lost = "the answer to the write was lost";
    } catch (error) {
      if (!(error instanceof RequestFailure) || error.doubts === 0) throw error;
      doubts = error.doubts;
      lost = error.message;
    }
    const outcome = await this.#readBack(write, envelope, deadline, lost);
    // Of the attempts in doubt one has been carried out, if the write is there.
    const done = !(outcome instanceof StorageError) && outcome.kind === "committed" ? 1 : 0;
    return { outcome, open: doubts > done };
  }

  /**
   * Finds out what became of a conditional PUT that was refused, or of which some attempt may have been carried out;
   * `lost` says how it comes that the latter is possible. The object is read in any case: a proxy may have repeated the
   * request by itself, so that what was refused is the repetition.
   */
  async #readBack(
    write: EntityWrite,
    envelope: Uint8Array,
    deadline: number,
    lost: string | undefined,
  ): Promise<CommitOutcome | StorageError> {
    let found: ObjectBody | undefined;
    try {
      found = await this.#get(write.name, deadline);
    } catch (error) {
      return new StorageError("unknown", lost ?? "a refused write could not be read back", { cause: error });
    }
    if (found !== undefined && sameBytes(found.bytes, envelope)) return { kind: "committed", token: found.etag };
    if (found !== undefined && write.expected !== undefined && found.etag !== write.expected) {
      // Both were decided on the same state, and only one of them can have replaced it.
      const theirs = readEnvelopeHeader(found.bytes);
      const ours = readEnvelopeHeader(envelope);
      if (ours !== undefined && theirs?.version === ours.version) return { kind: "conflict" };
    }
    // What the owner's blind write found in its way was there before: nobody else may have replaced it since.
    if (found !== undefined && write.blind && this.#parts.mayWrite(write.partition)) return { kind: "conflict" };
    return lost === undefined ? { kind: "conflict" } : new StorageError("unknown", lost);
  }

  async #delete(write: EntityWrite): Promise<CommitOutcome> {
    const { client, requests, clock, conditions } = this.#parts;
    const key = envelopeKey(write.name);
    if (write.expected === undefined) {
      const found = await this.#etagOf(write.name, clock.monotonic() + S3_OPERATION_MS);
      return found === undefined ? { kind: "committed", token: undefined } : { kind: "conflict" };
    }
    if (!conditions.remove || conditions.replace === "none") {
      return await this.#unconditionally(write, "delete", async (signal) => {
        await client.delete(key, undefined, signal);
        return undefined;
      });
    }
    const ifMatch = spell(write.expected, conditions.replace);
    const deadline = clock.monotonic() + S3_OPERATION_MS;
    let message = "the answer to the delete was lost";
    let doubtful = true;
    try {
      const answer = await requests.run("delete", (signal) => client.delete(key, ifMatch, signal), {
        deadline: deadline - S3_READ_BACK_MS,
        guard: () => this.#guard(write.partition),
      });
      if (answer.value === "deleted") return { kind: "committed", token: undefined };
      doubtful = answer.doubts > 0;
    } catch (error) {
      if (!(error instanceof RequestFailure) || error.doubts === 0) throw error;
      message = error.message;
    }
    if (!doubtful) return { kind: "conflict" };
    const found = await this.#etagOf(write.name, deadline).catch(() => write.expected);
    if (found === undefined) return { kind: "committed", token: undefined };
    throw new StorageError("unknown", message);
  }

  /**
   * Compares the current ETag with the expected one and sends the request without a condition, until one is answered or enough
   * were not.
   * `attempt` answers the new ETag, or `undefined` for a delete.
   */
  async #unconditionally(
    write: EntityWrite,
    kind: RequestKind,
    attempt: (signal: AbortSignal) => Promise<ETag | undefined>,
  ): Promise<CommitOutcome> {
    const { requests, clock } = this.#parts;
    const deadline = clock.monotonic() + S3_OPERATION_MS;
    if (await this.#etagOf(write.name, deadline) !== write.expected) return { kind: "conflict" };
    /** Attempts of which it is not known whether they were carried out, or still will be. */
    let open = 0;
    for (let round = 0;; round++) {
      try {
        const answer = await requests.run(kind, attempt, {
          deadline: deadline - S3_READ_BACK_MS,
          guard: () => this.#guard(write.partition),
          stopWhenDoubtful: true,
        });
        return { kind: "committed", token: answer.value };
      } catch (error) {
        if (!(error instanceof RequestFailure)) throw open > 0 ? unknown(error) : error;
        if (error.last.kind === "unnameable") {
          // No attempt can have been carried out.
          this.#doubts.delete(write.name);
          throw error;
        }
        if (error.doubts === 0 && open === 0) throw error;
        if (error.doubts > 0) {
          open++;
          this.#doubt(write.name, "any");
        }
        const state = await this.#stateAfter(write, deadline).catch((failure) => {
          throw unknown(failure);
        });
        if (state.kind === "applied") {
          // One attempt that is seen to have been carried out is over; of several, others may still be on their way.
          if (open === 1) this.#doubts.delete(write.name);
          return { kind: "committed", token: state.etag };
        }
        const pause = requests.backoffMs(round);
        const isLate = clock.monotonic() + pause >= deadline - S3_READ_BACK_MS;
        if (state.etag !== write.expected || round + 1 >= S3_ATTEMPTS_MAX || isLate) throw unknown(error);
        await sleep(clock, pause);
      }
    }
  }

  async #etagOf(name: EntityName, deadline: number): Promise<ETag | undefined> {
    const key = envelopeKey(name);
    const head = await this.#parts.requests.run("head", (signal) => this.#parts.client.head(key, signal), { deadline });
    return head.value?.etag;
  }

  /** Whether a change has been carried out, by what is there now. */
  async #stateAfter(
    write: EntityWrite,
    deadline: number,
  ): Promise<{ kind: "applied" | "other"; etag: ETag | undefined }> {
    if (write.envelope === undefined) {
      const etag = await this.#etagOf(write.name, deadline);
      return { kind: etag === undefined ? "applied" : "other", etag };
    }
    const found = await this.#get(write.name, deadline);
    const applied = found !== undefined && sameBytes(found.bytes, write.envelope);
    return { kind: applied ? "applied" : "other", etag: found?.etag };
  }

  /** The error of a change as the caller gets it: after an unknown outcome requests may be under way for some time. */
  #undecided(error: StorageError): StorageError {
    if (error.reason !== "unknown") return error;
    const decided = new Promise<void>((resolve) => {
      sleep(this.#parts.clock, S3_DOUBT_MS, this.#stop.signal).then(resolve, () => {});
    });
    return new StorageError("unknown", error.message, { cause: error.cause, decided });
  }

  #doubt(name: EntityName, blocks: "any" | "delete"): void {
    this.#doubts.set(name, { blocks, until: this.#parts.clock.monotonic() + S3_DOUBT_MS });
  }

  /** @throws {StorageError} while a request may still be under way that could undo the write */
  #checkDoubt({ name, envelope }: EntityWrite): void {
    const doubt = this.#doubts.get(name);
    if (doubt === undefined && this.#doubts.size < S3_DOUBTS_MAX) return;
    const now = this.#parts.clock.monotonic();
    for (const [doubted, { until }] of this.#doubts) if (until <= now) this.#doubts.delete(doubted);
    const blocked = doubt !== undefined && doubt.until > now && (doubt.blocks === "any" || envelope === undefined);
    if (blocked || this.#doubts.size >= S3_DOUBTS_MAX) {
      throw new StorageError("unavailable", "an earlier change of this entity has not been answered yet");
    }
  }
}
