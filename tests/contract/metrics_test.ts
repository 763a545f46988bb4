/** What both programs tell Prometheus: as its own checker sees it, and that nothing that is declared stands still. */
import assert from "assert";
import { type Families, MAIN_FAMILIES, WORKER_FAMILIES } from "../../shared/metrics/families.ts";
import { S3Emulator } from "../s3/emulator.ts";
import { ADMIN_KEY, Cluster, type ClusterOptions, evenlySharing } from "../system/cluster.ts";
import { freePort } from "../tools/free_port.ts";
import { findProgram, testWith } from "../tools/needs.ts";

/** A free port, as far as one can tell. */
async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await response.text();
  assert.equal(response.status, 200);
  return text;
}

testWith(["promtool"], "promtool accepts the metrics of both programs", async () => {
  const [main, worker] = [freePort(), freePort()];
  await using cluster = await Cluster.start({
    mainFlags: [`-metrics-addr=127.0.0.1:${main}`],
    workerFlags: [`-metrics-addr=127.0.0.1:${worker}`],
  });
  await cluster.put("m", "k", "1");
  await cluster.get("m", "k");
  for (const path of ["/entity/m?key=none", "/entities/m", "/admin/stats", "/api/schemas?counts=true", "/nowhere"]) {
    await (await cluster.fetch(path)).body?.cancel();
  }
  for (const port of [main, worker]) {
    const text = await scrape(port);
    const promtool = new Deno.Command(findProgram("promtool")!, {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = promtool.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    const { code, stderr, stdout } = await promtool.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.deepEqual([code, said], [0, ""]);
    assert.match(text, /^deltadatabase_build_info\{/m);
  }
  const stats = await (await cluster.fetch("/admin/stats")).json();
  const syncs: Record<string, unknown> = stats.sync;
  assert(Object.hasOwn(syncs, "mean_ms"));
});

Deno.test("with front threads, what they count and cache is added up", async () => {
  const port = freePort();
  const mainFlags = ["-rest-threads=3", "-cache-bytes=4MiB", `-metrics-addr=127.0.0.1:${port}`];
  await using cluster = await Cluster.start({ mainFlags });
  await cluster.put("m", "k", "1");
  const READS = 60;
  for (let i = 0; i < READS; i++) {
    // A connection of its own each time, so that every thread gets some.
    const response = await cluster.fetch("/entity/m?key=k", { headers: { connection: "close" } });
    assert.equal(await response.text(), "1");
  }
  const text = await scrape(port);
  const figure = (name: string) => Number(new RegExp(`^deltadatabase_${name} (\\d+)$`, "m").exec(text)?.[1]);
  assert.equal(figure('requests_total\\{api="rest",operation="get",status="200"\\}'), READS);
  const [hits, misses] = [figure("cache_hits_total"), figure("cache_misses_total")];
  assert.equal(hits + misses, READS);
  assert(misses >= 1 && misses <= 3, `${misses} misses`);
  assert.equal(figure("cache_capacity_bytes"), 4 * 1024 * 1024);
  for (let tries = 0;; tries++) {
    const { cache } = await (await cluster.fetch("/admin/stats")).json();
    if (cache.hits === hits && cache.misses === misses) break;
    assert(tries < 100, JSON.stringify(cache));
    await pause();
  }
});

/** Which families have moved: a counter or a histogram that counted something, a gauge that has a value. */
class Moved {
  readonly #families: Families;
  readonly #seen = new Set<string>();

  constructor(families: Families) {
    this.#families = families;
  }

  read(text: string): void {
    const sums = new Map<string, number>();
    for (const [, series, value] of text.matchAll(/^deltadatabase_(\w+)(?:\{.*\})? (\S+)$/gm)) {
      sums.set(series!, (sums.get(series!) ?? 0) + Number(value));
    }
    for (const [name, { type }] of Object.entries(this.#families)) {
      const sum = sums.get(type === "histogram" ? `${name}_count` : name);
      if (sum !== undefined && (type === "gauge" || sum > 0)) this.#seen.add(name);
    }
  }

  get still(): string[] {
    return Object.keys(this.#families).filter((name) => !this.#seen.has(name));
  }
}

const MAIN_PORT = freePort();
const WORKER_PORT = freePort();

/** A cluster whose main worker and first worker can be asked for their metrics; caches hold next to nothing. */
function measured(flags: readonly string[] = []): ClusterOptions {
  const both = [...flags, "-grpc-max-recv-msg-size=32MiB"];
  return {
    mainFlags: [...both, `-metrics-addr=127.0.0.1:${MAIN_PORT}`, "-cache-bytes=4KiB", "-rest-max-body-size=15MiB"],
    workerFlags: [...both, `-metrics-addr=127.0.0.1:${WORKER_PORT}`, "-cache-size=2"],
  };
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

/** Asks again until the families have moved. */
async function untilMoved(port: number, names: readonly string[], what: Moved): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    what.read(await scrape(port));
    if (!names.some((name) => what.still.includes(name))) return;
    await pause();
  }
  throw new Error(`these stood still: ${what.still.filter((name) => names.includes(name))}`);
}

Deno.test("every declared family moves when the thing that it counts happens", async () => {
  const main = new Moved(MAIN_FAMILIES);
  const worker = new Moved(WORKER_FAMILIES);
  const readBoth = async () => {
    main.read(await scrape(MAIN_PORT));
    worker.read(await scrape(WORKER_PORT));
  };
  await inDirectory(main, worker, readBoth);
  await inBucket(readBoth);
  assert.deepEqual({ main: main.still, worker: worker.still }, { main: [], worker: [] });
});

async function inDirectory(main: Moved, worker: Moved, readBoth: () => Promise<void>): Promise<void> {
  await using cluster = await Cluster.start(measured());
  assert.equal((await cluster.fetch("/schema/m", { method: "PUT", body: '{"type":"string"}' })).status, 201);
  for (let i = 0; i < 10; i++) await cluster.put("m", `k${i}`, JSON.stringify("x".repeat(1_000)));
  for (let i = 0; i < 10; i++) await cluster.get("m", `k${i}`);
  for (let i = 0; i < 2; i++) await cluster.get("m", "k9");
  // The main worker's cache has no room for this one: the owner's answers.
  await cluster.put("m", "wide", JSON.stringify("x".repeat(8_000)));
  await cluster.get("m", "wide");
  await (await cluster.fetch("/api/me", { headers: { authorization: "Bearer wrong" } })).body!.cancel();
  const login = await cluster.fetch("/api/login", { method: "POST", body: JSON.stringify({ key: ADMIN_KEY }) });
  assert.equal(login.status, 200);
  await login.body!.cancel();
  assert.equal((await cluster.fetch("/admin/rewrap", { method: "POST" })).status, 202);
  // A log of this size is checkpointed.
  const large = JSON.stringify("x".repeat(14 * 1024 * 1024));
  for (let i = 0; i < 5; i++) await cluster.put("large", `k${i}`, large);
  await untilMoved(WORKER_PORT, ["checkpoints_total"], worker);

  cluster.startWorker("worker-2", [`-metrics-addr=127.0.0.1:${freePort()}`]);
  // While partitions are on their way to it, every client may wait for one of them, and no batch goes to it at all.
  await cluster.until("the second worker has its share", (members) => evenlySharing(members)?.length === 2);
  // Batches that it holds when it dies are sent again.
  cluster.workers.get("worker-2")!.signal("SIGSTOP");
  let over = false;
  const load = Array.from({ length: 8 }, async (_, client) => {
    for (let i = 0; !over; i++) await cluster.put("load", `${client}-${i % 50}`, String(i));
  });
  try {
    while (!/batches_in_flight\{worker="worker-2"\} [1-9]/.test(await scrape(MAIN_PORT))) await pause();
    await cluster.workers.get("worker-2")!.kill();
    cluster.workers.delete("worker-2");
    await untilMoved(MAIN_PORT, ["worker_departures_total", "partition_moves_total", "batch_retries_total"], main);
  } finally {
    over = true;
    await Promise.all(load);
  }
  await readBoth();

  await cluster.main.kill();
  await untilMoved(WORKER_PORT, ["heartbeat_failures_total"], worker);
}

async function inBucket(readBoth: () => Promise<void>): Promise<void> {
  await using emulator = await S3Emulator.start();
  const flags = [`-s3-endpoint=${emulator.endpoint}`, "-s3-access-key=a-key", "-s3-secret-key=a-secret"];
  await using cluster = await Cluster.start(measured(flags));
  emulator.fault({ method: "PUT", key: "victim", effect: { kind: "status", status: 503, code: "SlowDown" } });
  await cluster.put("m", "victim", '"a document"');
  // Small enough for the main worker's cache, where they take the place of the one before.
  for (let i = 0; i < 10; i++) await cluster.put("m", `k${i}`, JSON.stringify("x".repeat(300)));
  emulator.fault({ method: "LIST", effect: { kind: "status", status: 503, code: "SlowDown" } });
  await (await cluster.fetch("/entities/m")).body!.cancel();
  const [name] = [...emulator.objects().keys()].filter((key) => key.includes("victim") && !key.includes("meta"));
  const envelope = emulator.bytes(name!)!;
  emulator.set(name!, envelope.with(envelope.length - 1, envelope.at(-1)! ^ 1));
  const response = await cluster.fetch("/entity/m?key=victim");
  assert.deepEqual([response.status, (await response.json()).code], [500, "tampered"]);
  await readBoth();
}
