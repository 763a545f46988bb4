/**
 * Every metric of the product: its name, type, unit, labels and meaning. Names follow Prometheus's conventions: base units,
 * `_total` on counters. `deploy/monitoring` and the dashboards use these names; so a name is a promise.
 */

/** What is in front of every name that is ours. */
export const METRIC_PREFIX = "deltadatabase_";

/** A metric's declaration. */
export interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Names of its labels. Values come from sets that the code bounds, never from what a client sent. */
  readonly labels?: readonly string[];
  /** Upper bounds of a histogram, ascending; `+Inf` is added. */
  readonly buckets?: readonly number[];
}

/** Declarations by name, without the prefix. */
export type Families = Readonly<Record<string, Family>>;

const LATENCY_SECONDS = [
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];

const cache = {
  cache_hits_total: { type: "counter", help: "Lookups that found their document in the cache." },
  cache_misses_total: { type: "counter", help: "Lookups that did not." },
  cache_evictions_total: { type: "counter", help: "Documents that the cache dropped for want of room." },
  cache_entries: { type: "gauge", help: "Documents in the cache." },
  cache_bytes: { type: "gauge", help: "Memory of the cached documents." },
  cache_capacity_bytes: { type: "gauge", help: "Memory that the cache may take; 0 when it is off." },
} as const satisfies Families;

/** The same in both programs: a dashboard tells them apart by their `job`. */
const everyProgram = {
  build_info: { type: "gauge", labels: ["program", "version"], help: "Always 1; the labels say what is running." },
  heap_used_bytes: { type: "gauge", help: "JavaScript heap in use." },
  heap_total_bytes: { type: "gauge", help: "JavaScript heap, with what is free in it." },
  external_memory_bytes: { type: "gauge", help: "Memory of buffers outside the JavaScript heap." },
  event_loop_delay_seconds: {
    type: "histogram",
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    help: "How much later than due a timer of the main thread ran.",
  },
  ...cache,
  s3_requests_total: {
    type: "counter",
    labels: ["request", "outcome"],
    help: "Requests to the S3 service by kind and outcome, each attempt counted.",
  },
  s3_request_duration_seconds: {
    type: "histogram",
    labels: ["request"],
    buckets: LATENCY_SECONDS,
    help: "Time of a request to the S3 service, without the wait for its turn.",
  },
  s3_retries_total: {
    type: "counter",
    labels: ["request", "reason"],
    help: "Requests to the S3 service that were repeated, by what went wrong before.",
  },
} as const satisfies Families;

/** The front of the main worker: what a front thread counts. */
export const FRONT_FAMILIES = {
  ...cache,
  requests_total: {
    type: "counter",
    labels: ["api", "operation", "status"],
    help: "Answered requests of clients; status is HTTP's for rest, gRPC's for grpc.",
  },
  request_duration_seconds: {
    type: "histogram",
    labels: ["api", "operation"],
    buckets: LATENCY_SECONDS,
    help: "Time from a request's arrival to its answer.",
  },
  active_requests: { type: "gauge", help: "Requests that are being answered now, watches not counted." },
  watchers: { type: "gauge", help: "Open watches." },
  credentials_refused_total: { type: "counter", help: "Requests whose credential was missing, bad or not enough." },
  sessions_issued_total: { type: "counter", help: "Session tokens given to clients." },
  batches_total: { type: "counter", help: "Batches of operations sent to processing workers." },
  batch_operations: {
    type: "histogram",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    help: "Operations in a batch.",
  },
  batch_size_bytes: {
    type: "histogram",
    buckets: [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576],
    help: "Payload of a batch.",
  },
  batch_retries_total: {
    type: "counter",
    labels: ["reason"],
    help: "Batches and operations that are sent again, by why the first try did not count.",
  },
  batches_in_flight: { type: "gauge", labels: ["worker"], help: "Batches that a worker has not answered yet." },
  queue_operations: { type: "gauge", labels: ["worker"], help: "Operations that wait for a batch to a worker." },
  queue_bytes: {
    type: "gauge",
    labels: ["worker"],
    help: "Payload of the operations that wait for a batch to a worker.",
  },
  operations_parked: { type: "gauge", help: "Operations that wait for their partition to get an owner." },
  unresolved_writes: { type: "gauge", help: "Writes whose outcome is not known; their entities are not cached." },
} as const satisfies Families;

/** The main worker: front and control. */
export const MAIN_FAMILIES = {
  ...everyProgram,
  ...FRONT_FAMILIES,
  workers_registered: { type: "gauge", help: "Processing workers that the main worker knows." },
  workers_available: { type: "gauge", help: "Processing workers that can be called." },
  worker_joins_total: { type: "counter", labels: ["result"], help: "Attempts of processing workers to join." },
  worker_departures_total: {
    type: "counter",
    labels: ["reason"],
    help: "Processing workers that are gone, by how: they left, were refused a connection, or fell silent.",
  },
  worker_tokens_issued_total: { type: "counter", help: "Tokens given to processing workers, renewals included." },
  partitions: { type: "gauge", help: "Partitions of the store." },
  partitions_owned: { type: "gauge", labels: ["worker"], help: "Partitions that a worker owns." },
  partitions_unowned: {
    type: "gauge",
    labels: ["state"],
    help: "Partitions without an owner: moving to one, or none can take them.",
  },
  partition_moves_total: { type: "counter", help: "Partitions that were assigned to another worker." },
  api_keys: { type: "gauge", help: "API keys." },
  schemas: { type: "gauge", help: "Schema templates." },
  administrative_actions_total: {
    type: "counter",
    labels: ["action", "result"],
    help: "Backups, restores, re-encryptions and the like.",
  },
} as const satisfies Families;

/** A processing worker. */
export const WORKER_FAMILIES = {
  ...everyProgram,
  operations_total: {
    type: "counter",
    labels: ["operation", "status"],
    help: "Executed operations by kind and by what they ended in.",
  },
  operation_duration_seconds: {
    type: "histogram",
    labels: ["operation"],
    buckets: LATENCY_SECONDS,
    help: "Time from an operation's start at its owner to its result.",
  },
  active_operations: { type: "gauge", help: "Operations under way." },
  encryption_operations_total: { type: "counter", labels: ["direction"], help: "Envelopes sealed and opened." },
  encryption_failures_total: {
    type: "counter",
    labels: ["direction"],
    help: "Envelopes that could not be sealed or opened: tampered with, or their key is not held.",
  },
  tampered_envelopes_total: { type: "counter", help: "Envelopes that are not what was sealed under their name." },
  compiled_schemas: { type: "gauge", help: "Schemas that are compiled and kept." },
  log_syncs_total: { type: "counter", help: "Syncs of the log; each makes a group of writes durable." },
  log_sync_seconds_total: { type: "counter", help: "Time that syncs of the log took, added up." },
  log_bytes: { type: "gauge", help: "Log that is not checkpointed yet." },
  dirty_entities: { type: "gauge", help: "Entities whose newest version is in the log only." },
  dirty_bytes: { type: "gauge", help: "Memory of the entities whose newest version is in the log only." },
  checkpoints_total: { type: "counter", help: "Checkpoints of the log into the partitions." },
  partitions_owned: { type: "gauge", help: "Partitions that this worker owns." },
  partitions_failing: { type: "gauge", help: "Partitions assigned to this worker that it could not take yet." },
  main_worker_connected: { type: "gauge", help: "1 while the main worker has accepted this worker." },
  heartbeat_failures_total: { type: "counter", help: "Heartbeats that got no good answer." },
  token_expiry_timestamp_seconds: { type: "gauge", help: "When this worker's token ends, in Unix time." },
} as const satisfies Families;
