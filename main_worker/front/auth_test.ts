import assert from "assert";
import fc from "fast-check";
import { createNonce, secretHash, signSession } from "../../shared/crypto/tokens.ts";
import { CREDENTIAL_BYTES_MAX, VERIFIED_TOKENS_MAX } from "../../shared/limits.ts";
import { parseSchemaId } from "../../shared/names.ts";
import type { ApiKey, Credentials, Permission } from "../control/control.ts";
import { allowsSchema, Authenticator, authorize, matchesPattern, permits, type Principal } from "./auth.ts";
import { ManualClock } from "../../shared/seams/manual_clock.ts";
import { countingRandom } from "./rest/testing.ts";

const SESSION_KEY = new Uint8Array(32).fill(1);
const random = countingRandom();

function apiKey(id: string, secret: string, more: Partial<ApiKey> = {}): ApiKey {
  return {
    id,
    name: `name of ${id}`,
    hash: secretHash(secret),
    permissions: ["read"],
    createdAtMs: 0,
    expiresAtMs: null,
    ...more,
  };
}

function setup(change: Partial<Credentials> = {}) {
  const clock = new ManualClock(1_000_000);
  let credentials: Credentials = {
    revision: 1,
    adminKeyHash: secretHash("admin-secret"),
    apiKeys: [apiKey("k1", "dk_one"), apiKey("k2", "dk_two", { expiresAtMs: 1_005_000, schemas: ["a*"] })],
    sessionKeys: [SESSION_KEY],
    clientTtlMs: 1000,
    ...change,
  };
  let asked = 0;
  const authenticator = new Authenticator(clock, () => {
    asked++;
    return credentials;
  });
  return {
    clock,
    authenticator,
    asked: () => asked,
    replace: (next: Partial<Credentials>) =>
      credentials = { ...credentials, revision: credentials.revision + 1, ...next },
    code(header: string | null) {
      const found = authenticator.authenticate(header);
      return "kind" in found ? found.code : found.source;
    },
  };
}

function session(source: Parameters<typeof signSession>[1]["source"], expiresAtMs: number, adminKey: string | null) {
  return signSession(
    SESSION_KEY,
    { clientId: "me", source, permissions: ["read", "write", "admin"], expiresAtMs, nonce: createNonce(random) },
    adminKey === null ? null : secretHash(adminKey),
  );
}

Deno.test("each kind of credential is known by what it is", () => {
  const { authenticator, code } = setup();
  assert.equal(code("Bearer admin-secret"), "admin_key");
  assert.equal(code("Bearer dk_one"), "api_key");
  assert.equal(code("Bearer dk_two"), "api_key");
  assert.equal(code(`Bearer ${session({ kind: "admin" }, 2_000_000, "admin-secret")}`), "admin_key");
  const token = session({ kind: "key", apiKeyId: "k1" }, 2_000_000, "admin-secret");
  assert.deepEqual(authenticator.authenticate(`Bearer ${token}`), {
    clientId: "name of k1",
    permissions: ["read"],
    source: "api_key",
    apiKeyId: "k1",
    session: true,
    expiresAtMs: 2_000_000,
  });
  const known = (credential: string) => {
    const found = authenticator.authenticate(`Bearer ${credential}`);
    assert(!("kind" in found));
    return [found.clientId, found.session, found.expiresAtMs];
  };
  assert.deepEqual(known("admin-secret"), ["admin", false, null]);
  assert.deepEqual(known(session({ kind: "admin" }, 2_000_000, "admin-secret")), ["admin", true, 2_000_000]);
  assert.deepEqual(known("dk_two"), ["name of k2", false, 1_005_000]);
  assert(!authenticator.devMode);
  for (const bad of ["dk_three", "admin-secre", "admin-secret1", "ds_x.y", "", secretHash("admin-secret")]) {
    assert.equal(code(`Bearer ${bad}`), "unauthorized", bad);
  }
});

Deno.test("dev mode knows its own sessions, and an admin key ends them", () => {
  const { authenticator, code, replace } = setup({ adminKeyHash: null });
  const token = session({ kind: "dev" }, 2_000_000, null);
  assert.equal(code(`Bearer ${token}`), "dev");
  assert(authenticator.devMode);
  assert.deepEqual(authenticator.authenticate(`Bearer ${token}`), {
    clientId: "me",
    permissions: ["read", "write", "admin"],
    source: "dev",
    session: true,
    expiresAtMs: 2_000_000,
  });
  assert.equal(code("Bearer admin-secret"), "unauthorized");
  replace({ adminKeyHash: secretHash("new") });
  assert.equal(code(`Bearer ${token}`), "unauthorized");
});

Deno.test("what was verified is remembered only as long as it is true", () => {
  const { code, replace, clock } = setup();
  const ofKey = `Bearer ${session({ kind: "key", apiKeyId: "k2" }, 2_000_000, "admin-secret")}`;
  const ofAdmin = `Bearer ${session({ kind: "admin" }, 1_003_000, "admin-secret")}`;
  for (let i = 0; i < 3; i++) {
    assert.equal(code(ofKey), "api_key");
    assert.equal(code(ofAdmin), "admin_key");
    assert.equal(code("Bearer dk_two"), "api_key");
  }
  clock.pass(3_000);
  assert.equal(code(ofAdmin), "unauthorized");
  clock.pass(2_000);
  assert.equal(code("Bearer dk_two"), "unauthorized");
  assert.equal(code(ofKey), "unauthorized");
  assert.equal(code("Bearer dk_one"), "api_key");
  replace({ apiKeys: [] });
  assert.equal(code("Bearer dk_one"), "unauthorized");
});

Deno.test("the last use of a key is noted, sessions included, and forgotten with the key", () => {
  const { authenticator, code, clock, replace } = setup();
  assert.equal(authenticator.lastUsedMs("k1"), undefined);
  code("Bearer dk_one");
  assert.equal(authenticator.lastUsedMs("k1"), 1_000_000);
  clock.pass(500);
  const token = session({ kind: "key", apiKeyId: "k1" }, 2_000_000, "admin-secret");
  code(`Bearer ${token}`);
  assert.equal(authenticator.lastUsedMs("k1"), 1_000_500);
  replace({ clientTtlMs: 5 });
  code("Bearer admin-secret");
  assert.equal(authenticator.lastUsedMs("k1"), 1_000_500);
  clock.pass(500);
  code("Bearer dk_one");
  assert.equal(authenticator.lastUsedMs("k1"), 1_001_000);
  replace({ apiKeys: [] });
  code("Bearer dk_one");
  assert.equal(authenticator.lastUsedMs("k1"), undefined);
});

Deno.test("what another thread has seen of a key counts, when it is later and there is such a key", () => {
  const { authenticator, code } = setup();
  authenticator.noteUse("k1", 900_000);
  authenticator.noteUse("k3", 900_000);
  assert.deepEqual([authenticator.lastUsedMs("k1"), authenticator.lastUsedMs("k3")], [900_000, undefined]);
  code("Bearer dk_one");
  authenticator.noteUse("k1", 950_000);
  assert.equal(authenticator.lastUsedMs("k1"), 1_000_000);
  authenticator.noteUse("k1", 1_000_001);
  assert.equal(authenticator.lastUsedMs("k1"), 1_000_001);
});

Deno.test("more sessions than are remembered are verified again, not refused", () => {
  const { code } = setup();
  const tokens = Array.from(
    { length: VERIFIED_TOKENS_MAX + 10 },
    () => `Bearer ${session({ kind: "admin" }, 2_000_000, "admin-secret")}`,
  );
  for (const token of tokens) assert.equal(code(token), "admin_key");
  assert.equal(code(tokens[0]!), "admin_key");
});

Deno.test("no header but a well-formed one is taken, and none makes it throw", () => {
  const { code } = setup();
  assert.equal(code(null), "unauthorized");
  assert.equal(code("bEARER   dk_one  "), "api_key");
  const longest = "x".repeat(CREDENTIAL_BYTES_MAX);
  const { code: codeOf } = setup({ adminKeyHash: secretHash(longest), apiKeys: [apiKey("k", `${longest}x`)] });
  assert.equal(codeOf(`Bearer ${longest}`), "admin_key");
  assert.equal(codeOf(`Bearer ${longest}x`), "unauthorized");
  assert.equal(codeOf(`Bearer${" ".repeat(20)}${longest}`), "unauthorized");
  for (const header of ["dk_one", "Bearer", "Bearerdk_one", "Basic dk_one", "Bearer dk_one,dk_two", " Bearer dk_one"]) {
    assert.equal(code(header), "unauthorized", header);
  }
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `Bearer ${text}`)), (header) => {
    assert.equal(code(header), "unauthorized");
  }));
});

const principal = (permissions: readonly Permission[], schemas?: readonly string[]): Principal => ({
  clientId: "x",
  permissions,
  ...(schemas === undefined ? {} : { schemas }),
  source: "api_key",
  session: false,
  expiresAtMs: null,
});

Deno.test("admin includes the other permissions, and the others nothing", () => {
  const table: [Permission[], Permission, boolean][] = [
    [["read"], "read", true],
    [["read"], "write", false],
    [["read"], "admin", false],
    [["write"], "read", false],
    [["write"], "write", true],
    [["read", "write"], "admin", false],
    [["admin"], "read", true],
    [["admin"], "write", true],
    [["admin"], "admin", true],
    [[], "read", false],
  ];
  for (const [has, needs, expected] of table) {
    assert.equal(permits(has, needs), expected);
    assert.equal(authorize(principal(has), needs) === undefined, expected);
  }
});

Deno.test("a confined caller stays inside, and does nothing that concerns the whole server", () => {
  const confined = principal(["admin"], ["user*", "chat.v1"]);
  const may = (permission: Permission, id?: string) =>
    authorize(confined, permission, id === undefined ? undefined : parseSchemaId(id)) === undefined;
  assert.deepEqual(
    ["user", "users", "chat.v1", "chat.v10", "chat", "xuser", "User"].map((id) => may("read", id)),
    [true, true, true, false, false, false, false],
  );
  assert.equal(may("read"), true);
  assert.equal(may("admin"), false);
  assert.equal(may("admin", "users"), true);
  assert.equal(authorize(principal(["admin"]), "admin"), undefined);
});

Deno.test("patterns name what begins with them, and nothing else", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (pattern, id) => {
    const plain = pattern.replaceAll("*", "");
    assert.equal(matchesPattern(plain, id), plain === id);
    assert.equal(matchesPattern(`${plain}*`, id), id.startsWith(plain));
    assert.equal(matchesPattern(`${plain}*`, plain + id), true);
    assert.equal(allowsSchema(principal(["read"], [`${plain}*`, "b"]), id), id.startsWith(plain) || id === "b");
  }));
});
