/** Answers that are too large to be put together in memory: streamed, a bounded amount of them at a time. */
import { concatBytes } from "../../../shared/bytes.ts";
import {
  JSON_ANSWER_BYTES_MAX,
  LARGE_ANSWER_STALLED_MS,
  LARGE_ANSWERS_BYTES_MAX,
  RETRY_AFTER_S,
} from "../../../shared/limits.ts";
import { failure, type Found } from "../../../shared/outcome.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { type Deadline, deadlinesOf } from "../../../shared/seams/deadlines.ts";
import { type Answering, failed, type JsonParts, reply } from "./reply.ts";

/** About how much a streamed answer hands over at a time; each takes some 10 us. */
const PIECE_BYTES = 256 * 1024;

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

/** Parts that are taken in pieces of about {@linkcode PIECE_BYTES}: small ones together, large ones bit by bit. */
class Pieces {
  readonly #parts: readonly Part[];
  #next = 0;
  /** Bytes of the next part that were taken. */
  #at = 0;

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  get isEmpty(): boolean {
    return this.#next === this.#parts.length;
  }

  next(): readonly Part[] {
    const piece: Part[] = [];
    for (let room = PIECE_BYTES; this.#next < this.#parts.length && room > 0;) {
      const part = this.#parts[this.#next]!;
      if (typeof part === "string") {
        if (part.length > room && piece.length > 0) break;
        piece.push(part);
        room -= part.length;
        this.#next += 1;
      } else {
        const bytes = part.subarray(this.#at, this.#at + room);
        piece.push(bytes);
        room -= bytes.length;
        this.#at += bytes.length;
        if (this.#at < part.length) break;
        this.#at = 0;
        this.#next += 1;
      }
    }
    return piece;
  }
}

const NOTHING = new Pieces([]);

/** Memory of what answers are made of. A document that several of them share, as they do a cached one, counts once. */
class Holdings {
  readonly #documents = new Map<Uint8Array, number>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts the parts of an answer of `size` bytes. @returns What lets them go again. */
  hold(parts: readonly Part[], size: number): () => void {
    const documents = parts.filter((part) => typeof part !== "string");
    // Of an answer that shares all its documents the piece that is on its way is a copy.
    const shares = documents.length > 0 && documents.every((document) => this.#documents.has(document));
    const own = documents.reduce((left, { length }) => left - length, size) + (shares ? PIECE_BYTES : 0);
    this.#bytes += own;
    for (const document of documents) {
      const holders = this.#documents.get(document) ?? 0;
      if (holders === 0) this.#bytes += document.length;
      this.#documents.set(document, holders + 1);
    }
    return () => {
      this.#bytes -= own;
      for (const document of documents) {
        const holders = this.#documents.get(document)!;
        if (holders > 1) this.#documents.set(document, holders - 1);
        else {
          this.#documents.delete(document);
          this.#bytes -= document.length;
        }
      }
    };
  }
}

/** Makes answers of {@linkcode JsonParts}. The documents of one are held until its client has taken them, or is cut off. */
export class LargeAnswers {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #holdings = new Holdings();

  /** @param bytesMax bytes of all that are under way. Default: {@linkcode LARGE_ANSWERS_BYTES_MAX} */
  constructor(clock: Clock, bytesMax: number = LARGE_ANSWERS_BYTES_MAX) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** Bytes of the answers that are under way. */
  get bytes(): number {
    return this.#holdings.bytes;
  }

  /** A JSON answer: in one piece when it is small, otherwise as a stream, for which there may be no room. */
  answer(call: Answering, json: JsonParts): Response {
    const { parts, size } = json.finish();
    return size <= JSON_ANSWER_BYTES_MAX
      ? reply(call, 200, assembled(parts), "application/json")
      : this.#large(call, parts, size);
  }

  /** The same with one document. */
  document(call: Answering, found: Found): Response {
    const { size } = found.meta;
    // Where there is a text, bytes would have to be made.
    return size <= JSON_ANSWER_BYTES_MAX
      ? reply(call, 200, found.text ?? found.document, "application/json")
      : this.#large(call, [found.document], size);
  }

  #large(call: Answering, parts: readonly Part[], size: number): Response {
    const isOnly = this.bytes === 0;
    const letGo = this.#holdings.hold(parts, size);
    // The only one is let through, however large.
    if (!isOnly && this.bytes > this.#bytesMax) {
      letGo();
      return failed(
        call,
        failure("overloaded", "Too many large answers are under way", { retryAfterS: RETRY_AFTER_S }),
      );
    }
    const length: [string, string] = ["content-length", String(size)];
    return reply(call, 200, this.#stream(parts, letGo), "application/json", [length]);
  }

  #stream(parts: readonly Part[], letGo: () => void): ReadableStream<Uint8Array> {
    const clock = this.#clock;
    let left = new Pieces(parts);
    let takenMs = clock.monotonic();
    const deadlines = deadlinesOf(clock);
    let deadline: Deadline | undefined;
    const end = () => {
      if (deadline === undefined) return;
      deadlines.end(deadline);
      deadline = undefined;
      left = NOTHING;
      letGo();
    };
    return new ReadableStream<Uint8Array>({
      start(controller) {
        const look = () => {
          const leftMs = takenMs + LARGE_ANSWER_STALLED_MS - clock.monotonic();
          if (leftMs > 0) return void (deadline = deadlines.begin(leftMs, look));
          end();
          controller.error(new Error("the client takes nothing"));
        };
        deadline = deadlines.begin(LARGE_ANSWER_STALLED_MS, look);
      },
      pull(controller) {
        takenMs = clock.monotonic();
        // The last piece counts until it was taken, too.
        if (!left.isEmpty) return controller.enqueue(bytesOf(assembled(left.next())));
        end();
        controller.close();
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }
}
