import assert from "assert";
import { failure } from "../../../shared/outcome.ts";
import { createHarness, schemaId } from "./testing.ts";

Deno.test("a template is stored, listed, read as it was uploaded, and removed", async () => {
  const { send, log } = await createHarness();
  const text = '{ "type" : "object", "x": 1.10 }';
  const created = await send("PUT", "/schema/chat.v1", { body: `\n${text} ` });
  assert.deepEqual([created.status, await created.json()], [201, { status: "ok" }]);
  assert.equal((await send("PUT", "/schema/chat.v1", { body: text })).status, 200);
  await send("PUT", "/schema/a", { body: "true" });
  assert.deepEqual(await (await send("GET", "/admin/schemas")).json(), ["a", "chat.v1"]);
  assert.equal(await (await send("GET", "/schema/chat.v1")).text(), text);
  assert.equal((await send("DELETE", "/schema/chat.v1")).status, 200);
  assert.equal((await send("DELETE", "/schema/chat.v1")).status, 404);
  assert.equal((await send("GET", "/schema/chat.v1")).status, 404);
  assert.deepEqual(log.of("schema_put").map(({ fields }) => [fields.schema_id, fields.client_id, fields.result]), [
    ["chat.v1", "admin", "ok"],
    ["chat.v1", "admin", "ok"],
    ["a", "admin", "ok"],
  ]);
});

Deno.test("what is no template is refused", async () => {
  const { send, control } = await createHarness();
  const cases: [string, number, string][] = [
    ["", 400, "empty"],
    ["{", 400, "bad_json"],
    [" ".repeat((1 << 20) + 1), 413, "too_large"],
  ];
  for (const [body, status, code] of cases) {
    const response = await send("PUT", "/schema/s", { body });
    assert.deepEqual([response.status, (await response.json()).code], [status, code]);
  }
  control.fault = () => failure("invalid_schema", "/properties/a/type must be a type");
  const response = await send("PUT", "/schema/s", { body: '{"properties":{"a":{"type":"x"}}}' });
  assert.equal(response.status, 400);
  assert.deepEqual(await response.json(), { error: "/properties/a/type must be a type", code: "invalid_schema" });
  control.fault = () => failure("storage_unavailable", "try again");
  assert.equal((await send("PUT", "/schema/s", { body: "{}" })).status, 503);
  assert.equal((await send("DELETE", "/schema/s")).status, 503);
});

Deno.test("a template that was dropped in and is unusable says so", async () => {
  const { send, control } = await createHarness();
  const text = new TextEncoder().encode('{"type":"nothing"}');
  control.publish({
    schemas: {
      revision: 2,
      templates: new Map([
        [schemaId("wrong"), { hash: "0", text, invalid: "/type is not a type" }],
        [schemaId("unreadable"), { hash: "1", text: new Uint8Array(0), invalid: "it is not JSON" }],
      ]),
    },
  });
  assert.equal(await (await send("GET", "/schema/wrong")).text(), '{"type":"nothing"}');
  const unreadable = await send("GET", "/schema/unreadable");
  assert.equal(unreadable.status, 400);
  assert.deepEqual(await unreadable.json(), {
    error: "The template cannot be used: it is not JSON",
    code: "invalid_schema",
  });
});

Deno.test("schemas that hold entities, with their counts where the store can tell", async () => {
  const { send, entities } = await createHarness();
  await send("PUT", "/entity/b", { body: '{"x":1,"y":2}' });
  await send("PUT", "/entity/a?key=x", { body: "1" });
  assert.deepEqual(await (await send("GET", "/api/schemas")).json(), ["a", "b"]);
  assert.deepEqual(await (await send("GET", "/api/schemas?counts=true")).json(), [
    { id: "a", entities: 1 },
    { id: "b", entities: 2 },
  ]);
  entities.listsVersions = false;
  assert.deepEqual(await (await send("GET", "/api/schemas?counts=true")).json(), [
    { id: "a", entities: null },
    { id: "b", entities: null },
  ]);
  assert.equal((await send("GET", "/api/schemas?counts=1")).status, 400);
  entities.fault = () => failure("no_worker", "nobody serves");
  assert.equal((await send("GET", "/api/schemas")).status, 503);
});

Deno.test("in dev mode templates are public, and nothing else is", async () => {
  const { send } = await createHarness({ adminKey: null });
  const token = (await (await send("POST", "/api/login", { body: '{"client_id":"me"}' })).json()).token;
  await send("PUT", "/schema/s", { key: token, body: "{}" });
  assert.deepEqual(await (await send("GET", "/admin/schemas")).json(), ["s"]);
  assert.equal((await send("GET", "/schema/s")).status, 200);
  assert.equal((await send("GET", "/schema/s", { key: "unknown" })).status, 200);
  for (const path of ["/api/schemas", "/entity/s?key=k", "/entities/s", "/api/me"]) {
    assert.equal((await send("GET", path)).status, 401, path);
  }
  const closed = await createHarness();
  assert.equal((await closed.send("GET", "/admin/schemas", { key: null })).status, 401);
  assert.equal((await closed.send("GET", "/schema/s", { key: null })).status, 401);
});
