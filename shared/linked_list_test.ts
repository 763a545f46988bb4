import assert from "assert";
import fc from "fast-check";
import { type Linked, LinkedList, unlinked } from "./linked_list.ts";

interface Item extends Linked<Item> {
  readonly n: number;
}

Deno.test("property: a linked list is a Set in another form", () => {
  const steps = fc.array(fc.record({ add: fc.boolean(), n: fc.nat(7) }), { maxLength: 60 });
  fc.assert(fc.property(steps, (steps) => {
    const items = Array.from({ length: 8 }, (_, n): Item => ({ n, ...unlinked<Item>() }));
    const list = new LinkedList<Item>();
    const model = new Set<number>();
    for (const { add, n } of steps) {
      const item = items[n]!;
      assert.equal(item.listed, model.has(n));
      if (!add) assert.equal(list.remove(item), model.delete(n));
      else if (item.listed) assert.throws(() => list.add(item), /already/);
      else list.add(item), model.add(n);
      assert.deepEqual([...list].map(({ n }) => n), [...model]);
      assert.deepEqual([list.size, list.first?.n], [model.size, [...model][0]]);
    }
    for (const { listed, previous, next } of items) {
      if (!listed) assert.deepEqual([previous, next], [undefined, undefined]);
    }
  }));
});
