/** Figures of the process itself, under the names that Prometheus's own client libraries use, and of its event loop. */
import { cpuUsage } from "node:process";
import type { Registry } from "prom-client";
import type { Clock } from "../seams/clock.ts";
import type { Family } from "./families.ts";
import { AskedMetric, type HistogramMetric, type Source } from "./instruments.ts";

const PROCESS: Readonly<Record<string, Family>> = {
  process_cpu_seconds_total: { type: "counter", help: "User and system CPU time of the process." },
  process_resident_memory_bytes: { type: "gauge", help: "Resident memory of the process." },
  process_start_time_seconds: { type: "gauge", help: "When the process started, in Unix time." },
};

/** Registers the process's figures. prom-client's own read `/proc/self`, which the programs have no permission for. */
export function collectProcess(registry: Registry, startedMs: number): void {
  const sources: Record<string, Source> = {
    process_cpu_seconds_total: () => {
      const { user, system } = cpuUsage();
      return (user + system) / 1e6;
    },
    process_resident_memory_bytes: () => Deno.memoryUsage().rss,
    process_start_time_seconds: () => startedMs / 1_000,
  };
  for (const [name, family] of Object.entries(PROCESS)) new AskedMetric(registry, name, family).from(sources[name]!);
}

const DELAY_EVERY_MS = 500;

/** Observes how late timers run, twice a second, until the returned function is called. */
export function watchEventLoop(clock: Clock, histogram: HistogramMetric): () => void {
  let due = clock.monotonic() + DELAY_EVERY_MS;
  const tick = () => {
    const now = clock.monotonic();
    histogram.observe(Math.max(0, now - due) / 1_000);
    due = now + DELAY_EVERY_MS;
    timer = clock.setTimer(tick, DELAY_EVERY_MS);
  };
  let timer = clock.setTimer(tick, DELAY_EVERY_MS);
  return () => clock.clearTimer(timer);
}
