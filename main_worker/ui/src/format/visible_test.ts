import assert from "assert";
import { hasUnseen, pieces, visible } from "./visible.ts";

Deno.test("visible: ordinary names stay as they are", () => {
  for (const name of ["room-1", "two words", "Zoë", "日本語", "שלום", "a/b c.d", "%20", "🙂"]) {
    assert.equal(visible(name), name);
    assert(!hasUnseen(name));
    assert.deepEqual(pieces(name), [{ text: name, marked: false }]);
  }
});

Deno.test("visible: names that look alike look different", () => {
  const alike = ["a b", " a b", "a b ", "a  b", "a\u00a0b", "a\u200b b", "a\u202eb", "\u2066a b\u2069", "a\ufeff b"];
  assert.equal(new Set(alike.map(visible)).size, alike.length);
  for (const name of alike.slice(1)) assert(hasUnseen(name), JSON.stringify(name));
  assert.equal(visible(" a b  "), "␣a b␣␣");
  assert.equal(visible("   "), "␣␣␣");
  assert.equal(visible("a\u202eb"), "a‹U+202E›b");
  assert.equal(visible("\u{e0041}"), "‹U+E0041›");
  assert.deepEqual(pieces("x\u200by"), [
    { text: "x", marked: false },
    { text: "‹U+200B›", marked: true },
    { text: "y", marked: false },
  ]);
});
