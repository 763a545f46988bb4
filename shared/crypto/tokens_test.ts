import assert from "assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { CLIENT_ID_BYTES_MAX, CREDENTIAL_BYTES_MAX } from "../limits.ts";
import { systemRandom } from "../seams/random.ts";
import {
  createApiKeySecret,
  createNonce,
  sameSecret,
  secretHash,
  type SessionClaims,
  SessionError,
  type SessionPermission,
  signSession,
  type VerifiedSession,
  verifySession,
} from "./tokens.ts";

const KEY = new Uint8Array(32).fill(1);
const OTHER_KEY = new Uint8Array(32).fill(2);
const ADMIN = secretHash("an admin key");
const NOW = 1_800_000_000_000;
const CLAIMS: SessionClaims = {
  clientId: "alice",
  source: { kind: "key", apiKeyId: "key-1" },
  permissions: ["read", "write"],
  expiresAtMs: NOW + 1000,
  nonce: "00112233445566778899aabbccddeeff",
};
const TOKEN = signSession(KEY, CLAIMS, ADMIN);

function assertRefused(verified: VerifiedSession, reason: string, what = reason): void {
  assert.deepEqual(verified, { kind: "refused", reason }, what);
}

/** A token with any payload, rightly signed. */
function signed(payload: unknown, key = KEY): string {
  const text = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload)).toString("base64url");
  return `ds_${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

Deno.test("a token gives back the claims that it was signed with", () => {
  const source = fc.oneof(
    fc.constant({ kind: "admin" as const }),
    fc.string({ minLength: 1, maxLength: 64 }).map((apiKeyId) => ({ kind: "key" as const, apiKeyId })),
  );
  const claims: fc.Arbitrary<SessionClaims> = fc.record({
    clientId: fc.string({ unit: "grapheme", maxLength: 20 }),
    source,
    permissions: fc.uniqueArray(fc.constantFrom<SessionPermission>("read", "write", "admin")),
    expiresAtMs: fc.integer({ min: NOW + 1, max: Number.MAX_SAFE_INTEGER }),
    nonce: fc.string({ maxLength: 32 }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(claims, (given) => {
    const token = signSession(KEY, given, ADMIN);
    assert.match(token, /^ds_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(verifySession([KEY], token, NOW, ADMIN), { kind: "valid", claims: given });
  }));
});

Deno.test("a token is the payload in base64url and HMAC-SHA-256 over it", () => {
  const payload = {
    client_id: "alice",
    source: "key",
    key_id: "key-1",
    permissions: ["read", "write"],
    expires_at: NOW + 1000,
    nonce: CLAIMS.nonce,
  };
  assert.equal(TOKEN, signed(payload));
});

Deno.test("a token is good with any of the keys, and forged without", () => {
  assert.equal(verifySession([OTHER_KEY, KEY], TOKEN, NOW, ADMIN).kind, "valid");
  assertRefused(verifySession([OTHER_KEY], TOKEN, NOW, ADMIN), "forged");
  assertRefused(verifySession([], TOKEN, NOW, ADMIN), "forged");
});

Deno.test("a token is good until the millisecond of its expiry", () => {
  assert.equal(verifySession([KEY], TOKEN, NOW + 999, ADMIN).kind, "valid");
  assertRefused(verifySession([KEY], TOKEN, NOW + 1000, ADMIN), "expired");
});

Deno.test("a session of the admin key dies when the key is replaced or removed", () => {
  const token = signSession(KEY, { ...CLAIMS, source: { kind: "admin" }, permissions: ["admin"] }, ADMIN);
  assert.equal(verifySession([OTHER_KEY, KEY], token, NOW, ADMIN).kind, "valid");
  assertRefused(verifySession([KEY], token, NOW, secretHash("another admin key")), "revoked");
  assertRefused(verifySession([KEY], token, NOW, null), "revoked");
  const payload = Buffer.from(token.slice(3).split(".")[0]!, "base64url").toString();
  assert.ok(!payload.includes(ADMIN.slice(0, 8)), "the hash of the admin key is not shown");
  const { admin_key, ...without } = JSON.parse(payload);
  assert.match(admin_key, /^[0-9a-f]{16}$/);
  assertRefused(verifySession([KEY], signed(without), NOW, ADMIN), "revoked");
});

Deno.test("a session of dev mode dies with dev mode", () => {
  const token = signSession(KEY, { ...CLAIMS, source: { kind: "dev" } }, null);
  assert.equal(verifySession([KEY], token, NOW, null).kind, "valid");
  assertRefused(verifySession([KEY], token, NOW, ADMIN), "revoked");
});

Deno.test("a token with any character changed, added or removed is refused", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (let at = 0; at < TOKEN.length; at++) {
    const next = alphabet[(alphabet.indexOf(TOKEN[at]!) + 1) % 64]!;
    for (const put of [next, "", "=", ".", " ", "\u0000", "é"]) {
      if (put === TOKEN[at]) continue;
      const changed = TOKEN.slice(0, at) + put + TOKEN.slice(at + 1);
      assert.equal(verifySession([KEY], changed, NOW, ADMIN).kind, "refused", changed);
    }
  }
  for (const more of [`${TOKEN}=`, `${TOKEN}A`, ` ${TOKEN}`, `${TOKEN}\n`, TOKEN.repeat(2)]) {
    assert.equal(verifySession([KEY], more, NOW, ADMIN).kind, "refused", more);
  }
});

Deno.test("there is one way to write a token: unused bits of the MAC's last character count", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const good = [...alphabet].filter((last) => {
    return verifySession([KEY], TOKEN.slice(0, -1) + last, NOW, ADMIN).kind === "valid";
  });
  assert.deepEqual(good, [TOKEN.at(-1)]);
});

Deno.test("whatever is presented as a token, the answer is a value", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^ds_[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{43}$/),
  );
  fc.assert(fc.property(text, (token) => {
    assert.equal(verifySession([KEY], token, NOW, ADMIN).kind, "refused");
  }));
  for (const token of ["", "ds_", "ds_.", "dk_" + "0".repeat(64), TOKEN.replace("ds_", "dk_"), "x".repeat(1e6)]) {
    assertRefused(verifySession([KEY], token, NOW, ADMIN), "malformed", token.slice(0, 80));
  }
});

Deno.test("a signed payload that is not one of ours is malformed", () => {
  const good = {
    client_id: "a",
    source: "key",
    key_id: "k",
    permissions: ["read"],
    expires_at: NOW + 1,
    nonce: "n",
  };
  assert.equal(verifySession([KEY], signed(good), NOW, ADMIN).kind, "valid");
  const bad: unknown[] = [
    "{",
    "null",
    "[]",
    "7",
    { ...good, client_id: 7 },
    { ...good, source: "root" },
    { ...good, source: "toString" },
    { ...good, key_id: undefined },
    { ...good, key_id: "" },
    { ...good, permissions: "read" },
    { ...good, permissions: ["read", "root"] },
    { ...good, permissions: [["read"]] },
    { ...good, expires_at: "2030-01-01" },
    { ...good, expires_at: 1e300 },
    { ...good, expires_at: null },
    { ...good, nonce: undefined },
  ];
  for (const payload of bad) {
    assertRefused(verifySession([KEY], signed(payload), NOW, ADMIN), "malformed", JSON.stringify(payload));
  }
});

Deno.test("claims beyond the bounds are not signed", () => {
  const cases: [Partial<SessionClaims>, string | null][] = [
    [{ clientId: "é".repeat(CLIENT_ID_BYTES_MAX / 2) + "a" }, ADMIN],
    [{ source: { kind: "key", apiKeyId: "k".repeat(CREDENTIAL_BYTES_MAX) } }, ADMIN],
    [{ source: { kind: "key", apiKeyId: "" } }, ADMIN],
    [{ expiresAtMs: NaN }, ADMIN],
    [{ permissions: ["root" as SessionPermission] }, ADMIN],
    [{ source: { kind: "dev" } }, ADMIN],
    [{ source: { kind: "admin" } }, null],
  ];
  for (const [change, adminKeyHash] of cases) {
    assert.throws(() => signSession(KEY, { ...CLAIMS, ...change }, adminKeyHash), SessionError);
  }
  const longest = signSession(KEY, { ...CLAIMS, clientId: '"'.repeat(CLIENT_ID_BYTES_MAX) }, ADMIN);
  assert.equal(verifySession([KEY], longest, NOW, ADMIN).kind, "valid");
});

Deno.test("secrets are compared by their SHA-256", () => {
  assert.equal(secretHash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.ok(sameSecret(secretHash("a"), secretHash("a")));
  assert.ok(!sameSecret(secretHash("a"), secretHash("b")));
  assert.ok(!sameSecret(secretHash("a"), secretHash("a").slice(1)));
  assert.ok(!sameSecret(secretHash("a"), ""));
  assert.ok(!sameSecret("é", "e"));
});

Deno.test("API key secrets and nonces are random and of one form", () => {
  assert.match(createApiKeySecret(systemRandom), /^dk_[0-9a-f]{64}$/);
  assert.match(createNonce(systemRandom), /^[0-9a-f]{32}$/);
  assert.notEqual(createApiKeySecret(systemRandom), createApiKeySecret(systemRandom));
});
