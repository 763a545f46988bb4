/** What a change is answered with that the store did not keep, or perhaps did. */
import { type Failure, failure } from "../../shared/outcome.ts";
import { StorageError } from "../../shared/storage/store.ts";

/** @param what was to be changed, as in "the schema" @throws what is no failure of the store */
export function changeFailure(error: unknown, what: string): Failure {
  if (!(error instanceof StorageError)) throw error;
  return error.reason === "unknown"
    ? failure("deadline", `Whether the change of ${what} was stored is not known; it is safe to repeat the request`)
    : failure("storage_unavailable", `The change of ${what} could not be stored; nothing was changed`);
}
