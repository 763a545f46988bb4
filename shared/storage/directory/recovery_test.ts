/** Recovery: who takes over finds what was acknowledged, whatever became of the logs, or is told what is damaged. */
import assert from "assert";
import { type EntityName, type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { type FaultPlan, MemoryMachine, type MemoryProcess } from "../faults/memory_disk.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { settled, TestClock } from "../faults/test_clock.ts";
import { type StorageError, type TakeOutcome } from "../store.ts";
import { type DirectoryEntities } from "./entities.ts";
import { type StorageEvent } from "./events.ts";
import { FrameScanner } from "./frame.ts";
import { decodeLockContent, SLOT_BYTES } from "./lock_content.ts";
import { logName } from "./log_header.ts";
import { encodeRecords } from "./record.ts";
import { Recovery } from "./recovery.ts";
import { openDirectoryStore } from "./store.ts";
import { WriterLog } from "./writer_log.ts";

const P = 0 as Partition;
const LOGS = "/db/log/";

/** A machine with one partition, and workers that come and go on it. */
class World {
  readonly machine = new MemoryMachine();
  readonly clock = new TestClock();
  readonly random: SeededRandom;
  readonly events: StorageEvent[] = [];

  constructor(seed = 1) {
    this.random = new SeededRandom(seed);
  }

  async worker(plan?: FaultPlan): Promise<{ disk: MemoryProcess; entities: DirectoryEntities; outcome: TakeOutcome }> {
    const disk = this.machine.process(plan);
    const { clock, random } = this;
    const report = (event: StorageEvent) => void this.events.push(event);
    const create = { partitions: 1 };
    const store = await openDirectoryStore({ root: "/db", create }, { disk, clock, random, report });
    const entities = await store.openEntities("worker");
    return { disk, entities, outcome: await entities.take(P) };
  }

  /** A worker that writes, each group on its own, and is killed. */
  async writeAndDie(...groups: Record<string, string | undefined>[]): Promise<void> {
    const { disk, entities, outcome } = await this.worker();
    assert.equal(outcome.kind, "taken", JSON.stringify(outcome));
    for (const group of groups) await write(entities, group);
    disk.kill();
  }

  logs(): string[] {
    return [...this.machine.names.keys()].filter((path) => path.startsWith(LOGS)).sort();
  }

  content(path: string): Uint8Array {
    return this.machine.names.get(path)!.content;
  }

  setContent(path: string, bytes: Uint8Array): void {
    this.machine.names.get(path)!.content = this.machine.names.get(path)!.durable = bytes;
  }

  /** Everything but the logs of those who only looked. */
  snapshot(): Map<string, string> {
    return new Map([...this.machine.names].map(([path, inode]) => [path, inode.content.toHex()]));
  }
}

async function write(entities: DirectoryEntities, group: Record<string, string | undefined>): Promise<void> {
  await Promise.all(
    Object.entries(group).map(([key, value]) => {
      const envelope = value === undefined ? undefined : new TextEncoder().encode(value);
      return entities.commit({ partition: P, name: nameOf("s", key), envelope, expected: undefined });
    }),
  );
}

async function state(entities: DirectoryEntities): Promise<Record<string, string>> {
  const listed = await entities.list(P, { prefix: "s_", limit: 1_000 });
  const entries: [string, string][] = [];
  for (const { name, envelope } of listed) {
    assert.deepEqual((await entities.read(P, name as EntityName))!.envelope, envelope);
    entries.push([name.slice(2), new TextDecoder().decode(envelope)]);
  }
  return Object.fromEntries(entries);
}

/** Offsets at which the frames of a log begin, and its length. */
function frameStarts(bytes: Uint8Array): number[] {
  const scanner = new FrameScanner(bytes);
  const starts: number[] = [];
  do starts.push(scanner.at); while (scanner.next().kind === "frame");
  return starts;
}

Deno.test("recovery: the next worker finds everything, and so does the one after it", async () => {
  const world = new World();
  await world.writeAndDie({ a: "1", b: "1" }, { a: "2" }, { c: "1" }, { b: undefined });
  const { disk, entities, outcome } = await world.worker();
  assert.deepEqual(outcome, { kind: "taken", recovered: 3 });
  assert.deepEqual(world.events, [{ kind: "recovered", partition: 0, message: "3 entities; logs read: 1" }]);
  assert.deepEqual(await state(entities), { a: "2", c: "1" });
  assert.deepEqual([...await entities.counts(P)], [["s_", 2]]);
  await write(entities, { a: "3" });
  disk.kill();
  assert.deepEqual(await state((await world.worker()).entities), { a: "3", c: "1" });
});

Deno.test("recovery: two, and twenty, dead writers in a chain", async () => {
  for (const writers of [2, 20]) {
    const world = new World();
    for (let index = 0; index < writers; index++) await world.writeAndDie({ shared: `${index}`, [`own${index}`]: "x" });
    const { entities } = await world.worker();
    const own = Array.from({ length: writers }, (_, index) => [`own${index}`, "x"]);
    assert.deepEqual(await state(entities), Object.fromEntries([...own, ["shared", `${writers - 1}`]]));
  }
});

Deno.test("recovery: logs of dead writers are removed once nothing needs them", async () => {
  const world = new World();
  await world.writeAndDie({ a: "1" });
  await world.writeAndDie({ b: "1" });
  const { entities } = await world.worker();
  assert.equal(world.logs().length, 3);
  while (entities.stats().checkpoints === 0) {
    assert.ok(world.clock.fire());
    await settled();
  }
  assert.equal(world.logs().length, 1);
  await entities.close();
  assert.deepEqual(world.logs(), []);
  const next = await world.worker();
  assert.deepEqual(next.outcome, { kind: "taken", recovered: 0 });
  assert.deepEqual(await state(next.entities), { a: "1", b: "1" });
});

Deno.test("recovery: a log that is cut at every byte of its last three groups", async () => {
  const groups = [{ a: "1", b: "1" }, { a: "2" }, { b: undefined, c: "3" }, { a: "4", d: "4" }];
  const states = [{}, { a: "1", b: "1" }, { a: "2", b: "1" }, { a: "2", c: "3" }, { a: "4", c: "3", d: "4" }];
  const whole = new World();
  await whole.writeAndDie(...groups);
  const starts = frameStarts(whole.content(whole.logs()[0]!));
  for (let cut = starts[2]!; cut <= starts.at(-1)!; cut++) {
    const world = new World();
    await world.writeAndDie(...groups);
    const path = world.logs()[0]!;
    world.setContent(path, world.content(path).slice(0, cut));
    const { entities, outcome, disk } = await world.worker();
    assert.equal(outcome.kind, "taken");
    const expected = states[starts.findLastIndex((start) => start <= cut) - 1]!;
    assert.deepEqual(await state(entities), expected, `cut at byte ${cut}`);
    await write(entities, { e: "new" });
    disk.kill();
    assert.deepEqual(await state((await world.worker()).entities), { ...expected, e: "new" }, `cut at byte ${cut}`);
  }
});

Deno.test("recovery: a group that is damaged at any byte before the tail is refused, by file and byte", async () => {
  const groups = [{ a: "1" }, { a: "2", b: "2" }, { c: "3" }];
  const whole = new World();
  await whole.writeAndDie(...groups);
  const starts = frameStarts(whole.content(whole.logs()[0]!));
  for (let at = 0; at < starts.at(-1)!; at++) {
    for (const flip of [0x01, 0xff]) {
      const world = new World();
      await world.writeAndDie(...groups);
      const path = world.logs()[0]!;
      const bytes = world.content(path).slice();
      bytes[at]! ^= flip;
      world.setContent(path, bytes);
      const before = world.snapshot();
      const { entities, outcome } = await world.worker();
      const frame = starts.findLastIndex((start) => start <= at);
      if (frame === groups.length) {
        // The last group can't be told from one that a crash tore: then it is out as a whole.
        assert.equal(outcome.kind, "taken", `byte ${at}`);
        assert.deepEqual(await state(entities), { a: "2", b: "2" });
        continue;
      }
      assert.equal(outcome.kind, "corrupt", `byte ${at}`);
      assert.ok(outcome.kind === "corrupt" && outcome.detail.includes(`${path} is damaged at byte ${starts[frame]}`));
      await entities.close();
      assert.deepEqual(world.snapshot(), before, `byte ${at}`);
    }
  }
});

Deno.test("recovery: the last group of a log that its writer went on from is protected too", async () => {
  const world = new World();
  let tablesFull = false;
  const disk = world.machine.process((_, operation) => {
    return tablesFull && operation === "apply" ? { effect: "none", error: "full" } : undefined;
  });
  const { clock, random } = world;
  const bounds = { checkpointBytes: 1 };
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random, bounds });
  const entities = await store.openEntities("worker");
  await entities.take(P);
  tablesFull = true;
  await write(entities, { a: "1" });
  await settled();
  disk.kill();
  const [first, second] = world.logs() as [string, string];
  assert.ok(world.content(second).length > 0);
  const bytes = world.content(first).slice();
  bytes[bytes.length - 1]! ^= 1;
  world.setContent(first, bytes);
  const { outcome } = await world.worker();
  assert.ok(
    outcome.kind === "corrupt" && outcome.detail.includes(`${first} is damaged at byte`),
    JSON.stringify(outcome),
  );
});

Deno.test("recovery: a log that is missing is refused, not taken for empty", async () => {
  const world = new World();
  await world.writeAndDie({ a: "1" });
  world.machine.names.delete(world.logs()[0]!);
  const { outcome } = await world.worker();
  assert.ok(outcome.kind === "corrupt" && outcome.detail.includes(".log or its successor is missing"));
});

Deno.test("recovery: changes that are missing between those of two logs are refused", async () => {
  const world = new World();
  await world.writeAndDie({ a: "1" }, { b: "1" });
  const [first] = world.logs() as [string];
  await world.writeAndDie({ c: "1" });
  // Without its last group the first log looks like one whose end was torn, which alone would be nothing.
  const bytes = world.content(first);
  world.setContent(first, bytes.slice(0, frameStarts(bytes).at(-2)));
  const before = world.snapshot();
  const { entities, outcome } = await world.worker();
  assert.ok(
    outcome.kind === "corrupt" && outcome.detail.includes("partition 0: the logs go on with change 3 after change 1"),
    JSON.stringify(outcome),
  );
  await entities.close();
  assert.deepEqual(world.snapshot(), before);
});

Deno.test("recovery: a damaged log is not read again for a while; what was brought back by then is found", async () => {
  for (const damage of ["damaged", "missing"]) {
    const world = new World();
    await world.writeAndDie({ a: "1" }, { a: "2" });
    const [path] = world.logs() as [string];
    const whole = world.content(path).slice();
    const inode = world.machine.names.get(path)!;
    if (damage === "missing") world.machine.names.delete(path);
    else world.setContent(path, whole.map((byte, at) => at === 40 ? byte ^ 1 : byte));
    const { entities, outcome } = await world.worker();
    assert.equal(outcome.kind, "corrupt");
    world.machine.names.set(path, inode);
    world.setContent(path, whole);
    assert.equal((await entities.take(P)).kind, "corrupt", damage);
    for (let timers = world.clock.held; timers > 0; timers--) world.clock.fire();
    assert.deepEqual(await entities.take(P), { kind: "taken", recovered: 1 });
    assert.deepEqual(await state(entities), { a: "2" });
  }
});

Deno.test("recovery: a table that is missing, or older than the lock file says, is refused", async () => {
  // Also after owners that wrote nothing.
  for (const idle of [0, 1, 2]) {
    const world = new World();
    const first = await world.worker();
    await write(first.entities, { a: "1" });
    await first.entities.close();
    for (let n = 0; n < idle; n++) await (await world.worker()).entities.close();
    const path = "/db/partitions/00.db";
    const table = world.machine.tables.get(path)!;
    world.machine.tables.delete(path);
    const missing = (await world.worker()).outcome;
    assert.ok(missing.kind === "corrupt" && missing.detail.includes(path), JSON.stringify(missing));
    world.machine.tables.set(path, { ...table, openIn: undefined, state: { rows: new Map(), applied: 0 } });
    const older = (await world.worker()).outcome;
    assert.ok(older.kind === "corrupt" && older.detail.includes("is an older state"), JSON.stringify(older));
  }
});

Deno.test("recovery: a lock file that is emptied, damaged or removed hides nothing", async () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(9_000), undefined]) {
    const world = new World();
    await world.writeAndDie({ a: "1" });
    await world.writeAndDie({ a: "2", b: "2" });
    if (bytes === undefined) world.machine.names.delete("/db/locks/00");
    else world.setContent("/db/locks/00", bytes);
    const { entities } = await world.worker();
    assert.deepEqual(await state(entities), { a: "2", b: "2" });
    assert.equal(world.events.some((event) => event.kind === "lock_content_damaged"), bytes?.length === 9_000);
  }
});

type Bytes = Uint8Array<ArrayBuffer>;

/** Ways in which the newer content of a lock file can get lost. */
const LOSSES: readonly ((bytes: Bytes, newer: number) => Bytes)[] = [
  (bytes, newer) => {
    bytes[newer * SLOT_BYTES + 40]! ^= 0x04;
    return bytes;
  },
  (bytes, newer) => bytes.fill(0, newer * SLOT_BYTES, (newer + 1) * SLOT_BYTES),
  (bytes, newer) => newer === 1 ? bytes.slice(0, SLOT_BYTES) : bytes.fill(0x20, 0, SLOT_BYTES),
];

function loseNewer(world: World, lose: typeof LOSSES[number]): void {
  const bytes = world.content("/db/locks/00").slice();
  world.setContent("/db/locks/00", lose(bytes, decodeLockContent(bytes).newest!.generation % 2));
}

Deno.test("recovery: a lock file whose newer half is damaged hides nothing", async () => {
  for (const lose of LOSSES) {
    for (const writers of [2, 3]) {
      const world = new World();
      for (let n = 1; n <= writers; n++) await world.writeAndDie({ a: `${n}`, [`b${n}`]: `${n}` });
      loseNewer(world, lose);
      const { entities } = await world.worker();
      const all = Array.from({ length: writers }, (_, n) => [`b${n + 1}`, `${n + 1}`]);
      assert.deepEqual(await state(entities), { a: `${writers}`, ...Object.fromEntries(all) });
      assert.ok(world.events.some((event) => event.kind === "lock_content_damaged"));
    }
  }
});

Deno.test("recovery: what half a lock file remembers of the table still counts", async () => {
  for (const lose of LOSSES) {
    const world = new World();
    for (const value of ["1", "2"]) {
      const { entities } = await world.worker();
      await write(entities, { a: value });
      await entities.close();
    }
    loseNewer(world, lose);
    const path = "/db/partitions/00.db";
    const table = world.machine.tables.get(path)!;
    world.machine.tables.set(path, { ...table, openIn: undefined, state: { rows: new Map(), applied: 0 } });
    const { outcome } = await world.worker();
    assert.ok(outcome.kind === "corrupt" && outcome.detail.includes("is an older state"), JSON.stringify(outcome));
    world.machine.tables.delete(path);
    assert.equal((await world.worker()).outcome.kind, "corrupt");
  }
});

Deno.test("recovery: a log that a lock file names and that is emptied, or has lost its beginning, is refused", async () => {
  for (const length of [0, 10]) {
    const world = new World();
    await world.writeAndDie({ a: "1" });
    const [path] = world.logs();
    const whole = world.content(path!);
    world.setContent(path!, whole.slice(0, length));
    const { entities, outcome } = await world.worker();
    assert.ok(outcome.kind === "corrupt" && outcome.detail.includes("is not a log any more"), JSON.stringify(outcome));
    // Somebody brings it back while the partition is asked for again and again.
    world.setContent(path!, whole);
    let taken: TakeOutcome = outcome as TakeOutcome;
    for (let n = 0; n < 200 && taken.kind !== "taken"; n++) {
      world.clock.fire();
      await settled();
      taken = await entities.take(P);
    }
    assert.deepEqual(taken, { kind: "taken", recovered: 1 });
  }
});

Deno.test("recovery: a table that has lost what was checkpointed into it is refused, also when its owner was killed", async () => {
  const world = new World();
  const { disk, entities } = await world.worker();
  const table = world.machine.tables.get("/db/partitions/00.db")!;
  await write(entities, { a: "1" });
  const before = table.state;
  while (entities.stats().checkpoints === 0) {
    assert.ok(world.clock.fire());
    await settled();
  }
  assert.notEqual(table.state, before);
  disk.kill();
  table.state = before;
  const { outcome } = await world.worker();
  assert.ok(outcome.kind === "corrupt" && outcome.detail.includes("is an older state"), JSON.stringify(outcome));
});

Deno.test("recovery: a log of another store or writer is refused", async () => {
  const [world, other] = [new World(), new World(2)];
  await world.writeAndDie({ a: "1" });
  await other.writeAndDie({ a: "other" });
  world.setContent(world.logs()[0]!, other.content(other.logs()[0]!));
  const { outcome } = await world.worker();
  assert.ok(outcome.kind === "corrupt" && outcome.detail.includes("it belongs to"), JSON.stringify(outcome));
});

Deno.test("recovery: a full disk refuses writes, serves reads, and works again by itself", async () => {
  const world = new World();
  let full = false;
  const disk = world.machine.process((_, operation) => {
    if (!full || !["append", "create", "apply"].includes(operation)) return undefined;
    return { effect: operation === "append" ? "partial" : "none", error: "full" };
  });
  const { clock, random } = world;
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random });
  const entities = await store.openEntities("worker");
  await entities.take(P);
  await write(entities, { a: "1", b: "1" });
  full = true;
  for (let round = 0; round < 3; round++) {
    await assert.rejects(() => write(entities, { a: "2" }), { name: "StorageError", reason: "unavailable" });
    assert.deepEqual(await state(entities), { a: "1", b: "1" });
    clock.fire();
    await settled();
  }
  full = false;
  await write(entities, { a: "3" });
  assert.deepEqual(await state(entities), { a: "3", b: "1" });
  disk.kill();
  world.machine.crash("lost");
  assert.deepEqual(await state((await world.worker()).entities), { a: "3", b: "1" });
});

Deno.test("recovery: after a failed sync the doubtful group is out for good, and the next one holds", async () => {
  for (const effect of ["none", "partial", "full"] as const) {
    const world = new World();
    let failing = false;
    const disk = world.machine.process((_, operation, path) => {
      if (!failing || operation !== "sync" || !path.startsWith(LOGS)) return undefined;
      failing = false;
      return { effect, error: "failed" };
    });
    const { clock, random } = world;
    const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random });
    const entities = await store.openEntities("worker");
    await entities.take(P);
    await write(entities, { a: "1" });
    failing = true;
    await assert.rejects(() => write(entities, { a: "lost", b: "lost" }), { reason: "unavailable" });
    await write(entities, { a: "2" });
    disk.kill();
    world.machine.crash("kept");
    assert.deepEqual(await state((await world.worker()).entities), { a: "2" });
  }
});

Deno.test("recovery: while no log can be started a failed sync leaves the group unknown, and reads as before", async () => {
  const world = new World();
  let failing = false;
  const disk = world.machine.process((_, operation, path) => {
    if (!failing || !path.startsWith(LOGS) || (operation !== "sync" && operation !== "create")) return undefined;
    return { effect: operation === "sync" ? "full" : "none", error: "failed" };
  });
  const { clock, random } = world;
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random });
  const entities = await store.openEntities("worker");
  await entities.take(P);
  await write(entities, { a: "1" });
  failing = true;
  let decided = false;
  await assert.rejects(() => write(entities, { a: "2" }), (error: StorageError) => {
    error.decided!.then(() => decided = true);
    return error.reason === "unknown";
  });
  await assert.rejects(() => write(entities, { a: "3" }), { reason: "unavailable", decided: undefined });
  await assert.rejects(() => entities.release(P), { reason: "unavailable" });
  assert.deepEqual(await state(entities), { a: "1" });
  assert(!decided);
  failing = false;
  await write(entities, { b: "1" });
  assert(decided);
  disk.kill();
  world.machine.crash("lost");
  assert.deepEqual(await state((await world.worker()).entities), { a: "1", b: "1" });
});

Deno.test("recovery: a log file that could not be begun, nor removed, does not cut off the one before it", async () => {
  const world = new World();
  let failing = false;
  const disk = world.machine.process((_, operation, path) => {
    const isNext = failing && path.endsWith("-2.log") && (operation === "sync" || operation === "remove");
    return isNext ? { effect: operation === "sync" ? "full" : "none", error: "failed" } : undefined;
  });
  const { clock, random } = world;
  const bounds = { checkpointBytes: 1 };
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random, bounds });
  const entities = await store.openEntities("worker");
  await entities.take(P);
  failing = true;
  await write(entities, { a: "1" });
  await settled();
  assert.ok(world.logs().some((path) => path.endsWith("-2.log")));
  await write(entities, { a: "2" });
  disk.kill();
  assert.deepEqual(await state((await world.worker()).entities), { a: "2" });
});

Deno.test("recovery: a group that did not fit is gone even if only its removal is lost in a crash", async () => {
  const world = new World();
  let failing = false;
  const disk = world.machine.process((_, operation, path) => {
    if (!failing || operation !== "append" || !path.startsWith(LOGS)) return undefined;
    failing = false;
    return { effect: "full", error: "full" };
  });
  const { clock, random } = world;
  const store = await openDirectoryStore({ root: "/db", create: { partitions: 1 } }, { disk, clock, random });
  const entities = await store.openEntities("worker");
  await entities.take(P);
  await write(entities, { a: "1" });
  failing = true;
  await assert.rejects(() => write(entities, { a: "2" }), { reason: "unavailable" });
  disk.kill();
  world.machine.crash("untruncated");
  assert.deepEqual(await state((await world.worker()).entities), { a: "1" });
});

Deno.test("recovery: a log that its writer is about to lock is not taken for a dead writer's", async () => {
  const [clock, random, machine] = [new TestClock(), new SeededRandom(1), new MemoryMachine()];
  const [directory, store, writer] = ["/db/log", "store", "0".repeat(32)];
  const recovery = new Recovery({ disk: machine.process(), clock, directory, store });
  const path = `${directory}/${logName(writer, 1)}`;
  machine.create(path);
  assert.deepEqual(await recovery.recover([writer], P, 0, false), { changes: new Map(), last: 0 });
  // The writer goes on where it was: it locks and begins the file, writes, and is killed.
  machine.names.delete(path);
  const disk = machine.process();
  const log = await WriterLog.open(writer, { disk, clock, random, directory, store });
  const envelope = new Uint8Array([1]);
  await log.append(encodeRecords([{ partition: P, sequence: 1, name: nameOf("s", "a"), envelope }]), () => {});
  disk.kill();
  const { changes, last } = await recovery.recover([writer], P, 0, false);
  assert.deepEqual([[...changes.keys()], last], [[nameOf("s", "a")], 1]);
  // Another file that nobody came to begin says nothing about those before it.
  machine.create(`${directory}/${logName(writer, 2)}`);
  recovery.close();
  assert.equal((await recovery.recover([writer], P, 0, false)).last, 1);
  recovery.close();
});

Deno.test("recovery: however many partitions are taken at once, a dead writer's log is read once", async () => {
  const [clock, random, machine] = [new TestClock(), new SeededRandom(1), new MemoryMachine()];
  const partitions = 16;
  const reads: string[] = [];
  const worker = async () => {
    const disk = machine.process((_, operation, path) => {
      if (operation === "readFile" && path.startsWith(LOGS)) reads.push(path);
      return undefined;
    });
    const store = await openDirectoryStore({ root: "/db", create: { partitions } }, { disk, clock, random });
    const entities = await store.openEntities("worker");
    const all = Array.from({ length: partitions }, (_, partition) => partition as Partition);
    const outcomes = await Promise.all(all.map((partition) => entities.take(partition)));
    return { disk, entities, all, recovered: outcomes.map((outcome) => outcome.kind === "taken" && outcome.recovered) };
  };
  const first = await worker();
  await Promise.all(first.all.map((partition) => {
    const envelope = new Uint8Array(1);
    return first.entities.commit({ partition, name: nameOf("s", `${partition}`), envelope, expected: undefined });
  }));
  first.disk.kill();
  reads.length = 0;
  const next = await worker();
  assert.deepEqual(next.recovered, next.all.map(() => 1));
  assert.equal(reads.length, 1);
});

Deno.test("recovery: owners that die one after the other while they write the lock file do not bring an old one back", async () => {
  const world = new World();
  await world.writeAndDie({ a: "1" });
  await world.writeAndDie({ a: "2" });
  const dieAt = (dying: string, effect: "none" | "partial"): FaultPlan => (_, operation, path) =>
    path === "/db/locks/00" && operation === dying ? { effect, error: "crash" } : undefined;
  const beforeSync = await world.worker(dieAt("sync", "none"));
  assert.equal(beforeSync.outcome.kind, "unavailable");
  const halfWritten = await world.worker(dieAt("write", "partial"));
  assert.equal(halfWritten.outcome.kind, "unavailable");
  world.machine.crash("halved");
  assert.deepEqual(await state((await world.worker()).entities), { a: "2" });
});

Deno.test("recovery: a log that begins and is not durable yet takes nothing back when it is lost", async () => {
  const world = new World();
  let syncs = 0;
  const first = await world.worker((_, operation, path) => {
    if (!path.startsWith(LOGS)) return undefined;
    // The sync of the log's first group of writes fails, and the process dies before the next log's is done.
    if (operation === "sync" && ++syncs === 2) return { effect: "full", error: "failed" };
    return operation === "sync" && syncs === 3 ? { effect: "none", error: "crash" } : undefined;
  });
  // A worker that was there before, because a new one makes all names in the directory durable when it begins its log.
  const second = await world.worker();
  assert.equal(second.outcome.kind, "held");
  await assert.rejects(() => write(first.entities, { a: "1" }), { reason: "unknown" });
  assert.equal((await second.entities.take(P)).kind, "taken");
  const seen = await state(second.entities);
  await write(second.entities, { b: "2" });
  second.disk.kill();
  world.machine.crash("lost");
  assert.deepEqual(await state((await world.worker()).entities), { ...seen, b: "2" });
});
