import assert from "assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { hkdfSync } from "node:crypto";
import { KEY_ID_BYTES_MAX } from "../limits.ts";
import { systemRandom } from "../seams/random.ts";
import {
  generateMasterKey,
  isKeyId,
  keyCheckValue,
  KeyDestroyedError,
  KeyFormatError,
  MasterKey,
  parseKeyId,
  sessionTokenKey,
} from "./master_key.ts";

const HEX = "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210";

/** The error that `fn` throws; it must hold no run of eight digits of the key. */
function formatError(fn: () => unknown, ...secrets: string[]): string {
  try {
    fn();
  } catch (error) {
    assert.ok(error instanceof KeyFormatError, String(error));
    const shown = Deno.inspect(error) + error.message;
    for (const secret of secrets) {
      for (let at = 0; at + 8 <= secret.length; at++) assert.ok(!shown.includes(secret.slice(at, at + 8)), shown);
    }
    return error.message;
  }
  return assert.fail("nothing was thrown");
}

Deno.test("key ids are printable ASCII without what separates them elsewhere", () => {
  for (let code = 0; code < 0x180; code++) {
    const char = String.fromCharCode(code);
    const allowed = code > 0x20 && code < 0x7f && !":,/".includes(char);
    assert.equal(isKeyId(`a${char}b`), allowed, `character ${code}`);
    assert.equal(isKeyId(char), allowed, `character ${code}`);
  }
  assert.equal(parseKeyId("k".repeat(KEY_ID_BYTES_MAX)), "k".repeat(KEY_ID_BYTES_MAX));
  assert.match(formatError(() => parseKeyId("k".repeat(KEY_ID_BYTES_MAX + 1))), /65 characters; 64 are allowed/);
  assert.match(formatError(() => parseKeyId("")), /empty/);
  formatError(() => parseKeyId(`main:${HEX.slice(0, 40)}`), HEX);
});

Deno.test("whatever is given as the id of a key, the answer is a KeyFormatError or the id", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-f0-9:,]{0,200}$/));
  fc.assert(fc.property(text, (value) => {
    try {
      assert.equal(parseKeyId(value), value);
    } catch (error) {
      assert.ok(error instanceof KeyFormatError);
    }
  }));
});

Deno.test("derivation is HKDF-SHA-256 with an empty salt", () => {
  const key = new MasterKey("k", Uint8Array.fromHex(HEX));
  assert.equal(key.revealHex(), HEX);
  const raw = Buffer.from(HEX, "hex");
  const expect = (info: string, size: number) => Buffer.from(hkdfSync("sha256", raw, "", info, size)).toString("hex");
  assert.equal(keyCheckValue(key), expect("deltadb/check/v1", 16));
  assert.equal(sessionTokenKey(key).toHex(), expect("deltadb/session/v1", 32));
  assert.equal(key.derive("x", 100).toHex(), expect("x", 100));
});

Deno.test("a generated key is random and named after its check value", () => {
  const [a, b] = [generateMasterKey(systemRandom), generateMasterKey(systemRandom)];
  assert.notEqual(a.revealHex(), b.revealHex());
  assert.equal(a.id, `generated-${keyCheckValue(a).slice(0, 8)}`);
  assert.equal(new MasterKey(a.id, Uint8Array.fromHex(a.revealHex())).id, a.id);
});

Deno.test("a destroyed key has zeros in the place of its bytes, and throws", () => {
  const bytes = Uint8Array.fromHex(HEX);
  const key = new MasterKey("k", bytes);
  key.destroy();
  key.destroy();
  assert.deepEqual(bytes, new Uint8Array(32));
  assert.ok(key.destroyed);
  for (const use of [() => key.derive("x", 1), () => key.revealHex(), () => keyCheckValue(key)]) {
    assert.throws(use, KeyDestroyedError);
  }
});

Deno.test("a master key has 32 bytes", () => {
  for (const size of [0, 16, 31, 33, 64]) {
    assert.match(formatError(() => new MasterKey("k", new Uint8Array(size))), new RegExp(`not ${size}$`));
  }
});
