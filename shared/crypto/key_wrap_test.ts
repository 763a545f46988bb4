import assert from "assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { constants, createPublicKey, generateKeyPairSync, type KeyObject, publicEncrypt } from "node:crypto";
import { createKeyPair, importWrappingKey, unwrapKey, wrapKey } from "./key_wrap.ts";

const RAW = new Uint8Array(32).map((_, index) => index * 7);
const pair = await createKeyPair();

async function assertRefused(result: Promise<{ kind: string; reason?: string }>, reason: RegExp): Promise<void> {
  const { kind, reason: given } = await result;
  assert.equal(kind, "refused");
  assert.match(given!, reason);
}

function spkiOf(type: "rsa" | "ec" | "ed25519", options: Record<string, unknown>): Uint8Array {
  // The overloads want each type of key by its literal name.
  const generate = generateKeyPairSync as (type: string, options: object) => { publicKey: KeyObject };
  return new Uint8Array(generate(type, options).publicKey.export({ type: "spki", format: "der" }));
}

Deno.test("a key that was wrapped for a pair is unwrapped by it", async () => {
  const wrapped = await wrapKey(pair.publicKey, RAW);
  assert.ok(wrapped.kind === "wrapped");
  assert.equal(wrapped.wrapped.length, 384);
  assert.deepEqual(await unwrapKey(pair.privateKey, wrapped.wrapped), { kind: "unwrapped", raw: RAW });
});

Deno.test("wrapping twice gives two texts, and neither shows the key", async () => {
  const [a, b] = await Promise.all([wrapKey(pair.publicKey, RAW), wrapKey(pair.publicKey, RAW)]);
  assert.ok(a.kind === "wrapped" && b.kind === "wrapped");
  assert.notDeepEqual(a.wrapped, b.wrapped);
  assert.ok(!a.wrapped.toHex().includes(RAW.toHex().slice(0, 16)));
});

Deno.test("another implementation of RSA-OAEP with SHA-256 wraps for the pair", async () => {
  const key = createPublicKey({ key: Buffer.from(pair.publicKey), format: "der", type: "spki" });
  const wrapped = publicEncrypt({ key, oaepHash: "sha256", padding: constants.RSA_PKCS1_OAEP_PADDING }, RAW);
  assert.deepEqual(await unwrapKey(pair.privateKey, new Uint8Array(wrapped)), { kind: "unwrapped", raw: RAW });
});

Deno.test("a key may be overwritten as soon as wrapping it has begun", async () => {
  const imported = await importWrappingKey(pair.publicKey);
  assert.ok(imported.kind === "imported");
  const raw = RAW.slice();
  const wrapping = imported.wrap(raw);
  raw.fill(0);
  assert.deepEqual(await unwrapKey(pair.privateKey, await wrapping), { kind: "unwrapped", raw: RAW });
});

Deno.test("the private key cannot be read out", async () => {
  assert.equal(pair.privateKey.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("pkcs8", pair.privateKey));
});

Deno.test("a public key of another size, kind or exponent is refused", async () => {
  const others = [
    spkiOf("rsa", { modulusLength: 2048 }),
    spkiOf("rsa", { modulusLength: 3064 }),
    spkiOf("rsa", { modulusLength: 3072, publicExponent: 3 }),
    spkiOf("ec", { namedCurve: "P-256" }),
    spkiOf("ed25519", {}),
    // The exponent is the last thing in the DER: 02 03 01 00 01. With 1 in its place the text would be the key.
    pair.publicKey.with(-3, 0),
    pair.publicKey.with(-1, 3),
    // A modulus that is even, and one that is shorter than its length says.
    pair.publicKey.with(416, pair.publicKey[416]! & 0xfe),
    pair.publicKey.with(33, pair.publicKey[33]! & 0x7f),
  ];
  for (const spki of others) await assertRefused(wrapKey(spki, RAW), /not an RSA key of 3072 bits with exponent 65537/);
});

Deno.test("a public key that is none is refused", async () => {
  const { length } = pair.publicKey;
  for (const size of [0, 1, length - 1]) {
    await assertRefused(wrapKey(pair.publicKey.subarray(0, size), RAW), /not an RSA key/);
  }
  await assertRefused(wrapKey(new Uint8Array([...pair.publicKey, 0]), RAW), /not an RSA key/);
  await assertRefused(wrapKey(new TextEncoder().encode("-----BEGIN PUBLIC KEY-----\nMIIB"), RAW), /not an RSA key/);
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 500 }), fc.uint8Array({ minLength: length, maxLength: length }));
  await fc.assert(fc.asyncProperty(bytes, async (spki) => {
    assert.equal((await wrapKey(spki, RAW)).kind, "refused");
  }));
});

Deno.test("a public key that was damaged is refused, or wraps what its owner cannot unwrap", async () => {
  const damage = fc.tuple(fc.nat(pair.publicKey.length - 1), fc.integer({ min: 1, max: 255 }));
  await fc.assert(
    fc.asyncProperty(damage, async ([at, change]) => {
      const damaged = pair.publicKey.with(at, pair.publicKey[at]! ^ change);
      const wrapped = await wrapKey(damaged, RAW);
      if (wrapped.kind === "refused") return;
      assert.ok(at >= 33 && at < 417, `byte ${at} is not one of the modulus`);
      assert.equal((await unwrapKey(pair.privateKey, wrapped.wrapped)).kind, "refused");
    }),
    { numRuns: 60 },
  );
});

Deno.test("what was not wrapped for this pair is refused", async () => {
  const wrapped = await wrapKey(pair.publicKey, RAW);
  assert.ok(wrapped.kind === "wrapped");
  const text = wrapped.wrapped;
  await assertRefused(unwrapKey((await createKeyPair()).privateKey, text), /not made for this process/);
  await assertRefused(unwrapKey(pair.privateKey, text.with(200, text[200]! ^ 1)), /not made for this process/);
  await assertRefused(unwrapKey(pair.privateKey, new Uint8Array(384).fill(0xff)), /not made for this process/);
  await assertRefused(unwrapKey(pair.privateKey, new Uint8Array(384)), /not made for this process/);
  for (const size of [0, 383, 385]) {
    await assertRefused(unwrapKey(pair.privateKey, new Uint8Array(size)), new RegExp(`has ${size} bytes`));
  }
  const short = await wrapKey(pair.publicKey, RAW.slice(0, 31));
  assert.ok(short.kind === "wrapped");
  await assertRefused(unwrapKey(pair.privateKey, short.wrapped), /not a master key/);
});
