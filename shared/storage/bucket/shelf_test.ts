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
