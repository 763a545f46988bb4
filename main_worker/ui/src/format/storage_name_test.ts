import assert from "assert";
import fc from "fast-check";
import { compareNames, encodeName as reference } from "../../../../shared/names.ts";
import { compareKeys, encodeName } from "./storage_name.ts";

const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });

Deno.test("keys are encoded as the server encodes them", () => {
  fc.assert(fc.property(key, (value) => assert.equal(encodeName(value), reference(value))));
  for (const value of [".", ".a", "a.b", "!~*'()", "a_b", "ä€😀"]) assert.equal(encodeName(value), reference(value));
});

Deno.test("keys sort as the server lists them", () => {
  fc.assert(fc.property(key, key, (a, b) => assert.equal(compareKeys(a, b), compareNames(reference(a), reference(b)))));
});
