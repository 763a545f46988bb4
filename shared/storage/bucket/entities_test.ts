import assert from "assert";
import { S3Emulator } from "../../../tests/s3/emulator.ts";
import { StorageError } from "../store.ts";
import type { BucketEntities } from "./entities.ts";
import { envelopeKey, metaKey } from "./layout.ts";
import type { BucketStore } from "./store.ts";
import { envelopeOf, everyPartition, named, openPatientStore, openStore } from "./testing.ts";

async function taken(store: BucketStore): Promise<BucketEntities> {
  const entities = await store.openEntities("test");
  for (const partition of everyPartition()) await entities.take(partition);
  return entities;
}

async function withStore(
  run: (emulator: S3Emulator, entities: BucketEntities, store: BucketStore) => Promise<void>,
  options: Parameters<typeof S3Emulator.start>[0] = {},
  context: Parameters<typeof openStore>[1] = {},
): Promise<void> {
  await using emulator = await S3Emulator.start(options);
  const store = await openStore(emulator.endpoint, context);
  try {
    await run(emulator, await taken(store), store);
  } finally {
    await store.close();
  }
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof StorageError, String(error));
    return error.reason;
  }
  return "none";
}

Deno.test("an entity is created, read, replaced and deleted", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    assert.equal(await entities.read(at.partition, at.name), undefined);
    const first = envelopeOf("k", 1, "one");
    const created = await entities.commit({ ...at, envelope: first, expected: undefined });
    assert.ok(created.kind === "committed" && created.token !== undefined);
    assert.deepEqual(emulator.bytes(envelopeKey(at.name)), new Uint8Array(first));
    const second = envelopeOf("k", 2, "two");
    const replaced = await entities.commit({ ...at, envelope: second, expected: created.token });
    assert.ok(replaced.kind === "committed");
    const read = await entities.read(at.partition, at.name);
    assert.deepEqual(read, { envelope: second, token: replaced.token });
    assert.equal((await entities.commit({ ...at, envelope: undefined, expected: replaced.token })).kind, "committed");
    assert.equal(await entities.read(at.partition, at.name), undefined);
    assert.equal((await entities.commit({ ...at, envelope: undefined, expected: undefined })).kind, "committed");
  });
});

for (
  const options of [
    {},
    { spelling: "plain", remove: "ignored" },
    { spelling: "quoted", remove: "unsupported" },
    { replaceCreates: true },
    { create: "ignored", replace: "ignored", remove: "ignored" },
  ] as const
) {
  Deno.test(`a write on another state is a conflict: ${JSON.stringify(options)}`, async () => {
    await withStore(async (emulator, entities) => {
      const at = named("k");
      const first = await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
      assert.ok(first.kind === "committed");
      assert.equal(
        (await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined })).kind,
        "conflict",
      );
      const theirs = envelopeOf("k", 2, "theirs");
      emulator.set(envelopeKey(at.name), theirs);
      const stale = { ...at, expected: first.token };
      assert.equal((await entities.commit({ ...stale, envelope: envelopeOf("k", 2) })).kind, "conflict");
      assert.equal((await entities.commit({ ...stale, envelope: undefined })).kind, "conflict");
      assert.equal((await entities.commit({ ...at, envelope: undefined, expected: undefined })).kind, "conflict");
      assert.deepEqual(emulator.bytes(envelopeKey(at.name)), new Uint8Array(theirs));
      emulator.objects().delete(envelopeKey(at.name));
      assert.equal((await entities.commit({ ...stale, envelope: undefined })).kind, "conflict");
    }, options);
  });
}

Deno.test("a write whose answer was lost is found by reading back", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "lost" } });
    const first = envelopeOf("k", 1);
    const created = await entities.commit({ ...at, envelope: first, expected: undefined });
    assert.ok(created.kind === "committed");
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "lost" } });
    const second = envelopeOf("k", 2);
    const replaced = await entities.commit({ ...at, envelope: second, expected: created.token });
    assert.ok(replaced.kind === "committed");
    assert.deepEqual(await entities.read(at.partition, at.name), { envelope: second, token: replaced.token });
    emulator.fault({ method: "DELETE", key: ".enc", effect: { kind: "lost" } });
    assert.equal((await entities.commit({ ...at, envelope: undefined, expected: replaced.token })).kind, "committed");
    assert.equal(await entities.read(at.partition, at.name), undefined);
  });
});

Deno.test("after a lost answer, another write of the same version means that ours was not carried out", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    const created = await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
    assert.ok(created.kind === "committed");
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "status", status: 500, code: "InternalError" } });
    const theirs = envelopeOf("k", 2, "theirs");
    emulator.set(envelopeKey(at.name), theirs);
    const outcome = await entities.commit({ ...at, envelope: envelopeOf("k", 2, "ours"), expected: created.token });
    assert.equal(outcome.kind, "conflict");
    // A later version may have been written on top of ours: nobody can tell.
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "status", status: 500, code: "InternalError" } });
    emulator.set(envelopeKey(at.name), envelopeOf("k", 3, "later"));
    const blind = entities.commit({ ...at, envelope: envelopeOf("k", 2, "ours"), expected: created.token });
    assert.equal(await reasonOf(blind), "unknown");
  });
});

Deno.test("a blind write creates in one request, and in one request finds that something is there", async () => {
  await withStore(async (emulator, entities) => {
    assert.equal(entities.blindCreate, true);
    const at = named("k");
    const blind = { ...at, expected: undefined, blind: true };
    const requests = () =>
      emulator.count("PUT", ".enc") + emulator.count("GET", ".enc") + emulator.count("HEAD", ".enc");
    const first = envelopeOf("k", 1);
    assert.equal((await entities.commit({ ...blind, envelope: first })).kind, "committed");
    assert.equal(requests(), 1);
    assert.equal((await entities.commit({ ...blind, envelope: envelopeOf("k", 1) })).kind, "conflict");
    assert.equal(requests(), 2);
    assert.deepEqual(emulator.bytes(envelopeKey(at.name)), new Uint8Array(first));
  });
});

Deno.test("nothing is written blindly at a service that does not honour If-None-Match", async () => {
  await withStore((_, entities) => {
    assert.equal(entities.blindCreate, false);
    return Promise.resolve();
  }, { create: "ignored" });
});

Deno.test("a blind write whose answer was lost is found, or finds what was in its way; a late one brings nothing back", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    const blind = { ...at, expected: undefined, blind: true };
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "lost" } });
    const first = envelopeOf("k", 1);
    const created = await entities.commit({ ...blind, envelope: first });
    assert.ok(created.kind === "committed");
    // It was seen to have been carried out: nothing is under way.
    assert.equal((await entities.commit({ ...at, envelope: undefined, expected: created.token })).kind, "committed");

    const theirs = envelopeOf("k", 7, "theirs");
    emulator.set(envelopeKey(at.name), theirs);
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "reset" } });
    assert.equal((await entities.commit({ ...blind, envelope: envelopeOf("k", 1) })).kind, "conflict");
    const seen = await entities.read(at.partition, at.name);
    assert.ok(seen !== undefined);
    assert.deepEqual(seen.envelope, theirs);
    // The first attempt might still be carried out: it must find something to be refused by.
    const remove = entities.commit({ ...at, envelope: undefined, expected: seen.token });
    assert.equal(await reasonOf(remove), "unavailable");
    const second = await entities.commit({ ...at, envelope: envelopeOf("k", 8), expected: seen.token });
    assert.equal(second.kind, "committed");
  });
});

Deno.test("a blind write in doubt of a worker that may not write any more is of unknown outcome", async () => {
  let allowed = true;
  await withStore(
    async (emulator, entities) => {
      const at = named("k");
      emulator.set(envelopeKey(at.name), envelopeOf("k", 1, "of the next owner"));
      const release = Promise.withResolvers<void>();
      emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "reset" } });
      emulator.fault({ method: "GET", key: ".enc", effect: { kind: "slow", until: release.promise } });
      const blind = entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined, blind: true });
      await until(() => emulator.count("GET", ".enc") === 1);
      allowed = false;
      release.resolve();
      assert.equal(await reasonOf(blind), "unknown");
    },
    {},
    { mayWrite: () => allowed },
  );
});

Deno.test("an answered error of any kind is repeated, and the write is there once", async () => {
  for (
    const effect of [
      { kind: "status", status: 500, code: "InternalError" },
      { kind: "status", status: 503, code: "SlowDown" },
      { kind: "status", status: 503, code: "ServiceUnavailable" },
      { kind: "status", status: 409, code: "ConditionalRequestConflict" },
      { kind: "status", status: 400, code: "RequestTimeout" },
      { kind: "reset" },
    ] as const
  ) {
    await withStore(async (emulator, entities) => {
      const at = named("k");
      emulator.fault({ method: "PUT", key: ".enc", effect });
      const envelope = envelopeOf("k", 1);
      assert.equal((await entities.commit({ ...at, envelope, expected: undefined })).kind, "committed");
      assert.deepEqual(emulator.bytes(envelopeKey(at.name)), new Uint8Array(envelope));
      emulator.fault({ method: "GET", key: ".enc", effect });
      assert.deepEqual((await entities.read(at.partition, at.name))?.envelope, envelope);
    });
  }
});

Deno.test("half a body is read again, never handed out", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    const envelope = envelopeOf("k", 1, "x".repeat(100_000));
    await entities.commit({ ...at, envelope, expected: undefined });
    emulator.fault({ method: "GET", key: ".enc", times: 2, effect: { kind: "half" } });
    assert.deepEqual((await entities.read(at.partition, at.name))?.envelope, envelope);
  });
});

Deno.test("a refusal for good is unavailable at once, and nothing was changed", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "status", status: 403, code: "AccessDenied" } });
    const before = emulator.count("PUT", ".enc");
    const commit = entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
    assert.equal(await reasonOf(commit), "unavailable");
    assert.equal(emulator.count("PUT", ".enc"), before + 1);
    assert.equal(emulator.bytes(envelopeKey(at.name)), undefined);
  });
});

Deno.test("a worker that may not write sends nothing, also no repetition", async () => {
  let allowed = true;
  await withStore(
    async (emulator, entities) => {
      const at = named("k");
      const hit = Promise.withResolvers<void>();
      emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "slow", until: hit.promise } });
      const slow = entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
      await until(() => emulator.count("PUT", ".enc") === 1);
      allowed = false;
      const other = named("other");
      const refused = entities.commit({ ...other, envelope: envelopeOf("other", 1), expected: undefined });
      assert.equal(await reasonOf(refused), "unavailable");
      hit.resolve();
      assert.equal((await slow).kind, "committed");
      allowed = true;
      emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "reset" } });
      const first = entities.commit({ ...other, envelope: envelopeOf("other", 1), expected: undefined });
      await until(() => emulator.count("PUT", ".enc") === 2);
      allowed = false;
      assert.equal(await reasonOf(first), "unknown");
      assert.equal(emulator.count("PUT", ".enc"), 2);
    },
    {},
    { mayWrite: () => allowed },
  );
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("a late PUT of an earlier owner cannot overwrite what the new owner wrote", async () => {
  await using emulator = await S3Emulator.start();
  const [oldStore, newStore] = [await openStore(emulator.endpoint), await openStore(emulator.endpoint)];
  try {
    const [old, fresh] = [await taken(oldStore), await taken(newStore)];
    const at = named("k");
    const created = await old.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
    assert.ok(created.kind === "committed");
    const stuck = Promise.withResolvers<void>();
    emulator.fault({ method: "PUT", key: ".enc", effect: { kind: "late", until: stuck.promise } });
    const late = old.commit({ ...at, envelope: envelopeOf("k", 2, "late"), expected: created.token });
    await until(() => emulator.count("PUT", ".enc") === 2);
    const read = await fresh.read(at.partition, at.name);
    const newer = envelopeOf("k", 2, "newer");
    assert.equal((await fresh.commit({ ...at, envelope: newer, expected: read?.token })).kind, "committed");
    stuck.resolve();
    assert.equal((await late).kind, "conflict");
    assert.deepEqual(emulator.bytes(envelopeKey(at.name)), new Uint8Array(newer));
  } finally {
    await oldStore.close();
    await newStore.close();
  }
});

Deno.test("a late DELETE without a condition cannot remove a later write: the name waits", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    const created = await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
    assert.ok(created.kind === "committed");
    emulator.fault({ method: "DELETE", key: ".enc", effect: { kind: "reset" } });
    assert.equal((await entities.commit({ ...at, envelope: undefined, expected: created.token })).kind, "committed");
    // The first attempt might still be carried out.
    const again = entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
    assert.equal(await reasonOf(again), "unavailable");
    const other = named("other");
    const there = await entities.commit({ ...other, envelope: envelopeOf("other", 1), expected: undefined });
    assert.ok(there.kind === "committed");
    emulator.fault({ method: "DELETE", key: ".enc", effect: { kind: "lost" } });
    assert.equal((await entities.commit({ ...other, envelope: undefined, expected: there.token })).kind, "committed");
    // The only attempt is seen to have been carried out: nothing is under way.
    const back = await entities.commit({ ...other, envelope: envelopeOf("other", 1), expected: undefined });
    assert.equal(back.kind, "committed");
  }, { remove: "ignored" });
});

Deno.test("meta.json follows the envelope, and goes with it", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    const envelope = envelopeOf("k", 1, "text");
    const created = await entities.commit({ ...at, envelope, expected: undefined });
    assert.ok(created.kind === "committed");
    await until(() => emulator.bytes(metaKey(at.name)) !== undefined);
    const meta = JSON.parse(new TextDecoder().decode(emulator.bytes(metaKey(at.name))));
    assert.deepEqual(Object.keys(meta), [
      "key_id",
      "alg",
      "schema_id",
      "entity_key",
      "version",
      "op_id",
      "written_at",
      "iv",
      "tag",
      "size",
    ]);
    assert.equal(meta.version, 1);
    assert.equal(meta.size, envelope.length);
    assert.deepEqual(Uint8Array.fromBase64(meta.iv), envelope.slice(-16 - 4 - 12, -16 - 4));
    await entities.commit({ ...at, envelope: undefined, expected: created.token });
    await until(() => emulator.bytes(metaKey(at.name)) === undefined);
  });
});

Deno.test("maintenance rebuilds missing and stale metas and removes orphans, of its own partitions only", async () => {
  await withStore(async (emulator, entities) => {
    const names = ["a", "a-b", "b", "c", "d"].map((key) => ({ key, ...named(key) }));
    for (const { key, name } of names) emulator.set(envelopeKey(name), envelopeOf(key, 1));
    emulator.set(metaKey(names[1]!.name), new TextEncoder().encode("newer than its envelope: left alone"));
    emulator.set(metaKey(names[2]!.name), new TextEncoder().encode("stale"));
    emulator.set(envelopeKey(names[2]!.name), envelopeOf("b", 2));
    const orphan = named("orphan");
    emulator.set(metaKey(orphan.name), new TextEncoder().encode("{}"));
    const foreign = names.find(({ key }) => key === "d")!;
    await entities.release(foreign.partition);
    const shared = names.filter(({ partition }) => partition === foreign.partition).map(({ key }) => key);
    await entities.maintain();
    for (const { key, name } of names) {
      const bytes = emulator.bytes(metaKey(name));
      if (shared.includes(key)) continue;
      if (key === "a-b") assert.match(new TextDecoder().decode(bytes), /^newer/);
      else assert.equal(JSON.parse(new TextDecoder().decode(bytes)).version, key === "b" ? 2 : 1);
    }
    assert.equal(emulator.bytes(metaKey(foreign.name)), undefined);
    if (orphan.partition !== foreign.partition) assert.equal(emulator.bytes(metaKey(orphan.name)), undefined);
  });
});

Deno.test("a service that can do little is slowed down to, and no client fails", async () => {
  await using emulator = await S3Emulator.start({ parallelMax: 8 });
  const store = await openPatientStore(emulator.endpoint);
  try {
    const entities = await taken(store);
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
    const outcomes = await Promise.all(
      keys.map((key) => entities.commit({ ...named(key), envelope: envelopeOf(key, 1), expected: undefined })),
    );
    assert.ok(outcomes.every((outcome) => outcome.kind === "committed"));
    assert.ok(emulator.count("PUT", ".enc") < 5 * keys.length, `${emulator.count("PUT", ".enc")} attempts`);
  } finally {
    await store.close();
  }
});

Deno.test("what is not taken is not served", async () => {
  await withStore(async (_, entities) => {
    const at = named("k");
    await entities.release(at.partition);
    assert.equal(await reasonOf(entities.read(at.partition, at.name)), "unavailable");
    const commit = entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
    assert.equal(await reasonOf(commit), "unavailable");
    assert.equal(await reasonOf(entities.list(at.partition, LIST)), "unavailable");
  });
});

const LIST = { prefix: "", limit: 100, envelopes: true, bytesMax: 1_000_000 };

Deno.test("an object larger than any envelope is not read", async () => {
  await withStore(async (emulator, entities) => {
    const at = named("k");
    emulator.set(envelopeKey(at.name), new Uint8Array(17 * 1024 * 1024));
    assert.equal(await reasonOf(entities.read(at.partition, at.name)), "corrupt");
  });
});

Deno.test("schemas are found over pages of the service, what is none among them", async () => {
  await withStore(async (emulator, _, store) => {
    const prefixes = Array.from({ length: 1_050 }, (_, n) => `schema${String(n).padStart(4, "0")}_`);
    for (const prefix of prefixes) {
      for (const key of ["1", "2"]) emulator.set(envelopeKey(`${prefix}${key}`), envelopeOf(key, 1));
    }
    emulator.set("files/README", new Uint8Array(1));
    emulator.set("files/not us_at all", new Uint8Array(1));
    assert.deepEqual((await store.schemaPrefixes()).sort(), ["not us_", ...prefixes]);
  });
});

Deno.test("pages of a listing hold envelopes up to their bytes, and skip what was deleted meanwhile", async () => {
  await withStore(async (emulator, entities, store) => {
    const names = ["a", "b", "c", "d"].map((key) => ({ key, ...named(key) }));
    for (const { key, name } of names) emulator.set(envelopeKey(name), envelopeOf(key, 1, "x".repeat(1_000)));
    const two = await store.list({ ...LIST, bytesMax: 2_600 });
    assert.deepEqual(two.map(({ name }) => name), names.slice(0, 2).map(({ name }) => name));
    const one = await store.list({ ...LIST, bytesMax: 10 });
    assert.equal(one.length, 1);
    const bare = await store.list({ ...LIST, envelopes: false, after: names[1]!.name });
    assert.deepEqual(bare.map(({ name, envelope }) => [name, envelope.length]), [[names[2]!.name, 0], [
      names[3]!.name,
      0,
    ]]);
    // Deleted between the listing and the reading: the page is not empty as long as something follows.
    emulator.fault({ method: "GET", key: names[0]!.name, effect: { kind: "status", status: 404, code: "NoSuchKey" } });
    const left = await store.list({ ...LIST, bytesMax: 10 });
    assert.deepEqual(
      left.map(({ name }) => name),
      [names[1]!.name],
      "what its bytes kept off the page is not left out",
    );
    const mine = await entities.list(names[0]!.partition, LIST);
    const expected = names.filter(({ partition }) => partition === names[0]!.partition).map(({ name }) => name);
    assert.deepEqual(mine.map(({ name }) => name), expected);
  });
});
