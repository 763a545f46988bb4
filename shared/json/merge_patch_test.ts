import assert from "assert";
import fc from "fast-check";
import { JSON_DEPTH_MAX } from "../limits.ts";
import { applyMergePatch } from "./merge_patch.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const BYTES_MAX = 1_000_000;

function patched(document: string, patch: string): string {
  const result = applyMergePatch(encode(document), encode(patch), BYTES_MAX);
  assert.ok(result.kind === "patched", JSON.stringify(result));
  return new TextDecoder("utf-8", { fatal: true }).decode(result.document);
}

Deno.test("the test cases of RFC 7396, appendix A", () => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [["a", "b"], ["c", "d"], ["c", "d"]],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [document, patch, result] of cases) {
    assert.equal(patched(JSON.stringify(document), JSON.stringify(patch)), JSON.stringify(result));
  }
});

Deno.test("what the patch does not touch keeps its bytes", () => {
  const kept = '"d":1.10,"n":12345678901234567890,"e":1e400,"s":"\\u00e9\\/\\ud800","o":{"x":-0.0,"x":0}';
  assert.equal(patched(`{${kept},"gone":1}`, '{"gone":null,"new":2.50}'), `{${kept},"new":2.50}`);
  assert.equal(patched(`{"in":{"gone":1,${kept}}}`, '{"in":{"gone":null}}'), `{"in":{${kept}}}`);
  assert.equal(patched(`{${kept}}`, "{}"), `{${kept}}`);
  assert.equal(patched(`{${kept}}`, '{"absent":null}'), `{${kept}}`);
});

Deno.test("white space is kept, and what is added is laid out like what is there", () => {
  const document = '{\n  "a": 1,\n  "b": { "c": 2 },\n  "d": 3\n}';
  assert.equal(patched(document, '{"a":null}'), '{\n  "b": { "c": 2 },\n  "d": 3\n}');
  assert.equal(patched(document, '{"d":null}'), '{\n  "a": 1,\n  "b": { "c": 2 }\n}');
  assert.equal(patched(document, '{"b":{"e":[4]}}'), '{\n  "a": 1,\n  "b": { "c": 2, "e": [4] },\n  "d": 3\n}');
  assert.equal(patched(document, '{"e":4}'), '{\n  "a": 1,\n  "b": { "c": 2 },\n  "d": 3,\n  "e": 4\n}');
  assert.equal(patched(document, '{"a":null,"b":null,"d":null}'), "{\n}");
  assert.equal(patched(" { } ", '{"a":1}'), '{"a":1 }');
  assert.equal(patched(' {"a" : 1 , "b" : 2 } ', '{"a":9}'), '{"a" : 9 , "b" : 2 }');
});

Deno.test("names are compared as the strings that they are", () => {
  assert.equal(patched('{"\\u0061":1,"b":2}', '{"a":3}'), '{"\\u0061":3,"b":2}');
  assert.equal(patched('{"a":1}', '{"\\u0061":null}'), "{}");
  assert.equal(patched('{"\\ud800":1,"\\ud801":2}', '{"\\ud801":null}'), '{"\\ud800":1}');
  assert.equal(patched('{"é":1,"😀":2}', '{"\\u00e9":3,"\\ud83d\\ude00":null}'), '{"é":3}');
});

Deno.test("of a name that appears twice the last member counts, and the patch leaves one of it", () => {
  assert.equal(patched('{"a":1,"a":{"x":1},"b":2}', '{"a":{"y":2}}'), '{"a":{"x":1,"y":2},"b":2}');
  assert.equal(patched('{"a":1,"b":2,"a":3}', '{"a":4}'), '{"b":2,"a":4}');
  assert.equal(patched('{"a":1,"b":2,"a":3}', '{"a":null}'), '{"b":2}');
  assert.equal(patched('{"a":1,"b":2,"a":3}', '{"b":null}'), '{"a":1,"a":3}');
  assert.equal(patched('{"a":1}', '{"a":null,"a":2}'), '{"a":2}');
  assert.equal(patched('{"a":1}', '{"a":2,"a":null}'), "{}");
  assert.equal(patched("{}", '{"a":{"b":1,"b":2}}'), '{"a":{"b":2}}');
});

Deno.test("__proto__ is a name like any other", () => {
  assert.equal(patched('{"__proto__":{"a":1},"b":2}', '{"__proto__":{"c":3}}'), '{"__proto__":{"a":1,"c":3},"b":2}');
  assert.equal(patched("{}", '{"__proto__":{"polluted":true}}'), '{"__proto__":{"polluted":true}}');
  assert.equal(patched('{"constructor":1,"toString":2}', '{"constructor":null}'), '{"toString":2}');
  assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
});

Deno.test("null is removed from objects that are new, and stays in arrays", () => {
  assert.equal(
    patched("{}", '{"a":{"b":null,"c":{"d":null,"e":1.0}},"f":[null,{"g":null}]}'),
    '{"a":{"c":{"e":1.0}},"f":[null,{"g":null}]}',
  );
  assert.equal(patched("1", '{"a":null}'), "{}");
  assert.equal(patched("{}", '{"a": { "b": 1 } }'), '{"a":{ "b": 1 }}');
});

Deno.test("the result has memory of its own", () => {
  for (const [document, patch] of [['{"a":1}', "{}"], ["1", "[2]"], ["1", '{"a":1}']]) {
    const [a, b] = [encode(document!), encode(patch!)];
    const result = applyMergePatch(a, b, BYTES_MAX);
    assert.ok(result.kind === "patched");
    assert.notEqual(result.document.buffer, a.buffer);
    assert.notEqual(result.document.buffer, b.buffer);
  }
});

Deno.test("a patch that is not JSON is refused", () => {
  const refuse = (patch: string) => {
    const result = applyMergePatch(encode('{"a":1}'), encode(patch), BYTES_MAX);
    assert.ok(result.kind === "failed", patch);
    return result.code;
  };
  for (const patch of ["{", '{"a"}', '{"a":1,}', '{"a":{"b":01}}', '{"a":nul}', "{} 1", '{"a":1]', '\ufeff{"a":1}']) {
    assert.equal(refuse(patch), "bad_json", patch);
  }
  assert.equal(refuse(" "), "empty");
});

Deno.test("a stored document that is not JSON is no fault of the client", () => {
  for (const document of ['{"a":', '{"a":1} x', "[1,]", "", '{"b":1,}']) {
    const result = applyMergePatch(encode(document), encode('{"b":1}'), BYTES_MAX);
    assert.ok(result.kind === "failed" && result.code === "internal", document);
  }
});

Deno.test("depth and size are bounded", () => {
  const nest = (depth: number, leaf: string) => '{"a":'.repeat(depth) + leaf + "}".repeat(depth);
  assert.equal(patched(nest(JSON_DEPTH_MAX, "1"), nest(JSON_DEPTH_MAX, "2")), nest(JSON_DEPTH_MAX, "2"));
  for (const deep of [nest(JSON_DEPTH_MAX + 1, "2"), nest(JSON_DEPTH_MAX, "[]"), "[".repeat(1_000_000)]) {
    const result = applyMergePatch(encode("{}"), encode(deep), BYTES_MAX);
    assert.ok(result.kind === "failed" && result.code === "bad_json");
    assert.match(result.message, /deeper than 128/);
  }
  const fits = applyMergePatch(encode('{"a":1}'), encode('{"b":2}'), 13);
  assert.equal(fits.kind, "patched");
  const large = applyMergePatch(encode('{"a":1}'), encode('{"b":2}'), 12);
  assert.ok(large.kind === "failed" && large.code === "too_large");
  // A layout that is repeated for every new member grows the result by far more than the patch has bytes.
  const wide = `{${" ".repeat(10_000)}"a":1}`;
  const many = `{${Array.from({ length: 10_000 }, (_, i) => `"k${i}":1`).join(",")}}`;
  assert.equal(applyMergePatch(encode(wide), encode(many), BYTES_MAX).kind, "failed");
});

/** RFC 7396, section 2, on values. Maps keep `__proto__` a name. */
type Value = null | boolean | number | string | Value[] | Map<string, Value>;

function toValue(parsed: unknown): Value {
  if (Array.isArray(parsed)) return parsed.map(toValue);
  if (parsed !== null && typeof parsed === "object") {
    return new Map(Object.keys(parsed).map((name) => [name, toValue((parsed as Record<string, unknown>)[name])]));
  }
  return parsed as Value;
}

function merge(target: Value | undefined, patch: Value): Value {
  if (!(patch instanceof Map)) return patch;
  const result = new Map(target instanceof Map ? target : []);
  for (const [name, value] of patch) {
    if (value === null) result.delete(name);
    else result.set(name, merge(result.get(name), value));
  }
  return result;
}

/** JSON text whose names collide often, with duplicates, escapes and white space. */
const text = fc.letrec<{ value: string }>((tie) => {
  const space = fc.constantFrom("", "", "", " ", "\n  ");
  const name = fc.constantFrom('"a"', '"b"', '"\\u0061"', '"c"', '"__proto__"', '"toString"');
  const member = fc.tuple(space, name, space, space, tie("value"), space).map((parts) =>
    `${parts[0]}${parts[1]}${parts[2]}:${parts[3]}${parts[4]}${parts[5]}`
  );
  const object = fc.array(member, { maxLength: 5 }).map((members) => `{${members.join(",")}}`);
  return {
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom("null", "1", "1.10", "true", '"\\u0061"', '""'),
      object,
      object,
      fc.array(tie("value"), { maxLength: 2 }).map((values) => `[${values.join(",")}]`),
    ),
  };
}).value;

Deno.test("property: agrees with a merge of the parsed values", () => {
  fc.assert(
    fc.property(text, text, (document, patch) => {
      const expected = merge(toValue(JSON.parse(document)), toValue(JSON.parse(patch)));
      assert.deepEqual(toValue(JSON.parse(patched(document, patch))), expected);
    }),
    { numRuns: 10_000 },
  );
});

Deno.test("property: a patch applied twice changes nothing more, and an empty one nothing at all", () => {
  fc.assert(
    fc.property(text, text, (document, patch) => {
      const once = patched(document, patch);
      assert.deepEqual(JSON.parse(patched(once, patch)), JSON.parse(once));
      if (document.startsWith("{")) assert.equal(patched(document, "{}"), document);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("property: no bytes make it throw", () => {
  const piece = fc.constantFrom('{"a":', '"b":', "}", "[", "]", ",", '"', "\\", "null", "1", " ", "é", "{", "\u0000");
  const noise = fc.array(piece, { maxLength: 10 }).map((pieces) => encode(pieces.join("")));
  const bytes = fc.oneof(noise, fc.uint8Array({ maxLength: 20 }), text.map(encode));
  fc.assert(fc.property(bytes, bytes, (a, b) => void applyMergePatch(a, b, 64)), { numRuns: 20_000 });
});
