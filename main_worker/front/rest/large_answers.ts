/** Answers that are too large to be put together in memory: streamed, a bounded amount of them at a time. */
import { concatBytes } from "../../../shared/bytes.ts";
import {
  JSON_ANSWER_BYTES_MAX,
  LARGE_ANSWER_STALLED_MS,
  LARGE_ANSWERS_BYTES_MAX,
  RETRY_AFTER_S,
} from "../../../shared/limits.ts";
import { failure } from "../../../shared/outcome.ts";
import type { Clock, Timer } from "../../../shared/seams/clock.ts";
import { type Answering, failed, type JsonParts, reply } from "./reply.ts";

/** About how much a streamed answer hands over at a time. */
const PIECE_BYTES = 64 * 1024;

type Part = string | Uint8Array;

const encoder = new TextEncoder();

function bytesOf(part: Part): Uint8Array {
  return typeof part === "string" ? encoder.encode(part) : part;
}

/** One after the other, as text if all of them are. */
function assembled(parts: readonly Part[]): Part {
  if (parts.every((part) => typeof part === "string")) return parts.join("");
  return parts.length === 1 ? parts[0]! : concatBytes(parts.map(bytesOf));
}

/** Makes answers of {@linkcode JsonParts}. The documents of one are held until its client has taken them, or is cut off. */
export class LargeAnswers {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  #bytes = 0;

  /** @param bytesMax bytes of all that are under way. Default: {@linkcode LARGE_ANSWERS_BYTES_MAX} */
  constructor(clock: Clock, bytesMax: number = LARGE_ANSWERS_BYTES_MAX) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** Bytes of the answers that are under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A JSON answer: in one piece when it is small, otherwise as a stream, for which there may be no room. */
  answer(call: Answering, json: JsonParts): Response {
    const { parts, size } = json.finish();
    if (size <= JSON_ANSWER_BYTES_MAX) return reply(call, 200, assembled(parts), "application/json");
    // The only one is let through, however large.
    if (this.#bytes > 0 && this.#bytes + size > this.#bytesMax) {
      return failed(
        call,
        failure("overloaded", "Too many large answers are under way", { retryAfterS: RETRY_AFTER_S }),
      );
    }
    return reply(call, 200, this.#stream(parts, size), "application/json");
  }

  #stream(parts: readonly Part[], size: number): ReadableStream<Uint8Array> {
    const clock = this.#clock;
    let next = 0;
    let takenMs = clock.monotonic();
    let timer: Timer | undefined;
    this.#bytes += size;
    const end = () => {
      if (timer === undefined) return;
      clock.clearTimer(timer);
      timer = undefined;
      parts = [];
      this.#bytes -= size;
    };
    return new ReadableStream<Uint8Array>({
      start(controller) {
        const look = () => {
          const leftMs = takenMs + LARGE_ANSWER_STALLED_MS - clock.monotonic();
          if (leftMs > 0) return void (timer = clock.setTimer(look, leftMs));
          end();
          controller.error(new Error("the client takes nothing"));
        };
        timer = clock.setTimer(look, LARGE_ANSWER_STALLED_MS);
      },
      pull(controller) {
        takenMs = clock.monotonic();
        const from = next;
        let bytes = 0;
        while (next < parts.length && (next === from || bytes + parts[next]!.length <= PIECE_BYTES)) {
          bytes += parts[next++]!.length;
        }
        controller.enqueue(bytesOf(assembled(parts.slice(from, next))));
        if (next < parts.length) return;
        end();
        controller.close();
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }
}
