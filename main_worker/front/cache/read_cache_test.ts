import assert from "assert";
import fc from "fast-check";
import { CACHE_UNREAD_WRITES_MAX, CACHE_WRITTEN_ENTRIES_MAX } from "../../../shared/limits.ts";
import type { EntityName } from "../../../shared/names.ts";
import { systemClock } from "../../../shared/seams/clock.ts";
import { CoherenceTable } from "./coherence.ts";
import { ReadCache } from "./read_cache.ts";

const table = new CoherenceTable(CoherenceTable.allocate(), systemClock);

function fill(cache: ReadCache, name: string, document: Uint8Array, as: "fill" | "fillWritten" = "fill"): void {
  const slot = table.slotOf(name);
  const meta = { version: 1, etag: "1-a", writtenAtMs: 0, size: document.length };
  cache[as](name as EntityName, document, meta, slot, table.stamp(slot)!);
}

const encode = (text: string) => new TextEncoder().encode(text);

const documents = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }).map(encode),
  fc.string({ maxLength: 200 }).map(encode),
  // Begins with a byte order mark, which a decoder likes to drop.
  fc.string({ maxLength: 20 }).map((text) => encode(`\ufeff${text}`)),
  fc.uint8Array({ maxLength: 50 }),
);

Deno.test("read cache: whatever its bytes are, a document comes back as they were, however often", () => {
  fc.assert(fc.property(documents, fc.boolean(), (document, textless) => {
    const cache = new ReadCache(1_000_000, table, textless ? 0 : undefined);
    fill(cache, "s_a", document);
    for (let i = 0; i < 3; i++) {
      const hit = cache.get("s_a" as EntityName)!;
      assert.deepEqual(hit.document, document);
      if (hit.text !== undefined) assert.deepEqual(encode(hit.text), document);
      if (textless && document.length > 0) assert.equal(hit.text, undefined);
    }
  }));
});

Deno.test("read cache: a document that is asked for is text, unless it is none", () => {
  const cache = new ReadCache(1_000_000, table);
  fill(cache, "s_a", encode('{"text":"añ😀"}'));
  fill(cache, "s_b", new Uint8Array([0x22, 0xff, 0x22]));
  assert.equal(cache.get("s_a" as EntityName)!.text, '{"text":"añ😀"}');
  assert.equal(cache.get("s_b" as EntityName)!.text, undefined);
});

const isCached = (cache: ReadCache, name: string) => cache.get(name as EntityName) !== undefined;

Deno.test("read cache: the latest of what is only written are there for their first reader, and stay once they were read", () => {
  const cache = new ReadCache(64 << 20, table);
  const write = (name: string) => fill(cache, name, encode(name), "fillWritten");
  fill(cache, "s_asked", encode("s_asked"));
  write("s_read");
  assert.equal(cache.get("s_read" as EntityName)!.text, "s_read");
  for (let n = 0; n <= CACHE_WRITTEN_ENTRIES_MAX; n++) write(`s_${n}`);
  assert.equal(cache.figures().entries, CACHE_WRITTEN_ENTRIES_MAX + 2);
  assert.deepEqual(["s_asked", "s_read", "s_0", "s_1"].map((name) => isCached(cache, name)), [true, true, false, true]);
  write("s_0");
  assert.deepEqual(["s_0", "s_2", "s_3"].map((name) => isCached(cache, name)), [true, true, true]);
  assert.equal(cache.figures().evictions, 0);
});

Deno.test("read cache: a write takes the place of what is asked for, until there were many that nobody asked for", () => {
  const cache = new ReadCache(64 << 20, table);
  const write = (name: string, text: string) => fill(cache, name, encode(text), "fillWritten");
  const pushOut = () => {
    for (let n = 0; n < CACHE_WRITTEN_ENTRIES_MAX; n++) write(`s_${n}`, "other");
  };
  fill(cache, "s_a", encode("first"));
  for (let round = 0; round < 3; round++) {
    for (let n = 1; n <= CACHE_UNREAD_WRITES_MAX; n++) write("s_a", `${round}-${n}`);
    pushOut();
    assert.equal(cache.get("s_a" as EntityName)!.text, `${round}-${CACHE_UNREAD_WRITES_MAX}`);
  }
  for (let n = 0; n <= CACHE_UNREAD_WRITES_MAX; n++) write("s_a", `${n}`);
  assert.equal(cache.figures().entries, CACHE_WRITTEN_ENTRIES_MAX);
  pushOut();
  assert.equal(isCached(cache, "s_a"), false);
});

Deno.test("read cache: one write too large for its part is not kept, and drives nothing out", () => {
  const cache = new ReadCache(8_000, table);
  fill(cache, "s_asked", new Uint8Array(1_000));
  fill(cache, "s_small", new Uint8Array(1_000), "fillWritten");
  fill(cache, "s_large", new Uint8Array(3_000), "fillWritten");
  assert.deepEqual(["s_large", "s_small", "s_asked"].map((name) => isCached(cache, name)), [false, true, true]);
  fill(cache, "s_large", new Uint8Array(3_000));
  assert.equal(isCached(cache, "s_large"), true);
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        name: fc.integer({ min: 0, max: 5 }),
        document: documents,
        as: fc.constantFrom("fill" as const, "fillWritten" as const),
      }),
    },
    { weight: 12, arbitrary: fc.record({ name: fc.integer({ min: 0, max: 5 }) }) },
    { weight: 1, arbitrary: fc.constant("clear" as const) },
  ),
  { maxLength: 60 },
);

Deno.test("read cache: its bytes, and those of them that are text, stay within their bounds and are given back", () => {
  const BYTES_MAX = 1_500;
  const TEXT_BYTES_MAX = 300;
  fc.assert(
    fc.property(steps, (steps) => {
      const cache = new ReadCache(BYTES_MAX, table, TEXT_BYTES_MAX);
      for (const step of steps) {
        if (step === "clear") cache.clear();
        else if ("document" in step) fill(cache, `s_${step.name}`, step.document, step.as);
        else cache.get(`s_${step.name}` as EntityName);
        assert(cache.figures().bytes <= BYTES_MAX);
      }
      const texts = [0, 1, 2, 3, 4, 5].flatMap((name) => cache.get(`s_${name}` as EntityName)?.text ?? []);
      assert(texts.reduce((sum, text) => sum + text.length, 0) <= TEXT_BYTES_MAX);
      // Nothing was counted that is not there any more: all the room can be had again.
      cache.clear();
      fill(cache, "s_a", encode("x".repeat(TEXT_BYTES_MAX / 2)));
      assert.notEqual(cache.get("s_a" as EntityName)!.text, undefined);
    }),
    { numRuns: 500 },
  );
});
