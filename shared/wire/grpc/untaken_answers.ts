/**
 * Answers that their callers have not taken yet. grpc-js hands an answer to a stream, which keeps it for as long as the caller
 * lets it wait; grpc-js does not say when it is gone, but the stream closes then.
 */
import http2, { type Http2Stream } from "node:http2";
import { GRPC_ANSWER_TAKEN_MS, JSON_ANSWER_BYTES_MAX, LARGE_ANSWERS_BYTES_MAX } from "../../limits.ts";

/** Bounds the large answers of one server, as REST's are. */
export class UntakenAnswers {
  readonly #bytesMax: number;
  readonly #takenMs: number;
  #bytes = 0;

  /**
   * @param bytesMax bytes of all of them. Default: {@linkcode LARGE_ANSWERS_BYTES_MAX}
   * @param takenMs time that a caller has to take one. Default: {@linkcode GRPC_ANSWER_TAKEN_MS}
   */
  constructor(bytesMax: number = LARGE_ANSWERS_BYTES_MAX, takenMs: number = GRPC_ANSWER_TAKEN_MS) {
    this.#bytesMax = bytesMax;
    this.#takenMs = takenMs;
  }

  /** Bytes of the large ones that wait now. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Counts an answer until its call is over, unless it is a small one. A caller who takes too long is told
   * ENHANCE_YOUR_CALM. @returns `false` where there is no room for it; one alone always has room.
   */
  hold(stream: Pick<Http2Stream, "close" | "once" | "destroyed">, bytes: number): boolean {
    if (bytes <= JSON_ANSWER_BYTES_MAX || stream.destroyed) return true;
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    const timer = setTimeout(() => stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM), this.#takenMs);
    stream.once("close", () => {
      clearTimeout(timer);
      this.#bytes -= bytes;
    });
    return true;
  }
}
