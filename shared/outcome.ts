/**
 * Outcomes: what an operation on an entity can end in, as values. Exceptions are for what nobody expected.
 * `main_worker/front/rest/errors.ts` maps them to HTTP, `main_worker/front/grpc` to gRPC.
 */

/** A stable error code of the contract, in snake case. */
export type ErrorCode =
  | "bad_json"
  | "empty"
  | "missing_key"
  | "invalid_key"
  | "invalid_schema_id"
  | "invalid_schema"
  | "schema_violation"
  | "bad_request"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "method_not_allowed"
  | "key_unavailable"
  | "version_mismatch"
  | "too_large"
  | "unsupported_media_type"
  | "too_many_attempts"
  | "internal"
  | "tampered"
  | "no_worker"
  | "overloaded"
  | "storage_unavailable"
  | "deadline";

/** One way in which a document breaks its schema. `path` is a JSON Pointer (RFC 6901) into the document. */
export interface Violation {
  readonly key: string;
  readonly path: string;
  readonly message: string;
}

/** What is known of one version of an entity. */
export interface EntityMeta {
  /** 1 for the first write after the entity was absent, then one more for each. */
  readonly version: number;
  /** Unique to its write, without the quotes of HTTP: `<version>-<first 16 hex digits of the op id>`. */
  readonly etag: string;
  /** Milliseconds since the epoch, by the clock of the worker that wrote it. */
  readonly writtenAtMs: number;
  /** Bytes of the document. */
  readonly size: number;
}

/** An operation that was refused or failed. `message` is for a person, holds no secret and no document. */
export interface Failure {
  readonly kind: "failed";
  readonly code: ErrorCode;
  readonly message: string;
  readonly violations?: readonly Violation[];
  /** With `version_mismatch`: the version that is there; absent when the entity is. */
  readonly current?: EntityMeta;
  readonly retryAfterS?: number;
}

/** A document that was asked for. */
export interface Found {
  readonly kind: "found";
  readonly document: Uint8Array;
  /** The same as text, where it is at hand. */
  readonly text?: string | undefined;
  readonly meta: EntityMeta;
}

/** What an operation on one entity ends in. */
export type Outcome =
  | Found
  | { readonly kind: "not_modified"; readonly meta: EntityMeta }
  | { readonly kind: "stored"; readonly meta: EntityMeta }
  | { readonly kind: "deleted"; readonly existed: boolean }
  | { readonly kind: "valid" }
  | Failure;

/** A {@linkcode Failure} with this code. */
export function failure(code: ErrorCode, message: string, more: Partial<Failure> = {}): Failure {
  return { ...more, kind: "failed", code, message };
}

/**
 * Takes violations as long as there is room, at least the first: many documents that break a schema in many ways each would
 * otherwise be answered with far more than was asked.
 */
export class ViolationRoom {
  #charsLeft: number;
  #countLeft: number;

  /** Room for so many violations with so many characters in their paths and messages. */
  constructor(charsMax: number, countMax: number) {
    this.#charsLeft = charsMax;
    this.#countLeft = countMax;
  }

  take(violations: readonly Violation[]): readonly Violation[] {
    let end = 0;
    for (const { path, message } of violations) {
      const fits = this.#countLeft >= 1 && this.#charsLeft >= path.length + message.length;
      if (!fits && end > 0) break;
      this.#countLeft -= 1;
      this.#charsLeft -= path.length + message.length;
      end += 1;
      if (!fits) break;
    }
    return end === violations.length ? violations : violations.slice(0, end);
  }
}
