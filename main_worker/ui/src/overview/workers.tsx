/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The processing workers: their state, load and caches. */
import type { Stats, WorkerJson } from "../api/types.ts";
import { bytes, count, percent } from "../format/numbers.ts";
import { span } from "../format/time.ts";
import { workerColours, workerState } from "./figures.ts";

const WORDS = { available: "available", silent: "silent", unavailable: "unavailable" } as const;

/** One entry for each worker; without any, how to start one. */
export function Workers({ stats }: { stats: Stats }) {
  const colours = workerColours(stats);
  const now = Date.parse(stats.now);
  return (
    <section class="card" aria-labelledby="workers-title">
      <h2 id="workers-title">Workers</h2>
      {stats.workers.length === 0 && (
        <div class="teach">
          <p>No processing worker has joined yet, so nothing can be read or written. Start one next to the store:</p>
          <pre><code>deno task proc-worker -main-addr={String(stats.configuration["grpc-addr"] ?? "127.0.0.1:50051")}</code></pre>
        </div>
      )}
      <ul class="workers">
        {stats.workers.map((worker) => (
          <WorkerRow key={worker.worker_id} worker={worker} colour={colours.get(worker.worker_id) ?? ""} now={now} />
        ))}
      </ul>
    </section>
  );
}

function WorkerRow({ worker, colour, now }: { worker: WorkerJson; colour: string; now: number }) {
  const state = workerState(worker, now);
  const { cache } = worker;
  const lookups = cache.hits + cache.misses;
  return (
    <li class={`worker ${state}`}>
      <div class="worker-name">
        <i class={`swatch ${colour}`} aria-hidden="true" />
        <b title={worker.worker_id}>{worker.worker_id}</b>
        <span class={`state ${state}`}>{WORDS[state]}</span>
      </div>
      <p class="worker-facts">
        <span>{worker.tags.grpc_addr ?? "unknown address"}</span>
        <span>{worker.partitions.length} partitions</span>
        <span>{count(worker.active_requests)} in progress</span>
        <span>
          cache {bytes(cache.bytes)}
          {lookups > 0 && `, ${percent(cache.hits / lookups)} hits`}
        </span>
        <span>
          {state === "available"
            ? "heard of just now"
            : `heard of ${span(Math.max(0, now - Date.parse(worker.last_seen)))} ago`}
        </span>
      </p>
    </li>
  );
}
