/** The answer of `GET /admin/stats`: what the dashboard shows. Field names are those of the JSON. */
import type { CacheFigures } from "../../../shared/wire/messages.ts";

/** What requests are counted under. `other`: everything that is none of the rest, refused requests included. */
export const OPERATIONS = [
  "get",
  "put",
  "put_many",
  "patch",
  "delete",
  "get_many",
  "list",
  "watch",
  "schema",
  "admin",
  "other",
] as const;

/** One of {@linkcode OPERATIONS}. */
export type OperationName = typeof OPERATIONS[number];

/** One operation over the window. The arrays run parallel to {@linkcode RequestSeries.times}. */
export interface OperationSeries {
  /** Requests per second. */
  readonly rate: readonly number[];
  /** Answers with a status of 500 or more, per second. */
  readonly error_rate: readonly number[];
  /** Median latency in milliseconds; `null` where there was no request. */
  readonly p50_ms: readonly (number | null)[];
  /** 99th percentile of the latency in milliseconds; `null` where there was no request. */
  readonly p99_ms: readonly (number | null)[];
  /** Over the whole window. */
  readonly window: {
    readonly count: number;
    readonly errors: number;
    readonly p50_ms: number | null;
    readonly p99_ms: number | null;
  };
  /** Since the main worker started. */
  readonly total: { readonly count: number; readonly errors: number };
}

/** Rates and latencies of the last minutes, in buckets of equal length. */
export interface RequestSeries {
  /** Length of a bucket in seconds. */
  readonly bucket_s: number;
  /** Start of each bucket, seconds since the epoch, ascending and without gaps. The last one is still filling: its rate is that of the seconds so far. */
  readonly times: readonly number[];
  /** Every operation of {@linkcode OPERATIONS}, also the ones that were not called. */
  readonly operations: Readonly<Record<OperationName, OperationSeries>>;
  /** Requests that are being answered now, watches not counted. */
  readonly active: number;
  /** Open watches. */
  readonly watchers: number;
}

/** A state that an operator should know of, in words. */
export interface Warning {
  /** Stable, snake case: `partitions_without_owner`, `no_worker`, `dev_mode`, `invalid_template`, `store_conditions`, … */
  readonly code: string;
  readonly severity: "info" | "warning" | "critical";
  /** A sentence for a person. */
  readonly message: string;
  /** RFC 3339; `null` where it is not known. */
  readonly since: string | null;
}

/** A worker, as `GET /admin/workers` answers it. */
export interface WorkerJson {
  readonly worker_id: string;
  readonly status: "Available" | "Unavailable";
  readonly key_id: string;
  /** RFC 3339. */
  readonly last_seen: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly active_requests: number;
  /** The partitions that it owns, ascending. */
  readonly partitions: readonly number[];
  readonly cache: CacheFigures;
  /** Absent while it has not told. */
  readonly storage?: WorkerStorageJson;
}

/** A worker's storage engine; counters since the worker started. */
export interface WorkerStorageJson {
  /** Times that writes were made durable, and how long that took on average. */
  readonly syncs: number;
  readonly sync_mean_ms: number | null;
  /** Bytes of its logs. */
  readonly log_bytes: number;
  /** Acknowledged writes that wait for their checkpoint, and their bytes in memory. */
  readonly dirty_entities: number;
  readonly dirty_bytes: number;
  readonly checkpoints: number;
}

/** Figures of a cache, counters since the start. */
export interface CacheStats extends CacheFigures {
  /** Capacity in bytes; 0: turned off. */
  readonly bytes_max: number;
  /** Hits per lookup, 0 to 1; `null` before the first lookup. */
  readonly hit_ratio: number | null;
}

/** Who owns what: the strip that shows the balance. */
export interface PartitionStats {
  readonly count: number;
  /** Grows with each assignment. */
  readonly epoch: number;
  /** By partition: the worker that owns it, or `null`. */
  readonly owners: readonly (string | null)[];
  /** Partitions that are on their way to an owner. */
  readonly moving: readonly number[];
  /** Partitions that no worker can take now. */
  readonly none: readonly number[];
}

/** How long the store takes to make writes durable, over all workers; `null` where no worker reports it. */
export interface SyncStats {
  /** Mean of the last report interval, in milliseconds per sync. */
  readonly mean_ms: number | null;
  /** Syncs since the workers started. */
  readonly syncs: number | null;
}

/** What the rest of the main worker contributes; the REST door adds requests, workers and partitions. */
export interface ServerStats {
  /** RFC 3339. */
  readonly started_at: string;
  readonly storage: {
    readonly kind: "directory" | "bucket";
    /** Path of the directory, or endpoint and bucket. */
    readonly location: string;
    /** 32 hex digits, made with the store. */
    readonly store_id: string;
  };
  /** Id of the key that new envelopes are sealed with. */
  readonly key_id: string;
  /** The main worker's read cache. */
  readonly cache: CacheStats;
  readonly sync: SyncStats;
  readonly warnings: readonly Warning[];
  /** The configuration by flag name, with secrets shown as `set` or `not set`. */
  readonly configuration: Readonly<Record<string, string | number | boolean | null>>;
}

/** The whole answer. */
export interface Stats extends ServerStats {
  readonly version: string;
  /** The server's time, RFC 3339. */
  readonly now: string;
  readonly dev_mode: boolean;
  readonly requests: RequestSeries;
  readonly workers: readonly WorkerJson[];
  readonly partitions: PartitionStats;
}
