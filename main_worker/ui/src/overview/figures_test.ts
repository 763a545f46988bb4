import assert from "assert";
import { OPERATIONS, type OperationSeries, type Stats } from "../../../front/rest/stats.ts";
import { allWarnings, busiest, calledOperations, rateNow, workerColours, workerState } from "./figures.ts";

const NOW = "2026-01-31T12:00:00.000Z";
const quiet: OperationSeries = {
  rate: [0, 0, 0],
  error_rate: [0, 0, 0],
  p50_ms: [null, null, null],
  p99_ms: [null, null, null],
  window: { count: 0, errors: 0, p50_ms: null, p99_ms: null },
  total: { count: 0, errors: 0 },
};
const called = (rate: number[], count: number): OperationSeries => ({
  ...quiet,
  rate,
  window: { ...quiet.window, count },
});
const worker = (id: string, secondsAgo: number, status: "Available" | "Unavailable" = "Available") => ({
  worker_id: id,
  status,
  key_id: "k",
  last_seen: new Date(Date.parse(NOW) - secondsAgo * 1_000).toISOString(),
  tags: {},
  active_requests: 0,
  partitions: [],
  cache: { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 },
});

function stats(more: Partial<Stats>): Stats {
  const operations = Object.fromEntries(OPERATIONS.map((name) => [name, quiet]));
  return {
    now: NOW,
    workers: [],
    warnings: [],
    partitions: { count: 4, epoch: 1, owners: [], moving: [], none: [] },
    requests: { bucket_s: 5, times: [0, 5, 10], operations, active: 0, watchers: 0 },
    ...more,
  } as unknown as Stats;
}

Deno.test("what the page itself asks for does not count as load", () => {
  const { requests } = stats({});
  const busy = {
    ...requests,
    operations: {
      ...requests.operations,
      admin: called([9, 9, 9], 99),
      get: called([1, 4, 100], 9),
      put: called([0, 2, 0], 30),
    },
  };
  assert.deepEqual(calledOperations(busy), ["get", "put"]);
  assert.equal(busiest(busy), "put");
  assert.equal(rateNow(busy), 6, "the last whole bucket, not the one that still fills");
  assert.equal(busiest(requests), "get");
});

Deno.test("a worker that falls silent is told before the server takes it out", () => {
  const now = Date.parse(NOW);
  assert.equal(workerState(worker("a", 1), now), "available");
  assert.equal(workerState(worker("a", 4), now), "silent");
  assert.equal(workerState(worker("a", 1, "Unavailable"), now), "unavailable");
  const warnings = allWarnings(
    stats({
      workers: [worker("a", 1), worker("b", 4)],
      warnings: [
        { code: "note", severity: "info", message: "m", since: null },
        { code: "partitions_without_owner", severity: "critical", message: "m", since: null },
      ],
    }),
  );
  assert.deepEqual(warnings.map(({ code }) => code), ["partitions_without_owner", "worker_silent", "note"]);
  assert.match(warnings[1]!.message, /^The worker b has not been heard of for 4 s$/);
});

Deno.test("a worker keeps its colour while it is the same set of workers", () => {
  const partitions = { count: 4, epoch: 1, owners: ["b", null, "c", "b"], moving: [], none: [1] };
  const colours = workerColours(stats({ workers: [worker("c", 1), worker("a", 1)], partitions }));
  assert.deepEqual([...colours], [["a", "worker-0"], ["b", "worker-1"], ["c", "worker-2"]]);
});

Deno.test("a worker that has left is told for a while", () => {
  const left = (secondsAgo: number) => allWarnings(stats({ workers: [worker("b", secondsAgo, "Unavailable")] }));
  assert.match(left(5)[0]!.message, /b has left/);
  assert.equal(left(5)[0]!.severity, "info");
  assert.deepEqual(left(11 * 60), []);
});
