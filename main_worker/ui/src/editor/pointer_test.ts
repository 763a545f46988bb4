import assert from "assert";
import { jsonLanguage } from "@codemirror/lang-json";
import { pathOfNode, pointerTokens, rangeOfPointer } from "./pointer.ts";

const TEXT = `{
  "name": "Ada",
  "a/b": {"~x": [1, {"deep": true}]},
  "name\\u0021": null
}`;
const tree = jsonLanguage.parser.parse(TEXT);
const at = (pointer: string) => {
  const { from, to } = rangeOfPointer(tree, TEXT, pointer);
  return TEXT.slice(from, to);
};

Deno.test("a pointer leads to its value, or to the name of an object or a list", () => {
  assert.equal(at("/name"), '"Ada"');
  assert.equal(at("/a~1b/~0x/0"), "1");
  assert.equal(at("/a~1b/~0x/1/deep"), "true");
  assert.equal(at("/a~1b"), '"a/b"');
  assert.equal(at("/a~1b/~0x/1"), "{");
  assert.equal(at("/name!"), "null");
  assert.equal(at(""), "{");
});

Deno.test("where the way breaks off, the last part that is there is marked", () => {
  assert.equal(at("/a~1b/missing"), '"a/b"');
  assert.equal(at("/a~1b/~0x/9"), '"~x"');
  assert.equal(at("/missing"), "{");
  assert.deepEqual(rangeOfPointer(jsonLanguage.parser.parse(""), "", "/a"), { from: 0, to: 0 });
});

Deno.test("pointers are unescaped", () => {
  assert.deepEqual(pointerTokens(""), []);
  assert.deepEqual(pointerTokens("/a~1b/0/~01"), ["a/b", "0", "~1"]);
});

Deno.test("a node knows its path", () => {
  const node = tree.resolveInner(TEXT.indexOf("true") + 1, 0);
  assert.deepEqual(pathOfNode(node, TEXT), ["a/b", "~x", 1, "deep"]);
});
