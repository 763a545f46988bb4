/**
 * Messages of which a part has arrived. grpc-js keeps the parts, whoever sends them: `Process` may have its credential in the
 * message, so nobody is refused before that is whole. 200 calls of one connection that never finish theirs took 800 MiB.
 *
 * All of a server's together are bounded here. When they are too much, those that were begun first are given up: what is sent
 * without pause is whole within moments, so that whoever begins messages and leaves them harms himself first.
 */
import type { Buffer } from "node:buffer";
import http2, { type Http2Stream } from "node:http2";
import { type Linked, LinkedList, unlinked } from "../../linked_list.ts";

/** The compression flag and the length in front of each message (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** Memory that each part takes beside its bytes: a frame may bring a single one. Measured: 600 at most. */
const PART_OVERHEAD_BYTES = 600;

interface Unfinished extends Linked<Unfinished> {
  readonly stream: Pick<Http2Stream, "close">;
  /** Bytes of the prefix that are there. */
  prefix: number;
  /** Bytes of the message that are not there, as far as the prefix is known. */
  missing: number;
  /** Memory that its parts take. */
  bytes: number;
  over: boolean;
}

/** Watches the calls of one server. */
export class UnfinishedMessages {
  readonly #bytesMax: number;
  readonly #messages = new LinkedList<Unfinished>();
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
  watch(stream: Pick<Http2Stream, "close" | "on" | "once">): void {
    const message: Unfinished = { stream, prefix: 0, missing: 0, bytes: 0, over: false, ...unlinked<Unfinished>() };
    stream.on("data", (part: Buffer) => this.#arrived(message, part));
    stream.once("close", () => {
      message.over = true;
      this.#forget(message);
    });
  }

  #arrived(message: Unfinished, part: Uint8Array): void {
    if (message.over) return;
    let begun = 0;
    for (let at = 0; at < part.length;) {
      if (message.prefix < PREFIX_BYTES) {
        if (message.prefix > 0) message.missing = message.missing * 256 + part[at]!;
        message.prefix += 1;
        at += 1;
      } else {
        const step = Math.min(message.missing, part.length - at);
        message.missing -= step;
        at += step;
      }
      if (message.prefix === PREFIX_BYTES && message.missing === 0) {
        message.prefix = 0;
        begun = at;
        this.#forget(message);
      }
    }
    if (message.prefix > 0) this.#keep(message, part.length - begun + PART_OVERHEAD_BYTES);
  }

  #keep(message: Unfinished, bytes: number): void {
    if (!message.listed) this.#messages.add(message);
    message.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax) {
      const first = this.#messages.first!;
      first.over = true;
      this.#forget(first);
      first.stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  #forget(message: Unfinished): void {
    if (!this.#messages.remove(message)) return;
    this.#bytes -= message.bytes;
    message.bytes = 0;
  }
}
