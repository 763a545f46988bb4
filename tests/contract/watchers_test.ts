/** Many watchers of a real main worker: all see all of a load, end with their key, and are no worse off for slow ones. */
import assert from "assert";
import { ADMIN_KEY, Cluster } from "../system/cluster.ts";
import { caughtUp, readKey, type Versions, Watcher, write } from "./watchers.ts";

const WATCHERS = 100;

Deno.test("every watcher sees every write, once and in order, and all of them end with their key", async () => {
  await using cluster = await Cluster.start();
  const key = await readKey(cluster);
  const other = await readKey(cluster);
  const start = (credential: string) => Watcher.start(cluster.url, "w", credential);
  const watchers = await Promise.all(Array.from({ length: WATCHERS }, () => start(key.secret)));
  const stays = await start(other.secret);
  await Promise.all([...watchers, stays].map(({ open }) => open));
  const versions: Versions = new Map();
  await write(cluster, { schema: "w", writes: 500, versions });
  await Promise.all([...watchers, stays].map((watcher) => caughtUp(watcher, versions)));
  for (const { events, resets, wrong } of watchers) assert.deepEqual([events, resets, wrong], [500, 0, []]);

  await key.revoke();
  assert.deepEqual(await Promise.all(watchers.map(({ ended }) => ended)), watchers.map(() => true));
  await write(cluster, { schema: "w", writes: 10, versions });
  await caughtUp(stays, versions);
  assert.equal(watchers[0]!.events, 500);
  assert.equal((await cluster.fetch("/watch/w", { headers: { authorization: `Bearer ${key.secret}` } })).status, 401);
  stays.close();
  await stays.ended;
});

Deno.test("a watcher that reads nothing is cut off at its bound and lists again; the others miss nothing", async () => {
  await using cluster = await Cluster.start();
  const quick = await Promise.all(Array.from({ length: 20 }, () => Watcher.start(cluster.url, "w", ADMIN_KEY)));
  const slow = await Watcher.start(cluster.url, "w", ADMIN_KEY, "", true);
  await Promise.all([...quick, slow].map(({ open }) => open));
  // Long keys make long events: sockets hold some megabytes of them.
  const keys = Array.from({ length: 1_000 }, (_, i) => `${i}-`.padEnd(250, "k"));
  const body = JSON.stringify(Object.fromEntries(keys.map((name) => [name, 1])));
  const versions: Versions = new Map();
  const ROUNDS = 40;
  for (let round = 1; round <= ROUNDS; round++) {
    const response = await cluster.fetch("/entity/w", { method: "PUT", body });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    for (const name of keys) versions.set(name, round);
    await Promise.all(quick.map((watcher) => caughtUp(watcher, versions)));
  }
  for (const { events, resets, wrong } of quick) assert.deepEqual([events, resets, wrong], [1_000 * ROUNDS, 0, []]);

  slow.resume();
  assert.equal(await slow.ended, true);
  assert.deepEqual([slow.wrong, slow.resets], [[], 0]);
  assert(slow.events < 1_000 * ROUNDS, `it has all ${slow.events} events`);
  const again = await Watcher.start(cluster.url, "w", ADMIN_KEY, slow.lastId);
  await again.open;
  await cluster.put("w", "last", "1");
  await caughtUp(again, new Map([["last", 1]]));
  assert.deepEqual([again.resets, again.events], [1, 1]);
  for (const watcher of [...quick, again]) watcher.close();
  await Promise.all([...quick, again].map(({ ended }) => ended));
});
