/** Batches to a processing worker: many over one call, because a call for each costs both sides more than its operations do. */
import { GRPC_SHARED_CALL_BYTES_MAX } from "../../limits.ts";
import { type Linked, LinkedList, unlinked } from "../../linked_list.ts";
import { systemClock } from "../../seams/clock.ts";
import { type Deadline, Deadlines } from "../../seams/deadlines.ts";
import type { BatchRequest, BatchResponse } from "../messages.ts";
import { TransportError } from "../transport.ts";
import type { Channel, Exchange } from "./channel.ts";
import type { workerMethods } from "./methods.ts";

/** A batch that is waited for. */
interface Waiting extends Linked<Waiting> {
  readonly seq: number;
  readonly resolve: (response: BatchResponse) => void;
  readonly reject: (error: TransportError) => void;
  readonly deadline: Deadline;
}

/** The call that carries the batches, and those that it has not answered. */
interface Shared {
  readonly exchange: Exchange<BatchRequest>;
  readonly token: string;
  readonly waiting: LinkedList<Waiting>;
}

/** What an operation takes in a message beside its name, its payload and the tags of its conditions, at most. */
const OPERATION_OVERHEAD_BYTES = 128;

const TAG_OVERHEAD_BYTES = 8;

export class BatchCalls {
  readonly #channel: Channel;
  readonly #methods: ReturnType<typeof workerMethods>;
  readonly #token: () => string;
  readonly #sharedBytesMax: number;
  readonly #deadlines = new Deadlines(systemClock);
  #shared: Shared | undefined;

  constructor(
    channel: Channel,
    methods: ReturnType<typeof workerMethods>,
    token: () => string,
    messageBytesMax: number,
  ) {
    this.#channel = channel;
    this.#methods = methods;
    this.#token = token;
    // What may be refused for its size has a call of its own: it would take the others with it.
    this.#sharedBytesMax = Math.min(GRPC_SHARED_CALL_BYTES_MAX, messageBytesMax / 2);
  }

  /** One batch, whose number no other one has that is under way here. @throws {TransportError} */
  async process(request: BatchRequest, deadlineMs: number): Promise<BatchResponse> {
    const { processBatch, processBatches } = this.#methods;
    if (deadlineMs <= 0) throw new TransportError("deadline", `${processBatches.path}: no time is left`);
    if (sizeOf(request) > this.#sharedBytesMax) {
      const { results } = await this.#channel.call(processBatch, request, deadlineMs);
      return { results };
    }
    const shared = this.#open();
    const { seq } = request;
    if (find(shared.waiting, seq)) throw new TypeError(`there is a batch ${seq} under way already`);
    shared.exchange.send(request);
    return await new Promise((resolve, reject) => {
      const deadline = this.#deadlines.begin(deadlineMs, () => {
        shared.waiting.remove(one);
        this.#retire(shared);
        this.#release(shared);
        reject(new TransportError("deadline", `${processBatches.path}: no answer after ${deadlineMs} ms`));
      });
      const one: Waiting = { seq, resolve, reject, deadline, ...unlinked<Waiting>() };
      shared.waiting.add(one);
    });
  }

  /** The call that is open, or a new one. A call proves itself once, so that a new token needs a new call. */
  #open(): Shared {
    const token = this.#token();
    if (this.#shared !== undefined && (!this.#shared.exchange.isOpen || this.#shared.token !== token)) {
      this.#retire(this.#shared);
    }
    if (this.#shared !== undefined) return this.#shared;
    const waiting = new LinkedList<Waiting>();
    const exchange = this.#channel.exchange(
      this.#methods.processBatches,
      ({ seq, results }) => {
        // One that was given up may still be answered.
        const one = find(waiting, seq);
        if (one !== undefined) this.#take(waiting, one).resolve({ results });
        this.#release(shared);
      },
      (error) => {
        for (const one of [...waiting]) this.#take(waiting, one).reject(error);
        this.#deadlines.rest();
      },
    );
    const shared: Shared = { exchange, token, waiting };
    return this.#shared = shared;
  }

  #take(waiting: LinkedList<Waiting>, one: Waiting): Waiting {
    waiting.remove(one);
    this.#deadlines.end(one.deadline);
    return one;
  }

  /** No batch follows on this call; those that are under way are waited for. */
  #retire(shared: Shared): void {
    if (this.#shared !== shared) return;
    this.#shared = undefined;
    shared.exchange.end();
  }

  /** Cancels a call on which no more is sent or waited for: where the other side hangs, it would not end it. */
  #release(shared: Shared): void {
    if (this.#shared !== shared && shared.waiting.size === 0) shared.exchange.cancel();
  }
}

function find(waiting: LinkedList<Waiting>, seq: number): Waiting | undefined {
  for (const one of waiting) if (one.seq === seq) return one;
}

/** Bytes of a batch as a message, rather too many. */
function sizeOf({ operations, schemas }: BatchRequest): number {
  let bytes = 0;
  for (const { name, payload, ifMatch, ifNoneMatch } of operations) {
    bytes += name.length + payload.byteLength + OPERATION_OVERHEAD_BYTES + tagBytes(ifMatch) + tagBytes(ifNoneMatch);
  }
  for (const text of schemas.values()) bytes += text.byteLength + OPERATION_OVERHEAD_BYTES;
  return bytes;
}

function tagBytes(tags: readonly string[] | undefined): number {
  return tags?.reduce((sum, tag) => sum + tag.length + TAG_OVERHEAD_BYTES, 0) ?? 0;
}
