import assert from "assert";
import fc from "fast-check";
import { ENTITIES_PER_PUT_MAX, JSON_DEPTH_MAX } from "../limits.ts";
import { NameError, parseEntityKey } from "../names.ts";
import { sliceDocuments } from "./slicer.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function slice(body: string): [string, string][] {
  const sliced = sliceDocuments(encode(body));
  assert.equal(sliced.kind, "sliced", JSON.stringify(sliced));
  assert.ok(sliced.kind === "sliced");
  return sliced.documents.map(({ key, document }) => [key, decode(document)]);
}

function refusal(body: string): { code: string; message: string } {
  const sliced = sliceDocuments(encode(body));
  assert.ok(sliced.kind === "failed", body);
  return sliced;
}

Deno.test("documents come out byte for byte, without the white space around them", () => {
  assert.deepEqual(
    slice(' {"a" : 1.10 ,\n"b":{"n": 12345678901234567890, "e":1e400, "e":[ ]}\t,"c":"\\u00e9\\/"}\n'),
    [["a", "1.10"], ["b", '{"n": 12345678901234567890, "e":1e400, "e":[ ]}'], ["c", '"\\u00e9\\/"']],
  );
});

Deno.test("documents are views of the body", () => {
  const body = encode('{"k":[1]}');
  const sliced = sliceDocuments(body);
  assert.ok(sliced.kind === "sliced");
  assert.equal(sliced.documents[0]!.document.buffer, body.buffer);
  assert.equal(sliced.documents[0]!.document.byteOffset, 5);
});

Deno.test("keys are decoded", () => {
  assert.deepEqual(
    slice('{"\\u0061\\n\\"":1,"é😀":2,"__proto__":3,"\\ud83d\\ude00":4,"":5}').map(([key]) => key),
    ['a\n"', "é😀", "__proto__", "😀", ""],
  );
  const long = "k".repeat(200) + "é";
  assert.deepEqual(slice(`{"${long}":1}`), [[long, "1"]]);
});

Deno.test("half a surrogate pair in a key reaches the parser of names, which refuses it", () => {
  const [[key]] = slice('{"a\\ud800b":1}') as [[string, string]];
  assert.equal(key, "a\ud800b");
  assert.throws(() => parseEntityKey(key), NameError);
});

Deno.test("a key that appears twice is refused by its place", () => {
  assert.deepEqual(refusal('{"secret":1,"b":2, "secret":3}'), {
    kind: "failed",
    code: "bad_request",
    message: "the body names the key at byte 19 a second time",
  });
  assert.equal(refusal('{"a":1,"\\u0061":2}').code, "bad_request");
});

Deno.test("a body without entities is empty", () => {
  for (const body of ["", " ", "{}", " { } "]) assert.equal(refusal(body).code, "empty", body);
});

Deno.test("a body that is not an object is refused", () => {
  for (const body of ["[]", "1", '"a"', "null", '[{"a":1}]']) assert.equal(refusal(body).code, "bad_request", body);
  for (
    const body of [
      "[",
      "nul",
      '{"a":1',
      '{"a":1,}',
      '{"a"}',
      "{1:2}",
      '{"a":1} x',
      '{"a":01}',
      '\ufeff{"a":1}',
      '{"a":1]',
    ]
  ) {
    assert.equal(refusal(body).code, "bad_json", body);
  }
});

Deno.test("the number of entities is bounded", () => {
  const body = (count: number) => `{${Array.from({ length: count }, (_, i) => `"k${i}":${i}`).join(",")}}`;
  assert.equal(slice(body(ENTITIES_PER_PUT_MAX)).length, ENTITIES_PER_PUT_MAX);
  assert.match(refusal(body(ENTITIES_PER_PUT_MAX + 1)).message, /more than 1000 entities/);
});

Deno.test("a document may nest as deep inside the body as alone", () => {
  const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assert.equal(slice(`{"a":${nest(JSON_DEPTH_MAX)},"b":${nest(JSON_DEPTH_MAX)}}`).length, 2);
  assert.match(refusal(`{"a":${nest(JSON_DEPTH_MAX + 1)}}`).message, /deeper than 128/);
});

Deno.test("property: slices joined again are the body", () => {
  const space = fc.stringMatching(/^[ \t\r\n]*$/);
  const member = fc.tuple(fc.string({ unit: "binary" }), fc.json(), space, space, space, space);
  fc.assert(
    fc.property(
      fc.uniqueArray(member, { selector: ([key]) => key, minLength: 1, maxLength: 20 }),
      space,
      (members, around) => {
        const body = members.map(([key, json, ...s]) => `${s[0]}${JSON.stringify(key)}${s[1]}:${s[2]}${json}${s[3]}`);
        assert.deepEqual(
          slice(`${around}{${body.join(",")}}${around}`),
          members.map(([key, json]) => [key, json]),
        );
      },
    ),
  );
});

Deno.test("property: no bytes make it throw, and what it slices parses to the same object", () => {
  const piece = fc.constantFrom(
    '{"a":',
    '"b":',
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\ud800",
    "1",
    " ",
    "é",
    "{",
    "\u0000",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const body = `{${pieces.join("")}`;
      const sliced = sliceDocuments(encode(body));
      if (sliced.kind === "failed") return;
      const parsed = JSON.parse(body);
      assert.deepEqual(sliced.documents.map(({ key }) => key).sort(), Object.keys(parsed).sort());
      for (const { key, document } of sliced.documents) assert.deepEqual(JSON.parse(decode(document)), parsed[key]);
    }),
    { numRuns: 20_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void sliceDocuments(new Uint8Array([0x7b, ...bytes]))),
    { numRuns: 5_000 },
  );
});
