/** What a change of keys or schemas is answered with that was not made, or perhaps was. */
import { RETRY_AFTER_S } from "../../shared/limits.ts";
import { type Failure, failure } from "../../shared/outcome.ts";
import { StorageError } from "../../shared/storage/store.ts";

/** @param what was to be changed, as in "the schema" @throws what is no failure of the store */
export function changeFailure(error: unknown, what: string): Failure {
  if (!(error instanceof StorageError)) throw error;
  return error.reason === "unknown"
    ? failure("deadline", `Whether the change of ${what} was stored is not known; it is safe to repeat the request`)
    : failure("storage_unavailable", `The change of ${what} could not be stored; nothing was changed`);
}

/** Where too many wait for their turn. */
export const CHANGES_WAIT: Failure = failure("overloaded", "Too many changes are waiting; nothing was changed", {
  retryAfterS: RETRY_AFTER_S,
});
