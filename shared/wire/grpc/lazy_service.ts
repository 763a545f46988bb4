/** A gRPC service whose library is loaded by its first call: loading one takes as long as the rest of a start. */
import type { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { GRPC_PUBLIC_REQUEST_BYTES_MAX } from "../../limits.ts";

/** Where a method of a service is, and how it answers. */
export interface LazyMethod {
  readonly path: string;
  /** Whether requests, and whether answers, are streams. */
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** What libraries ask of a server: they add themselves. */
export interface ServiceSink {
  addService(definition: grpc.ServiceDefinition, implementation: grpc.UntypedServiceImplementation): void;
}

// What passes between grpc-js and a library is typed by neither.
// deno-lint-ignore no-explicit-any
type Any = any;

interface Loaded {
  readonly definition: grpc.MethodDefinition<unknown, unknown>;
  // deno-lint-ignore ban-types
  readonly run: Function;
}

const identity = (bytes: Buffer) => bytes;

/** Adds `methods` to the server. `load` lets the library add itself to what it is given; it runs once. */
export function addLazyService(
  server: grpc.Server,
  methods: readonly LazyMethod[],
  load: (sink: ServiceSink) => Promise<void>,
): void {
  let loading: Promise<Map<string, Loaded>> | undefined;
  const loaded = (path: string) => {
    loading ??= capture(load);
    return loading.then((all) => all.get(path)!);
  };
  const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
  const handlers: Record<string, grpc.UntypedHandleCall> = {};
  for (const method of methods) {
    definition[method.path] = {
      ...method,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    handlers[method.path] = method.responseStream
      ? (call: Any) => runStream(call, loaded(method.path))
      : (call: Any, respond: Any) => runUnary(call, respond, loaded(method.path));
  }
  server.addService(definition, handlers);
}

async function capture(load: (sink: ServiceSink) => Promise<void>): Promise<Map<string, Loaded>> {
  const all = new Map<string, Loaded>();
  await load({
    addService: (service, implementation) => {
      for (const [name, definition] of Object.entries(service)) {
        const run = implementation[name] ?? implementation[definition.originalName ?? ""];
        if (run) all.set(definition.path, { definition, run });
      }
    },
  });
  return all;
}

const MALFORMED = "the request is malformed";

/** @throws {Error} also when it is larger than any that makes sense: these services answer everybody, and repeat what they were asked. */
function decode(definition: Loaded["definition"], bytes: Buffer): unknown {
  if (bytes.byteLength > GRPC_PUBLIC_REQUEST_BYTES_MAX) throw new Error("it is too large");
  return definition.requestDeserialize(bytes);
}

/** What a call ends in that could not be handed to the library, or that the library choked on. */
function failed(details: string): Error {
  const code = details === MALFORMED ? grpc.status.INVALID_ARGUMENT : grpc.status.INTERNAL;
  return Object.assign(new Error(details), { code, details });
}

async function runUnary(call: Any, respond: Any, loaded: Promise<Loaded>): Promise<void> {
  let details = "internal error";
  try {
    const { definition, run } = await loaded;
    details = MALFORMED;
    const request = decode(definition, call.request);
    run({ request }, (error: Any, value: Any) => respond(error, error ? null : definition.responseSerialize(value)));
  } catch {
    respond(failed(details));
  }
}

async function runStream(call: Any, loaded: Promise<Loaded>): Promise<void> {
  let details = "internal error";
  let unsent = 0;
  try {
    const { definition, run } = await loaded;
    details = MALFORMED;
    // Requests that arrived while the library was loaded wait in the call until somebody listens.
    run({
      request: call.request && decode(definition, call.request),
      // Libraries answer without a look at who takes the answers: whoever does not is asked for no more requests.
      write: (message: unknown) => {
        unsent += 1;
        call.pause?.();
        call.write(definition.responseSerialize(message), () => {
          unsent -= 1;
          if (unsent === 0) call.resume?.();
        });
      },
      end: () => call.end(),
      on: (event: string, listener: (value?: unknown) => void) =>
        call.on(event, (value: Buffer) => {
          try {
            listener(event === "data" ? decode(definition, value) : value);
          } catch {
            call.emit("error", failed(MALFORMED));
          }
        }),
    });
  } catch {
    call.emit("error", failed(details));
  }
}
