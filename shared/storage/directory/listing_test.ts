/** Listing, and counts, of a partition whose entities are partly in its table and partly changed since: nothing twice, nothing left out. */
import assert from "assert";
import { type Partition } from "../../names.ts";
import { nameOf } from "../conformance.ts";
import { SeededRandom } from "../faults/seeded_random.ts";
import { TestClock } from "../faults/test_clock.ts";
import { type NameQuery } from "../store.ts";
import { HEAD_BYTES, schemaPrefixOf } from "./disk.ts";
import { type DirectoryEntities } from "./entities.ts";
import { openTestStore, withDirectory } from "./test_store.ts";

const P = 0 as Partition;
const KEYS = 1_500;
const SEEDS = 4;
/** Envelopes that a listing shows whole, and one of which it shows the beginning. */
const SIZES = [60, 60, 500, 20_000];

/** Lists page by page to the end. */
async function pages(entities: DirectoryEntities, query: Omit<NameQuery, "after">): Promise<[string, number][]> {
  const seen: [string, number][] = [];
  let after: string | undefined;
  for (;;) {
    const page = await entities.list(P, { ...query, ...(after === undefined ? {} : { after }) });
    assert(page.length <= query.limit);
    for (const { name, size, envelope } of page) {
      assert.equal(envelope.length, Math.min(size, HEAD_BYTES));
      seen.push([name, size]);
    }
    if (page.length < query.limit) return seen;
    after = page.at(-1)!.name;
  }
}

Deno.test("listing: what is in the table and what was changed since come as one, in pages of any size", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    await withDirectory(async (root) => {
      const [random, clock] = [new SeededRandom(seed), new TestClock()];
      const store = await openTestStore(root, { partitions: 1, clock });
      const entities = await store.openEntities("worker");
      assert.equal((await entities.take(P)).kind, "taken");
      const expected = new Map<string, number>();
      const name = (key: number) => nameOf(key % 10 === 0 ? "other" : "s", String(key).padStart(4, "0"));
      const commit = async (key: number, size: number | undefined) => {
        if (size === undefined) expected.delete(name(key));
        else expected.set(name(key), size);
        const envelope = size === undefined ? undefined : new Uint8Array(size);
        await entities.commit({ partition: P, name: name(key), envelope, expected: undefined });
      };
      const change = (chance: number, remove: number) =>
        Promise.all(Array.from({ length: KEYS }, async (_, key) => {
          if (random.unit() < chance) await commit(key, random.unit() < remove ? undefined : random.pick(SIZES));
        }));
      await change(0.8, 0);
      while (entities.stats().dirtyEntities > 0) {
        clock.fire();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const count = async () => {
        const byPrefix = Map.groupBy(expected.keys(), (name) => schemaPrefixOf(name));
        const counts = [...byPrefix].map(([prefix, names]): [string, number] => [prefix, names.length]);
        assert.deepEqual(new Map([...await entities.counts(P)].filter(([, n]) => n > 0)), new Map(counts));
      };
      await count();
      await change(0.3, 0.5);
      await count();
      // A stretch in which everything is gone is longer than one read of the table.
      await Promise.all(Array.from({ length: 500 }, (_, key) => commit(600 + key, undefined)));
      assert(entities.stats().dirtyEntities > 0);
      for (const prefix of ["s_", "s_00", "other_", ""]) {
        const all = [...expected].filter(([name]) => name.startsWith(prefix)).sort(([a], [b]) => a < b ? -1 : 1);
        for (const limit of [1, 255, 256, 257, 1_000]) {
          assert.deepEqual(await pages(entities, { prefix, limit }), all);
        }
      }
      await count();
      await entities.close();
      await store.close();
    });
  }
});
