/** How failures become answers: the one table from error code to HTTP status, and the body that clients see. */
import { RETRY_AFTER_S } from "../../../shared/limits.ts";
import { type EntityMeta, type ErrorCode, type Failure, failure, type Violation } from "../../../shared/outcome.ts";

/** The HTTP status of each error code. */
export const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  bad_json: 400,
  empty: 400,
  missing_key: 400,
  invalid_key: 400,
  invalid_schema_id: 400,
  invalid_schema: 400,
  schema_violation: 400,
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  key_unavailable: 409,
  version_mismatch: 412,
  too_large: 413,
  unsupported_media_type: 415,
  too_many_attempts: 429,
  internal: 500,
  tampered: 500,
  no_worker: 503,
  overloaded: 503,
  storage_unavailable: 503,
  deadline: 504,
};

/** What is said of one key of a request that concerns many. */
export interface KeyDetail {
  readonly key: string;
  /** `stored`: it is written, under `version`. Otherwise `code` says why it is not. */
  readonly status: "stored" | "failed";
  readonly version?: number;
  readonly code?: ErrorCode;
  readonly message?: string;
}

/** An entry of `details` in an error body. */
export type ErrorDetail = Violation | KeyDetail;

/** The body of every error answer. */
export interface ErrorBody {
  /** A sentence for a person. */
  readonly error: string;
  readonly code: ErrorCode;
  readonly details?: readonly ErrorDetail[];
}

/**
 * Ends a request early: thrown by the parsers of the REST door, which stand at the edge, and turned into an answer in
 * one place. Nothing behind the door throws or catches it.
 */
export class Refusal extends Error {
  override name = "Refusal";
  constructor(readonly failure: Failure, readonly details?: readonly ErrorDetail[], readonly headers?: HeaderList) {
    super(failure.message);
  }
}

/** Header fields of an answer, in order. */
export type HeaderList = readonly (readonly [string, string])[];

/** A {@linkcode Refusal} with this code, to be thrown. */
export function refuse(code: ErrorCode, message: string, headers?: HeaderList): Refusal {
  return new Refusal(failure(code, message), undefined, headers);
}

/** What a person is told when something happened that nobody expected; the log has the rest under the request id. */
export const INTERNAL = failure(
  "internal",
  "An unexpected error occurred; the server's log has it under this request id",
);

/** The error body of a failure. */
export function errorBody(failed: Failure, details?: readonly ErrorDetail[]): ErrorBody {
  const all = details ?? failed.violations;
  return all === undefined || all.length === 0
    ? { error: failed.message, code: failed.code }
    : { error: failed.message, code: failed.code, details: all };
}

/** The header fields that belong to a failure: `Retry-After`, `WWW-Authenticate`, the current `ETag`. */
export function errorHeaders(failed: Failure): [string, string][] {
  const headers: [string, string][] = [];
  const status = STATUS_OF[failed.code];
  if (status === 503 || status === 429 || failed.retryAfterS !== undefined) {
    headers.push(["retry-after", String(Math.max(1, Math.ceil(failed.retryAfterS ?? RETRY_AFTER_S)))]);
  }
  if (status === 401) headers.push(["www-authenticate", `Bearer realm="deltadatabase"`]);
  if (failed.current !== undefined) headers.push(["etag", quoteEtag(failed.current)]);
  return headers;
}

/** An entity's ETag as a header field value. */
export function quoteEtag(meta: EntityMeta): string {
  return `"${meta.etag}"`;
}
