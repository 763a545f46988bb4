import assert from "assert";
import { setImmediate } from "node:timers/promises";
import type { EntityName } from "../../shared/names.ts";
import { EntityOrder } from "./entity_order.ts";

const [a, b] = ["s_a", "s_b"] as unknown as [EntityName, EntityName];

Deno.test("entity order: work on a name waits for all before it, however that ends; other names don't wait", async () => {
  const order = new EntityOrder();
  const seen: string[] = [];
  const first = Promise.withResolvers<string>();
  const work = (what: string, ends: Promise<string> = Promise.resolve(what)) => () => {
    seen.push(what);
    return ends;
  };
  const results = [order.run(a, work("a1", first.promise)), order.run(a, work("a2")), order.run(b, work("b1"))];
  const failed = order.run(b, work("b2", Promise.reject(new Error("it failed"))));
  const last = order.run(b, work("b3"));
  assert.deepEqual(seen, ["a1", "b1"], "what has nothing before it begins at once");
  await assert.rejects(failed, /it failed/);
  assert.equal(await last, "b3");
  assert.deepEqual(seen, ["a1", "b1", "b2", "b3"]);
  first.resolve("a1");
  assert.deepEqual(await Promise.all(results), ["a1", "a2", "b1"]);
  assert.deepEqual(seen, ["a1", "b1", "b2", "b3", "a2"]);
});

Deno.test("entity order: a name is forgotten when nothing on it is under way, and not before", async () => {
  const order = new EntityOrder();
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const results = [order.run(a, () => first.promise), order.run(a, () => second.promise)];
  assert.equal(order.size, 1);
  first.resolve();
  await results[0];
  await setImmediate();
  assert.equal(order.size, 1, "the second one is under way");
  second.reject(new Error("it failed"));
  await assert.rejects(results[1]!);
  await setImmediate();
  assert.equal(order.size, 0);
});
