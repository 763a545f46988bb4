/** The one table between failures and gRPC statuses, in both directions. */
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import type { ErrorCode } from "../../outcome.ts";
import { TransportError, type TransportFailure } from "../transport.ts";

/** Names of the gRPC statuses that this product uses. */
export type StatusName =
  | "INVALID_ARGUMENT"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "RESOURCE_EXHAUSTED"
  | "UNAVAILABLE"
  | "DEADLINE_EXCEEDED"
  | "DATA_LOSS"
  | "UNIMPLEMENTED"
  | "CANCELLED"
  | "INTERNAL";

/** A call that ends in this gRPC status. Handlers throw it; the message travels to the caller. */
export class WireError extends Error {
  override name = "WireError";
  constructor(readonly status: StatusName, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** As {@linkcode WireError}, with trailing metadata. */
export class StatusError extends WireError {
  constructor(status: StatusName, message: string, readonly metadata: grpc.Metadata) {
    super(status, message);
  }
}

/** The status of each error code of the contract, for clients. */
export const STATUS_OF_CODE: Readonly<Record<ErrorCode, StatusName>> = {
  bad_json: "INVALID_ARGUMENT",
  empty: "INVALID_ARGUMENT",
  missing_key: "INVALID_ARGUMENT",
  invalid_key: "INVALID_ARGUMENT",
  invalid_schema_id: "INVALID_ARGUMENT",
  invalid_schema: "INVALID_ARGUMENT",
  schema_violation: "INVALID_ARGUMENT",
  bad_request: "INVALID_ARGUMENT",
  unsupported_media_type: "INVALID_ARGUMENT",
  unauthorized: "UNAUTHENTICATED",
  forbidden: "PERMISSION_DENIED",
  not_found: "NOT_FOUND",
  method_not_allowed: "UNIMPLEMENTED",
  key_unavailable: "FAILED_PRECONDITION",
  version_mismatch: "FAILED_PRECONDITION",
  too_large: "RESOURCE_EXHAUSTED",
  too_many_attempts: "RESOURCE_EXHAUSTED",
  internal: "INTERNAL",
  tampered: "DATA_LOSS",
  no_worker: "UNAVAILABLE",
  overloaded: "UNAVAILABLE",
  storage_unavailable: "UNAVAILABLE",
  deadline: "DEADLINE_EXCEEDED",
};

/** Whether a string is an error code of the contract. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(STATUS_OF_CODE, value);
}

/** The status that each failure of a call between the programs travels as. */
const STATUS_OF_FAILURE: Readonly<Record<TransportFailure, StatusName>> = {
  // A server that answers is not one where nobody listens: the caller may only conclude that the call broke.
  refused: "UNAVAILABLE",
  broken: "UNAVAILABLE",
  busy: "UNAVAILABLE",
  denied: "PERMISSION_DENIED",
  deadline: "DEADLINE_EXCEEDED",
};

/** Trailing metadata that tells `busy` from other reasons for UNAVAILABLE. */
const BUSY_KEY = "deltadb-busy";

/** What a failed call sends. `fault`: nobody expected it; the caller is told nothing about it. */
export interface ErrorStatus {
  readonly code: grpc.status;
  readonly details: string;
  readonly metadata: grpc.Metadata;
  readonly fault: boolean;
}

/** The status for whatever a handler threw. */
export function statusOfError(error: unknown): ErrorStatus {
  const metadata = error instanceof StatusError ? error.metadata : new grpc.Metadata();
  if (error instanceof WireError) {
    return { code: grpc.status[error.status], details: error.message.toWellFormed(), metadata, fault: false };
  }
  if (error instanceof TransportError) {
    if (error.reason === "busy") metadata.set(BUSY_KEY, "1");
    const code = grpc.status[STATUS_OF_FAILURE[error.reason]];
    return { code, details: error.message.toWellFormed(), metadata, fault: false };
  }
  return { code: grpc.status.INTERNAL, details: "internal error", metadata, fault: true };
}

/** Trailing metadata of a call that ends well, and yet with a refusal of all that it has not answered. */
const REFUSAL_KEY = "deltadb-refusal";
const REFUSAL_DETAILS_KEY = "deltadb-refusal-bin";

/** The trailing metadata that tells of a refusal. */
export function refusalTrailers(reason: "busy" | "denied", details: string): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set(REFUSAL_KEY, reason);
  metadata.set(REFUSAL_DETAILS_KEY, Buffer.from(details));
  return metadata;
}

/** The refusal that a call ended with; `undefined`: none. */
export function refusalOf(metadata: grpc.Metadata): { reason: "busy" | "denied"; details: string } | undefined {
  const [reason] = metadata.get(REFUSAL_KEY);
  if (reason !== "busy" && reason !== "denied") return undefined;
  const [details] = metadata.get(REFUSAL_DETAILS_KEY);
  return { reason, details: String(details ?? "") };
}

/** What a gRPC status means to the caller. Whether nobody listens is not in it: `channel.ts` finds that out. */
export function failureOfStatus(status: Partial<grpc.StatusObject>): Exclude<TransportFailure, "refused"> {
  switch (status.code) {
    case grpc.status.UNAUTHENTICATED:
    case grpc.status.PERMISSION_DENIED:
      return "denied";
    case grpc.status.DEADLINE_EXCEEDED:
      return "deadline";
    case grpc.status.UNAVAILABLE:
    case grpc.status.RESOURCE_EXHAUSTED:
      return status.metadata?.get(BUSY_KEY).length ? "busy" : "broken";
    default:
      return "broken";
  }
}
