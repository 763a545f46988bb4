import assert from "assert";
import { secretHash } from "../../../shared/crypto/tokens.ts";
import { ADMIN_KEY, createHarness } from "./testing.ts";

const login = (body: unknown, from = "192.0.2.1") => ({ key: null, body: JSON.stringify(body), from });

Deno.test("the admin key gives a session that may do everything, for as long as it lives", async () => {
  const { send, clock, log } = await createHarness();
  const { token, ...rest } = await (await send("POST", "/api/login", login({ key: ADMIN_KEY }))).json();
  assert.deepEqual(rest, {
    client_id: "admin",
    expires_at: "2026-02-01T12:00:00.000Z",
    permissions: ["read", "write", "admin"],
  });
  assert.deepEqual(await (await send("GET", "/api/me", { key: token })).json(), {
    client_id: "admin",
    permissions: ["read", "write", "admin"],
    is_admin: true,
    schemas: null,
    expires_at: "2026-02-01T12:00:00.000Z",
  });
  assert.equal((await send("GET", "/admin/workers", { key: token })).status, 200);
  clock.pass(24 * 3_600_000 - 1);
  assert.equal((await send("GET", "/api/me", { key: token })).status, 200);
  clock.pass(1);
  assert.equal((await send("GET", "/api/me", { key: token })).status, 401);
  assert.ok(!JSON.stringify(log.lines).includes(token) && !JSON.stringify(log.lines).includes(ADMIN_KEY));
});

Deno.test("a session cannot be exchanged for another one", async () => {
  const { send } = await createHarness();
  const { token } = await (await send("POST", "/api/login", login({ key: ADMIN_KEY }))).json();
  assert.equal((await send("POST", "/api/login", login({ key: token }))).status, 401);
});

Deno.test("an API key's session has its permissions and its schemas", async () => {
  const { send, key } = await createHarness();
  const secret = await key(["read"], ["user*"]);
  const { token, permissions } = await (await send("POST", "/api/login", login({ key: secret }))).json();
  assert.deepEqual(permissions, ["read"]);
  const me = await (await send("GET", "/api/me", { key: token })).json();
  assert.deepEqual([me.is_admin, me.schemas], [false, ["user*"]]);
  assert.equal((await send("PUT", "/entity/users?key=k", { key: token, body: "1" })).status, 403);
  assert.equal((await send("GET", "/entity/chats?key=k", { key: token })).status, 403);
  assert.equal((await send("GET", "/entity/users?key=k", { key: token })).status, 404);
});

Deno.test("ten failures a minute from an address, then 429 until the minute is over; others are not held up", async () => {
  const { send, clock } = await createHarness();
  for (let i = 0; i < 10; i++) {
    const response = await send("POST", "/api/login", login({ key: `guess ${i}` }));
    assert.deepEqual([response.status, (await response.json()).code], [401, "unauthorized"]);
    clock.pass(1_000);
  }
  const blocked = await send("POST", "/api/login", login({ key: ADMIN_KEY }));
  assert.deepEqual([blocked.status, blocked.headers.get("retry-after")], [429, "50"]);
  assert.equal((await blocked.json()).code, "too_many_attempts");
  assert.equal((await send("POST", "/api/login", login({ key: ADMIN_KEY }, "192.0.2.2"))).status, 200);
  clock.pass(49_999);
  assert.equal((await send("POST", "/api/login", login({ key: ADMIN_KEY }))).status, 429);
  clock.pass(1);
  assert.equal((await send("POST", "/api/login", login({ key: ADMIN_KEY }))).status, 200);
});

Deno.test("dev mode: a name is enough for read and write, and not for more", async () => {
  const { send, control, log } = await createHarness({ adminKey: null });
  const { token, ...rest } = await (await send("POST", "/api/login", login({ client_id: "somebody é" }))).json();
  assert.deepEqual(rest, {
    client_id: "somebody é",
    expires_at: "2026-02-01T12:00:00.000Z",
    permissions: ["read", "write"],
  });
  assert.equal((await send("PUT", "/entity/s?key=k", { key: token, body: "1" })).status, 200);
  assert.equal((await send("GET", "/admin/workers", { key: token })).status, 403);
  assert.equal((await send("POST", "/api/keys", { key: token, body: "{}" })).status, 403);
  assert.equal((await send("POST", "/api/login", login({ key: "anything" }))).status, 401);
  control.publish({ credentials: { ...control.snapshot().credentials, adminKeyHash: secretHash("new") } });
  assert.equal((await send("GET", "/entity/s?key=k", { key: token })).status, 401);
  assert.equal(log.of("login").length, 1);
});

Deno.test("with an admin key, a name alone is 400, as is everything that is no login", async () => {
  const { send } = await createHarness();
  const cases: [string, number, string][] = [
    ['{"client_id":"x"}', 400, "bad_request"],
    ["{}", 400, "bad_request"],
    ['{"key":""}', 400, "bad_request"],
    ['{"key":1}', 400, "bad_request"],
    ['{"key":null}', 400, "bad_request"],
    [`{"key":"${"x".repeat(4097)}"}`, 400, "bad_request"],
    ['{"key":"a","password":"b"}', 400, "bad_request"],
    ["", 400, "empty"],
    ["{", 400, "bad_json"],
    ['"key"', 400, "bad_request"],
    [" ".repeat(64 * 1024 + 1), 413, "too_large"],
  ];
  for (const [body, status, code] of cases) {
    const response = await send("POST", "/api/login", { key: null, body });
    assert.deepEqual([response.status, (await response.json()).code], [status, code], body.slice(0, 40));
  }
  assert.equal((await send("POST", "/api/login", login({ key: ADMIN_KEY }))).status, 200);
});

Deno.test("a new admin key ends the sessions of the old one", async () => {
  const { send, control } = await createHarness();
  const { token } = await (await send("POST", "/api/login", login({ key: ADMIN_KEY }))).json();
  control.publish({ credentials: { ...control.snapshot().credentials, adminKeyHash: secretHash("another") } });
  assert.equal((await send("GET", "/api/me", { key: token })).status, 401);
  assert.equal((await send("GET", "/api/me", { key: ADMIN_KEY })).status, 401);
  assert.equal((await send("GET", "/api/me", { key: "another" })).status, 200);
});
