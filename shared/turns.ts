/** Work of which only so much is done at a time, because each piece holds much memory: the rest waits in order, or is refused. */
import { type Linked, LinkedList, unlinked } from "./linked_list.ts";
import type { Clock } from "./seams/clock.ts";

export interface TurnBounds {
  readonly atOnce: number;
  /** Beyond it, whoever comes is refused. */
  readonly waitingMax: number;
  /** Whose turn does not come within this is refused. */
  readonly waitMs: number;
}

interface Waiter extends Linked<Waiter> {
  /** Its turn has come. */
  readonly begin: () => void;
}

/** Hands out turns, first come first served. */
export class Turns {
  readonly #clock: Clock;
  readonly #bounds: TurnBounds;
  readonly #waiting = new LinkedList<Waiter>();
  #running = 0;

  constructor(clock: Clock, bounds: TurnBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** Does `work` in its turn and resolves to what it does, or to `refused`: then it was not begun. */
  async run<Result, const Refused>(work: () => Promise<Result>, refused: Refused): Promise<Result | Refused> {
    if (!await this.#turn()) return refused;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #turn(): boolean | Promise<boolean> {
    const { atOnce, waitingMax, waitMs } = this.#bounds;
    if (this.#running < atOnce) {
      this.#running += 1;
      return true;
    }
    if (this.#waiting.size >= waitingMax) return false;
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(() => {
        this.#waiting.remove(waiter);
        resolve(false);
      }, waitMs);
      const begin = () => {
        this.#clock.clearTimer(timer);
        resolve(true);
      };
      const waiter: Waiter = { begin, ...unlinked<Waiter>() };
      this.#waiting.add(waiter);
    });
  }

  /** A turn is over: the next one takes it. */
  #next(): void {
    const { first } = this.#waiting;
    if (first === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.remove(first);
    first.begin();
  }
}
