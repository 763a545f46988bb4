/** Request bodies: read as they arrive, up to a limit and within a time, and refused with a clear error beyond either. */
import { concatBytes } from "../../../shared/bytes.ts";
import { REQUEST_BODY_TIMEOUT_MS } from "../../../shared/limits.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { deadlinesOf } from "../../../shared/seams/deadlines.ts";
import { Refusal, refuse } from "./errors.ts";

/** Refuses a body in a coding that nothing here undoes. @throws {Refusal} `unsupported_media_type` */
export function refuseEncoded(request: Request): void {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.trim() !== "" && encoding.trim().toLowerCase() !== "identity") {
    throw refuse("unsupported_media_type", "Content-Encoding is not supported: send the body as it is", [
      ["accept-encoding", "identity"],
    ]);
  }
}

function tooLarge(bytesMax: number): Refusal {
  return refuse("too_large", `the body is larger than ${bytesMax} bytes`);
}

/**
 * Reads a whole body; one that breaks off is the client's doing, not an error of this server.
 *
 * @param timeoutMs counts from the call: a body that is slower is given up.
 * @throws {Refusal} `too_large`, `bad_request`, `unsupported_media_type`
 */
export async function readBody(
  request: Request,
  bytesMax: number,
  clock: Clock,
  timeoutMs: number = REQUEST_BODY_TIMEOUT_MS,
): Promise<Uint8Array> {
  refuseEncoded(request);
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > bytesMax) throw tooLarge(bytesMax);
  const deadlines = deadlinesOf(clock);
  const body = Promise.withResolvers<Uint8Array>();
  const deadline = deadlines.begin(timeoutMs, () => {
    body.reject(refuse("bad_request", `the body did not arrive within ${timeoutMs / 1000} s`));
  });
  // One that is as long as was declared, which the server sees to, is read in one piece, without a stream around it.
  const whole = declared !== null && WHOLE_NUMBER.test(declared);
  const reader = whole ? undefined : request.body?.getReader();
  const reading = whole ? request.bytes() : readPieces(reader, bytesMax);
  reading.then((bytes) => bytes.length > bytesMax ? body.reject(tooLarge(bytesMax)) : body.resolve(bytes), body.reject);
  try {
    return await body.promise;
  } catch (error) {
    // A read that waits ends with this.
    reader?.cancel().catch(() => {});
    throw error instanceof Refusal ? error : refuse("bad_request", "the body broke off");
  } finally {
    deadlines.end(deadline);
  }
}

const WHOLE_NUMBER = /^\d+$/;

/** Reads to the end, or until it is too much. */
async function readPieces(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  bytesMax: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader?.read() ?? { done: true };
    if (done) return chunks.length === 1 ? chunks[0]! : concatBytes(chunks, size);
    size += value.length;
    if (size > bytesMax) throw tooLarge(bytesMax);
    chunks.push(value);
  }
}

/**
 * A body that is consumed while it arrives, without a limit on its size: each chunk must follow the last one within
 * `timeoutMs`, otherwise the stream fails. Nothing is read ahead of the consumer.
 */
export function streamBody(
  request: Request,
  clock: Clock,
  timeoutMs: number = REQUEST_BODY_TIMEOUT_MS,
): ReadableStream<Uint8Array> {
  refuseEncoded(request);
  const reader = (request.body ?? new ReadableStream({ start: (controller) => controller.close() })).getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let isLate = false;
      const timer = clock.setTimer(() => {
        isLate = true;
        reader.cancel().catch(() => {});
      }, timeoutMs);
      try {
        const { done, value } = await reader.read();
        if (isLate) controller.error(refuse("bad_request", `the body stalled for ${timeoutMs / 1000} s`));
        else if (done) controller.close();
        else controller.enqueue(value);
      } catch {
        controller.error(refuse("bad_request", "the body broke off"));
      } finally {
        clock.clearTimer(timer);
      }
    },
    async cancel(reason) {
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/**
 * A JSON object from a small body. @throws {Refusal} `empty`, `bad_json`, `bad_request`, and those of {@linkcode readBody}
 */
export async function readJsonObject(
  request: Request,
  bytesMax: number,
  clock: Clock,
): Promise<Readonly<Record<string, unknown>>> {
  const body = await readBody(request, bytesMax, clock);
  if (body.length === 0) throw refuse("empty", "the body is empty; a JSON object is expected");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw refuse("bad_json", "the body is not JSON");
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw refuse("bad_request", "the body must be a JSON object");
  }
  return value as Record<string, unknown>;
}

/** The media type of a request's body, lower case and without parameters; empty without one. */
export function mediaType(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
}
