/** A checkpoint in the background: requests come through between its steps, and room that it makes is used. */
import assert from "assert";
import { type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { type FaultPlan, MemoryMachine } from "../faults/memory_disk.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { settled, TestClock } from "../faults/test_clock.ts";
import { type DirectoryBounds } from "./bounds.ts";
import { type DirectoryEntities } from "./entities.ts";
import { type StorageEvent } from "./events.ts";
import { openDirectoryStore } from "./store.ts";

const P = 0 as Partition;

async function open(bounds: Partial<DirectoryBounds>, plan: FaultPlan): Promise<{
  entities: DirectoryEntities;
  clock: TestClock;
}> {
  const [clock, random] = [new TestClock(), new SeededRandom(1)];
  const disk = new MemoryMachine().process(plan);
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random, bounds });
  const entities = await store.openEntities("worker");
  assert.equal((await entities.take(P)).kind, "taken");
  return { entities, clock };
}

function put(entities: DirectoryEntities, key: string, size = 10): Promise<unknown> {
  return entities.commit({ partition: P, name: nameOf("s", key), envelope: new Uint8Array(size), expected: undefined });
}

Deno.test("checkpoint: it writes in small steps, and commits, reads and lists go on between them", async () => {
  const events: string[] = [];
  const { entities, clock } = await open({ stepRows: 2 }, (_, operation) => {
    if (operation === "apply") events.push("step");
    return undefined;
  });
  events.length = 0;
  await Promise.all(Array.from({ length: 400 }, (_, index) => put(entities, `k${index}`)));
  while (events.length === 0) {
    assert.ok(clock.fire());
    for (let turn = 0; events.length === 0 && turn < 100; turn++) await Promise.resolve();
  }
  for (let index = 0; index < 3; index++) {
    await put(entities, `during${index}`);
    assert.notEqual(await entities.read(P, nameOf("s", `during${index}`)), undefined);
    assert.equal(
      (await entities.list(P, { prefix: "s_", limit: 1_000 })).length,
      401 + index,
    );
    events.push("served");
  }
  await settled();
  assert.equal(events.filter((event) => event === "step").length, 200);
  assert.ok(events.lastIndexOf("served") < events.lastIndexOf("step"), events.join());
  assert.deepEqual([...await entities.counts(P)], [["s_", 403]]);
  await entities.close();
});

Deno.test("checkpoint: it begins when much is in memory, and what was overwritten is not", async () => {
  const { entities } = await open({ checkpointDirtyBytes: 20_000 }, () => undefined);
  for (let index = 0; index < 100; index++) await put(entities, "k", 1_000);
  await settled();
  assert.equal(entities.stats().checkpoints, 0);
  for (let index = 0; index < 100; index++) {
    await put(entities, `k${index}`, 1_000);
    assert.ok(entities.stats().dirtyBytes < 25_000);
  }
  await settled();
  assert.ok(entities.stats().checkpoints >= 4);
  await entities.close();
});

Deno.test("checkpoint: an idle worker rests", async () => {
  const { entities, clock } = await open({}, () => undefined);
  await put(entities, "k");
  for (let fired = 0; clock.fire(); fired++) {
    assert.ok(fired < 5);
    await settled();
  }
  assert.deepEqual([entities.stats().dirtyEntities, clock.held], [0, 0]);
  await entities.close();
});

Deno.test("checkpoint: writes wait for room while one goes through, and are refused while it can't", async () => {
  let full = false;
  const { entities, clock } = await open({ dirtyBytes: 3_000, checkpointBytes: 1 << 20 }, (_, operation) => {
    return full && operation === "apply" ? { effect: "none", error: "full" } : undefined;
  });
  for (let index = 0; index < 20; index++) await put(entities, `k${index}`, 1_000);
  assert.ok(entities.stats().checkpoints > 0);
  full = true;
  const answers = new Set<string>();
  for (let index = 0; index < 20; index++) {
    answers.add(await put(entities, `l${index}`, 1_000).then(() => "committed", (error) => error.reason));
  }
  assert.deepEqual(answers, new Set(["committed", "unavailable"]));
  assert.ok(entities.stats().dirtyBytes < 5_000);
  assert.notEqual(await entities.read(P, nameOf("s", "k19")), undefined);
  full = false;
  while (entities.stats().dirtyEntities > 0) {
    assert.ok(clock.fire());
    await settled();
  }
  await put(entities, "again", 1_000);
  await entities.close();
});

Deno.test("checkpoint: too many writes that wait are refused, not kept", async () => {
  const { entities } = await open({ queueBytes: 5_000 }, () => undefined);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) => put(entities, `k${index}`, 1_000)),
  );
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  assert.ok(refused.length > 0 && refused.length < 20);
  for (const { reason } of refused) assert.equal(reason.reason, "unavailable");
  await assert.rejects(() => put(entities, "large", 17 * 1024 * 1024), RangeError);
  await put(entities, "k");
  await entities.close();
});

Deno.test("checkpoint: a log that another owner still needs is kept, and writes are refused before it is too large", async () => {
  const [clock, random, machine] = [new TestClock(), new SeededRandom(1), new MemoryMachine()];
  const [given, kept] = [0 as Partition, 1 as Partition];
  const events: StorageEvent[] = [];
  let tablesFull = false;
  const plan: FaultPlan = (_, operation, path) => {
    return tablesFull && operation === "apply" && path.endsWith("00.db")
      ? { effect: "none", error: "full" }
      : undefined;
  };
  const worker = async (faults?: FaultPlan) => {
    const disk = machine.process(faults);
    const bounds = { logBytes: 6_000, checkpointBytes: 2_000 };
    const report = (event: StorageEvent) => void events.push(event);
    const parts = { disk, clock, random, bounds, report };
    const store = await openDirectoryStore({ root: "/db", create: { partitions: 2 } }, parts);
    return await store.openEntities("worker");
  };
  const putIn = (entities: DirectoryEntities, partition: Partition, key: string) =>
    entities.commit({ partition, name: nameOf("s", key), envelope: new Uint8Array(1_000), expected: undefined });
  const [one, two] = [await worker(plan), await worker()];
  await Promise.all([one.take(given), one.take(kept)]);
  await putIn(one, given, "given");
  tablesFull = true;
  await one.release(given);
  assert.deepEqual(events.map(({ kind, partition }) => [kind, partition]), [["released_unclean", given]]);
  tablesFull = false;
  assert.deepEqual(await two.take(given), { kind: "taken", recovered: 1 });
  let refusals = 0;
  for (let index = 0; index < 20; index++) {
    await putIn(one, kept, `k${index}`).catch((error) => refusals += Number(error.reason === "unavailable"));
  }
  assert.ok(refusals > 0);
  assert.ok(one.stats().logBytes < 8_000);
  while (two.stats().checkpoints === 0) {
    assert.ok(clock.fire());
    await settled();
  }
  await putIn(one, kept, "again");
  await Promise.all([one.close(), two.close()]);
  const next = await worker();
  assert.deepEqual(await next.take(given), { kind: "taken", recovered: 0 });
  assert.notEqual(await next.read(given, nameOf("s", "given")), undefined);
  await next.close();
  assert.deepEqual([...machine.names.keys()].filter((path) => path.endsWith(".log")), []);
});
