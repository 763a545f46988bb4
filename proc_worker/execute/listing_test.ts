import assert from "assert";
import fc from "fast-check";
import { silentLogger } from "../../shared/logging/logger.ts";
import { systemClock } from "../../shared/seams/clock.ts";
import {
  compareNames,
  type EntityKey,
  type EntityName,
  entityName,
  type Partition,
  type SchemaId,
} from "../../shared/names.ts";
import { type Listed, type NameQuery, StorageError } from "../../shared/storage/store.ts";
import type { ListRequest } from "../../shared/wire/messages.ts";
import { type ListingParts, listPartitions } from "./listing.ts";

/** Partitions as an engine lists them, by beginnings of envelopes that hold nothing: in order, a full page at most. */
function storeOf(partitions: readonly (readonly Listed[])[], asked: NameQuery[] = []): ListingParts {
  return {
    entities: {
      list(partition, query) {
        asked.push(query);
        const rest = partitions[partition]!.filter(({ name }) =>
          name.startsWith(query.prefix) && (query.after === undefined || name > query.after)
        );
        return Promise.resolve(rest.slice(0, query.limit));
      },
      read(partition, name) {
        const found = partitions[partition]!.find((entry) => entry.name === name);
        return Promise.resolve(found && { envelope: new Uint8Array(found.size), token: undefined });
      },
      counts: () => Promise.resolve(undefined),
    },
    ownership: { enter: () => true, leave: () => {} },
    clock: systemClock,
    log: silentLogger,
    sealer: () => ({
      keyId: "k",
      holds: () => true,
      seal: () => Promise.reject(new Error("not used")),
      open: () => Promise.resolve({ kind: "tampered", reason: "not an envelope" }),
    }),
  };
}

const arbitraryStore = fc.array(
  fc.record({
    key: fc.string({ unit: fc.constantFrom("a", "b", "-", "_"), minLength: 1, maxLength: 4 }),
    partition: fc.nat(7),
    size: fc.integer({ min: 1, max: 200_000 }),
  }),
  { maxLength: 120 },
).map((entries) => {
  const partitions: Listed[][] = Array.from({ length: 8 }, () => []);
  const seen = new Set<EntityName>();
  for (const { key, partition, size } of entries) {
    const name = entityName("s" as SchemaId, key as EntityKey);
    if (seen.has(name)) continue;
    seen.add(name);
    partitions[partition]!.push({ name, size, envelope: new Uint8Array(0) });
  }
  for (const own of partitions) own.sort((a, b) => compareNames(a.name, b.name));
  return { partitions, names: [...seen].sort(compareNames) };
});

Deno.test("pages of many partitions are those of one sorted list, whatever their bounds", async () => {
  await fc.assert(fc.asyncProperty(
    arbitraryStore,
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 400_000 }),
    fc.constantFrom<ListRequest["want"]>("meta", "envelopes"),
    async ({ partitions, names }, limit, bytesMax, want) => {
      const parts = storeOf(partitions);
      const listed: string[] = [];
      for (let after = "", more = true; more;) {
        const request = {
          epoch: 1,
          partitions: partitions.map((_, partition) => partition as Partition),
          prefix: "s_",
          after,
          limit,
          want,
          bytesMax,
        };
        const page = await listPartitions(parts, request);
        assert(page.items.length <= limit);
        assert(page.items.length > 0 || !page.more, "a page that promises more holds something");
        if (want === "meta" && page.more) assert.equal(page.items.length, limit);
        listed.push(...page.items.map(({ name }) => name));
        more = page.more;
        after = page.items.at(-1)?.name ?? after;
      }
      assert.deepEqual(listed, names);
    },
  ));
});

Deno.test("a page asks each partition for about its share, not for the whole page", async () => {
  const partitions = Array.from({ length: 64 }, (_, p) =>
    Array.from({ length: 100 }, (_, i): Listed => ({
      name: entityName("s" as SchemaId, `${String(i).padStart(3, "0")}-${p}` as EntityKey),
      size: 100,
      envelope: new Uint8Array(0),
    })));
  const asked: NameQuery[] = [];
  const page = await listPartitions(storeOf(partitions, asked), {
    epoch: 1,
    partitions: partitions.map((_, partition) => partition as Partition),
    prefix: "s_",
    after: "",
    limit: 1_000,
    want: "meta",
    bytesMax: 1_000_000,
  });
  assert.equal(page.items.length, 1_000);
  assert(asked.reduce((sum, { limit }) => sum + limit, 0) < 3_000);
});

Deno.test("entities that grow or go between being found and being read: no page is too large, none is empty with more to come", async () => {
  await fc.assert(fc.asyncProperty(
    arbitraryStore,
    fc.integer({ min: 1, max: 40 }),
    fc.array(fc.constantFrom("gone", "grown", "same"), { minLength: 1, maxLength: 50 }),
    async ({ partitions, names }, limit, fates) => {
      const bytesMax = 300_000;
      const parts = storeOf(partitions);
      const listed: string[] = [];
      const gone = new Set<string>();
      let turn = 0;
      const read = async (partition: Partition, name: EntityName) => {
        const stored = await parts.entities.read(partition, name);
        const fate = fates[turn++ % fates.length];
        if (fate === "gone") gone.add(name);
        if (fate === "gone") return undefined;
        return fate === "grown" ? { envelope: new Uint8Array(200_001), token: undefined } : stored;
      };
      const racing = { ...parts, entities: { ...parts.entities, read } };
      for (let after = "", more = true; more;) {
        const request: ListRequest = {
          epoch: 1,
          partitions: partitions.map((_, partition) => partition as Partition),
          prefix: "s_",
          after,
          limit,
          want: "envelopes",
          bytesMax,
        };
        const page = await listPartitions(racing, request);
        const bytes = page.items.reduce((sum, item) => sum + item.bytes!.length, 0);
        assert(page.items.length <= 1 || bytes <= bytesMax, `${page.items.length} of ${bytes} bytes`);
        assert(page.items.length > 0 || !page.more, "a page that promises more holds something");
        listed.push(...page.items.map(({ name }) => name));
        more = page.more;
        after = page.items.at(-1)?.name ?? after;
      }
      assert.deepEqual(listed, [...new Set(listed)].sort(compareNames));
      for (const name of names) assert(gone.has(name) || listed.includes(name), name);
    },
  ));
});

Deno.test("storage that cannot be read, and names that cannot be right, make no page that looks whole", async () => {
  const listed = (text: string): Listed => ({ name: text as EntityName, size: 1, envelope: new Uint8Array(0) });
  const request: ListRequest = {
    epoch: 1,
    partitions: [0 as Partition],
    prefix: "s_",
    after: "s_b",
    limit: 10,
    want: "meta",
    bytesMax: 1_000_000,
  };
  for (const names of [["s_c", "s_b2"], ["s_c", "s_c"], ["s_c", "s_\u00e9"], ["s_a"]]) {
    const parts = storeOf([]);
    const answer = await listPartitions(
      { ...parts, entities: { ...parts.entities, list: () => Promise.resolve(names.map(listed)) } },
      request,
    );
    assert.deepEqual(answer, { items: [], more: false, notOwned: [], unreadable: true }, names.join());
  }
  const parts = storeOf([]);
  const failing = () => Promise.reject(new StorageError("corrupt", "00.db is damaged"));
  const answer = await listPartitions({ ...parts, entities: { ...parts.entities, list: failing } }, request);
  assert.equal(answer.unreadable, true);
});
