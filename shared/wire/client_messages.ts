/**
 * What a gRPC client says to the main worker in `Process`, as plain types. `main_worker/front/grpc` executes them;
 * `grpc/` carries them.
 */
import type { ErrorCode, Violation } from "../outcome.ts";

/** Every operation of a client. */
export type ClientOperation =
  | "get"
  | "put"
  | "delete"
  | "schema_get"
  | "schema_put"
  | "schema_delete"
  | "patch"
  | "list"
  | "get_many"
  | "put_many"
  | "head"
  | "schema_list";

/** A request as it was sent: names are not parsed, the payload is a view of the message. */
export interface ClientRequest {
  readonly operation: ClientOperation;
  readonly schemaId: string;
  readonly entityKey: string;
  readonly payload: Uint8Array;
  /** ETags without quotes, or `*`; absent where the client sent none. */
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
  readonly force: boolean;
  /** get_many. */
  readonly keys: readonly string[];
  /** put_many. */
  readonly entities: readonly { readonly key: string; readonly payload: Uint8Array }[];
  /** list. */
  readonly prefix: string;
  /** list: 0 stands for the default. */
  readonly limit: number;
  readonly cursor: string;
  readonly values: boolean;
  /** schema_list. */
  readonly counts: boolean;
}

/** One entity of an answer that holds several; absent fields are not known or not asked for. */
export interface ClientEntity {
  readonly key: string;
  readonly status: "ok" | ErrorCode;
  readonly value?: Uint8Array;
  readonly version?: number;
  readonly etag?: string;
  readonly writtenAtMs?: number;
  readonly size?: number;
  readonly error?: string;
}

/** The answer. With a `status` other than `ok` and `not_modified` the call ends in the gRPC status of that code. */
export interface ClientResponse {
  readonly status: "ok" | "not_modified" | ErrorCode;
  /** The document or the template. */
  readonly result?: Uint8Array;
  readonly version?: number;
  readonly etag?: string;
  readonly writtenAtMs?: number;
  readonly size?: number;
  /** A sentence for a person, with an error. */
  readonly error?: string;
  readonly violations?: readonly Violation[];
  readonly entities?: readonly ClientEntity[];
  readonly missing?: readonly string[];
  /** Empty or absent: the last page. */
  readonly nextCursor?: string;
  readonly existed?: boolean;
  readonly schemas?: readonly { readonly id: string; readonly entities?: number }[];
  readonly retryAfterS?: number;
}
