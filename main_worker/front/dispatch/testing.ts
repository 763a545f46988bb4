/** What the tests of this folder stand on: a control that says what they want, and workers whose answers they give. */
import { silentLogger } from "../../../shared/logging/logger.ts";
import { type EntityKey, parseEntityKey, parseSchemaId } from "../../../shared/names.ts";
import type { EntityMeta } from "../../../shared/outcome.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import { systemRandom } from "../../../shared/seams/random.ts";
import type { Store } from "../../../shared/storage/store.ts";
import type { BatchRequest, BatchResponse, EntityEvent, OperationResult } from "../../../shared/wire/messages.ts";
import { TransportError, type TransportFailure, type WorkerClient } from "../../../shared/wire/transport.ts";
import type { Control, Routes, Snapshot } from "../../control/control.ts";
import { CoherenceTable } from "../cache/coherence.ts";
import { batchingFor } from "./batching.ts";
import { Dispatcher } from "./dispatcher.ts";
import { type OperationDetails, Operations } from "./operations.ts";

export const SCHEMA = parseSchemaId("s");

/** A control whose snapshots the test publishes. */
export class FakeControl implements Pick<Control, "snapshot" | "subscribe" | "workerRefused" | "batchFloor"> {
  readonly refused: string[] = [];
  readonly floors: { session: string; floor: number }[] = [];
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  #snapshot: Snapshot;

  constructor(routes: Routes) {
    this.#snapshot = {
      routes,
      credentials: { revision: 0, adminKeyHash: null, apiKeys: [], sessionKeys: [], clientTtlMs: 1 },
      schemas: { revision: 0, templates: new Map() },
      finished: new Map(),
    };
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  publish(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener(this.#snapshot);
  }

  workerRefused(session: string): void {
    this.refused.push(session);
  }

  batchFloor(session: string, _dispatcher: string, floor: number): void {
    this.floors.push({ session, floor });
  }
}

/** Routes in which each partition has the owner named (`moving` and `none` stand for themselves), all under one epoch. */
export function routes(epoch: number, ...owners: string[]): Routes {
  const sessions = [...new Set(owners)].filter((owner) => owner !== "moving" && owner !== "none");
  return {
    epoch,
    workers: new Map(sessions.map((session) => [session, {
      workerId: `id of ${session}`,
      session,
      address: session,
      token: "t",
    }])),
    owners: owners.map((owner) => owner === "moving" || owner === "none" ? owner : { session: owner, epoch }),
    takenEpochs: owners.map(() => epoch),
  };
}

/** A batch that a worker was sent and has not answered yet. */
export interface Sent {
  readonly session: string;
  readonly token: string;
  readonly request: BatchRequest;
  readonly deadlineMs: number;
  /** Answers each operation with the same result, or with what is made for each. */
  answer(result: OperationResult | ((n: number) => OperationResult)): void;
  fail(reason: TransportFailure): void;
}

/** A stream of events that is wanted of a worker. */
export interface Streaming {
  readonly session: string;
  readonly signal: AbortSignal;
  /** Opens it, if it is not open yet. */
  open(): void;
  emit(event: EntityEvent): void;
  break(): void;
}

export class FakeWorkers {
  /** Batches that wait for an answer, in the order in which they were sent. */
  readonly batches: Sent[] = [];
  readonly streams: Streaming[] = [];
  /** Sessions whose connection was closed. */
  readonly closed: string[] = [];

  readonly connect = (address: string, token = () => "t"): WorkerClient => ({
    processBatch: (request, deadlineMs) => this.#processBatch(address, token(), request, deadlineMs),
    list: () => Promise.reject(new TransportError("broken", "not listed in this test")),
    events: (_request, onOpen, onEvent, signal) =>
      new Promise((resolve, reject) => {
        let open = false;
        this.streams.push({
          session: address,
          signal,
          open: () => {
            if (!open) onOpen();
            open = true;
          },
          emit: onEvent,
          break: () => reject(new TransportError("broken", "the stream broke")),
        });
        signal.addEventListener("abort", () => resolve(), { once: true });
      }),
    close: () => void this.closed.push(address),
  });

  /** Takes the oldest batch that waits. */
  next(): Sent {
    const sent = this.batches.shift();
    if (sent === undefined) throw new Error("nothing was sent");
    return sent;
  }

  #processBatch(session: string, token: string, request: BatchRequest, deadlineMs: number): Promise<BatchResponse> {
    return new Promise((resolve, reject) => {
      this.batches.push({
        session,
        token,
        request,
        deadlineMs,
        answer: (result) =>
          resolve({ results: request.operations.map((_, n) => typeof result === "function" ? result(n) : result) }),
        fail: (reason) => reject(new TransportError(reason, "failed by the test")),
      });
    });
  }
}

/** A dispatcher between a fake control and fake workers; `beside`: another front of the same main worker. */
export function dispatching(
  first: Routes,
  kind: Store["kind"] = "directory",
  beside?: { clock: ManualClock; coherence: CoherenceTable; turn: (slot: number) => Promise<void> },
) {
  const clock = beside?.clock ?? new ManualClock();
  const control = new FakeControl(first);
  const workers = new FakeWorkers();
  const coherence = beside?.coherence ?? new CoherenceTable(CoherenceTable.allocate(), clock);
  const dispatcher = new Dispatcher({
    clock,
    random: systemRandom,
    log: silentLogger,
    control,
    connect: workers.connect,
    coherence,
    ...(beside && { turn: beside.turn }),
    batching: batchingFor(kind),
    metrics: { batch() {}, retry() {} },
  });
  const operations = new Operations(systemRandom, 1);
  const key = (name: string): EntityKey => parseEntityKey(name);
  return {
    clock,
    control,
    workers,
    coherence,
    dispatcher,
    operations,
    get: (name: string) => dispatcher.submit(operations.make("get", SCHEMA, key(name), {}), undefined),
    put: (name: string, details: OperationDetails = {}) =>
      dispatcher.submit(operations.make("put", SCHEMA, key(name), details), undefined),
    [Symbol.dispose]: () => dispatcher.close(),
  };
}

export function meta(version: number): EntityMeta {
  return { version, etag: `${version}-x`, writtenAtMs: 0, size: 1 };
}

export const stored = (version: number): OperationResult => ({ kind: "stored", meta: meta(version) });
