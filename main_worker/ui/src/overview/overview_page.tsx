/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The overview: whether the database is well, at a glance, second by second. */
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api/errors.ts";
import type { OperationName, Stats } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { href } from "../app/router.ts";
import { Chart } from "../components/chart.tsx";
import { Problem, Skeleton } from "../components/states.tsx";
import { bytes, count, counted, latency, percent, rate } from "../format/numbers.ts";
import { fullTime, span } from "../format/time.ts";
import { busiest, calledOperations, OPERATION_COLOURS, OPERATION_NAMES, rateNow } from "./figures.ts";
import { OperationTable } from "./operation_table.tsx";
import { Partitions } from "./partitions.tsx";
import { WarningList } from "./warning_list.tsx";
import { Workers } from "./workers.tsx";

const POLL_MS = 1_000;
/** How often the documents are counted. */
const COUNT_MS = 15_000;

/** The figures, asked for every second while the page can be seen. */
function useStats(): { stats: Stats | null; error: unknown } {
  const { client, connection, session } = useApp();
  const [stats, setStats] = useState<Stats | null>(null);
  const [error, setError] = useState<unknown>(null);
  const generation = connection.generation.value;
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async () => {
      const started = performance.now();
      if (!document.hidden && connection.online.value && !session.lapsed.value) {
        try {
          setStats(await client.json<Stats>("/admin/stats", { signal: controller.signal }));
          setError(null);
        } catch (failure) {
          if (controller.signal.aborted) return;
          if (failure instanceof ApiError) setError(failure);
        }
      }
      timer = setTimeout(poll, Math.max(100, POLL_MS - (performance.now() - started)));
    };
    poll();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [generation]);
  return { stats, error };
}

/** The page at `/overview`. */
export function OverviewPage() {
  const { schemas, connection } = useApp();
  const { stats, error } = useStats();
  const generation = connection.generation.value;
  useEffect(() => {
    schemas.load();
    const timer = setInterval(() => {
      if (!document.hidden && connection.online.value) schemas.load();
    }, COUNT_MS);
    return () => clearInterval(timer);
  }, [generation]);
  return (
    <div class="page overview">
      <header class="page-head">
        <div>
          <h1>Overview</h1>
          {stats && (
            <p class="lead" title={`since ${fullTime(Date.parse(stats.started_at))}`}>
              Version {stats.version}, running for {span(Date.parse(stats.now) - Date.parse(stats.started_at))}
            </p>
          )}
        </div>
      </header>
      {error !== null && <Problem error={error} />}
      {stats ? <Figures stats={stats} /> : error === null && <Waiting />}
    </div>
  );
}

function Waiting() {
  return (
    <>
      <div class="tiles">
        {Array.from({ length: 5 }, (_, index) => (
          <div key={index} class="tile">
            <Skeleton lines={2} />
          </div>
        ))}
      </div>
      <div class="charts">
        <section class="card">
          <Skeleton lines={6} />
        </section>
        <section class="card">
          <Skeleton lines={6} />
        </section>
      </div>
    </>
  );
}

function Figures({ stats }: { stats: Stats }) {
  const [chosen, setChosen] = useState<OperationName | null>(null);
  const { requests } = stats;
  const called = calledOperations(requests);
  const operation = chosen ?? busiest(requests);
  const { p50_ms, p99_ms, window } = requests.operations[operation];
  const minutes = Math.round(requests.times.length * requests.bucket_s / 60);
  return (
    <>
      <WarningList stats={stats} />
      <Tiles stats={stats} operation={operation} />
      <div class="charts">
        <section class="card" aria-labelledby="rate-title">
          <h2 id="rate-title">Requests per second</h2>
          <Legend
            items={called.map((name) => ({ label: OPERATION_NAMES[name], colour: OPERATION_COLOURS[name] }))}
            empty={`No request on data ${minutes > 0 ? `in the last ${counted(minutes, "minute")}` : "yet"}`}
          />
          <Chart
            summary={`Requests per second${minutes > 0 ? ` over the last ${counted(minutes, "minute")}` : ""}; now ${
              rate(rateNow(requests))
            }.`}
            times={requests.times.slice(0, -1)}
            series={(called.length > 0 ? called : ["get" as const]).map((name) => ({
              label: OPERATION_NAMES[name],
              color: OPERATION_COLOURS[name],
              values: requests.operations[name].rate.slice(0, -1),
            }))}
            format={rate}
          />
        </section>
        <section class="card" aria-labelledby="latency-title">
          <div class="card-head">
            <h2 id="latency-title">Latency</h2>
            <select
              class="input small"
              aria-label="Operation of the latency chart"
              value={operation}
              onChange={(event) => setChosen(event.currentTarget.value as OperationName)}
            >
              {[...new Set([...called, operation])].map((name) => (
                <option key={name} value={name}>{OPERATION_NAMES[name]}</option>
              ))}
            </select>
          </div>
          <Legend
            items={[{ label: "p50", colour: "--chart-1" }, { label: "p99", colour: "--chart-2" }]}
            empty=""
          />
          <Chart
            summary={`Latency of ${OPERATION_NAMES[operation]}: median ${latency(window.p50_ms)}, 99th percentile ${
              latency(window.p99_ms)
            }.`}
            times={requests.times}
            series={[
              { label: "p50", color: "--chart-1", values: p50_ms },
              { label: "p99", color: "--chart-2", values: p99_ms },
            ]}
            format={latency}
          />
        </section>
      </div>
      <Partitions stats={stats} />
      <div class="columns">
        <Workers stats={stats} />
        <OperationTable requests={requests} />
      </div>
      <Storage stats={stats} />
    </>
  );
}

function Legend({ items, empty }: { items: readonly { label: string; colour: string }[]; empty: string }) {
  if (items.length === 0) return <p class="legend quiet">{empty}</p>;
  return (
    <ul class="legend">
      {items.map(({ label, colour }) => (
        <li key={label}>
          <i style={{ background: `var(${colour})` }} />
          {label}
        </li>
      ))}
    </ul>
  );
}

function Tiles({ stats, operation }: { stats: Stats; operation: OperationName }) {
  const { requests, cache, sync, workers } = stats;
  const { window } = requests.operations[operation];
  const name = OPERATION_NAMES[operation];
  const cacheOff = cache.bytes_max === 0;
  const available = workers.some(({ status }) => status === "Available");
  return (
    <dl class="tiles">
      <Tile
        label="Requests a second"
        value={rate(rateNow(requests))}
        more={`${count(requests.active)} in progress, ${count(requests.watchers)} watching`}
      />
      <Tile label={`${name}, median`} value={latency(window.p50_ms)} more="p50 of the last minutes" />
      <Tile label={`${name}, slowest 1%`} value={latency(window.p99_ms)} more="p99 of the last minutes" />
      <Tile
        label="Cache hits"
        value={cacheOff ? "off" : cache.hit_ratio === null ? "–" : percent(cache.hit_ratio)}
        more={cacheOff ? "turned off by -cache-bytes=0" : `${bytes(cache.bytes)} of ${bytes(cache.bytes_max)}`}
      />
      <Tile
        label="Sync to storage"
        value={latency(sync.mean_ms)}
        more={sync.syncs !== null
          ? `${count(sync.syncs)} so far`
          : available
          ? "not reported by this store"
          : "no worker is there to tell"}
      />
    </dl>
  );
}

function Tile({ label, value, more }: { label: string; value: string; more: string }) {
  return (
    <div class="tile">
      <dt>{label}</dt>
      <dd>
        <span class="tile-value">{value}</span>
        <span class="tile-more">{more}</span>
      </dd>
    </div>
  );
}

function Storage({ stats }: { stats: Stats }) {
  const { schemas } = useApp();
  const list = schemas.list.value;
  const areCounted = list?.every(({ entities }) => entities !== null);
  const total = areCounted ? list!.reduce((sum, { entities }) => sum + entities!, 0) : null;
  return (
    <section class="card" aria-labelledby="storage-title">
      <h2 id="storage-title">Storage</h2>
      <dl class="facts wide">
        <div>
          <dt>Documents</dt>
          <dd>{total === null ? "not counted" : count(total)}</dd>
        </div>
        <div>
          <dt>Schemas</dt>
          <dd>
            <a href={href("schemas")}>{list ? count(list.length) : "–"}</a>
          </dd>
        </div>
        <div>
          <dt>{stats.storage.kind === "directory" ? "Directory" : "Bucket"}</dt>
          <dd>
            <code>{stats.storage.location}</code>
          </dd>
        </div>
        <div>
          <dt>Master key</dt>
          <dd>
            <code>{stats.key_id}</code>
          </dd>
        </div>
      </dl>
    </section>
  );
}
