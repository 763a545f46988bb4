import assert from "assert";
import fc from "fast-check";
import { compactJson, formatJson, isCompact } from "./json_text.ts";

Deno.test("laying out changes white space only", () => {
  fc.assert(fc.property(fc.json(), (text) => {
    assert.deepEqual(JSON.parse(formatJson(text)), JSON.parse(text));
    assert.equal(compactJson(formatJson(text)), compactJson(text));
    assert.equal(formatJson(formatJson(text)), formatJson(text));
  }));
});

Deno.test("it lays out as JSON.stringify does", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    assert.equal(formatJson(JSON.stringify(value)), JSON.stringify(value, null, 2));
  }));
});

Deno.test("numbers and strings keep every character", () => {
  const text = '{"big":12345678901234567890,"price":1.10,"huge":1e400,"s":"a\\u00e9 \\" {,} \\\\"}';
  assert.equal(compactJson(formatJson(text)), text);
});

Deno.test("text that is not JSON stays as it is", () => {
  for (const text of ["", "{", '{"a":}', "hello"]) {
    assert.equal(formatJson(text), text);
    assert.equal(compactJson(text), text);
  }
});

Deno.test("one long line of structure counts as compact, a value or a laid-out text does not", () => {
  assert(isCompact('{"name":"somebody","address":{"city":"Oslo"}}'));
  assert(!isCompact('{"a":1}'));
  assert(!isCompact(`"${"x".repeat(100)}"`));
  assert(!isCompact('{\n  "name": "somebody",\n  "address": {"city":"Oslo"}\n}'));
});
