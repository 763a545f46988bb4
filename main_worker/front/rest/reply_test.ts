import assert from "assert";
import fc from "fast-check";
import { httpDate } from "./reply.ts";

Deno.test("a date in a header field is what Date prints", () => {
  const moments = fc.oneof(
    fc.integer({ min: 0, max: 253402300799999 }),
    // Close together, as in life: then the day is remembered.
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_000 + 3 * 24 * 60 * 60 * 1000 }),
  );
  fc.assert(fc.property(moments, (ms) => assert.equal(httpDate(ms), new Date(ms).toUTCString())));
});
