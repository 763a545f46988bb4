/** Opening a store on a real file system: what is made, what is refused and how that is said. */
import assert from "assert";
import { type EntityName, type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { StorageError } from "../store.ts";
import { type Disk, DiskError } from "./disk.ts";
import { openDirectoryStore } from "./store.ts";
import { systemDisk } from "./system_disk.ts";
import { openTestStore, testParts, withDirectory } from "./test_store.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** Awaits the rejection of `work`, whose message is one line that matches. */
async function refuses(reason: StorageError["reason"], message: RegExp, work: () => Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof StorageError, String(error));
    assert.equal(error.reason, reason, error.message);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}

async function names(directory: string): Promise<string[]> {
  const found = [];
  for await (const { name } of Deno.readDir(directory)) found.push(name);
  return found.sort();
}

Deno.test("store: the main worker makes it, with the layout that the documents promise", () =>
  withDirectory(async (root) => {
    const store = await openDirectoryStore({ root: `${root}/`, create: {} }, testParts());
    assert.equal(store.root, root);
    assert.deepEqual(await names(root), ["_auth", "locks", "log", "manifest.json", "partitions", "templates"]);
    const manifest = JSON.parse(await Deno.readTextFile(`${root}/manifest.json`));
    assert.deepEqual(manifest, { format: 1, store: store.id, partitions: 64 });
    assert.equal((await names(`${root}/locks`)).length, 64 + 2);
    assert.equal((await Deno.stat(`${root}/_auth`)).mode! & 0o777, 0o700);
    await store.auth.put("keys.json", text("{}"));
    assert.equal((await Deno.stat(`${root}/_auth/keys.json`)).mode! & 0o777, 0o600);
    await store.templates.put("a_b", text("{}"));
    assert.deepEqual(await names(`${root}/templates`), ["a_b.json"]);
    await store.close();
  }));

Deno.test("store: without a store a worker is told that there is none yet", () =>
  withDirectory(async (root) => {
    await refuses("missing", /no store in .* yet/, () => openDirectoryStore({ root }, testParts()));
    await (await openTestStore(root)).close();
    await (await openDirectoryStore({ root }, testParts())).close();
  }));

Deno.test("store: one that has data and no manifest is not made anew", () =>
  withDirectory(async (root) => {
    const store = await openTestStore(root, { partitions: 1 });
    const entities = await store.openEntities("worker");
    assert.equal((await entities.take(0 as Partition)).kind, "taken");
    await store.close();
    await Deno.remove(`${root}/manifest.json`);
    await refuses("corrupt", /manifest\.json is missing, but there is data: .*00\.db/, () => openTestStore(root));
  }));

Deno.test("store: two processes that make it at once make one", () =>
  withDirectory(async (root) => {
    const stores = await Promise.all([1, 2, 3].map(() => openTestStore(root)));
    assert.equal(new Set(stores.map((store) => store.id)).size, 1);
    for (const store of stores) await store.close();
  }));

Deno.test("store: another format, another number of partitions, a manifest that is none", () =>
  withDirectory(async (root) => {
    await refuses("configuration", /power of two/, () => openTestStore(root, { partitions: 3 }));
    await refuses("configuration", /power of two/, () => openTestStore(root, { partitions: 2_048 }));
    const store = await openTestStore(root, { partitions: 8 });
    await store.close();
    await refuses("configuration", /8 partitions, which never change; 4/, () => openTestStore(root, { partitions: 4 }));
    const any = await openDirectoryStore({ root, create: {} }, testParts());
    assert.equal(any.partitions, 8);
    await Deno.writeTextFile(`${root}/manifest.json`, JSON.stringify({ format: 2, whatever: true }));
    await refuses("configuration", /format 2; this version knows up to 1/, () => openTestStore(root));
    await refuses("configuration", /format 2/, () => any.probe());
    for (const content of ["", "{", "[]", "null", '{"format":1,"store":"x","partitions":4}']) {
      await Deno.writeTextFile(`${root}/manifest.json`, content);
      await refuses("corrupt", /manifest\.json/, () => openTestStore(root));
    }
    await Deno.remove(`${root}/manifest.json`);
    await refuses("unavailable", /gone/, () => any.probe());
    await any.close();
  }));

Deno.test("store: a path that can't be a directory", () =>
  withDirectory(async (root) => {
    await Deno.writeTextFile(root, "a file");
    await refuses("configuration", /not a directory/, () => openTestStore(root));
    await refuses("configuration", /not a directory/, () => openTestStore(`${root}/below`));
    await refuses("configuration", /not a directory/, () => openDirectoryStore({ root }, testParts()));
  }));

Deno.test("store: errors of permission and of a read-only file system are said in one sentence", () =>
  withDirectory(async (root) => {
    await (await openTestStore(root)).close();
    for (const [code, said] of [["denied", /permission is denied/], ["read_only", /read-only/]] as const) {
      const fail = () => Promise.reject(new DiskError(code, "/db: as the system says it"));
      const failing: Disk = { ...systemDisk, openLock: fail, createFile: fail };
      const store = await openTestStore(root, { disk: failing });
      await refuses("configuration", said, () => store.lockMain("main"));
      await refuses("configuration", said, () => store.openEntities("worker"));
      await refuses("configuration", said, () => openTestStore(`${root}2`, { disk: failing }));
      await store.close();
    }
  }));

Deno.test("store: a file system on which a lock excludes nobody is refused at the start", () =>
  withDirectory(async (root) => {
    const disk: Disk = {
      ...systemDisk,
      createFile: async (path) => Object.assign(await systemDisk.createFile(path), { tryLock: always }),
      openLock: async (path) => {
        const file = await systemDisk.openLock(path);
        return file && Object.assign(file, { tryLock: always });
      },
    };
    const store = await openTestStore(root, { disk });
    await refuses("configuration", /locked twice/, () => store.lockMain("main"));
    await refuses("configuration", /locked twice/, () => store.openEntities("worker"));
    assert.deepEqual(await names(`${root}/log`), []);
    await store.close();
  }));

Deno.test("store: whoever has it open sees whether a main worker holds it; a lock file that was removed tells nothing", () =>
  withDirectory(async (root) => {
    const store = await openTestStore(root);
    const seen = await openDirectoryStore({ root }, testParts());
    assert.equal(await seen.isMainLockFree(), true);
    const outcome = await store.lockMain("main");
    assert(outcome.kind === "locked");
    assert.equal(await seen.isMainLockFree(), false);
    await outcome.lock.release();
    assert.equal(await seen.isMainLockFree(), true);
    assert.equal((await store.lockMain("main")).kind, "locked", "looking does not keep the lock");
    await Deno.remove(`${root}/locks/main`);
    assert.equal(await seen.isMainLockFree(), false);
    await Promise.all([store.close(), seen.close()]);
  }));

const always = () => Promise.resolve(true);

Deno.test("store: the main worker clears away what a crash left half written, and nothing else", () =>
  withDirectory(async (root) => {
    const store = await openTestStore(root);
    await store.templates.put("mine", text("{}"));
    const left = ["templates/.mine.json.0123456789abcdef.tmp", "_auth/.k.0123456789abcdef.tmp"];
    for (const path of left) await Deno.writeTextFile(`${root}/${path}`, "half");
    await Deno.writeTextFile(`${root}/templates/.editor.swp`, "somebody's");
    await Deno.writeTextFile(`${root}/templates/README.md`, "somebody's");
    await Deno.writeTextFile(`${root}/templates/bad%name.json`, "somebody's");
    await Deno.mkdir(`${root}/templates/directory.json`);
    await Deno.writeTextFile(`${root}/templates/my_schema.json`, '{"type":"object"}');
    assert.equal((await store.lockMain("main")).kind, "locked");
    const expected = [".editor.swp", "README.md", "bad%name.json", "directory.json", "mine.json", "my_schema.json"];
    assert.deepEqual(await names(`${root}/templates`), expected);
    assert.deepEqual(await names(`${root}/_auth`), []);
    assert.deepEqual((await store.templates.list()).map(({ name }) => name), ["mine", "my_schema"]);
    assert.deepEqual(await store.templates.get("my_schema"), text('{"type":"object"}'));
    await store.close();
  }));

Deno.test("store: an orderly end leaves no log, no journal and clean lock files", () =>
  withDirectory(async (root) => {
    const store = await openTestStore(root);
    const entities = await store.openEntities("worker");
    for (let partition = 0; partition < 4; partition++) await entities.take(partition as Partition);
    await entities.commit({
      partition: 1 as Partition,
      name: nameOf("s", "k"),
      envelope: text("v"),
      expected: undefined,
    });
    assert.equal((await names(`${root}/log`)).length, 1);
    assert.match(await Deno.readTextFile(`${root}/locks/01`), /"holder":"worker","writers":\["[0-9a-f]{32}"\]/);
    await store.close();
    assert.deepEqual(await names(`${root}/log`), []);
    assert.deepEqual(await names(`${root}/partitions`), ["00.db", "01.db", "02.db", "03.db"]);
  }));

Deno.test("store: a partition's database that is another's, or no database, is refused by name", () =>
  withDirectory(async (root) => {
    const store = await openTestStore(root);
    const take = async (partition: number) => {
      const entities = await store.openEntities("worker");
      try {
        return await entities.take(partition as Partition);
      } finally {
        await entities.close();
      }
    };
    for (let partition = 0; partition < 4; partition++) assert.equal((await take(partition)).kind, "taken");
    await Deno.copyFile(`${root}/partitions/00.db`, `${root}/partitions/01.db`);
    await Deno.writeTextFile(`${root}/partitions/02.db`, "no database".repeat(1_000));
    await Deno.remove(`${root}/partitions/03.db`);
    for (const partition of [1, 2, 3]) {
      const outcome = await take(partition);
      assert.equal(outcome.kind, "corrupt");
      assert.ok(
        outcome.kind === "corrupt" && outcome.detail.includes(`partitions/0${partition}.db`),
        JSON.stringify(outcome),
      );
    }
    assert.equal((await take(0)).kind, "taken");
    await store.close();
  }));

Deno.test("store: the database can be read by anybody who has sqlite3 and the paragraph in the documents", () =>
  withDirectory(async (root) => {
    const { DatabaseSync } = await import("node:sqlite");
    const store = await openTestStore(root, { partitions: 1 });
    const entities = await store.openEntities("worker");
    await entities.take(0 as Partition);
    const envelope = Uint8Array.from({ length: 10_000 }, (_, index) => index & 0xff);
    await entities.commit({ partition: 0 as Partition, name: "s_k" as EntityName, envelope, expected: undefined });
    await store.close();
    const database = new DatabaseSync(`${root}/partitions/00.db`, { readOnly: true });
    const row = database.prepare("SELECT name, hex(envelope) || hex(coalesce(rest, x'')) AS hex FROM entities").get();
    database.close();
    assert.deepEqual({ ...row }, { name: "s_k", hex: envelope.toHex().toUpperCase() });
  }));
