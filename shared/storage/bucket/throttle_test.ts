import assert from "assert";
import fc from "fast-check";
import { StorageError } from "../store.ts";
import { Throttle, type Turn } from "./throttle.ts";

const forever = new AbortController().signal;

Deno.test("no more requests run than the limit, and those that wait come in their order", async () => {
  const throttle = new Throttle(2, 10);
  const turns = [throttle.tryTake()!, throttle.tryTake()!];
  assert.equal(throttle.tryTake(), undefined);
  const order: number[] = [];
  const waiting = [0, 1, 2].map((index) => throttle.wait(forever).then((turn) => (order.push(index), turn)));
  throttle.done(turns[0]!, "ok");
  const third = await waiting[0]!;
  assert.deepEqual(order, [0]);
  // Nobody passes those that wait.
  assert.equal(throttle.tryTake(), undefined);
  throttle.done(third, "ok");
  throttle.done(turns[1]!, "ok");
  for (const turn of await Promise.all(waiting.slice(1))) throttle.done(turn, "ok");
  assert.deepEqual(order, [0, 1, 2]);
  assert.equal(throttle.running, 0);
});

Deno.test("the queue is bounded, and an aborted wait leaves it", async () => {
  const throttle = new Throttle(1, 1);
  const turn = throttle.tryTake()!;
  const controller = new AbortController();
  const waiting = throttle.wait(controller.signal);
  await assert.rejects(throttle.wait(forever), StorageError);
  controller.abort("enough");
  assert.equal(await waiting.catch((reason) => reason), "enough");
  assert.equal(throttle.waiting, 0);
  throttle.done(turn, "ok");
  assert.notEqual(throttle.tryTake(), undefined);
});

Deno.test("the limit halves once for all that were under way together, and grows back by one a round", () => {
  const throttle = new Throttle(64, 0);
  const turns = Array.from({ length: 64 }, () => throttle.tryTake()!);
  for (const turn of turns) throttle.done(turn, "throttled");
  assert.equal(throttle.limit, 32);
  const succeed = (count: number) => {
    for (let index = 0; index < count; index++) throttle.done(throttle.tryTake()!, "ok");
  };
  succeed(31);
  assert.equal(throttle.limit, 32);
  succeed(1);
  assert.equal(throttle.limit, 33);
  for (let halvings = 0; halvings < 10; halvings++) throttle.done(throttle.tryTake()!, "throttled");
  assert.equal(throttle.limit, 1);
  succeed(10_000);
  assert.equal(throttle.limit, 64);
});

Deno.test("whatever happens, running and limit stay within their bounds and nobody is forgotten", async () => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 1, max: 8 }),
    fc.array(fc.constantFrom("take", "ok", "failed", "throttled"), { maxLength: 200 }),
    async (max, steps) => {
      const throttle = new Throttle(max, 1_000);
      const running: Turn[] = [];
      let asked = 0;
      for (const step of steps) {
        if (step === "take") {
          asked++;
          throttle.wait(forever).then((turn) => running.push(turn));
        } else if (running.length > 0) {
          throttle.done(running.shift()!, step);
          asked--;
        }
        await Promise.resolve();
        assert.ok(throttle.running <= max);
        assert.ok(throttle.limit >= 1 && throttle.limit <= max);
        assert.equal(throttle.running + throttle.waiting, asked);
      }
      while (asked-- > 0) {
        await Promise.resolve();
        throttle.done(running.shift()!, "ok");
      }
      assert.equal(throttle.running + throttle.waiting, 0);
    },
  ));
});
