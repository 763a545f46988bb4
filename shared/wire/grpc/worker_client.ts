/** The main worker's client of a processing worker, over gRPC. */
import type {
  BatchRequest,
  BatchResponse,
  EntityEvent,
  EventsRequest,
  ListRequest,
  ListResponse,
} from "../messages.ts";
import { type ConnectWorker, TransportError, type WorkerClient } from "../transport.ts";
import { BatchCalls } from "./batch_calls.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { type Codec, createCodec } from "./codec.ts";
import { workerMethods } from "./methods.ts";

/** Options of the clients; the codec is made when none is given. */
export interface WorkerClientOptions extends ChannelOptions {
  readonly codec?: Codec;
}

/**
 * Makes clients of processing workers. Each has a connection of its own, opened by its first call.
 * A client of an address that is not `host:port` fails each call.
 */
export function connectWorkerOverGrpc(options: WorkerClientOptions): ConnectWorker {
  const methods = workerMethods(options.codec ?? createCodec());
  return (address, token) => {
    try {
      const channel = new Channel(address, token, options);
      return new GrpcWorkerClient(channel, methods, new BatchCalls(channel, methods, token, options.messageBytesMax));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return unreachable(error);
    }
  };
}

class GrpcWorkerClient implements WorkerClient {
  readonly #channel: Channel;
  readonly #methods: ReturnType<typeof workerMethods>;
  readonly #batches: BatchCalls;

  constructor(channel: Channel, methods: ReturnType<typeof workerMethods>, batches: BatchCalls) {
    this.#channel = channel;
    this.#methods = methods;
    this.#batches = batches;
  }

  processBatch(request: BatchRequest, deadlineMs: number): Promise<BatchResponse> {
    return this.#batches.process(request, deadlineMs);
  }

  list(request: ListRequest, deadlineMs: number): Promise<ListResponse> {
    return this.#channel.call(this.#methods.list, request, deadlineMs);
  }

  events(
    request: EventsRequest,
    onOpen: () => void,
    onEvent: (event: EntityEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#channel.stream(this.#methods.events, request, onOpen, onEvent, signal);
  }

  close(): void {
    this.#channel.close();
  }
}

/** A client whose every call fails: a worker may advertise anything as its address. */
function unreachable(cause: TypeError): WorkerClient {
  const fail = () => Promise.reject(new TransportError("broken", cause.message, { cause }));
  return { processBatch: fail, list: fail, events: fail, close: () => {} };
}
