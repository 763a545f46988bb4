/** Batches to a processing worker: many over one call, because a call for each costs both sides more than its operations do. */
import { GRPC_SHARED_CALL_BYTES_MAX } from "../../limits.ts";
import type { BatchRequest, BatchResponse } from "../messages.ts";
import { TransportError } from "../transport.ts";
import type { Channel, Exchange } from "./channel.ts";
import type { workerMethods } from "./methods.ts";

/** A batch that is waited for. */
interface Waiting {
  readonly resolve: (response: BatchResponse) => void;
  readonly reject: (error: TransportError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The call that carries the batches, and those that it has not answered. */
interface Shared {
  readonly exchange: Exchange<BatchRequest>;
  readonly token: string;
  readonly waiting: Map<number, Waiting>;
}

/** What an operation takes in a message beside its name, its payload and the tags of its conditions, at most. */
const OPERATION_OVERHEAD_BYTES = 128;

const TAG_OVERHEAD_BYTES = 8;

export class BatchCalls {
  readonly #channel: Channel;
  readonly #methods: ReturnType<typeof workerMethods>;
  readonly #token: () => string;
  readonly #sharedBytesMax: number;
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
    if (shared.waiting.has(request.seq)) throw new TypeError(`there is a batch ${request.seq} under way already`);
    shared.exchange.send(request);
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        shared.waiting.delete(request.seq);
        this.#retire(shared);
        this.#release(shared);
        reject(new TransportError("deadline", `${processBatches.path}: no answer after ${deadlineMs} ms`));
      }, deadlineMs);
      shared.waiting.set(request.seq, { resolve, reject, timer });
    });
  }

  /** The call that is open, or a new one. A call proves itself once, so that a new token needs a new call. */
  #open(): Shared {
    const token = this.#token();
    if (this.#shared !== undefined && (!this.#shared.exchange.isOpen || this.#shared.token !== token)) {
      this.#retire(this.#shared);
    }
    if (this.#shared !== undefined) return this.#shared;
    const waiting = new Map<number, Waiting>();
    const exchange = this.#channel.exchange(
      this.#methods.processBatches,
      ({ seq, results }) => {
        // One that was given up may still be answered.
        take(waiting, seq)?.resolve({ results });
        this.#release(shared);
      },
      (error) => {
        for (const seq of [...waiting.keys()]) take(waiting, seq)!.reject(error);
      },
    );
    const shared: Shared = { exchange, token, waiting };
    return this.#shared = shared;
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

function take(waiting: Map<number, Waiting>, seq: number): Waiting | undefined {
  const one = waiting.get(seq);
  if (one === undefined) return undefined;
  waiting.delete(seq);
  clearTimeout(one.timer);
  return one;
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
