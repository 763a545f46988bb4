/**
 * The right to be the store's one main worker, as a lease: an object that its holder rewrites every third of the
 * lease's time (Gray and Cheriton 1989).
 *
 * Nobody compares the clocks of two machines. The holder counts from the moment before it sent the last renewal that
 * succeeded, and gives up before the lease's time has passed since then. Somebody who wants to take over watches the
 * object, and only when its ETag has not changed for a whole lease, by the watcher's own clock, replaces exactly the
 * state that it watched. The renewal happened before the watcher saw it, so the holder has given up by then.
 *
 * **Fencing.** A holder that was paused past its lease finds out before it acts: {@linkcode MainLock.lost} compares
 * clocks whenever its `aborted` is read, and does not wait for a timer that was paused as well. Writes to the shelves
 * ask it right before each request (see `shelf.ts`). What has nothing but a clock, such as a cache on another thread, is told
 * after each renewal until when the lease holds. What passes is measured on both clocks ({@linkcode Instant}).
 */
import { S3_ATTEMPT_MS, S3_OPERATION_MS } from "../../limits.ts";
import { type Clock, Instant, sleep, type Timer } from "../../seams/clock.ts";
import { type Random, randomHex } from "../../seams/random.ts";
import { type MainLock, StorageError } from "../store.ts";
import { conditionOn, type Conditions } from "./conditions.ts";
import { LEASE_KEY } from "./layout.ts";
import type { ETag, ObjectBody, ObjectClient } from "./object_client.ts";
import { RequestFailure, type Requests, storageError } from "./requests.ts";

/** What a lease needs of its store. */
export interface LeaseParts {
  readonly client: ObjectClient;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly random: Random;
  readonly conditions: Conditions;
  /** How long a lease lasts after each renewal. */
  readonly leaseMs: number;
}

/** The object's content. */
interface LeaseRecord {
  /** For people: host, process id, start time. */
  readonly holder: string;
  /** Random for each holding; tells one's own renewals from others' where an answer was lost. */
  readonly id: string;
  /** Grows with each renewal that is tried, so that each has an ETag of its own, and is told from those before it. */
  readonly renewal: number;
  /** Milliseconds for which the holder counts on it after each renewal. */
  readonly lease_ms: number;
  /** Given back: nobody needs to wait. */
  readonly released: boolean;
}

/** Share of the lease that the holder does not use: clocks of two machines may run at different speeds. */
const MARGIN = 0.1;
const HOLDER_CHARACTERS_MAX = 512;
/** A record that asks others to wait longer was not written by this program. */
const LEASE_MS_MAX = 10 * 60_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function parseRecord(bytes: Uint8Array): LeaseRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { holder, id, renewal, lease_ms, released } = value as Record<string, unknown>;
  if (typeof holder !== "string" || typeof id !== "string" || typeof renewal !== "number") return undefined;
  if (typeof lease_ms !== "number" || !(lease_ms > 0) || typeof released !== "boolean") return undefined;
  return { holder, id, renewal, lease_ms: Math.min(lease_ms, LEASE_MS_MAX), released };
}

/** Takes the lease, waits for one that may have ended, or says who holds it. @throws {StorageError} */
export async function takeLease(
  parts: LeaseParts,
  holder: string,
  holds: (untilMs: number) => void = () => {},
): Promise<{ kind: "locked"; lock: Lease } | { kind: "held"; by: string }> {
  const id = randomHex(parts.random, 16);
  const line = holder.slice(0, HOLDER_CHARACTERS_MAX);
  const record: LeaseRecord = { holder: line, id, renewal: 1, lease_ms: parts.leaseMs, released: false };
  try {
    for (;;) {
      const seen = await read(parts);
      const before = seen && parseRecord(seen.bytes);
      if (seen !== undefined && before?.released !== true) {
        // Damaged, or of another program: it is watched like any other.
        const wait = before?.lease_ms ?? parts.leaseMs;
        const by = await holderWithin(parts, seen.etag, wait);
        if (by !== undefined) return { kind: "held", by };
      }
      const started = Instant.now(parts.clock);
      const taken = await write(parts, record, seen?.etag);
      if (taken !== undefined) return { kind: "locked", lock: new Lease(parts, record, taken, started, holds) };
    }
  } catch (error) {
    throw storageError(error, false);
  }
}

async function read(
  { client, requests, clock }: LeaseParts,
  deadline: number = clock.monotonic() + S3_OPERATION_MS,
): Promise<ObjectBody | undefined> {
  const options = { deadline, lane: "aside" } as const;
  return (await requests.run("get", (signal) => client.get(LEASE_KEY, signal), options)).value;
}

/** Watches the object for `ms` from now. Who holds it, as soon as it changes; `undefined` when nobody does any more. */
async function holderWithin(parts: LeaseParts, etag: ETag, ms: number): Promise<string | undefined> {
  const started = parts.clock.monotonic();
  for (;;) {
    const passed = parts.clock.monotonic() - started;
    await sleep(parts.clock, Math.min(ms / 6, Math.max(ms - passed, 0)));
    // Read once more after the whole time has passed: what counts is what was there then.
    const last = parts.clock.monotonic() - started >= ms;
    const seen = await read(parts);
    if (seen === undefined || seen.etag !== etag) {
      const record = seen && parseRecord(seen.bytes);
      return seen === undefined || record?.released === true ? undefined : record?.holder ?? "unknown";
    }
    if (last) return undefined;
  }
}

/**
 * Replaces the state `expected` by `record`, or what an earlier write of the same holding left whose answer was lost: a
 * renewal counts from when it was sent, so one that is found to have been carried out long ago is no renewal now.
 * The new ETag, or `undefined` when somebody else was faster.
 * @throws {RequestFailure} no answer, also none about what became of it
 */
async function write(
  parts: LeaseParts,
  record: LeaseRecord,
  expected: ETag | undefined,
  ms: number = S3_OPERATION_MS,
  signal?: AbortSignal,
): Promise<ETag | undefined> {
  const { client, requests, clock, conditions } = parts;
  const bytes = encoder.encode(JSON.stringify(record) + "\n");
  const options = { deadline: clock.monotonic() + ms, lane: "aside", ...(signal && { signal }) } as const;
  const ours = (object: ObjectBody | undefined) => {
    const found = object && parseRecord(object.bytes);
    return found?.id === record.id ? found : undefined;
  };
  for (;;) {
    const condition = conditionOn(expected, conditions);
    if (condition === undefined) {
      const before = await read(parts, options.deadline);
      if (before?.etag !== expected && ours(before) === undefined) return undefined;
    }
    const answer = await requests.run("put", (cut) => client.put(LEASE_KEY, bytes, condition, cut), options);
    if (answer.value.kind === "stored") {
      if (condition !== undefined) return answer.value.etag;
      // Without conditions two may have written at once: whoever is there after a moment has it.
      await sleep(clock, parts.random.unit() * 100 + 100);
      const after = await read(parts, options.deadline);
      return ours(after) && after!.etag;
    }
    const seen = await read(parts, options.deadline);
    const found = ours(seen);
    if (found === undefined) return undefined;
    // An earlier attempt of this very write.
    if (found.renewal === record.renewal) return seen!.etag;
    expected = seen!.etag;
  }
}

/** A lease that is held and renewed until it is released or lost. */
export class Lease implements MainLock {
  readonly lost: AbortSignal;
  readonly #parts: LeaseParts;
  readonly #holds: (untilMs: number) => void;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  #record: LeaseRecord;
  #etag: ETag;
  /** Before the last renewal that succeeded was sent. */
  #renewed: Instant;
  #timer: Timer | undefined;
  #renewing: Promise<void>;
  #released = false;
  #isLost = false;

  constructor(
    parts: LeaseParts,
    record: LeaseRecord,
    etag: ETag,
    renewed: Instant,
    holds: (untilMs: number) => void,
  ) {
    this.#parts = parts;
    this.#holds = holds;
    this.#record = record;
    this.#etag = etag;
    this.#renewed = renewed;
    this.lost = this.#lost.signal;
    // A paused process runs whatever comes first when it wakes up, not the timer below: so reading tells the truth.
    const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted")!.get!;
    Object.defineProperty(this.lost, "aborted", {
      configurable: true,
      get: () => {
        this.#expired();
        return aborted.call(this.#lost.signal);
      },
    });
    this.#extend(renewed);
    this.#renewing = this.#renewForever();
  }

  /** @throws {StorageError} when the lease is lost: the holder must not act as the main worker any more */
  assertHeld(): void {
    if (this.#expired()) throw new StorageError("unavailable", "the main worker's lease is lost");
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#stop.abort();
    await this.#renewing;
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    if (this.#isLost) return;
    this.#countRenewal();
    // Unanswered: then the next main worker waits for the lease to end.
    await write(this.#parts, { ...this.#record, released: true }, this.#etag, S3_ATTEMPT_MS).catch(() => undefined);
  }

  #expired(): boolean {
    if (!this.#isLost && !this.#released && this.#left() <= 0) this.#lose("could not be renewed in time");
    return this.#isLost;
  }

  #lose(why: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    this.#lost.abort(new StorageError("unavailable", `the main worker's lease ${why}`));
    this.#stop.abort();
  }

  /** A renewal that was sent at this moment has succeeded. */
  #extend(renewed: Instant): void {
    this.#renewed = renewed;
    this.#holds(renewed.wallMs + this.#usableMs());
    this.#watch();
  }

  /** Milliseconds for which the holder may act after a renewal. */
  #usableMs(): number {
    return this.#record.lease_ms * (1 - MARGIN);
  }

  /** Milliseconds for which the holder may still act. */
  #left(): number {
    return this.#usableMs() - this.#renewed.elapsed(this.#parts.clock);
  }

  #watch(): void {
    const { clock } = this.#parts;
    if (this.#timer !== undefined) clock.clearTimer(this.#timer);
    this.#timer = clock.setTimer(() => {
      if (!this.#expired() && !this.#released) this.#watch();
    }, Math.max(this.#left(), 1));
  }

  async #renewForever(): Promise<void> {
    const { clock } = this.#parts;
    const signal = this.#stop.signal;
    let pause = this.#record.lease_ms / 3;
    for (;;) {
      await sleep(clock, pause, signal).catch(() => undefined);
      if (signal.aborted) return;
      pause = this.#record.lease_ms / 3;
      this.#countRenewal();
      const started = Instant.now(clock);
      try {
        const ms = Math.min(S3_OPERATION_MS, this.#left());
        const etag = await write(this.#parts, this.#record, this.#etag, ms, signal);
        if (this.#isLost) return;
        if (etag === undefined) return this.#lose("was taken over by somebody else");
        this.#etag = etag;
        this.#extend(started);
      } catch (error) {
        if (!(error instanceof RequestFailure)) return this.#lose(`could not be renewed: ${error}`);
        pause = this.#record.lease_ms / 30;
      }
    }
  }

  /** Each write has a number of its own, also after one that may have come to nothing. */
  #countRenewal(): void {
    this.#record = { ...this.#record, renewal: this.#record.renewal + 1 };
  }
}
