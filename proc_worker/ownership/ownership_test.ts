import assert from "assert";
import { silentLogger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import { ManualClock } from "../../shared/seams/manual_clock.ts";
import type { TakeOutcome } from "../../shared/storage/store.ts";
import { MemoryEntities } from "../execute/testing.ts";
import { Ownership } from "./ownership.ts";

function start() {
  const clock = new ManualClock();
  const entities = new MemoryEntities();
  const state = { told: "", changes: 0, dropped: [] as number[], taken: [] as number[], released: [] as number[] };
  entities.takes = (partition) => (state.taken.push(partition), { kind: "taken", recovered: 0 });
  entities.releases = (partition) => void state.released.push(partition);
  const ownership = new Ownership(entities, clock, silentLogger, {
    changed: () => {
      state.told = report();
      state.changes += 1;
    },
    dropped: (partition) => state.dropped.push(partition),
  });
  const report = () => {
    const failing = ownership.failing().map(({ partition, reason }) => `${partition} ${reason}`);
    return JSON.stringify([serving(ownership), ownership.releasing(), failing]);
  };
  state.told = report();
  /** Lets happen what can, of which the main worker must have been told all. */
  const settle = async (ms = 0) => {
    await clock.advance(ms);
    assert.equal(state.told, report());
  };
  const assign = async (epoch: number, assigned: Record<number, number>) => {
    ownership.assign(
      epoch,
      Object.entries(assigned).map(([partition, epoch]) => ({ partition: Number(partition) as Partition, epoch })),
    );
    await settle();
  };
  return { clock, entities, ownership, state, assign, settle };
}

const p = (partition: number) => partition as Partition;
const serving = (ownership: Ownership) => ownership.serving().map(({ partition, epoch }) => `${partition}@${epoch}`);

Deno.test("ownership: takes what is assigned, gives up what no longer is, and says so", async () => {
  const { ownership, state, assign } = start();
  await assign(5, { 0: 3, 1: 4 });
  assert.deepEqual(serving(ownership), ["0@3", "1@4"]);
  assert.equal(ownership.epoch, 5);
  const told = state.changes;
  assert(told > 0);
  await assign(6, { 1: 4 });
  assert.deepEqual(serving(ownership), ["1@4"]);
  assert.deepEqual([state.released, state.dropped], [[0], [0]]);
  assert(state.changes > told);
});

Deno.test("ownership: an assignment that is older than the last is ignored", async () => {
  const { ownership, assign } = start();
  await assign(6, { 0: 6 });
  await assign(5, {});
  await assign(6, {});
  assert.deepEqual(serving(ownership), ["0@6"]);
});

Deno.test("ownership: only what is served may be entered, and only for routes that are not older", async () => {
  const { ownership, assign } = start();
  await assign(5, { 0: 5 });
  assert(!ownership.enter(p(0), 4));
  assert(!ownership.enter(p(1), 9));
  assert(ownership.enter(p(0), 5));
  ownership.leave(p(0));
});

Deno.test("ownership: a new epoch is served when the operations of the one before have ended", async () => {
  const { ownership, assign, state, settle } = start();
  await assign(5, { 0: 5 });
  assert(ownership.enter(p(0), 5));
  assert(ownership.enter(p(0), 5));
  await assign(8, { 0: 8 });
  assert.deepEqual(serving(ownership), []);
  assert(!ownership.enter(p(0), 8), "the earlier ones are still at work");
  assert.deepEqual(ownership.holding(), [0]);
  ownership.leave(p(0));
  await settle(0);
  assert.deepEqual(serving(ownership), []);
  ownership.leave(p(0));
  await settle(0);
  assert.deepEqual(serving(ownership), ["0@8"]);
  assert.deepEqual([state.taken, state.released], [[0], []], "the lock was kept");
  assert.deepEqual(state.dropped, [], "and with it what is cached");
  const { changes } = state;
  assert(ownership.enter(p(0), 8));
  ownership.leave(p(0));
  assert.equal(state.changes, changes, "that an operation ends concerns nobody now");
});

Deno.test("ownership: without locks a new epoch begins with nothing cached, once the operations before it have ended", async () => {
  const { entities, ownership, assign, state, settle } = start();
  entities.exclusive = false;
  await assign(5, { 0: 5, 1: 5 });
  assert(ownership.enter(p(0), 5));
  await assign(8, { 0: 8, 1: 5 });
  assert.deepEqual(state.dropped, [], "one of them may still fill the cache");
  ownership.leave(p(0));
  await settle(0);
  assert.deepEqual([state.dropped, serving(ownership)], [[0], ["0@8", "1@5"]]);
});

Deno.test("ownership: after a lapse a partition is served again when what had begun before has ended", async () => {
  const { entities, ownership, assign, state, settle } = start();
  entities.exclusive = false;
  await assign(5, { 0: 5, 1: 5, 2: 5 });
  assert(ownership.enter(p(0), 5));
  assert(ownership.enter(p(2), 5));
  ownership.lapse();
  await assign(6, { 0: 5, 1: 5 });
  assert.deepEqual([0, 1, 2].map((partition) => ownership.lapsed(p(partition))), [true, false, true]);
  assert.deepEqual([state.dropped, serving(ownership)], [[1], ["1@5"]]);
  assert(!ownership.enter(p(0), 6), "what comes must not mix with what may not write");
  ownership.leave(p(0));
  ownership.leave(p(2));
  await settle(0);
  assert.deepEqual([0, 1, 2].map((partition) => ownership.lapsed(p(partition))), [false, false, false]);
  assert.deepEqual([serving(ownership), state.released], [["0@5", "1@5"], [2]]);
  assert(ownership.enter(p(0), 6));
});

Deno.test("ownership: where a lock keeps others out, a lapse changes nothing", async () => {
  const { ownership, assign, state } = start();
  await assign(5, { 0: 5 });
  assert(ownership.enter(p(0), 5));
  ownership.lapse();
  assert.deepEqual([ownership.lapsed(p(0)), state.dropped, serving(ownership)], [false, [], ["0@5"]]);
});

Deno.test("ownership: a partition is released when its operations have ended; assigned again, it is taken again", async () => {
  const { ownership, assign, state, settle } = start();
  await assign(5, { 0: 5 });
  assert(ownership.enter(p(0), 5));
  await assign(6, {});
  assert.deepEqual(ownership.releasing(), [0]);
  await assign(7, { 0: 7 });
  assert.deepEqual(ownership.releasing(), [0], "what has begun is finished first");
  ownership.leave(p(0));
  await settle(0);
  assert.deepEqual(state.released, [0]);
  assert.deepEqual(serving(ownership), ["0@7"]);
});

Deno.test("ownership: a lock that is held, and storage that fails, are tried again until they are not", async () => {
  const { ownership, assign, entities, settle } = start();
  const outcomes: (TakeOutcome | Error)[] = [
    { kind: "held", by: "another" },
    { kind: "unavailable", detail: "the disk is away" },
    new Error("a bug"),
  ];
  entities.takes = () => {
    const outcome = outcomes.shift() ?? { kind: "taken", recovered: 0 } as const;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  await assign(5, { 0: 5 });
  assert.deepEqual(ownership.failing(), [{ partition: 0, reason: "held", detail: "another" }]);
  assert.deepEqual(ownership.holding(), []);
  await settle(100);
  assert.deepEqual(ownership.failing(), [{ partition: 0, reason: "unavailable", detail: "the disk is away" }]);
  await assign(6, { 0: 6 });
  await settle(100);
  assert.equal(ownership.failing()[0]!.reason, "unavailable");
  await settle(100);
  assert.deepEqual(serving(ownership), ["0@6"]);
  assert.deepEqual(ownership.failing(), []);
});

Deno.test("ownership: what could not be taken and is no longer assigned is forgotten", async () => {
  const { clock, ownership, assign, entities } = start();
  entities.takes = () => ({ kind: "held", by: "another" });
  await assign(5, { 0: 5 });
  await assign(6, {});
  assert.deepEqual(ownership.failing(), []);
  assert.equal(clock.timers, 0);
});

Deno.test("ownership: what was taken away while it was being taken is released", async () => {
  const { ownership, assign, entities, state, settle } = start();
  const taking = Promise.withResolvers<TakeOutcome>();
  entities.takes = () => taking.promise;
  await assign(5, { 0: 5 });
  await assign(6, {});
  taking.resolve({ kind: "taken", recovered: 0 });
  await settle(0);
  assert.deepEqual(state.released, [0]);
  assert.deepEqual([serving(ownership), ownership.holding()], [[], []]);
});

Deno.test("ownership: a release that fails is tried again, and the lock counts as held until it is done", async () => {
  const { ownership, assign, entities, state, settle } = start();
  let failures = 2;
  entities.releases = (partition) => {
    if (failures-- > 0) throw new Error("the disk is full");
    state.released.push(partition);
  };
  await assign(5, { 0: 5 });
  await assign(6, {});
  assert.deepEqual([ownership.releasing(), state.released], [[0], []]);
  await settle(200);
  assert.deepEqual([ownership.releasing(), state.released], [[], [0]]);
});

Deno.test("ownership: only some partitions are taken at the same time", async () => {
  const { ownership, assign, entities, settle } = start();
  let running = 0;
  let most = 0;
  const ends: (() => void)[] = [];
  entities.takes = async () => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running -= 1;
    return { kind: "taken", recovered: 0 };
  };
  await assign(5, Object.fromEntries(Array.from({ length: 30 }, (_, n) => [n, 5])));
  while (ends.length > 0) {
    ends.shift()!();
    await settle(0);
  }
  assert.equal(most, 8);
  assert.equal(ownership.serving().length, 30);
});

Deno.test("ownership: closing waits for operations, releases everything and takes nothing more", async () => {
  const { ownership, assign, state, settle } = start();
  await assign(5, { 0: 5, 1: 5 });
  assert(ownership.enter(p(0), 5));
  let closed = false;
  const closing = ownership.close().then(() => closed = true);
  await settle(0);
  assert(!closed);
  assert.deepEqual(state.released, [1]);
  ownership.leave(p(0));
  await closing;
  assert.deepEqual(state.released, [1, 0]);
  await assign(9, { 0: 9 });
  assert.deepEqual(ownership.holding(), []);
});
