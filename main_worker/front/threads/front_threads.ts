/** The front threads, from the main thread: started, kept up to date, asked for figures, stopped. */
import { FRONT_THREAD_START_MS } from "../../../shared/limits.ts";
import type { Address } from "../../../shared/config/values.ts";
import type { Logger } from "../../../shared/logging/logger.ts";
import type { MetricsSnapshot } from "../../../shared/metrics/serve.ts";
import type { CacheFigures } from "../../../shared/wire/messages.ts";
import type { TlsMaterial } from "../../../shared/wire/grpc/tls.ts";
import { listenHost } from "../../../shared/process/every_address.ts";
import { StartError } from "../../../shared/process/program.ts";
import type { ControlPlane } from "../../control/control_plane.ts";
import type { Snapshot } from "../../control/control.ts";
import type { Authenticator } from "../auth.ts";
import { addFigures, NO_FIGURES } from "../cache/read_cache.ts";
import type { RestApp } from "../rest/app.ts";
import type { RestRequest } from "../rest/route.ts";
import type { RestServer } from "../rest/server.ts";
import type { RequestStatistics } from "../rest/statistics.ts";
import { difference } from "./control_mirror.ts";
import type { ForwardedRequest, FromThread, ThreadOptions, ToThread } from "./messages.ts";

/** What the threads work with on the main thread. */
export interface FrontThreadsParts {
  readonly control: ControlPlane;
  /** Answers what threads hand over. */
  readonly app: RestApp;
  readonly statistics: RequestStatistics;
  readonly authenticator: Authenticator;
  readonly log: Logger;
  /** Called when a thread ends by itself: the program cannot go on. */
  readonly failed: (message: string) => void;
}

type Options = Omit<ThreadOptions, "snapshot">;

/** Starts the threads. @throws {Deno.errors.AddrInUse} when the port is taken, {StartError} when a thread cannot start. */
export async function startFrontThreads(
  count: number,
  options: Options,
  parts: FrontThreadsParts,
): Promise<FrontThreads> {
  // Threads share a port by SO_REUSEPORT, which another program of ours could share too: only without it is a taken port seen.
  const probe = Deno.listen({ hostname: listenHost(options.address), port: options.address.port });
  const address: Address = { host: options.address.host, port: probe.addr.port };
  probe.close();
  const threads = Array.from({ length: count }, () => new FrontThread({ ...options, address }, parts));
  await Promise.all(threads.map((thread) => thread.started));
  return new FrontThreads(address, threads, parts.control);
}

export class FrontThreads implements RestServer {
  readonly address: Address;
  readonly #threads: readonly FrontThread[];
  readonly #unsubscribe: () => void;

  constructor(address: Address, threads: readonly FrontThread[], control: ControlPlane) {
    this.address = address;
    this.#threads = threads;
    this.#unsubscribe = control.subscribe(async (snapshot) => {
      await Promise.all(threads.map((thread) => thread.learn(snapshot)));
    });
    // What changed while the threads started.
    for (const thread of threads) void thread.learn(control.snapshot());
  }

  renew(tls: TlsMaterial): void {
    for (const thread of this.#threads) thread.tell({ kind: "renew", tls });
  }

  /** Calls to processing workers use this certificate from now on. */
  renewGrpc(grpcTls: TlsMaterial): void {
    for (const thread of this.#threads) thread.tell({ kind: "renew", grpcTls });
  }

  /** Of the read caches of all threads together. */
  cacheFigures(): CacheFigures {
    return this.#threads.reduce((sum, { cache }) => addFigures(sum, cache), NO_FIGURES);
  }

  /** The figures of each thread. */
  metrics(): Promise<MetricsSnapshot[]> {
    return Promise.all(this.#threads.map((thread) => thread.metrics()));
  }

  async stop(graceMs: number): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop(graceMs)));
    this.#unsubscribe();
  }
}

class FrontThread {
  readonly started: Promise<void>;
  readonly #worker: Worker;
  readonly #parts: FrontThreadsParts;
  readonly #confirming = new Map<number, () => void>();
  readonly #asking = new Map<number, (snapshot: MetricsSnapshot) => void>();
  readonly #stopped = Promise.withResolvers<void>();
  #known: Snapshot;
  #cache = NO_FIGURES;
  #ids = 0;
  #stopping = false;

  constructor(options: Options, parts: FrontThreadsParts) {
    this.#parts = parts;
    this.#known = parts.control.snapshot();
    this.#worker = new Worker(new URL("./front_thread.ts", import.meta.url).href, { type: "module", name: "front" });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => reject(new StartError("a front thread did not start")), FRONT_THREAD_START_MS);
    this.started = promise.finally(() => clearTimeout(late));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      reject(new StartError(`a front thread could not start: ${event.message}`));
      if (!this.#stopping) parts.failed(`a front thread has ended: ${event.message}`);
    });
    this.#worker.addEventListener("message", (event: MessageEvent<FromThread>) => {
      const { data } = event;
      if (data.kind === "started") resolve();
      else if (data.kind === "failed") {
        reject(data.taken ? new Deno.errors.AddrInUse(data.message) : new StartError(data.message));
      } else this.#receive(data);
    });
    this.tell({ kind: "start", options: { ...options, snapshot: difference(undefined, this.#known) } });
  }

  tell(message: ToThread, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /** Resolves when the thread knows nothing older than this snapshot. */
  learn(snapshot: Snapshot): Promise<void> {
    const change = difference(this.#known, snapshot);
    this.#known = snapshot;
    if (Object.keys(change).length === 0) return Promise.resolve();
    const id = ++this.#ids;
    // While it stops, too: operations that it has still to answer may wait for an owner.
    this.tell({ kind: "snapshot", id, change });
    return this.#stopping ? Promise.resolve() : new Promise((resolve) => this.#confirming.set(id, resolve));
  }

  /** What its read cache has told last. */
  get cache(): CacheFigures {
    return this.#cache;
  }

  metrics(): Promise<MetricsSnapshot> {
    const id = ++this.#ids;
    return new Promise((resolve) => {
      this.#asking.set(id, resolve);
      this.tell({ kind: "metrics", id });
    });
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    for (const confirm of this.#confirming.values()) confirm();
    this.tell({ kind: "stop", graceMs });
    const late = setTimeout(() => this.#stopped.resolve(), graceMs + 1_000);
    await this.#stopped.promise;
    clearTimeout(late);
    this.#worker.terminate();
  }

  #receive(message: Exclude<FromThread, { kind: "started" | "failed" }>): void {
    const { control, statistics, authenticator } = this.#parts;
    switch (message.kind) {
      case "confirmed":
        this.#confirming.get(message.id)?.();
        this.#confirming.delete(message.id);
        return;
      case "metrics":
        this.#asking.get(message.id)?.(message.snapshot);
        this.#asking.delete(message.id);
        return;
      case "worker_refused":
        return control.workerRefused(message.session);
      case "batch_floor":
        return control.batchFloor(message.session, message.dispatcher, message.floor);
      case "statistics":
        statistics.absorb(this, message.delta);
        this.#cache = message.cache;
        for (const [id, lastMs] of message.keysUsed) authenticator.noteUse(id, lastMs);
        return;
      case "request":
        this.#answer(message.id, message.request).catch((error) => {
          this.#parts.log.error("request_failed", { error });
          this.tell({ kind: "response", id: message.id, response: { status: 500, headers: [], body: null } });
        });
        return;
      case "stopped":
        return this.#stopped.resolve();
    }
  }

  /** Answers a forwarded request. A client that goes away cancels the streams of its bodies, across the threads. */
  async #answer(id: number, forwarded: ForwardedRequest): Promise<void> {
    const { method, url, headers: sent, remoteAddr, body: rest } = forwarded;
    const request: RestRequest = {
      method,
      url,
      headers: new Headers(sent.map(([name, value]): [string, string] => [name, value])),
      body: rest as ReadableStream<Uint8Array<ArrayBuffer>> | null,
    };
    const response = await this.#parts.app.fetch(request, { remoteAddr: { hostname: remoteAddr } });
    const { status, headers, body } = response;
    this.tell(
      { kind: "response", id, response: { status, headers: [...headers], body } },
      body === null ? [] : [body as unknown as Transferable],
    );
    // What nobody reads of a body would hold its connection for ever.
    if (rest !== null && !rest.locked) rest.cancel().catch(() => {});
  }
}
