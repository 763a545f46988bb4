/** Request bodies: read as they arrive, up to a limit and within a time, and refused with a clear error beyond either. */
import { REQUEST_BODY_TIMEOUT_MS } from "../../../shared/limits.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { type Refusal, refuse } from "./errors.ts";

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

/** Reads a whole body. Gives up on one that stalls: `timeoutMs` counts from the call. @throws {Refusal} `too_large`, `bad_request`, `unsupported_media_type` */
export async function readBody(
  request: Request,
  bytesMax: number,
  clock: Clock,
  timeoutMs: number = REQUEST_BODY_TIMEOUT_MS,
): Promise<Uint8Array> {
  refuseEncoded(request);
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > bytesMax) throw tooLarge(bytesMax);
  if (request.body === null) return new Uint8Array(0);

  const reader = request.body.getReader();
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const timer = clock.setTimer(() => {
    late.reject(refuse("bad_request", `the body did not arrive within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  const chunks: Uint8Array[] = [];
  let size = 0;
  let whole = false;
  try {
    for (;;) {
      const { done, value } = await Promise.race([readOrRefuse(reader), late.promise]);
      if (done) break;
      size += value.length;
      if (size > bytesMax) throw tooLarge(bytesMax);
      chunks.push(value);
    }
    whole = true;
  } finally {
    clock.clearTimer(timer);
    if (!whole) reader.cancel().catch(() => {});
  }
  if (chunks.length === 1) return chunks[0]!;
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** A body that breaks off is the client's doing, not an error of this server. */
async function readOrRefuse(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read();
  } catch {
    throw refuse("bad_request", "the body broke off");
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
      const late = Promise.withResolvers<never>();
      late.promise.catch(() => {});
      const timer = clock.setTimer(() => {
        late.reject(refuse("bad_request", `the body stalled for ${timeoutMs / 1000} s`));
      }, timeoutMs);
      try {
        const { done, value } = await Promise.race([readOrRefuse(reader), late.promise]);
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        reader.cancel().catch(() => {});
        controller.error(error);
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
