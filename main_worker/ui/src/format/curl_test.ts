import assert from "assert";
import fc from "fast-check";
import { curlGet, curlPut, shellWord } from "./curl.ts";

/** Reads one quoted word as a POSIX shell does. */
function unquote(word: string): string {
  return word.replace(
    /'([^']*)'|\\(.)/g,
    (_, quoted: string | undefined, escaped: string | undefined) => quoted ?? escaped ?? "",
  );
}

Deno.test("a word reaches the program as it is", () => {
  fc.assert(fc.property(fc.string(), (text) => assert.equal(unquote(shellWord(text)), text)));
});

Deno.test("the credential is left to a variable, the version is named", () => {
  assert.equal(curlGet("http://h/x"), `curl -sS -H "Authorization: Bearer $DELTADB_KEY" 'http://h/x'`);
  const command = curlPut("http://h/x", `{"a":"it's"}`, "3-abc");
  assert.match(command, /If-Match: "3-abc"/);
  assert.match(command, /--data-binary '\{"a":"it'\\''s"\}'/);
  assert.doesNotMatch(curlPut("http://h/x", "1", null), /If-Match/);
});
