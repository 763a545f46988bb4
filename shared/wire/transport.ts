/**
 * The transport seam: calls between the two programs. `grpc/` is the real one, `tests/sim/` has one in memory.
 * Every call has a deadline; a failed one rejects with a {@linkcode TransportError}.
 */
import type {
  BatchRequest,
  BatchResponse,
  EntityEvent,
  EventsRequest,
  HeartbeatRequest,
  HeartbeatResponse,
  ListRequest,
  ListResponse,
  SubscribeRequest,
  SubscribeResponse,
  UnsubscribeRequest,
} from "./messages.ts";

/**
 * Why a call failed. `refused`: nobody listens there (the process is gone). `denied`: the other side refuses this
 * caller. `deadline`: no answer in time. `busy`: the other side asks to come back later. `broken`: anything else; the
 * call may have taken effect.
 */
export type TransportFailure = "refused" | "denied" | "deadline" | "busy" | "broken";

/** A call that got no good answer. */
export class TransportError extends Error {
  override name = "TransportError";
  constructor(readonly reason: TransportFailure, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A processing worker, as the main worker sees it. */
export interface WorkerClient {
  processBatch(request: BatchRequest, deadlineMs: number): Promise<BatchResponse>;
  list(request: ListRequest, deadlineMs: number): Promise<ListResponse>;
  /** Calls `onEvent` for each event until `signal` is aborted (resolves) or the stream breaks (rejects). `onOpen`: from here on none is missed. */
  events(
    request: EventsRequest,
    onOpen: () => void,
    onEvent: (event: EntityEvent) => void,
    signal: AbortSignal,
  ): Promise<void>;
  close(): void;
}

/** Makes a client of the worker at `address` (`host:port`) that proves itself with what `token` returns. */
export type ConnectWorker = (address: string, token: () => string) => WorkerClient;

/** Why the worker of this session cannot be called at an address, a sentence; `undefined`: it can. */
export type ProbeWorker = (address: string, session: string) => Promise<string | undefined>;

/** A processing worker's side: called only for callers that presented a token it was issued. */
export interface WorkerHandler {
  processBatch(request: BatchRequest): Promise<BatchResponse>;
  list(request: ListRequest): Promise<ListResponse>;
  /** Streams until `signal` is aborted. `send` is called in order; a false return asks to stop (buffer is full: the stream is cut). */
  events(request: EventsRequest, send: (event: EntityEvent) => boolean, signal: AbortSignal): Promise<void>;
}

/** The main worker, as a processing worker sees it. */
export interface MainClient {
  subscribe(request: SubscribeRequest, deadlineMs: number): Promise<SubscribeResponse>;
  heartbeat(request: HeartbeatRequest, deadlineMs: number): Promise<HeartbeatResponse>;
  unsubscribe(request: UnsubscribeRequest, deadlineMs: number): Promise<void>;
  close(): void;
}

/** The main worker's side. `peer` is the caller's host; `gone` is aborted when the caller's connection is lost while it waits. */
export interface MainHandler {
  subscribe(request: SubscribeRequest, peer: string): Promise<SubscribeResponse>;
  heartbeat(request: HeartbeatRequest, gone: AbortSignal): Promise<HeartbeatResponse>;
  unsubscribe(request: UnsubscribeRequest): Promise<void>;
}
