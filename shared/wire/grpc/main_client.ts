/** A processing worker's client of the main worker, over gRPC. */
import type {
  HeartbeatRequest,
  HeartbeatResponse,
  SubscribeRequest,
  SubscribeResponse,
  UnsubscribeRequest,
} from "../messages.ts";
import type { MainClient } from "../transport.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { type Codec, createCodec } from "./codec.ts";
import { mainMethods } from "./methods.ts";

/** Options of the client; the codec is made when none is given. */
export interface MainClientOptions extends ChannelOptions {
  /** `host:port` of the main worker. */
  readonly address: string;
  readonly codec?: Codec;
}

/** Makes a client of the main worker; its connection is opened by its first call. @throws {TypeError} for a bad address. */
export function connectMainOverGrpc(options: MainClientOptions): MainClient {
  const methods = mainMethods(options.codec ?? createCodec());
  const channel = new Channel(options.address, () => "", options);
  return {
    subscribe: (request: SubscribeRequest, deadlineMs: number): Promise<SubscribeResponse> =>
      channel.call(methods.subscribe, request, deadlineMs),
    heartbeat: (request: HeartbeatRequest, deadlineMs: number): Promise<HeartbeatResponse> =>
      channel.call(methods.heartbeat, request, deadlineMs),
    unsubscribe: (request: UnsubscribeRequest, deadlineMs: number): Promise<void> =>
      channel.call(methods.unsubscribe, request, deadlineMs),
    close: () => channel.close(),
  };
}
