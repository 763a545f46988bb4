import assert from "assert";
import fc from "fast-check";
import { assign } from "./assignment.ts";

function loads(after: readonly (string | undefined)[], workers: readonly string[]): number[] {
  return workers.map((worker) => after.filter((w) => w === worker).length);
}

Deno.test("assign: nobody there, nobody owns", () => {
  assert.deepEqual(assign(["a", undefined], []), [undefined, undefined]);
});

Deno.test("assign: a join at 64 partitions and 10 workers moves 64/11 partitions", () => {
  const ten = Array.from({ length: 10 }, (_, i) => `w${i}`);
  const before = assign(new Array(64).fill(undefined), ten);
  const after = assign(before, [...ten, "w10"]);
  assert.equal(after.filter((w, p) => w !== before[p]).length, 5);
});

Deno.test("assign: every history of joins and leaves is balanced and moves the least", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  fc.assert(fc.property(
    fc.constantFrom(1, 2, 8, 64, 128),
    fc.array(fc.subarray(names), { minLength: 1, maxLength: 12 }),
    (partitions, history) => {
      let before: (string | undefined)[] = new Array(partitions).fill(undefined);
      for (const workers of history) {
        const after = assign(before, workers);
        if (workers.length === 0) {
          assert(after.every((w) => w === undefined));
          continue;
        }
        assert(after.every((w) => w !== undefined && workers.includes(w)));
        const load = loads(after, workers);
        assert(Math.max(...load) - Math.min(...load) <= 1);
        // The least that must move: what has no living owner, and what is above the larger share.
        const share = Math.floor(partitions / workers.length);
        let larger = partitions % workers.length;
        let stay = 0;
        for (const n of loads(before, workers).sort((a, b) => b - a)) {
          stay += Math.min(n, share + (larger-- > 0 ? 1 : 0));
        }
        assert.equal(after.filter((w, p) => w === before[p]).length, stay);
        before = after;
      }
    },
  ));
});
