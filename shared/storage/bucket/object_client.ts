/** The seam between the bucket engine and an S3 service: single requests, no retries, no waiting for a turn. */

/** An object's mark of its state, as the service returned it (with or without quotes). */
export type ETag = string;

export interface ObjectBody {
  readonly bytes: Uint8Array;
  readonly etag: ETag;
}

export interface ObjectHead {
  readonly size: number;
  readonly etag: ETag;
}

/** An object in a listing. */
export interface ObjectEntry extends ObjectHead {
  readonly key: string;
  /** Milliseconds since the epoch by the service's clock; 0 when it did not say. */
  readonly modifiedMs: number;
}

export interface ObjectPage {
  /** In the byte order of keys. */
  readonly entries: readonly ObjectEntry[];
  /** With a delimiter: what the keys that have it begin with, up to it and with it. */
  readonly prefixes?: readonly string[];
  /** Continues the listing; absent on its last page. */
  readonly next?: string;
}

/** Which keys to list: those with the prefix, after `startAfter` or where an earlier page ended. */
export interface KeyQuery {
  readonly prefix: string;
  readonly startAfter?: string;
  readonly continuation?: string;
  /** Keys that have it after the prefix are not listed by themselves: all that begin alike up to it count as one. */
  readonly delimiter?: string;
  readonly limit: number;
}

/** What must hold for a PUT or a DELETE; `ifMatch` is sent exactly as given. */
export type Condition = { readonly ifNoneMatch: true } | { readonly ifMatch: ETag };

/** `refused`: the condition did not hold, nothing was changed. */
export type PutAnswer = { readonly kind: "stored"; readonly etag: ETag } | { readonly kind: "refused" };

/**
 * Requests to one bucket. Each makes one attempt, ends when `signal` is aborted, and throws
 * {@linkcode ObjectError} (`object_error.ts`) when it fails.
 */
export interface ObjectClient {
  /** Names bucket and endpoint, for messages. */
  readonly place: string;
  /** The whole object, or `undefined`. Objects over `S3_OBJECT_BYTES_MAX` are refused as `rejected`, `TooLarge`. */
  get(key: string, signal: AbortSignal): Promise<ObjectBody | undefined>;
  head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined>;
  put(key: string, bytes: Uint8Array, condition: Condition | undefined, signal: AbortSignal): Promise<PutAnswer>;
  /** Deletes; an object that is not there counts as deleted without a condition, and as refused with one. */
  delete(key: string, ifMatch: ETag | undefined, signal: AbortSignal): Promise<"deleted" | "refused">;
  list(query: KeyQuery, signal: AbortSignal): Promise<ObjectPage>;
  /** Creates the bucket; succeeds when it is this account's already. */
  createBucket(signal: AbortSignal): Promise<void>;
  /** Closes idle connections. */
  close(): void;
}
