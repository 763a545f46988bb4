/**
 * A front thread: its own listener on the shared port, its own front with its own connections to the processing workers. It
 * serves entities by itself and hands every other request to the main thread. Entry point of a Deno worker.
 */
import { Registry } from "prom-client";
import type { Logger } from "../../../shared/logging/logger.ts";
import { stderrLogger } from "../../../shared/logging/stderr.ts";
import { createFrontMetrics, type FrontMetrics } from "../../../shared/metrics/program.ts";
import { takeSnapshot } from "../../../shared/metrics/serve.ts";
import { systemClock as clock } from "../../../shared/seams/clock.ts";
import { systemRandom as random } from "../../../shared/seams/random.ts";
import { TlsSource } from "../../../shared/wire/grpc/tls.ts";
import { connectWorkerOverGrpc } from "../../../shared/wire/grpc/worker_client.ts";
import { Authenticator } from "../auth.ts";
import { createFront, type Front, takeTurns } from "../front.ts";
import { createEntityApp } from "../rest/app.ts";
import { type RestServer, serveRest } from "../rest/server.ts";
import type { RestRequest } from "../rest/route.ts";
import { StatisticsRecorder } from "../rest/statistics.ts";
import { ControlMirror } from "./control_mirror.ts";
import type { ForwardedResponse, FromThread, ThreadOptions, ToThread } from "./messages.ts";

const STATISTICS_MS = 500;

interface MessagePortLike {
  postMessage(message: FromThread, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<ToThread>) => void): void;
  close(): void;
}

class FrontThread {
  readonly #port: MessagePortLike;
  readonly #stopping = new AbortController();
  readonly #waiting = new Map<number, (response: ForwardedResponse) => void>();
  readonly #control: ControlMirror;
  readonly #authenticator: Authenticator;
  readonly #statistics = new StatisticsRecorder(clock);
  readonly #metrics: FrontMetrics = createFrontMetrics(new Registry());
  readonly #log: Logger;
  readonly #grpcTls: TlsSource | undefined;
  readonly #front: Front;
  readonly #server: RestServer;
  readonly #keysTold = new Map<string, number>();
  #requests = 0;

  constructor(port: MessagePortLike, options: ThreadOptions) {
    this.#port = port;
    this.#log = stderrLogger("main", options.log, clock);
    this.#control = new ControlMirror(options.snapshot, {
      workerRefused: (session) => this.#tell({ kind: "worker_refused", session }),
      batchFloor: (session, dispatcher, floor) => this.#tell({ kind: "batch_floor", session, dispatcher, floor }),
    });
    this.#authenticator = new Authenticator(clock, () => this.#control.snapshot().credentials);
    this.#grpcTls = options.grpcTls && new TlsSource(options.grpcTls);
    this.#front = createFront({
      control: this.#control,
      connect: connectWorkerOverGrpc({
        messageBytesMax: options.grpcMaxRecvBytes,
        ...(this.#grpcTls ? { tls: this.#grpcTls } : {}),
        serverName: options.grpcServerName,
      }),
      clock,
      random,
      log: this.#log.child("front"),
      metrics: this.#metrics.dispatcher,
      store: { kind: options.storeKind, partitions: options.partitions },
      cacheBytes: options.cacheBytes,
      coherence: options.coherence,
      turn: takeTurns,
    });
    const { dispatcher, cache } = this.#front;
    this.#metrics.askCache(() => cache.figures(), options.cacheBytes);
    this.#metrics.ask({
      active_requests: () => this.#statistics.active,
      operations_parked: () => dispatcher.parked,
      unresolved_writes: () => dispatcher.unresolved,
      batches_in_flight: () => dispatcher.lines().map((line) => [line.batches, line.workerId]),
      queue_operations: () => dispatcher.lines().map((line) => [line.operations, line.workerId]),
      queue_bytes: () => dispatcher.lines().map((line) => [line.bytes, line.workerId]),
    });
    const app = createEntityApp({
      entities: this.#front.entities,
      control: this.#control,
      authenticator: this.#authenticator,
      statistics: this.#statistics,
      clock,
      random,
      log: this.#log.child("rest"),
      metrics: this.#metrics.rest,
      bodyBytesMax: options.bodyBytesMax,
      threads: options.threads,
      stopping: this.#stopping.signal,
    }, {
      listings: options.listing === "owners",
      elsewhere: (request, info) => this.#forward(request, info.remoteAddr.hostname),
    });
    this.#server = serveRest(app, options.address, options.tls, this.#log, true);
    this.#tell({ kind: "started", address: this.#server.address });
    clock.setTimer(() => this.#tellStatistics(), STATISTICS_MS);
  }

  receive(message: Exclude<ToThread, { kind: "start" }>): void {
    switch (message.kind) {
      case "snapshot":
        this.#control.change(message.change);
        return this.#tell({ kind: "confirmed", id: message.id });
      case "renew":
        try {
          if (message.grpcTls) this.#grpcTls?.replace(message.grpcTls);
          if (message.tls) this.#server.renew(message.tls);
        } catch (error) {
          // It goes on with what it has.
          this.#log.error("tls_files_not_usable", { error });
        }
        return;
      case "response": {
        const answer = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (answer === undefined) message.response.body?.cancel();
        else answer(message.response);
        return;
      }
      case "metrics":
        takeSnapshot(this.#metrics.registry).then((snapshot) =>
          this.#tell({ kind: "metrics", id: message.id, snapshot })
        );
        return;
      case "stop":
        this.#stop(message.graceMs);
        return;
    }
  }

  #tell(message: FromThread, transfer: Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  /** Hands a request to the main thread, with the rest of its body, and its answer to the client. */
  async #forward(request: RestRequest, remoteAddr: string): Promise<Response> {
    const id = ++this.#requests;
    const { body } = request;
    const answered = new Promise<ForwardedResponse>((resolve) => this.#waiting.set(id, resolve));
    this.#tell({
      kind: "request",
      id,
      request: { method: request.method, url: request.url, headers: [...request.headers], remoteAddr, body },
    }, body === null ? [] : [body as unknown as Transferable]);
    const { status, headers, body: answer } = await answered;
    return new Response(answer as ReadableStream<Uint8Array<ArrayBuffer>> | null, {
      status,
      headers: headers.map(([name, value]): [string, string] => [name, value]),
    });
  }

  #tellStatistics(): void {
    if (this.#stopping.signal.aborted) return;
    const keysUsed: [string, number][] = [];
    for (const { id } of this.#control.snapshot().credentials.apiKeys) {
      const lastMs = this.#authenticator.lastUsedMs(id);
      if (lastMs === undefined || this.#keysTold.get(id) === lastMs) continue;
      this.#keysTold.set(id, lastMs);
      keysUsed.push([id, lastMs]);
    }
    this.#tell({
      kind: "statistics",
      delta: this.#statistics.drain(),
      cache: this.#front.cache.figures(),
      keysUsed,
    });
    clock.setTimer(() => this.#tellStatistics(), STATISTICS_MS);
  }

  async #stop(graceMs: number): Promise<void> {
    this.#stopping.abort(new Error("the main worker stops"));
    await this.#server.stop(graceMs);
    this.#front.close();
    this.#tell({ kind: "stopped" });
    this.#port.close();
  }
}

const port = self as unknown as MessagePortLike;
let thread: FrontThread | undefined;
port.addEventListener("message", ({ data }) => {
  if (data.kind !== "start") return thread?.receive(data);
  try {
    thread = new FrontThread(port, data.options);
  } catch (error) {
    const taken = error instanceof Deno.errors.AddrInUse;
    port.postMessage({ kind: "failed", taken, message: error instanceof Error ? error.message : String(error) }, []);
    port.close();
  }
});
