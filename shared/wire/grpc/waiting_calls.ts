/**
 * Calls that wait for their caller: for the rest of a message, for the end of a request that is whole, or, where anybody may
 * call, for an answer to be taken. grpc-js keeps what has arrived, whoever sends it: `Process` may have its credential in the
 * message, so nobody is refused before the request has ended. 200 calls of two connections that never ended took 1,600 MiB.
 *
 * The memory of all of a server's is bounded together here, and those that were begun first are given up.
 */
import type { Buffer } from "node:buffer";
import http2, { type Http2Stream } from "node:http2";
import { HeldMemory, type Holder } from "../../held_memory.ts";

/** The compression flag and the length in front of each message (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** Memory that each part takes beside its bytes: a frame may bring a single one. Measured: 600 at most. */
const PART_OVERHEAD_BYTES = 600;
/** Memory that a call takes beside its messages. Measured: 13,000, and 19,000 for one that watches a service's health. */
const CALL_BYTES = 16 * 1024;

/**
 * When a call waits no more: when its first message is whole (its caller was let in before that, and each further message waits
 * until it is whole), when its request has ended, or not before it is over.
 */
export type WaitsUntil = "message" | "request_ends" | "over";

interface Waiting {
  readonly until: WaitsUntil;
  /** Memory that it takes. */
  readonly held: Holder;
  /** Bytes of the prefix that are there. */
  prefix: number;
  /** Bytes of the message that are not there, as far as the prefix is known. */
  missing: number;
}

/** Watches the calls of one server. */
export class WaitingCalls {
  readonly #memory: HeldMemory;

  /** @param bytesMax memory that they may take together. */
  constructor(bytesMax: number) {
    this.#memory = new HeldMemory(bytesMax, false);
  }

  /** Memory that they take now, in bytes. */
  get bytes(): number {
    return this.#memory.bytes;
  }

  /** To be called with each new call. One that is given up is told ENHANCE_YOUR_CALM, to gRPC clients RESOURCE_EXHAUSTED. */
  watch(stream: Pick<Http2Stream, "close" | "on" | "once">, until: WaitsUntil): void {
    const held = this.#memory.begin(() => stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM));
    const call: Waiting = { until, held, prefix: 0, missing: 0 };
    const done = () => this.#memory.end(held);
    stream.on("data", (part: Buffer) => this.#arrived(call, part));
    if (until !== "over") stream.once("end", done);
    stream.once("close", done);
    this.#keep(call, CALL_BYTES);
  }

  #arrived(call: Waiting, part: Uint8Array): void {
    if (call.held.over) return;
    if (call.until !== "message") return this.#keep(call, part.length + PART_OVERHEAD_BYTES);
    let begun = 0;
    for (let at = 0; at < part.length;) {
      if (call.prefix < PREFIX_BYTES) {
        if (call.prefix > 0) call.missing = call.missing * 256 + part[at]!;
        call.prefix += 1;
        at += 1;
      } else {
        const step = Math.min(call.missing, part.length - at);
        call.missing -= step;
        at += step;
      }
      if (call.prefix === PREFIX_BYTES && call.missing === 0) {
        call.prefix = 0;
        begun = at;
        this.#memory.letGo(call.held);
      }
    }
    if (call.prefix > 0) this.#keep(call, part.length - begun + PART_OVERHEAD_BYTES);
  }

  #keep({ held }: Waiting, more: number): void {
    this.#memory.hold(held, held.bytes + more);
  }
}
