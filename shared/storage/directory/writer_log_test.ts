/** The files of one writer: in which order they go, and that nothing of them stays open. */
import assert from "assert";
import { entityName, parseEntityKey, parseSchemaId, type Partition } from "../../names.ts";
import { type FaultPlan, MemoryMachine } from "../faults/memory_disk.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { TestClock } from "../faults/test_clock.ts";
import { logName } from "./log_header.ts";
import { encodeRecords } from "./record.ts";
import { WriterLog } from "./writer_log.ts";

const DIRECTORY = "/log";
const NAME = entityName(parseSchemaId("s"), parseEntityKey("k"));

async function opened(plan: FaultPlan = () => undefined, machine = new MemoryMachine()) {
  const removed: string[] = [];
  const disk = machine.process((step, operation, path) => {
    const fault = plan(step, operation, path);
    if (operation === "remove" && fault === undefined) removed.push(path);
    return fault;
  });
  await disk.makeDirectory(DIRECTORY);
  const parts = {
    disk,
    clock: new TestClock(),
    random: new SeededRandom(1),
    directory: DIRECTORY,
    store: "0".repeat(32),
  };
  const log = await WriterLog.open("1".repeat(32), parts).catch((error) => {
    assert.equal(disk.openFiles, 0);
    throw error;
  });
  let sequence = 0;
  const append = () => {
    const record = { partition: 0 as Partition, sequence: ++sequence, name: NAME, envelope: new Uint8Array(10) };
    return log.append(encodeRecords([record]), () => {});
  };
  const files = () => [...machine.names.keys()].sort();
  return { disk, log, append, removed, files };
}

Deno.test("writer log: files go oldest first, because a later one says what counts in an earlier one", async () => {
  const { disk, log, append, removed, files } = await opened();
  for (let n = 0; n < 3; n++) {
    await append();
    await log.rotate();
  }
  const [first, second, third, current] = files();
  assert.equal(disk.openFiles, 4);
  await log.remove([...log.retired].reverse().slice(0, 2));
  assert.deepEqual(removed, [second, third]);
  assert.deepEqual(log.retired.map(({ number }) => number), [1]);
  assert.equal(disk.openFiles, 2);
  await log.remove(log.retired);
  assert.deepEqual([removed.at(-1), files(), disk.openFiles], [first, [current], 1]);
});

Deno.test("writer log: a file that cannot be removed keeps those after it, and is tried again", async () => {
  let failing = true;
  const { log, append, removed, files } = await opened((_, operation) =>
    failing && operation === "remove" ? { effect: "none", error: "failed" } : undefined
  );
  for (let n = 0; n < 2; n++) {
    await append();
    await log.rotate();
  }
  const retired = log.retired;
  await assert.rejects(() => log.remove(retired), { name: "DiskError" });
  assert.equal(log.retired.length, 2);
  failing = false;
  await log.remove(retired);
  await log.remove(retired);
  assert.equal(removed.length, 2);
  assert.equal(files().length, 1);
});

Deno.test("writer log: closed, it leaves no file open, and none behind that nobody needs", async () => {
  for (const needed of [true, false]) {
    const { disk, log, append, files } = await opened();
    await append();
    await log.rotate();
    await append();
    await log.close(!needed);
    assert.equal(disk.openFiles, 0);
    assert.equal(files().length, needed ? 2 : 0);
    await assert.rejects(append, { reason: "unavailable" });
  }
});

Deno.test("writer log: a new file that others take for garbage before it is locked is given up for the next one", async () => {
  const machine = new MemoryMachine();
  let collected = 0;
  const collecting = (times: number): FaultPlan => {
    collected = 0;
    return (_, operation, path) => {
      if (operation === "tryLock" && collected < times) {
        collected++;
        machine.names.delete(path);
      }
      return undefined;
    };
  };
  const { disk, log } = await opened(collecting(2), machine);
  assert.deepEqual([collected, disk.openFiles, log.path], [2, 1, `${DIRECTORY}/${logName("1".repeat(32), 3)}`]);
  await log.close(true);
  await assert.rejects(opened(collecting(Infinity), machine), { name: "DiskError", code: "busy" });
});

Deno.test("writer log: a file that cannot be begun is not left behind", async () => {
  const machine = new MemoryMachine();
  for (const failing of ["append", "sync", "syncDirectory"]) {
    const plan: FaultPlan = (_, operation) =>
      operation === failing ? { effect: "partial", error: "failed" } : undefined;
    await assert.rejects(opened(plan, machine), { name: "DiskError", code: "failed" }, failing);
    // Whether it is gone for good is not known when its directory cannot be synced.
    assert.equal(machine.names.size, 0, failing);
  }
});
