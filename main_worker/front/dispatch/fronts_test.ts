/** Writes of one entity that come through several fronts of a main worker take turns. */
import assert from "assert";
import { parseEntityKey } from "../../../shared/names.ts";
import { ManualClock, settled } from "../../../shared/seams/manual_clock.ts";
import { CoherenceTable } from "../cache/coherence.ts";
import type { Answer } from "./dispatcher.ts";
import { dispatching, routes, SCHEMA, stored } from "./testing.ts";

type Dispatching = ReturnType<typeof dispatching>;

const code = ({ outcome }: Answer) => outcome.kind === "failed" ? outcome.code : outcome.kind;

function twoFronts() {
  const clock = new ManualClock();
  const coherence = new CoherenceTable(CoherenceTable.allocate(), clock);
  const beside = { clock, coherence, turn: (slot: number) => coherence.unlocked(slot, 1) };
  const front = () => dispatching(routes(1, "a"), "directory", beside);
  return { clock, one: front(), two: front() };
}

/** Until the other front has noticed: it waits in real time. */
async function sentBy({ workers }: Dispatching): Promise<void> {
  for (let tries = 0; workers.batches.length === 0; tries++) {
    assert.ok(tries < 1_000, "nothing was sent");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

Deno.test("fronts: a write is sent when the one of another front has been answered; other entities don't wait", async () => {
  const { one, two } = twoFronts();
  const first = one.put("k");
  await settled();
  const second = two.put("k");
  const other = two.put("other");
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(two.workers.batches.map(({ request }) => request.operations.length), [1]);
  assert.match(two.workers.batches[0]!.request.operations[0]!.name, /other/);
  two.workers.next().answer(stored(1));
  assert.equal(code(await other), "stored");
  one.workers.next().answer(stored(1));
  assert.equal(code(await first), "stored");
  await sentBy(two);
  two.workers.next().answer(stored(2));
  assert.equal(code(await second), "stored");
  // Both have given their turns back.
  const third = one.put("k");
  await sentBy(one);
  one.workers.next().answer(stored(3));
  assert.equal(code(await third), "stored");
  one[Symbol.dispose]();
  two[Symbol.dispose]();
});

Deno.test("fronts: a write that was given up while it waited for its turn is not sent any more, and holds nobody up", async () => {
  const { clock, one, two } = twoFronts();
  const first = one.put("k");
  await settled();
  const soon = two.operations.make("put", SCHEMA, parseEntityKey("k"), {});
  const second = two.dispatcher.submit(soon, undefined, 1_000);
  await clock.advance(1_200);
  assert.equal(code(await second), "no_worker");
  one.workers.next().answer(stored(1));
  assert.equal(code(await first), "stored");
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(two.workers.batches.length, 0);
  const third = two.put("k");
  await sentBy(two);
  two.workers.next().answer(stored(1));
  assert.equal(code(await third), "stored");
  one[Symbol.dispose]();
  two[Symbol.dispose]();
});
