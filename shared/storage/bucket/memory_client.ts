/** For tests: an {@linkcode ObjectClient} in memory, and a clock that moves only when it is told to. */
import type { Clock, Timer } from "../../seams/clock.ts";
import type {
  Condition,
  ETag,
  KeyQuery,
  ObjectBody,
  ObjectClient,
  ObjectHead,
  ObjectPage,
  PutAnswer,
} from "./object_client.ts";
import { ObjectError } from "./object_error.ts";

/** A service that honours every condition, in either spelling. */
export class MemoryClient implements ObjectClient {
  readonly place = "bucket test in memory";
  readonly objects = new Map<string, { readonly bytes: Uint8Array; readonly etag: ETag }>();
  /** Called before a request is carried out; may throw or wait instead. */
  before: (method: string, key: string) => Promise<void> | void = () => {};
  /** Called after it was carried out, before its answer. */
  after: (method: string, key: string) => Promise<void> | void = () => {};
  #writes = 0;

  async get(key: string, _signal: AbortSignal): Promise<ObjectBody | undefined> {
    await this.before("GET", key);
    return this.objects.get(key);
  }

  async head(key: string, _signal: AbortSignal): Promise<ObjectHead | undefined> {
    await this.before("HEAD", key);
    const found = this.objects.get(key);
    return found && { size: found.bytes.length, etag: found.etag };
  }

  async put(
    key: string,
    bytes: Uint8Array,
    condition: Condition | undefined,
    _signal: AbortSignal,
  ): Promise<PutAnswer> {
    await this.before("PUT", key);
    const etag = this.objects.get(key)?.etag;
    if (condition !== undefined) {
      const holds = "ifMatch" in condition ? etag === condition.ifMatch : etag === undefined;
      if (!holds) return { kind: "refused" };
    }
    const stored = { bytes: bytes.slice(), etag: `"${++this.#writes}"` };
    this.objects.set(key, stored);
    await this.after("PUT", key);
    return { kind: "stored", etag: stored.etag };
  }

  async delete(key: string, ifMatch: ETag | undefined, _signal: AbortSignal): Promise<"deleted" | "refused"> {
    await this.before("DELETE", key);
    if (ifMatch !== undefined && this.objects.get(key)?.etag !== ifMatch) return "refused";
    this.objects.delete(key);
    await this.after("DELETE", key);
    return "deleted";
  }

  list(_query: KeyQuery, _signal: AbortSignal): Promise<ObjectPage> {
    return Promise.reject(new ObjectError("unsupported", "", "not needed here"));
  }

  createBucket(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

/** Steps of a chain of promises that count as no waiting. */
const MICROTASKS = 200;

/** Time that passes by {@linkcode ManualClock.advance} alone. */
export class ManualClock implements Clock {
  #now = 1_000_000;
  /** How far the wall clock is from the monotonic one. */
  wallOffset = 0;
  readonly #timers = new Set<{ readonly at: number; readonly fn: () => void }>();

  now(): number {
    return this.#now + this.wallOffset;
  }

  monotonic(): number {
    return this.#now;
  }

  setTimer(fn: () => void, ms: number): Timer {
    const timer = { at: this.#now + ms, fn };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as never);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Lets everything that does not wait for time go on. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < MICROTASKS; turn++) await undefined;
  }

  /** Lets `ms` pass, with every timer at its time. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    for (;;) {
      const next = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fn();
      await this.settle();
    }
    this.#now = end;
  }

  /** Lets time pass from timer to timer until the promise is settled. */
  async runUntil<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    for (;;) {
      await this.settle();
      if (settled) return await promise;
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined) throw new Error("nothing is left that could settle it");
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fn();
    }
  }

  /** Time passes and no timer fires: the process was stopped. */
  pause(ms: number): void {
    this.#now += ms;
  }
}
