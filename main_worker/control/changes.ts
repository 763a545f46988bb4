/** Changes of keys or schemas: one after the other, those of clients in bounded numbers; and what one is answered that failed. */
import { RETRY_AFTER_S } from "../../shared/limits.ts";
import { type Failure, failure } from "../../shared/outcome.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import { StorageError } from "../../shared/storage/store.ts";
import { type TurnBounds, Turns } from "../../shared/turns.ts";
import type { Changed } from "./control.ts";

/** Makes changes in the order in which they come. */
export class Changes {
  readonly #turns: Turns;
  #last: Promise<unknown> = Promise.resolve();

  /** @param bounds of the changes of clients. */
  constructor(clock: Clock, bounds: TurnBounds) {
    this.#turns = new Turns(clock, bounds);
  }

  /** Makes a client's change, unless too much waits already. */
  ofClient<T>(change: () => Promise<Changed<T>>, weight = 1): Promise<Changed<T>> {
    return this.#turns.run(() => this.own(change), TOO_MANY, weight);
  }

  /** Makes a change that the server itself wants. */
  own<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change);
    this.#last = result.catch(() => {});
    return result;
  }
}

const TOO_MANY = failure("overloaded", "Too many changes are waiting; nothing was changed", {
  retryAfterS: RETRY_AFTER_S,
});

/**
 * What a change is answered with that the store did not keep, or perhaps did.
 *
 * @param what was to be changed, as in "the schema" @throws what is no failure of the store
 */
export function changeFailure(error: unknown, what: string): Failure {
  if (!(error instanceof StorageError)) throw error;
  return error.reason === "unknown"
    ? failure("deadline", `Whether the change of ${what} was stored is not known; it is safe to repeat the request`)
    : failure("storage_unavailable", `The change of ${what} could not be stored; nothing was changed`);
}
