import assert from "assert";
import fc from "fast-check";
import type { Partition } from "../../shared/names.ts";
import type { Epoch } from "../../shared/wire/messages.ts";
import { Placement } from "./placement.ts";

const PARTITIONS = 16;

/** A worker that does what it is told, when the test lets it. */
interface Model {
  owned: Map<Partition, Epoch>;
  epoch: Epoch;
  releasing: Set<Partition>;
}

type Step =
  | { kind: "join" | "leave" | "die" | "act" | "report"; worker: number }
  | { kind: "release"; worker: number };

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step["kind"]>("join", "leave", "die", "act", "report", "act", "report", "release"),
    worker: fc.integer({ min: 0, max: 4 }),
  }),
  { maxLength: 60 },
);

/** Runs workers against a placement and checks what must hold after each step. */
class Run {
  readonly placement = new Placement(PARTITIONS, 1_000, () => 0);
  readonly workers = new Map<string, Model>();
  readonly leaving = new Set<string>();
  /** The last owner of each partition, since it took it from another one. */
  readonly #takers: { readonly session: string; readonly epoch: number }[] = [];
  #lastEpoch = 1_000;
  #sessions = 0;

  step({ kind, worker }: Step): void {
    const sessions = [...this.workers.keys()];
    const session = sessions[worker % Math.max(1, sessions.length)];
    if (kind === "join" && sessions.length < 5) {
      const joined = `s${this.#sessions++}`;
      this.workers.set(joined, { owned: new Map(), epoch: 0, releasing: new Set() });
      this.placement.join(joined, []);
      this.#rebalance();
    } else if (session !== undefined) {
      if (kind === "die") {
        this.workers.delete(session);
        this.leaving.delete(session);
        this.placement.remove(session);
        this.#rebalance();
      } else if (kind === "leave") {
        this.leaving.add(session);
        this.#rebalance();
      } else if (kind === "act") this.act(session);
      else if (kind === "release") this.release(session);
      else if (kind === "report") this.report(session);
    }
    this.#check();
  }

  #rebalance(): void {
    this.placement.rebalance([...this.workers.keys()].filter((session) => !this.leaving.has(session)));
  }

  /** The worker takes what it was assigned, if nobody has it, and begins to give up what it was not. */
  act(session: string): void {
    const model = this.workers.get(session)!;
    const assigned = new Map(this.placement.assignedTo(session).map((a) => [a.partition, a.epoch]));
    model.epoch = this.placement.epoch;
    for (const partition of [...model.owned.keys()]) {
      if (!assigned.has(partition)) {
        model.owned.delete(partition);
        model.releasing.add(partition);
      }
    }
    for (const [partition, epoch] of assigned) {
      const held = [...this.workers.values()].some((other) =>
        other !== model && (other.owned.has(partition) || other.releasing.has(partition))
      );
      if (!held && !model.releasing.has(partition)) model.owned.set(partition, epoch);
    }
  }

  release(session: string): void {
    this.workers.get(session)!.releasing.clear();
  }

  report(session: string): void {
    const { owned, releasing, epoch } = this.workers.get(session)!;
    this.placement.report(session, {
      epoch,
      owned: [...owned].map(([partition, epoch]) => ({ partition, epoch })),
      releasing: [...releasing],
      failing: [],
    });
  }

  #check(): void {
    const { epoch, owners, takenEpochs } = this.placement.owners();
    assert(epoch >= this.#lastEpoch, "an epoch went back");
    this.#lastEpoch = epoch;
    const granted = new Map<Partition, string>();
    for (const session of this.workers.keys()) {
      for (const { partition } of this.placement.assignedTo(session)) {
        assert(!granted.has(partition), `${partition} is granted to two`);
        granted.set(partition, session);
      }
    }
    owners.forEach((owner, partition) => {
      if (typeof owner === "string") return;
      assert(this.workers.has(owner.session), "an owner that is gone");
      if (this.#takers[partition]?.session !== owner.session) this.#takers[partition] = owner;
      assert.equal(takenEpochs[partition], this.#takers[partition]!.epoch);
      // Whoever is said to serve a partition has it, and nobody else does.
      const holders = [...this.workers].filter(([, { owned, releasing }]) =>
        owned.has(partition as Partition) || releasing.has(partition as Partition)
      );
      assert.deepEqual(holders.map(([session]) => session), [owner.session]);
    });
  }

  /** Everybody does what is to be done, until nothing changes any more. */
  settle(): void {
    for (let round = 0; round < 8; round++) {
      for (const session of this.workers.keys()) {
        this.act(session);
        this.release(session);
        this.report(session);
        this.#check();
      }
    }
  }
}

Deno.test("placement: whatever comes, never two owners, epochs only grow, and in peace loads differ by at most one", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const run = new Run();
      for (const step of steps) run.step(step);
      run.settle();
      const present = [...run.workers.keys()].filter((session) => !run.leaving.has(session));
      const loads = present.map((session) => run.placement.servedBy(session).length);
      if (present.length === 0) {
        assert(run.placement.owners().owners.every((owner) => owner === "none"));
        return;
      }
      assert.equal(loads.reduce((a, b) => a + b, 0), PARTITIONS);
      assert(Math.max(...loads) - Math.min(...loads) <= 1);
      assert.deepEqual(run.placement.unserved(), []);
    }),
    { numRuns: 500 },
  );
});

Deno.test("placement: a join and a leave move only what they must", () => {
  const run = new Run();
  for (let n = 1; n <= 5; n++) {
    const before = run.placement.owners().owners;
    run.step({ kind: "join", worker: 0 });
    run.settle();
    const moved = run.placement.owners().owners.filter((owner, p) => {
      const was = before[p]!;
      return typeof was === "object" && typeof owner === "object" && was.session !== owner.session;
    }).length;
    assert.equal(moved, n === 1 ? 0 : Math.floor(PARTITIONS / n));
  }
});

Deno.test("placement: a partition that is revoked waits for its owner to give it up", () => {
  const run = new Run();
  run.step({ kind: "join", worker: 0 });
  run.settle();
  run.step({ kind: "join", worker: 0 });
  const moving = run.placement.owners().owners.flatMap((owner, p) => owner === "moving" ? [p] : []);
  assert.equal(moving.length, PARTITIONS / 2);
  assert.deepEqual(run.placement.assignedTo("s1"), []);
  // It has heard of it, and is not ready yet.
  run.act("s0");
  run.report("s0");
  assert.deepEqual(run.placement.assignedTo("s1"), []);
  run.release("s0");
  run.report("s0");
  assert.deepEqual(run.placement.assignedTo("s1").map(({ partition }) => partition), moving);
});

Deno.test("placement: a report from before the revocation frees nothing", () => {
  const run = new Run();
  run.step({ kind: "join", worker: 0 });
  run.act("s0");
  run.workers.get("s0")!.owned.clear();
  const old = run.workers.get("s0")!.epoch;
  run.placement.rebalance([]);
  run.placement.report("s0", { epoch: old, owned: [], releasing: [], failing: [] });
  run.placement.join("s1", []);
  run.placement.rebalance(["s1"]);
  assert.deepEqual(run.placement.assignedTo("s1"), [], "given to another while the first may still take it");
});

Deno.test("placement: a worker that held partitions before a restart keeps them, under a new epoch", () => {
  const placement = new Placement(4, 2_000, () => 0);
  placement.join("s0", [0, 1, 2, 3] as Partition[]);
  placement.rebalance(["s0"]);
  assert.deepEqual(placement.assignedTo("s0").map(({ partition }) => partition), [0, 1, 2, 3]);
  assert(placement.assignedTo("s0").every(({ epoch }) => epoch > 2_000));
  assert(placement.owners().owners.every((owner) => owner === "moving"), "served only once it says so");
});

Deno.test("placement: a lock that somebody holds is waited for, and after a while said to be no use to wait for", () => {
  let now = 0;
  const placement = new Placement(1, 0, () => now);
  placement.join("s0", []);
  placement.rebalance(["s0"]);
  const failing = (reason: "held" | "corrupt") =>
    placement.report("s0", {
      epoch: placement.epoch,
      owned: [],
      releasing: [],
      failing: [{ partition: 0 as Partition, reason, detail: "x" }],
    });
  failing("held");
  assert.deepEqual(placement.owners().owners, ["moving"]);
  now = 5_000;
  failing("held");
  assert.deepEqual(placement.owners().owners, ["none"]);
  assert.deepEqual(placement.unserved(), [{ partition: 0, sinceMs: 0, reason: "held: x" }]);
  failing("corrupt");
  assert.deepEqual(placement.owners().owners, ["none"], "damage is not waited for at all");
});

Deno.test("placement: a partition that comes back to its owner before it was given up was taken by nobody", () => {
  const run = new Run();
  run.step({ kind: "join", worker: 0 });
  run.settle();
  const before = run.placement.owners();
  run.step({ kind: "join", worker: 0 });
  run.placement.remove("s1");
  run.placement.rebalance(["s0"]);
  run.act("s0");
  run.report("s0");
  const { owners, takenEpochs } = run.placement.owners();
  assert(owners.some((owner, p) => typeof owner === "object" && owner.epoch > before.takenEpochs[p]!));
  assert.deepEqual(takenEpochs, before.takenEpochs);
});
