/**
 * Calls that wait for their caller: for the rest of a message, for the end of a request that is whole, or, where anybody may
 * call, for an answer to be taken. grpc-js keeps what has arrived, whoever sends it: `Process` may have its credential in the
 * message, so nobody is refused before the request has ended. 200 calls of two connections that never ended took 1,600 MiB.
 *
 * All of a server's together are bounded here. When they are too much, those that were begun first are given up: what is sent
 * without pause is over within moments, so that whoever begins calls and leaves them harms himself first.
 */
import type { Buffer } from "node:buffer";
import http2, { type Http2Stream } from "node:http2";
import { type Linked, LinkedList, unlinked } from "../../linked_list.ts";

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

interface Waiting extends Linked<Waiting> {
  readonly stream: Pick<Http2Stream, "close">;
  readonly until: WaitsUntil;
  /** Bytes of the prefix that are there. */
  prefix: number;
  /** Bytes of the message that are not there, as far as the prefix is known. */
  missing: number;
  /** Memory that it takes. */
  bytes: number;
  done: boolean;
}

/** Watches the calls of one server. */
export class WaitingCalls {
  readonly #bytesMax: number;
  readonly #calls = new LinkedList<Waiting>();
  #bytes = 0;

  /** @param bytesMax memory that they may take together. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Memory that they take now, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** To be called with each new call. One that is given up is told ENHANCE_YOUR_CALM, to gRPC clients RESOURCE_EXHAUSTED. */
  watch(stream: Pick<Http2Stream, "close" | "on" | "once">, until: WaitsUntil): void {
    const call: Waiting = { stream, until, prefix: 0, missing: 0, bytes: 0, done: false, ...unlinked<Waiting>() };
    const done = () => {
      call.done = true;
      this.#forget(call);
    };
    stream.on("data", (part: Buffer) => this.#arrived(call, part));
    if (until !== "over") stream.once("end", done);
    stream.once("close", done);
    this.#keep(call, CALL_BYTES);
  }

  #arrived(call: Waiting, part: Uint8Array): void {
    if (call.done) return;
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
        this.#forget(call);
      }
    }
    if (call.prefix > 0) this.#keep(call, part.length - begun + PART_OVERHEAD_BYTES);
  }

  #keep(call: Waiting, bytes: number): void {
    if (!call.listed) this.#calls.add(call);
    call.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax) {
      const first = this.#calls.first!;
      first.done = true;
      this.#forget(first);
      first.stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  #forget(call: Waiting): void {
    if (!this.#calls.remove(call)) return;
    this.#bytes -= call.bytes;
    call.bytes = 0;
  }
}
