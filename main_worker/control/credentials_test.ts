import assert from "assert";
import fc from "fast-check";
import { secretHash } from "../../shared/crypto/tokens.ts";
import { API_KEY_TURNS, API_KEYS_MAX } from "../../shared/limits.ts";
import { type Shelf, StorageError } from "../../shared/storage/store.ts";
import { ManualClock, settled } from "../../shared/seams/manual_clock.ts";
import { countingRandom, memoryShelf } from "../front/rest/testing.ts";
import type { ApiKey, Credentials, NewApiKey } from "./control.ts";
import { API_KEYS_OBJECT, CredentialStore, parseApiKeys, serializeApiKeys } from "./credentials.ts";

const WANTED: NewApiKey = { name: "chat", permissions: ["read", "write"], schemas: ["user*"], expiresInMs: 60_000 };

async function setup(shelf: Shelf = memoryShelf()) {
  const clock = new ManualClock();
  const published: Credentials[] = [];
  const store = await CredentialStore.open({
    shelf,
    clock,
    random: countingRandom(),
    adminKeyHash: null,
    sessionKeys: [],
    clientTtlMs: 1,
    publish: (credentials) => {
      published.push(credentials);
      return Promise.resolve();
    },
  });
  return { store, clock, published };
}

async function created(store: CredentialStore, wanted: NewApiKey = WANTED): Promise<{ key: ApiKey; secret: string }> {
  const changed = await store.create(wanted);
  assert.equal(changed.kind, "done");
  return (changed as { value: { key: ApiKey; secret: string } }).value;
}

Deno.test("a key is on the shelf as a hash before it is answered, and there after a restart", async () => {
  const shelf = memoryShelf();
  const { store, published, clock } = await setup(shelf);
  const { key, secret } = await created(store);
  assert.match(secret, /^dk_[0-9a-f]{64}$/);
  assert.equal(key.hash, secretHash(secret));
  assert.equal(key.expiresAtMs, clock.now() + 60_000);
  assert.deepEqual([key.name, key.permissions, key.schemas], [WANTED.name, WANTED.permissions, WANTED.schemas]);
  assert.deepEqual(published.map(({ revision, apiKeys }) => [revision, apiKeys]), [[2, [key]]]);
  const text = new TextDecoder().decode(shelf.objects.get(API_KEYS_OBJECT));
  assert.ok(!text.includes(secret.slice(3)));
  assert.deepEqual((await setup(shelf)).store.current.apiKeys, [key]);
  assert.deepEqual(await store.revoke("unknown"), { kind: "done", value: { existed: false } });
  assert.deepEqual(await store.revoke(key.id), { kind: "done", value: { existed: true } });
  assert.deepEqual((await setup(shelf)).store.current.apiKeys, []);
  assert.equal(published.length, 2);
});

Deno.test("a change that could not be stored is no change", async () => {
  const shelf = memoryShelf();
  const { store, published } = await setup(shelf);
  const { key } = await created(store);
  const before = store.current;
  for (const [reason, code] of [["unavailable", "storage_unavailable"], ["unknown", "deadline"]] as const) {
    shelf.put = () => Promise.reject(new StorageError(reason, "the disk is full at /srv"));
    for (const changed of [await store.create(WANTED), await store.revoke(key.id)]) {
      assert.equal(changed.kind, "failed");
      assert.equal((changed as { code: string }).code, code);
      assert.ok(!JSON.stringify(changed).includes("/srv"));
    }
  }
  assert.equal(store.current, before);
  assert.equal(published.length, 1);
});

Deno.test("changes wait for those before them, so many of them and so long", async () => {
  const shelf = memoryShelf();
  const { store, clock } = await setup(shelf);
  const hold = Promise.withResolvers<void>();
  const put = shelf.put;
  shelf.put = async (name, bytes) => {
    await hold.promise;
    await put(name, bytes);
  };
  const codes: string[] = [];
  const begin = () => store.create(WANTED).then((made) => codes.push(made.kind === "failed" ? made.code : made.kind));
  for (let n = 0; n < API_KEY_TURNS.waitingMax + 2; n++) void begin();
  await settled();
  assert.deepEqual(codes, ["overloaded"]);
  await clock.advance(API_KEY_TURNS.waitMs);
  assert.equal(codes.length, API_KEY_TURNS.waitingMax + 1);
  const last = begin();
  hold.resolve();
  await last;
  assert.deepEqual(codes.filter((code) => code === "done").length, 2);
  assert.equal(store.current.apiKeys.length, 2);
});

Deno.test("changes at the same time happen one after the other; none is lost", async () => {
  const shelf = memoryShelf();
  const { store } = await setup(shelf);
  const put = shelf.put;
  shelf.put = async (name, bytes) => {
    await Promise.resolve();
    await put(name, bytes);
  };
  await Promise.all(Array.from({ length: 20 }, () => created(store)));
  assert.equal(store.current.apiKeys.length, 20);
  assert.equal(new Set(store.current.apiKeys.map(({ id }) => id)).size, 20);
  assert.deepEqual(parseApiKeys(shelf.objects.get(API_KEYS_OBJECT)!), store.current.apiKeys);
});

Deno.test("there is a most of keys; expired ones make room", async () => {
  const shelf = memoryShelf();
  const keys = Array.from({ length: API_KEYS_MAX }, (_, i): ApiKey => ({
    id: `id${i}`,
    name: "n",
    hash: secretHash(String(i)),
    permissions: ["read"],
    createdAtMs: 0,
    expiresAtMs: i === 7 ? 1 : null,
  }));
  await shelf.put(API_KEYS_OBJECT, serializeApiKeys(keys));
  const { store } = await setup(shelf);
  await created(store);
  assert.equal(store.current.apiKeys.length, API_KEYS_MAX);
  assert.ok(!store.current.apiKeys.some(({ id }) => id === "id7"));
  const refused = await store.create(WANTED);
  assert.equal(refused.kind === "failed" && refused.code, "bad_request");
});

Deno.test("keys of a backup are added, and none of those that are there changes", async () => {
  const { store } = await setup();
  const { key } = await created(store);
  const other: ApiKey = { ...key, id: "other", hash: secretHash("x"), name: "other" };
  const keys = [{ ...key, name: "changed" }, other, { ...other, id: "again" }];
  assert.deepEqual(await store.restore(keys), { kind: "done", value: { added: 1 } });
  assert.deepEqual(store.current.apiKeys, [key, other]);
  assert.deepEqual(await store.restore(keys), { kind: "done", value: { added: 0 } });
});

Deno.test("any keys survive their stored form", () => {
  const timeMs = fc.integer({ min: 0, max: 4_000_000_000_000 });
  const key = fc.record({
    id: fc.string({ minLength: 1 }),
    name: fc.string({ unit: "binary" }),
    hash: fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 64, maxLength: 64 }),
    permissions: fc.subarray(["read", "write", "admin"] as const),
    schemas: fc.array(fc.string()),
    createdAtMs: timeMs,
    expiresAtMs: fc.option(timeMs),
  }, { requiredKeys: ["id", "name", "hash", "permissions", "createdAtMs", "expiresAtMs"], noNullPrototype: true });
  fc.assert(fc.property(fc.array(key), (keys) => {
    assert.deepEqual(parseApiKeys(serializeApiKeys(keys)), keys);
  }));
});

Deno.test("a file that is not what was written stops the start, and says which", async () => {
  const good = {
    id: "a",
    name: "n",
    hash: "0".repeat(64),
    permissions: ["read"],
    created_at: "2026-01-01",
    expires_at: null,
  };
  const file = (...keys: unknown[]) => JSON.stringify({ format: 1, keys });
  assert.equal(parseApiKeys(new TextEncoder().encode(file(good))).length, 1);
  const bad = [
    "",
    "{",
    "null",
    "[]",
    '{"format":2,"keys":[]}',
    '{"format":1}',
    file(null),
    ...[
      { id: "" },
      { name: 1 },
      { hash: "x" },
      { permissions: "read" },
      { permissions: ["root"] },
      { schemas: "a" },
      { schemas: [1] },
      { created_at: "never" },
      { expires_at: "never" },
      { expires_at: 1 },
    ].map((change) => file(good, { ...good, ...change })),
  ];
  for (const text of bad) {
    const shelf = memoryShelf();
    await shelf.put(API_KEYS_OBJECT, new TextEncoder().encode(text));
    await assert.rejects(setup(shelf), (error) => {
      assert.ok(error instanceof StorageError, text);
      assert.equal(error.reason, "corrupt");
      assert.match(error.message, /_auth\/keys\.json/);
      return true;
    });
  }
});
