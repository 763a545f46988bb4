/** The metrics of the two programs: what their parts call, and what their parts are asked for. */
import { Registry } from "prom-client";
import type { Clock } from "../seams/clock.ts";
import type { EntitiesStats } from "../storage/store.ts";
import type { CacheFigures } from "../wire/messages.ts";
import { FRONT_FAMILIES, MAIN_FAMILIES, WORKER_FAMILIES } from "./families.ts";
import {
  countByResult,
  type CountedMetric,
  type HistogramMetric,
  makeInstruments,
  type Sample,
  type Source,
} from "./instruments.ts";
import { collectProcess, watchEventLoop } from "./process.ts";

/** Parts that can be asked, by the name of the metric without its prefix. */
export type Sources<Name extends string> = Partial<Readonly<Record<Name, Source>>>;

/** Counts requests to an S3 service; fits the hooks of the bucket engine. */
export interface S3Metrics {
  request(kind: string, outcome: string, seconds: number): void;
  retry(kind: string, reason: string): void;
}

/** What the REST and gRPC doors, and the dispatcher, count. */
export interface FrontMetrics {
  readonly registry: Registry;
  readonly rest: {
    request(operation: string, status: number, seconds: number): void;
    credentialRefused(): void;
    sessionIssued(): void;
    watchers(count: number): void;
  };
  readonly grpc: { request(operation: string, status: string, seconds: number): void; credentialRefused(): void };
  readonly dispatcher: { batch(operations: number, bytes: number): void; retry(reason: string): void };
  /** Connects parts that are asked. */
  ask(sources: Sources<keyof typeof FRONT_FAMILIES>): void;
  /** Connects a cache. `capacityBytes`: 0 when it is off. */
  askCache(figures: () => CacheFigures, capacityBytes: number): void;
}

/** What the main worker counts. */
export interface MainMetrics extends Omit<FrontMetrics, "ask"> {
  readonly s3: S3Metrics;
  readonly control: {
    workerJoined(result: string): void;
    workerGone(reason: string): void;
    workerTokenIssued(): void;
    partitionsMoved(count: number): void;
    action(action: string, result: string): void;
  };
  ask(sources: Sources<keyof typeof MAIN_FAMILIES>): void;
  /** Ends what runs by itself. */
  close(): void;
}

/** What a processing worker counts. */
export interface WorkerMetrics {
  readonly registry: Registry;
  readonly s3: S3Metrics;
  readonly executor: {
    operation(kind: string, status: string, seconds?: number): void;
    encryption(direction: "seal" | "open", ok: boolean): void;
    tampered(): void;
  };
  readonly membership: { heartbeatFailed(): void };
  ask(sources: Sources<keyof typeof WORKER_FAMILIES>): void;
  askCache(figures: () => CacheFigures, capacityBytes: number): void;
  askEntities(stats: () => EntitiesStats): void;
  close(): void;
}

/** What every program's metrics are made with. */
export interface ProgramOptions {
  readonly version: string;
  readonly clock: Clock;
}

type Asked = { readonly from?: (source: Source) => void };

function connect(instruments: Readonly<Record<string, object>>, sources: Readonly<Record<string, Source | undefined>>) {
  for (const [name, source] of Object.entries(sources)) {
    const instrument = instruments[name] as Asked | undefined;
    if (instrument?.from === undefined) throw new TypeError(`the metric ${name} is counted, it cannot be asked for`);
    if (source !== undefined) instrument.from(source);
  }
}

function cacheSources(figures: () => CacheFigures, capacityBytes: number) {
  return {
    cache_hits_total: () => figures().hits,
    cache_misses_total: () => figures().misses,
    cache_evictions_total: () => figures().evictions,
    cache_entries: () => figures().entries,
    cache_bytes: () => figures().bytes,
    cache_capacity_bytes: () => capacityBytes,
  };
}

function programSources(program: string, version: string) {
  return {
    build_info: (): Sample[] => [[1, program, version]],
    heap_used_bytes: () => Deno.memoryUsage().heapUsed,
    heap_total_bytes: () => Deno.memoryUsage().heapTotal,
    external_memory_bytes: () => Deno.memoryUsage().external,
  };
}

const FRONT_COUNTED = [
  "requests_total",
  "credentials_refused_total",
  "sessions_issued_total",
  "batches_total",
  "batch_retries_total",
] as const;

function frontFaces(
  metrics: ReturnType<typeof makeInstruments<typeof FRONT_FAMILIES, typeof FRONT_COUNTED>>,
): Omit<FrontMetrics, "registry" | "ask" | "askCache"> {
  let watchers = 0;
  metrics.watchers.from(() => watchers);
  return {
    rest: {
      request: countByResult<number>(metrics.requests_total, metrics.request_duration_seconds, "rest"),
      credentialRefused: () => metrics.credentials_refused_total.add(1),
      sessionIssued: () => metrics.sessions_issued_total.add(1),
      watchers(count) {
        watchers = count;
      },
    },
    grpc: {
      request: countByResult<string>(metrics.requests_total, metrics.request_duration_seconds, "grpc"),
      credentialRefused: () => metrics.credentials_refused_total.add(1),
    },
    dispatcher: {
      batch(operations, bytes) {
        metrics.batches_total.add(1);
        metrics.batch_operations.observe(operations);
        metrics.batch_size_bytes.observe(bytes);
      },
      retry: (reason) => metrics.batch_retries_total.add(1, reason),
    },
  };
}

/** Metrics of a front thread that is not the main thread; {@linkcode mergeSnapshots} adds them to the others'. */
export function createFrontMetrics(registry: Registry = new Registry()): FrontMetrics {
  const metrics = makeInstruments(registry, FRONT_FAMILIES, FRONT_COUNTED);
  return {
    ...frontFaces(metrics),
    registry,
    ask: (sources) => connect(metrics, sources),
    askCache: (figures, capacityBytes) => connect(metrics, cacheSources(figures, capacityBytes)),
  };
}

function s3Face(metrics: {
  readonly s3_requests_total: CountedMetric;
  readonly s3_request_duration_seconds: HistogramMetric;
  readonly s3_retries_total: CountedMetric;
}): S3Metrics {
  return {
    request(kind, outcome, seconds) {
      metrics.s3_requests_total.add(1, kind, outcome);
      metrics.s3_request_duration_seconds.observe(seconds, kind);
    },
    retry: (kind, reason) => metrics.s3_retries_total.add(1, kind, reason),
  };
}

/** Metrics of the main worker, in `registry`. */
export function createMainMetrics(registry: Registry, options: ProgramOptions): MainMetrics {
  const { clock, version } = options;
  const metrics = makeInstruments(
    registry,
    MAIN_FAMILIES,
    [
      ...FRONT_COUNTED,
      "s3_requests_total",
      "s3_retries_total",
      "worker_joins_total",
      "worker_departures_total",
      "worker_tokens_issued_total",
      "partition_moves_total",
      "administrative_actions_total",
    ] as const,
  );
  collectProcess(registry, clock.now());
  connect(metrics, programSources("main-worker", version));
  return {
    ...frontFaces(metrics),
    registry,
    s3: s3Face(metrics),
    control: {
      workerJoined: (result) => metrics.worker_joins_total.add(1, result),
      workerGone: (reason) => metrics.worker_departures_total.add(1, reason),
      workerTokenIssued: () => metrics.worker_tokens_issued_total.add(1),
      partitionsMoved: (count) => metrics.partition_moves_total.add(count),
      action: (action, result) => metrics.administrative_actions_total.add(1, action, result),
    },
    ask: (sources) => connect(metrics, sources),
    askCache: (figures, capacityBytes) => connect(metrics, cacheSources(figures, capacityBytes)),
    close: watchEventLoop(clock, metrics.event_loop_delay_seconds),
  };
}

/** Metrics of a processing worker, in `registry`. */
export function createWorkerMetrics(registry: Registry, options: ProgramOptions): WorkerMetrics {
  const { clock, version } = options;
  const metrics = makeInstruments(
    registry,
    WORKER_FAMILIES,
    [
      "s3_requests_total",
      "s3_retries_total",
      "operations_total",
      "encryption_operations_total",
      "encryption_failures_total",
      "tampered_envelopes_total",
      "heartbeat_failures_total",
    ] as const,
  );
  collectProcess(registry, clock.now());
  connect(metrics, programSources("proc-worker", version));
  return {
    registry,
    s3: s3Face(metrics),
    executor: {
      operation: countByResult<string>(metrics.operations_total, metrics.operation_duration_seconds),
      encryption(direction, ok) {
        metrics.encryption_operations_total.add(1, direction);
        if (!ok) metrics.encryption_failures_total.add(1, direction);
      },
      tampered: () => metrics.tampered_envelopes_total.add(1),
    },
    membership: { heartbeatFailed: () => metrics.heartbeat_failures_total.add(1) },
    ask: (sources) => connect(metrics, sources),
    askCache: (figures, capacityBytes) => connect(metrics, cacheSources(figures, capacityBytes)),
    askEntities: (stats) =>
      connect(metrics, {
        log_syncs_total: () => stats().syncs,
        log_sync_seconds_total: () => stats().syncSecondsTotal,
        log_bytes: () => stats().logBytes,
        dirty_entities: () => stats().dirtyEntities,
        dirty_bytes: () => stats().dirtyBytes,
        checkpoints_total: () => stats().checkpoints,
      }),
    close: watchEventLoop(clock, metrics.event_loop_delay_seconds),
  };
}
