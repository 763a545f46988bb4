/** Counts requests and their latencies per operation over the last minutes, in constant memory, for the dashboard. */
import { STATISTICS_BUCKET_MS, STATISTICS_BUCKETS } from "../../../shared/limits.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import { type OperationName, OPERATIONS, type OperationSeries, type RequestSeries } from "./stats.ts";

/** Steps of the latency scale per doubling: neighbours are 19 % apart, so a percentile is at most 9 % off. */
const STEPS_PER_DOUBLING = 4;
/** Everything faster counts as this; in milliseconds. */
const LATENCY_MS_MIN = 2 ** -6;
/** From 16 µs over 23 doublings: 131 s. */
const STEPS = STEPS_PER_DOUBLING * 23;

/** Index of a latency on the scale. */
function stepOf(ms: number): number {
  if (!(ms > LATENCY_MS_MIN)) return 0;
  return Math.min(STEPS - 1, Math.floor(Math.log2(ms / LATENCY_MS_MIN) * STEPS_PER_DOUBLING));
}

/** The latency in the middle of a step, rounded to three digits: what a percentile in it is reported as. */
function latencyOf(step: number): number {
  return Number((LATENCY_MS_MIN * 2 ** ((step + 0.5) / STEPS_PER_DOUBLING)).toPrecision(3));
}

/** The `q` quantile of counts on the scale, in milliseconds; `null` without any. */
function quantile(counts: Uint32Array, total: number, q: number): number | null {
  if (total === 0) return null;
  const rank = Math.max(1, Math.ceil(q * total));
  let seen = 0;
  for (let step = 0; step < STEPS; step++) {
    seen += counts[step]!;
    if (seen >= rank) return latencyOf(step);
  }
  return latencyOf(STEPS - 1);
}

/** A ring of buckets of one operation. */
class OperationWindow {
  readonly counts = new Uint32Array(STATISTICS_BUCKETS);
  readonly errors = new Uint32Array(STATISTICS_BUCKETS);
  readonly latencies = new Uint32Array(STATISTICS_BUCKETS * STEPS);
  totalCount = 0;
  totalErrors = 0;

  add(slot: number, ms: number, isError: boolean): void {
    this.counts[slot]!++;
    this.latencies[slot * STEPS + stepOf(ms)]!++;
    this.totalCount++;
    if (isError) {
      this.errors[slot]!++;
      this.totalErrors++;
    }
  }

  clear(slot: number): void {
    this.counts[slot] = 0;
    this.errors[slot] = 0;
    this.latencies.fill(0, slot * STEPS, (slot + 1) * STEPS);
  }
}

/** Rates and latencies of requests. Each thread of the front has one; {@linkcode RequestStatistics.record} is cheap enough for every request. */
export class RequestStatistics {
  readonly #clock: Clock;
  /** Monotonic time of the construction, from which buckets are counted. */
  readonly #originMs: number;
  readonly #windows = new Map<OperationName, OperationWindow>();
  /** Number of the newest bucket that the rings hold. */
  #newest = 0;
  #active = 0;
  #watchers = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#originMs = clock.monotonic();
  }

  /** A request begins; hand the answer to {@linkcode RequestStatistics.record}. */
  begin(): number {
    this.#active++;
    return this.#clock.monotonic();
  }

  /** A request that began at `startedMs` was answered with `status`. */
  record(operation: OperationName, status: number, startedMs: number): void {
    const nowMs = this.#clock.monotonic();
    this.#active--;
    let window = this.#windows.get(operation);
    if (window === undefined) this.#windows.set(operation, window = new OperationWindow());
    const bucket = this.#advance(nowMs);
    window.add(bucket % STATISTICS_BUCKETS, nowMs - startedMs, status >= 500);
  }

  watchOpened(): void {
    this.#watchers++;
  }

  watchClosed(): void {
    this.#watchers--;
  }

  /** Requests that are being answered now. */
  get active(): number {
    return this.#active;
  }

  /** Watches that are open. */
  get watchers(): number {
    return this.#watchers;
  }

  /** The series up to now. */
  series(): RequestSeries {
    const nowMs = this.#clock.monotonic();
    const newest = this.#advance(nowMs);
    const first = Math.max(0, newest - STATISTICS_BUCKETS + 1);
    const originWallMs = this.#clock.now() - (nowMs - this.#originMs);
    const buckets = Array.from({ length: newest - first + 1 }, (_, index) => first + index);
    const fillingS = Math.max(1, (nowMs - this.#originMs - newest * STATISTICS_BUCKET_MS) / 1000);
    const seconds = buckets.map((bucket) => bucket === newest ? fillingS : STATISTICS_BUCKET_MS / 1000);
    const series = (operation: OperationName) => this.#operation(this.#windows.get(operation), buckets, seconds);
    return {
      bucket_s: STATISTICS_BUCKET_MS / 1000,
      times: buckets.map((bucket) => Math.round((originWallMs + bucket * STATISTICS_BUCKET_MS) / 1000)),
      operations: Object.fromEntries(OPERATIONS.map((name) => [name, series(name)])) as Record<
        OperationName,
        OperationSeries
      >,
      active: this.#active,
      watchers: this.#watchers,
    };
  }

  #operation(
    window: OperationWindow | undefined,
    buckets: readonly number[],
    seconds: readonly number[],
  ): OperationSeries {
    const rate: number[] = [];
    const errorRate: number[] = [];
    const p50: (number | null)[] = [];
    const p99: (number | null)[] = [];
    const all = new Uint32Array(STEPS);
    let count = 0;
    let errors = 0;
    buckets.forEach((bucket, index) => {
      const slot = bucket % STATISTICS_BUCKETS;
      const inSlot = window?.counts[slot] ?? 0;
      const latencies = window?.latencies.subarray(slot * STEPS, (slot + 1) * STEPS) ?? all;
      rate.push(round(inSlot / seconds[index]!));
      errorRate.push(round((window?.errors[slot] ?? 0) / seconds[index]!));
      p50.push(quantile(latencies, inSlot, 0.5));
      p99.push(quantile(latencies, inSlot, 0.99));
      if (inSlot > 0) latencies.forEach((number, step) => all[step]! += number);
      count += inSlot;
      errors += window?.errors[slot] ?? 0;
    });
    return {
      rate,
      error_rate: errorRate,
      p50_ms: p50,
      p99_ms: p99,
      window: { count, errors, p50_ms: quantile(all, count, 0.5), p99_ms: quantile(all, count, 0.99) },
      total: { count: window?.totalCount ?? 0, errors: window?.totalErrors ?? 0 },
    };
  }

  /** Empties the buckets that time has passed over; answers the number of the current one. */
  #advance(nowMs: number): number {
    const current = Math.max(this.#newest, Math.floor((nowMs - this.#originMs) / STATISTICS_BUCKET_MS));
    const from = Math.max(this.#newest + 1, current - STATISTICS_BUCKETS + 1);
    for (let bucket = from; bucket <= current; bucket++) {
      for (const window of this.#windows.values()) window.clear(bucket % STATISTICS_BUCKETS);
    }
    this.#newest = current;
    return current;
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
