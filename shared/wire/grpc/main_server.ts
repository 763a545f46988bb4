/** The main worker's gRPC server: joining for processing workers, `Process` for clients, health and reflection. */
import grpc from "@grpc/grpc-js";
import type { ClientRequest, ClientResponse } from "../client_messages.ts";
import type { MainHandler } from "../transport.ts";
import { type Codec, createCodec } from "./codec.ts";
import { STATUS_OF_CODE, StatusError } from "./errors.ts";
import { type Health, serveHealth } from "./health.ts";
import { mainMethods } from "./methods.ts";
import { serveReflection } from "./reflection.ts";
import { RpcServer, type ServerOptions } from "./server.ts";

/**
 * Executes one operation of a client. `credential` is what the client presented (empty: nothing), not checked yet;
 * `peer` is its host. An expected failure is a response whose `status` is its code.
 */
export type ProcessHandler = (request: ClientRequest, credential: string, peer: string) => Promise<ClientResponse>;

/** Options of the server; the codec is made when none is given. */
export interface MainServerOptions extends ServerOptions {
  readonly handler: MainHandler;
  readonly process: ProcessHandler;
  readonly codec?: Codec;
}

/** A server that listens. */
export interface MainServer {
  /** `host:port` with the port that was bound. */
  readonly address: string;
  readonly health: Health;
  /** Accepts nothing new, lets calls end for `graceMs`, and cuts the rest off. */
  stop(graceMs: number): Promise<void>;
  /** The same for a process that is about to end: its connections break with it. See `RpcServer.drain`. */
  drain(graceMs: number): Promise<void>;
}

/** Trailing metadata of a failed `Process`: the `ProcessResponse` with everything that is known. */
export const RESPONSE_TRAILER = "deltadb-response-bin";

/** Serves `handler` and `process`. @throws {Error} with a sentence when the address cannot be used. */
export async function serveMainOverGrpc(options: MainServerOptions): Promise<MainServer> {
  const { handler, process } = options;
  const codec = options.codec ?? createCodec();
  const methods = mainMethods(codec);
  const server = new RpcServer(options);
  server.add([
    server.unary(methods.subscribe, (request, call) => handler.subscribe(request, call.peer)),
    server.unary(methods.heartbeat, (request, call) => handler.heartbeat(request, call.gone)),
    server.unary(methods.unsubscribe, (request) => handler.unsubscribe(request)),
    server.unary(methods.process, async ({ request, credential }, call) => {
      const response = await process(request, credential || call.credential, call.peer);
      if (response.status === "ok" || response.status === "not_modified") return response;
      const metadata = new grpc.Metadata();
      metadata.set(RESPONSE_TRAILER, codec.clientResponse.encodeTrailer(response));
      throw new StatusError(STATUS_OF_CODE[response.status], response.error ?? response.status, metadata);
    }),
  ]);
  const health = serveHealth(server.raw, ["deltadb.MainWorker"]);
  serveReflection(server.raw, codec.definition);
  await server.listen();
  return {
    address: server.address,
    health,
    stop: (graceMs) => server.stop(graceMs),
    drain: (graceMs) => server.drain(graceMs),
  };
}
