import assert from "assert";
import { failure } from "../../../shared/outcome.ts";
import { createHarness } from "./testing.ts";

Deno.test("a key is shown once, works at once, is listed without its secret, and is over when revoked", async () => {
  const { send, clock, log } = await createHarness();
  const body = {
    name: "chat service",
    permissions: ["write", "read"],
    schemas: ["chat.v1", "user*"],
    expires_in: "7d",
  };
  const created = await send("POST", "/api/keys", { body: JSON.stringify(body) });
  assert.equal(created.status, 201);
  const { id, secret, ...rest } = await created.json();
  assert.match(secret, /^dk_[0-9a-f]{64}$/);
  assert.deepEqual(rest, {
    name: "chat service",
    permissions: ["read", "write"],
    schemas: ["chat.v1", "user*"],
    expires_at: "2026-02-07T12:00:00.000Z",
    created_at: "2026-01-31T12:00:00.000Z",
  });
  const list = async () => (await (await send("GET", "/api/keys")).json())[0];
  assert.deepEqual(await list(), { id, ...rest, last_used_at: null });
  clock.pass(5_000);
  assert.equal((await send("PUT", "/entity/users?key=a", { key: secret, body: "1" })).status, 200);
  assert.equal((await list()).last_used_at, "2026-01-31T12:00:05.000Z");
  const { token } = await (await send("POST", "/api/login", { key: null, body: JSON.stringify({ key: secret }) }))
    .json();
  clock.pass(5_000);
  assert.equal((await send("GET", "/api/me", { key: token })).status, 200);
  assert.equal((await list()).last_used_at, "2026-01-31T12:00:10.000Z");
  assert.equal((await send("DELETE", `/api/keys/${id}`)).status, 200);
  for (const key of [secret, token]) assert.equal((await send("GET", "/api/me", { key })).status, 401);
  assert.equal((await send("DELETE", `/api/keys/${id}`)).status, 404);
  assert.equal((await send("DELETE", "/api/keys/%ff")).status, 404);
  assert.deepEqual(log.lines.filter(({ fields }) => fields.audit).map(({ event }) => event), [
    "api_key_create",
    "login",
    "api_key_revoke",
    "request_refused",
    "request_refused",
  ]);
  assert.ok(!JSON.stringify(log.lines).includes(secret));
});

Deno.test("a key ends by its time", async () => {
  const { send, clock } = await createHarness();
  const created = await send("POST", "/api/keys", {
    body: JSON.stringify({ name: "short", permissions: ["read"], expires_in: "90s" }),
  });
  const { secret } = await created.json();
  const { token, expires_at } = await (await send("POST", "/api/login", {
    key: null,
    body: JSON.stringify({ key: secret }),
  })).json();
  assert.equal(expires_at, "2026-01-31T12:01:30.000Z");
  clock.pass(89_999);
  for (const key of [secret, token]) assert.equal((await send("GET", "/api/me", { key })).status, 200);
  clock.pass(1);
  for (const key of [secret, token]) assert.equal((await send("GET", "/api/me", { key })).status, 401);
});

Deno.test("a key that was not asked for exactly is refused", async () => {
  const { send, control } = await createHarness();
  const good = { name: "n", permissions: ["read"] };
  const bad: unknown[] = [
    {},
    { ...good, name: undefined },
    { ...good, name: "" },
    { ...good, name: 1 },
    { ...good, name: "a\nb" },
    { ...good, name: "é".repeat(65) },
    { ...good, permissions: undefined },
    { ...good, permissions: [] },
    { ...good, permissions: "read" },
    { ...good, permissions: ["read", "read"] },
    { ...good, permissions: ["everything"] },
    { ...good, schemas: [] },
    { ...good, schemas: "a" },
    { ...good, schemas: [1] },
    { ...good, schemas: [""] },
    { ...good, schemas: ["a*b"] },
    { ...good, schemas: ["a**"] },
    { ...good, schemas: ["a/b"] },
    { ...good, schemas: Array.from({ length: 101 }, (_, i) => `s${i}`) },
    { ...good, expires_in: "" },
    { ...good, expires_in: "0s" },
    { ...good, expires_in: "-1h" },
    { ...good, expires_in: "soon" },
    { ...good, expires_in: 60 },
    { ...good, expires_in: "99999999999d" },
    { ...good, expires: "1h" },
  ];
  for (const body of bad) {
    const response = await send("POST", "/api/keys", { body: JSON.stringify(body) });
    assert.deepEqual([response.status, (await response.json()).code], [400, "bad_request"], JSON.stringify(body));
  }
  assert.equal(control.snapshot().credentials.apiKeys.length, 0);
  const large = await send("POST", "/api/keys", { body: " ".repeat(64 * 1024 + 1) });
  assert.equal(large.status, 413);
  for (
    const more of [{ schemas: null, expires_in: null }, { schemas: ["*"] }, { schemas: ["a*"], expires_in: "1h30m" }]
  ) {
    assert.equal((await send("POST", "/api/keys", { body: JSON.stringify({ ...good, ...more }) })).status, 201);
  }
});

Deno.test("a key that could not be stored is not there", async () => {
  const { send, control, log } = await createHarness();
  control.fault = () => failure("storage_unavailable", "try again");
  const created = await send("POST", "/api/keys", { body: '{"name":"n","permissions":["read"]}' });
  assert.deepEqual([created.status, created.headers.get("retry-after")], [503, "1"]);
  assert.equal((await send("DELETE", "/api/keys/x")).status, 503);
  assert.deepEqual(log.lines.map(({ fields }) => fields.result), ["storage_unavailable", "storage_unavailable"]);
});
