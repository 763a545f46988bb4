import assert from "assert";
import fc from "fast-check";
import { RequestStatistics } from "./statistics.ts";
import { OPERATIONS } from "./stats.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";

/** A request that takes `ms`. */
function request(statistics: RequestStatistics, clock: ManualClock, ms: number, status = 200): void {
  const startedMs = statistics.begin();
  clock.pass(ms);
  statistics.record("get", status, startedMs);
}

Deno.test("rates, errors and percentiles per bucket, over the window and in total", () => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const statistics = new RequestStatistics(clock);
  for (let i = 0; i < 99; i++) request(statistics, clock, 2);
  request(statistics, clock, 800, 503);
  clock.pass(5_000 - 99 * 2 - 800);
  request(statistics, clock, 1_000, 404);
  const series = statistics.series();
  assert.deepEqual([series.bucket_s, series.times], [5, [1_767_225_600, 1_767_225_605]]);
  const { get, put } = series.operations;
  assert.deepEqual(get.rate, [20, 1]);
  assert.deepEqual(get.error_rate, [0.2, 0]);
  const near = (actual: number | null, expected: number) => assert.ok(Math.abs(actual! / expected - 1) < 0.1);
  near(get.p50_ms[0]!, 2);
  near(get.p99_ms[0]!, 2);
  near(get.p50_ms[1]!, 1_000);
  near(get.window.p50_ms, 2);
  near(get.window.p99_ms, 800);
  assert.deepEqual([get.window.count, get.window.errors, get.total], [101, 1, { count: 101, errors: 1 }]);
  assert.deepEqual(put.p50_ms, [null, null]);
  assert.deepEqual(Object.keys(series.operations), [...OPERATIONS]);
});

Deno.test("the window holds ten minutes, however long nothing happens", () => {
  const clock = new ManualClock();
  const statistics = new RequestStatistics(clock);
  request(statistics, clock, 1);
  clock.pass(599_998);
  assert.equal(statistics.series().operations.get.window.count, 1);
  clock.pass(1);
  assert.equal(statistics.series().operations.get.window.count, 0);
  assert.equal(statistics.series().times.length, 120);
  request(statistics, clock, 1);
  clock.pass(86_400_000);
  const { times, operations } = statistics.series();
  assert.equal(times.at(-1)! - times[0]!, 595);
  assert.deepEqual([operations.get.window.count, operations.get.total.count], [0, 2]);
});

Deno.test("every request is in exactly one bucket, whatever the times", () => {
  fc.assert(fc.property(fc.array(fc.nat(20_000), { maxLength: 60 }), (gaps) => {
    const origin = Date.UTC(2026, 0, 31, 12);
    const clock = new ManualClock(origin);
    const statistics = new RequestStatistics(clock);
    const ends: number[] = [];
    for (const gap of gaps) {
      request(statistics, clock, gap);
      ends.push(clock.monotonic());
    }
    const { times, operations: { get } } = statistics.series();
    const first = Math.max(0, Math.floor(clock.monotonic() / 5_000) - 119);
    const within = ends.filter((end) => Math.floor(end / 5_000) >= first).length;
    assert.equal(get.window.count, within);
    assert.equal(times[0], origin / 1000 + first * 5);
    assert.equal(get.p50_ms.filter((value) => value !== null).length, get.rate.filter((rate) => rate > 0).length);
  }));
});

Deno.test("latencies beyond the scale are counted at its ends", () => {
  const clock = new ManualClock();
  const statistics = new RequestStatistics(clock);
  request(statistics, clock, 0);
  request(statistics, clock, 10_000_000);
  const { window } = statistics.series().operations.get;
  assert.equal(window.count, 1);
  assert.ok(window.p99_ms! > 100_000);
});
