/** The two programs, as processes, on a bucket at a real Ceph Object Gateway: what they promise on a directory, and what only a bucket can do to them. */
import assert from "assert";
import { backupOf, contentOf, restoreInto, storeDocument } from "../contract/backup.ts";
import { type Acknowledged, assertHolds } from "../contract/load.ts";
import { rotateUnderLoad } from "../contract/rotation.ts";
import { Cluster, type ClusterOptions, Program } from "../system/cluster.ts";
import { killAllUnderWriters, killWorkerAfterWrites, searchPlainText } from "../system/durability.ts";
import { bearSilent } from "../system/neighbours.ts";
import { tryRestContract } from "../system/rest.ts";
import { fails, main, worker } from "../system/starts.ts";
import { BucketUnderTest } from "./bucket_under_test.ts";
import { bearIncidents } from "./incidents.ts";
import { type Account, missingForRadosgw, Radosgw } from "./radosgw.ts";

const missing = await missingForRadosgw();
let gateway: Radosgw;
let buckets = 0;

/** A bucket of its own. */
function newBucket(account?: Account): BucketUnderTest {
  return new BucketUnderTest(gateway.endpoint, `system-${++buckets}`, account);
}

function onBucket(more: ClusterOptions = {}): ClusterOptions {
  return { ...more, store: newBucket() };
}

async function statusAndCode(response: Response): Promise<[number, string | undefined]> {
  const text = await response.text();
  return [response.status, response.ok ? undefined : JSON.parse(text).code];
}

/** Writes until a write is acknowledged; before that, only what an unavailable storage may answer. */
async function untilWritten(cluster: Cluster, key: string): Promise<void> {
  for (;;) {
    const [status] = await statusAndCode(await cluster.fetch(`/entity/s?key=${key}`, { method: "PUT", body: "3" }));
    if (status === 200) return;
    assert.ok(status === 503 || status === 504, `status ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

if (missing !== undefined) {
  console.log(`tests/s3: the programs on a bucket are left out: ${missing}`);
} else {
  Deno.test.beforeAll(async () => {
    gateway = await Radosgw.start();
  });
  Deno.test.afterAll(() => gateway.stop());

  Deno.test("bucket: documents, schemas, conditions and errors", (t) => tryRestContract(t, onBucket()));

  Deno.test("bucket: incidents under load: nothing acknowledged is lost, nothing stale is read", () =>
    bearIncidents(newBucket()));

  Deno.test("bucket: kill -9 of the worker right after an acknowledged write", () =>
    killWorkerAfterWrites(5, onBucket()));

  Deno.test("bucket: kill -9 of everything under load: every acknowledged write is there, byte for byte", () =>
    killAllUnderWriters({ rounds: 1, writers: 16 }, onBucket()));

  Deno.test("bucket: no plain text in the bucket or in the logs", () => searchPlainText(onBucket()));

  Deno.test("bucket: a worker that does not answer", () => bearSilent(onBucket()));

  Deno.test("bucket: a key is rotated under load, while programs end: nothing is unreadable, and the old key can go", () =>
    rotateUnderLoad({ cluster: onBucket(), entities: 300, mainEndsBy: "SIGTERM" }));

  Deno.test("bucket: a backup of one bucket is restored into another one, byte for byte", async () => {
    const masterKey = "5a".repeat(32);
    const stored = new Map<string, Acknowledged>();
    let backup: Uint8Array;
    {
      await using cluster = await Cluster.start({ ...onBucket(), masterKey });
      for (let n = 0; n < 100; n++) {
        stored.set(`k${n}`, await storeDocument(cluster, "s", `k${n}`, `{"n":${n},"d":1.10}`));
      }
      stored.set("k7", await storeDocument(cluster, "s", "k7", '{"second":true}'));
      stored.set("large", await storeDocument(cluster, "s", "large", `"${"x".repeat(1_000_000)}"`));
      backup = await backupOf(cluster);
    }
    await using cluster = await Cluster.start({ ...onBucket(), masterKey });
    await cluster.put("s", "k1", '"already here"');
    const skipped = (await restoreInto(cluster, backup)).at(-1)!;
    assert.deepEqual([skipped.status, skipped.entities_skipped], ["done", 1], JSON.stringify(skipped));
    assert.equal(await cluster.get("s", "k1"), '"already here"');
    const done = (await restoreInto(cluster, backup, "?existing=overwrite")).at(-1)!;
    assert.equal(done.status, "done", JSON.stringify(done));
    await assertHolds(cluster, "s", stored);
    assert.deepEqual(contentOf(await backupOf(cluster)), contentOf(backup));
  });

  Deno.test("bucket: what was tampered with is refused, never another document; what was rolled back is an older version", async () => {
    const store = newBucket();
    const [mainFlags, workerFlags] = [["-cache-bytes=0"], ["-cache-size=0"]];
    await using cluster = await Cluster.start({ store, mainFlags, workerFlags });
    const nameOf = (key: string) => `files/t_${key}.json.enc`;
    const versionOf = async (key: string) =>
      (await cluster.fetch(`/entity/t?key=${key}`)).headers.get("x-entity-version");
    await cluster.put("t", "a", '"a, first"');
    const first = await store.read(nameOf("a"));
    await cluster.put("t", "a", '"a, second"');
    const second = await store.read(nameOf("a"));
    await cluster.put("t", "b", '"b"');
    const tampered: readonly [string, Uint8Array][] = [
      ["a", new TextEncoder().encode('{"written":"by hand"}')],
      ["a", second.subarray(0, -1)],
      ["a", second.subarray(0, 20)],
      ["a", new Uint8Array()],
      ["b", second],
    ];
    for (const [key, bytes] of tampered) {
      await store.write(nameOf(key), bytes);
      for (
        const init of [{}, { method: "PUT", body: "1" }, {
          method: "PATCH",
          body: "{}",
          headers: { "content-type": "application/merge-patch+json" },
        }] as RequestInit[]
      ) {
        const answer = await statusAndCode(await cluster.fetch(`/entity/t?key=${key}`, init));
        // A header that is whole is enough for an overwriting, and its document is not looked at.
        if (init.method === "PUT" && key === "a" && bytes.length > 20 && bytes[0] !== 0x7b) {
          assert.deepEqual(answer, [200, undefined]);
          await store.write(nameOf(key), bytes);
        } else assert.deepEqual(answer, [500, "tampered"], `${init.method} ${key} ${bytes.length}`);
      }
    }
    assert.match(cluster.output, /"event":"tamper_detected"/);
    await store.write(nameOf("a"), first);
    assert.equal(await cluster.get("t", "a"), '"a, first"');
    assert.equal(await versionOf("a"), "1");
    await cluster.put("t", "a", '"a, second again"');
    assert.equal(await versionOf("a"), "2");
  });

  Deno.test("bucket: an object that was rolled back under its owner's cache: the next write finds it", async () => {
    const store = newBucket();
    await using cluster = await Cluster.start({ store });
    await cluster.put("t", "a", '{"n":1}');
    const first = await store.read("files/t_a.json.enc");
    await cluster.put("t", "a", '{"n":2}');
    await cluster.put("t", "a", '{"n":3}');
    await store.write("files/t_a.json.enc", first);
    // Its owner is the only one who writes it, so what it has cached is what it says.
    assert.equal(await cluster.get("t", "a"), '{"n":3}');
    const patched = await cluster.fetch("/entity/t?key=a", {
      method: "PATCH",
      headers: { "content-type": "application/merge-patch+json" },
      body: '{"m":1}',
    });
    assert.deepEqual([patched.status, (await patched.json()).version], [200, 2]);
    assert.equal(await cluster.get("t", "a"), '{"n":1,"m":1}');
  });

  Deno.test("bucket: each wrong setting is one clear line, without a secret, and exit status 1", async () => {
    const account = { accessKey: "stranger", secretKey: "strangersecret" };
    await gateway.addAccount("stranger", account);
    const mine = newBucket();
    await (await Cluster.start({ store: mine }))[Symbol.asyncDispose]();
    const flags = (
      settings: Record<string, string>,
    ) => [...mine.flags, ...Object.entries(settings).map(([k, v]) => `-s3-${k}=${v}`)];
    const wrong: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{ "secret-key": "wrong-secret" }, /refuses the signature: check -s3-secret-key$/],
      [{ "access-key": "nobody" }, /does not know the access key: check -s3-access-key$/],
      [
        { "access-key": account.accessKey, "secret-key": account.secretKey },
        /denies access to bucket .*: check the rights of the access key and -s3-bucket$/,
      ],
      [{ bucket: "new-one", region: "eu-central-7" }, /region eu-central-7: check -s3-region$/],
      [{ "use-ssl": "true" }, /does not answer with TLS: set -s3-use-ssl=false$/],
      [{ endpoint: "127.0.0.1:1" }, /cannot be reached/],
      [{ endpoint: "no.such.host.invalid:9000" }, /has a host name that is not known/],
    ];
    const secrets = /minioadmin|wrong-secret|strangersecret/;
    for (const [settings, line] of wrong) {
      // A worker makes no bucket: whatever its region, it finds none there.
      const programs = settings.region === undefined ? [main(flags(settings)), worker(flags(settings))] : [
        main(flags(settings)),
      ];
      for (const program of programs) {
        await fails(program, 1, line);
        assert.doesNotMatch(program.output, secrets);
      }
    }
    // A bucket that is not there yet may be made by the main worker any moment.
    const waiting = worker(flags({ bucket: "not-there" }));
    try {
      const { reason } = await waiting.event("waiting_for_store");
      assert.match(String(reason), /has no bucket not-there: check -s3-bucket$/);
      assert.doesNotMatch(waiting.output, secrets);
    } finally {
      await waiting.kill();
    }
  });

  Deno.test("bucket: while the service is away clients are told so, and it goes on without a restart", async () => {
    await using cluster = await Cluster.start(onBucket());
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
    await untilWritten(cluster, "after");
    assert.equal(await cluster.get("s", "before"), "1");
    assert.doesNotMatch(cluster.output, /minioadmin/);
  });

  Deno.test("bucket: while the service refuses the keys clients are told so, and it goes on when it takes them again", async () => {
    const account = { accessKey: "suspended", secretKey: "suspendedsecret" };
    await gateway.addAccount("suspended", account);
    await using cluster = await Cluster.start({ store: newBucket(account) });
    await cluster.put("s", "before", "1");
    await gateway.suspend("suspended", true);
    const write = await cluster.fetch("/entity/s?key=during", { method: "PUT", body: "2" });
    assert.deepEqual(await statusAndCode(write), [503, "storage_unavailable"]);
    const read = await cluster.fetch("/entity/s?key=never-seen");
    assert.deepEqual(await statusAndCode(read), [503, "storage_unavailable"]);
    await gateway.suspend("suspended", false);
    await untilWritten(cluster, "after");
    assert.equal(await cluster.get("s", "before"), "1");
    assert.match(cluster.output, /"event":"storage_failed"/);
    assert.doesNotMatch(cluster.output, /suspendedsecret/);
  });

  Deno.test("bucket: a second main worker is refused, and a paused one finds itself replaced", async () => {
    await using cluster = await Cluster.start(onBucket());
    await cluster.put("s", "k", "1");
    const startSecond = () =>
      new Program("second main worker", "main_worker/main.ts", [
        "-rest-addr=127.0.0.1:0",
        "-grpc-addr=127.0.0.1:0",
        ...cluster.store.flags,
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
