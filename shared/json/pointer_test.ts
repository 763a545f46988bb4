import assert from "assert";
import fc from "fast-check";
import { escapeToken, pointerTokens } from "./pointer.ts";

Deno.test("the examples of RFC 6901 are split and joined", () => {
  for (
    const [pointer, tokens] of [
      ["", []],
      ["/foo/0", ["foo", "0"]],
      ["/", [""]],
      ["/a~1b", ["a/b"]],
      ["/m~0n", ["m~n"]],
      [
        "/~01",
        ["~1"],
      ],
    ] as [string, string[]][]
  ) {
    assert.deepEqual(pointerTokens(pointer), tokens);
    assert.equal(tokens.map((token) => `/${escapeToken(token)}`).join(""), pointer);
  }
});

Deno.test("property: what is joined is split again", () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: "binary" })), (tokens) => {
    assert.deepEqual(pointerTokens(tokens.map((token) => `/${escapeToken(token)}`).join("")), tokens);
  }));
});
