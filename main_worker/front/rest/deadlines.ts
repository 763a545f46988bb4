/**
 * Deadlines of many things that usually end long before: one timer for all of them, because most timers are never due. It
 * is left to itself when nothing is open, because setting one costs as much as reading a small body.
 */
import type { Clock, Timer } from "../../../shared/seams/clock.ts";

interface Deadline {
  readonly dueMs: number;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #open = new Set<Deadline>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `expire` after `ms`, unless the answer is handed to {@linkcode Deadlines.end} before. */
  begin(ms: number, expire: () => void): Deadline {
    const deadline = { dueMs: this.#clock.monotonic() + ms, expire };
    this.#open.add(deadline);
    // One that is due earlier than those before it would wait for them: all that share an object have one length.
    this.#timer ??= this.#clock.setTimer(() => this.#sweep(), ms);
    return deadline;
  }

  end(deadline: Deadline): void {
    this.#open.delete(deadline);
  }

  #sweep(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonic();
    for (const deadline of this.#open) {
      if (deadline.dueMs > nowMs) {
        this.#timer = this.#clock.setTimer(() => this.#sweep(), deadline.dueMs - nowMs);
        return;
      }
      this.#open.delete(deadline);
      deadline.expire();
    }
  }
}

const ofClock = new WeakMap<Clock, Map<number, Deadlines>>();

/** The deadlines of one length on a clock, shared by all who ask. */
export function deadlinesOf(clock: Clock, ms: number): Deadlines {
  let byLength = ofClock.get(clock);
  if (byLength === undefined) ofClock.set(clock, byLength = new Map());
  let deadlines = byLength.get(ms);
  if (deadlines === undefined) byLength.set(ms, deadlines = new Deadlines(clock));
  return deadlines;
}
