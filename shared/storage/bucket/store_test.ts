import assert from "assert";
import { ManualClock } from "../../seams/manual_clock.ts";
import { S3Emulator } from "../../../tests/s3/emulator.ts";
import { systemRandom } from "../../seams/random.ts";
import { StorageError } from "../store.ts";
import { MemoryClient } from "./memory_client.ts";
import { ObjectError } from "./object_error.ts";
import { openBucketStore } from "./store.ts";
import { envelopeOf, everyPartition, named, openStore, optionsFor, PARTITIONS } from "./testing.ts";

async function refusal(promise: Promise<unknown>): Promise<StorageError> {
  const error = await promise.then(() => assert.fail("it opened"), (reason) => reason);
  assert.ok(error instanceof StorageError, String(error));
  assert.doesNotMatch(error.message, /\n|minioadmin/);
  return error;
}

Deno.test("several that make one store at once agree on what it is", async () => {
  await using emulator = await S3Emulator.start({ buckets: [] });
  const counts = [4, 8, 16, 4];
  const stores = await Promise.all(
    counts.map((partitions) => openStore(emulator.endpoint, {}, { create: { partitions } })),
  );
  assert.equal(new Set(stores.map((store) => store.id)).size, 1);
  assert.equal(new Set(stores.map((store) => store.partitions)).size, 1);
  const again = await openStore(emulator.endpoint, {}, { create: undefined });
  assert.equal(again.id, stores[0]!.id);
  for (const store of [...stores, again]) await store.close();
  const manifest = JSON.parse(new TextDecoder().decode(emulator.bytes("manifest.json")));
  assert.deepEqual(manifest, { format: 1, store: again.id, partitions: again.partitions });
});

Deno.test("a store that is not there is missing, for a program that does not make one", async () => {
  await using emulator = await S3Emulator.start({ buckets: ["empty"] });
  for (const bucket of ["empty", "none"]) {
    const { reason, message } = await refusal(openStore(emulator.endpoint, {}, { bucket, create: undefined }));
    assert.equal(reason, "missing");
    assert.match(message, new RegExp(bucket));
  }
  assert.deepEqual([...emulator.objects("empty").keys()], []);
});

Deno.test("another partition count is an error if it was asked for", async () => {
  await using emulator = await S3Emulator.start();
  await (await openStore(emulator.endpoint)).close();
  const asked = { create: { partitions: 64, asked: true } };
  const { reason, message } = await refusal(openStore(emulator.endpoint, {}, asked));
  assert.deepEqual([reason, /16 partitions.*64/.test(message)], ["configuration", true]);
  const store = await openStore(emulator.endpoint, {}, { create: { partitions: 64 } });
  assert.equal(store.partitions, PARTITIONS);
  await store.close();
  for (const partitions of [0, 3, 2_048, 1.5]) {
    assert.equal((await refusal(openStore(emulator.endpoint, {}, { create: { partitions } }))).reason, "configuration");
  }
});

Deno.test("a manifest that is damaged, or of a later version, is refused and left alone", async () => {
  const id = "0".repeat(32);
  const manifests: readonly (readonly [string, StorageError["reason"]])[] = [
    ["", "corrupt"],
    ["{", "corrupt"],
    ["null", "corrupt"],
    [JSON.stringify({ format: 1, store: "x", partitions: 64 }), "corrupt"],
    [JSON.stringify({ format: 1, store: id, partitions: 63 }), "corrupt"],
    [JSON.stringify({ format: 2, store: id, partitions: 64 }), "configuration"],
  ];
  for (const [text, reason] of manifests) {
    await using emulator = await S3Emulator.start();
    emulator.set("manifest.json", new TextEncoder().encode(text));
    assert.equal((await refusal(openStore(emulator.endpoint))).reason, reason);
    assert.equal(new TextDecoder().decode(emulator.bytes("manifest.json")), text);
  }
});

Deno.test("a store whose service comes up a little later is opened", async () => {
  await using emulator = await S3Emulator.start();
  emulator.fault({ times: 3, effect: { kind: "reset" } });
  await (await openStore(emulator.endpoint)).close();
});

Deno.test("a probe says when the service is gone, and when it is back", async () => {
  await using emulator = await S3Emulator.start();
  const store = await openStore(emulator.endpoint);
  try {
    await store.probe();
    emulator.fault({ method: "GET", effect: { kind: "status", status: 403, code: "AccessDenied" } });
    assert.equal((await refusal(store.probe())).reason, "unavailable");
    await store.probe();
    emulator.objects().delete("manifest.json");
    assert.match((await refusal(store.probe())).message, /lost its store/);
  } finally {
    await store.close();
  }
});

Deno.test("a main worker that was paused past its lease changes nothing on the shelves", async () => {
  const client = new MemoryClient();
  const open = (clock: ManualClock) =>
    clock.runUntil(openBucketStore(optionsFor("unused:1"), { clock, random: systemRandom, client }));
  const [paused, next] = [new ManualClock(), new ManualClock()];
  const [first, second] = [await open(paused), await open(next)];
  const held = await paused.runUntil(first.lockMain("first"));
  assert.ok(held.kind === "locked");
  await paused.runUntil(first.auth.put("keys.json", new Uint8Array([1])));
  paused.freeze(60_000);
  const taken = await next.runUntil(second.lockMain("second"));
  assert.ok(taken.kind === "locked");
  await next.runUntil(second.auth.put("keys.json", new Uint8Array([2])));
  assert.equal((await refusal(first.auth.put("keys.json", new Uint8Array([3])))).reason, "unavailable");
  assert.equal((await refusal(first.templates.delete("t"))).reason, "unavailable");
  assert.equal(held.lock.lost.aborted, true);
  assert.deepEqual(client.objects.get("_auth/keys.json")!.bytes, new Uint8Array([2]));
  await paused.runUntil(first.close());
  await next.runUntil(second.close());
  assert.equal(paused.timers + next.timers, 0);
});

Deno.test("meta.json objects that come too fast are dropped and counted, and rebuilt later", async () => {
  await using emulator = await S3Emulator.start();
  const store = await openStore(emulator.endpoint);
  const entities = await store.openEntities("test");
  for (const partition of everyPartition()) await entities.take(partition);
  emulator.fault({ method: "PUT", key: ".meta.json", times: 5, effect: { kind: "status", status: 500, code: "X" } });
  const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
  await Promise.all(
    keys.map((key) => entities.commit({ ...named(key), envelope: envelopeOf(key, 1), expected: undefined })),
  );
  const metas = () => [...emulator.objects().keys()].filter((key) => key.endsWith(".meta.json")).length;
  await Promise.all(everyPartition().map((partition) => entities.release(partition)));
  assert.ok(metas() < keys.length);
  for (const partition of everyPartition()) await entities.take(partition);
  await entities.maintain();
  assert.equal(metas(), keys.length);
  await store.close();
});

Deno.test("errors of a request that nobody expected are not swallowed", async () => {
  const client = new MemoryClient();
  client.before = () => {
    throw new RangeError("a mistake in the program");
  };
  const clock = new ManualClock();
  const opening = openBucketStore(optionsFor("unused:1"), { clock, random: systemRandom, client });
  await assert.rejects(clock.runUntil(opening), RangeError);
  client.before = () => {
    throw new ObjectError("denied", "AccessDenied", "no");
  };
  const refused = openBucketStore(optionsFor("unused:1"), { clock, random: systemRandom, client });
  await assert.rejects(clock.runUntil(refused), { reason: "configuration" });
});

Deno.test("the SDK is loaded by a dynamic import only, when a bucket is opened", async () => {
  const info = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", import.meta.resolve("../open_store.ts")],
    cwd: new URL("../../..", import.meta.url),
  }).output();
  interface Module {
    readonly dependencies?: readonly { readonly specifier: string; readonly isDynamic?: boolean }[];
  }
  const { modules }: { modules: readonly Module[] } = JSON.parse(new TextDecoder().decode(info.stdout));
  const imports = modules.flatMap((module) => module.dependencies ?? []);
  const ofSdk = imports.filter(({ specifier }) => /@aws-sdk|@smithy/.test(specifier));
  assert.ok(ofSdk.length > 0);
  assert.ok(ofSdk.every(({ isDynamic }) => isDynamic === true));
});
