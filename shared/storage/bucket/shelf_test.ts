import assert from "assert";
import { ManualClock } from "../../seams/manual_clock.ts";
import { systemRandom } from "../../seams/random.ts";
import { StorageError } from "../store.ts";
import { ALL_CONDITIONS } from "./conditions.ts";
import { MemoryClient } from "./memory_client.ts";
import { ObjectError } from "./object_error.ts";
import { Requests } from "./requests.ts";
import { BucketShelf } from "./shelf.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function setUp(fence: () => void = () => {}) {
  const client = new MemoryClient();
  const clock = new ManualClock();
  const requests = new Requests(clock, systemRandom);
  const shelf = new BucketShelf({ client, requests, clock, conditions: ALL_CONDITIONS, fence }, "_auth/", "");
  return { client, clock, shelf };
}

Deno.test("a write whose answer was lost is there once and counts as done", async () => {
  const { client, clock, shelf } = setUp();
  let lose = true;
  client.after = () => {
    if (!lose) return;
    lose = false;
    throw new ObjectError("ambiguous", "TEST", "lost");
  };
  const put = shelf.put("keys.json", bytes("one"));
  await clock.advance(8_000);
  await put;
  lose = true;
  const removal = shelf.delete("keys.json");
  await clock.advance(8_000);
  assert.equal(await removal, true);
  assert.equal(client.objects.size, 0);
});

Deno.test("a main worker that lost its lease writes nothing, and what was under way does not count", async () => {
  let lost = false;
  const { client, shelf } = setUp(() => {
    if (lost) throw new StorageError("unavailable", "the lease is lost");
  });
  await shelf.put("keys.json", bytes("one"));
  client.after = () => {
    lost = true;
  };
  await assert.rejects(shelf.put("keys.json", bytes("two")), { reason: "unknown" });
  await assert.rejects(shelf.put("keys.json", bytes("three")), { reason: "unavailable" });
  await assert.rejects(shelf.delete("keys.json"), { reason: "unavailable" });
  assert.deepEqual(client.objects.get("_auth/keys.json")!.bytes, bytes("two"));
  assert.deepEqual(await shelf.get("keys.json"), bytes("two"));
});

Deno.test("a write that was held up does not overwrite what the next main worker wrote", async () => {
  let lost = false;
  const { client, shelf } = setUp(() => {
    if (lost) throw new StorageError("unavailable", "the lease is lost");
  });
  await shelf.put("keys.json", bytes("one"));
  // The PUT is on its way when its sender is paused and another main worker takes over and writes.
  client.before = async (method) => {
    if (method !== "PUT") return;
    client.before = () => {};
    lost = true;
    await client.put("_auth/keys.json", bytes("the successor's"), undefined, new AbortController().signal);
  };
  await assert.rejects(shelf.put("keys.json", bytes("two")), { reason: "unknown" });
  assert.deepEqual(client.objects.get("_auth/keys.json")!.bytes, bytes("the successor's"));
});

Deno.test("two main workers' writes at once: each replaces what it saw, and the later one is there", async () => {
  const { client, shelf } = setUp();
  await shelf.put("a", bytes("0"));
  client.before = async (method) => {
    if (method !== "PUT") return;
    client.before = () => {};
    await client.put("_auth/a", bytes("theirs"), undefined, new AbortController().signal);
  };
  await shelf.put("a", bytes("ours"));
  assert.deepEqual(client.objects.get("_auth/a")!.bytes, bytes("ours"));
});

Deno.test("all objects of a shelf are listed, however many pages that takes, and nothing that is not its own", async () => {
  const client = new MemoryClient();
  const clock = new ManualClock();
  const requests = new Requests(clock, systemRandom);
  const parts = { client, requests, clock, conditions: ALL_CONDITIONS, fence: () => {} };
  const shelf = new BucketShelf(parts, "templates/", ".json");
  const names = Array.from({ length: 2_500 }, (_, index) => `a.${index}`).sort();
  for (const name of names) await shelf.put(name, bytes(name));
  for (const key of ["templates/.json", "templates/a.txt", "templates/%zz.json", "template/b.json", "templates"]) {
    await client.put(key, bytes("not ours"), undefined, new AbortController().signal);
  }
  const before = await shelf.list();
  assert.deepEqual(before.map(({ name }) => name), names);
  await shelf.put("a.7", bytes("changed"));
  const changed = (await shelf.list()).filter(({ revision }, index) => revision !== before[index]!.revision);
  assert.deepEqual(changed.map(({ name }) => name), ["a.7"]);
});

Deno.test("what a service does not answer is unavailable, or unknown if it may have changed something", async () => {
  const { client, clock, shelf } = setUp();
  const failing = async (work: Promise<unknown>) => {
    const failed = assert.rejects(work, (error) => {
      assert.ok(error instanceof StorageError, String(error));
      reasons.push(error.reason);
      return true;
    });
    await clock.advance(30_000);
    await failed;
  };
  const reasons: string[] = [];
  await shelf.put("a", bytes("1"));
  client.before = () => {
    throw new ObjectError("ambiguous", "TEST", "the test says so");
  };
  await failing(shelf.get("a"));
  await failing(shelf.list());
  client.before = (method) => {
    if (method === "PUT" || method === "DELETE") throw new ObjectError("ambiguous", "TEST", "the test says so");
  };
  await failing(shelf.put("a", bytes("2")));
  await failing(shelf.delete("a"));
  assert.deepEqual(reasons, ["unavailable", "unavailable", "unknown", "unknown"]);
  client.before = () => {
    throw new RangeError("a mistake in the program");
  };
  for (const work of [shelf.get("a"), shelf.list(), shelf.put("a", bytes("2")), shelf.delete("a")]) {
    await assert.rejects(work, RangeError);
  }
});

Deno.test("a service without conditions is written to and deleted from without them", async () => {
  const client = new MemoryClient();
  const clock = new ManualClock();
  const requests = new Requests(clock, systemRandom);
  const conditions = { create: false, replace: "none", replaceNeedsObject: true, remove: false } as const;
  const shelf = new BucketShelf({ client, requests, clock, conditions, fence: () => {} }, "_auth/", "");
  const { put, delete: remove } = client;
  const sent: unknown[] = [];
  client.put = (
    key,
    value,
    condition,
    signal,
  ) => (sent.push(condition), put.call(client, key, value, condition, signal));
  client.delete = (key, ifMatch, signal) => (sent.push(ifMatch), remove.call(client, key, ifMatch, signal));
  await shelf.put("a", bytes("1"));
  await shelf.put("a", bytes("2"));
  assert.deepEqual(await shelf.get("a"), bytes("2"));
  assert.equal(await shelf.delete("a"), true);
  assert.equal(await shelf.delete("a"), false);
  assert.deepEqual(sent, [undefined, undefined, undefined]);
});
