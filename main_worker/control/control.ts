/**
 * The line between the two halves of the main worker. Front learns from control only by immutable snapshots and asks it
 * only what is listed here, so that front can run on other threads: everything below survives a structured clone.
 */
import type { Partition, SchemaId } from "../../shared/names.ts";
import type { Failure } from "../../shared/outcome.ts";
import type { CacheFigures, Epoch, StorageFigures } from "../../shared/wire/messages.ts";

/** A processing worker that can be called. */
export interface WorkerRoute {
  readonly workerId: string;
  /** Unique to one start of the process. */
  readonly session: string;
  /** `host:port` to dial. */
  readonly address: string;
  /** Presented with every call to it. Changes when it is renewed; the session does not. */
  readonly token: string;
}

/** Who owns which partition. */
export interface Routes {
  readonly epoch: Epoch;
  readonly workers: ReadonlyMap<string, WorkerRoute>;
  /**
   * By partition: the session of its owner, or why there is none. `moving`: an owner is expected within moments, wait
   * for the next routes. `none`: no worker can take it now.
   */
  readonly owners: readonly ({ readonly session: string; readonly epoch: Epoch } | "moving" | "none")[];
  /**
   * For each partition, the epoch under which its present or last owner took it from another one: writes that were sent
   * earlier are decided. An owner that is granted it anew has decided nothing by that.
   */
  readonly takenEpochs: readonly Epoch[];
}

export type Permission = "read" | "write" | "admin";

/** An API key without its secret. Times in milliseconds since the epoch. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** Hex SHA-256 of the secret. */
  readonly hash: string;
  readonly permissions: readonly Permission[];
  /** Patterns of schema ids, `*` at the end matches any rest; absent: all. */
  readonly schemas?: readonly string[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

/** What authentication needs. */
export interface Credentials {
  readonly revision: number;
  /** Hex SHA-256 of the admin key; `null`: dev mode. */
  readonly adminKeyHash: string | null;
  readonly apiKeys: readonly ApiKey[];
  /** Key of the HMAC over session tokens (`deltadb/session/v1`), and those of old master keys, which verify only. */
  readonly sessionKeys: readonly Uint8Array[];
  readonly clientTtlMs: number;
}

/** A template by which writes are judged. */
export interface Template {
  /** Hex SHA-256 of `text`. */
  readonly hash: string;
  readonly text: Uint8Array;
  /** Why no write can be accepted (a file dropped in that is not a valid schema). */
  readonly invalid?: string;
}

export interface Schemas {
  readonly revision: number;
  readonly templates: ReadonlyMap<SchemaId, Template>;
}

/** Everything that front knows from control. A field keeps its identity while it has not changed. */
export interface Snapshot {
  readonly routes: Routes;
  readonly credentials: Credentials;
  readonly schemas: Schemas;
  /**
   * What each worker session has reported per dispatcher: every batch below the number is finished there and will not run
   * any more. Key: `<session>/<dispatcher>`.
   */
  readonly finished: ReadonlyMap<string, number>;
}

/** A worker as the administration sees it. */
export interface WorkerView {
  readonly workerId: string;
  readonly status: "Available" | "Unavailable";
  readonly keyId: string;
  readonly lastSeenMs: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly activeRequests: number;
  readonly partitions: readonly Partition[];
  readonly cache: CacheFigures;
  /** Absent: it has not told yet, or has gone. */
  readonly storage?: StorageFigures;
}

/** Result of a change that control made durable and every front has confirmed. */
export type Changed<T> = { readonly kind: "done"; readonly value: T } | Failure;

export interface NewApiKey {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly schemas?: readonly string[];
  readonly expiresInMs?: number;
}

/** What front may ask of control. */
export interface Control {
  snapshot(): Snapshot;
  /** Calls `listener` with each new snapshot, until the returned function is called. What it returns is its confirmation. */
  subscribe(listener: (snapshot: Snapshot) => void | Promise<void>): () => void;
  /** Stores a template. `text` is valid JSON; control checks that it is a valid schema. `created`: there was none. */
  putSchema(id: SchemaId, text: Uint8Array): Promise<Changed<{ created: boolean }>>;
  deleteSchema(id: SchemaId): Promise<Changed<{ existed: boolean }>>;
  createApiKey(key: NewApiKey): Promise<Changed<{ key: ApiKey; secret: string }>>;
  revokeApiKey(id: string): Promise<Changed<{ existed: boolean }>>;
  /** Counts a failed login; the answer is the seconds to wait when there were too many from this address, else 0. */
  loginFailed(address: string): number;
  /** Seconds until this address may try again; 0: now. */
  loginBlocked(address: string): number;
  /** Front saw that nobody listens at this session's address: take it out now. */
  workerRefused(session: string): void;
  /** Lowest batch number of a dispatcher to a session that is still waited for; told to the worker with its next heartbeat. */
  batchFloor(session: string, dispatcher: string, floor: number): void;
  workers(): readonly WorkerView[];
}
