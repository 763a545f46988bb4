/** The suite that every engine passes: what {@linkcode Store} and {@linkcode Entities} promise, tried on a real one. */
import assert from "assert";
import { type EntityName, entityName, parseEntityKey, parseSchemaId, type Partition, partitionOf } from "../names.ts";
import { type Entities, type Listed, type ListQuery, StorageError, type Store } from "./store.ts";

/** One fresh store, which can be opened any number of times as if by that many processes. */
export interface StoreUnderTest {
  open(): Promise<Store>;
  /** Removes it. All that were opened are closed before. */
  dispose(): Promise<void>;
}

/** What an engine can do that another can't. */
export interface EngineTraits {
  /** What `Entities.exclusive` says: a partition that is taken can't be taken by somebody else. */
  readonly exclusive: boolean;
  /** `commit` compares tokens. */
  readonly conditional: boolean;
  /** What `Entities.blindCreate` says. */
  readonly blindCreate: boolean;
  /** Takes the longest name that there is. */
  readonly longNames: boolean;
}

const NAMES_MANY = 1_000;
const BIG_BYTES = 4 * 1024 * 1024;
const NO_LIMIT: Omit<ListQuery, "prefix"> = { limit: 10_000, envelopes: true, bytesMax: 1 << 30 };
const text = (value: string) => new TextEncoder().encode(value);
const string = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

/** The storage name of an entity, from plain strings. */
export function nameOf(schema: string, key: string): EntityName {
  return entityName(parseSchemaId(schema), parseEntityKey(key));
}

/** Tools on one opened store, with all its partitions taken. */
class Bench {
  constructor(readonly store: Store, readonly entities: Entities) {}

  partition(name: EntityName): Partition {
    return partitionOf(name, this.store.partitions);
  }

  async put(name: EntityName, envelope: Uint8Array | string | undefined): Promise<void> {
    const partition = this.partition(name);
    const expected = (await this.entities.read(partition, name))?.token;
    const bytes = typeof envelope === "string" ? text(envelope) : envelope;
    const outcome = await this.entities.commit({ partition, name, envelope: bytes, expected });
    assert.equal(outcome.kind, "committed");
  }

  async get(name: EntityName): Promise<Uint8Array | undefined> {
    return (await this.entities.read(this.partition(name), name))?.envelope;
  }

  async list(query: Partial<ListQuery> & { prefix: string }): Promise<Listed[]> {
    const listed: Listed[] = [];
    if (this.store.listing === "store") return await this.store.list!({ ...NO_LIMIT, ...query });
    for (const partition of allPartitions(this.store)) {
      listed.push(...await this.entities.list(partition, { ...NO_LIMIT, ...query }));
    }
    return listed.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  async counts(): Promise<Map<string, number> | undefined> {
    const sums = new Map<string, number>();
    for (const partition of allPartitions(this.store)) {
      const counts = await this.entities.counts(partition);
      if (counts === undefined) return undefined;
      for (const [prefix, count] of counts) sums.set(prefix, (sums.get(prefix) ?? 0) + count);
    }
    return sums;
  }
}

function allPartitions(store: Store): Partition[] {
  return Array.from({ length: store.partitions }, (_, index) => index as Partition);
}

async function takeAll(store: Store, holder = "test"): Promise<Bench> {
  const entities = await store.openEntities(holder);
  for (const outcome of await Promise.all(allPartitions(store).map((partition) => entities.take(partition)))) {
    assert.equal(outcome.kind, "taken");
  }
  return new Bench(store, entities);
}

async function rejectsWith(reason: StorageError["reason"], work: () => Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => error instanceof StorageError && error.reason === reason);
}

/** Declares the suite's tests for an engine; `make` creates a fresh store with these many partitions. */
export function testConformance(
  engine: string,
  traits: EngineTraits,
  make: (partitions: number) => Promise<StoreUnderTest>,
): void {
  /** A test on a fresh store of four partitions; closes what it opened through `open`. */
  const test = (title: string, work: (open: () => Promise<Store>) => Promise<void>, partitions = 4) =>
    Deno.test(`${engine}: ${title}`, async () => {
      const under = await make(partitions);
      const opened: Store[] = [];
      try {
        await work(async () => {
          const store = await under.open();
          opened.push(store);
          return store;
        });
      } finally {
        for (const store of opened) await store.close();
        await under.dispose();
      }
    });

  test("an opened store has the id and the partitions that it was made with", async (open) => {
    const [first, second] = [await open(), await open()];
    assert.match(first.id, /^[0-9a-f]{32}$/);
    assert.equal(first.id, second.id);
    assert.equal(first.partitions, 4);
    await first.probe();
  });

  test("a commit is read by its owner and by the next one", async (open) => {
    const bench = await takeAll(await open());
    const name = nameOf("chat", "first");
    assert.equal(await bench.get(name), undefined);
    await bench.put(name, "one");
    assert.equal(string(await bench.get(name)), "one");
    await bench.put(name, "two");
    assert.equal(string(await bench.get(name)), "two");
    await bench.entities.close();
    const next = await takeAll(await open());
    assert.equal(string(await next.get(name)), "two");
  });

  test("a deleted entity is gone, also for the next owner, and can come back", async (open) => {
    const bench = await takeAll(await open());
    const [kept, gone] = [nameOf("s", "kept"), nameOf("s", "gone")];
    await bench.put(kept, "k");
    await bench.put(gone, "g");
    await bench.put(gone, undefined);
    assert.equal(await bench.get(gone), undefined);
    await bench.entities.close();
    const next = await takeAll(await open());
    assert.equal(await next.get(gone), undefined);
    assert.equal(string(await next.get(kept)), "k");
    await next.put(gone, undefined);
    await next.put(gone, "again");
    assert.equal(string(await next.get(gone)), "again");
  });

  test("concurrent commits all hold, and a write is readable as soon as it is committed", async (open) => {
    const bench = await takeAll(await open());
    const names = Array.from({ length: 200 }, (_, index) => nameOf("load", `k${index}`));
    await Promise.all(names.map(async (name, index) => {
      await bench.put(name, `a${index}`);
      assert.equal(string(await bench.get(name)), `a${index}`);
      await bench.put(name, index % 3 === 0 ? undefined : `b${index}`);
      assert.equal(string(await bench.get(name)), index % 3 === 0 ? undefined : `b${index}`);
    }));
  });

  test("envelopes of every size come back byte for byte", async (open) => {
    const bench = await takeAll(await open());
    const sizes = [0, 1, 4_095, 4_096, 4_104, 4_105, 70_000, BIG_BYTES];
    const envelopeOf = (size: number) => Uint8Array.from({ length: size }, (_, index) => (index * 31 + size) & 0xff);
    for (const size of sizes) await bench.put(nameOf("sizes", `of-${size}`), envelopeOf(size));
    await bench.entities.close();
    const next = await takeAll(await open());
    for (const size of sizes) assert.deepEqual(await next.get(nameOf("sizes", `of-${size}`)), envelopeOf(size));
  });

  test("a committed envelope does not change with the caller's buffer", async (open) => {
    const bench = await takeAll(await open());
    const name = nameOf("s", "view");
    const buffer = text("xxPAYLOADxx");
    await bench.put(name, buffer.subarray(2, 9));
    buffer.fill(0);
    assert.equal(string(await bench.get(name)), "PAYLOAD");
  });

  test("the longest names, and names that differ in one character, are kept apart", async (open) => {
    const bench = await takeAll(await open());
    const longest = nameOf("\u{10ffff}".repeat(16), "ÿ".repeat(128));
    const names = [nameOf("a_b", "c"), nameOf("a", "b_c"), nameOf("a", "B_c"), nameOf("a", "b_c ")];
    if (traits.longNames) {
      names.push(longest);
    } else {
      await rejectsWith("unnameable", () => bench.put(longest, "x"));
      assert.equal(await bench.get(longest), undefined);
    }
    for (const [index, name] of names.entries()) await bench.put(name, `${index}`);
    for (const [index, name] of names.entries()) assert.equal(string(await bench.get(name)), `${index}`);
  });

  test("lists are in byte order, by prefix, after a name, within a limit", async (open) => {
    const bench = await takeAll(await open());
    const keys = ["a", "B", "b", "10", "9", "é", "z.z", "_", "-", "a b", ".dot"];
    const names = keys.map((key) => nameOf("list", key));
    for (const name of [...names, nameOf("lis", "x"), nameOf("list2", "x"), nameOf("other", "x")]) {
      await bench.put(name, `of ${name}`);
    }
    const sorted = [...names].sort((a, b) => a < b ? -1 : 1);
    const all = await bench.list({ prefix: "list_" });
    assert.deepEqual(all.map((entity) => entity.name), sorted);
    for (const { name, size, envelope } of all) {
      assert.equal(string(envelope), `of ${name}`);
      assert.equal(size, envelope.length);
    }
    assert.equal((await bench.list({ prefix: "" })).length, keys.length + 3);
    assert.deepEqual(await bench.list({ prefix: "none_" }), []);
    for (const [index, name] of sorted.entries()) {
      const after = await bench.list({ prefix: "list_", after: name });
      assert.deepEqual(after.map((entity) => entity.name), sorted.slice(index + 1));
    }
    assert.equal((await bench.list({ prefix: "list_", after: "list_0" })).length, keys.length - 3);
    assert.deepEqual(await bench.list({ prefix: "list_", after: "zzz" }), []);
    assert.equal((await bench.list({ prefix: "list_", after: "aaa" })).length, keys.length);
  });

  test("a thousand entities are listed page by page, each once", async (open) => {
    const bench = await takeAll(await open());
    const names = Array.from({ length: NAMES_MANY }, (_, index) => nameOf("many", `${index * 7919 % NAMES_MANY}`));
    await Promise.all(names.map((name) => bench.put(name, name)));
    await Promise.all(names.filter((_, index) => index % 10 === 0).map((name) => bench.put(name, undefined)));
    const expected = names.filter((_, index) => index % 10 !== 0).sort((a, b) => a < b ? -1 : 1);
    const page = async (partition: Partition, after: string | undefined, limit: number) => {
      const query = { ...NO_LIMIT, prefix: "many_", limit, ...(after === undefined ? {} : { after }) };
      if (bench.store.listing === "store") return await bench.store.list!(query);
      return await bench.entities.list(partition, query);
    };
    for (const limit of [1_000, 333, 7]) {
      const seen: string[] = [];
      const sources = bench.store.listing === "store" ? [0 as Partition] : allPartitions(bench.store);
      for (const partition of sources) {
        let after: string | undefined;
        for (;;) {
          const listed = await page(partition, after, limit);
          assert.ok(listed.length <= limit);
          if (listed.length === 0) break;
          seen.push(...listed.map((entity) => entity.name));
          after = listed.at(-1)!.name;
        }
      }
      assert.deepEqual(seen.sort(), expected);
    }
    const counts = await bench.counts();
    if (counts !== undefined) assert.deepEqual([...counts], [["many_", expected.length]]);
  });

  test("a listing without envelopes has sizes, and the beginning of each envelope if it has any", async (open) => {
    const bench = await takeAll(await open());
    const envelope = Uint8Array.from({ length: 20_000 }, (_, index) => index & 0xff);
    await bench.put(nameOf("heads", "large"), envelope);
    await bench.put(nameOf("heads", "small"), "small");
    for (const { name, size, envelope: head } of await bench.list({ prefix: "heads_", envelopes: false })) {
      const whole = (await bench.get(name))!;
      if (bench.store.kind === "directory") assert.equal(size, whole.length);
      assert.deepEqual(head, whole.subarray(0, head.length));
      if (bench.store.kind === "directory") assert.ok(head.length >= Math.min(whole.length, 8 + 4_096));
    }
  });

  test("counts are exact through puts, overwrites, deletes and a new owner", async (open) => {
    const bench = await takeAll(await open());
    const check = async (on: Bench, a: number, b: number) => {
      const counts = await on.counts();
      const expected = Object.entries({ "a_": a, "b%5Fx_": b }).filter(([, count]) => count > 0);
      if (counts === undefined) {
        const prefixes = await on.store.schemaPrefixes!();
        for (const [prefix] of expected) assert.ok(prefixes.includes(prefix), `${prefix} of ${prefixes}`);
        return;
      }
      assert.deepEqual([...counts].sort(), expected);
    };
    await check(bench, 0, 0);
    for (let index = 0; index < 30; index++) await bench.put(nameOf("a", `${index}`), "x");
    for (let index = 0; index < 10; index++) await bench.put(nameOf("b_x", `${index}`), "x");
    await check(bench, 30, 10);
    for (let index = 0; index < 30; index++) await bench.put(nameOf("a", `${index}`), index % 2 ? "y" : undefined);
    await check(bench, 15, 10);
    await bench.put(nameOf("a", "0"), undefined);
    await bench.put(nameOf("a", "0"), "back");
    await check(bench, 16, 10);
    await bench.entities.close();
    const next = await takeAll(await open());
    await check(next, 16, 10);
    for (let index = 0; index < 10; index++) await next.put(nameOf("b_x", `${index}`), undefined);
    await check(next, 16, 0);
  });

  test("operations on a partition that is not taken are unavailable", async (open) => {
    const store = await open();
    const entities = await store.openEntities("test");
    const partition = 1 as Partition;
    const name = nameOf("s", "k");
    const attempts = [
      () => entities.read(partition, name),
      () => entities.commit({ partition, name, envelope: text("x"), expected: undefined }),
      () => entities.list(partition, { ...NO_LIMIT, prefix: "" }),
      () => entities.counts(partition),
      () => entities.release(partition),
    ];
    for (const attempt of attempts) await rejectsWith("unavailable", attempt);
    assert.equal((await entities.take(partition)).kind, "taken");
    await entities.release(partition);
    for (const attempt of attempts) await rejectsWith("unavailable", attempt);
  });

  test("a released partition can be taken by another, with everything in it, and taken back", async (open) => {
    const [first, second] = [
      await takeAll(await open()),
      new Bench(await open(), await (await open()).openEntities("b")),
    ];
    const name = nameOf("s", "moving");
    const partition = first.partition(name);
    for (let round = 0; round < 4; round++) {
      const [from, to] = round % 2 === 0 ? [first, second] : [second, first];
      await from.put(name, `round ${round}`);
      await from.entities.release(partition);
      assert.deepEqual(await to.entities.take(partition), { kind: "taken", recovered: 0 });
      assert.equal(string(await to.get(name)), `round ${round}`);
    }
  });

  test("whether a taken partition excludes others is said", async (open) => {
    assert.equal((await takeAll(await open())).entities.exclusive, traits.exclusive);
  });

  if (traits.exclusive) {
    test("a partition that is taken is held, and the answer says by whom", async (open) => {
      const owner = await takeAll(await open(), "the owner");
      const entities = await (await open()).openEntities("the other");
      assert.deepEqual(await entities.take(0 as Partition), { kind: "held", by: "the owner" });
      assert.deepEqual(await owner.entities.take(0 as Partition), { kind: "taken", recovered: 0 });
      await owner.entities.release(0 as Partition);
      assert.equal((await entities.take(0 as Partition)).kind, "taken");
      assert.deepEqual(await owner.entities.take(0 as Partition), { kind: "held", by: "the other" });
      await entities.close();
      assert.equal((await owner.entities.take(0 as Partition)).kind, "taken");
    });
  }

  if (traits.conditional) {
    test("a commit on a state that is not there any more is a conflict, and changes nothing", async (open) => {
      const [first, second] = [await takeAll(await open(), "a"), await takeAll(await open(), "b")];
      const name = nameOf("s", "contended");
      const partition = first.partition(name);
      await first.put(name, "one");
      const seen = await second.entities.read(partition, name);
      await first.put(name, "two");
      for (const expected of [seen!.token, undefined]) {
        const outcome = await second.entities.commit({ partition, name, envelope: text("lost"), expected });
        assert.equal(outcome.kind, "conflict");
      }
      assert.equal(string(await second.get(name)), "two");
      const gone = await second.entities.commit({ partition, name, envelope: undefined, expected: seen!.token });
      assert.equal(gone.kind, "conflict");
      assert.equal(string(await first.get(name)), "two");
    });
  }

  test("a blind creation creates where nothing is, and is a conflict where something is", async (open) => {
    const bench = await takeAll(await open());
    assert.equal(bench.entities.blindCreate, traits.blindCreate);
    if (!traits.blindCreate) return;
    const name = nameOf("s", "blind");
    const write = (envelope: string) =>
      bench.entities.commit({
        partition: bench.partition(name),
        name,
        envelope: text(envelope),
        expected: undefined,
        blind: true,
      });
    const created = await write("one");
    assert.ok(created.kind === "committed");
    assert.equal((await bench.entities.read(bench.partition(name), name))!.token, created.token);
    assert.equal((await write("two")).kind, "conflict");
    assert.equal(string(await bench.get(name)), "one");
    await bench.put(name, undefined);
    assert.equal((await write("three")).kind, "committed");
    assert.equal(string(await bench.get(name)), "three");
  });

  test("close releases everything, and may be called twice", async (open) => {
    const bench = await takeAll(await open());
    await bench.put(nameOf("s", "k"), "v");
    await Promise.all([bench.entities.close(), bench.entities.close()]);
    await rejectsWith("unavailable", () => bench.get(nameOf("s", "k")));
    assert.equal((await bench.entities.take(0 as Partition)).kind, "unavailable");
    const next = await takeAll(await open());
    assert.equal(string(await next.get(nameOf("s", "k"))), "v");
  });

  test("figures grow with what is done", async (open) => {
    const bench = await takeAll(await open());
    const before = bench.entities.stats();
    await bench.put(nameOf("s", "k"), "v");
    const after = bench.entities.stats();
    for (const [figure, value] of Object.entries(after)) {
      assert.ok(Number.isFinite(value) && value >= 0, figure);
    }
    if (bench.store.kind === "directory") assert.ok(after.syncs > before.syncs && after.logBytes > before.logBytes);
    else assert.ok(after.requests > before.requests);
  });

  test("there is one main worker, and the next is told who it is", async (open) => {
    const [first, second] = [await open(), await open()];
    const locked = await first.lockMain("main on host a, process 1");
    assert.equal(locked.kind, "locked");
    assert.deepEqual(await second.lockMain("other"), { kind: "held", by: "main on host a, process 1" });
    if (locked.kind !== "locked") return;
    assert.equal(locked.lock.lost.aborted, false);
    await locked.lock.release();
    const next = await second.lockMain("other");
    assert.equal(next.kind, "locked");
    assert.deepEqual(await first.lockMain("again"), { kind: "held", by: "other" });
    await second.close();
    assert.equal((await first.lockMain("again")).kind, "locked");
  });

  for (const shelf of ["templates", "auth"] as const) {
    test(`the shelf "${shelf}" keeps whole objects, and shows when one changed`, async (open) => {
      const [first, second] = [await open(), await open()];
      assert.deepEqual(await first[shelf].list(), []);
      assert.equal(await first[shelf].get("one"), undefined);
      assert.equal(await first[shelf].delete("one"), false);
      await first[shelf].put("two", text("2"));
      await first[shelf].put("one", text("1"));
      assert.equal(string(await second[shelf].get("one")), "1");
      const before = await second[shelf].list();
      assert.deepEqual(before.map((object) => object.name), ["one", "two"]);
      assert.deepEqual(await second[shelf].list(), before);
      await first[shelf].put("one", text("X"));
      const after = await second[shelf].list();
      assert.notEqual(after[0]!.revision, before[0]!.revision);
      assert.equal(after[1]!.revision, before[1]!.revision);
      assert.equal(string(await second[shelf].get("one")), "X");
      const large = new Uint8Array(1024 * 1024).fill(7);
      await first[shelf].put("two", large);
      assert.deepEqual(await second[shelf].get("two"), large);
      assert.equal(await second[shelf].delete("one"), true);
      assert.deepEqual((await first[shelf].list()).map((object) => object.name), ["two"]);
    });
  }

  test("templates have any schema id as their name", async (open) => {
    const store = await open();
    const ids = ["a_b", "a b", "ä", ".hidden", "100%", "A", "a", "\u{10ffff}".repeat(16)];
    for (const id of ids) await store.templates.put(id, text(id));
    for (const id of ids) assert.equal(string(await store.templates.get(id)), id);
    assert.deepEqual((await store.templates.list()).map((object) => object.name), [...ids].sort());
  });
}
