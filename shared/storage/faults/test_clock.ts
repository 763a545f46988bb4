/** A clock for tests: short timers fire at once, long ones when the test says so. */
import { type Clock, type Timer } from "../../seams/clock.ts";

export { settled } from "../../seams/manual_clock.ts";

const SHORT_MS = 100;

/** Time stands still but for timers: short ones (yields and pauses) fire in a microtask, long ones in `fire`. */
export class TestClock implements Clock {
  #now = 1_000_000;
  readonly #held = new Map<number, { readonly fn: () => void; readonly dueMs: number }>();
  #timers = 0;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  setTimer(fn: () => void, ms: number): Timer {
    const id = ++this.#timers;
    this.#held.set(id, { fn, dueMs: this.#now + ms });
    if (ms < SHORT_MS) queueMicrotask(() => this.#run(id));
    return id;
  }

  clearTimer(timer: Timer): void {
    this.#held.delete(timer as number);
  }

  /** Timers that wait. */
  get held(): number {
    return this.#held.size;
  }

  /** Goes on to the earliest timer that waits, and fires it; `false` when there is none. */
  fire(): boolean {
    const next = [...this.#held].sort(([, a], [, b]) => a.dueMs - b.dueMs)[0];
    if (next === undefined) return false;
    this.#now = Math.max(this.#now, next[1].dueMs);
    this.#run(next[0]);
    return true;
  }

  #run(id: number): void {
    const timer = this.#held.get(id);
    this.#held.delete(id);
    timer?.fn();
  }
}
