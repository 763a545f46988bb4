/** How fast bodies are sliced, beside parsing them. `deno bench shared/json` */
import { sliceDocuments } from "./slicer.ts";

const document = { name: "Ada", tags: ["a", "b"], text: "Some words that somebody has written. ".repeat(20), n: 4.5 };
for (const count of [1, 100, 1_000]) {
  const body = Object.fromEntries(Array.from({ length: count }, (_, i) => [`user-${i}`, document]));
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const name = `${count} of 800 bytes`;
  Deno.bench(`slice (${name})`, { group: name }, () => {
    if (sliceDocuments(bytes).kind === "failed") throw new Error("not sliced");
  });
  Deno.bench(`decode and parse (${name})`, { group: name, baseline: true }, () => {
    JSON.parse(decoder.decode(bytes));
  });
}
