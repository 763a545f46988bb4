/** A clock for tests: time stands still until the test moves it, and timers fire in their order as it passes them. */
import { setImmediate } from "node:timers";
import type { Clock, Timer } from "./clock.ts";

interface Waiting {
  readonly fn: () => void;
  readonly dueMs: number;
}

/**
 * A {@linkcode Clock} that a test moves.
 *
 * ```ts
 * const clock = new ManualClock();
 * sleep(clock, 500).then(() => console.log("half a second"));
 * await clock.advance(500);
 * ```
 */
export class ManualClock implements Clock {
  readonly #timers = new Map<number, Waiting>();
  #monotonicMs = 0;
  #wallMs: number;
  #ids = 0;

  /** @param wallMs What the wall clock shows at the beginning, in milliseconds since the epoch. */
  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  setTimer(fn: () => void, ms: number): Timer {
    const id = ++this.#ids;
    this.#timers.set(id, { fn, dueMs: this.#monotonicMs + Math.max(0, ms) });
    return id;
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as number);
  }

  /** Timers that have not fired. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Moves the wall clock alone. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  /** Lets `ms` pass without firing anything, as for a process that stands still: what is due fires with the next advance. */
  freeze(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }

  /** Lets `ms` pass at one go: what waits for a promise of a timer runs when the test waits itself. */
  pass(ms: number): void {
    const until = this.#monotonicMs + ms;
    while (this.#fireNext(until));
    this.freeze(Math.max(0, until - this.#monotonicMs));
  }

  /** Lets `ms` pass; after each timer, everything that waits for promises alone runs. */
  async advance(ms: number): Promise<void> {
    const until = this.#monotonicMs + ms;
    await settled();
    while (this.#fireNext(until)) await settled();
    this.freeze(Math.max(0, until - this.#monotonicMs));
    await settled();
  }

  /** Lets time pass from timer to timer until the promise is settled. @throws {Error} when no timer is left before. */
  async runUntil<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const done = () => {
      isSettled = true;
    };
    promise.then(done, done);
    for (;;) {
      await settled();
      if (isSettled) return await promise;
      if (!this.#fireNext(Infinity)) throw new Error("nothing is left that could settle it");
    }
  }

  /** Goes on to the earliest timer that is due until then, and fires it; `false` when there is none. */
  #fireNext(untilMs: number): boolean {
    const [next] = [...this.#timers].filter(([, { dueMs }]) => dueMs <= untilMs).sort(([a, x], [b, y]) =>
      x.dueMs - y.dueMs || a - b
    );
    if (next === undefined) return false;
    const [id, { dueMs, fn }] = next;
    this.#timers.delete(id);
    this.freeze(Math.max(0, dueMs - this.#monotonicMs));
    fn();
    return true;
  }
}

/** Resolves when everything that waits for promises alone has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
