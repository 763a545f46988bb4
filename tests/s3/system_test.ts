/** The two programs, as processes, on a bucket at a real Ceph Object Gateway: incidents under load, outages, a paused main worker. */
import assert from "assert";
import { Cluster, type ClusterOptions, Program } from "../system/cluster.ts";
import { seeded } from "../system/failover.ts";
import { Load } from "../system/load.ts";
import { type Incident, Nemesis } from "../system/nemesis.ts";
import { missingForRadosgw, Radosgw } from "./radosgw.ts";

const missing = await missingForRadosgw();
let gateway: Radosgw;
let buckets = 0;

/** Flags for a bucket of its own. */
function bucketOptions(more: ClusterOptions = {}): ClusterOptions {
  const flags = [
    `-s3-endpoint=${gateway.endpoint}`,
    `-s3-bucket=system-${++buckets}`,
    `-s3-access-key=${gateway.account.accessKey}`,
    `-s3-secret-key=${gateway.account.secretKey}`,
  ];
  return { ...more, mainFlags: flags, workerFlags: flags };
}

async function statusAndCode(response: Response): Promise<[number, string | undefined]> {
  const text = await response.text();
  return [response.status, response.ok ? undefined : JSON.parse(text).code];
}

if (missing !== undefined) {
  console.log(`tests/s3: the programs on a bucket are left out: ${missing}`);
} else {
  Deno.test.beforeAll(async () => {
    gateway = await Radosgw.start();
  });
  Deno.test.afterAll(() => gateway.stop());

  Deno.test("bucket: incidents under load: nothing acknowledged is lost, nothing stale is read", async () => {
    const random = seeded(7);
    await using cluster = await Cluster.start(bucketOptions({ workers: 2 }));
    const load = new Load(() => ({ url: cluster.url }), {
      clients: 4,
      keys: 100,
      random,
      pauseMs: 20,
      operationsPerKey: 80,
    });
    const nemesis = new Nemesis(cluster, random, 3);
    const incidents: readonly Incident[] = ["kill -9 worker", "SIGSTOP worker", "SIGTERM worker", "add worker"];
    for (const incident of incidents) await nemesis.strike(incident);
    const summary = await load.stop();
    const violations = [...nemesis.violations, ...summary.violations];
    assert.deepEqual(violations, [], violations.length > 0 ? cluster.output : "");
    assert.equal(summary.undecided, 0);
    assert.ok(summary.acknowledged > 100, `${summary.acknowledged} writes were acknowledged`);
    assert.doesNotMatch(cluster.output, /tamper_detected|minioadmin/);
  });

  Deno.test("bucket: kill -9 of everything under load: every acknowledged write is there, byte for byte", async () => {
    await using cluster = await Cluster.start(bucketOptions());
    for (let round = 1; round <= 2; round++) {
      const acknowledged = new Map<string, string>();
      let stop = false;
      const writers = Array.from({ length: 16 }, async (_, writer) => {
        for (let n = 0; !stop; n++) {
          const key = `w${writer}-${n % 10}`;
          const document = `{"round":${round},"n":${n},"d":1.10}`;
          // A later write of the key without an answer may or may not have taken effect: only the last one counts.
          acknowledged.delete(key);
          try {
            const response = await cluster.fetch(`/entity/load?key=${key}`, { method: "PUT", body: document });
            await response.body?.cancel();
            if (response.status === 200) acknowledged.set(key, document);
          } catch {
            return;
          }
        }
      });
      while (acknowledged.size < 100) await new Promise((resolve) => setTimeout(resolve, 20));
      await cluster.killAll();
      stop = true;
      await Promise.all(writers);
      assert.ok(acknowledged.size > 50, `${acknowledged.size} keys were acknowledged`);
      await cluster.restart();
      for (const [key, document] of acknowledged) assert.equal(await cluster.get("load", key), document, key);
    }
  });

  Deno.test("bucket: while the service is away clients are told so, and it goes on without a restart", async () => {
    await using cluster = await Cluster.start(bucketOptions());
    await cluster.put("s", "before", "1");
    await gateway.stopGateway();
    try {
      const write = await cluster.fetch("/entity/s?key=during", { method: "PUT", body: "2" });
      const retryAfter = write.headers.get("retry-after");
      const [status, code] = await statusAndCode(write);
      // Not carried out, or of unknown outcome: a connection that broke cannot tell.
      assert.match(`${status} ${code}`, /^(503 storage_unavailable|504 deadline)$/);
      if (status === 503) assert.notEqual(retryAfter, null);
      const read = await cluster.fetch("/entity/s?key=never-seen");
      assert.deepEqual(await statusAndCode(read), [503, "storage_unavailable"]);
    } finally {
      await gateway.startGateway();
    }
    await cluster.ready();
    for (;;) {
      const [status] = await statusAndCode(await cluster.fetch("/entity/s?key=after", { method: "PUT", body: "3" }));
      if (status === 200) break;
      assert.ok(status === 503 || status === 504, `status ${status}`);
    }
    assert.equal(await cluster.get("s", "before"), "1");
    assert.doesNotMatch(cluster.output, /minioadmin/);
  });

  Deno.test("bucket: a second main worker is refused, and a paused one finds itself replaced", async () => {
    await using cluster = await Cluster.start(bucketOptions());
    await cluster.put("s", "k", "1");
    const { mainFlags = [] } = cluster.options;
    const startSecond = () =>
      new Program("second main worker", "main_worker/main.ts", [
        "-rest-addr=127.0.0.1:0",
        "-grpc-addr=127.0.0.1:0",
        ...mainFlags,
      ], { MASTER_KEY: cluster.masterKey, ADMIN_KEY: "another-admin-key-0123456789" });
    const refused = startSecond();
    assert.equal((await refused.ended()).code, 1);
    assert.match(refused.output, /another main worker has this store: process \d+/);
    cluster.main.signal("SIGSTOP");
    const successor = startSecond();
    try {
      await successor.event("started");
      cluster.main.signal("SIGCONT");
      const { code } = await cluster.main.ended();
      assert.notEqual(code, 0);
      assert.match(cluster.main.output, /lease/);
    } finally {
      await successor.kill();
    }
  });
}
