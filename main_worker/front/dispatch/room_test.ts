/** What waits in a dispatcher is bounded in each place where it may wait, and gives its room back when it leaves. */
import assert from "assert";
import { QUEUE_BYTES_MAX, QUEUE_OPERATIONS_MAX, REQUEST_DEADLINE_MS } from "../../../shared/limits.ts";
import { parseEntityKey } from "../../../shared/names.ts";
import { settled } from "../../../shared/seams/manual_clock.ts";
import type { Answer } from "./dispatcher.ts";
import { dispatching, routes, SCHEMA, stored } from "./testing.ts";

type Dispatching = ReturnType<typeof dispatching>;

const MIB = 1024 * 1024;
const payload = new Uint8Array(MIB);
/** Puts of one MiB, with their overhead, that a queue has room for. */
const FULL = QUEUE_BYTES_MAX / MIB - 1;

const code = ({ outcome }: Answer) => outcome.kind === "failed" ? outcome.code : outcome.kind;

function puts(d: Dispatching, count: number): Promise<Answer>[] {
  return Array.from({ length: count }, (_, n) => d.put(`k${n}`, { payload }));
}

async function answerAll({ workers }: Dispatching): Promise<void> {
  await settled();
  while (workers.batches.length > 0) {
    workers.next().answer(stored(1));
    await settled();
  }
}

function assertEmpty({ dispatcher }: Dispatching): void {
  const { depth, parked } = dispatcher;
  assert.deepEqual({ depth, parked }, { depth: 0, parked: 0 });
  for (const { workerId, ...waiting } of dispatcher.lines()) {
    assert.deepEqual(waiting, { batches: 0, operations: 0, bytes: 0 }, workerId);
  }
  assert.ok(dispatcher.admits(QUEUE_OPERATIONS_MAX, 0), "all operations have room");
  assert.ok(dispatcher.admits(1, QUEUE_BYTES_MAX - 1024), "all bytes have room");
}

Deno.test("room: what was answered, refused or given up gives its room back", async () => {
  using d = dispatching(routes(1, "a"));
  for (let round = 0; round < 3; round++) {
    const answers = puts(d, FULL);
    assert.equal(code(await d.put("one-more", { payload })), "overloaded");
    await answerAll(d);
    assert.deepEqual(new Set((await Promise.all(answers)).map(code)), new Set(["stored"]));
    assertEmpty(d);
  }
  const late = puts(d, FULL);
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.deepEqual(new Set((await Promise.all(late)).map(code)), new Set(["deadline", "no_worker"]));
  await answerAll(d);
  assertEmpty(d);
});

Deno.test("room: what is parked while its partition moves is bounded, and moves on to the new owner", async () => {
  // Two workers, so that there is more room in all than for what is parked.
  using d = dispatching(routes(1, "moving", "a", "b"));
  for (let round = 0; round < 3; round++) {
    d.control.publish({ routes: routes(2 * round + 2, "moving", "a", "b") });
    const answers = puts(d, FULL);
    assert.equal(d.dispatcher.parked, FULL);
    assert.ok(!d.dispatcher.admits(1, 2 * MIB));
    assert.equal(code(await d.put("one-more", { payload })), "overloaded");
    // A timer looks again from time to time: nothing changes, and nothing is counted twice.
    await d.clock.advance(200);
    assert.equal(d.dispatcher.parked, FULL);
    d.control.publish({ routes: routes(2 * round + 3, "a", "a", "b") });
    await answerAll(d);
    assert.deepEqual(new Set((await Promise.all(answers)).map(code)), new Set(["stored"]));
    assertEmpty(d);
  }
});

Deno.test("room: the line of one worker is bounded by itself, in operations and bytes", async () => {
  using d = dispatching(routes(1, "a", "b"));
  const bytes = puts(d, FULL + 20);
  assert.ok(!d.dispatcher.admits(1, 2 * MIB));
  await answerAll(d);
  const refused = (await Promise.all(bytes)).filter((answer) => code(answer) === "overloaded").length;
  assert.equal(refused, 20);
  assertEmpty(d);
  const operations = Array.from({ length: QUEUE_OPERATIONS_MAX }, (_, n) => d.get(`k${n}`));
  assert.equal(code(await d.get("one-more")), "overloaded");
  await answerAll(d);
  assert.deepEqual(new Set((await Promise.all(operations)).map(code)), new Set(["stored"]));
  assertEmpty(d);
});

Deno.test("room: what waited for a worker that is out waits for the next one, and counts there", async () => {
  using d = dispatching(routes(1, "a"));
  const answers = puts(d, FULL);
  await settled();
  d.control.publish({ routes: routes(2, "moving", "b") });
  assert.equal(d.dispatcher.parked, FULL);
  assert.deepEqual(d.dispatcher.lines().map(({ operations, bytes }) => [operations, bytes]), [[0, 0]]);
  // The first ones may have been executed, and keep their place; others that nobody saw have none beside them.
  assert.equal(code(await d.put("one-more", { payload })), "overloaded");
  d.workers.batches.length = 0;
  d.control.publish({ routes: routes(3, "b") });
  await answerAll(d);
  assert.deepEqual(new Set((await Promise.all(answers)).map(code)), new Set(["stored"]));
  assertEmpty(d);
});

Deno.test("room: what was refused for want of room leaves its slot resolved", async () => {
  using d = dispatching(routes(1, "moving", "a", "b"));
  const slot = d.coherence.slotOf(d.operations.make("get", SCHEMA, parseEntityKey("one-more"), {}).name);
  const refused = async (expected: string) => {
    const answers = puts(d, FULL);
    assert.equal(code(await d.put("one-more", { payload })), expected);
    assert.notEqual(d.coherence.stamp(slot), undefined);
    d.control.publish({ routes: routes(2, "a", "a", "b") });
    await answerAll(d);
    await Promise.all(answers);
  };
  await refused("overloaded");
  await refused("overloaded");
  d.control.publish({ routes: routes(3, "moving") });
  const parked = d.put("one-more");
  d.control.publish({ routes: routes(4, "none") });
  assert.equal(code(await parked), "no_worker");
  assert.notEqual(d.coherence.stamp(slot), undefined);
});

Deno.test("room: a write that may have had an effect is not refused for want of room when it comes again", async () => {
  using d = dispatching(routes(1, "a", "b"));
  const first = d.put("first", { payload });
  await settled();
  d.workers.next().fail("broken");
  await settled();
  assert.equal(d.dispatcher.parked, 1);
  const others = puts(d, FULL);
  // Its time to be routed anew comes while the line is full: nothing is answered meanwhile.
  d.control.publish({ routes: routes(2, "a", "b") });
  assert.equal(d.dispatcher.parked, 1);
  for (let rounds = 0; d.dispatcher.depth > 0; rounds++) {
    assert.ok(rounds < 100);
    await answerAll(d);
    await d.clock.advance(50);
  }
  assert.equal(code(await first), "stored");
  assert.deepEqual(new Set((await Promise.all(others)).map(code)), new Set(["stored"]));
  assertEmpty(d);
});
