import assert from "assert";
import { REPEATED_OPERATIONS_MAX } from "../../shared/limits.ts";
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

Deno.test("floors: an attempt that was given up does not run after a later one, although an older batch still runs", () => {
  const floors = new BatchFloors(() => {});
  const first = { opId: "a", attempt: 1 };
  const second = { opId: "a", attempt: 2 };
  assert(floors.begin("d", 5, 5));
  // The first attempt was sent in batch 6, which is still on its way.
  assert(floors.begin("d", 7, 5) && floors.admit("d", 7, second));
  assert(floors.begin("d", 6, 5), "batch 5 keeps the floor down");
  assert(!floors.admit("d", 6, first));
  assert(floors.admit("d", 6, { opId: "b", attempt: 1 }), "the rest of the batch is not concerned");
  assert(floors.admit("other", 6, first), "another dispatcher's operations are its own");
  assert(floors.begin("d", 8, 5) && floors.admit("d", 8, second), "sent again without having been lost");
  floors.raise("d", 8);
  assert(!floors.admit("d", 8, first));
  floors.raise("d", 9);
  assert(!floors.begin("d", 8, 5), "from here on the floor keeps out whatever is older");
  assert(floors.admit("d", 9, first), "and what it keeps out is not remembered");
});

Deno.test("floors: repeated operations are remembered up to a bound, and refused beyond it", () => {
  const floors = new BatchFloors(() => {});
  assert(floors.begin("d", 1, 1));
  for (let n = 0; n < REPEATED_OPERATIONS_MAX; n++) assert(floors.admit("d", 1, { opId: `${n}`, attempt: 2 }));
  assert(!floors.admit("d", 1, { opId: "one more", attempt: 2 }));
  assert(floors.admit("d", 1, { opId: "one more", attempt: 1 }));
  assert(floors.admit("d", 1, { opId: "0", attempt: 3 }));
  floors.raise("d", 2);
  assert(floors.admit("d", 2, { opId: "one more", attempt: 2 }));
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
