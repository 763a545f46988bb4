/** Every bound of the product in one place: what is refused beyond it is refused with a clear error. */

const KIB = 1024;
const MIB = 1024 * KIB;

// Names (see names.ts).
export const SCHEMA_ID_BYTES_MAX = 64;
export const ENTITY_KEY_BYTES_MAX = 256;

// Documents and requests.
export const BODY_BYTES_MAX_DEFAULT = 1 * MIB;
export const ADMIN_BODY_BYTES_MAX = 64 * KIB;
export const GRPC_MESSAGE_BYTES_MAX_DEFAULT = 4 * MIB;
export const JSON_DEPTH_MAX = 128;
export const ENTITIES_PER_PUT_MAX = 1_000;
export const KEYS_PER_MULTI_GET_MAX = 1_000;
/** A multi-get answers at most this many bytes of documents. */
export const MULTI_GET_BYTES_MAX = 64 * MIB;
export const LIST_PAGE_MAX = 1_000;
export const LIST_PAGE_DEFAULT = 100;
/** A page of a listing with values ends early when it holds this many bytes. */
export const LIST_PAGE_BYTES_MAX = 8 * MIB;
export const VIOLATIONS_MAX = 1_000;
export const REQUEST_DEADLINE_MS = 10_000;
export const REQUEST_BODY_TIMEOUT_MS = 30_000;

// Envelopes (shared/crypto).
export const ENVELOPE_HEADER_BYTES_MAX = 4 * KIB;
export const MASTER_KEYS_MAX = 16;
export const KEY_ID_BYTES_MAX = 64;
/** Key check values that a store remembers; beyond it the oldest ones of generated keys are forgotten. */
export const KEY_CHECKS_MAX = 1_000;
/** A public key in SPKI DER that a worker may present (one of 3,072 bits has 422). */
export const PUBLIC_KEY_BYTES_MAX = 1 * KIB;

// Schemas.
export const SCHEMA_BYTES_MAX = 1 * MIB;
export const SCHEMAS_MAX = 10_000;
export const COMPILED_SCHEMAS_MAX = 256;
export const TEMPLATE_POLL_MS = 2_000;

// Credentials.
export const API_KEYS_MAX = 10_000;
export const API_KEY_NAME_BYTES_MAX = 128;
export const CREDENTIAL_BYTES_MAX = 4 * KIB;
/** What a client calls itself when it logs in. */
export const CLIENT_ID_BYTES_MAX = 256;
export const LOGIN_FAILURES_PER_MINUTE = 10;
export const LOGIN_ADDRESSES_MAX = 10_000;
export const VERIFIED_TOKENS_MAX = 10_000;

// Dispatch (main worker to processing workers).
export const BATCH_OPERATIONS_MAX = 128;
export const BATCH_BYTES_MAX = 1 * MIB;
export const BATCHES_IN_FLIGHT_MAX = 2;
export const QUEUE_OPERATIONS_MAX = 10_000;
export const QUEUE_BYTES_MAX = 64 * MIB;
/** Writes with an unknown outcome that the main worker remembers; beyond it, whole partitions count as unresolved. */
export const UNRESOLVED_WRITES_MAX = 100_000;
export const COHERENCE_SLOTS = 65_536;
export const RETRY_AFTER_S = 1;

// Membership.
export const WORKERS_MAX = 64;
export const PARTITIONS_DEFAULT = 64;
export const PARTITIONS_MAX = 1_024;
export const HEARTBEAT_MS = 2_000;
export const HEARTBEATS_MISSED_MAX = 3;
export const JOIN_PROOF_AGE_MS_MAX = 60_000;
export const JOIN_TIMEOUT_MS = 5_000;
export const HANDOVER_RETRY_MS = 100;
export const SHUTDOWN_MS_MAX = 9_000;
/** How long a worker remembers the ids of operations that it has applied, so that a repeated one is answered, not redone. */
export const APPLIED_OPERATIONS_MAX = 100_000;

// Caches.
export const CACHE_BYTES_DEFAULT = 64 * MIB;
export const CACHE_ENTRIES_DEFAULT = 256;

// Directory engine.
export const LOG_CHECKPOINT_BYTES = 64 * MIB;
export const LOG_CHECKPOINT_MS = 30_000;
export const LOG_RECORD_BYTES_MAX = 16 * MIB;
export const LOG_FRAME_BYTES_MAX = 64 * MIB;

// Bucket engine.
export const S3_PARALLEL_MAX = 64;
export const S3_OPERATION_MS = 8_000;
export const S3_ATTEMPTS_MAX = 6;
export const S3_LEASE_MS = 15_000;
/** One attempt at a request; the operation goes on with another one until its own time is up. */
export const S3_ATTEMPT_MS = 3_000;
export const S3_CONNECT_MS = 2_000;
/** Part of an operation's time that is kept for finding out what became of a write whose answer was lost. */
export const S3_READ_BACK_MS = 2_000;
export const S3_BACKOFF_MS_MIN = 50;
export const S3_BACKOFF_MS_MAX = 2_000;
/** Requests that wait for their turn; beyond it, operations are refused. */
export const S3_WAITING_MAX = 10_000;
/** An object larger than this is not an envelope, a template or a list of keys, and is not read. */
export const S3_OBJECT_BYTES_MAX = 16 * MIB;
export const S3_LIST_KEYS_MAX = 1_000;
/** `meta.json` objects that wait to be written; beyond it they are left to the maintenance pass. */
export const S3_META_WAITING_MAX = 4_096;
export const S3_META_PARALLEL_MAX = 2;
/** How long a name takes no write after an unconditional request to it may still be under way. */
export const S3_DOUBT_MS = 60_000;
export const S3_DOUBTS_MAX = 10_000;
/** Between two passes that rebuild missing `meta.json` objects; the first comes after the shorter time. */
export const S3_MAINTENANCE_MS = 3_600_000;
export const S3_MAINTENANCE_SOON_MS = 60_000;
/** What closing waits for outstanding `meta.json` objects. */
export const S3_FLUSH_MS = 2_000;

// Watching.
export const WATCH_EVENTS_KEPT = 10_000;
export const WATCH_BUFFER_EVENTS_MAX = 1_000;
export const WATCHERS_MAX = 1_000;
export const WATCH_COMMENT_MS = 15_000;

// Configuration.
/** 100 years: beyond it, milliseconds are no use to anybody. */
export const FLAG_DURATION_MS_MAX = 36_500 * 86_400_000;
export const HOST_BYTES_MAX = 253;
export const PATH_BYTES_MAX = 4_096;
export const WORKER_ID_BYTES_MAX = 128;
export const REST_BODY_BYTES_MAX = 15 * MIB;
export const GRPC_MESSAGE_BYTES_MAX = 64 * MIB;
/** What a message needs beside the one document that travels in it. */
export const GRPC_MESSAGE_OVERHEAD_BYTES = 64 * KIB;
export const FRONT_THREADS_MAX = 64;
export const CACHE_BYTES_MAX = 64 * 1_024 * MIB;
export const CACHE_ENTRIES_MAX = 100_000_000;
export const TOKEN_TTL_MS_MIN = 1_000;
export const TOKEN_TTL_MS_MAX = 366 * 86_400_000;

// REST door (main worker).
/** The dashboard's series: 10 minutes in buckets of 5 s. */
export const STATISTICS_BUCKET_MS = 5_000;
export const STATISTICS_BUCKETS = 120;
/** Answers up to this many bytes are put together in memory; longer ones are streamed. */
export const JSON_ANSWER_BYTES_MAX = 1 * MIB;
/** All templates together: they are held in memory, in each front thread. */
export const TEMPLATES_BYTES_MAX = 64 * MIB;
/** Patterns to which one API key can be confined. */
export const API_KEY_SCHEMAS_MAX = 100;
/** Entity tags in one condition. */
export const ENTITY_TAGS_MAX = 100;
/** `Last-Event-ID` and `X-Request-Id` as clients send them. */
export const EVENT_ID_BYTES_MAX = 128;
export const REQUEST_ID_BYTES_MAX = 64;
/** A check of stored documents against a candidate schema: how long it runs, and how many failing ones it names. */
export const SCHEMA_CHECK_MS_MAX = 30_000;
export const SCHEMA_CHECK_EXAMPLES_MAX = 20;
/** How long a check works before it lets other requests run. */
export const SCHEMA_CHECK_SLICE_MS = 5;
