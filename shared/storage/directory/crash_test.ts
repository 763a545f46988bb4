/** A crash, or one failing operation, at every step of everything that the engine does: no acknowledged write is lost. */
import assert from "assert";
import { type EntityName, type Partition, partitionOf } from "../../names.ts";
import { type Random } from "../../seams/random.ts";
import { nameOf } from "../conformance.ts";
import { type Fault, type FaultPlan, MemoryMachine, type MemoryProcess, type Unsynced } from "../faults/memory_disk.ts";
import { settled, TestClock } from "../faults/test_clock.ts";
import { WriteHistory } from "../faults/write_history.ts";
import { type Entities, StorageError, type Store } from "../store.ts";
import { openDirectoryStore } from "./store.ts";

const PARTITIONS = 2;
const ROOT = "/db";
const NAMES = Array.from({ length: 6 }, (_, index) => nameOf("s", `k${index}`));

/** Bytes that are the same in every run. */
function countingRandom(): Random {
  let count = 0;
  const bytes = (size: number) => Uint8Array.from({ length: size }, (_, index) => (++count * 131 + index * 17) & 0xff);
  return { bytes, unit: () => 0.5 };
}

/** One try of the scenario: processes on one machine, one clock, one history of writes. */
class Run {
  readonly machine = new MemoryMachine();
  readonly history = new WriteHistory();
  readonly clock = new TestClock();
  readonly random = countingRandom();
  #values = 0;

  open(disk: MemoryProcess): Promise<Store> {
    const { clock, random } = this;
    return openDirectoryStore({ root: ROOT, create: { partitions: PARTITIONS } }, { disk, clock, random });
  }

  async write(entities: Entities, name: EntityName, remove = false): Promise<void> {
    const value = remove ? undefined : `v${++this.#values}`;
    const written = this.history.begin(name, value);
    const envelope = value === undefined ? undefined : new TextEncoder().encode(value);
    const partition = partitionOf(name, PARTITIONS);
    try {
      await entities.commit({ partition, name, envelope, expected: undefined });
      written.answer = "committed";
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (error.reason !== "unknown") written.answer = "refused";
    }
  }

  /** Reads every name; what is found must be allowed, and stay. */
  async check(entities: Entities, where: string): Promise<number> {
    let count = 0;
    for (const name of NAMES) {
      const stored = await entities.read(partitionOf(name, PARTITIONS), name);
      if (stored !== undefined) count++;
      this.history.found(name, stored && new TextDecoder().decode(stored.envelope), true, where);
    }
    return count;
  }

  /** As `check`, and the counts too. To count is a checkpoint, so this hides what only the logs hold. */
  async checkCounts(entities: Entities, where: string): Promise<void> {
    const count = await this.check(entities, where);
    let counted = 0;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (const value of (await entities.counts(partition as Partition))!.values()) counted += value;
    }
    assert.equal(counted, count, `${where}: counts`);
  }

  /** Takes all partitions, which must be possible. */
  async takeAll(entities: Entities, where: string): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const outcome = await entities.take(partition as Partition);
      assert.equal(outcome.kind, "taken", `${where}: ${JSON.stringify(outcome)}`);
    }
  }

  /** Lets time pass until these entities were checkpointed, if they can be. */
  async checkpoint(entities: Entities): Promise<void> {
    const before = entities.stats().checkpoints;
    for (let fired = 0; fired < 10 && entities.stats().checkpoints === before && this.clock.fire(); fired++) {
      await settled();
    }
  }

  /** A new process that takes and reads everything. */
  async inspect(where: string): Promise<{ disk: MemoryProcess; store: Store; entities: Entities }> {
    const disk = this.machine.process();
    const store = await this.open(disk);
    assert.equal((await store.lockMain(where)).kind, "locked", where);
    const entities = await store.openEntities(where);
    await this.takeAll(entities, where);
    await this.check(entities, where);
    return { disk, store, entities };
  }

  /** As before; then ends in order, which must leave nothing but what a store is made of. */
  async finish(where: string): Promise<void> {
    const { disk, store, entities } = await this.inspect(where);
    await this.checkCounts(entities, where);
    await this.checkpoint(entities);
    assert.ok(entities.stats().checkpoints > 0, where);
    await store.close();
    assert.equal(disk.openFiles, 0, `${where}: files stay open`);
    const left = [...this.machine.names.keys()].filter((path) => path.endsWith(".tmp") || path.endsWith(".log"));
    assert.deepEqual(left, [], `${where}: files are left`);
  }
}

/** Writes, a checkpoint, more writes, a handover to a second worker, a handover back, and an orderly end. */
async function scenario(run: Run, first: MemoryProcess, second: MemoryProcess): Promise<void> {
  const [a, b, c, d, e, f] = NAMES as [EntityName, EntityName, EntityName, EntityName, EntityName, EntityName];
  const one = await (await run.open(first)).openEntities("one");
  await one.take(0 as Partition);
  await one.take(1 as Partition);
  await Promise.all([run.write(one, a), run.write(one, b), run.write(one, c), run.write(one, d)]);
  await run.write(one, a);
  await Promise.all([run.checkpoint(one), run.write(one, e), run.write(one, b, true)]);
  await run.write(one, c, true);
  await run.write(one, f);
  const two = await (await run.open(second)).openEntities("two");
  await one.release(partitionOf(c, PARTITIONS)).catch(expected);
  const outcome = await two.take(partitionOf(c, PARTITIONS));
  if (outcome.kind === "taken") {
    await Promise.all([run.write(two, c), run.write(one, f)]);
    await run.checkpoint(two);
    await two.close();
  }
  await one.take(partitionOf(c, PARTITIONS));
  await Promise.all([run.write(one, c), run.write(one, d)]);
  await one.close();
  await two.close();
}

function expected(error: unknown): void {
  if (!(error instanceof StorageError)) throw error;
}

/** Runs the scenario with a fault at one step of the first process; whether that step was reached. */
async function runWithFault(run: Run, step: number, fault: Fault, victim: "first" | "second"): Promise<boolean> {
  let reached = false;
  const plan: FaultPlan = (at) => {
    if (at !== step) return undefined;
    reached = true;
    return fault;
  };
  const [first, second] = victim === "first"
    ? [run.machine.process(plan), run.machine.process()]
    : [run.machine.process(), run.machine.process(plan)];
  try {
    await scenario(run, first, second);
  } catch (error) {
    // The scenario ends where a process can't go on.
    expected(error);
  }
  await settled();
  first.kill();
  second.kill();
  return reached;
}

const EFFECTS: readonly Fault["effect"][] = ["none", "partial", "full"];
const LEFTOVERS: readonly (Unsynced | "process")[] = ["process", "lost", "kept", "halved", "zeroed", "untruncated"];

for (const victim of ["first", "second"] as const) {
  Deno.test(`crash: the ${victim} process at every step, then all of them or the machine`, async () => {
    for (let step = 0, reached = true; reached; step++) {
      for (const effect of EFFECTS) {
        for (const left of LEFTOVERS) {
          const run = new Run();
          const where = `crash at step ${step}, effect ${effect}, ${left}`;
          reached = await runWithFault(run, step, { effect, error: "crash" }, victim);
          if (left !== "process") run.machine.crash(left);
          const next = await run.inspect(where);
          await run.write(next.entities, NAMES[0]!);
          // What was read must survive the loss of everything that was not synced.
          next.disk.kill();
          run.machine.crash("lost");
          await run.finish(`${where}, again`);
        }
      }
    }
  });
}

for (const victim of ["first", "second"] as const) {
  Deno.test(`faults: one failing operation of the ${victim} process, at every step`, async () => {
    for (let step = 0, reached = true; reached; step++) {
      for (const effect of EFFECTS) {
        for (const error of ["full", "failed"] as const) {
          for (const left of ["process", "lost", "kept", "untruncated"] as const) {
            const run = new Run();
            const where = `${error} at step ${step}, effect ${effect}, ${left}`;
            reached = await runWithFault(run, step, { effect, error }, victim);
            if (left !== "process") run.machine.crash(left);
            const next = await run.inspect(where);
            next.disk.kill();
            run.machine.crash("lost");
            await run.finish(`${where}, again`);
          }
        }
      }
    }
  });
}
