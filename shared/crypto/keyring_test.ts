import assert from "assert";
import fc from "fast-check";
import { MASTER_KEYS_MAX } from "../limits.ts";
import { type EntityKey, type EntityName, entityName, nameDigest, parseEntityKey, parseSchemaId } from "../names.ts";
import { systemRandom } from "../seams/random.ts";
import { arbitraryDocument, arbitraryEntityKey, arbitraryHeader } from "./testing/arbitraries.ts";
import { documentSize, encodeEnvelope, EnvelopeError } from "./envelope.ts";
import { independentName, independentOpen, independentSeal } from "./testing/independent.ts";
import { createKeyPair, unwrapKey } from "./key_wrap.ts";
import { Keyring } from "./keyring.ts";
import { keyCheckValue, KeyDestroyedError, KeyFormatError, MasterKey, sessionTokenKey } from "./master_key.ts";
import type { EnvelopeHeader, Opened } from "./sealer.ts";

const KEY_A = new Uint8Array(32).map((_, index) => index);
const KEY_B = new Uint8Array(32).fill(0xb0);
const SCHEMA = parseSchemaId("chat.v1");
const DOCUMENT = new TextEncoder().encode('{"n":12345678901234567890,"d":1.10,"e":1e400}');

function ring(id = "key-a", bytes = KEY_A, ...old: [string, Uint8Array][]): Keyring {
  return new Keyring({
    current: new MasterKey(id, bytes.slice()),
    old: old.map(([oldId, oldBytes]) => new MasterKey(oldId, oldBytes.slice())),
    random: systemRandom,
  });
}

function headerOf(entityKey: EntityKey, version = 1): Omit<EnvelopeHeader, "keyId"> {
  return { schemaId: SCHEMA, entityKey, version, opId: "0123456789abcdef".repeat(2), writtenAtMs: 1_700_000_000_123 };
}

const K = parseEntityKey("k");
const NAME = entityName(SCHEMA, K);

function assertOpened(opened: Opened): asserts opened is Opened & { kind: "opened" } {
  assert.equal(opened.kind, "opened", JSON.stringify(opened));
}

function assertTampered(opened: Opened, what: string): void {
  assert.equal(opened.kind, "tampered", what);
}

Deno.test("what is sealed opens under its name, byte for byte", async () => {
  const keyring = ring();
  await fc.assert(fc.asyncProperty(arbitraryHeader, arbitraryDocument, async (header, document) => {
    const name = entityName(header.schemaId, header.entityKey);
    const envelope = await keyring.seal(name, header, document);
    assert.equal(documentSize(envelope), document.length);
    const opened = await keyring.open(name, envelope);
    assertOpened(opened);
    assert.deepEqual(opened.document, document);
    assert.deepEqual(opened.header, { ...header, keyId: "key-a" });
  }));
});

Deno.test("the independent implementation opens what is sealed here", async () => {
  const keyring = ring();
  await fc.assert(fc.asyncProperty(arbitraryHeader, arbitraryDocument, async (header, document) => {
    const name = entityName(header.schemaId, header.entityKey);
    assert.equal(independentName(header.schemaId, header.entityKey), name);
    const opened = independentOpen(KEY_A, await keyring.seal(name, header, document));
    assert.deepEqual(new Uint8Array(opened.document), document);
    assert.deepEqual(opened.header, {
      key_id: "key-a",
      alg: "AES-256-GCM",
      schema_id: header.schemaId,
      entity_key: header.entityKey,
      version: header.version,
      op_id: header.opId,
      written_at: new Date(header.writtenAtMs).toISOString(),
    });
  }));
});

Deno.test("what the independent implementation seals opens here, however it spells its header", async () => {
  const keyring = ring();
  const iv = fc.uint8Array({ minLength: 12, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(arbitraryHeader, arbitraryDocument, iv, fc.nat(2), async (header, document, iv, indent) => {
      const name = independentName(header.schemaId, header.entityKey);
      const text = JSON.stringify(
        {
          written_at: new Date(header.writtenAtMs).toISOString(),
          op_id: header.opId,
          version: header.version,
          entity_key: header.entityKey,
          schema_id: header.schemaId,
          alg: "AES-256-GCM",
          key_id: "key-a",
        },
        null,
        indent,
      );
      const envelope = new Uint8Array(independentSeal(KEY_A, name, text, iv, document));
      const opened = await keyring.open(name as EntityName, envelope);
      assertOpened(opened);
      assert.deepEqual(opened.document, document);
      assert.deepEqual(opened.header, { ...header, keyId: "key-a" });
    }),
  );
});

Deno.test("any single flipped bit makes an envelope tampered or its key unavailable", async () => {
  const keyring = ring();
  const envelope = await keyring.seal(NAME, headerOf(K), DOCUMENT);
  const flips = Array.from({ length: envelope.length * 8 }, (_, bit) => {
    const flipped = envelope.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    return flipped;
  });
  const opened = await Promise.all(flips.map((flipped) => keyring.open(NAME, flipped)));
  const kinds = new Map<string, number>();
  for (const { kind } of opened) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  assert.equal(kinds.get("opened"), undefined);
  // Only the five characters of the key id can make it another, unknown one.
  assert.ok(kinds.get("key_unavailable")! <= 5 * 7, String(kinds.get("key_unavailable")));
  assert.equal(kinds.get("key_unavailable")! + kinds.get("tampered")!, flips.length);
});

Deno.test("any truncation and any appended byte is tampered", async () => {
  const keyring = ring();
  const envelope = await keyring.seal(NAME, headerOf(K), DOCUMENT);
  const cuts = await Promise.all(
    Array.from({ length: envelope.length }, (_, size) => keyring.open(NAME, envelope.subarray(0, size))),
  );
  cuts.forEach((opened, size) => assertTampered(opened, `${size} bytes`));
  for (const more of [0, 1, 16]) {
    const longer = new Uint8Array([...envelope, ...new Uint8Array(more + 1)]);
    assertTampered(await keyring.open(NAME, longer), `${more + 1} bytes more`);
  }
});

Deno.test("an envelope under another name is tampered, also where both names share a data key", async () => {
  const keyring = ring();
  await fc.assert(fc.asyncProperty(arbitraryEntityKey, arbitraryEntityKey, async (a, b) => {
    fc.pre(a !== b);
    const [nameA, nameB] = [entityName(SCHEMA, a), entityName(SCHEMA, b)];
    assertTampered(await keyring.open(nameB, await keyring.seal(nameA, headerOf(a), DOCUMENT)), `${a} as ${b}`);
  }));
  const byKey = new Map<number, EntityKey>();
  for (let index = 0;; index++) {
    const key = parseEntityKey(`key-${index}`);
    const dataKey = nameDigest(entityName(SCHEMA, key))[0]!;
    const twin = byKey.get(dataKey);
    byKey.set(dataKey, key);
    if (twin === undefined) continue;
    const envelope = await keyring.seal(entityName(SCHEMA, twin), headerOf(twin), DOCUMENT);
    assertTampered(await keyring.open(entityName(SCHEMA, key), envelope), "same data key");
    break;
  }
});

Deno.test("a header that was exchanged for that of another version or another name is tampered", async () => {
  const keyring = ring();
  const envelope = await keyring.seal(NAME, headerOf(K, 2), DOCUMENT);
  const iv = envelope.slice(envelope.length - DOCUMENT.length - 28, envelope.length - DOCUMENT.length - 16);
  const other = parseEntityKey("j");
  for (const header of [headerOf(K, 3), { ...headerOf(K, 2), opId: "f".repeat(32) }, headerOf(other, 2)]) {
    const forged = encodeEnvelope({ ...header, keyId: "key-a" }, iv, DOCUMENT.length);
    forged.envelope.set(envelope.subarray(envelope.length - DOCUMENT.length - 16), forged.aad.length);
    assertTampered(await keyring.open(entityName(SCHEMA, header.entityKey), forged.envelope), JSON.stringify(header));
  }
});

Deno.test("the wrong key under the same id is tampered", async () => {
  const envelope = await ring("key-a", KEY_B).seal(NAME, headerOf(K), DOCUMENT);
  assertTampered(await ring("key-a", KEY_A).open(NAME, envelope), "wrong key");
});

Deno.test("a key that is not held is unavailable, unless the envelope is none", async () => {
  const envelope = await ring("key-b", KEY_B).seal(NAME, headerOf(K), DOCUMENT);
  const keyring = ring();
  assert.deepEqual(await keyring.open(NAME, envelope), { kind: "key_unavailable", keyId: "key-b" });
  assertTampered(await keyring.open(entityName(SCHEMA, parseEntityKey("j")), envelope), "moved");
  assertTampered(await keyring.open(NAME, envelope.subarray(0, 200)), "cut");
  assert.equal(keyring.holds("key-b"), false);
});

Deno.test("old keys open and never seal", async () => {
  const old = await ring("key-b", KEY_B).seal(NAME, headerOf(K), DOCUMENT);
  const keyring = ring("key-a", KEY_A, ["key-b", KEY_B]);
  assert.deepEqual(keyring.keyIds, ["key-a", "key-b"]);
  assert.ok(keyring.holds("key-a") && keyring.holds("key-b"));
  const opened = await keyring.open(NAME, old);
  assertOpened(opened);
  assert.equal(opened.header.keyId, "key-b");
  assert.deepEqual(opened.document, DOCUMENT);
  const rewrapped = await keyring.open(NAME, await keyring.seal(NAME, opened.header, opened.document));
  assertOpened(rewrapped);
  assert.equal(rewrapped.header.keyId, "key-a");
});

Deno.test("every entity of one master key uses one of 256 data keys, each good for its own first byte only", async () => {
  const keyring = ring();
  const seen = new Set<number>();
  for (let index = 0; seen.size < 256; index++) {
    const key = parseEntityKey(`entity-${index}`);
    const name = entityName(SCHEMA, key);
    const first = nameDigest(name)[0]!;
    if (seen.has(first)) continue;
    seen.add(first);
    const opened = independentOpen(KEY_A, await keyring.seal(name, headerOf(key), DOCUMENT));
    assert.deepEqual(new Uint8Array(opened.document), DOCUMENT);
  }
});

Deno.test("each envelope has an IV of its own, taken whole from the random source", async () => {
  const keyring = ring();
  const envelopes = await Promise.all(
    Array.from({ length: 2_000 }, () => keyring.seal(NAME, headerOf(K), new Uint8Array(0))),
  );
  const ivs = envelopes.map((envelope) => envelope.subarray(-28, -16).toHex());
  assert.equal(new Set(ivs).size, ivs.length);
  let calls = 0;
  const counting = new Keyring({
    current: new MasterKey("key-a", KEY_A.slice()),
    random: {
      bytes: (size) => new Uint8Array(size).fill(++calls),
      unit: () => assert.fail("not a source of IVs"),
    },
  });
  for (const expected of [1, 2, 3]) {
    const envelope = await counting.seal(NAME, headerOf(K), DOCUMENT);
    assert.deepEqual([...envelope.subarray(-DOCUMENT.length - 28, -DOCUMENT.length - 16)], Array(12).fill(expected));
  }
});

Deno.test("sealing under a name that the header does not have is a mistake of the caller", async () => {
  await assert.rejects(ring().seal(NAME, headerOf(parseEntityKey("j")), DOCUMENT), EnvelopeError);
  await assert.rejects(ring().seal(NAME, { ...headerOf(K), version: 0 }, DOCUMENT), EnvelopeError);
});

Deno.test("a destroyed keyring has zeros in the place of its keys, and throws", async () => {
  const [a, b] = [KEY_A.slice(), KEY_B.slice()];
  const keyring = new Keyring({
    current: new MasterKey("key-a", a),
    old: [new MasterKey("key-b", b)],
    random: systemRandom,
  });
  const envelope = await keyring.seal(NAME, headerOf(K), DOCUMENT);
  const inFlight = [keyring.seal(NAME, headerOf(K), DOCUMENT), keyring.open(NAME, envelope)] as const;
  const cold = keyring.seal(entityName(SCHEMA, parseEntityKey("cold")), headerOf(parseEntityKey("cold")), DOCUMENT);
  keyring.destroy();
  keyring.destroy();
  assert.deepEqual(a, new Uint8Array(32));
  assert.deepEqual(b, new Uint8Array(32));
  for (const sealed of [await inFlight[0], await cold]) independentOpen(KEY_A, sealed);
  assertOpened(await inFlight[1]);
  await assert.rejects(keyring.seal(NAME, headerOf(K), DOCUMENT), KeyDestroyedError);
  await assert.rejects(keyring.open(NAME, envelope), KeyDestroyedError);
  await assert.rejects(keyring.wrapFor(new Uint8Array(422)), KeyDestroyedError);
  assert.throws(() => keyring.checkValues(), KeyDestroyedError);
  assert.throws(() => keyring.sessionTokenKeys(), KeyDestroyedError);
  assert.equal(keyring.holds("key-a"), false);
  assert.deepEqual(keyring.keyIds, []);
});

Deno.test("a keyring refuses two keys with one id, and more keys than are allowed", () => {
  assert.throws(() => ring("key-a", KEY_A, ["key-a", KEY_B]), KeyFormatError);
  const old = Array.from({ length: MASTER_KEYS_MAX }, (_, index): [string, Uint8Array] => [`old-${index}`, KEY_B]);
  assert.throws(() => ring("key-a", KEY_A, ...old), KeyFormatError);
  ring("key-a", KEY_A, ...old.slice(1));
});

Deno.test("check values and session keys come from each master key, the current one first", () => {
  const keyring = ring("key-a", KEY_A, ["key-b", KEY_B]);
  const [a, b] = [new MasterKey("key-a", KEY_A.slice()), new MasterKey("key-b", KEY_B.slice())];
  assert.deepEqual([...keyring.checkValues()], [["key-a", keyCheckValue(a)], ["key-b", keyCheckValue(b)]]);
  assert.deepEqual(keyring.sessionTokenKeys(), [sessionTokenKey(a), sessionTokenKey(b)]);
});

Deno.test("a keyring travels wrapped to another process, which then opens what the first has sealed", async () => {
  const first = ring("key-a", KEY_A, ["key-b", KEY_B]);
  const { publicKey, privateKey } = await createKeyPair();
  const wrapped = await first.wrapFor(publicKey);
  assert.ok(wrapped.kind === "wrapped");
  assert.deepEqual(wrapped.keys.map(({ keyId }) => keyId), ["key-a", "key-b"]);
  const [current, ...old] = await Promise.all(wrapped.keys.map(async ({ keyId, wrapped }) => {
    const unwrapped = await unwrapKey(privateKey, wrapped);
    assert.ok(unwrapped.kind === "unwrapped");
    return new MasterKey(keyId, unwrapped.raw);
  }));
  const second = new Keyring({ current: current!, old, random: systemRandom });
  assertOpened(await second.open(NAME, await first.seal(NAME, headerOf(K), DOCUMENT)));
  assert.deepEqual(second.checkValues(), first.checkValues());
  assert.equal((await first.wrapFor(new Uint8Array(422))).kind, "refused");
});

Deno.test("logging a keyring or a master key shows no key", () => {
  const keyring = ring();
  const master = new MasterKey("key-a", KEY_A.slice());
  for (const value of [keyring, master, { keyring, master }]) {
    const shown = Deno.inspect(value, { depth: 100, showHidden: true }) + JSON.stringify(value);
    assert.ok(!shown.includes(KEY_A.toHex()));
    assert.ok(!/0, +1, +2, +3/.test(shown), shown);
  }
});
