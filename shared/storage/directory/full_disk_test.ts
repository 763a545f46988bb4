/** A file system that is really full, and then is not: a small tmpfs, where this process may mount one. */
import assert from "assert";
import { type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { StorageError } from "../store.ts";
import { openTestStore } from "./test_store.ts";

const P = 0 as Partition;
const SIZE = "24m";

/** Mounts a small tmpfs and calls `work` with its path; says so when that is not possible. */
async function withSmallDisk(work: (mount: string) => Promise<void>): Promise<void> {
  const mount = await Deno.makeTempDir({ prefix: "deltadb-test-" });
  const run = async (command: string, ...args: string[]) => {
    try {
      return (await new Deno.Command(command, { args, stderr: "null" }).output()).success;
    } catch {
      return false;
    }
  };
  try {
    if (!await run("mount", "-t", "tmpfs", "-o", `size=${SIZE}`, "none", mount)) {
      console.log("left out: this process may not mount a tmpfs");
      return;
    }
    try {
      await work(mount);
    } finally {
      // Lazily, because a test that failed leaves files open.
      assert.ok(await run("umount", "-l", mount));
    }
  } finally {
    await Deno.remove(mount);
  }
}

/** Writes a file until nothing more fits. */
async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for (const size of [65_536, 512]) {
    for (let full = false; !full;) await file.write(new Uint8Array(size)).catch(() => full = true);
  }
}

Deno.test("full disk: writes are refused, reads go on, and it works again without a restart", () =>
  withSmallDisk(async (mount) => {
    const store = await openTestStore(`${mount}/db`, {
      partitions: 1,
      bounds: { checkpointBytes: 400_000, checkpointMs: 20, checkpointRetryMs: 20 },
    });
    const entities = await store.openEntities("worker");
    assert.equal((await entities.take(P)).kind, "taken");
    const commit = (key: string, value: Uint8Array) =>
      entities.commit({ partition: P, name: nameOf("s", key), envelope: value, expected: undefined });
    const valueOf = (index: number) => new Uint8Array(20_000).fill(index);
    let written = 0;
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 20; index++) await commit(`${written}`, valueOf(written++));
      await fill(`${mount}/filler`);
      let refused: unknown;
      while (refused === undefined) {
        await commit(`${written}`, valueOf(written)).then(() => written++, (error) => refused = error);
      }
      assert.ok(refused instanceof StorageError && refused.reason === "unavailable", String(refused));
      await assert.rejects(store.templates.put("t", new Uint8Array(100_000)), { reason: "unavailable" });
      for (let index = 0; index < written; index++) {
        assert.deepEqual((await entities.read(P, nameOf("s", `${index}`)))!.envelope, valueOf(index));
      }
      assert.equal(await entities.read(P, nameOf("s", `${written}`)), undefined);
      await Deno.remove(`${mount}/filler`);
    }
    await commit(`${written}`, valueOf(written++));
    await store.close();
    const again = await openTestStore(`${mount}/db`, { partitions: 1 });
    const next = await again.openEntities("next");
    assert.deepEqual(await next.take(P), { kind: "taken", recovered: 0 });
    assert.deepEqual([...await next.counts(P)], [["s_", written]]);
    for (let index = 0; index < written; index++) {
      assert.deepEqual((await next.read(P, nameOf("s", `${index}`)))!.envelope, valueOf(index));
    }
    assert.deepEqual(await again.templates.list(), []);
    await again.close();
  }));
