/** A connection to a gRPC server: calls with a deadline that end in an answer or a {@linkcode TransportError}. */
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import {
  GRPC_ANSWER_EXTRA_BYTES,
  GRPC_CONNECT_MS_MAX,
  GRPC_CONNECT_MS_MIN,
  GRPC_EVENTS_OPEN_MS,
  GRPC_KEEPALIVE_MS,
  GRPC_KEEPALIVE_TIMEOUT_MS,
  GRPC_RECONNECT_MS_MAX,
  GRPC_RECONNECT_MS_MIN,
  GRPC_RESOLVE_MS_MIN,
} from "../../limits.ts";
import { TransportError } from "../transport.ts";
import { type Address, formatAddress, nobodyListens, parseAddress } from "./address.ts";
import { Connections } from "./connections.ts";
import { failureOfStatus, refusalOf, WireError } from "./errors.ts";
import { deferSessionDestruction } from "./http2_sessions.ts";
import type { MessageCodec } from "./message_codec.ts";
import type { Method } from "./methods.ts";
import { clientTls, type TlsSource } from "./tls.ts";

/** How to reach a server. */
export interface ChannelOptions {
  /** Bytes that a message may have: `-grpc-max-recv-msg-size`. Answers may be larger by a page of documents. */
  readonly messageBytesMax: number;
  /** TLS; absent: none. */
  readonly tls?: TlsSource;
  /** Name that the server's certificate must be for; default: the host that is dialled. */
  readonly serverName?: string | undefined;
}

/** A call that carries many messages each way, as its caller sees it. */
export interface Exchange<Request> {
  /** Whether it takes messages: neither side has ended it. */
  readonly isOpen: boolean;
  send(message: Request): void;
  /** Sends no more; answers still come. */
  end(): void;
  /** Gives up answers, too. */
  cancel(): void;
}

/** A client and what it has of connections; both are given up together. */
interface Line {
  readonly client: grpc.Client;
  readonly connections: Connections;
}

const identity = (bytes: Buffer) => bytes;

/** Calls methods of one server. Connects when it is first used, and again whenever the connection is lost. */
export class Channel {
  readonly #address: Address;
  readonly #options: ChannelOptions;
  readonly #token: () => string;
  #line: Line;
  #connectMs = GRPC_CONNECT_MS_MIN;
  #closed = false;
  #metadata = new grpc.Metadata();
  #metadataToken = "";
  #probe: Promise<boolean> | undefined;

  /** `token` is presented with each call; empty: none. @throws {TypeError} when `address` is not `host:port`. */
  constructor(address: string, token: () => string, options: ChannelOptions) {
    grpc.setLogVerbosity(grpc.logVerbosity.NONE);
    deferSessionDestruction();
    this.#address = parseAddress(address);
    this.#options = options;
    this.#token = token;
    this.#line = this.#open();
  }

  #open(): Line {
    const { messageBytesMax, tls, serverName } = this.#options;
    const { credentials, options } = clientTls(tls, this.#address.host, serverName);
    const connections = new Connections(credentials, () => this.#connectMs, () => this.#renew());
    const client = new grpc.Client(formatAddress(this.#address), credentials, {
      "grpc.max_send_message_length": messageBytesMax,
      "grpc.max_receive_message_length": messageBytesMax + GRPC_ANSWER_EXTRA_BYTES,
      "grpc.keepalive_time_ms": GRPC_KEEPALIVE_MS,
      "grpc.keepalive_timeout_ms": GRPC_KEEPALIVE_TIMEOUT_MS,
      "grpc.keepalive_permit_without_calls": 1,
      "grpc.initial_reconnect_backoff_ms": GRPC_RECONNECT_MS_MIN,
      "grpc.max_reconnect_backoff_ms": GRPC_RECONNECT_MS_MAX,
      "grpc.dns_min_time_between_resolutions_ms": GRPC_RESOLVE_MS_MIN,
      "grpc.enable_retries": 0,
      "grpc.enable_http_proxy": 0,
      "grpc.enable_channelz": 0,
      "grpc.service_config_disable_resolution": 1,
      // A shared connection would make a new client wait for the back-off of an old one.
      "grpc.use_local_subchannel_pool": 1,
      "grpc-node.flow_control_window": messageBytesMax,
      ...options,
    });
    return { client, connections };
  }

  /**
   * Starts over, from the name of the host on, when an attempt to connect has come to nothing in its time: whoever had the
   * address is gone without a word, and TCP would go on for two minutes. Calls that wait for a connection break. The next
   * attempt has twice the time, so that a slow network gets its connection.
   */
  #renew(): void {
    if (this.#line.client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY) {
      this.#connectMs = GRPC_CONNECT_MS_MIN;
      return;
    }
    this.#connectMs = Math.min(this.#connectMs * 2, GRPC_CONNECT_MS_MAX);
    cut(this.#line);
    this.#line = this.#open();
  }

  /** One call. @throws {TransportError} */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Response> {
    if (deadlineMs <= 0) throw new TransportError("deadline", `${method.path}: no time is left`);
    const bytes = method.request.encode(request);
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#start(method.path, () =>
      this.#line.client.makeUnaryRequest(
        method.path,
        identity,
        identity,
        bytes,
        this.#currentMetadata(),
        { deadline: Date.now() + deadlineMs },
        (error, value) => error === null ? resolve(value!) : reject(error),
      ));
    const answer = await promise.catch((error: grpc.ServiceError) => this.#fail(method.path, error));
    this.#connectMs = GRPC_CONNECT_MS_MIN;
    return this.#decode(method.path, method.response, answer);
  }

  /** One call that is answered by a stream, until `signal` is aborted (resolves) or the stream ends (rejects). */
  async stream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    onOpen: () => void,
    onMessage: (message: Response) => void,
    signal: AbortSignal,
  ): Promise<void> {
    if (signal.aborted) return;
    const bytes = method.request.encode(request);
    const call = this.#start(
      method.path,
      () => this.#line.client.makeServerStreamRequest(method.path, identity, identity, bytes, this.#currentMetadata()),
    );
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      call.cancel();
    }, GRPC_EVENTS_OPEN_MS);
    const onAbort = () => call.cancel();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await new Promise<void>((_, reject) => {
        const guard = (run: () => void) => {
          if (signal.aborted) return;
          try {
            run();
          } catch (error) {
            reject(error);
            call.cancel();
          }
        };
        call.once("metadata", () => {
          clearTimeout(timer);
          guard(onOpen);
        });
        call.on(
          "data",
          (message: Buffer) => guard(() => onMessage(this.#decode(method.path, method.response, message))),
        );
        call.on("error", reject);
        call.once("end", () => reject(new TransportError("broken", `${method.path}: the other side ended the stream`)));
      });
    } catch (error) {
      if (signal.aborted) return;
      if (late) throw new TransportError("deadline", `${method.path}: not open after ${GRPC_EVENTS_OPEN_MS} ms`);
      if (!isServiceError(error)) throw error;
      await this.#fail(method.path, error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Opens a call that carries many messages each way. `onEnd` is called once, when no more answers will come, with the
   * reason for that.
   */
  exchange<Request, Response>(
    method: Method<Request, Response>,
    onMessage: (message: Response) => void,
    onEnd: (error: TransportError) => void,
  ): Exchange<Request> {
    const { path } = method;
    let isOpen = true;
    let refusal: ReturnType<typeof refusalOf>;
    const over = (error: TransportError) => {
      isOpen = false;
      onEnd(error);
      onEnd = () => {};
    };
    const call = this.#start(
      path,
      () => this.#line.client.makeBidiStreamRequest(path, identity, identity, this.#currentMetadata()),
    );
    call.on("data", (bytes: Buffer) => {
      try {
        onMessage(this.#decode(path, method.response, bytes));
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        call.cancel();
        over(error);
      }
    });
    call.on("error", (error: grpc.ServiceError) => {
      isOpen = false;
      this.#fail(path, error).catch(over);
    });
    call.on("status", (status: grpc.StatusObject) => refusal = refusalOf(status.metadata));
    call.once("end", () => {
      // The status comes before the end or behind it.
      setTimeout(() => {
        const { reason, details } = refusal ?? { reason: "broken", details: "the other side ended the call" } as const;
        if (isOpen) over(new TransportError(reason, `${path}: ${details}`));
      }, 0);
    });
    return {
      get isOpen() {
        return isOpen;
      },
      send: (message) => call.write(method.request.encode(message)),
      end: () => isOpen && call.end(),
      cancel: () => call.cancel(),
    };
  }

  /**
   * Closes the connection, at the socket: a GOAWAY, which is the polite way, can abort the process at either end (see
   * `RpcServer.drain`). Calls under way fail like those of a connection that broke.
   */
  close(): void {
    this.#closed = true;
    cut(this.#line);
  }

  /** Starts a call, which throws at once on a client that was closed. */
  #start<Call>(path: string, start: () => Call): Call {
    if (this.#closed) throw new TransportError("broken", `${path}: the client was closed`);
    try {
      return start();
    } catch (error) {
      throw new TransportError("broken", `${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  #currentMetadata(): grpc.Metadata {
    const token = this.#token();
    if (token !== this.#metadataToken) {
      this.#metadata = new grpc.Metadata();
      this.#metadata.set("authorization", `Bearer ${token}`);
      this.#metadataToken = token;
    }
    return this.#metadata;
  }

  #decode<Response>(path: string, codec: MessageCodec<Response>, bytes: Uint8Array): Response {
    try {
      return codec.decode(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw new TransportError("broken", `${path}: ${error.message}`, { cause: error });
    }
  }

  /** Rejects with what the status means. */
  async #fail(path: string, error: grpc.ServiceError): Promise<never> {
    const unconnected = error.details === NEVER_STARTED && !this.#closed;
    const details = unconnected ? "no connection in time" : error.details || error.message;
    const message = `${path} at ${formatAddress(this.#address)}: ${details}`;
    // A call that found no connection was never sent. Why the last attempt to connect failed may be old news, so whether
    // nobody listens is asked now.
    if (error.code === grpc.status.UNAVAILABLE && NOT_CONNECTED.test(error.details)) {
      this.#probe ??= nobodyListens(this.#address).finally(() => this.#probe = undefined);
      if (await this.#probe) throw new TransportError("refused", message, { cause: error });
    }
    throw new TransportError(failureOfStatus(error), message, { cause: error });
  }
}

/** Cuts the connections first, for the client's own close says GOAWAY on a session that is still there. */
function cut({ client, connections }: Line): void {
  connections.destroy();
  setTimeout(() => client.close(), 0);
}

/** What grpc-js says when there was no connection to send a call on; a server that answers is never quoted like this. */
const NOT_CONNECTED = /^No connection established\. Last error: .*ECONNREFUSED/s;

/** What grpc-js says of a call that waited for a connection when its client was closed. */
const NEVER_STARTED = "Channel closed before call started";

function isServiceError(error: unknown): error is grpc.ServiceError {
  return error instanceof Error && "code" in error && "details" in error;
}
