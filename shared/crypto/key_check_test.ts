import assert from "assert";
import { KEY_CHECKS_MAX } from "../limits.ts";
import { systemRandom } from "../seams/random.ts";
import { type Shelf, StorageError } from "../storage/store.ts";
import { checkKeys, KEY_CHECKS_OBJECT } from "./key_check.ts";
import { generatedKeyId, generateMasterKey, keyCheckValue } from "./master_key.ts";

const A = "a".repeat(32);
const B = "b".repeat(32);

/** A shelf in memory that counts its writes. */
class MemoryShelf implements Shelf {
  readonly objects = new Map<string, Uint8Array>();
  puts = 0;

  get(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.objects.get(name));
  }
  put(name: string, bytes: Uint8Array): Promise<void> {
    this.puts++;
    this.objects.set(name, bytes);
    return Promise.resolve();
  }
  delete(name: string): Promise<boolean> {
    return Promise.resolve(this.objects.delete(name));
  }
  list(): Promise<{ name: string; revision: string }[]> {
    return Promise.resolve([...this.objects.keys()].sort().map((name) => ({ name, revision: "" })));
  }
  /** The ids on record. */
  ids(): string[] {
    const { keys } = JSON.parse(new TextDecoder().decode(this.objects.get(KEY_CHECKS_OBJECT)));
    return keys.map(({ key_id }: { key_id: string }) => key_id);
  }
}

function held(...entries: [string, string][]): Map<string, string> {
  return new Map(entries);
}

async function refusal(shelf: Shelf, keys: Map<string, string>): Promise<string> {
  const check = await checkKeys(shelf, keys);
  assert.ok(check.kind === "refused");
  return check.message;
}

Deno.test("a key is recorded at its first start and accepted from then on, without another write", async () => {
  const shelf = new MemoryShelf();
  assert.deepEqual(await checkKeys(shelf, held(["k1", A])), { kind: "accepted", recorded: ["k1"] });
  assert.equal(shelf.puts, 1);
  assert.deepEqual(await checkKeys(shelf, held(["k1", A])), { kind: "accepted", recorded: [] });
  assert.equal(shelf.puts, 1);
  assert.deepEqual(await checkKeys(shelf, held(["k2", B], ["k1", A])), { kind: "accepted", recorded: ["k2"] });
  assert.deepEqual(shelf.ids(), ["k1", "k2"]);
});

Deno.test("another key under a known id is refused by name, and nothing is recorded", async () => {
  const shelf = new MemoryShelf();
  await checkKeys(shelf, held(["k1", A]));
  const before = shelf.objects.get(KEY_CHECKS_OBJECT);
  for (const keys of [held(["k1", B]), held(["k2", A], ["k1", B]), held(["k1", A.replace(/a$/, "b")])]) {
    const message = await refusal(shelf, keys);
    assert.match(message, /"k1" is not the "k1" that wrote this store's data/);
    assert.ok(!message.includes(A.slice(0, 8)) && !message.includes(B.slice(0, 8)));
  }
  assert.equal(shelf.objects.get(KEY_CHECKS_OBJECT), before);
});

Deno.test("the id of a generated key must be its own", async () => {
  const shelf = new MemoryShelf();
  const [key, other] = [generateMasterKey(systemRandom), generateMasterKey(systemRandom)];
  assert.equal((await checkKeys(shelf, held([key.id, keyCheckValue(key)]))).kind, "accepted");
  assert.match(await refusal(new MemoryShelf(), held([key.id, keyCheckValue(other)])), /generated under this id/);
  assert.match(await refusal(shelf, held(["generated-x", A])), /does not begin with "generated-"/);
});

Deno.test("the record stays bounded: the oldest generated keys are forgotten, configured ones never", async () => {
  const shelf = new MemoryShelf();
  const valueOf = (index: number) => index.toString(16).padStart(8, "0").repeat(4);
  const generated = Array.from({ length: KEY_CHECKS_MAX - 1 }, (_, index): [string, string] => {
    return [generatedKeyId(valueOf(index)), valueOf(index)];
  });
  assert.equal((await checkKeys(shelf, held(["configured", A]))).kind, "accepted");
  assert.equal((await checkKeys(shelf, new Map(generated))).kind, "accepted");
  const more = valueOf(KEY_CHECKS_MAX);
  assert.equal((await checkKeys(shelf, held([generatedKeyId(more), more]))).kind, "accepted");
  const ids = shelf.ids();
  assert.equal(ids.length, KEY_CHECKS_MAX);
  assert.ok(ids.includes("configured") && ids.includes(generatedKeyId(more)) && !ids.includes(generated[0]![0]));
  const another = valueOf(KEY_CHECKS_MAX + 1);
  assert.equal((await checkKeys(shelf, held([generatedKeyId(another), another], generated[1]!))).kind, "accepted");
  assert.ok(shelf.ids().includes(generated[1]![0]), "a key in use is not forgotten");
  // A forgotten one is still told from another key by its id.
  assert.equal((await checkKeys(shelf, held(generated[0]!))).kind, "accepted");
});

Deno.test("too many configured keys are refused and not forgotten", async () => {
  const shelf = new MemoryShelf();
  const many = Array.from({ length: KEY_CHECKS_MAX }, (_, index): [string, string] => [`k${index}`, A]);
  assert.equal((await checkKeys(shelf, new Map(many))).kind, "accepted");
  assert.match(await refusal(shelf, held(["one-more", A])), /takes no more/);
  assert.deepEqual(await checkKeys(shelf, held(["k7", A])), { kind: "accepted", recorded: [] });
});

Deno.test("a damaged record is refused and left as it is", async () => {
  const entry = { key_id: "k1", check_value: A };
  const records = [
    "",
    "{",
    "null",
    "[]",
    '{"keys":{}}',
    '{"keys":[null]}',
    JSON.stringify({ keys: [entry, entry] }),
    JSON.stringify({ keys: [{ ...entry, check_value: "a" }] }),
    JSON.stringify({ keys: [{ ...entry, key_id: "a:b" }] }),
    JSON.stringify({ keys: [entry] }).padEnd(KEY_CHECKS_MAX * 256 + 1),
  ].map((text) => new TextEncoder().encode(text));
  for (const bytes of [...records, new Uint8Array([0xff, 0xfe])]) {
    const shelf = new MemoryShelf();
    shelf.objects.set(KEY_CHECKS_OBJECT, bytes);
    assert.match(await refusal(shelf, held(["k1", A])), /key-checks.json in the store is damaged/);
    assert.equal(shelf.objects.get(KEY_CHECKS_OBJECT), bytes);
  }
});

Deno.test("a shelf that fails is not an answer", async () => {
  const shelf = new MemoryShelf();
  shelf.put = () => Promise.reject(new StorageError("unavailable", "the disk is full"));
  await assert.rejects(checkKeys(shelf, held(["k1", A])), StorageError);
  shelf.get = () => Promise.reject(new StorageError("unavailable", "gone"));
  await assert.rejects(checkKeys(shelf, held(["k1", A])), StorageError);
});
