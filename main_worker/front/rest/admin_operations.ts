/** The administrative work that the REST door starts and reports but does not do itself. */
import type { Failure } from "../../../shared/outcome.ts";
import type { ServerStats } from "./stats.ts";

/** What a restore does with an entity, template or API key that is there already. */
export type ExistingPolicy = "skip" | "overwrite";

/** Counts of a restore so far. */
export interface RestoreCounts {
  readonly entities: number;
  readonly entities_skipped: number;
  readonly templates: number;
  readonly templates_skipped: number;
  readonly api_keys: number;
  readonly api_keys_skipped: number;
}

/**
 * A line of a restore's answer. `running` comes now and then, the last one is `done` or `failed`. What was counted
 * before a failure is restored and stays.
 */
export type RestoreProgress =
  | ({ readonly status: "running" | "done" } & RestoreCounts)
  | ({ readonly status: "failed"; readonly failure: Failure } & RestoreCounts);

/** Where the re-encryption under the current key stands. Times are RFC 3339. */
export interface RewrapProgress {
  /** `idle`: never started. `failed`: some entities could not be re-encrypted; start it again to try those. */
  readonly status: "idle" | "running" | "done" | "failed";
  /** Id of the key under which everything is to be. */
  readonly key_id: string;
  /** Entities looked at so far. */
  readonly scanned: number;
  /** Entities re-encrypted so far. */
  readonly rewrapped: number;
  /** Entities that could not be re-encrypted so far. */
  readonly failed: number;
  /** All entities, where the store can count them. */
  readonly total: number | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  /** Why it failed, for a person. */
  readonly error?: string;
}

/** Implemented by the rest of the main worker. Callers have been authorized. */
export interface AdminOperations {
  /** What the dashboard shows beyond requests, workers and partitions. */
  stats(): Promise<ServerStats>;
  /**
   * A backup as lines of JSON, in chunks of any size, made while it is consumed. Iteration throws when the backup cannot
   * be completed: it lacks its last line then. `signal`: the client is gone.
   */
  backup(signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | Failure>;
  /** Restores from a backup. Reading `body` may throw: then, as with any other trouble, the last line is `failed`. */
  restore(
    body: ReadableStream<Uint8Array>,
    existing: ExistingPolicy,
    signal: AbortSignal,
  ): AsyncIterable<RestoreProgress>;
  /** Starts re-encryption, or lets the one that runs go on. */
  startRewrap(): Promise<RewrapProgress | Failure>;
  rewrapProgress(): Promise<RewrapProgress>;
}

/** Whether an answer of {@linkcode AdminOperations} is a failure. */
export function isFailure(value: object): value is Failure {
  return "kind" in value && value.kind === "failed";
}
