/**
 * What the two programs say to each other, as plain types. `grpc/` carries them over gRPC (its mapping to
 * `proto/deltadb.proto` is the only one); the simulator carries them in memory.
 */
import type { EntityName, Partition } from "../names.ts";
import type { Outcome } from "../outcome.ts";

/** Ids of assignments; only grow, also across restarts of the main worker: `term * 2^32 + counter`. */
export type Epoch = number;

// --- main worker → processing worker -------------------------------------------------------------------------------

export type OperationKind = "get" | "put" | "patch" | "delete" | "validate" | "rewrap" | "restore";

/** One operation on one entity, as it travels to the partition's owner. */
export interface Operation {
  /** 32 hex digits; the same in every attempt, so that a repeated one is answered and not redone. */
  readonly opId: string;
  readonly kind: OperationKind;
  readonly partition: Partition;
  readonly name: EntityName;
  /** put: the document; patch: the merge patch; validate: the document; restore: the envelope. Otherwise empty. */
  readonly payload: Uint8Array;
  /** Hex SHA-256 of the template that judges the result; empty: any JSON. */
  readonly schemaHash: string;
  /** ETag (without quotes) that must be the current one. Several: any of them. `*`: any that exists. */
  readonly ifMatch?: readonly string[];
  /** put: `["*"]`, must be absent. get: ETags for which `not_modified` is enough. */
  readonly ifNoneMatch?: readonly string[];
  /** The document was validated under this very schema hash before (a PUT of many). */
  readonly validated?: boolean;
  /** put: write even over an entity whose key is not held. restore: overwrite an existing entity. */
  readonly force?: boolean;
  /** 1 for the first sending; more: an earlier one may have been applied. */
  readonly attempt: number;
}

/** Operations for one worker. Executed concurrently, in the order given per entity. */
export interface BatchRequest {
  /** Epoch of the routes by which the batch was sent. A worker refuses what is older than its ownership. */
  readonly epoch: Epoch;
  /** Id of the dispatcher (one per front thread and start of the main worker); sequence numbers are its own. */
  readonly dispatcher: string;
  /** Grows by one for each batch of the dispatcher to this worker. */
  readonly seq: number;
  /** Every batch of the dispatcher below this number has been answered or given up: refuse it if it turns up late. */
  readonly floor: number;
  /** Milliseconds that the caller still waits. */
  readonly deadlineMs: number;
  readonly operations: readonly Operation[];
  /** Templates by their hash that the worker may not have yet. */
  readonly schemas: ReadonlyMap<string, Uint8Array>;
}

/**
 * What a worker answers for one operation. `retry` asks the dispatcher to send it again:
 * `not_owner` (to whoever owns it now), `schema_unknown` (with the template attached), `response_full` (a read whose
 * document did not fit into this answer any more).
 */
export type OperationResult = Outcome | {
  readonly kind: "retry";
  readonly reason: "not_owner" | "schema_unknown" | "response_full";
};

/** Answers in the order of the operations. */
export interface BatchResponse {
  readonly results: readonly OperationResult[];
}

/** Lists one or more owned partitions, merged in byte order of names. */
export interface ListRequest {
  readonly epoch: Epoch;
  readonly partitions: readonly Partition[];
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
  /** `meta`: what the header says; `documents`: opened; `envelopes`: as stored; `counts`: only `counts` is answered. */
  readonly want: "meta" | "documents" | "envelopes" | "counts";
  readonly bytesMax: number;
}

export interface ListItem {
  readonly name: EntityName;
  readonly version: number;
  readonly etag: string;
  readonly writtenAtMs: number;
  /** Bytes of the document. */
  readonly size: number;
  readonly keyId: string;
  /** The document or the envelope, as asked. */
  readonly bytes?: Uint8Array;
  /** Why the document could not be opened (`tampered`, `key_unavailable`). */
  readonly problem?: "tampered" | "key_unavailable";
}

export interface ListResponse {
  readonly items: readonly ListItem[];
  /** Whether there may be more after the last item. */
  readonly more: boolean;
  /** Partitions of the request that this worker does not own: the answer is not whole. */
  readonly notOwned: readonly Partition[];
  /** The storage cannot be read, or what it holds is damaged: the answer is not whole. */
  readonly unreadable?: true;
  /** Too many listings wait already: the worker has not looked at anything. */
  readonly overloaded?: true;
  /** Entities by schema prefix, with `counts`; absent when the store cannot tell. */
  readonly counts?: ReadonlyMap<string, number>;
}

/** One acknowledged write, told to watchers; those of one owner in commit order per partition. */
export interface EntityEvent {
  readonly kind: "put" | "delete";
  readonly name: EntityName;
  readonly version: number;
  readonly etag: string;
  readonly partition: Partition;
  /** Under which its owner served the partition: what was committed under a higher one came later. */
  readonly epoch: Epoch;
}

/** Opens the stream of events of all partitions that the worker owns while it is open. */
export interface EventsRequest {
  readonly epoch: Epoch;
}

// --- processing worker → main worker -------------------------------------------------------------------------------

export interface SubscribeRequest {
  readonly workerId: string;
  /** Random per start of the process; a second live session of the same worker id is refused. */
  readonly session: string;
  /** RSA public key, SPKI DER. */
  readonly publicKey: Uint8Array;
  /** `grpc_addr` (what to dial; host may be empty or unspecified: the peer's address is taken), and free-form ones. */
  readonly tags: Readonly<Record<string, string>>;
  readonly timestampMs: number;
  /** HMAC-SHA-256 over worker id, public key and timestamp; see `shared/crypto/join.ts`. */
  readonly proof: Uint8Array;
  /** Id of the store that the worker has opened, and its partition count: a worker on another store is refused. */
  readonly storeId: string;
  readonly partitions: number;
  /** Partitions that the worker holds already (the main worker was restarted). */
  readonly owned: readonly Partition[];
}

export interface WrappedKey {
  readonly keyId: string;
  /** RSA-OAEP (SHA-256) of the 32 bytes of the master key. */
  readonly wrapped: Uint8Array;
}

export interface SubscribeResponse {
  /** Proves each side to the other from here on. */
  readonly token: string;
  readonly tokenExpiresAtMs: number;
  /** The first is the current key; the rest are read-only keys of earlier data. */
  readonly keys: readonly WrappedKey[];
  readonly heartbeatMs: number;
  readonly term: number;
  /** A document larger than this (the result of a patch) is refused with `too_large`. */
  readonly documentBytesMax: number;
}

export interface HeartbeatRequest {
  readonly workerId: string;
  readonly session: string;
  readonly token: string;
  /** Grows by one for each heartbeat of the session: a report that was overtaken is not believed. */
  readonly seq: number;
  /** What the worker serves right now, with the epoch under which it took each. */
  readonly owned: readonly { readonly partition: Partition; readonly epoch: Epoch }[];
  /** Partitions that it no longer serves but has not given up yet: nobody else can take them now. */
  readonly releasing: readonly Partition[];
  /** Assigned partitions that it could not take yet, and why. */
  readonly failing: readonly {
    readonly partition: Partition;
    readonly reason: "held" | "corrupt" | "unavailable";
    readonly detail: string;
  }[];
  /** For each dispatcher: every batch below `floor` is finished here and none of them will run any more. */
  readonly finished: readonly { readonly dispatcher: string; readonly floor: number }[];
  /** Epoch of the last assignment that it has acted on. */
  readonly epoch: Epoch;
  /** The worker is shutting down: take its partitions away. */
  readonly leaving: boolean;
  readonly activeRequests: number;
  readonly cache: CacheFigures;
  /** Absent: the worker does not tell. */
  readonly storage?: StorageFigures;
  /** Answer at once, without waiting for news. */
  readonly immediate: boolean;
}

/** What a worker's storage engine has done and holds; counters since the worker started. */
export interface StorageFigures {
  /** Times that writes were made durable. */
  readonly syncs: number;
  /** Time of all of them together, in whole microseconds. */
  readonly syncMicroseconds: number;
  /** Bytes of its logs. */
  readonly logBytes: number;
  /** Acknowledged writes that wait for their checkpoint, and their bytes in memory. */
  readonly dirtyEntities: number;
  readonly dirtyBytes: number;
  readonly checkpoints: number;
}

export interface CacheFigures {
  readonly entries: number;
  readonly bytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** Answered when there is news for the worker, at the latest after `heartbeatMs`: so an assignment arrives at once. */
export interface HeartbeatResponse {
  readonly epoch: Epoch;
  /** Everything that the worker shall own; what it owns beyond that it releases. */
  readonly assigned: readonly { readonly partition: Partition; readonly epoch: Epoch }[];
  /** Lowest batch number of each dispatcher that is still waited for; see {@linkcode BatchRequest.floor}. */
  readonly floors: readonly { readonly dispatcher: string; readonly floor: number }[];
  /** A renewed token, shortly before the old one expires; both are good until then. */
  readonly token?: string;
  readonly tokenExpiresAtMs?: number;
}

export interface UnsubscribeRequest {
  readonly workerId: string;
  readonly session: string;
  readonly token: string;
}
