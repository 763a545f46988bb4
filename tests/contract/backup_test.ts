/** Backups of real programs: taken under load and while a worker dies, into a bucket and back into a directory. */
import assert from "assert";
import { BucketUnderTest } from "../s3/bucket_under_test.ts";
import { S3Emulator } from "../s3/emulator.ts";
import { Cluster } from "../system/cluster.ts";
import { backupOf, contentOf, refusalOf, restoreInto, storeDocument } from "./backup.ts";
import { type Acknowledged, assertHolds, Load } from "./load.ts";

const LARGE = 12;
const SMALL = 300;

Deno.test("a backup under load moves a directory to a bucket and back, byte for byte", async (t) => {
  const temporary = await Deno.makeTempDir({ prefix: "deltadb-backup-" });
  const stable = new Map<string, Acknowledged>();
  const masterKey = "5a".repeat(32);
  let underLoad = new Uint8Array();
  let quiet = new Uint8Array();
  let acknowledged: ReadonlyMap<string, Acknowledged> = new Map();
  let sent: ReadonlyMap<string, ReadonlySet<string>> = new Map();
  let before: ReadonlyMap<string, Acknowledged> = new Map();
  let secret = "";

  try {
    await t.step("from a directory whose clients write, and one of whose workers dies meanwhile", async () => {
      await using cluster = await Cluster.start({ workers: 2, root: `${temporary}/one`, masterKey });
      const schema = await cluster.fetch("/schema/stable", { method: "PUT", body: '{"type":["object","string"]}' });
      assert.equal(schema.status, 201);
      await schema.body?.cancel();
      const created = await cluster.fetch("/api/keys", {
        method: "POST",
        body: JSON.stringify({ name: "reader", permissions: ["read"] }),
      });
      secret = (await created.json()).secret;
      for (let i = 0; i < LARGE; i++) {
        stable.set(
          `large-${i}`,
          await storeDocument(cluster, "stable", `large-${i}`, `"${String(i % 10).repeat(1_000_000)}"`),
        );
      }
      await Promise.all(Array.from({ length: SMALL }, async (_, i) => {
        stable.set(
          `k${i}`,
          await storeDocument(cluster, "stable", `k${i}`, `{"n":12345678901234567890,"i":${i},"d":1.10}`),
        );
      }));
      // A second version, so that versions and ETags are not those of a first write.
      stable.set("k7", await storeDocument(cluster, "stable", "k7", '{"second":true}'));

      const load = new Load(() => cluster, { writers: 6, keysPerWriter: 20 });
      await load.progress(150);
      before = new Map(load.acknowledged);
      underLoad = await backupOf(cluster, async () => {
        await cluster.workers.get("worker-2")!.kill();
        cluster.startWorker("worker-2");
        await load.progress(50);
      }) as typeof underLoad;
      await load.progress(50);
      await load.stop();
      assert.deepEqual(load.wrong, []);
      acknowledged = new Map(load.acknowledged);
      sent = load.sent;
      quiet = await backupOf(cluster) as typeof quiet;
    });

    await t.step("into a bucket, and from the bucket", async () => {
      await using emulator = await S3Emulator.start();
      const store = new BucketUnderTest(emulator.endpoint);
      await using cluster = await Cluster.start({ root: `${temporary}/bucket`, masterKey, store });
      const last = (await restoreInto(cluster, quiet)).at(-1)!;
      assert.equal(last.status, "done", JSON.stringify(last));
      assert.deepEqual([last.templates, last.api_keys], [1, 1]);
      await assertHolds(cluster, "stable", stable);
      await assertHolds(cluster, "load", acknowledged);
      const fromBucket = await backupOf(cluster);
      assert.deepEqual(contentOf(fromBucket), contentOf(quiet));
      quiet = fromBucket as typeof quiet;
    });

    await t.step(
      "into another directory, by a server with two front threads: what was taken under load, and then all of it",
      async () => {
        const mainFlags = ["-rest-threads=2"];
        await using cluster = await Cluster.start({ root: `${temporary}/two`, masterKey, mainFlags });
        const first = (await restoreInto(cluster, underLoad)).at(-1)!;
        assert.equal(first.status, "done", JSON.stringify(first));
        await assertHolds(cluster, "stable", stable);
        // Each entity is as it was at some moment of the backup: never older than what was acknowledged before it.
        for (const [key, { version }] of before) {
          const response = await cluster.fetch(`/entity/load?key=${key}`);
          const document = await response.text();
          assert(sent.get(key)!.has(document), key);
          assert(Number(response.headers.get("x-entity-version")) >= version, key);
        }
        const lines = await restoreInto(cluster, quiet, "?existing=overwrite");
        assert.equal(lines.at(-1)!.status, "done", JSON.stringify(lines.at(-1)));
        await assertHolds(cluster, "stable", stable);
        await assertHolds(cluster, "load", acknowledged);
        assert.deepEqual(contentOf(await backupOf(cluster)), contentOf(quiet));
        for (const length of [quiet.length - 1, quiet.length >> 1, 400]) {
          const cut = await refusalOf(cluster, quiet.subarray(0, length));
          assert.deepEqual([cut.status, cut.code], [400, "bad_request"]);
          assert.match(cut.error, /truncated/);
        }
        const asReader = await cluster.fetch("/entity/stable?key=k1", {
          headers: { authorization: `Bearer ${secret}` },
        });
        assert.equal(asReader.status, 200);
        await asReader.body?.cancel();
        const judged = await cluster.fetch("/entity/stable?key=k1", { method: "PUT", body: "7" });
        assert.equal((await judged.json()).code, "schema_violation");
      },
    );

    await t.step("a server with another key takes nothing of it; a confined administrator gets no backup", async () => {
      await using cluster = await Cluster.start({ root: `${temporary}/three`, masterKey: "5b".repeat(32) });
      const other = await refusalOf(cluster, quiet);
      assert.deepEqual([other.status, other.code], [500, "tampered"]);
      assert(!cluster.output.includes("12345678901234567890"));
      assert.deepEqual((await (await cluster.fetch("/entities/stable")).json()).keys, []);

      const created = await cluster.fetch("/api/keys", {
        method: "POST",
        body: JSON.stringify({ name: "confined", permissions: ["admin"], schemas: ["user*"] }),
      });
      const authorization = `Bearer ${(await created.json()).secret}`;
      for (const call of ["GET /admin/backup", "POST /admin/restore", "POST /admin/rewrap", "GET /admin/stats"]) {
        const [method, path] = call.split(" ") as [string, string];
        const response = await cluster.fetch(path, { method, headers: { authorization } });
        assert.equal(response.status, 403, call);
        await response.body?.cancel();
      }
    });
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
});
