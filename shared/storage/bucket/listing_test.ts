import assert from "assert";
import fc from "fast-check";
import { compareNames, type EntityName, partitionOf, splitEntityName } from "../../names.ts";
import { envelopeKey, FILES_PREFIX, metaKey } from "./layout.ts";
import { type Listing, type ListingSource, OrderedListing } from "./listing.ts";
import type { KeyQuery, ObjectPage } from "./object_client.ts";

/** A bucket that lists as S3 does, and counts what it is asked. */
class KeyList implements ListingSource {
  readonly #keys: string[];
  readonly #names: ReadonlySet<string>;
  pages = 0;
  lookUps = 0;

  constructor(names: readonly string[], others: readonly string[] = []) {
    this.#names = new Set(names);
    this.#keys = [...new Set([...names.flatMap((name) => [envelopeKey(name), metaKey(name)]), ...others])].sort(
      compareNames,
    );
  }

  page(query: KeyQuery): Promise<ObjectPage> {
    this.pages++;
    const after = query.continuation ?? query.startAfter ?? "";
    const all = this.#keys.filter((key) => key.startsWith(query.prefix) && key > after);
    const entries = all.slice(0, query.limit).map((key) => ({ key, size: key.length, etag: "", modifiedMs: 0 }));
    const more = all.length > query.limit;
    return Promise.resolve(more ? { entries, next: entries.at(-1)!.key } : { entries });
  }

  size(name: EntityName): Promise<number | undefined> {
    this.lookUps++;
    return Promise.resolve(this.#names.has(name) ? envelopeKey(name).length : undefined);
  }
}

async function all(
  source: ListingSource,
  prefix: string,
  limit: number,
  keysMax: number,
  after = "",
): Promise<string[]> {
  const listing = new OrderedListing(source, { prefix, after }, keysMax);
  const out: Listing[] = [];
  for (;;) {
    const page = await listing.next(limit);
    assert.ok(page.length <= limit);
    if (page.length === 0) return out.map((entry) => entry.name);
    out.push(...page);
  }
}

/** Names that begin with one another a lot, with everything that sorts around `.json.enc`. */
const entityNames = fc.array(
  fc.array(fc.constantFrom("a", "-", ".", ".json", ".json.enc", ".k", ".a", "%20", "%21", "_", "b", "0"), {
    minLength: 1,
    maxLength: 6,
  }).map((parts) => `s_${parts.join("")}`.replace(/^s_\./, "s_%2E")).filter((name) =>
    splitEntityName(name) !== undefined
  ),
  { maxLength: 60 },
);

Deno.test("a whole listing is in the order of names, each once, whatever the page sizes", async () => {
  await fc.assert(
    fc.asyncProperty(
      entityNames,
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      async (names, limit, keysMax) => {
        const expected = [...new Set(names)].sort(compareNames);
        assert.deepEqual(await all(new KeyList(names), "", limit, keysMax), expected);
      },
    ),
    { numRuns: 600 },
  );
});

Deno.test("a listing continues after any name and within any prefix, each page opened afresh", async () => {
  await fc.assert(
    fc.asyncProperty(
      entityNames,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom("", "s_", "s_a", "s_a-", "s_a.", "s_a.json", "s_%20"),
      async (names, limit, keysMax, prefix) => {
        const expected = [...new Set(names)].filter((name) => name.startsWith(prefix)).sort(compareNames);
        const source = new KeyList(names);
        const got: string[] = [];
        for (let after = "";;) {
          const page = await new OrderedListing(source, { prefix, after }, keysMax).next(limit);
          if (page.length === 0) break;
          got.push(...page.map((entry) => entry.name));
          after = page.at(-1)!.name;
        }
        assert.deepEqual(got, expected);
        const middle = expected[expected.length >> 1];
        if (middle !== undefined) {
          assert.deepEqual(await all(source, prefix, limit, keysMax, middle), expected.filter((name) => name > middle));
        }
      },
    ),
    { numRuns: 600 },
  );
});

Deno.test("a name that many others begin with comes first without reading them all", async () => {
  const names = ["s_a", ...Array.from({ length: 5_000 }, (_, i) => `s_a-${String(i).padStart(5, "0")}`)];
  const source = new KeyList(names);
  const page = await new OrderedListing(source, { prefix: "" }, 100).next(10);
  assert.deepEqual(page.map((entry) => entry.name), names.slice(0, 10));
  assert.ok(source.pages <= 2, `${source.pages} pages`);
  assert.equal(source.lookUps, 1);
});

Deno.test("names like UUIDs cost no more than a few look-ups for a page", async () => {
  const names = Array.from({ length: 3_000 }, () => `chat.v1_${crypto.randomUUID()}`).sort(compareNames);
  const source = new KeyList(names);
  const listing = new OrderedListing(source, { prefix: "chat.v1_" }, 1_000);
  assert.deepEqual((await listing.next(1_000)).map((entry) => entry.name), names.slice(0, 1_000));
  assert.ok(source.lookUps <= 8, `${source.lookUps} look-ups`);
  assert.ok(source.pages <= 3, `${source.pages} pages`);
});

Deno.test("objects that are not entities are passed over", async () => {
  const source = new KeyList(["s_a", "s_b"], [
    `${FILES_PREFIX}readme.txt`,
    `${FILES_PREFIX}nounderscore.json.enc`,
    `${FILES_PREFIX}s_%zz.json.enc`,
    `${FILES_PREFIX}s_a/b.json.enc`,
  ]);
  assert.deepEqual(await all(source, "", 10, 3), ["s_a", "s_b"]);
});

Deno.test("only accepted names are listed, and unaccepted ones block nobody", async () => {
  const names = Array.from({ length: 200 }, (_, i) => `s_k-${i}-x`).concat(["s_k", "s_k-1"]).sort(compareNames);
  const source = new KeyList(names);
  const wanted = (name: EntityName) => partitionOf(name, 4) === 1;
  const listing = new OrderedListing(source, { prefix: "" }, 10, wanted);
  const got: string[] = [];
  for (let page = await listing.next(7); page.length > 0; page = await listing.next(7)) {
    got.push(...page.map((entry) => entry.name));
  }
  assert.deepEqual(got, names.filter((name) => wanted(name as EntityName)));
});
