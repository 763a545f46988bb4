/** A processing worker's gRPC server: the main worker's calls, and nobody else's. */
import type { BatchRequest } from "../messages.ts";
import type { WorkerHandler } from "../transport.ts";
import { type Codec, createCodec } from "./codec.ts";
import { type Health, HEALTH_PATHS, serveHealth } from "./health.ts";
import { workerMethods } from "./methods.ts";
import { RpcServer, type ServerOptions } from "./server.ts";
import { sessionService } from "./worker_probe.ts";

/** Options of the server; the codec is made when none is given. */
export interface WorkerServerOptions extends ServerOptions {
  readonly handler: WorkerHandler;
  /** Whether a token is one that this worker was issued. Compares in constant time. Asked before anything else. */
  readonly authorize: (token: string) => boolean;
  /** Serve standard health checks, which need no token; `NOT_SERVING` until it is set. Default: false. */
  readonly health?: boolean;
  /** With `health`: what tells this worker from others at an address; see `worker_probe.ts`. */
  readonly session?: string;
  readonly codec?: Codec;
}

/** A server that listens. */
export interface WorkerServer {
  /** `host:port` with the port that was bound. */
  readonly address: string;
  /** Present when it was asked for. */
  readonly health: Health | undefined;
  /** Accepts nothing new, lets calls end for `graceMs`, and cuts the rest off. */
  stop(graceMs: number): Promise<void>;
  /** The same for a process that is about to end: its connections break with it. See `RpcServer.drain`. */
  drain(graceMs: number): Promise<void>;
}

/** Serves `handler`. @throws {Error} with a sentence when the address cannot be used. */
export async function serveWorkerOverGrpc(options: WorkerServerOptions): Promise<WorkerServer> {
  const { handler, authorize } = options;
  const methods = workerMethods(options.codec ?? createCodec());
  const server = new RpcServer(
    // The main worker has several batches on their way at a time, and is the only caller.
    { windowBytes: options.messageBytesMax, ...options },
    authorize,
    options.health ? HEALTH_PATHS : [],
  );
  const process = async (request: BatchRequest) => {
    const { results } = await handler.processBatch(request);
    return { results, seq: request.seq };
  };
  server.add([
    server.unary(methods.processBatch, process),
    server.exchange(methods.processBatches, process),
    server.unary(methods.list, (request) => handler.list(request)),
    server.stream(methods.events, (request, send, signal) => handler.events(request, send, signal)),
  ]);
  const { session } = options;
  const services = ["deltadb.ProcWorker", ...(session === undefined ? [] : [sessionService(session)])];
  const health = options.health ? serveHealth(server.raw, services) : undefined;
  await server.listen();
  return {
    address: server.address,
    health,
    stop: (graceMs) => server.stop(graceMs),
    drain: (graceMs) => server.drain(graceMs),
  };
}
