/** Request bodies: read as they arrive, up to a limit and within a time, and refused with a clear error beyond either. */
import { REQUEST_BODY_TIMEOUT_MS } from "../../../shared/limits.ts";
import { failure } from "../../../shared/outcome.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { deadlinesOf } from "../../../shared/seams/deadlines.ts";
import { arrivingBodiesOf } from "./arriving_bodies.ts";
import { Refusal, refuse } from "./errors.ts";
import { isHttp2 } from "./refused_bodies.ts";
import type { RestRequest } from "./route.ts";

/** Refuses a body in a coding that nothing here undoes. @throws {Refusal} `unsupported_media_type` */
export function refuseEncoded(request: RestRequest): void {
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
 * @throws {Refusal} `too_large`, `bad_request`, `unsupported_media_type`, `overloaded`
 */
export async function readBody(
  request: RestRequest,
  bytesMax: number,
  clock: Clock,
  timeoutMs: number = REQUEST_BODY_TIMEOUT_MS,
): Promise<Uint8Array> {
  refuseEncoded(request);
  const declared = Number(request.headers.get("content-length") ?? NaN);
  if (declared > bytesMax) throw tooLarge(bytesMax);
  // Not by Request.bytes: Deno 2.9 leaves the streams that it reads to the collector of the old generation.
  const reader = request.body?.getReader();
  const deadlines = deadlinesOf(clock);
  const body = Promise.withResolvers<Uint8Array>();
  const deadline = deadlines.begin(timeoutMs, () => {
    body.reject(refuse("bad_request", `the body did not arrive within ${timeoutMs / 1000} s`));
  });
  const bodies = arrivingBodiesOf(clock);
  const arriving = bodies.begin(() => body.reject(new Refusal(CROWDED)));
  readPieces(reader, declared, bytesMax, (bytes) => bodies.grow(arriving, bytes)).then(body.resolve, body.reject);
  try {
    return await body.promise;
  } catch (error) {
    const isTooLarge = error instanceof Refusal && error.failure.code === "too_large";
    // The rest of what is too large is for `RefusedBodies`. Otherwise a read that waits ends with this.
    if (isTooLarge && isHttp2(request)) reader?.releaseLock();
    else reader?.cancel().catch(() => {});
    throw error instanceof Refusal ? error : refuse("bad_request", "the body broke off");
  } finally {
    deadlines.end(deadline);
    bodies.end(arriving);
  }
}

const CROWDED = failure(
  "overloaded",
  "Too many bodies are on their way, and this one was begun first; nothing was changed",
);

/**
 * Reads to the end, or until it is too much. The memory that it takes grows with what has arrived, not with what was declared,
 * and no piece is kept: each may be a few bytes of a large buffer. `grow` is told how much it is.
 */
async function readPieces(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  declared: number,
  bytesMax: number,
  grow: (bytes: number) => void,
): Promise<Uint8Array> {
  let bytes = new Uint8Array(0);
  let size = 0;
  for (;;) {
    const { done, value } = await reader?.read() ?? { done: true };
    if (done) return size === bytes.length ? bytes : bytes.slice(0, size);
    const before = size;
    size += value.length;
    if (size > bytesMax) throw tooLarge(bytesMax);
    if (size > bytes.length) {
      const most = declared >= size ? declared : bytesMax;
      const wider = new Uint8Array(Math.max(size, Math.min(2 * bytes.length, most)));
      wider.set(bytes);
      bytes = wider;
      grow(bytes.length);
    }
    bytes.set(value, before);
  }
}

/**
 * A body that is consumed while it arrives, without a limit on its size: each chunk must follow the last one within
 * `timeoutMs`, otherwise the stream fails. Nothing is read ahead of the consumer.
 */
export function streamBody(
  request: RestRequest,
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
  request: RestRequest,
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
export function mediaType(request: RestRequest): string {
  return (request.headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
}
