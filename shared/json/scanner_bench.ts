/** How fast the scanner is, beside a fatal UTF-8 decode and `JSON.parse` of the same bytes. `deno bench shared/json` */
import { scanDocument } from "./scanner.ts";

/** A document of about `size` bytes that looks like what people store: short fields, a text, lists of numbers. */
function chat(size: number, text: string): Uint8Array {
  const messages: unknown[] = [];
  const document = { id: "c-4711", created_at: "2024-05-01T10:00:00Z", topic: "weekly sync", open: true, messages };
  while (JSON.stringify(document).length < size) {
    messages.push({ from: "user-17", at: 1_714_557_600_123, text, marks: [1, 2.5, -3e7], reply_to: null });
  }
  return new TextEncoder().encode(JSON.stringify(document));
}

const ASCII = 'A line of text with a "quote" in it, as people write it when they talk to each other.';
const MIXED = "Ein Satz mit Umlauten: größer, schöner, weiter. И ещё немного, 漢字もある。";

const cases: [string, Uint8Array][] = [
  ["1 KB", chat(1_000, ASCII)],
  ["16 KB", chat(16_000, ASCII)],
  ["16 KB, not ASCII", chat(16_000, MIXED)],
  ["16 KB, one string", new TextEncoder().encode(JSON.stringify("x".repeat(16_000)))],
  ["16 KB, numbers", new TextEncoder().encode(JSON.stringify(Array.from({ length: 3_000 }, (_, i) => i * 3)))],
  [
    "16 KB, indented",
    new TextEncoder().encode(JSON.stringify(JSON.parse(new TextDecoder().decode(chat(10_000, ASCII))), null, 2)),
  ],
];

for (const [name, bytes] of cases) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  Deno.bench(`scan (${name})`, { group: name }, () => {
    if (!scanDocument(bytes).ok) throw new Error("not JSON");
  });
  Deno.bench(`decode and parse (${name})`, { group: name, baseline: true }, () => {
    JSON.parse(decoder.decode(bytes));
  });
}
