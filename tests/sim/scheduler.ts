/**
 * Virtual time: events happen one after the other, in the order of their times, and everything that one of them starts runs to
 * its end before the next. Nothing in a simulation may wait for anything but these events.
 */
import { setImmediate } from "node:timers";

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** A handle to {@linkcode Scheduler.cancel}. */
export type Scheduled = Event;

export class Scheduler {
  /** A binary heap by time, then by order of scheduling. */
  readonly #heap: Event[] = [];
  #order = 0;
  #nowMs = 0;
  #events = 0;

  /** Virtual milliseconds since the simulation began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have run. */
  get events(): number {
    return this.#events;
  }

  after(delayMs: number, run: () => void): Scheduled {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run, cancelled: false };
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  cancel(event: Scheduled): void {
    event.cancelled = true;
  }

  /** Runs until `done` says so. @throws {Error} when nothing is left to happen, or after `eventsMax` events. */
  async run(done: () => boolean, eventsMax: number): Promise<void> {
    await drained();
    while (!done()) {
      const event = this.#pop();
      if (event === undefined) throw new Error(`the simulation stands still at ${this.#nowMs} ms`);
      if (event.cancelled) continue;
      if (++this.#events > eventsMax) throw new Error(`the simulation does not end: ${eventsMax} events`);
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      event.run();
      await drained();
    }
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (before(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Resolves when no promise reaction is waiting any more. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
