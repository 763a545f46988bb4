import assert from "assert";
import { BatchFloors } from "./batch_floors.ts";

Deno.test("floors: a batch that was given up does not begin, one that runs is waited for", () => {
  let told = 0;
  const floors = new BatchFloors(() => told += 1);
  assert(floors.begin("d", 5, 1));
  floors.raise("d", 8);
  assert(!floors.begin("d", 7, 1));
  assert(floors.begin("d", 8, 1));
  assert.deepEqual(floors.report(), [{ dispatcher: "d", floor: 5 }]);
  floors.end("d", 8);
  assert.equal(told, 0);
  floors.end("d", 5);
  assert.equal(told, 1);
  assert.deepEqual(floors.report(), [{ dispatcher: "d", floor: 8 }]);
  floors.raise("d", 3);
  assert.deepEqual(floors.report(), [{ dispatcher: "d", floor: 8 }], "floors only grow");
});

Deno.test("floors: dispatchers have their own numbers; the oldest idle ones are forgotten", () => {
  const floors = new BatchFloors(() => {});
  assert(floors.begin("busy", 1, 0));
  floors.raise("a", 9);
  assert(floors.begin("b", 1, 0));
  floors.end("b", 1);
  for (let n = 0; n < 300; n++) floors.raise(`d${n}`, 1);
  const known = floors.report().map(({ dispatcher }) => dispatcher);
  assert(known.length <= 256);
  assert(known.includes("busy") && known.includes("d299") && !known.includes("a"));
});
