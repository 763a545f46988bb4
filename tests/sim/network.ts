/**
 * The simulated transport: calls take time, overtake each other, get lost on either way, turn up late after the caller has
 * given them up, and meet processes that are dead or stand still.
 */
import type { BatchRequest, BatchResponse, EntityEvent } from "../../shared/wire/messages.ts";
import {
  type ConnectWorker,
  type MainClient,
  type MainHandler,
  TransportError,
  type WorkerHandler,
} from "../../shared/wire/transport.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** How bad the network is; probabilities per message. */
export interface NetworkFaults {
  delayMsMax: number;
  /** The caller sees a broken connection; the request never arrives. */
  lostRequest: number;
  /** The request is executed, its answer is lost. */
  lostAnswer: number;
  /** The caller sees a broken connection; the request arrives later. */
  lateRequest: number;
  lateMsMax: number;
  /** The answer is not what was asked for. */
  garbage: number;
}

interface WorkerEndpoint {
  readonly process: Process;
  readonly handler: WorkerHandler;
  readonly authorize: (token: string) => boolean;
}

interface MainEndpoint {
  readonly process: Process;
  readonly handler: MainHandler;
}

export class Network {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly faults: NetworkFaults;
  readonly #workers = new Map<string, WorkerEndpoint>();
  #main: MainEndpoint | undefined;

  constructor(scheduler: Scheduler, random: SeededRandom, faults: NetworkFaults) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.faults = faults;
  }

  listenWorker(address: string, endpoint: WorkerEndpoint): void {
    this.#workers.set(address, endpoint);
  }

  listenMain(endpoint: MainEndpoint): void {
    this.#main = endpoint;
  }

  /** The main worker's way to the workers, for the main worker in `caller`. */
  connectWorkers(caller: Process): ConnectWorker {
    return (address, token) => {
      const closed = new AbortController();
      const call = <T>(deadlineMs: number, run: (endpoint: WorkerEndpoint) => Promise<T>): Promise<T> =>
        this.#call(caller, () => this.#workers.get(address), deadlineMs, closed.signal, (endpoint) => {
          if (!endpoint.authorize(token())) throw new TransportError("denied", "wrong token");
          return run(endpoint);
        });
      return {
        processBatch: (request, deadlineMs) =>
          call(deadlineMs, async ({ handler }) => this.#spoil(request, await handler.processBatch(request))),
        list: (request, deadlineMs) => call(deadlineMs, ({ handler }) => handler.list(request)),
        events: (request, onOpen, onEvent, signal) =>
          this.#stream(
            caller,
            this.#workers.get(address),
            onOpen,
            onEvent,
            signal,
            (endpoint, send, stop) => endpoint.handler.events(request, send, stop),
          ),
        close: () => closed.abort(),
      };
    };
  }

  /** A worker's way to the main worker. */
  connectMain(caller: Process): MainClient {
    const closed = new AbortController();
    const call = <T>(deadlineMs: number, run: (endpoint: MainEndpoint) => Promise<T>): Promise<T> =>
      this.#call(caller, () => this.#main, deadlineMs, closed.signal, run);
    return {
      subscribe: (request, deadlineMs) => call(deadlineMs, ({ handler }) => handler.subscribe(request, "10.0.0.1")),
      heartbeat: (request, deadlineMs) => call(deadlineMs, ({ handler }) => handler.heartbeat(request, caller.dead)),
      unsubscribe: (request, deadlineMs) => call(deadlineMs, ({ handler }) => handler.unsubscribe(request)),
      close: () => closed.abort(),
    };
  }

  #spoil(request: BatchRequest, response: BatchResponse): BatchResponse {
    if (!this.#random.chance(this.faults.garbage)) return response;
    return { results: response.results.slice(0, request.operations.length - 1) };
  }

  #delay(): number {
    return 0.05 + this.#random.unit() ** 3 * this.faults.delayMsMax;
  }

  #call<E extends { readonly process: Process }, T>(
    caller: Process,
    find: () => E | undefined,
    deadlineMs: number,
    closed: AbortSignal,
    run: (endpoint: E) => Promise<T>,
  ): Promise<T> {
    const random = this.#random;
    const { faults } = this;
    return new Promise((resolve, reject) => {
      let ended = false;
      let forget = () => {};
      const end = (settle: () => void) => {
        if (ended) return;
        ended = true;
        this.#scheduler.cancel(timer);
        forget();
        settle();
      };
      const fail = (reason: TransportError["reason"]) =>
        end(() => reject(new TransportError(reason, `simulated: ${reason}`)));
      const timer = caller.after(deadlineMs, () => fail("deadline"));
      closed.addEventListener("abort", () => caller.after(0, () => fail("broken")), { once: true });
      if (closed.aborted) return void caller.after(0, () => fail("broken"));
      const endpoint = find();
      if (endpoint === undefined || !endpoint.process.alive) {
        return void caller.after(this.#delay(), () => fail("refused"));
      }
      const broken = () => caller.after(this.#delay(), () => fail("broken"));
      // A killed server resets its connections.
      forget = endpoint.process.onDeath(broken);
      if (random.chance(faults.lostRequest)) return void broken();
      const late = random.chance(faults.lateRequest);
      if (late) broken();
      const arrival = late ? random.unit() * faults.lateMsMax : this.#delay();
      endpoint.process.after(arrival, () => {
        Promise.resolve().then(() => run(endpoint)).then(
          (value) =>
            random.chance(faults.lostAnswer) ? broken() : caller.after(this.#delay(), () => end(() => resolve(value))),
          (error) => caller.after(this.#delay(), () => end(() => reject(error))),
        );
      });
    });
  }

  /** A stream keeps its order, and ends when either side does. */
  #stream(
    caller: Process,
    endpoint: WorkerEndpoint | undefined,
    onOpen: () => void,
    onEvent: (event: EntityEvent) => void,
    signal: AbortSignal,
    run: (endpoint: WorkerEndpoint, send: (event: EntityEvent) => boolean, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (endpoint === undefined || !endpoint.process.alive) {
        return void caller.after(this.#delay(), () => reject(new TransportError("refused", "simulated: refused")));
      }
      const stop = new AbortController();
      const end = (settle: () => void) => {
        stop.abort();
        settle();
      };
      signal.addEventListener("abort", () => end(resolve), { once: true });
      caller.dead.addEventListener("abort", () => stop.abort(), { once: true });
      endpoint.process.dead.addEventListener("abort", () => {
        caller.after(this.#delay(), () => end(() => reject(new TransportError("broken", "simulated: broken"))));
      }, { once: true });
      let lastMs = 0;
      const deliver = (fn: () => void) => {
        lastMs = Math.max(lastMs, this.#scheduler.nowMs + this.#delay());
        caller.after(lastMs - this.#scheduler.nowMs, () => stop.signal.aborted || fn());
      };
      endpoint.process.after(this.#delay(), () => {
        deliver(onOpen);
        run(endpoint, (event) => (deliver(() => onEvent(event)), true), stop.signal);
      });
    });
  }
}
