/** Monitoring: alerts and dashboard ask for metrics that exist, in a language that Prometheus understands. */
import assert from "assert";
import { FRONT_FAMILIES, MAIN_FAMILIES, METRIC_PREFIX, WORKER_FAMILIES } from "../../shared/metrics/families.ts";
import { testWith } from "../tools/needs.ts";
import { ROOT, run } from "./command.ts";
import { alertExpressions, dashboardExpressions, metricNames } from "./expressions.ts";
import { readManifest, readManifests, writeManifests } from "./manifests.ts";

const FAMILIES = { ...FRONT_FAMILIES, ...MAIN_FAMILIES, ...WORKER_FAMILIES };
const SERVED = new Set([
  ...Object.keys(FAMILIES).map((name) => METRIC_PREFIX + name),
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "process_start_time_seconds",
]);
const JOBS = ["deltadatabase-main-worker", "deltadatabase-proc-worker"];

Deno.test("monitoring: every metric of the dashboard and of the alerts exists", async () => {
  for (const expressions of [await dashboardExpressions(), await alertExpressions()]) {
    const names = metricNames(expressions, SERVED);
    assert.ok(names.length > 10);
    assert.deepEqual(names.filter((name) => !SERVED.has(name)), []);
  }
});

Deno.test("monitoring: every label that is grouped or filtered by exists", async () => {
  const labels = new Set([
    ...Object.values(FAMILIES).flatMap((family) => "labels" in family ? family.labels : []),
    ...["job", "instance", "le"],
  ] as string[]);
  for (const expression of [...await dashboardExpressions(), ...await alertExpressions()]) {
    const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/));
    const filtered = [...expression.matchAll(/([a-z_]+)\s*(?:!=|=~|!~|=)\s*"/g)].map(([, label]) => label!);
    for (const label of [...grouped, ...filtered]) assert.ok(labels.has(label), `${label} in ${expression}`);
  }
});

Deno.test("monitoring: the jobs have the same names everywhere", async () => {
  const { scrape_configs } = await readManifest("monitoring/prometheus.yml");
  assert.deepEqual(scrape_configs.map(({ job_name }: { job_name: string }) => job_name), JOBS);
  const monitors = (await readManifests("kubernetes/monitoring.yaml")).filter(({ kind }) => kind === "ServiceMonitor");
  assert.deepEqual(monitors.map(({ spec }) => spec.endpoints[0].relabelings[0].replacement), JOBS);
  for (const { metadata, spec } of monitors) {
    const service = await readManifest(`kubernetes/${metadata.name}.yaml`, "Service");
    assert.equal(
      service.metadata.labels["app.kubernetes.io/name"],
      spec.selector.matchLabels["app.kubernetes.io/name"],
    );
    assert.ok(service.spec.ports.some(({ name }: { name: string }) => name === spec.endpoints[0].port));
  }
});

Deno.test("monitoring: the operator gets the same alerts", async () => {
  const rule = await readManifest("kubernetes/monitoring.yaml", "PrometheusRule");
  assert.deepEqual(rule.spec.groups, (await readManifest("monitoring/alerts.yml")).groups);
});

Deno.test("monitoring: the guide says what to do about each alert", async () => {
  const guide = await Deno.readTextFile(`${ROOT}deploy/README.md`);
  for (const group of (await readManifest("monitoring/alerts.yml")).groups) {
    for (const { alert, labels, annotations } of group.rules) {
      assert.ok(guide.includes(`\`${alert}\``), alert);
      assert.ok(["critical", "warning"].includes(labels.severity));
      assert.ok(annotations.summary.length > 0);
    }
  }
});

testWith(
  ["promtool"],
  "monitoring: promtool passes the configuration, the alerts and the dashboard's queries",
  async () => {
    await run("promtool", ["check", "config", `${ROOT}deploy/monitoring/prometheus.yml`]);
    const folder = await Deno.makeTempDir({ prefix: "deltadb-promtool-" });
    try {
      const rules = (await dashboardExpressions()).map((expr, index) => ({ record: `panel:${index}`, expr }));
      await Deno.writeTextFile(`${folder}/dashboard.yml`, writeManifests([{ groups: [{ name: "dashboard", rules }] }]));
      await run("promtool", ["check", "rules", `${folder}/dashboard.yml`]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

testWith(["promtool"], "monitoring: the alerts fire when they should, and only then", async () => {
  await run("promtool", ["test", "rules", `${ROOT}tests/deploy/alerts.test.yml`]);
});
