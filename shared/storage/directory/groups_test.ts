/** Groups of writes that share a sync: how large they are, what a failing log means for them, and what comes after. */
import assert from "assert";
import { type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { type FaultPlan, MemoryMachine } from "../faults/memory_disk.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { settled, TestClock } from "../faults/test_clock.ts";
import { StorageError } from "../store.ts";
import { type DirectoryBounds } from "./bounds.ts";
import { type DirectoryEntities } from "./entities.ts";
import { type StorageEvent } from "./events.ts";
import { openDirectoryStore } from "./store.ts";

const P = 0 as Partition;

async function open(bounds: Partial<DirectoryBounds> = {}, plan?: FaultPlan) {
  const [clock, random, events] = [new TestClock(), new SeededRandom(1), [] as StorageEvent[]];
  const machine = new MemoryMachine();
  const report = (event: StorageEvent) => void events.push(event);
  const parts = { disk: machine.process(plan), clock, random, bounds, report };
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, parts);
  const entities = await store.openEntities("worker");
  assert.equal((await entities.take(P)).kind, "taken");
  return { entities, clock, events, machine };
}

function put(entities: DirectoryEntities, key: string, size = 10): Promise<unknown> {
  return entities.commit({ partition: P, name: nameOf("s", key), envelope: new Uint8Array(size), expected: undefined });
}

/** Syncs that this work takes. */
async function syncs(entities: DirectoryEntities, work: () => Promise<unknown>): Promise<number> {
  const before = entities.stats().syncs;
  await work();
  return entities.stats().syncs - before;
}

Deno.test("groups: what comes together is synced together, up to a bound; what is larger is one of its own", async () => {
  const { entities } = await open({ groupBytes: 3_300 });
  const puts = (sizes: readonly number[]) => () =>
    Promise.all(sizes.map((size, index) => put(entities, `k${index}`, size)));
  assert.equal(await syncs(entities, puts([1_000, 1_000, 1_000])), 1);
  assert.equal(await syncs(entities, puts(Array(9).fill(1_000))), 3);
  assert.equal(await syncs(entities, puts([10, 5_000, 10, 10])), 3);
  await entities.close();
});

Deno.test("groups: room in the queue comes back with each group", async () => {
  const { entities } = await open({ queueBytes: 5_000 });
  for (let index = 0; index < 50; index++) await put(entities, `k${index % 5}`, 1_000);
  await entities.close();
});

Deno.test("groups: a log that fails is reported once, and once when it holds again", async () => {
  for (const failing of ["append", "sync"]) {
    let fails = false;
    const plan: FaultPlan = (_, operation, path) =>
      fails && operation === failing && path.startsWith("/db/log/") ? { effect: "none", error: "full" } : undefined;
    const { entities, events } = await open({}, plan);
    for (const round of [1, 2]) {
      fails = true;
      for (let index = 0; index < 3; index++) await assert.rejects(() => put(entities, "k"), StorageError);
      fails = false;
      for (let index = 0; index < 3; index++) await put(entities, "k");
      const expected = Array(round).fill(["log_failed", "log_recovered"]).flat();
      assert.deepEqual(events.map(({ kind }) => kind), expected, failing);
    }
    await entities.close();
  }
});

Deno.test("groups: a worker that has come to rest brings the next write into the table, too", async () => {
  const { entities, clock } = await open();
  for (let round = 0; round < 3; round++) {
    await put(entities, `k${round}`);
    for (let fired = 0; clock.fire(); fired++) {
      assert.ok(fired < 5, "it does not rest");
      await settled();
    }
    assert.equal(entities.stats().dirtyEntities, 0);
  }
  await entities.close();
});

Deno.test("groups: the log that was given up after a failed sync is removed without another write", async () => {
  let fails = false;
  const plan: FaultPlan = (_, operation, path) => {
    if (!fails || operation !== "sync" || !path.startsWith("/db/log/")) return undefined;
    fails = false;
    return { effect: "full", error: "failed" };
  };
  const { entities, clock, machine } = await open({}, plan);
  const logs = () => [...machine.names.keys()].filter((path) => path.endsWith(".log"));
  while (clock.fire()) await settled();
  fails = true;
  await assert.rejects(() => put(entities, "k"), { reason: "unavailable" });
  assert.equal(logs().length, 2);
  for (let fired = 0; logs().length > 1; fired++) {
    assert.ok(fired < 5 && clock.fire(), "it stays");
    await settled();
  }
  await entities.close();
});

Deno.test("groups: while checkpoints fail, their next attempt comes with time, not with the next write", async () => {
  let attempts = 0;
  let fails = false;
  const { entities, clock } = await open({ checkpointBytes: 500 }, (_, operation) => {
    if (operation !== "apply") return undefined;
    attempts += 1;
    return fails ? { effect: "none", error: "full" } : undefined;
  });
  attempts = 0;
  fails = true;
  for (let index = 0; index < 20; index++) {
    await put(entities, `k${index}`, 1_000);
    await settled();
  }
  assert.equal(attempts, 1);
  fails = false;
  assert.ok(clock.fire());
  await settled();
  assert.equal(entities.stats().dirtyEntities, 0);
  await entities.close();
});
