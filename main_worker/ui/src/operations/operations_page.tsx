/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Operations: backup, restore, re-encryption, and what the server says about itself. */
import { useEffect, useState } from "preact/hooks";
import type { Stats } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { Icon } from "../components/icons.tsx";
import { Problem, Skeleton } from "../components/states.tsx";
import { fullTime, span } from "../format/time.ts";
import { BackupCard } from "./backup_card.tsx";
import { RestoreCard } from "./restore_card.tsx";
import { RewrapCard } from "./rewrap_card.tsx";

/** The page at `/operations`. */
export function OperationsPage() {
  const { client, connection } = useApp();
  const [stats, setStats] = useState<Stats | null>(null);
  const [error, setError] = useState<unknown>(null);
  const generation = connection.generation.value;
  const load = async () => {
    try {
      setStats(await client.json<Stats>("/admin/stats"));
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  useEffect(() => {
    load();
  }, [generation]);
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Operations</h1>
          <p class="lead">Keep a copy, bring one back, change the master key.</p>
        </div>
      </header>
      <div class="cards">
        <div class="cards-column">
          <BackupCard />
          <RewrapCard keyId={stats?.key_id} />
        </div>
        <div class="cards-column">
          <RestoreCard />
          {error !== null && !stats && <Problem error={error} retry={load} />}
          {stats ? <ServerCard stats={stats} /> : error === null && (
            <section class="card">
              <Skeleton lines={6} />
            </section>
          )}
        </div>
      </div>
      {stats && <Configuration configuration={stats.configuration} />}
    </div>
  );
}

function ServerCard({ stats }: { stats: Stats }) {
  const { nowMs } = useApp();
  const started = Date.parse(stats.started_at);
  const metrics = stats.configuration["metrics-addr"];
  const metricsAt = typeof metrics === "string" && /:\d+$/.test(metrics) ? metrics : null;
  return (
    <section class="card" aria-labelledby="server-title">
      <h2 id="server-title">This server</h2>
      <dl class="facts">
        <div>
          <dt>Version</dt>
          <dd>{stats.version}</dd>
        </div>
        <div>
          <dt>Running for</dt>
          <dd title={`since ${fullTime(started)}`}>{span(Math.max(0, nowMs.value - started))}</dd>
        </div>
        <div>
          <dt>Store</dt>
          <dd>
            <code>{stats.storage.location}</code>
          </dd>
        </div>
        <div>
          <dt>Store id</dt>
          <dd>
            <code>{stats.storage.store_id}</code>
          </dd>
        </div>
        <div>
          <dt>Master key</dt>
          <dd>
            <code>{stats.key_id}</code>
          </dd>
        </div>
        <div>
          <dt>Metrics</dt>
          <dd>{metricsAt ? <code>{metricsAt}/metrics</code> : "off; turn on with -metrics-addr"}</dd>
        </div>
      </dl>
      <p class="links">
        <a href="/docs" target="_blank" rel="noreferrer">
          API reference <Icon name="external" size={14} />
        </a>
        <a href="/openapi.json" target="_blank" rel="noreferrer">
          OpenAPI <Icon name="external" size={14} />
        </a>
        {metricsAt && (
          <a href={metricsUrl(metricsAt)} target="_blank" rel="noreferrer">
            Metrics <Icon name="external" size={14} />
          </a>
        )}
      </p>
    </section>
  );
}

/** The metrics listen on an address of their own; an unspecified host is the one that this page came from. */
function metricsUrl(address: string): string {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  const unspecified = host === "" || host === "0.0.0.0" || host === "[::]";
  return `http://${unspecified ? location.hostname : host}:${port}/metrics`;
}

function Configuration({ configuration }: { configuration: Stats["configuration"] }) {
  const entries = Object.entries(configuration).sort(([a], [b]) => a < b ? -1 : 1);
  return (
    <section class="card config" aria-labelledby="config-title">
      <h2 id="config-title">Configuration</h2>
      <p class="quiet">As the server sees it. Secrets are not shown, only whether they are set.</p>
      <dl class="config-list">
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>
              <code>-{name.replace(/^-+/, "")}</code>
            </dt>
            <dd>
              {value === null || value === "" ? <span class="quiet">not set</span> : <code>{String(value)}</code>}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
