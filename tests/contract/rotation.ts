/** A master key is replaced while clients work and programs are killed: nothing becomes unreadable, and the old key can go. */
import assert from "assert";
import { Cluster, type ClusterOptions } from "../system/cluster.ts";
import { type Acknowledged, assertHolds, Load, quantile } from "./load.ts";

const OLD = "01".repeat(32);
const NEW = "02".repeat(32);
const PAGE = 1_000;

/** How a rotation is tried. */
export interface RotationOptions {
  /** How the cluster is started. Default: on a directory. */
  readonly cluster?: ClusterOptions;
  /** So many that the main worker can be ended while they are being re-encrypted. */
  readonly entities: number;
  /** How the main worker ends; a bucket's lease outlasts one that was killed. */
  readonly mainEndsBy: "SIGKILL" | "SIGTERM";
}

interface Progress {
  readonly status: string;
  readonly key_id: string;
  readonly scanned: number;
  readonly rewrapped: number;
  readonly failed: number;
  readonly total: number | null;
}

async function progressOf(cluster: Cluster): Promise<Progress> {
  return await (await cluster.fetch("/admin/rewrap")).json();
}

async function until(cluster: Cluster, reached: (progress: Progress) => boolean): Promise<Progress> {
  for (;;) {
    const progress = await progressOf(cluster);
    assert(progress.status !== "failed", JSON.stringify(progress));
    if (reached(progress)) return progress;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** How many entities a backup holds under each key. */
async function keysInUse(cluster: Cluster): Promise<Record<string, number>> {
  const text = await (await cluster.fetch("/admin/backup")).text();
  const counts: Record<string, number> = {};
  for (const line of text.trimEnd().split("\n")) {
    const { kind, envelope } = JSON.parse(line);
    if (kind !== "entity") continue;
    const id = /"key_id":"([^"]+)"/.exec(atob(envelope.slice(0, 400)))![1]!;
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

async function endMain(cluster: Cluster, signal: Deno.Signal): Promise<void> {
  cluster.main.signal(signal);
  await cluster.main.ended();
}

/** A key is rotated under load while programs end in the middle: nothing is unreadable, and the old key can go. */
export async function rotateUnderLoad(options: RotationOptions): Promise<void> {
  const { entities } = options;
  const mainFlags: string[] = [];
  await using cluster = await Cluster.start({ ...options.cluster, workers: 2, masterKey: OLD, mainFlags });
  const kept = new Map<string, Acknowledged>();
  for (let from = 0; from < entities; from += PAGE) {
    const documents = Object.fromEntries(
      Array.from({ length: Math.min(PAGE, entities - from) }, (_, i) => [`k${from + i}`, { n: from + i }]),
    );
    const response = await cluster.fetch("/entity/kept", { method: "PUT", body: JSON.stringify(documents) });
    assert.equal(response.status, 200, await response.text());
  }
  for (const n of [0, entities >> 2, entities - 1]) {
    const response = await cluster.fetch(`/entity/kept?key=k${n}`);
    const document = await response.text();
    kept.set(`k${n}`, { document, etag: response.headers.get("etag")!, version: 1 });
  }
  const session = await (await cluster.fetch("/api/login", {
    method: "POST",
    body: JSON.stringify({ key: "test-admin-key-0123456789abcdef" }),
  })).json();

  const load = new Load(() => cluster, { writers: 8, keysPerWriter: 25 });
  await load.progress(200);
  load.latencies = [];
  await load.progress(400);
  const baseline = quantile(load.latencies, 0.5);

  // The new key, the old one beside it; the processing workers go on running and are given both.
  await endMain(cluster, options.mainEndsBy);
  mainFlags.push(`-master-key=${NEW}`, "-key-id=key-2", `-old-master-keys=main-key-v1:${OLD}`);
  await cluster.startMain();
  await cluster.ready();
  const me = await cluster.fetch("/api/me", { headers: { authorization: `Bearer ${session.token}` } });
  assert.equal(me.status, 200, "a session outlives the rotation");
  await me.body?.cancel();
  await load.progress(100);
  assert((await keysInUse(cluster))["main-key-v1"]! >= entities);

  const started = await cluster.fetch("/admin/rewrap", { method: "POST" });
  assert.equal(started.status, 202);
  assert.equal((await started.json()).status, "running");
  await until(cluster, ({ rewrapped }) => rewrapped > entities / 20);
  await endMain(cluster, options.mainEndsBy);
  const unfinished = cluster.main.output;
  assert(!unfinished.includes("rewrap_finished"), "it was over before it could be killed: store more entities");

  // It goes on by itself; then a processing worker dies as well.
  await cluster.startMain();
  await cluster.ready();
  assert.equal((await progressOf(cluster)).status === "idle", false, "it did not go on by itself");
  load.latencies = [];
  await until(cluster, ({ scanned }) => scanned > entities / 12);
  await cluster.workers.get("worker-1")!.kill();
  cluster.startWorker("worker-1");
  const done = await until(cluster, ({ status }) => status === "done");
  const during = quantile(load.latencies, 0.5);
  await load.stop();
  assert.deepEqual(load.wrong, []);
  assert.equal(done.key_id, "key-2");
  assert.equal(done.failed, 0);
  assert.equal(done.total, done.scanned);
  assert(done.scanned >= entities, JSON.stringify(done));
  assert.deepEqual(Object.keys(await keysInUse(cluster)), ["key-2"]);
  console.error(
    `median latency of clients: ${baseline.toFixed(1)} ms before, ${during.toFixed(1)} ms while re-encrypting`,
  );

  // Without the old key, after a crash of everything.
  await cluster.killAll();
  mainFlags.splice(mainFlags.findIndex((flag) => flag.startsWith("-old-master-keys")), 1);
  await cluster.restart();
  await assertHolds(cluster, "load", load.acknowledged);
  await assertHolds(cluster, "kept", kept);
  let read = 0;
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { keys: { key: string; value: { n: number } }[]; next_cursor: string | null } =
      await (await cluster.fetch(`/entities/kept?values=true&limit=1000&cursor=${cursor}`)).json();
    for (const { key, value } of page.keys) {
      assert.equal(`k${value.n}`, key);
      read += 1;
    }
    cursor = page.next_cursor;
  }
  assert.equal(read, entities);
  assert(!cluster.output.includes(NEW) && !cluster.output.includes(OLD), "a key is in a log");
}
