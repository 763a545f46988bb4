/**
 * Work of which only so much is done at a time, because each piece takes much memory for a small request: the rest waits in order,
 * or is refused.
 */
import { type Linked, LinkedList, unlinked } from "./linked_list.ts";
import type { Clock } from "./seams/clock.ts";

/** Weights are pieces, or bytes. */
export interface TurnBounds {
  /** What is done at a time may weigh so much together; one that weighs more is done alone. */
  readonly atOnce: number;
  /** What waits may weigh so much together. Beyond it, whoever comes is refused. */
  readonly waitingMax: number;
  /** Whose turn does not come within this is refused. */
  readonly waitMs: number;
}

interface Waiter extends Linked<Waiter> {
  readonly weight: number;
  /** Its turn has come. */
  readonly begin: () => void;
}

/** Hands out turns, first come first served. */
export class Turns {
  readonly #clock: Clock;
  readonly #bounds: TurnBounds;
  readonly #waiting = new LinkedList<Waiter>();
  /** What is done, and what waits, by weight. */
  #running = 0;
  #waitingWeight = 0;

  constructor(clock: Clock, bounds: TurnBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** Does `work` in its turn and resolves to what it does, or to `refused`: then it was not begun. */
  async run<Result, const Refused>(
    work: () => Promise<Result>,
    refused: Refused,
    weight = 1,
  ): Promise<Result | Refused> {
    if (!(this.#take(weight) || await this.#wait(weight))) return refused;
    try {
      return await work();
    } finally {
      this.#running -= weight;
      this.#next();
    }
  }

  #take(weight: number): boolean {
    if (this.#waiting.size > 0 || !this.#hasRoom(weight)) return false;
    this.#running += weight;
    return true;
  }

  #hasRoom(weight: number): boolean {
    return this.#running === 0 || this.#running + weight <= this.#bounds.atOnce;
  }

  #wait(weight: number): Promise<boolean> {
    const { waitingMax, waitMs } = this.#bounds;
    if (this.#waiting.size > 0 && this.#waitingWeight + weight > waitingMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(() => {
        this.#leave(waiter);
        resolve(false);
        // What waits behind it may be less.
        this.#next();
      }, waitMs);
      const begin = () => {
        this.#clock.clearTimer(timer);
        resolve(true);
      };
      const waiter: Waiter = { weight, begin, ...unlinked<Waiter>() };
      this.#waiting.add(waiter);
      this.#waitingWeight += weight;
    });
  }

  #leave(waiter: Waiter): void {
    this.#waiting.remove(waiter);
    this.#waitingWeight -= waiter.weight;
  }

  /** There is room again, perhaps for those that wait. */
  #next(): void {
    for (let { first } = this.#waiting; first !== undefined && this.#hasRoom(first.weight); { first } = this.#waiting) {
      this.#leave(first);
      this.#running += first.weight;
      first.begin();
    }
  }
}
