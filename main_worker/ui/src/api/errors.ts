/** What can go wrong between the UI and the server, and the words for it: what happened, and what to do. */
import { bytes } from "../format/numbers.ts";
import type { Violation } from "./types.ts";

/** An answer of the server that is not a success. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: readonly Violation[],
    /** The `ETag` that came along, without quotes. */
    readonly etag: string | null,
    readonly retryAfterS: number | null,
  ) {
    super(message);
  }
}

/** No answer: the server is not reachable. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** Said in place of the server's own message, which is for programs. */
const WORDS: Readonly<Record<string, string>> = {
  unauthorized: "Your session has ended. Sign in again.",
  forbidden: "This credential may not do that. Sign in with one that may, or ask an administrator for a key.",
  no_worker: "No processing worker is there for this now. Start one, or wait for one that is coming back.",
};

/** Said after the server's message. */
const ADVICE: Readonly<Record<string, string>> = {
  key_unavailable:
    "This document was encrypted with a key that the server does not hold. Start the main worker with that key in -old-master-keys.",
  overloaded: "The database has more to do than it can take. Wait a moment and try again.",
  storage_unavailable: "The store does not answer. Check the volume or the bucket, then try again.",
  deadline: "The answer took too long, and the outcome is unknown. Trying again is safe.",
  tampered:
    "The stored document is not what was written: it was changed or damaged outside the database. Restore it from a backup.",
  internal: "The server failed unexpectedly. Try again; its log names the cause.",
};

/** Makes an {@linkcode ApiError} from an answer. */
export async function errorOf(response: Response): Promise<ApiError> {
  let code = "unknown";
  let message = `The server answered with status ${response.status}.`;
  let details: readonly Violation[] = [];
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) {
      if ("code" in body && typeof body.code === "string") code = body.code;
      if ("error" in body && typeof body.error === "string") message = body.error;
      if ("details" in body && Array.isArray(body.details)) details = body.details;
    }
  } catch {
    // A proxy between us and the server may answer with something else than JSON; the status says enough.
  }
  const retryAfter = Number(response.headers.get("Retry-After") ?? "");
  return new ApiError(
    response.status,
    code,
    message,
    details,
    bareEtag(response.headers.get("ETag")),
    retryAfter > 0 ? retryAfter : null,
  );
}

/** An ETag without its quotes and its mark of weakness. */
export function bareEtag(header: string | null): string | null {
  return header === null ? null : header.replace(/^(?:W\/)?"(.*)"$/, "$1");
}

/** A sentence or two for the person in front of the screen. */
export function explain(error: unknown): string {
  if (error instanceof Unreachable) return "The server is not reachable. It is tried again by itself.";
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  if (error.code === "too_many_attempts") {
    return `Too many attempts from this address. Wait ${error.retryAfterS ?? 60} seconds and try again.`;
  }
  const words = WORDS[error.code] ?? sentence(sizesInUnits(error.message));
  const advice = ADVICE[error.code];
  return advice === undefined ? words : `${words} ${advice}`;
}

/** "1048576 bytes" as "1 MiB". */
function sizesInUnits(message: string): string {
  return message.replace(/\b(\d{4,}) bytes\b/g, (_, size) => bytes(Number(size)));
}

/** Whether trying again may help at all: not when the server has understood and refused. */
export function mayPass(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status >= 500 || error.status === 429 || error.status === 408;
}

/** Whether trying again in a moment may help without anybody doing anything. */
export function isTemporary(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof ApiError && error.status === 503);
}

/** The text with a capital letter and a full stop. */
export function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}
