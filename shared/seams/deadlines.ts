/**
 * Deadlines of many things that usually end long before: one timer for all of them, because most timers are never due. It
 * is left to itself when nothing is open, because setting one costs as much as reading a small body.
 */
import { type Linked, LinkedList, unlinked } from "../linked_list.ts";
import type { Clock, Timer } from "./clock.ts";

/** One that was begun. */
export interface Deadline extends Linked<Deadline> {
  readonly dueMs: number;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #open = new LinkedList<Deadline>();
  #timer: Timer | undefined;
  /** When the timer is due. */
  #timerMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `expire` after `ms`, unless the answer is handed to {@linkcode Deadlines.end} before. */
  begin(ms: number, expire: () => void): Deadline {
    const deadline: Deadline = { dueMs: this.#clock.monotonic() + ms, expire, ...unlinked<Deadline>() };
    this.#open.add(deadline);
    if (deadline.dueMs < this.#timerMs) this.#wakeAt(deadline.dueMs, ms);
    return deadline;
  }

  end(deadline: Deadline): void {
    this.#open.remove(deadline);
  }

  /** Stops the timer, unless one is open. */
  rest(): void {
    if (this.#open.size === 0) this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerMs = Infinity;
  }

  #wakeAt(dueMs: number, inMs: number): void {
    this.#stopTimer();
    this.#timerMs = dueMs;
    this.#timer = this.#clock.setTimer(() => this.#wake(), inMs);
  }

  #wake(): void {
    this.#stopTimer();
    const nowMs = this.#clock.monotonic();
    const due = [...this.#open].filter(({ dueMs }) => dueMs <= nowMs);
    for (const deadline of due) if (this.#open.remove(deadline)) deadline.expire();
    let nextMs = Infinity;
    for (const { dueMs } of this.#open) nextMs = Math.min(nextMs, dueMs);
    if (nextMs < this.#timerMs) this.#wakeAt(nextMs, nextMs - nowMs);
  }
}

const ofClock = new WeakMap<Clock, Deadlines>();

/** The deadlines on a clock, shared by all who ask. */
export function deadlinesOf(clock: Clock): Deadlines {
  let deadlines = ofClock.get(clock);
  if (deadlines === undefined) ofClock.set(clock, deadlines = new Deadlines(clock));
  return deadlines;
}
