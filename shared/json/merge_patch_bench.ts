/** How fast a small patch is applied, beside parsing, merging and writing the document again. `deno bench shared/json` */
import { applyMergePatch } from "./merge_patch.ts";

const patchText = '{"state":{"open":false,"note":null},"added":1.10}';
const patch = new TextEncoder().encode(patchText);
for (const [name, size] of [["1 KB", 10], ["16 KB", 160]] as const) {
  const value = {
    state: { open: true, note: "x", more: [1, 2] },
    entries: Array.from(
      { length: size },
      (_, i) => ({ id: i, text: "Some words that somebody has written.", done: false }),
    ),
  };
  const document = new TextEncoder().encode(JSON.stringify(value));
  const [decoder, encoder] = [new TextDecoder("utf-8", { fatal: true }), new TextEncoder()];
  Deno.bench(`splice (${name})`, { group: name }, () => {
    if (applyMergePatch(document, patch, 1_000_000).kind === "failed") throw new Error("not patched");
  });
  Deno.bench(`parse, merge and write (${name})`, { group: name, baseline: true }, () => {
    const target = JSON.parse(decoder.decode(document));
    const { state, ...rest } = JSON.parse(patchText);
    Object.assign(target, rest);
    Object.assign(target.state, state);
    delete target.state.note;
    encoder.encode(JSON.stringify(target));
  });
}
