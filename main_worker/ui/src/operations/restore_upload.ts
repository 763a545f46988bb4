/// <reference lib="dom" />
/**
 * Uploads a backup and reports both ways: how much has been sent, and the progress lines that come back meanwhile.
 * `XMLHttpRequest`, because `fetch` does not tell how much of a body has left.
 */
import { ApiError, explain, Unreachable } from "../api/errors.ts";

/** A line of the answer; see `POST /admin/restore`. */
export interface RestoreLine {
  readonly status: "running" | "done" | "failed";
  readonly entities?: number;
  readonly entities_skipped?: number;
  readonly templates?: number;
  readonly templates_skipped?: number;
  readonly api_keys?: number;
  readonly api_keys_skipped?: number;
  readonly error?: string;
  readonly code?: string;
}

/** How far an upload is, both ways. */
export interface RestoreProgress {
  readonly sentBytes: number;
  readonly line: RestoreLine | null;
}

/** Resolves with the last line. @throws {Error} with words for the user. */
export function uploadBackup(
  file: File,
  existing: "skip" | "overwrite",
  token: string,
  onProgress: (progress: RestoreProgress) => void,
  signal: AbortSignal,
): Promise<RestoreLine> {
  const { promise, resolve, reject } = Promise.withResolvers<RestoreLine>();
  const request = new XMLHttpRequest();
  let sentBytes = 0;
  let read = 0;
  let last: RestoreLine | null = null;
  const readLines = () => {
    const end = request.responseText.lastIndexOf("\n") + 1;
    const lines = request.responseText.slice(read, end).split("\n").filter(Boolean);
    read = Math.max(read, end);
    const newest = lines.at(-1);
    if (newest) last = JSON.parse(newest) as RestoreLine;
  };
  request.open("POST", `/admin/restore?existing=${existing}`);
  request.setRequestHeader("Authorization", `Bearer ${token}`);
  request.setRequestHeader("Content-Type", "application/x-ndjson");
  request.upload.onprogress = (event) => {
    sentBytes = event.loaded;
    onProgress({ sentBytes, line: last });
  };
  request.onprogress = () => {
    if (request.status !== 200) return;
    readLines();
    onProgress({ sentBytes, line: last });
  };
  request.onload = () => {
    if (request.status !== 200) return reject(failureOf(request));
    readLines();
    if (last && last.status !== "running") resolve(last);
    else {reject(
        new Error(
          "The answer broke off before its last line. Check the counts below, then restore again: what is there already is skipped.",
        ),
      );}
  };
  request.onerror = () => reject(new Unreachable("no answer"));
  request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
  signal.addEventListener("abort", () => request.abort());
  request.send(file);
  return promise;
}

function failureOf(request: XMLHttpRequest): Error {
  try {
    const { error, code } = JSON.parse(request.responseText) as { error: string; code: string };
    return new Error(explain(new ApiError(request.status, code, error, [], null, null)));
  } catch {
    return new Error(`The server answered with status ${request.status}.`);
  }
}
