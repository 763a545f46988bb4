/** How long the workers take to make writes durable, now: from the counters that they report, between two looks at them. */
import { HEARTBEAT_MS } from "../../shared/limits.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { WorkerView } from "../control/control.ts";
import type { SyncStats } from "../front/rest/stats.ts";

interface Totals {
  readonly syncs: number;
  readonly microseconds: number;
}

export class SyncFigures {
  readonly #clock: Clock;
  /** The counters of each worker at the beginning of the interval. */
  #base = new Map<string, Totals>();
  #baseMs = -Infinity;
  #meanMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The mean over the time since the last look that is older than a heartbeat; at first, since the workers started. */
  figures(workers: readonly Pick<WorkerView, "workerId" | "storage">[]): SyncStats {
    const reports = workers.flatMap(({ workerId, storage }) =>
      storage === undefined
        ? []
        : [[workerId, { syncs: storage.syncs, microseconds: storage.syncMicroseconds }] as const]
    );
    if (reports.length === 0) return { mean_ms: null, syncs: null };
    const now = this.#clock.monotonic();
    if (now - this.#baseMs >= HEARTBEAT_MS) {
      const since = { syncs: 0, microseconds: 0 };
      for (const [workerId, totals] of reports) {
        const before = this.#base.get(workerId);
        // A worker that was started again counts from nothing.
        const counted = before !== undefined && before.syncs <= totals.syncs ? before : { syncs: 0, microseconds: 0 };
        since.syncs += totals.syncs - counted.syncs;
        since.microseconds += Math.max(0, totals.microseconds - counted.microseconds);
      }
      // Where nothing was written meanwhile, the last figure stands.
      if (since.syncs > 0) this.#meanMs = since.microseconds / since.syncs / 1_000;
      this.#base = new Map(reports);
      this.#baseMs = now;
    }
    return { mean_ms: this.#meanMs, syncs: reports.reduce((sum, [, { syncs }]) => sum + syncs, 0) };
  }
}
