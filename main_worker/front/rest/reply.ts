/** Builds answers: every response of the REST door is made here, so that none lacks its request id and safety headers. */
import type { Failure, Found } from "../../../shared/outcome.ts";
import { errorBody, type ErrorDetail, errorHeaders, type HeaderList, STATUS_OF } from "./errors.ts";

/** What a page may do that renders an API answer: nothing. */
export const API_CONTENT_SECURITY_POLICY = "default-src 'none'; frame-ancestors 'none'";

const encoder = new TextEncoder();

/** The part of a call that an answer needs. */
export interface Answering {
  readonly requestId: string;
  /** Whether the request was HEAD: its answer says how long the body would be. */
  readonly isHead: boolean;
}

/**
 * An answer of bytes, or of nothing.
 *
 * `no-store`: what is encrypted at rest here shall not lie open in a cache elsewhere; `no-transform`: a proxy that
 * compresses would have to weaken the ETag. The fields are appended one by one because that takes a third of the time
 * that the constructor takes for a list of them.
 */
export function reply(
  call: Answering,
  status: number,
  body: Uint8Array | string | ReadableStream<Uint8Array> | null,
  contentType: string | undefined,
  more: HeaderList = [],
): Response {
  const response = status === 200 ? new Response(body as BodyInit | null) : new Response(body as BodyInit, { status });
  const { headers } = response;
  headers.append("x-request-id", call.requestId);
  headers.append("cache-control", "no-store, no-transform");
  headers.append("x-content-type-options", "nosniff");
  headers.append("content-security-policy", API_CONTENT_SECURITY_POLICY);
  // A text brings along a type of its own.
  if (contentType !== undefined) headers.set("content-type", contentType);
  for (const [name, value] of more) headers.append(name, value);
  if (call.isHead && body !== null && !(body instanceof ReadableStream)) {
    const size = typeof body === "string" ? encoder.encode(body).length : body.length;
    headers.append("content-length", String(size));
  }
  return response;
}

/** The day of {@linkcode httpDate}'s last answer: most of what is asked for was written on few days. */
let lastDay = { number: NaN, text: "" };
const DAY_MS = 24 * 60 * 60 * 1000;
const TWO_DIGITS = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, "0"));

/** A moment as header fields spell it (RFC 9110, section 5.6.7): what `Date` prints, in a tenth of its time. */
export function httpDate(epochMs: number): string {
  const number = Math.floor(epochMs / DAY_MS);
  if (number !== lastDay.number) {
    const [weekday, day, month, year] = new Date(epochMs).toUTCString().split(" ");
    lastDay = { number, text: `${weekday} ${day} ${month} ${year} ` };
  }
  const seconds = Math.floor((epochMs - number * DAY_MS) / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${lastDay.text}${TWO_DIGITS[h]}:${TWO_DIGITS[m]}:${TWO_DIGITS[s]} GMT`;
}

/** A JSON answer. */
export function json(call: Answering, status: number, value: unknown, more: HeaderList = []): Response {
  return reply(call, status, JSON.stringify(value), "application/json", more);
}

/** The answer to a failure, in the error format. */
export function failed(
  call: Answering,
  failure: Failure,
  details?: readonly ErrorDetail[],
  more: HeaderList = [],
): Response {
  return json(call, STATUS_OF[failure.code], errorBody(failure, details), [...errorHeaders(failure), ...more]);
}

/** Text is gathered up to about this length. */
const TEXT_PART_CHARS = 64 * 1024;
// deno-lint-ignore no-control-regex
const ASCII = /^[\u0000-\u007f]*$/;

/** JSON that is put together from text and from documents, which go out as they are. */
export class JsonParts {
  readonly #parts: (string | Uint8Array)[] = [];
  #text = "";
  #size = 0;

  /** Appends text that is part of the JSON. */
  text(text: string): this {
    return this.#append(text, ASCII.test(text) ? text.length : encoder.encode(text).length);
  }

  /** Appends a document. The bytes are kept, not copied. */
  bytes(bytes: Uint8Array): this {
    this.#flush();
    this.#parts.push(bytes);
    this.#size += bytes.length;
    return this;
  }

  /** Appends a document, as text where that is at hand. */
  document(found: Found): this {
    return found.text === undefined ? this.bytes(found.document) : this.#append(found.text, found.meta.size);
  }

  #append(text: string, size: number): this {
    this.#text += text;
    this.#size += size;
    if (this.#text.length >= TEXT_PART_CHARS) this.#flush();
    return this;
  }

  #flush(): void {
    if (this.#text === "") return;
    this.#parts.push(this.#text);
    this.#text = "";
  }

  /** All of it, in the parts that it was made of, and its size in bytes. */
  finish(): { readonly parts: readonly (string | Uint8Array)[]; readonly size: number } {
    this.#flush();
    return { parts: this.#parts, size: this.#size };
  }
}
