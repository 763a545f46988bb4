import assert from "assert";
import { Registry } from "prom-client";
import { testWith } from "../../tests/tools/needs.ts";
import { METRIC_SERIES_MAX } from "../limits.ts";
import { recordingLogger, silentLogger } from "../logging/logger.ts";
import type { Clock } from "../seams/clock.ts";
import { FRONT_FAMILIES, MAIN_FAMILIES, METRIC_PREFIX, WORKER_FAMILIES } from "./families.ts";
import { CountedMetric, HistogramMetric, makeInstruments } from "./instruments.ts";
import { createFrontMetrics, createMainMetrics, createWorkerMetrics } from "./program.ts";
import { mergeSnapshots, serveMetrics, takeSnapshot } from "./serve.ts";

/** A clock that stands until it is moved. */
function manualClock() {
  let now = 0;
  const timers = new Map<number, { at: number; fn: () => void }>();
  const clock: Clock = {
    now: () => 1_700_000_000_000 + now,
    monotonic: () => now,
    setTimer(fn, ms) {
      const id = timers.size + 1 + now;
      timers.set(id, { at: now + ms, fn });
      return id;
    },
    clearTimer: (id) => void timers.delete(id as number),
  };
  /** Moves the time, and then runs what has become due. */
  const advance = (ms: number) => {
    now += ms;
    for (const [id, timer] of timers) {
      if (timer.at > now) continue;
      timers.delete(id);
      timer.fn();
    }
  };
  return { clock, advance, timers };
}

const cacheFigures = { entries: 2, bytes: 300, hits: 5, misses: 1, evictions: 0 };

/** Both programs' metrics with every face called and every source connected. */
async function everything(): Promise<{ main: string; worker: string }> {
  const { clock, advance } = manualClock();
  const main = createMainMetrics(new Registry(), { version: "1.0.0", clock });
  main.rest.request("get", 200, 0.0004);
  main.rest.request("put", 503, 20);
  main.rest.credentialRefused();
  main.rest.sessionIssued();
  main.rest.watchers(3);
  main.grpc.request("get", "OK", 0.001);
  main.grpc.credentialRefused();
  main.dispatcher.batch(32, 40_000);
  main.dispatcher.retry("not_owner");
  main.control.workerJoined("accepted");
  main.control.workerGone("silent");
  main.control.workerTokenIssued();
  main.control.partitionsMoved(7);
  main.control.action("backup", "done");
  main.s3.request("get", "ok", 0.01);
  main.s3.retry("put", "throttled");
  main.askCache(() => cacheFigures, 1_024);
  main.ask({
    active_requests: () => 1,
    batches_in_flight: () => [[2, "proc-1"]],
    queue_operations: () => [[5, "proc-1"], [0, "proc-2"]],
    queue_bytes: () => [[512, "proc-1"]],
    operations_parked: () => 0,
    unresolved_writes: () => 0,
    workers_registered: () => 2,
    workers_available: () => 2,
    partitions: () => 64,
    partitions_owned: () => [[32, "proc-1"], [32, 'odd "name"\n\\']],
    partitions_unowned: () => [[0, "moving"], [0, "none"]],
    api_keys: () => 3,
    schemas: () => 4,
  });
  const worker = createWorkerMetrics(new Registry(), { version: "1.0.0", clock });
  worker.executor.operation("get", "found", 0.0001);
  worker.executor.operation("put", "schema_violation");
  worker.executor.encryption("seal", true);
  worker.executor.encryption("open", false);
  worker.executor.tampered();
  worker.membership.heartbeatFailed();
  worker.s3.request("put", "ok", 0.02);
  worker.s3.retry("put", "timeout");
  worker.askCache(() => cacheFigures, 2_048);
  worker.askEntities(() => ({
    logBytes: 10,
    dirtyEntities: 1,
    dirtyBytes: 100,
    syncs: 9,
    syncSecondsTotal: 0.5,
    checkpoints: 2,
    requests: 0,
    retries: 0,
  }));
  worker.ask({
    active_operations: () => 0,
    compiled_schemas: () => 1,
    partitions_owned: () => 32,
    partitions_failing: () => 0,
    main_worker_connected: () => 1,
    token_expiry_timestamp_seconds: () => 1_700_003_600,
  });
  advance(740);
  const texts = { main: await main.registry.metrics(), worker: await worker.registry.metrics() };
  main.close();
  worker.close();
  return texts;
}

/** The samples of a text: `name{labels}` → value. */
function samples(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

Deno.test("every declared family is served, with its type and help", async () => {
  const { main, worker } = await everything();
  for (const [text, families] of [[main, MAIN_FAMILIES], [worker, WORKER_FAMILIES]] as const) {
    const present = samples(text);
    for (const [name, family] of Object.entries(families)) {
      const full = METRIC_PREFIX + name;
      assert.ok(text.includes(`# TYPE ${full} ${family.type}\n`), full);
      assert.ok(text.includes(`# HELP ${full} ${family.help}\n`), full);
      const suffix = family.type === "histogram" ? "_count" : "";
      assert.ok([...present.keys()].some((key) => key.replace(/\{.*/s, "") === full + suffix), `${full} has a sample`);
    }
  }
});

Deno.test("names follow Prometheus's conventions", () => {
  for (const [name, family] of Object.entries({ ...MAIN_FAMILIES, ...WORKER_FAMILIES })) {
    assert.match(name, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
    assert.equal(name.endsWith("_total"), family.type === "counter", name);
    assert.ok(!/(ms|millis|kb|mb|percent)$/.test(name), name);
    assert.match(family.help, /^[A-Z0-9].*\.$/);
    for (const label of "labels" in family ? family.labels : []) assert.match(label, /^[a-z]+$/);
    const bounds: readonly number[] = "buckets" in family ? family.buckets : [];
    assert.ok(bounds.every((bound, index) => index === 0 || bound > bounds[index - 1]!), name);
    assert.equal(bounds.length > 0, family.type === "histogram", name);
  }
});

testWith(["promtool"], "promtool finds nothing wrong with what the programs serve", async () => {
  const texts = await everything();
  for (const text of Object.values(texts)) {
    const process = new Deno.Command("promtool", {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    const { code, stdout, stderr } = await process.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.deepEqual([code, said], [0, ""]);
  }
});

Deno.test("figures: what was counted and what was asked", async () => {
  const { main, worker } = await everything();
  const front = samples(main);
  const at = (values: Map<string, number>, key: string) => values.get(METRIC_PREFIX + key);
  assert.equal(at(front, 'requests_total{api="rest",operation="get",status="200"}'), 1);
  assert.equal(at(front, 'requests_total{api="grpc",operation="get",status="OK"}'), 1);
  assert.equal(at(front, 'request_duration_seconds_bucket{api="rest",operation="get",le="0.00025"}'), 0);
  assert.equal(at(front, 'request_duration_seconds_bucket{api="rest",operation="get",le="0.0005"}'), 1);
  assert.equal(at(front, 'request_duration_seconds_bucket{api="rest",operation="put",le="10"}'), 0);
  assert.equal(at(front, 'request_duration_seconds_bucket{api="rest",operation="put",le="+Inf"}'), 1);
  assert.equal(at(front, 'request_duration_seconds_sum{api="rest",operation="put"}'), 20);
  assert.equal(at(front, "credentials_refused_total"), 2);
  assert.equal(at(front, "watchers"), 3);
  assert.equal(at(front, 'partitions_owned{worker="odd \\"name\\"\\n\\\\"}'), 32);
  assert.equal(at(front, "cache_hits_total"), 5);
  assert.equal(at(front, "cache_capacity_bytes"), 1_024);
  assert.equal(at(front, 'build_info{program="main-worker",version="1.0.0"}'), 1);
  assert.equal(at(front, "event_loop_delay_seconds_count"), 1);
  assert.equal(at(front, 'event_loop_delay_seconds_bucket{le="0.1"}'), 0);
  assert.equal(at(front, 'event_loop_delay_seconds_bucket{le="0.25"}'), 1);
  assert.equal(front.get("process_start_time_seconds"), 1_700_000_000);
  assert.ok(front.get("process_cpu_seconds_total")! > 0 && front.get("process_resident_memory_bytes")! > 2 ** 20);
  const data = samples(worker);
  assert.equal(at(data, 'operations_total{operation="put",status="schema_violation"}'), 1);
  assert.equal(at(data, 'encryption_operations_total{direction="open"}'), 1);
  assert.equal(at(data, 'encryption_failures_total{direction="open"}'), 1);
  assert.equal(at(data, "log_sync_seconds_total"), 0.5);
});

Deno.test("what has not happened yet is 0, what nobody was asked for is absent", async () => {
  const { clock } = manualClock();
  const main = createMainMetrics(new Registry(), { version: "1", clock });
  const values = samples(await main.registry.metrics());
  assert.equal(values.get(`${METRIC_PREFIX}batches_total`), 0);
  assert.equal(values.get(`${METRIC_PREFIX}batch_operations_count`), 0);
  assert.ok(!values.has(`${METRIC_PREFIX}workers_available`));
  main.close();
});

Deno.test("a source that fails leaves only its own metric out", async () => {
  const { clock } = manualClock();
  const main = createMainMetrics(new Registry(), { version: "1", clock });
  main.ask({
    workers_available: () => {
      throw new Error("shutting down");
    },
    partitions: () => 64,
    partitions_owned: () => undefined,
  });
  const values = samples(await main.registry.metrics());
  assert.ok(!values.has(`${METRIC_PREFIX}workers_available`));
  assert.equal(values.get(`${METRIC_PREFIX}partitions`), 64);
  main.close();
});

Deno.test("a worker that is gone is gone from the next scrape", async () => {
  const { clock } = manualClock();
  const main = createMainMetrics(new Registry(), { version: "1", clock });
  let owners: [number, string][] = [[64, "proc-1"]];
  main.ask({ partitions_owned: () => owners });
  assert.match(await main.registry.metrics(), /partitions_owned\{worker="proc-1"\} 64/);
  owners = [[64, "proc-2"]];
  const text = await main.registry.metrics();
  assert.ok(!text.includes("proc-1") && text.includes("proc-2"));
  main.close();
});

Deno.test("label sets are bounded: further ones count as other", async () => {
  const registry = new Registry();
  const metric = new CountedMetric(registry, "x_total", { type: "counter", help: "X.", labels: ["a", "b"] });
  for (let index = 0; index < METRIC_SERIES_MAX + 500; index++) metric.add(1, `v${index}`, "w");
  const values = samples(await registry.metrics());
  assert.equal(values.size, METRIC_SERIES_MAX + 1);
  assert.equal(values.get('x_total{a="other",b="other"}'), 500);
});

Deno.test("a counted metric cannot be asked for, and a name that is not declared neither", () => {
  const { clock, timers } = manualClock();
  const main = createMainMetrics(new Registry(), { version: "1", clock });
  assert.throws(() => main.ask({ requests_total: () => 1 }), TypeError);
  main.close();
  assert.equal(timers.size, 0);
  assert.throws(() =>
    new HistogramMetric(main.registry, `${METRIC_PREFIX}batch_operations`, FRONT_FAMILIES.batch_operations)
  );
});

Deno.test("figures of several threads are added up", async () => {
  const [a, b] = [createFrontMetrics(), createFrontMetrics()];
  for (const front of [a, b]) {
    front.rest.request("get", 200, 0.002);
    front.rest.watchers(2);
  }
  b.rest.request("get", 404, 0.2);
  // What comes from another thread has been cloned.
  const merged = await mergeSnapshots([
    await takeSnapshot(a.registry),
    structuredClone(await takeSnapshot(b.registry)),
  ]);
  const values = samples(merged);
  assert.equal(values.get(`${METRIC_PREFIX}requests_total{api="rest",operation="get",status="200"}`), 2);
  assert.equal(values.get(`${METRIC_PREFIX}requests_total{api="rest",operation="get",status="404"}`), 1);
  const bucket = (le: string) =>
    values.get(`${METRIC_PREFIX}request_duration_seconds_bucket{api="rest",operation="get",le="${le}"}`);
  assert.deepEqual([bucket("0.0025"), bucket("0.25"), bucket("+Inf")], [2, 3, 3]);
  assert.equal(values.get(`${METRIC_PREFIX}watchers`), 4);
});

Deno.test("serving: the text at /metrics, nothing elsewhere, and a clean stop", async () => {
  const registry = new Registry();
  makeInstruments(registry, FRONT_FAMILIES, []);
  const log = recordingLogger();
  const server = serveMetrics({ host: "127.0.0.1", port: 0 }, () => registry.metrics(), log);
  const base = `http://127.0.0.1:${server.address.port}`;
  try {
    const answer = await fetch(`${base}/metrics`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    assert.match(await answer.text(), /^# HELP deltadatabase_requests_total /m);
    const expected: [string, string, number][] = [
      ["GET", "/", 404],
      ["GET", "/metrics/", 404],
      ["POST", "/metrics", 405],
      ["HEAD", "/metrics", 200],
      ["GET", "/metrics?x=1", 200],
    ];
    for (const [method, path, status] of expected) {
      const other = await fetch(base + path, { method });
      assert.equal(other.status, status, `${method} ${path}`);
      await other.body?.cancel();
    }
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.address.port });
    await connection.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: [none\r\n\r\n"));
    const status = new Uint8Array(12);
    await connection.read(status);
    assert.equal(new TextDecoder().decode(status), "HTTP/1.1 404");
    connection.close();
    assert.equal(log.of("metrics_failed").length, 0);
    assert.equal(log.of("metrics_listening")[0]?.fields.address, `127.0.0.1:${server.address.port}`);
  } finally {
    await server.shutdown();
  }
  await assert.rejects(fetch(`${base}/metrics`));
});

Deno.test("serving: figures that cannot be collected are a 500 and a line in the log", async () => {
  const log = recordingLogger();
  const server = serveMetrics({ host: "127.0.0.1", port: 0 }, () => Promise.reject(new Error("broken")), log);
  const answer = await fetch(`http://127.0.0.1:${server.address.port}/metrics`);
  assert.equal(answer.status, 500);
  assert.ok(!(await answer.text()).includes("broken"));
  assert.equal(log.of("metrics_failed").length, 1);
  await server.shutdown();
});

Deno.test("serving: a port that is taken is an AddrInUse", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assert.throws(
    () => serveMetrics({ host: "127.0.0.1", port: listener.addr.port }, () => Promise.resolve(""), silentLogger),
    Deno.errors.AddrInUse,
  );
  listener.close();
  await Promise.resolve();
});
