import assert from "assert";
import { failure } from "../../../shared/outcome.ts";
import { createHarness, schemaId } from "./testing.ts";
import { entityName, parseEntityKey } from "../../../shared/names.ts";

const AWKWARD = '{"n":12345678901234567890,"d":1.10,"e":1e400,"a":1,"a":2,"s":"\\u00e9\\ud83d\\ude00\\/"}';

async function errorOf(response: Response) {
  const body = await response.json();
  return { status: response.status, code: body.code, details: body.details };
}

Deno.test("a document comes back byte for byte, with its version, its ETag and its time", async () => {
  const { send } = await createHarness();
  const put = await send("PUT", "/entity/chat.v1?key=c1", { body: ` \n${AWKWARD}\t ` });
  assert.equal(put.status, 200);
  assert.equal(await put.text(), '{"status":"ok","version":1}');
  const get = await send("GET", "/entity/chat.v1?key=c1");
  assert.equal(get.status, 200);
  assert.equal(await get.text(), AWKWARD);
  assert.equal(get.headers.get("content-type"), "application/json");
  assert.equal(get.headers.get("x-content-type-options"), "nosniff");
  assert.equal(get.headers.get("etag"), put.headers.get("etag"));
  assert.match(get.headers.get("etag")!, /^"1-[0-9a-f]{16}"$/);
  assert.equal(get.headers.get("x-entity-version"), "1");
  assert.equal(get.headers.get("last-modified"), "Sat, 31 Jan 2026 12:00:00 GMT");
});

Deno.test("a document of a worker whose clock is ahead was not modified in the future", async () => {
  const { send, entities } = await createHarness();
  await send("PUT", "/entity/s?key=k", { body: "1" });
  for (const [name, entity] of entities.stored) {
    entities.stored.set(name, { ...entity, meta: { ...entity.meta, writtenAtMs: entity.meta.writtenAtMs + 90_000 } });
  }
  const get = await send("GET", "/entity/s?key=k");
  assert.equal(get.headers.get("last-modified"), "Sat, 31 Jan 2026 12:00:00 GMT");
});

Deno.test("a PUT of many slices its body and answers all versions", async () => {
  const { send, entities } = await createHarness();
  const put = await send("PUT", "/entity/s", { body: `{"a": ${AWKWARD} ,"b" : [1.0] , "\\u0063": "x"}` });
  assert.deepEqual(await put.json(), { status: "ok", versions: { a: 1, b: 1, c: 1 } });
  assert.equal(put.headers.get("etag"), null);
  const stored = [...entities.stored.values()].map(({ document }) => new TextDecoder().decode(document));
  assert.deepEqual(stored, [AWKWARD, "[1.0]", '"x"']);
});

Deno.test("a PUT of one entity in an object honours conditions and answers its ETag", async () => {
  const { send } = await createHarness();
  const first = await send("PUT", "/entity/s", { body: '{"k":1}', headers: { "if-none-match": "*" } });
  assert.deepEqual(await first.json(), { status: "ok", versions: { k: 1 } });
  const etag = first.headers.get("etag")!;
  const again = await send("PUT", "/entity/s", { body: '{"k":2}', headers: { "if-none-match": "*" } });
  assert.equal(again.status, 412);
  assert.equal(again.headers.get("etag"), etag);
  const second = await send("PUT", "/entity/s", { body: '{"k":2}', headers: { "if-match": etag } });
  assert.deepEqual(await second.json(), { status: "ok", versions: { k: 2 } });
  assert.notEqual(second.headers.get("etag"), etag);
});

Deno.test("a condition on several entities is refused, and nothing is written", async () => {
  const { send, entities } = await createHarness();
  for (const [name, value] of [["if-match", '"x"'], ["if-none-match", "*"]] as const) {
    const response = await send("PUT", "/entity/s", { body: '{"a":1,"b":2}', headers: { [name]: value } });
    assert.equal((await errorOf(response)).code, "bad_request");
  }
  assert.equal(entities.stored.size, 0);
});

Deno.test("the body of a PUT must be JSON of the right form", async () => {
  const { send } = await createHarness();
  const cases: [string, string, string][] = [
    ["", "", "empty"],
    ["", "  ", "empty"],
    ["", "{}", "empty"],
    ["", "[1]", "bad_request"],
    ["", '{"a":1', "bad_json"],
    ["", '{"a":1}x', "bad_json"],
    ["", '{"a":NaN}', "bad_json"],
    ["", '{"a":1,"a":2}', "bad_request"],
    ["", '{"":1}', "invalid_key"],
    ["", '{"a/b":1}', "invalid_key"],
    ["", '{"a..b":1}', "invalid_key"],
    ["", '{"a\\u0000":1}', "invalid_key"],
    ["", '{"\\ud800":1}', "invalid_key"],
    ["", `{"${"k".repeat(257)}":1}`, "invalid_key"],
    ["?key=a", "", "empty"],
    ["?key=a", "{", "bad_json"],
    ["?key=a", "1 2", "bad_json"],
    ["?key=", "1", "invalid_key"],
    ["?key", "1", "invalid_key"],
    ["?key=a&key=b", "1", "bad_request"],
    ["?key=%ff", "1", "invalid_key"],
    ["?key=%", "1", "invalid_key"],
    ["?key=a%2Fb", "1", "invalid_key"],
    ["?key=a&force=maybe", "1", "bad_request"],
  ];
  for (const [query, body, code] of cases) {
    const response = await send("PUT", `/entity/s${query}`, { body });
    assert.deepEqual([response.status, (await errorOf(response)).code], [400, code], `${query} ${body}`);
  }
});

Deno.test("1,000 entities are taken at once, one more is not", async () => {
  const { send, entities } = await createHarness();
  const many = (count: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i])));
  assert.equal((await send("PUT", "/entity/s", { body: many(1001) })).status, 400);
  assert.equal(entities.stored.size, 0);
  assert.equal((await send("PUT", "/entity/s", { body: many(1000) })).status, 200);
  assert.equal(entities.stored.size, 1000);
});

Deno.test("the depth and the size of a document have limits", async () => {
  const { send } = await createHarness({ bodyBytesMax: 1000 });
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assert.equal((await send("PUT", "/entity/s?key=a", { body: nested(128) })).status, 200);
  assert.equal((await errorOf(await send("PUT", "/entity/s?key=a", { body: nested(129) }))).code, "bad_json");
  assert.equal((await send("PUT", "/entity/s?key=a", { body: `"${"x".repeat(998)}"` })).status, 200);
  const large = await send("PUT", "/entity/s?key=a", { body: `"${"x".repeat(999)}"` });
  assert.deepEqual([large.status, (await errorOf(large)).code], [413, "too_large"]);
});

Deno.test("any Content-Type is taken for a PUT, as curl sends it", async () => {
  const { send } = await createHarness();
  for (const type of ["application/x-www-form-urlencoded", "application/json; charset=utf-8", "text/plain", "x"]) {
    const response = await send("PUT", "/entity/s?key=a", { body: "{}", headers: { "content-type": type } });
    assert.equal(response.status, 200, type);
  }
  const zipped = await send("PUT", "/entity/s?key=a", { body: "{}", headers: { "content-encoding": "gzip" } });
  assert.equal((await errorOf(zipped)).code, "unsupported_media_type");
  assert.equal(zipped.headers.get("accept-encoding"), "identity");
});

Deno.test("one violation, and nothing of a PUT of many is stored; each is named", async () => {
  const { send, entities } = await createHarness();
  entities.judge = (_, key, document) =>
    document[0] === 0x22 ? [{ key, path: "", message: "must be an object" }, { key, path: "/a", message: "x" }] : [];
  const response = await send("PUT", "/entity/s", { body: '{"a":{},"b":"text"}' });
  assert.deepEqual(await errorOf(response), {
    status: 400,
    code: "schema_violation",
    details: [{ key: "b", path: "", message: "must be an object" }, { key: "b", path: "/a", message: "x" }],
  });
  assert.equal(entities.stored.size, 0);
});

Deno.test("storage that fails part-way: 503 with how each key ended", async () => {
  const { send, entities } = await createHarness();
  entities.fault = (_, key) =>
    key === "b"
      ? failure("storage_unavailable", "the disk is full", { retryAfterS: 7 })
      : key === "c"
      ? failure("key_unavailable", "sealed under another key")
      : undefined;
  const response = await send("PUT", "/entity/s", { body: '{"a":1,"b":2,"c":3}' });
  assert.equal(response.headers.get("retry-after"), "7");
  assert.deepEqual(await errorOf(response), {
    status: 503,
    code: "storage_unavailable",
    details: [
      { key: "a", status: "stored", version: 1 },
      { key: "b", status: "failed", code: "storage_unavailable", message: "the disk is full" },
      { key: "c", status: "failed", code: "key_unavailable", message: "sealed under another key" },
    ],
  });
  assert.equal(entities.stored.size, 1);
});

Deno.test("reading: every way in which it can end", async () => {
  const { send, entities } = await createHarness();
  await send("PUT", "/entity/s?key=k", { body: "1" });
  assert.equal((await errorOf(await send("GET", "/entity/s"))).code, "missing_key");
  assert.equal((await errorOf(await send("GET", "/entity/s?Key=k"))).code, "missing_key");
  assert.equal((await errorOf(await send("GET", "/entity/s?key="))).code, "invalid_key");
  assert.equal((await errorOf(await send("GET", "/entity/s?key=other"))).code, "not_found");
  const codes = {
    key_unavailable: 409,
    tampered: 500,
    no_worker: 503,
    overloaded: 503,
    storage_unavailable: 503,
    deadline: 504,
  } as const;
  for (const [code, status] of Object.entries(codes)) {
    entities.fault = () => failure(code as keyof typeof codes, "said so");
    const response = await send("GET", "/entity/s?key=k");
    assert.equal(response.headers.get("retry-after"), status === 503 ? "1" : null);
    assert.deepEqual(await response.json(), { error: "said so", code });
    assert.equal(response.status, status);
  }
});

Deno.test("conditions of a GET", async () => {
  const { send } = await createHarness();
  const etag = (await send("PUT", "/entity/s?key=k", { body: "1" })).headers.get("etag")!;
  const status = async (headers: Record<string, string>) => {
    const response = await send("GET", "/entity/s?key=k", { headers });
    if (response.status === 304) {
      assert.equal(response.body, null);
      assert.equal(response.headers.get("etag"), etag);
      assert.equal(response.headers.get("x-entity-version"), "1");
      assert.equal(response.headers.get("content-type"), null);
    }
    return response.status;
  };
  assert.equal(await status({ "if-none-match": etag }), 304);
  assert.equal(await status({ "if-none-match": `W/${etag}` }), 304);
  assert.equal(await status({ "if-none-match": `"a", ${etag} , "b"` }), 304);
  assert.equal(await status({ "if-none-match": "*" }), 304);
  assert.equal(await status({ "if-none-match": '"*"' }), 200);
  assert.equal(await status({ "if-none-match": '"other"' }), 200);
  assert.equal(await status({ "if-none-match": "unquoted" }), 400);
  assert.equal(await status({ "if-match": etag }), 200);
  assert.equal(await status({ "if-match": "*" }), 200);
  assert.equal(await status({ "if-match": `W/${etag}` }), 412);
  assert.equal(await status({ "if-match": '"other"', "if-none-match": etag }), 412);
});

Deno.test("conditions of writes", async () => {
  const { send } = await createHarness();
  const etag = (await send("PUT", "/entity/s?key=k", { body: "{}" })).headers.get("etag")!;
  const put = (headers: Record<string, string>) => send("PUT", "/entity/s?key=k", { body: "{}", headers });
  for (const stale of ['"other"', `W/${etag}`, '"*"', '""', `"${etag.slice(1, -1)}x"`]) {
    const response = await put({ "if-match": stale });
    assert.equal(response.headers.get("etag"), etag);
    assert.deepEqual([response.status, (await errorOf(response)).code], [412, "version_mismatch"], stale);
  }
  assert.equal((await put({ "if-match": "*", "if-none-match": "*" })).status, 412);
  for (const headers of [{ "if-match": "" }, { "if-match": "a" }, { "if-match": '"a" "b"' }]) {
    assert.equal((await put(headers)).status, 400, JSON.stringify(headers));
  }
  assert.equal((await put({ "if-none-match": etag })).status, 400);
  assert.equal((await put({ "if-unmodified-since": "Sat, 31 Jan 2026 12:00:00 GMT" })).status, 400);
  assert.equal((await put({ "if-match": `"a", ${etag}` })).status, 200);
  const missing = await send("PUT", "/entity/s?key=new", { body: "{}", headers: { "if-match": "*" } });
  assert.deepEqual([missing.status, missing.headers.get("etag")], [412, null]);
});

Deno.test("PATCH merges, needs its media type, and does not create", async () => {
  const { send } = await createHarness();
  const type = { "content-type": "application/merge-patch+json" };
  const patch = (key: string, body: string, headers: Record<string, string> = type) =>
    send("PATCH", `/entity/s?key=${key}`, { body, headers });
  await send("PUT", "/entity/s?key=k", { body: '{"n":1.10,"gone":true}' });
  const done = await patch("k", '{"gone":null,"new":[1]}', { "content-type": "Application/Merge-Patch+JSON; x=y" });
  assert.deepEqual(await done.json(), { status: "ok", version: 2 });
  assert.equal(await (await send("GET", "/entity/s?key=k")).text(), '{"n":1.10,"new":[1]}');
  for (const wrong of ["", "application/json", "text/plain"]) {
    const refused = await patch("k", "{}", { "content-type": wrong });
    assert.equal(refused.headers.get("accept-patch"), "application/merge-patch+json");
    assert.deepEqual([refused.status, (await errorOf(refused)).code], [415, "unsupported_media_type"]);
  }
  assert.equal((await patch("absent", "{}")).status, 404);
  assert.equal((await errorOf(await patch("k", ""))).code, "empty");
  assert.equal((await errorOf(await patch("k", "{"))).code, "bad_json");
  assert.equal((await errorOf(await send("PATCH", "/entity/s", { body: "{}", headers: type }))).code, "missing_key");
  assert.equal((await patch("k", "{}", { ...type, "if-match": '"x"' })).status, 412);
  assert.equal((await patch("k", "{}", { ...type, "if-match": done.headers.get("etag")! })).status, 200);
  assert.equal((await patch("k", "{}", { ...type, "if-none-match": "*" })).status, 400);
});

Deno.test("DELETE answers the same for what was not there, and honours If-Match", async () => {
  const { send, entities } = await createHarness();
  const etag = (await send("PUT", "/entity/s?key=k", { body: "1" })).headers.get("etag")!;
  const remove = (headers: Record<string, string> = {}) => send("DELETE", "/entity/s?key=k", { headers });
  assert.equal((await remove({ "if-match": '"x"' })).status, 412);
  assert.equal((await remove({ "if-none-match": "*" })).status, 400);
  assert.equal(entities.stored.size, 1);
  assert.deepEqual(await (await remove({ "if-match": etag })).json(), { status: "ok" });
  assert.equal(entities.stored.size, 0);
  assert.deepEqual(await (await remove()).json(), { status: "ok" });
  assert.equal((await remove({ "if-match": etag })).status, 412);
  assert.equal((await errorOf(await send("DELETE", "/entity/s"))).code, "missing_key");
});

Deno.test("HEAD answers what GET does, without a body", async () => {
  const { send } = await createHarness();
  await send("PUT", "/entity/s?key=k", { body: "[1,2]" });
  const head = await send("HEAD", "/entity/s?key=k");
  assert.deepEqual([head.status, head.body, head.headers.get("content-length")], [200, null, "5"]);
  const get = await send("GET", "/entity/s?key=k");
  for (const name of ["etag", "x-entity-version", "last-modified", "content-type"]) {
    assert.equal(head.headers.get(name), get.headers.get(name));
  }
  assert.equal((await send("HEAD", "/entity/s?key=none")).status, 404);
});

Deno.test("force is passed on, and only when asked for", async () => {
  const { send, entities } = await createHarness();
  entities.fault = () => failure("key_unavailable", "sealed under another key");
  assert.equal((await send("PUT", "/entity/s?key=k", { body: "1" })).status, 409);
  assert.equal((await send("PUT", "/entity/s?key=k&force=false", { body: "1" })).status, 409);
  assert.equal((await send("PUT", "/entity/s?key=k&force=true", { body: "1" })).status, 200);
  assert.equal((await send("PUT", "/entity/s?key=k&%66orce=true", { body: "1" })).status, 200);
});

Deno.test("names are decoded strictly, a plus sign is a space, and neighbours stay apart", async () => {
  const { send, entities } = await createHarness();
  await send("PUT", "/entity/a_b?key=c", { body: "1" });
  await send("PUT", "/entity/a?key=b_c", { body: "2" });
  assert.equal(await (await send("GET", "/entity/a_b?key=c")).text(), "1");
  assert.equal(await (await send("GET", "/entity/a?key=b_c")).text(), "2");
  await send("PUT", "/entity/caf%C3%A9?key=x+y%2Bz%20%26", { body: "3" });
  assert.ok(entities.stored.has(entityName(schemaId("café"), parseEntityKey("x y+z &"))));
  const ids = ["a%2Fb", "a%5Cb", "%ff", "a..b", "..", "%00", "%zz", "%ED%A0%80", "a".repeat(65)];
  for (const id of ids) {
    const response = await send("GET", `/entity/${id}?key=k`);
    assert.deepEqual([response.status, (await errorOf(response)).code], [400, "invalid_schema_id"], id);
  }
});

Deno.test("where too much waits, a PUT of many is refused without a look at it, and a PUT of one is tried", async () => {
  const { send, entities } = await createHarness();
  entities.isCrowded = true;
  const refused = await send("PUT", "/entity/s", { body: `{"a":1,` });
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assert.equal((await refused.json()).code, "overloaded");
  assert.equal((await send("PUT", "/entity/s?key=a", { body: "1" })).status, 200);
});
