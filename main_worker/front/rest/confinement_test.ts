import assert from "assert";
import { createHarness, schemaId } from "./testing.ts";

/** Every route with its method, for a schema that the key may use and one that it may not. */
const MINE = "users";
const OTHERS = "chats";

Deno.test("a key confined to user* sees nothing of another schema, on any route", async () => {
  const harness = await createHarness();
  const { app, send, key, control } = harness;
  for (const id of [MINE, OTHERS, "user", "xuser", "User"]) {
    await send("PUT", `/entity/${id}?key=secret-${id}`, { body: `"${id}"` });
    await send("PUT", `/schema/${id}`, { body: `{"title":"${id}"}` });
  }
  const everything = await key(["read", "write", "admin"], ["user*"]);
  const session = (await (await send("POST", "/api/login", {
    key: null,
    body: JSON.stringify({ key: everything }),
  })).json()).token;
  for (const credential of [everything, session]) {
    for (const { method, path, access } of app.routes) {
      const body = method === "GET" ? null : '{"keys":["k"],"name":"n","permissions":["admin"]}';
      const target = `${path.replace("{schema_id}", OTHERS).replace("{key_id}", "x")}?key=secret-${OTHERS}`;
      const response = await send(method, target, { key: credential, body });
      const text = response.headers.get("content-type") === "text/event-stream"
        ? (await response.body!.cancel(), "")
        : await response.text();
      const serverWide = access.kind === "permission" && access.permission === "admin";
      if (path.includes("{schema_id}") || serverWide) assert.equal(response.status, 403, `${method} ${path}`);
      if (access.kind !== "public") {
        assert.doesNotMatch(text, /chats|xuser|"User"/, `${method} ${path}`);
      }
    }
    assert.deepEqual(await (await send("GET", "/api/schemas", { key: credential })).json(), ["user", "users"]);
    assert.deepEqual(await (await send("GET", "/api/schemas?counts=true", { key: credential })).json(), [
      { id: "user", entities: 1 },
      { id: "users", entities: 1 },
    ]);
    assert.deepEqual(await (await send("GET", "/admin/schemas", { key: credential })).json(), ["user", "users"]);
    for (const path of [`/entity/${MINE}?key=secret-${MINE}`, `/entities/${MINE}`, `/schema/${MINE}`]) {
      assert.equal((await send("GET", path, { key: credential })).status, 200, path);
    }
  }
  assert.equal(control.snapshot().credentials.apiKeys.length, 1);
  assert.equal(harness.entities.watches.size, 0);
});

Deno.test("a cursor of one schema does not open another", async () => {
  const { send, key } = await createHarness();
  await send("PUT", `/entity/${OTHERS}`, { body: '{"a":1,"b":2}' });
  await send("PUT", `/entity/${MINE}`, { body: '{"a":1,"b":2}' });
  const { next_cursor } = await (await send("GET", `/entities/${OTHERS}?limit=1`)).json();
  const confined = await key(["read"], [MINE]);
  const page = await (await send("GET", `/entities/${MINE}?cursor=${next_cursor}`, { key: confined })).json();
  assert.deepEqual(page.keys.map((entry: { key: string }) => entry.key), ["b"]);
});

Deno.test("patterns are exact but for a star at their end, and encoding does not slip past them", async () => {
  const { send, key } = await createHarness();
  const may = async (secret: string, id: string) =>
    (await send("GET", `/entities/${id}`, { key: secret })).status === 200;
  const exact = await key(["read"], ["a.b", "x*"]);
  assert.deepEqual(
    await Promise.all(["a.b", "a%2Eb", "x", "xyz"].map((id) => may(exact, id))),
    [true, true, true, true],
  );
  assert.deepEqual(
    await Promise.all(
      ["aXb", "a.bc", "a", "y", "%79x", "*"].map((id) => may(exact, id)),
    ),
    [false, false, false, false, false, false],
  );
  assert.equal(await may(await key(["read"], ["*"]), "anything"), true);
});

Deno.test("in dev mode a confined key still sees only its own templates", async () => {
  const { send, key, control } = await createHarness({ adminKey: null });
  for (const id of [MINE, OTHERS]) await control.putSchema(schemaId(id), new TextEncoder().encode("{}"));
  const confined = await key(["read"], [MINE]);
  assert.deepEqual(await (await send("GET", "/admin/schemas", { key: confined })).json(), [MINE]);
  assert.equal((await send("GET", `/schema/${OTHERS}`, { key: confined })).status, 403);
});
