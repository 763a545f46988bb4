/** Turns errors of the disk into the store's own. */
import { StorageError } from "../store.ts";
import { DiskError, type DiskErrorCode } from "./disk.ts";

const START_UP_REASONS: Partial<Record<DiskErrorCode, string>> = {
  denied: "permission is denied",
  read_only: "the file system is read-only",
  missing: "it does not exist",
  not_directory: "it is not a directory",
};

/** An error while the store runs: damage is `corrupt`, everything else may pass. */
export function runtimeError(doing: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  if (!(error instanceof DiskError)) throw error;
  const reason = error.code === "damaged" ? "corrupt" : "unavailable";
  return new StorageError(reason, `${doing}: ${error.message}`, { cause: error });
}

/** An error at start-up: what only a person can change is `configuration`. */
export function startUpError(doing: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  if (!(error instanceof DiskError)) throw error;
  const why = START_UP_REASONS[error.code];
  if (why === undefined) return runtimeError(doing, error);
  return new StorageError("configuration", `${doing}: ${why} (${error.message})`, { cause: error });
}
