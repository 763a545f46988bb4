/** Starts that cannot go well, and stores that somebody has tampered with: one clear line each, and nothing lost. */
import assert from "assert";
import { DatabaseSync } from "node:sqlite";
import { type EntityKey, entityName, partitionOf, type SchemaId } from "../../shared/names.ts";
import { Cluster } from "./cluster.ts";
import { fails, main, worker } from "./starts.ts";

async function temporary(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "deltadb-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Mounts something; `undefined` where this machine doesn't let us. */
async function mounted(path: string, ...args: string[]): Promise<AsyncDisposable | undefined> {
  const run = async (command: string, args: string[]) => {
    try {
      const { success, stderr } = await new Deno.Command(command, { args, stderr: "piped" }).output();
      return success ? "" : new TextDecoder().decode(stderr);
    } catch (error) {
      return String(error);
    }
  };
  const problem = await run("mount", [...args, path]);
  if (problem !== "") {
    console.log(`    left out: mounting is not permitted here: ${problem.trim()}`);
    return undefined;
  }
  return {
    async [Symbol.asyncDispose]() {
      assert.equal(await run("umount", [path]), "");
    },
  };
}

Deno.test("a worker that waits for a store that nobody makes stops when it is told to", async () => {
  await using folder = await temporary();
  const waiting = worker([`-shared-fs=${folder.path}/none`, "-main-addr=127.0.0.1:1"]);
  await waiting.event("waiting_for_store");
  waiting.signal("SIGTERM");
  const { code, signal } = await waiting.ended();
  assert.deepEqual([code, signal], [0, null], waiting.output);
});

Deno.test("flags and directories that are no good: exit 2 or 1, and one line", async (t) => {
  await using folder = await temporary();
  const file = `${folder.path}/a-file`;
  await Deno.writeTextFile(file, "x");
  await Promise.all([
    t.step({
      name: "an unknown flag, a bad value",
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
      fn: async () => {
        await fails(main(["-nope=1"]), 2, /^main-worker: .*-nope/);
        await fails(main(["-partitions=63"]), 2, /^main-worker: -partitions "63"/);
        await fails(worker(["-nope"]), 2, /^proc-worker: .*-nope/);
        await fails(worker(["-cache-ttl=soon"]), 2, /^proc-worker: -cache-ttl "soon"/);
      },
    }),
    t.step({
      name: "a file where the directory should be",
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
      fn: async () => {
        await fails(main([`-shared-fs=${file}`]), 1, /^main-worker: .*a-file/);
        await fails(main([`-shared-fs=${file}/db`]), 1, /^main-worker: .*a-file/);
        assert.equal(await Deno.readTextFile(file), "x");
      },
    }),
  ]);
});

Deno.test("a directory that is read-only: exit 1, and one line", async () => {
  await using folder = await temporary();
  await using bind = await mounted(folder.path, "--bind", "-o", "ro", folder.path);
  if (bind === undefined) return;
  // A bind mount takes `ro` only when it is mounted anew.
  await new Deno.Command("mount", { args: ["-o", "remount,bind,ro", folder.path] }).output();
  await fails(main([`-shared-fs=${folder.path}/db`]), 1, /^main-worker: .*read-only/);
});

Deno.test("what is taken already: the store, the ports", async (t) => {
  await using cluster = await Cluster.start();
  await using folder = await temporary();
  await cluster.put("all", "k", "1");
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${taken.addr.port}`;
  const own = (n: number) => `-shared-fs=${folder.path}/db-${n}`;
  const store = `-shared-fs=${cluster.root}/db`;
  try {
    await t.step("a second main worker on the store", () =>
      fails(
        main([store], { MASTER_KEY: cluster.masterKey }),
        1,
        /^main-worker: another main worker has this store: process \d+ on /,
      ));
    await t.step("the main worker's ports", async () => {
      await fails(
        main([own(1), `-rest-addr=${address}`]),
        1,
        /^main-worker: -rest-addr=127.* cannot be used: .*(taken|in use)/,
      );
      await fails(
        main([own(2), `-grpc-addr=${address}`]),
        1,
        /^main-worker: -grpc-addr=127.* cannot be used: .*(taken|in use)/,
      );
      await fails(
        main([own(3), `-metrics-addr=${address}`]),
        1,
        /^main-worker: -metrics-addr=127.* cannot be used: .*taken/,
      );
    });
    await t.step("a processing worker's ports", async () => {
      const flags = [store, `-main-addr=${cluster.grpc}`, "-worker-id=another"];
      await fails(
        worker([...flags, `-grpc-addr=${address}`]),
        1,
        /^proc-worker: -grpc-addr=127.* cannot be used: .*(taken|in use)/,
      );
      await fails(
        worker([...flags, `-metrics-addr=${address}`]),
        1,
        /^proc-worker: -metrics-addr=127.* cannot be used: .*taken/,
      );
    });
  } finally {
    taken.close();
  }
  assert.equal(await cluster.get("all", "k"), "1");
});

Deno.test("a stolen store under another master key with the same id: refused, and whole for its owner", async () => {
  await using cluster = await Cluster.start();
  await cluster.put("all", "k", '{"secret":1}');
  await cluster.killAll();
  const copy = `${cluster.root}/stolen`;
  await new Deno.Command("cp", { args: ["-a", `${cluster.root}/db`, copy] }).output();
  await fails(main([`-shared-fs=${copy}`], { MASTER_KEY: "f".repeat(64) }), 1, /^main-worker: .*main-key-v1/);
  await fails(
    main([`-shared-fs=${cluster.root}/db`], { MASTER_KEY: "f".repeat(64) }),
    1,
    /^main-worker: .*main-key-v1/,
  );
  await cluster.restart();
  assert.equal(await cluster.get("all", "k"), '{"secret":1}');
});

/** The database file of the partition that an entity is in. */
function table(cluster: Cluster, schema: string, key: string): { path: string; name: string } {
  const name = entityName(schema as SchemaId, key as EntityKey);
  const partition = partitionOf(name, 64).toString(16).padStart(2, "0");
  return { path: `${cluster.root}/db/partitions/${partition}.db`, name };
}

Deno.test("envelopes that are swapped, flipped or cut in the database: 500 tampered, never another document", async () => {
  await using cluster = await Cluster.start({ mainFlags: ["-cache-bytes=0"] });
  const keys = ["swap-a", "swap-b", "flip", "cut", "good"];
  const read = (key: string) => {
    const { path, name } = table(cluster, "vault", key);
    const database = new DatabaseSync(path);
    const { envelope } = database.prepare("SELECT envelope FROM entities WHERE name = ?").get(name)!;
    database.close();
    return envelope as Uint8Array;
  };
  const write = (key: string, envelope: Uint8Array) => {
    const { path, name } = table(cluster, "vault", key);
    const database = new DatabaseSync(path);
    const { changes } = database.prepare("UPDATE entities SET envelope = ? WHERE name = ?").run(envelope, name);
    database.close();
    assert.equal(changes, 1);
  };
  for (const key of keys) await cluster.put("vault", key, `{"content":"of ${key}"}`);
  const stopped = cluster.workers.get("worker-1")!;
  stopped.signal("SIGTERM");
  await stopped.ended();
  const [a, b, flipped, whole] = [read("swap-a"), read("swap-b"), read("flip").slice(), read("cut")];
  write("swap-a", b);
  write("swap-b", a);
  flipped[flipped.length - 20]! ^= 1;
  write("flip", flipped);
  write("cut", whole.subarray(0, whole.length - 1));
  const started = cluster.startWorker("worker-1");
  await started.event("joined");
  await cluster.ready();
  for (const key of keys.slice(0, 4)) {
    const response = await cluster.fetch(`/entity/vault?key=${key}`);
    const text = await response.text();
    assert.equal(response.status, 500, text);
    assert.equal(JSON.parse(text).code, "tampered");
    assert(!text.includes("content"), text);
  }
  assert.equal(await cluster.get("vault", "good"), '{"content":"of good"}');
  assert.equal(started.output.split('"event":"tamper_detected"').length - 1, 4, started.output);
  const listed = await (await cluster.fetch("/entities/vault?values=true")).text();
  assert(!/of (swap|flip|cut)/.test(listed), listed);
});

Deno.test("a log that is damaged before its tail: its partitions are refused with the file's name, nothing is lost", async () => {
  await using cluster = await Cluster.start();
  const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`);
  for (const key of keys) await cluster.put("all", key, `{"of":"${key}"}`);
  await cluster.killAll();
  const [log] = [...Deno.readDirSync(`${cluster.root}/db/log`)].filter(({ name }) =>
    Deno.statSync(`${cluster.root}/db/log/${name}`).size > 4_000
  );
  const path = `${cluster.root}/db/log/${log!.name}`;
  const whole = await Deno.readFile(path);
  const damaged = whole.slice();
  damaged[Math.floor(damaged.length / 2)]! ^= 0x10;
  await Deno.writeFile(path, damaged);

  await cluster.startMain();
  const worker = cluster.startWorker("worker-1");
  const { detail } = await worker.event("partition_not_taken") as { detail: string };
  assert.match(detail, new RegExp(log!.name));
  const statuses = await Promise.all(keys.map(async (key) => {
    const response = await cluster.fetch(`/entity/all?key=${key}`);
    const text = await response.text();
    if (response.status === 200) assert.equal(text, `{"of":"${key}"}`);
    return response.status;
  }));
  assert.deepEqual(statuses.filter((status) => ![200, 503].includes(status)), []);
  assert(statuses.includes(503), `${statuses}`);
  assert(!/unexpected/.test(worker.output), worker.output);

  // The operator brings the file back: everything is there, without a restart.
  await Deno.writeFile(path, whole);
  await cluster.ready();
  for (const key of keys) assert.equal(await cluster.get("all", key), `{"of":"${key}"}`);
});

Deno.test("a disk that is full for a while: writes are refused, reads go on, and it recovers by itself", async () => {
  await using folder = await temporary();
  await using disk = await mounted(folder.path, "-t", "tmpfs", "-o", "size=24m", "tmpfs");
  if (disk === undefined) return;
  const filler = `${folder.path}/filler`;
  await using cluster = await Cluster.start({ root: folder.path });
  const document = (n: number) => `{"n":${n},"pad":"${"x".repeat(64 * 1024)}"}`;
  const acknowledged = new Map<string, string>();
  const put = async (n: number) => {
    const response = await cluster.fetch(`/entity/disk?key=key-${n}`, { method: "PUT", body: document(n) });
    const text = await response.text();
    if (response.status === 200) acknowledged.set(`key-${n}`, document(n));
    return { status: response.status, code: response.status === 200 ? "" : JSON.parse(text).code as string };
  };
  for (let n = 0; n < 8; n++) assert.equal((await put(n)).status, 200);
  // Somebody else fills the disk but for a little.
  using file = await Deno.open(filler, { create: true, write: true });
  for (let room = 1024 * 1024; room >= 4_096;) {
    const written = await file.write(new Uint8Array(room)).catch(() => 0);
    if (written < room) room = Math.floor(room / 2);
  }
  const refused: { status: number; code: string }[] = [];
  for (let n = 100; n < 140 && refused.length < 3; n++) {
    const answer = await put(n);
    if (answer.status !== 200) refused.push(answer);
  }
  assert.equal(refused.length, 3);
  for (const answer of refused) assert.deepEqual(answer, { status: 503, code: "storage_unavailable" });
  for (const [key, text] of acknowledged) assert.equal(await cluster.get("disk", key), text);

  await Deno.remove(filler);
  await file.truncate(0);
  for (const until = Date.now() + 60_000; (await put(200)).status !== 200;) {
    assert(Date.now() < until, `writes are still refused\n${cluster.output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await cluster.killAll();
  await cluster.restart();
  for (const [key, text] of acknowledged) assert.equal(await cluster.get("disk", key), text);
  assert(!/unexpected/.test(cluster.output), cluster.output);
});
