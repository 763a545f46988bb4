/** A gRPC server: listens, refuses callers without a credential before anything runs, and stops without hanging. */
import { Buffer } from "node:buffer";
import type { Http2Server, Http2Session, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import grpc from "@grpc/grpc-js";
import {
  CREDENTIAL_BYTES_MAX,
  GRPC_CONNECTIONS_MAX,
  GRPC_EXCHANGES_MAX,
  GRPC_KEEPALIVE_MS,
  GRPC_KEEPALIVE_TIMEOUT_MS,
  GRPC_STREAMS_MAX,
  GRPC_WAITING_BYTES_MAX,
  GRPC_WAITING_MESSAGES_MIN,
  WATCH_BUFFER_EVENTS_MAX,
} from "../../limits.ts";
import { listenHost } from "../../process/every_address.ts";
import { TransportError } from "../transport.ts";
import { formatAddress, parseAddress, peerHost } from "./address.ts";
import { failureOfStatus, refusalTrailers, statusOfError, WireError } from "./errors.ts";
import { deferSessionDestruction } from "./http2_sessions.ts";
import type { Method } from "./methods.ts";
import { serverCredentials, type TlsSource } from "./tls.ts";
import { UntakenAnswers } from "./untaken_answers.ts";
import { WaitingCalls, type WaitsUntil } from "./waiting_calls.ts";

/** How to serve. */
export interface ServerOptions {
  /** `host:port`; no host: every address of the machine; port 0: a free one. */
  readonly address: string;
  /** Bytes that a received message may have. */
  readonly messageBytesMax: number;
  /** Bytes of a connection, and of each call, that may be on their way unread. Default: 65,535, as HTTP/2 has it. */
  readonly windowBytes?: number;
  /** TLS; absent: none. */
  readonly tls?: TlsSource;
  /** Connections that are let in at a time. Default: {@linkcode GRPC_CONNECTIONS_MAX} */
  readonly connectionsMax?: number;
  /** Bytes of large answers that wait to be taken. Default: that of {@linkcode UntakenAnswers} */
  readonly answersBytesMax?: number;
  /** Called with what a handler threw that nobody expected; the caller is told `internal error`. */
  readonly onFault: (error: unknown, path: string) => void;
}

/** What a handler knows of its call. */
export interface CallContext {
  /** Host of the caller; empty: unknown. */
  readonly peer: string;
  /** The Bearer credential; empty: none. */
  readonly credential: string;
  /** Aborted when the caller's connection is lost before the call is answered. Made when it is first asked for. */
  readonly gone: AbortSignal;
}

type UnaryCall = grpc.ServerUnaryCall<Buffer, Buffer>;
type StreamCall = grpc.ServerWritableStream<Buffer, Buffer>;
type DuplexCall = grpc.ServerDuplexStream<Buffer, Buffer>;

/** A method as grpc-js wants it; what travels as a stream is said where it does. */
interface Served {
  readonly path: string;
  readonly handle: grpc.UntypedHandleCall;
  readonly requestStream?: true;
  readonly responseStream?: true;
}

const identity = (bytes: Buffer) => bytes;

/** How a call with many messages ends. */
interface Ending {
  /** 0: the caller has said all; 1: a refusal of what was not begun; 2: a failure; 3: the caller is gone. */
  readonly gravity: number;
  end(): void;
}

/** A server before and while it listens. */
export class RpcServer {
  readonly #server: grpc.Server;
  readonly #options: ServerOptions;
  readonly #authorize: (credential: string) => boolean;
  readonly #streams = new Set<(error: unknown) => void>();
  /** How long a call to each path waits for its caller. */
  readonly #waits = new Map<string | undefined, WaitsUntil>();
  readonly #untaken: UntakenAnswers;
  #address = "";
  #active = 0;
  #draining = false;
  /** Called when no call is under way any more. */
  #onIdle: () => void = () => {};

  /**
   * `authorize` is asked before anything of a call but its headers is read; a caller whom it refuses is told
   * `UNAUTHENTICATED` and nothing else. It is not asked for the paths in `open`.
   */
  constructor(options: ServerOptions, authorize?: (credential: string) => boolean, open: readonly string[] = []) {
    grpc.setLogVerbosity(grpc.logVerbosity.NONE);
    deferSessionDestruction();
    this.#options = options;
    this.#untaken = new UntakenAnswers(options.answersBytesMax);
    this.#authorize = authorize ?? (() => true);
    this.#server = new grpc.Server({
      "grpc.max_receive_message_length": options.messageBytesMax,
      "grpc.max_concurrent_streams": GRPC_STREAMS_MAX,
      "grpc.keepalive_time_ms": GRPC_KEEPALIVE_MS,
      "grpc.keepalive_timeout_ms": GRPC_KEEPALIVE_TIMEOUT_MS,
      // Without channelz, forceShutdown knows of no connection to cut (grpc-js 1.14).
      "grpc.enable_channelz": 1,
      interceptors: authorize ? [gate(authorize, new Set(open))] : [],
    });
  }

  /** `host:port` with the port that was bound. */
  get address(): string {
    return this.#address;
  }

  /** For services that bring their own definition (health, reflection). */
  get raw(): grpc.Server {
    return this.#server;
  }

  /** Adds a service. */
  add(methods: readonly Served[]): void {
    const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
    const handlers: Record<string, grpc.UntypedHandleCall> = {};
    for (const { path, handle, requestStream = false, responseStream = false } of methods) {
      this.#waits.set(path, requestStream ? "message" : "request_ends");
      definition[path] = {
        path,
        requestStream,
        responseStream,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      };
      handlers[path] = handle;
    }
    this.#server.addService(definition, handlers);
  }

  /** A handler that is answered by one message. */
  unary<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request, context: CallContext) => Promise<Response>,
  ): Served {
    const run = async (call: UnaryCall, respond: grpc.sendUnaryData<Buffer>) => {
      if (this.#draining) return respond(this.#status(STOPPING, method.path));
      const context = new Context(call);
      this.#active += 1;
      try {
        const answer = method.response.encode(await handle(method.request.decode(call.request), context));
        const stream = streamOf(call);
        if (stream !== undefined && !this.#untaken.hold(stream, answer.length)) throw CROWDED;
        respond(null, answer);
      } catch (error) {
        respond(this.#status(error, method.path));
      } finally {
        context.end();
        this.#active -= 1;
        if (this.#active === 0) this.#onIdle();
      }
    };
    return { path: method.path, handle: run as grpc.UntypedHandleCall };
  }

  /**
   * A handler that is answered by a stream. The stream counts as open when `handle` has run up to its first `await`.
   * `send` returns false, and the stream is cut, when the caller does not keep up with it.
   */
  stream<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request, send: (message: Response) => boolean, signal: AbortSignal) => Promise<void>,
  ): Served {
    const run = async (call: StreamCall) => {
      const ended = new AbortController();
      const fail = (error: unknown) => {
        if (ended.signal.aborted) return;
        ended.abort();
        call.emit("error", this.#status(error, method.path));
      };
      this.#streams.add(fail);
      call.once("cancelled", () => ended.abort());
      const send = (message: Response): boolean => {
        if (ended.signal.aborted) return false;
        if (call.writableLength >= WATCH_BUFFER_EVENTS_MAX) {
          fail(new TransportError("broken", "the reader of the stream is too slow"));
          return false;
        }
        call.write(method.response.encode(message));
        return true;
      };
      try {
        const done = handle(method.request.decode(call.request), send, ended.signal);
        call.sendMetadata(new grpc.Metadata());
        await done;
        if (!ended.signal.aborted) call.end();
      } catch (error) {
        fail(error);
      } finally {
        this.#streams.delete(fail);
      }
    };
    return { path: method.path, handle: run as grpc.UntypedHandleCall, responseStream: true };
  }

  /**
   * A handler of a call with many messages, each of which is answered by one when it is done. The credential is asked about
   * with each: it may be good no more. A message that cannot be answered ends the call, after the answers to those that are
   * being worked on; what came behind it was not begun.
   */
  exchange<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request) => Promise<Response>,
  ): Served {
    const run = (call: DuplexCall) => {
      if (this.#draining) return call.emit("error", this.#status(STOPPING, method.path));
      const credential = credentialOf(call.metadata);
      let underWay = 0;
      let ending: Ending | undefined;
      let over = false;
      /** Ends the call when nothing is being worked on. Of several reasons the gravest is told. */
      const end = (how: Ending) => {
        if (ending === undefined || how.gravity > ending.gravity) ending = how;
        if (underWay > 0 || over) return;
        over = true;
        this.#streams.delete(fail);
        ending.end();
      };
      const fail = (error: unknown) => {
        const status = this.#status(error, method.path);
        const reason = failureOfStatus(status);
        // A client drops answers that it has not looked at when it sees an error, and whoever is refused must know that nothing
        // was done: a refusal comes behind all answers, with the status OK.
        if (reason === "busy" || reason === "denied") {
          end({ gravity: 1, end: () => call.end(refusalTrailers(reason, status.details ?? "")) });
        } else {
          end({ gravity: 2, end: () => call.emit("error", status) });
        }
      };
      this.#streams.add(fail);
      call.once("cancelled", () => end({ gravity: 3, end: () => {} }));
      call.once("end", () => end({ gravity: 0, end: () => call.end() }));
      call.on("data", async (message: Buffer) => {
        if (ending !== undefined) return;
        if (!this.#authorize(credential)) return fail(UNAUTHENTICATED);
        this.#active += 1;
        underWay += 1;
        if (underWay >= GRPC_EXCHANGES_MAX) call.pause();
        try {
          call.write(method.response.encode(await handle(method.request.decode(message))));
        } catch (error) {
          fail(error);
        }
        underWay -= 1;
        if (ending !== undefined) end(ending);
        else if (call.isPaused()) call.resume();
        this.#active -= 1;
        if (this.#active === 0) this.#onIdle();
      });
    };
    return { path: method.path, handle: run as grpc.UntypedHandleCall, requestStream: true, responseStream: true };
  }

  /** Starts to listen. @throws {Error} with a sentence when the address cannot be used. */
  async listen(): Promise<void> {
    const { host, port } = parseAddress(this.#options.address);
    const wanted = { host: listenHost({ host }), port };
    const bound = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(
        formatAddress(wanted),
        serverCredentials(this.#options.tls),
        (error, boundPort) => error ? reject(error) : resolve(boundPort),
      );
    }).catch((error: Error) => {
      throw new Error(`cannot listen on ${this.#options.address}: ${bindReason(error)}`, { cause: error });
    });
    // grpc-js has options for none of these (1.14); the servers under it do, and Deno ends a process that has no descriptor left.
    const { http2Servers } = this.#server as unknown as { readonly http2Servers: ReadonlyMap<Http2Server, unknown> };
    const { connectionsMax = GRPC_CONNECTIONS_MAX, messageBytesMax, windowBytes } = this.#options;
    const waitingMax = Math.max(GRPC_WAITING_BYTES_MAX, GRPC_WAITING_MESSAGES_MIN * messageBytesMax);
    const waiting = new WaitingCalls(waitingMax);
    for (const server of http2Servers.keys()) {
      server.maxConnections = connectionsMax;
      // A path that was not added is one of health and reflection, which anybody may call, or does not exist.
      server.on("stream", (stream, headers) => waiting.watch(stream, this.#waits.get(headers[":path"]) ?? "over"));
      if (windowBytes !== undefined) server.on("session", (session) => widen(session, windowBytes));
    }
    this.#address = formatAddress({ host, port: bound });
  }

  /** Stops to accept calls, ends streams, lets other calls end for `graceMs`, and cuts the rest off. */
  async stop(graceMs: number): Promise<void> {
    for (const fail of this.#streams) fail(new TransportError("broken", "the server stops"));
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve())),
      new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs)),
    ]);
    clearTimeout(timer);
    this.#server.forceShutdown();
  }

  /**
   * Refuses new calls, ends streams and lets other calls end for `graceMs`; connections stay open. For a process that is about
   * to end: it must not say goodbye on them, because Deno's HTTP/2 client can crash on a GOAWAY after it was idle for some
   * minutes (denoland/deno issue 36788, Deno 2.9.5 and 2.9.6). A connection that just breaks is what callers expect anyway.
   */
  async drain(graceMs: number): Promise<void> {
    for (const fail of this.#streams) fail(STOPPING);
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.#draining = true;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, graceMs);
      // Answers of the streams' ends are on their way within this turn of the event loop.
      if (this.#active === 0) setTimeout(resolve, 0);
    });
    clearTimeout(timer);
  }

  #status(error: unknown, path: string): Partial<grpc.StatusObject> & Error {
    const { fault, code, details, metadata } = statusOfError(error);
    if (fault) this.#options.onFault(error, path);
    return Object.assign(new Error(details), { code, details, metadata });
  }
}

const STOPPING = new TransportError("busy", "the server stops");
const CROWDED = new WireError("UNAVAILABLE", "too many large answers are under way; ask again in a moment");
const UNAUTHENTICATED = new WireError("UNAUTHENTICATED", "the token is missing or not valid");

/** Lets so much of a connection, and of each of its calls, be on its way unread. */
function widen(session: ServerHttp2Session, windowBytes: number): void {
  session.settings({ initialWindowSize: windowBytes });
  session.setLocalWindowSize(windowBytes);
}

function bindReason(error: Error): string {
  if (/EADDRINUSE|AddrInUse|in use/i.test(error.message)) return "the address is already in use";
  if (/EADDRNOTAVAIL|not available/i.test(error.message)) return "this machine does not have the address";
  if (/EACCES|permission/i.test(error.message)) return "no permission to listen there";
  return error.message;
}

/** The one Bearer credential of a call; empty: none, several or one that is too long. */
function credentialOf(metadata: grpc.Metadata): string {
  const values = metadata.get("authorization");
  const value = values.length === 1 ? String(values[0]) : "";
  const credential = /^bearer +(\S+) *$/i.exec(value)?.[1] ?? "";
  return credential.length <= CREDENTIAL_BYTES_MAX ? credential : "";
}

function gate(authorize: (credential: string) => boolean, open: ReadonlySet<string>): grpc.ServerInterceptor {
  return (method, call) => {
    if (open.has(method.path)) return new grpc.ServerInterceptingCall(call);
    const listener = new grpc.ServerListenerBuilder().withOnReceiveMetadata((metadata, next) => {
      const credential = credentialOf(metadata);
      if (credential !== "" && authorize(credential)) next(metadata);
      else call.sendStatus(statusOfError(UNAUTHENTICATED));
    }).build();
    return new grpc.ServerInterceptingCall(
      call,
      new grpc.ResponderBuilder().withStart((next) => next(listener)).build(),
    );
  };
}

/** {@linkcode CallContext} of a unary call. */
class Context implements CallContext {
  readonly #call: UnaryCall;
  #controller: AbortController | undefined;
  #session: Http2Session | undefined;
  readonly #abort = () => this.#controller?.abort();

  constructor(call: UnaryCall) {
    this.#call = call;
  }

  get peer(): string {
    return peerHost(this.#call.getPeer());
  }

  get credential(): string {
    return credentialOf(this.#call.metadata);
  }

  get gone(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#session = streamOf(this.#call)?.session;
      if (this.#session === undefined || this.#session.destroyed) this.#controller.abort();
      else this.#session.once("close", this.#abort);
    }
    return this.#controller.signal;
  }

  /** The call is answered: from here on nobody is told that the connection is lost. */
  end(): void {
    this.#session?.off("close", this.#abort);
  }
}

interface CallInternals {
  readonly call?: CallInternals;
  readonly nextCall?: CallInternals;
  readonly stream?: ServerHttp2Stream;
}

/**
 * The HTTP/2 stream of a call, which grpc-js shows nowhere. It closes when its answer was taken; and a cancelled call is not a
 * lost connection (a caller whose own deadline has passed is alive), but its session tells the two apart.
 */
function streamOf(call: UnaryCall): ServerHttp2Stream | undefined {
  let inner: CallInternals | undefined = (call as unknown as CallInternals).call;
  while (inner?.nextCall) inner = inner.nextCall;
  return inner?.stream;
}
