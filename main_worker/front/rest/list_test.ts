import assert from "assert";
import { failure } from "../../../shared/outcome.ts";
import { createHarness } from "./testing.ts";

interface Page {
  readonly keys: readonly { readonly key: string; readonly version?: number; readonly size: number }[];
  readonly next_cursor: string | null;
}

Deno.test("a listing is in the byte order of storage names, page by page, whatever comes and goes meanwhile", async () => {
  const { send } = await createHarness();
  const keys = ["b", "a", "Z", "a b", "é", "~", "a.b", "_", "10", "9"];
  for (const key of keys) await send("PUT", `/entity/s?key=${encodeURIComponent(key)}`, { body: "1" });
  await send("PUT", "/entity/s2?key=other", { body: "1" });
  const seen: string[] = [];
  let cursor: string | null = "";
  do {
    const page: Page = await (await send("GET", `/entities/s?limit=3&cursor=${cursor}`)).json();
    assert.ok(page.keys.length <= 3);
    seen.push(...page.keys.map(({ key }) => key));
    cursor = page.next_cursor;
    // The entity at which the page ended goes away, and one before it comes.
    if (seen.length === 3) {
      await send("DELETE", `/entity/s?key=${encodeURIComponent(seen[2]!)}`);
      await send("PUT", "/entity/s?key=%25", { body: "1" });
    }
  } while (cursor !== null);
  const { encodeName } = await import("../../../shared/names.ts");
  assert.deepEqual(seen, keys.toSorted((a, b) => encodeName(a) < encodeName(b) ? -1 : 1));
});

Deno.test("values are embedded byte for byte, also in an answer that is streamed", async () => {
  const { send } = await createHarness();
  const document = '{"n":1.10,"e":1e400,"big":"' + "x".repeat(100_000) + '"}';
  for (let i = 0; i < 30; i++) await send("PUT", `/entity/s?key=k${String(i).padStart(2, "0")}`, { body: document });
  const one = await (await send("GET", "/entities/s?limit=1&values=true")).text();
  assert.equal(
    one,
    `{"keys":[{"key":"k00","version":1,"size":${document.length},"updated_at":"2026-01-31T12:00:00.000Z",` +
      `"value":${document}}],"next_cursor":${JSON.stringify(JSON.parse(one).next_cursor)}}`,
  );
  const all = await (await send("GET", "/entities/s?values=true")).text();
  assert.equal(all.split(document).length - 1, 30);
  assert.equal(JSON.parse(all).keys.length, 30);
});

Deno.test("without values, a bucket does not know versions", async () => {
  const { send, entities } = await createHarness();
  entities.listsVersions = false;
  await send("PUT", "/entity/s?key=k", { body: "1" });
  assert.deepEqual((await (await send("GET", "/entities/s")).json()).keys, [{ key: "k", size: 1 }]);
  const [entry] = (await (await send("GET", "/entities/s?values=true")).json()).keys;
  assert.deepEqual(entry, { key: "k", version: 1, size: 1, updated_at: "2026-01-31T12:00:00.000Z", value: 1 });
});

Deno.test("a document that cannot be opened is named in its place", async () => {
  const { send, entities } = await createHarness();
  await send("PUT", "/entity/s", { body: '{"a":1,"b":2}' });
  entities.fault = (operation, key) =>
    operation === "open" && key === "a" ? failure("tampered", "not what was written") : undefined;
  const { keys } = await (await send("GET", "/entities/s?values=true")).json();
  assert.deepEqual(keys.map((entry: Record<string, unknown>) => [entry.problem, entry.value]), [
    ["tampered", undefined],
    [undefined, 2],
  ]);
});

Deno.test("prefix, limit, cursor and values are checked", async () => {
  const { send } = await createHarness();
  await send("PUT", "/entity/s", { body: '{"a1":1,"a2":2,"b":3,".x":4}' });
  const keysOf = async (query: string) =>
    (await (await send("GET", `/entities/s?${query}`)).json()).keys.map((entry: { key: string }) => entry.key);
  assert.deepEqual(await keysOf("prefix=a"), ["a1", "a2"]);
  assert.deepEqual(await keysOf("prefix=."), [".x"]);
  assert.deepEqual(await keysOf("prefix=%2F"), []);
  const bad: [string, string][] = [
    ["limit=0", "bad_request"],
    ["limit=1001", "bad_request"],
    ["limit=-1", "bad_request"],
    ["limit=1.5", "bad_request"],
    ["limit=", "bad_request"],
    ["limit=1&limit=2", "bad_request"],
    ["values=yes", "bad_request"],
    ["cursor=x", "bad_request"],
    ["cursor=%ff", "bad_request"],
    ["prefix=%ff", "invalid_key"],
    [`prefix=${"x".repeat(257)}`, "invalid_key"],
  ];
  for (const [query, code] of bad) {
    const response = await send("GET", `/entities/s?${query}`);
    assert.deepEqual([response.status, (await response.json()).code], [400, code], query);
  }
  const other = (await (await send("GET", "/entities/s?limit=1")).json()).next_cursor;
  assert.equal((await send("GET", `/entities/s?cursor=${other}`)).status, 200);
});

Deno.test("a listing that fails is the failure", async () => {
  const { send, entities } = await createHarness();
  entities.fault = () => failure("no_worker", "nobody serves", { retryAfterS: 2 });
  const response = await send("GET", "/entities/s");
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "2"]);
});

Deno.test("many documents in one answer, byte for byte, and what is missing", async () => {
  const { send } = await createHarness();
  await send("PUT", "/entity/s", { body: '{"a":{"n":1.10},"b":[1e400],"__proto__":3}' });
  const get = (keys: unknown) => send("POST", "/entities/s/get", { body: JSON.stringify({ keys }) });
  assert.equal(
    await (await get(["b", "x", "a", "b", "__proto__", "y"])).text(),
    '{"entities":{"b":[1e400],"a":{"n":1.10},"__proto__":3},"missing":["x","y"]}',
  );
  assert.equal(await (await get([])).text(), '{"entities":{},"missing":[]}');
  const many = Array.from({ length: 1000 }, (_, i) => `k${i}`);
  assert.equal((await (await get(many)).json()).missing.length, 1000);
});

Deno.test("a read of many refuses what is not a list of keys", async () => {
  const { send } = await createHarness({ bodyBytesMax: 20_000 });
  const cases: [BodyInit, number, string][] = [
    ["", 400, "empty"],
    ["{", 400, "bad_json"],
    [new Uint8Array([0x22, 0xff, 0x22]), 400, "bad_json"],
    ["[]", 400, "bad_request"],
    ["null", 400, "bad_request"],
    ["{}", 400, "bad_request"],
    ['{"keys":"a"}', 400, "bad_request"],
    ['{"keys":[1]}', 400, "bad_request"],
    ['{"keys":[],"more":1}', 400, "bad_request"],
    ['{"keys":[""]}', 400, "invalid_key"],
    ['{"keys":["a/b"]}', 400, "invalid_key"],
    ['{"keys":["\\ud800"]}', 400, "invalid_key"],
    [JSON.stringify({ keys: Array.from({ length: 1001 }, (_, i) => `k${i}`) }), 400, "bad_request"],
    [" ".repeat(20_001), 413, "too_large"],
  ];
  for (const [body, status, code] of cases) {
    const response = await send("POST", "/entities/s/get", { body });
    assert.deepEqual([response.status, (await response.json()).code], [status, code], String(body).slice(0, 40));
  }
});

Deno.test("a read of many fails as a whole and names the keys that could not be read", async () => {
  const { send, entities } = await createHarness();
  await send("PUT", "/entity/s", { body: '{"a":1,"b":2,"c":3}' });
  entities.fault = (_, key) =>
    key === "b"
      ? failure("key_unavailable", "sealed under another key")
      : key === "c"
      ? failure("no_worker", "nobody serves")
      : undefined;
  const response = await send("POST", "/entities/s/get", { body: '{"keys":["a","b","c"]}' });
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
  assert.deepEqual((await response.json()).details, [
    { key: "b", status: "failed", code: "key_unavailable", message: "sealed under another key" },
    { key: "c", status: "failed", code: "no_worker", message: "nobody serves" },
  ]);
});
