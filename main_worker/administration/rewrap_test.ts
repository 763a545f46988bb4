import assert from "assert";
import { silentLogger } from "../../shared/logging/logger.ts";
import { failure } from "../../shared/outcome.ts";
import { StorageError } from "../../shared/storage/store.ts";
import { Rewrap, REWRAP_MARK_OBJECT } from "./rewrap.ts";
import { keys, MemoryDatabase, MemoryShelf, PARTITIONS } from "./testing.ts";

async function old(entities: number): Promise<MemoryDatabase> {
  const database = new MemoryDatabase(keys(["k1", 1]));
  for (let i = 0; i < entities; i++) await database.put("chat", `key-${i}`, `{"i":${i}}`, i + 1);
  database.keyring = keys(["k2", 2], ["k1", 1]);
  return database;
}

function rewrapOf(
  database: MemoryDatabase,
  shelf = new MemoryShelf(),
  listing: "owners" | "store" = "owners",
  onFinished: (result: string) => void = () => {},
): Rewrap {
  return new Rewrap({
    dispatcher: database,
    operations: database.operations,
    lister: database,
    listing,
    clock: database.clock,
    log: silentLogger,
    shelf,
    keyId: database.keyring.keyId,
    partitions: PARTITIONS,
    onFinished,
  });
}

async function ended(rewrap: Rewrap): Promise<ReturnType<() => Rewrap["progress"]>> {
  while (rewrap.progress.status === "running") await new Promise((resolve) => setTimeout(resolve, 1));
  return rewrap.progress;
}

for (const listing of ["owners", "store"] as const) {
  Deno.test(`everything is under the new key afterwards, with its versions and ETags (${listing})`, async () => {
    const database = await old(600);
    for (let i = 0; i < 30; i++) await database.put("new", `key-${i}`, "1");
    const before = new Map(
      await Promise.all([...database.envelopes.keys()].map(async (name) => [name, await database.get(name)] as const)),
    );
    const shelf = new MemoryShelf();
    const rewrap = rewrapOf(database, shelf, listing);
    assert.equal(rewrap.progress.status, "idle");
    assert.equal((await rewrap.start()).status, "running");
    assert(shelf.objects.has(REWRAP_MARK_OBJECT));
    const { started_at, finished_at, ...progress } = await ended(rewrap);
    assert(started_at !== null && finished_at !== null);
    assert.deepEqual(progress, { status: "done", key_id: "k2", scanned: 630, rewrapped: 600, failed: 0, total: 630 });
    assert.equal(shelf.objects.size, 0);
    database.keyring = keys(["k2", 2]);
    for (const [name, entity] of before) assert.deepEqual(await database.get(name), { ...entity, keyId: "k2" });
  });
}

Deno.test("stopped in the middle, the next start goes on; without a mark there is nothing to do", async () => {
  const database = await old(600);
  const shelf = new MemoryShelf();
  const first = rewrapOf(database, shelf);
  await first.resume();
  assert.equal(first.progress.status, "idle");
  let operations = 0;
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  const { promise: killed, resolve: kill } = Promise.withResolvers<void>();
  database.before = async () => {
    if (++operations < 200) return undefined;
    reach();
    await killed;
    return failure("no_worker", "the main worker is gone");
  };
  await first.start();
  await reached;
  const stopping = first.stop();
  kill();
  await stopping;
  assert(shelf.objects.has(REWRAP_MARK_OBJECT));
  // What was under way ends by itself.
  const before = 199;
  while (first.progress.rewrapped < before) await new Promise((resolve) => setTimeout(resolve, 1));
  database.before = () => undefined;
  const second = rewrapOf(database, shelf);
  await second.resume();
  const { scanned, rewrapped, total, status } = await ended(second);
  assert.deepEqual([status, scanned, rewrapped, total], ["done", 600, 600 - before, 600]);
});

Deno.test("what passes is waited for, in lists and in operations", async () => {
  const database = await old(50);
  let n = 0;
  database.before = () => ++n % 3 ? failure("no_worker", "moving") : undefined;
  database.beforePage = () => ++n % 2 ? failure("deadline", "moving") : undefined;
  const rewrap = rewrapOf(database);
  await rewrap.start();
  assert.deepEqual(await ended(rewrap), { ...rewrap.progress, status: "done", rewrapped: 50, failed: 0 });
});

Deno.test("entities that cannot be opened are counted, the rest is done, and a later start tries them again", async () => {
  const database = await old(20);
  const [damaged, foreign] = [...database.envelopes.keys()];
  const whole = database.envelopes.get(damaged!)!;
  database.envelopes.set(damaged!, whole.with(150, whole[150]! ^ 1));
  const other = new MemoryDatabase(keys(["k9", 9]));
  await other.put("chat", "key-1", "1");
  database.envelopes.set(foreign!, other.envelopes.get(foreign!)!);
  const results: string[] = [];
  const rewrap = rewrapOf(database, undefined, undefined, (result) => results.push(result));
  await rewrap.start();
  const failed = await ended(rewrap);
  assert.deepEqual([failed.status, failed.scanned, failed.rewrapped, failed.failed], ["failed", 20, 18, 2]);
  assert.match(failed.error!, /^2 entities could not/);
  database.envelopes.set(damaged!, whole);
  database.envelopes.delete(foreign!);
  await rewrap.start();
  const done = await ended(rewrap);
  assert.deepEqual([done.status, done.scanned, done.rewrapped, done.error], ["done", 19, 1, undefined]);
  assert.deepEqual(results, ["failed", "done"]);
});

Deno.test("what a restore brings in behind its place is found too", async () => {
  const database = await old(300);
  const rewrap = rewrapOf(database);
  const earlier = new MemoryDatabase(keys(["k1", 1]));
  await earlier.put("aaa", "first", "1");
  let n = 0;
  database.before = () => {
    if (++n !== 300) return undefined;
    for (const [name, envelope] of earlier.envelopes) database.envelopes.set(name, envelope);
    rewrap.arrived();
    return undefined;
  };
  await rewrap.start();
  const { scanned, rewrapped } = await ended(rewrap);
  assert.deepEqual([scanned, rewrapped], [301, 301]);
});

Deno.test("entities that come and go on the way do no harm", async () => {
  const database = await old(300);
  const names = [...database.envelopes.keys()];
  let n = 0;
  database.before = () => {
    database.envelopes.delete(names[++n]!);
    return undefined;
  };
  const rewrap = rewrapOf(database);
  await rewrap.start();
  assert.equal((await ended(rewrap)).status, "done");
});

Deno.test("a store that does not take the mark: nothing is begun; one that keeps it: it is tried again", async () => {
  const database = await old(3);
  class Full extends MemoryShelf {
    refusals = 1;
    override put(name: string, bytes: Uint8Array): Promise<void> {
      if (this.refusals-- > 0) return Promise.reject(new StorageError("unavailable", "full"));
      return super.put(name, bytes);
    }
    override delete(name: string): Promise<boolean> {
      if (this.refusals++ < 2) return Promise.reject(new StorageError("unavailable", "away"));
      return super.delete(name);
    }
  }
  const shelf = new Full();
  const rewrap = rewrapOf(database, shelf);
  await assert.rejects(rewrap.start(), StorageError);
  assert.equal(rewrap.progress.status, "failed");
  await rewrap.start();
  assert.equal((await ended(rewrap)).status, "done");
  assert.equal(shelf.objects.size, 0);
});
