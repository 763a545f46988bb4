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
/** Memory of request bodies that are not whole yet, in all front threads; small ones take about what a request takes anyway. */
export const BODIES_ARRIVING_BYTES_MAX = 128 * MIB;
export const BODY_UNCOUNTED_BYTES_MAX = 64 * KIB;
/** What is taken, and thrown away, of the body of a refused request, of so many at a time. */
export const REFUSED_BODY_BYTES_MAX = 16 * MIB;
export const REFUSED_BODY_MS_MAX = 3_000;
export const REFUSED_BODIES_MAX = 16;

// Envelopes (shared/crypto).
export const ENVELOPE_HEADER_BYTES_MAX = 4 * KIB;
export const MASTER_KEYS_MAX = 16;
export const KEY_ID_BYTES_MAX = 64;
/** Key check values that a store remembers; beyond it the oldest ones of generated keys are forgotten. */
export const KEY_CHECKS_MAX = 1_000;

// Schemas.
export const SCHEMA_BYTES_MAX = 1 * MIB;
export const SCHEMAS_MAX = 10_000;
export const COMPILED_SCHEMAS_MAX = 256;
/** What compiled schemas may weigh together, as estimated from their texts and patterns. */
export const COMPILED_SCHEMAS_BYTES_MAX = 64 * MIB;
/** Subschemas of one schema after its references are followed. */
export const SCHEMA_SUBSCHEMAS_MAX = 20_000;
/** Subschemas that one schema may apply to one and the same value, references followed. */
export const SCHEMA_FANOUT_MAX = 10_000;
/** References that one value may pass through before a subschema looks at a part of it. */
export const SCHEMA_REFERENCE_CHAIN_MAX = 64;
/** `$dynamicAnchor`s of one schema: each may give every definition another meaning. */
export const SCHEMA_DYNAMIC_ANCHORS_MAX = 100;
/** Sizes of all patterns of one schema together; a pattern counts as 16 at least. Compiling takes about 10 us for each 1. */
export const SCHEMA_PATTERNS_SIZE_MAX = 20_000;
export const PATTERN_CHARS_MAX = 4_096;
/** Characters and classes of one pattern with its counted repetitions written out. */
export const PATTERN_SIZE_MAX = 2_000;
/**
 * Work for which a document may be judged (see shared/schema/meter.ts): so much, and so much for each of its bytes, so
 * that a batch can't hold a worker up for longer than its bytes allow. A step takes 5 to 150 ns.
 */
export const VALIDATION_STEPS_BASE = 100_000;
export const VALIDATION_STEPS_PER_BYTE = 10;
/** Characters of all paths and messages in one list of violations, be they of one document or of all in a request. */
export const VIOLATIONS_CHARS_MAX = 256 * KIB;
/** The same for all documents of a batch. */
export const BATCH_VIOLATIONS_CHARS_MAX = 1 * MIB;
export const TEMPLATE_POLL_MS = 2_000;
/** Bytes of schemas that wait until those before them are stored, one after the other. */
export const SCHEMA_TURNS = { atOnce: 1, waitingMax: 16 * MIB, waitMs: 8_000 };

// Credentials.
export const API_KEYS_MAX = 10_000;
/** Changes of the keys that wait for those before them. */
export const API_KEY_TURNS = { atOnce: 1, waitingMax: 1_000, waitMs: 8_000 };
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
/** Where some batches are under way, fewer operations than these wait for one to come back. */
export const BATCH_OPERATIONS_MIN = 8;
export const BATCHES_IN_FLIGHT_MAX = 4;
export const S3_BATCHES_IN_FLIGHT_MAX = 16;
export const QUEUE_OPERATIONS_MAX = 20_000;
/** Repeated operations of one dispatcher that a worker knows at a time: all that can be waiting, some of them twice. */
export const REPEATED_OPERATIONS_MAX = 2 * QUEUE_OPERATIONS_MAX;
export const QUEUE_BYTES_MAX = 64 * MIB;
/**
 * Pages of listings that a worker makes, and a front thread asks for, at a time: each may be megabytes. What waits for its turn in
 * both places has some time of the request's left to be done.
 */
export const LISTING_TURNS = { atOnce: 4, waitingMax: 2_000, waitMs: 4_000 };
/** Bytes of the documents that a worker patches at a time, each of which is in memory several times. */
export const PATCH_TURNS = { atOnce: 16 * MIB, waitingMax: 64 * MIB, waitMs: 4_000 };
/** Writes with an unknown outcome that the main worker remembers; beyond it, writes are refused. */
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
/** How long a worker that joins may take to answer at the address that it gives. */
export const WORKER_PROBE_MS = 2_000;
export const HANDOVER_RETRY_MS = 100;
export const SHUTDOWN_MS_MAX = 9_000;
/** A program that is told to stop while it starts may finish its start, and stop in good order, within this. */
export const SHUTDOWN_WHILE_STARTING_MS = 2_000;

// Caches.
export const CACHE_BYTES_DEFAULT = 64 * MIB;
/** Documents that a read cache keeps as text, which lies in V8's heap: that has a limit of its own, far below a machine's memory. */
export const CACHE_TEXT_BYTES_MAX = 64 * MIB;
/** What was written last, and was not asked for yet, in a read cache. */
export const CACHE_WRITTEN_ENTRIES_MAX = 256;
export const CACHE_WRITTEN_BYTES_MAX = 4 * MIB;
/** A cached document that was written so often since anybody asked for it counts as not asked for. */
export const CACHE_UNREAD_WRITES_MAX = 8;
export const CACHE_ENTRIES_DEFAULT = 256;
/** Versions of entities that a worker remembers beyond the documents that it has room for; each takes some 300 bytes. */
export const CACHE_VERSIONS_MAX = 65_536;

// Directory engine.
/**
 * A checkpoint begins when the log has so many bytes, or when so many of them are needed in memory: what was overwritten is not,
 * though it stays there with the rest of its group.
 */
export const LOG_CHECKPOINT_BYTES = 64 * MIB;
export const LOG_CHECKPOINT_DIRTY_BYTES = 32 * MIB;
export const LOG_CHECKPOINT_MS = 30_000;
export const LOG_RECORD_BYTES_MAX = 16 * MIB;
export const LOG_FRAME_BYTES_MAX = 64 * MIB;
/** A group of writes that share a sync holds at most this many bytes (a larger write is a group of its own). */
export const LOG_GROUP_BYTES_MAX = 4 * MIB;
/** Writes that wait for their group; beyond it they are refused. */
export const LOG_QUEUE_BYTES_MAX = 64 * MIB;
/** Acknowledged writes in memory that are not checkpointed yet; beyond it writes wait, or are refused if checkpoints fail. */
export const LOG_DIRTY_BYTES_MAX = 256 * MIB;
/** Bytes of one worker's logs together; beyond it writes wait or are refused, as above. */
export const LOG_BYTES_MAX = 512 * MIB;
export const CHECKPOINT_RETRY_MS = 1_000;
/** One transaction of a checkpoint holds at most this many rows and bytes, because it runs on the thread that serves. */
export const CHECKPOINT_STEP_ROWS_MAX = 256;
export const CHECKPOINT_STEP_BYTES_MAX = 256 * KIB;
/** Workers that died one after the other before a partition was checkpointed; then it is, before it serves. */
export const PARTITION_WRITERS_MAX = 16;
/** How long what was read from dead workers' logs is kept for further partitions, and how much of it. */
export const RECOVERED_KEPT_MS = 5_000;
export const RECOVERED_KEPT_BYTES_MAX = 256 * MIB;
/** SQLite's pages in memory, over all partitions of a store. */
export const TABLE_CACHE_BYTES = 64 * MIB;
export const SHELF_OBJECT_BYTES_MAX = 64 * MIB;

// Bucket engine.
export const S3_PARALLEL_MAX = 64;
export const S3_OPERATION_MS = 8_000;
export const S3_ATTEMPTS_MAX = 6;
export const S3_LEASE_MS = 15_000;
/** One attempt at a request; the operation goes on with another one until its own time is up. */
export const S3_ATTEMPT_MS = 3_000;
export const S3_CONNECT_MS = 2_000;
/** A connection that was idle for so long is closed; services close theirs after 5 s and more. */
export const S3_IDLE_MS = 4_000;
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
/** What closing waits for outstanding `meta.json` objects, and what handing over a partition does. */
export const S3_FLUSH_MS = 2_000;
export const S3_HANDOVER_FLUSH_MS = 200;

// Watching.
export const WATCH_EVENTS_KEPT = 10_000;
export const WATCH_BUFFER_EVENTS_MAX = 1_000;
/** How long events are still kept when the last watcher has gone, which may come back. */
export const WATCH_LINGER_MS = 60_000;
export const WATCHERS_MAX = 1_000;
/** Where more clients watch, so many are told of their events each millisecond, of all that they have by then. */
export const WATCHERS_TOLD_PER_MS = 10;
export const WATCH_COMMENT_MS = 15_000;
/** A client that takes nothing for so long, though there is something for it, is cut off. */
export const WATCH_STALLED_MS = 60_000;

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
/** Answers up to this many bytes go out whole, and nobody counts who takes them; longer ones are streamed. */
export const JSON_ANSWER_BYTES_MAX = 128 * KIB;
/**
 * Longer answers that are under way together, in all front threads and over gRPC. Over REST, one whose client takes nothing for
 * so long is cut off.
 */
export const LARGE_ANSWERS_BYTES_MAX = 256 * MIB;
export const LARGE_ANSWER_STALLED_MS = 60_000;
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
/** Bytes of candidates that are compiled and checked at a time: the latest one, and those that end because of it. */
export const SCHEMA_CHECK_TURNS = { atOnce: 2 * SCHEMA_BYTES_MAX, waitingMax: 16 * SCHEMA_BYTES_MAX, waitMs: 8_000 };
export const SCHEMA_CHECK_EXAMPLES_MAX = 20;
/** How long a check works before it lets other requests run. */
export const SCHEMA_CHECK_SLICE_MS = 5;

// Logs.
export const LOG_LINE_BYTES_MAX = 8 * KIB;
export const LOG_STRING_CHARACTERS_MAX = 1 * KIB;
export const LOG_LIST_ITEMS_MAX = 32;
export const LOG_FIELD_DEPTH_MAX = 4;

// Wire (shared/wire/grpc).
/** A storage name: every byte of both ids percent-encoded, and the separator. */
export const ENTITY_NAME_BYTES_MAX = 3 * (SCHEMA_ID_BYTES_MAX + ENTITY_KEY_BYTES_MAX) + 1;
export const ETAG_BYTES_MAX = 64;
/** Ids of sessions, dispatchers and stores, as they travel. */
export const WIRE_ID_BYTES_MAX = 128;
/** Sentences for people: error messages and the details of a failing partition. */
export const WIRE_TEXT_BYTES_MAX = 4 * KIB;
export const WORKER_TAGS_MAX = 32;
export const WORKER_TAG_BYTES_MAX = 1 * KIB;
/** A public key, and a master key wrapped for it. */
export const WIRE_PUBLIC_KEY_BYTES_MAX = 1 * KIB;
export const WRAPPED_KEY_BYTES_MAX = 1 * KIB;
export const JOIN_PROOF_BYTES_MAX = 64;
/** What a caller without a token can make the main worker decode. */
export const SUBSCRIBE_BYTES_MAX = 64 * KIB;
export const HEARTBEAT_BYTES_MAX = 1 * MIB;
/** Dispatchers that a heartbeat speaks of: one per front thread, and some of earlier starts. */
export const HEARTBEAT_DISPATCHERS_MAX = 1_024;
/** Templates that a batch refers to or brings along. */
export const BATCH_SCHEMAS_MAX = BATCH_OPERATIONS_MAX;
/** Violations of one failure, in all its messages, as they travel between the programs. */
export const WIRE_VIOLATIONS_MAX = VIOLATIONS_MAX;
/** Items and counts of a listing. */
export const WIRE_LIST_ITEMS_MAX = 10_000;
export const WIRE_COUNTS_MAX = 1_000_000;
/** What the answer to a batch or a list may be larger than a request: a page of documents, and what is known of them. */
export const GRPC_ANSWER_EXTRA_BYTES = LIST_PAGE_BYTES_MAX + 4 * MIB;
/** An error that travels in the trailing metadata of a client's call; gRPC clients accept 8 KiB of them, in base64. */
export const GRPC_TRAILER_BYTES_MAX = 4 * KIB;
/** Connections at a time to one server; what says nothing is closed after a keepalive. */
export const GRPC_CONNECTIONS_MAX = 2_000;
/** Calls at a time on one connection; each may hold a message. */
export const GRPC_STREAMS_MAX = 256;
/** A question to the health or the reflection service, which anybody may ask. */
export const GRPC_PUBLIC_REQUEST_BYTES_MAX = 4 * KIB;
/** Memory of the calls of a server that wait for their callers, all together; at least so many of the largest messages. */
export const GRPC_WAITING_BYTES_MAX = 64 * MIB;
export const GRPC_WAITING_MESSAGES_MIN = 4;
/** Time that a caller has to take a large answer. */
export const GRPC_ANSWER_TAKEN_MS = 300_000;
/** Messages of one call that are worked on at a time; more are not read until one of them is answered. */
export const GRPC_EXCHANGES_MAX = 64;
/** A larger batch travels to a processing worker in a call of its own, so that it holds up no other. */
export const GRPC_SHARED_CALL_BYTES_MAX = 256 * KIB;
export const GRPC_KEEPALIVE_MS = 10_000;
export const GRPC_KEEPALIVE_TIMEOUT_MS = 5_000;
/**
 * What an attempt to connect may take, TLS and HTTP/2 included, at first; after each that took longer, twice as much. No more
 * than a heartbeat has: in a longer one TCP asks too rarely to notice soon that somebody answers again.
 */
export const GRPC_CONNECT_MS_MIN = 2_000;
export const GRPC_CONNECT_MS_MAX = 5_000;
export const GRPC_RECONNECT_MS_MIN = 100;
export const GRPC_RECONNECT_MS_MAX = 1_000;
export const GRPC_RESOLVE_MS_MIN = 1_000;
/** A stream of events that is not open by then has failed. */
export const GRPC_EVENTS_OPEN_MS = 5_000;
/** How often certificates are looked at for a change. */
export const TLS_POLL_MS = 10_000;
/** How long it may take to find out whether anybody listens at an address. */
export const GRPC_PROBE_MS = 1_000;

// Listeners.
/** A listener whose accepting failed is opened again after this. */
export const LISTENER_RETRY_MS = 100;

// Metrics.
/** Label sets of one metric; further ones are counted under `other`. */
export const METRIC_SERIES_MAX = 1_000;
export const METRICS_REQUEST_MS = 10_000;

// Administration.
/** A line of a backup: the largest envelope in base64, and its name. */
export const BACKUP_LINE_BYTES_MAX = 24 * MIB;
/** Entities whose envelopes are asked for at once, and about how much of a backup is handed over at once. */
export const BACKUP_PAGE = 256;
export const BACKUP_CHUNK_BYTES = 64 * KIB;
/** How long a backup, a restore and a count of unreadable entities wait for a partition that nobody serves. */
export const ADMINISTRATION_WAIT_MS = 60_000;
/** Entities of a restore that are under way together, and their bytes. */
export const RESTORE_PARALLEL_MAX = 256;
export const RESTORE_BYTES_MAX = 32 * MIB;
/** Lines that a restore leaves out because they are damaged; beyond it, it gives up. */
export const RESTORE_REFUSED_MAX = 100;
/** Entities that are re-encrypted at the same time, so that clients do not feel it. */
export const REWRAP_PARALLEL = 8;

// Development runner.
export const DEV_WORKERS_MAX = 16;
export const CHILD_LINE_BYTES_MAX = 64 * KIB;
/** Lines about refused requests that are written in a second; the rest is counted in the next one. */
export const REFUSALS_LOGGED_PER_S = 20;
/** Documents that a check asks for at a time, and violations that it tells of one. */
export const SCHEMA_CHECK_PAGE = 100;
export const SCHEMA_CHECK_VIOLATIONS_MAX = 10;

// Front threads.
/** A front thread that does not listen by then has failed to start. */
export const FRONT_THREAD_START_MS = 30_000;
