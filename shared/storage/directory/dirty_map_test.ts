/** The dirty map behaves as a sorted map. */
import assert from "assert";
import fc from "fast-check";
import { DirtyMap, mergeSorted } from "./dirty_map.ts";

const name = fc.stringMatching(/^[ab%_]{1,4}$/);

Deno.test("a dirty map is a map whose names are sorted, whenever one looks", () => {
  const change = fc.record({
    name,
    envelope: fc.option(fc.uint8Array({ maxLength: 9 }), { nil: undefined }),
    look: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(change), name, (changes, probe) => {
    const map = new DirtyMap();
    const model = new Map<string, Uint8Array | undefined>();
    for (const { name, envelope, look } of changes) {
      map.set(name, envelope);
      model.set(name, envelope);
      if (look) assert.deepEqual(map.names(), [...model.keys()].sort());
    }
    const names = [...model.keys()].sort();
    assert.equal(map.size, model.size);
    assert.deepEqual(map.names(), names);
    assert.equal(map.indexFrom(probe), names.filter((other) => other < probe).length);
    for (const [key, envelope] of model) assert.deepEqual(map.get(key), { envelope });
    const envelopes = [...model].reduce((sum, [key, envelope]) => sum + key.length + (envelope?.length ?? 0), 0);
    assert.equal(map.bytes - envelopes, new DirtyMap().bytes + 128 * model.size);
  }));
});

Deno.test("merging sorted lists is sorting them together, each once", () => {
  const sorted = fc.uniqueArray(name).map((names) => names.sort());
  fc.assert(fc.property(sorted, sorted, (left, right) => {
    assert.deepEqual(mergeSorted(left, right), [...new Set([...left, ...right])].sort());
  }));
});
