/**
 * How many requests may run at once: grows by one for each round of successes and halves when the service asks to
 * slow down (additive increase, multiplicative decrease: Chiu and Jain 1989), with a bounded queue in front.
 */
import { StorageError } from "../store.ts";

/** A turn that was taken; hand it back with what became of the request. */
export interface Turn {
  /** Generation of the limit under which the request started. */
  readonly generation: number;
}

interface Waiter {
  readonly start: (turn: Turn) => void;
}

/** Hands out turns, first come first served. */
export class Throttle {
  readonly #max: number;
  readonly #waitingMax: number;
  #limit: number;
  #running = 0;
  #successes = 0;
  #generation = 0;
  readonly #waiting = new Set<Waiter>();

  /** @param max most requests at once @param waitingMax most requests that wait for a turn */
  constructor(max: number, waitingMax: number) {
    this.#max = max;
    this.#waitingMax = waitingMax;
    this.#limit = max;
  }

  /** Requests that may run at once right now. */
  get limit(): number {
    return this.#limit;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A turn at once, or `undefined`: then {@linkcode wait} for one. */
  tryTake(): Turn | undefined {
    if (this.#running >= this.#limit || this.#waiting.size > 0) return undefined;
    this.#running++;
    return { generation: this.#generation };
  }

  /** Waits for a turn. @throws {StorageError} when too many wait, and the signal's reason when it is aborted */
  wait(signal: AbortSignal): Promise<Turn> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#waiting.size >= this.#waitingMax) {
        return reject(new StorageError("unavailable", `${this.#waitingMax} requests wait for the S3 service already`));
      }
      const waiter: Waiter = {
        start: (turn) => {
          signal.removeEventListener("abort", onAbort);
          resolve(turn);
        },
      };
      const onAbort = () => {
        this.#waiting.delete(waiter);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiter);
      this.#next();
    });
  }

  /** Gives a turn back. `throttled`: the service asked to slow down. */
  done(turn: Turn, outcome: "ok" | "failed" | "throttled"): void {
    this.#running--;
    if (outcome === "throttled") {
      // One cut for all the requests that were under way together: each of them says the same thing.
      if (turn.generation === this.#generation) {
        this.#limit = Math.max(1, this.#limit >> 1);
        this.#generation++;
      }
      this.#successes = 0;
    } else if (outcome === "ok" && this.#limit < this.#max && ++this.#successes >= this.#limit) {
      this.#successes = 0;
      this.#limit++;
    }
    this.#next();
  }

  #next(): void {
    for (const waiter of this.#waiting) {
      if (this.#running >= this.#limit) return;
      this.#waiting.delete(waiter);
      this.#running++;
      waiter.start({ generation: this.#generation });
    }
  }
}
