/** What the overview derives from the server's figures. */
import {
  type OperationName,
  OPERATIONS,
  type OperationSeries,
  type RequestSeries,
  type Stats,
} from "../../../front/rest/stats.ts";
import type { Warning, WorkerJson } from "../api/types.ts";

/** Names of operations for people. */
export const OPERATION_NAMES: Readonly<Record<OperationName, string>> = {
  get: "Read",
  put: "Write",
  put_many: "Write many",
  patch: "Patch",
  delete: "Delete",
  get_many: "Read many",
  list: "List",
  watch: "Watch",
  schema: "Schema",
  admin: "Administer",
  other: "Other",
};

/** CSS variables with the colours of operations in charts. */
export const OPERATION_COLOURS: Readonly<Record<OperationName, string>> = {
  get: "--chart-1",
  put: "--chart-2",
  put_many: "--chart-3",
  patch: "--chart-4",
  delete: "--chart-5",
  get_many: "--chart-6",
  list: "--chart-7",
  watch: "--chart-8",
  schema: "--chart-8",
  admin: "--chart-9",
  other: "--chart-9",
};

/** What this page itself causes, every second: not worth a line of its own. */
const OWN: ReadonlySet<OperationName> = new Set(["admin", "other", "watch", "schema"]);

/** Operations on data that were called in the window, in their usual order. */
export function calledOperations(requests: RequestSeries): OperationName[] {
  return OPERATIONS.filter((name) => !OWN.has(name) && requests.operations[name].window.count > 0);
}

/** Seconds over which "now" is averaged, so that one figure does not jump. */
const NOW_S = 5;

/** Requests on data per second over the last seconds. */
export function rateNow(requests: RequestSeries): number {
  return OPERATIONS.filter((name) => !OWN.has(name))
    .reduce((sum, name) => sum + recent(requests, requests.operations[name]), 0);
}

/** Requests per second of one operation over the last seconds. */
export function recent(requests: RequestSeries, operation: OperationSeries): number {
  const buckets = Math.max(1, Math.round(NOW_S / requests.bucket_s));
  const full = operation.rate.slice(-buckets - 1, -1);
  return full.length === 0 ? 0 : full.reduce((sum, value) => sum + value, 0) / full.length;
}

/** The operation that is called most, for the latency chart. */
export function busiest(requests: RequestSeries): OperationName {
  const called = calledOperations(requests);
  return called.reduce<OperationName>(
    (best, name) => requests.operations[name].window.count > requests.operations[best].window.count ? name : best,
    called[0] ?? "get",
  );
}

/** A worker that has not been heard of for this long is shown as silent, before the server takes it out. */
const SILENT_MS = 3_200;

type WorkerState = "available" | "silent" | "unavailable";

/** State of a worker by what the server says and how long ago it was heard of. */
export function workerState(worker: WorkerJson, serverNow: number): WorkerState {
  if (worker.status !== "Available") return "unavailable";
  return serverNow - Date.parse(worker.last_seen) > SILENT_MS ? "silent" : "available";
}

/** How long a worker that has left is worth a line at the top; the list of workers keeps it longer. */
const DEPARTED_MS = 10 * 60_000;

/** The server's warnings, and what can be seen from here before it warns; the gravest first. */
export function allWarnings(stats: Stats): Warning[] {
  const now = Date.parse(stats.now);
  const silent = stats.workers.filter((worker) => workerState(worker, now) === "silent").map((worker): Warning => ({
    code: "worker_silent",
    severity: "warning",
    message: `The worker ${worker.worker_id} has not been heard of for ${
      Math.round((now - Date.parse(worker.last_seen)) / 1_000)
    } s`,
    since: worker.last_seen,
  }));
  const order = { critical: 0, warning: 1, info: 2 };
  const others = stats.workers.some((worker) => worker.status === "Available");
  const left = stats.workers.filter((worker) =>
    workerState(worker, now) === "unavailable" && now - Date.parse(worker.last_seen) < DEPARTED_MS
  ).map((worker): Warning => ({
    code: "worker_left",
    severity: "info",
    message: `The worker ${worker.worker_id} has left${others ? "; its partitions go to the others" : ""}`,
    since: worker.last_seen,
  }));
  return [...stats.warnings, ...silent, ...left].sort((a, b) => order[a.severity] - order[b.severity]);
}

/** Colours of workers in the strip: by their place in the sorted list of ids, so they stay. */
export function workerColours(stats: Stats): Map<string, string> {
  const ids = new Set([
    ...stats.workers.map((worker) => worker.worker_id),
    ...stats.partitions.owners.filter((id) => id !== null),
  ]);
  return new Map([...ids].sort().map((id, index) => [id, `worker-${index % 10}`]));
}
