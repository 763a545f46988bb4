import assert from "assert";
import { ManualClock, settled } from "../../seams/manual_clock.ts";
import { S3_ATTEMPT_MS, S3_ATTEMPTS_MAX, S3_OPERATION_MS, S3_PARALLEL_MAX } from "../../limits.ts";
import { systemRandom } from "../../seams/random.ts";
import { StorageError } from "../store.ts";
import { ObjectError, type ObjectErrorKind } from "./object_error.ts";
import { RequestFailure, type RequestOptions, Requests, storageError } from "./requests.ts";

const fail = (kind: ObjectErrorKind) => new ObjectError(kind, "TEST", `the test says ${kind}`);

/** Runs requests whose attempts end as listed; the last entry goes on for ever. */
function setUp(ends: readonly (ObjectErrorKind | "ok" | "hang")[], more: Partial<RequestOptions> = {}) {
  const clock = new ManualClock();
  const seen: string[] = [];
  const requests = new Requests(clock, systemRandom, {
    request: (kind, outcome) => seen.push(`${kind} ${outcome}`),
    retry: (kind, reason) => seen.push(`again ${kind} ${reason}`),
  });
  let attempts = 0;
  const run = () =>
    requests.run("put", () => {
      const end = ends[Math.min(attempts++, ends.length - 1)]!;
      if (end === "hang") return new Promise<string>(() => {});
      return end === "ok" ? Promise.resolve("done") : Promise.reject(fail(end));
    }, { deadline: clock.monotonic() + S3_OPERATION_MS, ...more });
  return { clock, requests, seen, run, attempts: () => attempts };
}

async function ended<T>(clock: ManualClock, running: Promise<T>): Promise<T | RequestFailure | Error> {
  const result = running.catch((error) => error);
  await clock.advance(S3_OPERATION_MS + 1_000);
  const outcome = await result;
  assert.equal(clock.timers, 0);
  return outcome;
}

Deno.test("an attempt that failed is repeated, and the answer says whether an earlier one is in doubt", async () => {
  for (const kind of ["throttled", "unsent", "contended"] as const) {
    const { clock, run } = setUp([kind, "ok"]);
    assert.deepEqual(await ended(clock, run()), { value: "done", doubts: 0 });
  }
  const { clock, run, seen, requests } = setUp(["ambiguous", "unsent", "ok"]);
  assert.deepEqual(await ended(clock, run()), { value: "done", doubts: 1 });
  assert.deepEqual(seen, ["put ambiguous", "again put ambiguous", "put unsent", "again put unsent", "put ok"]);
  assert.deepEqual([requests.requests, requests.retries], [3, 2]);
});

Deno.test("a refusal for good is not repeated", async () => {
  for (const kind of ["denied", "rejected", "unsupported"] as const) {
    const { clock, run, attempts } = setUp([kind]);
    const failure = await ended(clock, run());
    assert.ok(failure instanceof RequestFailure && failure.last.kind === kind && failure.doubts === 0);
    assert.equal(attempts(), 1);
  }
});

Deno.test("attempts are bounded, and those that were throttled do not count", async () => {
  const bounded = setUp(["unsent"]);
  assert.ok(await ended(bounded.clock, bounded.run()) instanceof RequestFailure);
  assert.ok(bounded.attempts() <= S3_ATTEMPTS_MAX);
  const throttled = setUp([...new Array<"throttled">(S3_ATTEMPTS_MAX + 1).fill("throttled"), "ok"], {
    deadline: 1_000_000 + 60_000,
  });
  const running = throttled.run();
  await throttled.clock.advance(60_000);
  assert.equal((await running).value, "done");
});

Deno.test("an attempt that hangs is given up after its time, and the operation ends at its deadline", async () => {
  const { clock, run, attempts } = setUp(["hang"]);
  const started = clock.monotonic();
  let endedAt = 0;
  const result = run().catch((error) => (endedAt = clock.monotonic(), error));
  await clock.advance(S3_ATTEMPT_MS + 1);
  assert.equal(attempts(), 1);
  await clock.advance(S3_OPERATION_MS);
  const failure = await result;
  assert.ok(failure instanceof RequestFailure && failure.doubts > 0);
  assert.ok(endedAt - started <= S3_OPERATION_MS);
  assert.ok(attempts() >= 2);
});

Deno.test("the guard is asked before each attempt, and a doubt outlives its refusal", async () => {
  let asked = 0;
  const guard = () => {
    if (++asked > 1) throw new StorageError("unavailable", "no more");
  };
  const doubtful = setUp(["ambiguous", "ok"], { guard });
  const failure = await ended(doubtful.clock, doubtful.run());
  assert.ok(failure instanceof RequestFailure && failure.doubts > 0);
  assert.equal(storageError(failure, true).reason, "unknown");
  assert.equal(doubtful.attempts(), 1);
  asked = 0;
  const certain = setUp(["unsent", "ok"], { guard });
  const refused = await ended(certain.clock, certain.run());
  assert.ok(refused instanceof StorageError && refused.reason === "unavailable");
});

Deno.test("no attempt follows one in doubt where that is asked for", async () => {
  const { clock, run, attempts } = setUp(["unsent", "ambiguous", "ok"], { stopWhenDoubtful: true });
  const failure = await ended(clock, run());
  assert.ok(failure instanceof RequestFailure && failure.doubts > 0);
  assert.equal(attempts(), 2);
});

Deno.test("a turn that does not come in time ends the operation, and nothing was sent", async () => {
  const { clock, requests, run } = setUp(["ok"]);
  const turns = Array.from({ length: S3_PARALLEL_MAX }, () => requests.throttle.tryTake()!);
  const failure = await ended(clock, run());
  assert.ok(failure instanceof RequestFailure && failure.doubts === 0);
  assert.equal(requests.requests, 0);
  for (const turn of turns) requests.throttle.done(turn, "ok");
  assert.equal(requests.throttle.waiting, 0);
  // What takes no turn is not kept waiting.
  const aside = setUp(["ok"], { lane: "aside" });
  for (let count = 0; count < S3_PARALLEL_MAX; count++) aside.requests.throttle.tryTake();
  assert.deepEqual(await ended(aside.clock, aside.run()), { value: "done", doubts: 0 });
});

Deno.test("the guard is asked again after a wait for a turn, and what it refuses is not sent and gives the turn back", async () => {
  let mayWrite = true;
  const guard = () => {
    if (!mayWrite) throw new StorageError("unavailable", "not any more");
  };
  const { clock, requests, run } = setUp(["ok"], { guard });
  const turns = Array.from({ length: S3_PARALLEL_MAX }, () => requests.throttle.tryTake()!);
  const running = run().catch((error) => error);
  await settled();
  mayWrite = false;
  for (const turn of turns) requests.throttle.done(turn, "ok");
  const refused = await running;
  assert.ok(refused instanceof StorageError && refused.reason === "unavailable");
  assert.equal(requests.requests, 0);
  assert.equal(clock.timers, 0);
  const free = Array.from({ length: S3_PARALLEL_MAX }, () => requests.throttle.tryTake());
  assert.ok(free.every((turn) => turn !== undefined));
});

Deno.test("an operation that is called off ends at once", async () => {
  const controller = new AbortController();
  const { clock, run } = setUp(["hang"], { signal: controller.signal });
  const result = run().catch((error) => error);
  await settled();
  controller.abort();
  const failure = await result;
  assert.ok(failure instanceof RequestFailure && failure.doubts > 0);
  assert.equal(clock.timers, 0);
});
