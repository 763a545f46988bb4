import assert from "assert";
import fc from "fast-check";
import type { Json } from "./dialect.ts";
import { canonicalText, findDuplicate, isMultiple, ValueSet } from "./equality.ts";
import { Meter } from "./meter.ts";

function meter(): Meter {
  const meter = new Meter();
  meter.reset(1_000_000);
  return meter;
}

const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
/** The same value with its names in another order. */
function reordered(value: Json): Json {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== "object" || value === null) return value;
  const copy: { [name: string]: Json } = Object.create(null);
  for (const name of Object.keys(value).reverse()) copy[name] = reordered(value[name]!);
  return copy;
}

Deno.test("property: two values have one text if and only if they are equal", () => {
  fc.assert(fc.property(json, json, (a, b) => {
    const equal = canonicalText(a, meter()) === canonicalText(b, meter());
    let expected = true;
    try {
      assert.deepEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
    } catch {
      expected = false;
    }
    assert.equal(equal, expected);
    assert.equal(canonicalText(a, meter()), canonicalText(reordered(a), meter()));
  }));
});

Deno.test("property: duplicates are found, and sets hold what was put in", () => {
  fc.assert(fc.property(fc.array(json, { maxLength: 20 }), json, (items, item) => {
    const texts = items.map((value) => canonicalText(value, meter()));
    const found = findDuplicate(items, meter());
    assert.equal(found === undefined, new Set(texts).size === items.length);
    if (found) assert.equal(texts[found[0]], texts[found[1]]);
    assert.notEqual(findDuplicate([...items, item, reordered(item)], meter()), undefined);
    const set = new ValueSet(items, meter());
    for (const value of items) assert.ok(set.has(reordered(value)));
    assert.equal(set.has(item), texts.includes(canonicalText(item, meter())));
  }));
});

Deno.test("property: multiples are those of the decimals", () => {
  const decimal = fc.tuple(fc.integer({ min: -1_000_000, max: 1_000_000 }), fc.integer({ min: -6, max: 6 }));
  fc.assert(fc.property(decimal, decimal, fc.nat(1_000), ([a, e], [b, f], times) => {
    fc.pre(b !== 0);
    const scale = Math.min(e, f);
    const [value, unit] = [Number(`${a}e${e}`), Number(`${b}e${f}`)];
    const [whole, part] = [BigInt(a) * 10n ** BigInt(e - scale), BigInt(b) * 10n ** BigInt(f - scale)];
    assert.equal(isMultiple(value, unit, meter()), whole % part === 0n, `${value} of ${unit}`);
    assert.equal(isMultiple(Number(`${b * times}e${f}`), unit, meter()), true);
  }));
  assert.equal(isMultiple(Infinity, 1, meter()), false);
  assert.equal(isMultiple(1e308, 0.5, meter()), true);
  assert.equal(isMultiple(5e-324, 5e-324, meter()), true);
});
