/** Random work of several workers with random faults, kills and crashes, from one seed: no acknowledged write is lost. */
import assert from "assert";
import { type EntityName, type Partition, partitionOf } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { MemoryMachine, type MemoryProcess } from "../faults/memory_disk.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { settled, TestClock } from "../faults/test_clock.ts";
import { WriteHistory } from "../faults/write_history.ts";
import { StorageError, type Store } from "../store.ts";
import { type DirectoryBounds } from "./bounds.ts";
import { type DirectoryEntities } from "./entities.ts";
import { openDirectoryStore } from "./store.ts";

const SEEDS = Number(Deno.env.get("STORAGE_SEEDS") ?? 300);
const FIRST_SEED = Number(Deno.env.get("STORAGE_SEED") ?? 1);
const ROUNDS = 12;
const ACTIONS = 12;
const WORKERS = 3;
const PARTITIONS = 4;
const NAMES = Array.from({ length: 12 }, (_, index) => nameOf(index % 2 ? "a" : "b", `k${index}`));

/** Small enough that every one is reached. */
const BOUNDS: Partial<DirectoryBounds> = {
  checkpointBytes: 1_500,
  checkpointDirtyBytes: 1_200,
  stepRows: 2,
  groupBytes: 400,
  dirtyBytes: 6_000,
  logBytes: 6_000,
  queueBytes: 5_000,
  writers: 3,
};

interface Worker {
  readonly disk: MemoryProcess;
  readonly store: Store;
  readonly entities: DirectoryEntities;
  readonly owned: Set<number>;
}

class Simulation {
  readonly machine = new MemoryMachine();
  readonly history = new WriteHistory();
  readonly random: SeededRandom;
  clock = new TestClock();
  workers: Worker[] = [];
  faultRate = 0;
  #values = 0;
  #round = 0;

  constructor(readonly seed: number) {
    this.random = new SeededRandom(seed);
  }

  get where(): string {
    return `STORAGE_SEED=${this.seed} round ${this.#round}`;
  }

  async start(): Promise<void> {
    const disk = this.machine.process(() => {
      if (this.random.unit() >= this.faultRate) return undefined;
      return { effect: this.random.pick(["none", "partial", "full"]), error: this.random.pick(["full", "failed"]) };
    });
    try {
      const store = await openDirectoryStore({ root: "/db", create: { partitions: PARTITIONS } }, {
        disk,
        clock: this.clock,
        random: this.random,
        bounds: BOUNDS,
      });
      const entities = await store.openEntities("worker");
      this.workers.push({ disk, store, entities, owned: new Set() });
    } catch (error) {
      this.#mayFail(error);
      disk.kill();
    }
  }

  /** An error is fine as long as operations fail on purpose, and is never called damage. */
  #mayFail(error: unknown): void {
    if (!(error instanceof StorageError) || error.reason === "corrupt") throw error;
    assert.ok(this.faultRate > 0, `${this.where}: ${error.message}`);
  }

  async run(): Promise<void> {
    for (; this.#round < ROUNDS; this.#round++) {
      this.faultRate = this.random.pick([0, 0.02, 0.2]);
      while (this.workers.length < WORKERS && (this.workers.length === 0 || this.random.unit() < 0.7)) {
        await this.start();
        if (this.workers.length === 0) this.faultRate = 0;
      }
      for (let action = 0; action < ACTIONS && this.workers.length > 0; action++) await this.#act();
      await this.#trouble();
    }
    await this.#end();
  }

  async #act(): Promise<void> {
    const worker = this.random.pick(this.workers);
    const others: Promise<void>[] = [];
    if (this.random.unit() < 0.4) others.push(this.#take(worker, this.random.below(PARTITIONS)));
    if (this.random.unit() < 0.15) others.push(this.#release(worker, this.random.below(PARTITIONS)));
    if (this.random.unit() < 0.3) this.clock.fire();
    if (this.random.unit() < 0.8) others.push(this.#commit(this.random.pick(this.workers)));
    if (this.random.unit() < 0.3) others.push(this.#read(this.random.pick(this.workers)));
    if (this.random.unit() < 0.05) others.push(this.#kill(this.random.pick(this.workers), this.random.below(30)));
    await Promise.all(others);
  }

  async #take(worker: Worker, partition: number): Promise<void> {
    if (worker.owned.has(partition)) return;
    const outcome = await worker.entities.take(partition as Partition);
    if (outcome.kind === "taken") worker.owned.add(partition);
    if (outcome.kind === "unavailable") {
      assert.ok(this.faultRate > 0 || worker.disk.dead, `${this.where}: ${outcome.detail}`);
    }
    assert.notEqual(outcome.kind, "corrupt", `${this.where}: ${JSON.stringify(outcome)}`);
  }

  async #release(worker: Worker, partition: number): Promise<void> {
    if (!worker.owned.delete(partition)) return;
    try {
      await worker.entities.release(partition as Partition);
    } catch (error) {
      if (worker.disk.dead) return;
      this.#mayFail(error);
      worker.owned.add(partition);
    }
  }

  /** Writes a few names of one owner at once. */
  async #commit(worker: Worker): Promise<void> {
    const names = NAMES.filter((name) => worker.owned.has(partitionOf(name, PARTITIONS)) && this.random.unit() < 0.4);
    await Promise.all(names.map((name) => this.#write(worker, name)));
  }

  async #write(worker: Worker, name: EntityName): Promise<void> {
    const value = this.random.unit() < 0.2 ? undefined : `v${++this.#values}${"x".repeat(this.random.below(200))}`;
    const envelope = value === undefined ? undefined : new TextEncoder().encode(value);
    const written = this.history.begin(name, value);
    try {
      const partition = partitionOf(name, PARTITIONS);
      await worker.entities.commit({ partition, name, envelope, expected: undefined });
      if (!worker.disk.dead) written.answer = "committed";
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (error.reason !== "unknown" && !worker.disk.dead) written.answer = "refused";
    }
  }

  async #read(worker: Worker): Promise<void> {
    await settled();
    for (const name of NAMES) {
      const partition = partitionOf(name, PARTITIONS);
      if (!worker.owned.has(partition) || worker.disk.dead) continue;
      const stored = await worker.entities.read(partition, name).catch(() => "gone" as const);
      if (stored === "gone" || worker.disk.dead) continue;
      const allowed = this.history.allowed(name);
      const value = stored && new TextDecoder().decode(stored.envelope);
      assert.ok(allowed.includes(value), `${this.where}: reads ${name} as ${value}; allowed: ${allowed.join(" or ")}`);
    }
  }

  async #kill(worker: Worker, afterSteps: number): Promise<void> {
    const target = worker.disk.steps + afterSteps;
    for (let turn = 0; turn < 200 && worker.disk.steps < target; turn++) await Promise.resolve();
    worker.disk.kill();
    this.workers = this.workers.filter((other) => other !== worker);
  }

  /** The end of a round: a worker leaves or dies, or the machine crashes, or nothing. */
  async #trouble(): Promise<void> {
    const choice = this.random.unit();
    if (choice < 0.2 && this.workers.length > 0) {
      const worker = this.random.pick(this.workers);
      this.workers = this.workers.filter((other) => other !== worker);
      await worker.store.close().catch((error) => this.#mayFail(error));
      worker.disk.kill();
    } else if (choice < 0.5 && this.workers.length > 0) {
      await this.#kill(this.random.pick(this.workers), 0);
    } else if (choice < 0.8) {
      for (const worker of this.workers) worker.disk.kill();
      this.workers = [];
      await settled();
      if (this.random.unit() < 0.7) {
        this.machine.crash(this.random.pick(["lost", "kept", "halved", "zeroed", "untruncated"]));
        this.clock = new TestClock();
      }
      await this.#inspect();
    }
  }

  /** A worker without faults takes everything and reads it: what it finds is final. */
  async #inspect(): Promise<Worker> {
    this.faultRate = 0;
    await this.start();
    const worker = this.workers.at(-1)!;
    for (let partition = 0; partition < PARTITIONS; partition++) await this.#take(worker, partition);
    assert.equal(worker.owned.size, PARTITIONS, this.where);
    for (const name of NAMES) {
      const stored = await worker.entities.read(partitionOf(name, PARTITIONS), name);
      this.history.found(name, stored && new TextDecoder().decode(stored.envelope), true, this.where);
    }
    return worker;
  }

  async #end(): Promise<void> {
    for (const worker of this.workers) worker.disk.kill();
    this.workers = [];
    await settled();
    await this.#inspect();
    this.workers[0]!.disk.kill();
    this.workers = [];
    this.machine.crash("lost");
    this.clock = new TestClock();
    const { disk, store, entities } = await this.#inspect();
    let counted = 0;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (const count of (await entities.counts(partition as Partition)).values()) counted += count;
    }
    assert.equal(counted, NAMES.filter((name) => this.history.allowed(name)[0] !== undefined).length, this.where);
    assert.equal((await store.lockMain("main")).kind, "locked");
    while (entities.stats().checkpoints === 0) {
      assert.ok(this.clock.fire());
      await settled();
    }
    await store.close();
    assert.equal(disk.openFiles, 0, `${this.where}: files stay open`);
    const left = [...this.machine.names.keys()].filter((path) => path.endsWith(".tmp") || path.endsWith(".log"));
    assert.deepEqual(left, [], `${this.where}: files are left`);
  }
}

Deno.test(`random faults: ${SEEDS} seeds from ${FIRST_SEED}`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) await new Simulation(seed).run();
});
