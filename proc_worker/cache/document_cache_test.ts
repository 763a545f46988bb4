import assert from "assert";
import type { EntityName, Partition } from "../../shared/names.ts";
import { type CachedEntity, DocumentCache } from "./document_cache.ts";

const name = (text: string) => text as EntityName;

function entity(version: number, partition = 0, bytes = 10): CachedEntity {
  return {
    partition: partition as Partition,
    meta: { version, etag: `${version}-x`, writtenAtMs: 0, size: bytes },
    opId: `op ${version}`,
    document: new Uint8Array(bytes),
    token: `token ${version}`,
  };
}

Deno.test("document cache: versions outlive documents, and nothing outlives a deletion", () => {
  const cache = new DocumentCache({ entriesMax: 2, bytesMax: 10_000, ttlMs: 0 }, () => 0);
  for (let n = 1; n <= 5; n++) cache.set(name(`s_${n}`), entity(n));
  assert.equal(cache.get(name("s_1")), undefined);
  assert.equal(cache.get(name("s_5"))?.meta.version, 5);
  for (let n = 1; n <= 5; n++) {
    const { meta, opId, token } = cache.version(name(`s_${n}`))!;
    assert.deepEqual([meta.version, opId, token], [n, `op ${n}`, `token ${n}`]);
  }
  cache.delete(name("s_1"));
  cache.delete(name("s_5"));
  assert.equal(cache.version(name("s_1")), undefined);
  assert.equal(cache.version(name("s_5")), undefined);
  assert.equal(cache.get(name("s_5")), undefined);
  const { entries, hits, misses, evictions } = cache.figures();
  assert.deepEqual([entries, hits, misses, evictions], [1, 1, 2, 3]);
  cache.clear();
  assert.equal(cache.version(name("s_2")), undefined);
});

Deno.test("document cache: a partition that was given up has left nothing, also when it comes back", () => {
  const cache = new DocumentCache({ entriesMax: 2, bytesMax: 10_000, ttlMs: 0 }, () => 0);
  for (let n = 1; n <= 4; n++) cache.set(name(`s_${n}`), entity(n, n % 2));
  cache.dropPartition(1 as Partition);
  assert.equal(cache.figures().entries, 1);
  assert.deepEqual([1, 2, 3, 4].map((n) => cache.version(name(`s_${n}`))?.meta.version), [undefined, 2, undefined, 4]);
  assert.equal(cache.get(name("s_3")), undefined);
  cache.set(name("s_1"), entity(7, 1));
  assert.equal(cache.version(name("s_1"))?.meta.version, 7);
  assert.equal(cache.version(name("s_3")), undefined);
});

Deno.test("document cache: what is cached right after partitions were given up stays, and nothing of before does", () => {
  const cache = new DocumentCache({ entriesMax: 8, bytesMax: 10_000, ttlMs: 0 }, () => 0);
  for (let n = 1; n <= 4; n++) cache.set(name(`s_${n}`), entity(n, n % 2));
  for (const partition of [0, 1]) cache.dropPartition(partition as Partition);
  cache.set(name("s_1"), entity(7, 1));
  assert.deepEqual([1, 2, 3, 4].map((n) => cache.get(name(`s_${n}`))?.meta.version), [
    7,
    undefined,
    undefined,
    undefined,
  ]);
  const { entries, bytes } = cache.figures();
  cache.dropPartition(1 as Partition);
  assert.deepEqual([entries, bytes > 0, cache.figures().entries, cache.figures().bytes], [1, true, 0, 0]);
});

Deno.test("document cache: versions are bounded by age like documents, and off with them", async () => {
  let now = 1;
  // The table looks at the clock once in a millisecond.
  const pass = (ms: number) => {
    now += ms;
    return new Promise((resolve) => setTimeout(resolve, 5));
  };
  const aging = new DocumentCache({ entriesMax: 2, bytesMax: 10_000, ttlMs: 100 }, () => now);
  aging.set(name("s_1"), entity(1));
  await pass(99);
  assert.equal(aging.version(name("s_1"))?.meta.version, 1);
  await pass(2);
  assert.equal(aging.version(name("s_1")), undefined);
  assert.equal(aging.get(name("s_1")), undefined);
  const off = new DocumentCache({ entriesMax: 0, bytesMax: 10_000, ttlMs: 0 }, () => now);
  off.set(name("s_1"), entity(1));
  assert.equal(off.version(name("s_1")), undefined);
});
