/** Asks at an address whether a worker can be called there: over TCP, TLS and HTTP/2, and whether it is that worker. */
import { Buffer } from "node:buffer";
import protobuf from "protobufjs";
import { WORKER_PROBE_MS } from "../../limits.ts";
import { type ProbeWorker, TransportError } from "../transport.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { HEALTH_CHECK_PATH } from "./health.ts";
import type { Method } from "./methods.ts";

/** `HealthCheckRequest` of `grpc.health.v1` has the name of a service as its first field. */
const SERVICE_TAG = 1 << 3 | 2;

/** A health check: a service that the server does not know is an error, and what state it is in says nothing here. */
const CHECK: Method<string, void> = {
  path: HEALTH_CHECK_PATH,
  request: {
    encode: (service) => Buffer.from(new protobuf.Writer().uint32(SERVICE_TAG).string(service).finish()),
    decode: () => "",
  },
  response: { encode: () => Buffer.alloc(0), decode: () => {} },
};

/** The name under which a worker's health service knows a session of its own, and no other worker does. */
export function sessionService(session: string): string {
  return `deltadb.session.${session}`;
}

/** Probes by a health check, which needs no token: the worker that joins has none yet. */
export function probeWorkerOverGrpc(options: ChannelOptions): ProbeWorker {
  return async (address, session) => {
    let channel: Channel | undefined;
    try {
      channel = new Channel(address, () => "", options);
      await channel.call(CHECK, sessionService(session), WORKER_PROBE_MS);
      return undefined;
    } catch (error) {
      if (error instanceof TypeError || error instanceof TransportError) return error.message;
      throw error;
    } finally {
      channel?.close();
    }
  };
}
