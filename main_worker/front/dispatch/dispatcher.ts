/**
 * Brings operations to the workers that own their partitions, in batches: a few under way per worker, and what waits meanwhile
 * goes with the next. Retries within the deadline when a partition moves or a worker dies; `op_id` makes that safe.
 */
import {
  BATCH_BYTES_MAX,
  BATCH_OPERATIONS_MAX,
  QUEUE_BYTES_MAX,
  QUEUE_OPERATIONS_MAX,
  REQUEST_DEADLINE_MS,
  RETRY_AFTER_S,
} from "../../../shared/limits.ts";
import { type Linked, LinkedList, unlinked } from "../../../shared/linked_list.ts";
import type { Logger } from "../../../shared/logging/logger.ts";
import type { EntityName } from "../../../shared/names.ts";
import { type Failure, failure, type Outcome } from "../../../shared/outcome.ts";
import type { Clock, Timer } from "../../../shared/seams/clock.ts";
import { type Random, randomHex } from "../../../shared/seams/random.ts";
import type { Epoch, Operation, OperationResult } from "../../../shared/wire/messages.ts";
import { type ConnectWorker, TransportError, type WorkerClient } from "../../../shared/wire/transport.ts";
import type { Control, Routes, Snapshot, Template, WorkerRoute } from "../../control/control.ts";
import type { CoherenceTable, Stamp } from "../cache/coherence.ts";
import type { Batching } from "./batching.ts";
import { UnresolvedWrites } from "./unresolved_writes.ts";

/** What the dispatcher tells the metrics. */
export interface DispatcherMetrics {
  batch(operations: number, bytes: number): void;
  retry(reason: string): void;
}

export interface DispatcherParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly control: Pick<Control, "snapshot" | "subscribe" | "workerRefused" | "batchFloor">;
  readonly connect: ConnectWorker;
  readonly coherence: CoherenceTable;
  /**
   * Waits until a slot of the coherence table may be free. Present where several fronts dispatch: writes of one entity
   * then also take turns across fronts. Absent: this is the only front.
   */
  readonly turn?: (slot: number) => Promise<void>;
  readonly batching: Batching;
  readonly metrics: DispatcherMetrics;
}

/** An answered operation; `stamp`: under which its result may be cached, if at all. */
export interface Answer {
  readonly outcome: Outcome;
  readonly stamp: Stamp | undefined;
}

interface Pending extends Linked<Pending> {
  op: Operation;
  readonly template: Template | undefined;
  readonly write: boolean;
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly slot: number;
  readonly stamp: Stamp | undefined;
  /** The last batch that carried it and may have had an effect. */
  sent: { session: string; seq: number; epoch: Epoch } | undefined;
  /** Answered; a write may still be unresolved. */
  settled: boolean;
  /** Waits behind an earlier write on the same entity. */
  gated: boolean;
  /** Holds its slot against writes of other fronts. */
  locked: boolean;
  /** Its template was sent along, because the worker had asked for it. */
  templateResent: boolean;
  answer: (answer: Answer) => void;
}

interface Batch extends Linked<Batch> {
  readonly seq: number;
  readonly epoch: Epoch;
  readonly members: readonly Pending[];
  /** How many of them are reads of documents. */
  readonly reads: number;
}

/** What one batch carries. */
interface Load {
  readonly members: readonly Pending[];
  readonly reads: number;
  readonly schemas: ReadonlyMap<string, Uint8Array>;
}

/** The line to one worker session. */
interface Line {
  readonly session: string;
  readonly client: WorkerClient;
  route: WorkerRoute;
  queue: Pending[];
  queueBytes: number;
  pumping: boolean;
  readonly inFlight: LinkedList<Batch>;
  /** Reads that a batch may carry: as many as had room in the last answer that was full, and more again while they have. */
  readsMax: number;
  /** Templates that the worker has been sent. */
  readonly templates: Set<string>;
  closed: boolean;
}

/** Parked operations are routed anew at least this often. */
const REROUTE_MS = 50;
const SWEEP_MS = 100;
/** A batch is waited for a little longer than its operations, so that a late answer still resolves its writes. */
const ANSWER_SLACK_MS = 1_000;
/** Templates remembered per worker before they are sent again. */
const TEMPLATES_KNOWN_MAX = 1_024;
/** How long a template that travels alone is waited for. */
const TEMPLATE_DEADLINE_MS = 5_000;
const OPERATION_OVERHEAD_BYTES = 256;
/** From this attempt on an operation travels alone. The second one follows each loss of a worker, and is no reason for that. */
const SUSPECT_ATTEMPT = 3;

export class Dispatcher {
  /** Unique to this dispatcher and start of the main worker. */
  readonly id: string;
  readonly #parts: DispatcherParts;
  readonly #lines = new Map<string, Line>();
  readonly #live = new LinkedList<Pending>();
  #liveBytes = 0;
  /** Writes that wait for an earlier one on the same entity. The entry exists while a write on the entity is under way. */
  readonly #gates = new Map<EntityName, Pending[]>();
  readonly #unresolved: UnresolvedWrites;
  readonly #unsubscribe: () => void;
  /** One numbering for all lines: a worker session that was out and came back must not see numbers again. */
  #seq = 0;
  #parked: Pending[] = [];
  #parkedBytes = 0;
  #rerouteTimer: Timer | undefined;
  #sweepTimer: Timer | undefined;
  #routes: Routes;
  #closed = false;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.id = randomHex(parts.random, 8);
    this.#unresolved = new UnresolvedWrites(this.id);
    this.#routes = parts.control.snapshot().routes;
    this.#unsubscribe = parts.control.subscribe((snapshot) => this.#learn(snapshot));
    this.#learn(parts.control.snapshot());
  }

  /** Operations that are not answered yet. */
  get depth(): number {
    return this.#live.size;
  }

  get unresolved(): number {
    return this.#unresolved.size;
  }

  /** Operations that wait for their partition to get an owner. */
  get parked(): number {
    return this.#parked.length;
  }

  /** The lines to the workers: batches under way, operations and bytes that wait. */
  lines(): { workerId: string; batches: number; operations: number; bytes: number }[] {
    return [...this.#lines.values()].map(({ route, inFlight, queue, queueBytes }) => ({
      workerId: route.workerId,
      batches: inFlight.size,
      operations: queue.length,
      bytes: queueBytes,
    }));
  }

  /** The client of a session, for calls that are not operations (lists, events). */
  client(session: string): WorkerClient | undefined {
    return this.#lines.get(session)?.client;
  }

  get routes(): Routes {
    return this.#routes;
  }

  /**
   * Executes an operation at its partition's owner. Always answers, within the deadline. `template` judges it.
   * A write is in the coherence table from here until its outcome is known.
   */
  submit(op: Operation, template: Template | undefined, deadlineMs = REQUEST_DEADLINE_MS): Promise<Answer> {
    const { clock, coherence } = this.#parts;
    const write = op.kind !== "get" && op.kind !== "validate";
    if (this.#closed) return Promise.resolve({ outcome: NO_WORKER, stamp: undefined });
    if (this.#routes.owners[op.partition] === "none") return Promise.resolve({ outcome: NO_WORKER, stamp: undefined });
    const bytes = op.payload.byteLength + op.name.length + OPERATION_OVERHEAD_BYTES;
    if (!this.#hasRoom(1, bytes, 1) || (write && this.#unresolved.full)) {
      return Promise.resolve({ outcome: OVERLOADED, stamp: undefined });
    }
    const slot = coherence.slotOf(op.name);
    return new Promise((answer) => {
      const pending: Pending = {
        op,
        template,
        write,
        bytes,
        deadlineMs: clock.monotonic() + deadlineMs,
        slot,
        stamp: write ? coherence.begin(slot) : coherence.stamp(slot),
        sent: undefined,
        settled: false,
        gated: false,
        locked: false,
        templateResent: false,
        answer,
        ...unlinked<Pending>(),
      };
      this.#live.add(pending);
      this.#liveBytes += bytes;
      this.#sweepTimer ??= clock.setTimer(() => this.#sweep(), SWEEP_MS);
      if (!write) return this.#route(pending);
      const gate = this.#gates.get(op.name);
      if (gate !== undefined) {
        pending.gated = true;
        gate.push(pending);
        return;
      }
      this.#gates.set(op.name, []);
      this.#enter(pending);
    });
  }

  /** Sends the write whose turn it is among those of this front; where there are other fronts, when it is among theirs. */
  #enter(pending: Pending): void {
    const { turn, coherence } = this.#parts;
    if (turn !== undefined && !coherence.tryLock(pending.slot)) {
      turn(pending.slot).then(() => {
        if (!pending.settled) this.#enter(pending);
      });
      return;
    }
    pending.locked = turn !== undefined;
    this.#route(pending);
  }

  /**
   * Whether so many operations, with names and payloads of so many bytes, can be taken at once, wherever they go, and no more
   * than `share` of the room is taken then. What only counts together must be let in together: when requests of many get in by
   * parts, all of them fail.
   */
  admits(operations: number, contentBytes: number, share = 1): boolean {
    const bytes = contentBytes + operations * OPERATION_OVERHEAD_BYTES;
    if (!this.#hasRoom(operations, bytes, share)) return false;
    return fits(this.#parked.length + operations, this.#parkedBytes + bytes) &&
      this.#lines.values().every(({ queue, queueBytes }) => fits(queue.length + operations, queueBytes + bytes));
  }

  /** Whether so many more can wait, in lines, parked or behind an earlier write on their entity. */
  #hasRoom(operations: number, bytes: number, share: number): boolean {
    const lines = Math.max(1, this.#lines.size);
    return fits(this.#live.size + operations, this.#liveBytes + bytes, lines * share);
  }

  /** Answers what waits and closes every line. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    if (this.#rerouteTimer !== undefined) this.#parts.clock.clearTimer(this.#rerouteTimer);
    if (this.#sweepTimer !== undefined) this.#parts.clock.clearTimer(this.#sweepTimer);
    for (const pending of [...this.#live]) this.#giveUp(pending);
    for (const line of this.#lines.values()) this.#closeLine(line);
  }

  #learn(snapshot: Snapshot): void {
    this.#routes = snapshot.routes;
    for (const [session, route] of snapshot.routes.workers) {
      const line = this.#lines.get(session);
      if (line === undefined) this.#openLine(route);
      else line.route = route;
    }
    for (const line of [...this.#lines.values()]) {
      if (!snapshot.routes.workers.has(line.session)) this.#closeLine(line);
    }
    this.#unresolved.settle(snapshot);
    this.#reroute();
  }

  #openLine(route: WorkerRoute): void {
    const line: Line = {
      session: route.session,
      client: this.#parts.connect(route.address, () => line.route.token),
      route,
      queue: [],
      queueBytes: 0,
      pumping: false,
      inFlight: new LinkedList(),
      readsMax: BATCH_OPERATIONS_MAX,
      templates: new Set(),
      closed: false,
    };
    this.#lines.set(route.session, line);
    // A session that was out and is back has finished what was left unresolved, or never will begin it.
    if (this.#unresolved.size > 0) this.#askForFloor(line);
  }

  /** Wants to be told when the worker is through with everything that is not waited for any more. */
  #askForFloor(line: Line): void {
    this.#parts.control.batchFloor(line.session, this.id, this.#floor(line));
  }

  /** The worker is out: what it was sent is tried elsewhere, what it was not sent goes elsewhere. */
  #closeLine(line: Line): void {
    line.closed = true;
    this.#lines.delete(line.session);
    const queue = line.queue;
    line.queue = [];
    line.queueBytes = 0;
    for (const pending of queue) this.#park(pending);
    line.client.close();
    for (const batch of [...line.inFlight]) this.#lost(line, batch, "broken");
  }

  #route(pending: Pending): void {
    if (pending.settled) return;
    const owner = this.#routes.owners[pending.op.partition];
    const line = typeof owner === "object" ? this.#lines.get(owner.session) : undefined;
    if (owner === "none" && pending.sent === undefined) return this.#settle(pending, NO_WORKER, true);
    if (line === undefined) return this.#park(pending);
    if (!fits(line.queue.length + 1, line.queueBytes + pending.bytes)) {
      // What may have had an effect keeps its place, or its outcome would never be known.
      if (pending.sent === undefined) return this.#settle(pending, OVERLOADED, true);
      return this.#park(pending);
    }
    line.queue.push(pending);
    line.queueBytes += pending.bytes;
    if (line.pumping) return;
    line.pumping = true;
    // Whatever else arrives in this turn of the event loop travels in the same batch.
    queueMicrotask(() => {
      line.pumping = false;
      this.#pump(line);
    });
  }

  #park(pending: Pending): void {
    if (pending.settled) return;
    const full = !fits(this.#parked.length + 1, this.#parkedBytes + pending.bytes);
    if (full && pending.sent === undefined) return this.#settle(pending, OVERLOADED, true);
    this.#parked.push(pending);
    this.#parkedBytes += pending.bytes;
    if (this.#closed) return;
    this.#rerouteTimer ??= this.#parts.clock.setTimer(() => this.#reroute(), REROUTE_MS);
  }

  #reroute(): void {
    if (this.#rerouteTimer !== undefined) this.#parts.clock.clearTimer(this.#rerouteTimer);
    this.#rerouteTimer = undefined;
    const parked = this.#parked;
    this.#parked = [];
    this.#parkedBytes = 0;
    for (const pending of parked) this.#route(pending);
  }

  #pump(line: Line): void {
    const { inFlightMax, ofAnySize } = this.#parts.batching;
    while (!line.closed && line.inFlight.size < inFlightMax) {
      const fill = this.#fill(line);
      if (line.inFlight.size >= ofAnySize && line.queue.length < fill) return;
      const load = this.#take(line, fill);
      if (load.members.length === 0 && load.schemas.size === 0) return;
      this.#send(line, load);
    }
  }

  /**
   * Operations that a batch should have: a share of all that this line has to do, so that the main worker, the worker and its
   * disk each have one to work on. Otherwise clients that were answered together come back together and go together: one batch
   * holds them all, and each of the three waits for the other two.
   */
  #fill(line: Line): number {
    const { parts, operationsMin } = this.#parts.batching;
    let operations = line.queue.length;
    for (const { members } of line.inFlight) operations += members.length;
    return Math.min(Math.max(Math.ceil(operations / parts), operationsMin), BATCH_OPERATIONS_MAX);
  }

  /**
   * The next batch: operations in the order in which they came, and the templates that they need and the worker lacks. Both
   * count, so that a batch fits into a message; a template that doesn't fit beside its operation goes ahead alone. So does an
   * operation that was twice in a batch without a good answer: if it was the reason, the others shall not wait with it again.
   */
  #take(line: Line, operationsMax: number): Load {
    const members: Pending[] = [];
    const schemas = new Map<string, Uint8Array>();
    let bytes = 0;
    let reads = 0;
    let taken = 0;
    for (const pending of line.queue) {
      if (!pending.settled) {
        const [first] = members;
        if (first !== undefined && (isSuspect(first) || isSuspect(pending))) break;
        const template = this.#missing(line, pending, schemas);
        const templateBytes = template?.text.byteLength ?? 0;
        const isRead = pending.op.kind === "get";
        const hasRoom = members.length < operationsMax && (!isRead || reads < line.readsMax) &&
          bytes + pending.bytes + templateBytes <= BATCH_BYTES_MAX;
        if (!hasRoom && first !== undefined) break;
        if (template !== undefined) schemas.set(template.hash, template.text);
        if (!hasRoom && template !== undefined) break;
        members.push(pending);
        bytes += pending.bytes + templateBytes;
        if (isRead) reads += 1;
      }
      taken += 1;
      line.queueBytes -= pending.bytes;
    }
    line.queue.splice(0, taken);
    if (members.length > 0) this.#parts.metrics.batch(members.length, bytes);
    return { members, reads, schemas };
  }

  /** The template of an operation, if the worker has not been sent it and `attached` doesn't bring it. */
  #missing(line: Line, { op, template }: Pending, attached: ReadonlyMap<string, Uint8Array>): Template | undefined {
    if (template === undefined || op.schemaHash === "") return undefined;
    return line.templates.has(template.hash) || attached.has(template.hash) ? undefined : template;
  }

  #send(line: Line, { members, reads, schemas }: Load): void {
    const { clock } = this.#parts;
    const batch: Batch = { seq: ++this.#seq, epoch: this.#routes.epoch, members, reads, ...unlinked<Batch>() };
    line.inFlight.add(batch);
    if (line.templates.size + schemas.size > TEMPLATES_KNOWN_MAX) line.templates.clear();
    for (const hash of schemas.keys()) line.templates.add(hash);
    let deadlineMs = members.length === 0 ? TEMPLATE_DEADLINE_MS : 0;
    for (const pending of members) {
      pending.sent = { session: line.session, seq: batch.seq, epoch: batch.epoch };
      deadlineMs = Math.max(deadlineMs, pending.deadlineMs - clock.monotonic());
    }
    line.client.processBatch({
      epoch: batch.epoch,
      dispatcher: this.id,
      seq: batch.seq,
      floor: this.#floor(line),
      deadlineMs: Math.ceil(deadlineMs),
      operations: members.map((pending) => pending.op),
      schemas,
    }, Math.ceil(deadlineMs) + ANSWER_SLACK_MS).then(
      (response) => {
        if (response.results.length === members.length) this.#answered(line, batch, response.results);
        else this.#lost(line, batch, "broken");
      },
      (error) => this.#lost(line, batch, error instanceof TransportError ? error.reason : "broken", error),
    );
  }

  /** Every batch below this number has been answered or given up. */
  #floor({ inFlight }: Line): number {
    return inFlight.first?.seq ?? this.#seq + 1;
  }

  #answered(line: Line, batch: Batch, results: readonly OperationResult[]): void {
    if (!line.inFlight.remove(batch)) return;
    const crowdedOut: Pending[] = [];
    results.forEach((result, i) => {
      const pending = batch.members[i]!;
      if (result.kind === "retry") {
        this.#parts.metrics.retry(result.reason);
        const again = result.reason === "schema_unknown" && pending.templateResent;
        if (result.reason === "schema_unknown") {
          line.templates.delete(pending.op.schemaHash);
          pending.templateResent = true;
        }
        // A refused operation had no effect in this batch; an earlier one that carried it may have.
        if (pending.op.attempt === 1) pending.sent = undefined;
        if (pending.settled) this.#resolve(pending);
        else if (result.reason === "not_owner" || again) this.#park(pending);
        else if (result.reason === "response_full") crowdedOut.push(pending);
        else this.#route(pending);
      } else {
        const unknown = outcomeUnknown(pending, result);
        this.#settle(pending, unknown ?? result, unknown === undefined);
        if (unknown !== undefined) this.#leaveUnresolved(pending);
      }
    });
    this.#learnRoom(line, batch, crowdedOut);
    this.#pump(line);
  }

  /**
   * Learns how many reads a batch may carry. Those whose documents had no room in the answer go first with the next one, so
   * that requests of many end one after the other, instead of each having a part of its documents when time is up.
   */
  #learnRoom(line: Line, { reads }: Batch, crowdedOut: readonly Pending[]): void {
    if (crowdedOut.length === 0) {
      if (reads >= line.readsMax) line.readsMax = Math.min(2 * line.readsMax, BATCH_OPERATIONS_MAX);
      return;
    }
    line.readsMax = Math.max(1, reads - crowdedOut.length);
    line.queue = [...crowdedOut, ...line.queue];
    for (const { bytes } of crowdedOut) line.queueBytes += bytes;
  }

  /** A batch got no good answer: its operations are tried again, those that must not wait any longer are given up. */
  #lost(line: Line, batch: Batch, reason: TransportError["reason"], error?: unknown): void {
    if (!line.inFlight.remove(batch)) return;
    const { clock, control, log, metrics } = this.#parts;
    metrics.retry(reason);
    if (!line.closed) {
      log.warn("batch_failed", { worker_id: line.route.workerId, reason, operations: batch.members.length, error });
    }
    const executed = reason === "broken" || reason === "deadline";
    const now = clock.monotonic();
    for (const pending of batch.members) {
      if (!executed && pending.op.attempt === 1) pending.sent = undefined;
      if (pending.settled) {
        if (pending.sent === undefined) this.#resolve(pending);
        else this.#leaveUnresolved(pending);
      } else if (pending.deadlineMs <= now) {
        this.#giveUp(pending);
      } else {
        pending.op = { ...pending.op, attempt: pending.op.attempt + (executed ? 1 : 0) };
        this.#park(pending);
      }
    }
    if (line.closed) return;
    if (reason === "refused") control.workerRefused(line.session);
    else if (this.#unresolved.size > 0) this.#askForFloor(line);
    this.#pump(line);
  }

  /** Gives up what has waited too long. */
  #sweep(): void {
    const { clock } = this.#parts;
    const now = clock.monotonic();
    const due = [...this.#live].filter(({ deadlineMs }) => deadlineMs <= now);
    for (const pending of due) this.#giveUp(pending);
    this.#sweepTimer = this.#live.size > 0 ? clock.setTimer(() => this.#sweep(), SWEEP_MS) : undefined;
  }

  #giveUp(pending: Pending): void {
    if (pending.settled) return;
    if (pending.sent === undefined) return this.#settle(pending, NO_WORKER, true);
    this.#settle(pending, pending.write ? OUTCOME_UNKNOWN : NO_ANSWER, !pending.write);
    const line = this.#lines.get(pending.sent.session);
    // While its batch is under way, the answer may still come and resolve it.
    const { seq } = pending.sent;
    const underWay = line !== undefined && [...line.inFlight].some((batch) => batch.seq === seq);
    if (pending.write && !underWay) this.#leaveUnresolved(pending);
  }

  /** Answers an operation; `known`: its outcome is final. */
  #settle(pending: Pending, outcome: Outcome, known: boolean): void {
    if (pending.settled) {
      if (known) this.#resolve(pending);
      return;
    }
    pending.settled = true;
    this.#live.remove(pending);
    this.#liveBytes -= pending.bytes;
    let stamp = pending.stamp;
    if (pending.write) {
      stamp = known ? this.#parts.coherence.resolve(pending.slot, pending.stamp) : undefined;
      if (pending.locked) this.#parts.coherence.unlock(pending.slot);
      if (!pending.gated) this.#openGate(pending.op.name);
    }
    pending.answer({ outcome, stamp });
  }

  /** A write that was answered as unknown has been decided. */
  #resolve(pending: Pending): void {
    if (pending.write) this.#parts.coherence.resolve(pending.slot, undefined);
  }

  #leaveUnresolved(pending: Pending): void {
    if (!pending.write) return;
    const { session, seq, epoch } = pending.sent!;
    const { partition } = pending.op;
    const write = { session, seq, epoch, partition, resolve: () => this.#resolve(pending) };
    this.#unresolved.add(write, this.#parts.control.snapshot());
    const line = this.#lines.get(session);
    if (line !== undefined) this.#askForFloor(line);
  }

  #openGate(name: EntityName): void {
    const gate = this.#gates.get(name);
    if (gate === undefined) return;
    let next = gate.shift();
    while (next?.settled) next = gate.shift();
    if (next === undefined) {
      this.#gates.delete(name);
    } else {
      next.gated = false;
      this.#enter(next);
    }
  }
}

/** Whether it was in batches without a good answer often enough to be the reason for that. */
function isSuspect({ op }: Pending): boolean {
  return op.attempt >= SUSPECT_ATTEMPT;
}

/** What to answer where a worker's result leaves open what became of a write. */
function outcomeUnknown({ write, op }: Pending, result: Outcome): Failure | undefined {
  if (!write || result.kind !== "failed") return undefined;
  if (result.code === "deadline") return result;
  // That this attempt changed nothing says nothing about an earlier one, whose answer was lost.
  const unchanged = result.code === "storage_unavailable" || result.code === "overloaded";
  return unchanged && op.attempt > 1 ? OUTCOME_UNKNOWN : undefined;
}

/** Whether so much may wait in so many queues. */
function fits(operations: number, bytes: number, queues = 1): boolean {
  return operations <= QUEUE_OPERATIONS_MAX * queues && bytes <= QUEUE_BYTES_MAX * queues;
}

const NO_WORKER: Failure = failure("no_worker", "no worker can take this entity's partition now; nothing was changed", {
  retryAfterS: RETRY_AFTER_S,
});

/** The answer where there is no room. */
export const OVERLOADED: Failure = failure("overloaded", "too many operations are waiting; nothing was changed", {
  retryAfterS: RETRY_AFTER_S,
});

const OUTCOME_UNKNOWN: Failure = failure(
  "deadline",
  "there was no answer in time; whether the write took effect is not known, and it is safe to repeat it",
);

const NO_ANSWER: Failure = failure("deadline", "there was no answer in time; it is safe to repeat the request");
