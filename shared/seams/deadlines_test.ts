import assert from "assert";
import fc from "fast-check";
import { type Deadline, Deadlines, deadlinesOf } from "./deadlines.ts";
import { ManualClock } from "./manual_clock.ts";

Deno.test("deadlines: each that is not ended expires in its time, with one timer for all", async () => {
  const clock = new ManualClock();
  const deadlines = deadlinesOf(clock);
  assert.equal(deadlinesOf(clock), deadlines);
  assert.notEqual(deadlinesOf(new ManualClock()), deadlines);
  const expired: string[] = [];
  const begin = (name: string) => deadlines.begin(1_000, () => expired.push(name));
  const a = begin("a");
  await clock.advance(300);
  begin("b");
  await clock.advance(300);
  const c = begin("c");
  assert.equal(clock.timers, 1);
  deadlines.end(a);
  await clock.advance(699);
  assert.deepEqual(expired, []);
  await clock.advance(1);
  assert.deepEqual(expired, ["b"]);
  deadlines.end(c);
  await clock.advance(10_000);
  assert.deepEqual(expired, ["b"]);
  assert.equal(clock.timers, 0);
  begin("d");
  await clock.advance(1_000);
  assert.deepEqual(expired, ["b", "d"]);
  assert.equal(clock.timers, 0);
});

Deno.test("deadlines: the timer is stopped on request, once nothing is open", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const deadline = deadlines.begin(1_000, () => assert.fail());
  deadlines.rest();
  assert.equal(clock.timers, 1);
  deadlines.end(deadline);
  assert.equal(clock.timers, 1);
  deadlines.rest();
  assert.equal(clock.timers, 0);
});

Deno.test("property: whatever their lengths, deadlines expire in their time, unless they are ended before", async () => {
  const plan = fc.array(
    fc.record({
      waitMs: fc.nat(20),
      lengthMs: fc.integer({ min: 1, max: 60 }),
      endAfterMs: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined }),
    }),
    { maxLength: 12 },
  );
  await fc.assert(fc.asyncProperty(plan, async (plan) => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const expired = new Map<number, number>();
    const open: { n: number; deadline: Deadline; dueMs: number; endMs: number }[] = [];
    let nowMs = 0;
    let end = 200;
    const tick = async () => {
      await clock.advance(1);
      nowMs += 1;
      for (const { deadline, endMs } of open) if (endMs === nowMs) deadlines.end(deadline);
      assert(clock.timers <= 1);
    };
    for (const [n, { waitMs, lengthMs, endAfterMs }] of plan.entries()) {
      for (let i = 0; i < waitMs; i++) await tick();
      const begunMs = nowMs;
      const deadline = deadlines.begin(lengthMs, () => {
        assert(!expired.has(n));
        expired.set(n, nowMs + 1);
      });
      open.push({ n, deadline, dueMs: begunMs + lengthMs, endMs: endAfterMs ? begunMs + endAfterMs : Infinity });
    }
    while (end-- > 0) await tick();
    for (const { n, dueMs, endMs } of open) assert.equal(expired.get(n), endMs < dueMs ? undefined : dueMs);
    assert.equal(clock.timers, 0);
  }));
});
