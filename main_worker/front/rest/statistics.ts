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

  add(slot: number, step: number, count: number, errors: number): void {
    this.counts[slot]! += count;
    this.latencies[slot * STEPS + step]! += count;
    this.totalCount += count;
    this.errors[slot]! += errors;
    this.totalErrors += errors;
  }

  clear(slot: number): void {
    this.counts[slot] = 0;
    this.errors[slot] = 0;
    this.latencies.fill(0, slot * STEPS, (slot + 1) * STEPS);
  }
}

/** What requests and watches are counted by where they are answered. */
export interface StatisticsSink {
  begin(): number;
  /** Answers how many milliseconds it took. */
  record(operation: OperationName, status: number, startedMs: number): number;
  watchOpened(): void;
  watchClosed(): void;
  readonly active: number;
  readonly watchers: number;
}

/** What a front thread has counted since it told it last. Latencies by their step on the scale, of those that there were. */
export interface StatisticsDelta {
  readonly operations: readonly (readonly [
    OperationName,
    { readonly errors: number; readonly steps: readonly (readonly [number, number])[] },
  ])[];
  /** Now, not since then. */
  readonly active: number;
  readonly watchers: number;
}

/** Counts on a front thread, for the {@linkcode RequestStatistics} on the main thread. */
export class StatisticsRecorder implements StatisticsSink {
  readonly #clock: Clock;
  #counted = new Map<OperationName, { errors: number; steps: Map<number, number> }>();
  #active = 0;
  #watchers = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(): number {
    this.#active++;
    return this.#clock.monotonic();
  }

  record(operation: OperationName, status: number, startedMs: number): number {
    this.#active--;
    let counted = this.#counted.get(operation);
    if (counted === undefined) this.#counted.set(operation, counted = { errors: 0, steps: new Map() });
    const tookMs = this.#clock.monotonic() - startedMs;
    const step = stepOf(tookMs);
    counted.steps.set(step, (counted.steps.get(step) ?? 0) + 1);
    if (status >= 500) counted.errors++;
    return tookMs;
  }

  watchOpened(): void {
    this.#watchers++;
  }

  watchClosed(): void {
    this.#watchers--;
  }

  get active(): number {
    return this.#active;
  }

  get watchers(): number {
    return this.#watchers;
  }

  /** What was counted since the last call. */
  drain(): StatisticsDelta {
    const counted = this.#counted;
    this.#counted = new Map();
    return {
      operations: [...counted].map(([name, { errors, steps }]) => [name, { errors, steps: [...steps] }]),
      active: this.#active,
      watchers: this.#watchers,
    };
  }
}

/** Rates and latencies of requests, its own and those of front threads; {@linkcode RequestStatistics.record} is cheap enough for every request. */
export class RequestStatistics implements StatisticsSink {
  readonly #clock: Clock;
  /** Monotonic time of the construction, from which buckets are counted. */
  readonly #originMs: number;
  readonly #windows = new Map<OperationName, OperationWindow>();
  /** Number of the newest bucket that the rings hold. */
  #newest = 0;
  #active = 0;
  #watchers = 0;
  /** What each front thread has open. */
  readonly #threads = new Map<object, { active: number; watchers: number }>();

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
  record(operation: OperationName, status: number, startedMs: number): number {
    const nowMs = this.#clock.monotonic();
    this.#active--;
    let window = this.#windows.get(operation);
    if (window === undefined) this.#windows.set(operation, window = new OperationWindow());
    const bucket = this.#advance(nowMs);
    window.add(bucket % STATISTICS_BUCKETS, stepOf(nowMs - startedMs), 1, status >= 500 ? 1 : 0);
    return nowMs - startedMs;
  }

  /** Adds what a front thread has counted. `from` tells the threads apart. */
  absorb(from: object, { operations, active, watchers }: StatisticsDelta): void {
    const bucket = this.#advance(this.#clock.monotonic()) % STATISTICS_BUCKETS;
    for (const [operation, { errors, steps }] of operations) {
      let window = this.#windows.get(operation);
      if (window === undefined) this.#windows.set(operation, window = new OperationWindow());
      let left = errors;
      for (const [step, count] of steps) {
        const here = Math.min(left, count);
        left -= here;
        window.add(bucket, step, count, here);
      }
    }
    this.#threads.set(from, { active, watchers });
  }

  watchOpened(): void {
    this.#watchers++;
  }

  watchClosed(): void {
    this.#watchers--;
  }

  /** Requests that are being answered now. */
  get active(): number {
    return [...this.#threads.values()].reduce((sum, { active }) => sum + active, this.#active);
  }

  /** Watches that are open. */
  get watchers(): number {
    return [...this.#threads.values()].reduce((sum, { watchers }) => sum + watchers, this.#watchers);
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
      active: this.active,
      watchers: this.watchers,
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
