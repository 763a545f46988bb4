/** Partitions that come and go: what is under way when one is given up, and what is inherited by whoever takes it. */
import assert from "assert";
import { LOG_RECORD_BYTES_MAX } from "../../limits.ts";
import { type EntityName, type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { MemoryMachine } from "../faults/memory_disk.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { settled, TestClock } from "../faults/test_clock.ts";
import { type DirectoryEntities } from "./entities.ts";
import { openDirectoryStore } from "./store.ts";

const P = 0 as Partition;

/** Workers that come and go on one machine. */
function machine() {
  const [all, clock, random] = [new MemoryMachine(), new TestClock(), new SeededRandom(1)];
  const worker = async () => {
    const disk = all.process();
    const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random });
    return { disk, entities: await store.openEntities("worker") };
  };
  const logs = () => [...all.names.keys()].filter((path) => path.endsWith(".log"));
  return { clock, worker, logs };
}

function put(entities: DirectoryEntities, name: string, size = 1): Promise<unknown> {
  const envelope = new Uint8Array(size);
  return entities.commit({ partition: P, name: name as EntityName, envelope, expected: undefined });
}

Deno.test("ownership: a partition that is given up takes no more writes, and is another's when those it has are durable", async () => {
  const { worker } = machine();
  const [{ entities: one }, { entities: two }] = [await worker(), await worker()];
  assert.equal((await one.take(P)).kind, "taken");
  const order: string[] = [];
  const written = put(one, nameOf("s", "before")).then(() => order.push("written"));
  const released = one.release(P).then(() => order.push("released"));
  await Promise.resolve();
  await Promise.resolve();
  await assert.rejects(put(one, nameOf("s", "after")), { reason: "unavailable", message: /is being given up/ });
  await Promise.all([written, released]);
  assert.deepEqual(order, ["written", "released"]);
  await assert.rejects(put(one, nameOf("s", "later")), { reason: "unavailable", message: /is not owned here/ });
  assert.equal((await two.take(P)).kind, "taken");
  assert.notEqual(await two.read(P, nameOf("s", "before")), undefined);
  assert.equal(await two.read(P, nameOf("s", "after")), undefined);
  await Promise.all([one.close(), two.close()]);
});

Deno.test("ownership: a worker that was idle brings what it inherits into the table by itself", async () => {
  const { clock, worker, logs } = machine();
  const { entities: idle } = await worker();
  while (clock.fire()) await settled();
  const { disk, entities: dying } = await worker();
  assert.equal((await dying.take(P)).kind, "taken");
  await put(dying, nameOf("s", "k"));
  disk.kill();
  assert.deepEqual(await idle.take(P), { kind: "taken", recovered: 1 });
  assert.equal(idle.stats().dirtyEntities, 1);
  // What was killed goes on trying, in vain, beside it.
  for (let fired = 0; fired < 20 && logs().length > 1; fired++) {
    assert.ok(clock.fire());
    await settled();
  }
  assert.deepEqual([idle.stats().dirtyEntities, logs().length], [0, 1]);
  await idle.close();
});

Deno.test("ownership: a write that no log could hold is a mistake of the caller", async () => {
  const { worker } = machine();
  const { entities } = await worker();
  await entities.take(P);
  await assert.rejects(put(entities, ""), RangeError);
  await assert.rejects(put(entities, "n".repeat(1_025)), RangeError);
  await put(entities, "n".repeat(1_024));
  await assert.rejects(put(entities, "n", LOG_RECORD_BYTES_MAX + 1), RangeError);
  await put(entities, "n", LOG_RECORD_BYTES_MAX);
  assert.equal((await entities.read(P, "n" as EntityName))!.envelope.length, LOG_RECORD_BYTES_MAX);
  await entities.close();
});
