/** The REST contract on real programs, whatever the store: the main path, and bytes that parsing would damage. */
import assert from "assert";
import { ADMIN_KEY, Cluster, type ClusterOptions } from "./cluster.ts";

async function answer(response: Response): Promise<{ status: number; body: Record<string, unknown> }> {
  return { status: response.status, body: await response.json() };
}

/** Documents, schemas, conditions and errors: a step for each. */
export async function tryRestContract(t: Deno.TestContext, options: ClusterOptions = {}): Promise<void> {
  await using cluster = await Cluster.start({ ...options, workers: 2 });
  const put = (path: string, body: BodyInit, headers: Record<string, string> = {}) =>
    cluster.fetch(path, { method: "PUT", body, headers });

  await t.step("bytes that parsing would damage come back as they went in", async () => {
    const documents = [
      '{"n":12345678901234567890,"d":1.10,"e":1e400}',
      '{"a":1,"a":2}',
      '"\\u0041\\/\\ud800"',
      "-0.0",
      `${"[".repeat(128)}${"]".repeat(128)}`,
      `"${"x".repeat(1024 * 1024 - 2)}"`,
    ];
    for (const document of documents) {
      await cluster.put("bytes", "k", document);
      assert.equal(await cluster.get("bytes", "k"), document);
    }
    await cluster.put("bytes", "k", ' \n{"a": 1}\t');
    assert.equal(await cluster.get("bytes", "k"), '{"a": 1}');
  });

  await t.step("one more byte, one more level: a clear refusal", async () => {
    const large = await answer(await put("/entity/bytes?key=k", `"${"x".repeat(1024 * 1024 - 1)}"`));
    assert.deepEqual([large.status, large.body.code], [413, "too_large"]);
    const deep = await answer(await put("/entity/bytes?key=k", `${"[".repeat(129)}${"]".repeat(129)}`));
    assert.deepEqual([deep.status, deep.body.code], [400, "bad_json"]);
  });

  await t.step("names that look alike are two entities", async () => {
    await cluster.put("a_b", "c", "1");
    await cluster.put("a", "b_c", "2");
    assert.equal(await cluster.get("a_b", "c"), "1");
    assert.equal(await cluster.get("a", "b_c"), "2");
  });

  await t.step("keys that break a rule", async () => {
    for (const key of ["a%2Fb", "..", "a%00", "%ED%A0%80", "a%5Cb", "x".repeat(257)]) {
      const { status, body } = await answer(await put(`/entity/bytes?key=${key}`, "1"));
      assert.deepEqual([status, body.code], [400, "invalid_key"], key);
    }
    const half = await answer(await put("/entity/bytes", '{"\\ud800":1}'));
    assert.deepEqual([half.status, half.body.code], [400, "invalid_key"]);
  });

  await t.step("a schema judges every later write, on every worker", async () => {
    const schema = '{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}';
    assert.equal((await answer(await put("/schema/judged", schema))).status, 201);
    for (let i = 0; i < 32; i++) {
      const { status, body } = await answer(await put(`/entity/judged?key=k${i}`, '{"n":"x"}'));
      assert.deepEqual([status, body.code], [400, "schema_violation"]);
      assert.deepEqual((body.details as { key: string; path: string }[]).map(({ key, path }) => [key, path]), [[
        `k${i}`,
        "/n",
      ]]);
    }
    const many = await answer(await put("/entity/judged", '{"good":{"n":1},"bad":{},"worse":{"n":[]}}'));
    assert.deepEqual([many.status, many.body.code], [400, "schema_violation"]);
    assert.deepEqual((many.body.details as { key: string }[]).map(({ key }) => key).sort(), ["bad", "worse"]);
    assert.equal((await cluster.fetch("/entity/judged?key=good")).status, 404);
    const good = await answer(await put("/entity/judged", '{"good":{"n":1},"better":{"n":2}}'));
    assert.deepEqual(good, { status: 200, body: { status: "ok", versions: { good: 1, better: 1 } } });
    assert.equal((await cluster.fetch("/schema/judged", { method: "DELETE" })).status, 200);
    await cluster.put("judged", "free", "[]");
  });

  await t.step("conditions", async () => {
    const first = await put("/entity/cond?key=k", "1", { "if-none-match": "*" });
    assert.equal(first.status, 200);
    const etag = first.headers.get("etag")!;
    await first.body?.cancel();
    const again = await put("/entity/cond?key=k", "2", { "if-none-match": "*" });
    assert.deepEqual([again.status, again.headers.get("etag")], [412, etag]);
    await again.body?.cancel();
    const second = await put("/entity/cond?key=k", "2", { "if-match": etag });
    assert.deepEqual([second.status, (await second.json()).version], [200, 2]);
    const unchanged = await cluster.fetch("/entity/cond?key=k", {
      headers: { "if-none-match": second.headers.get("etag")! },
    });
    assert.equal(unchanged.status, 304);
    const removed = await cluster.fetch("/entity/cond?key=k", { method: "DELETE", headers: { "if-match": etag } });
    assert.equal(removed.status, 412);
    await removed.body?.cancel();
  });

  await t.step("patches of 32 clients lose none of each other's", async () => {
    await cluster.put("patch", "k", '{"kept":1.10}');
    await Promise.all(Array.from({ length: 32 }, async (_, i) => {
      const response = await cluster.fetch("/entity/patch?key=k", {
        method: "PATCH",
        headers: { "content-type": "application/merge-patch+json" },
        body: `{"f${i}":${i}}`,
      });
      assert.equal(response.status, 200, await response.text());
    }));
    const text = await cluster.get("patch", "k");
    assert(text.includes('"kept":1.10'));
    const document = JSON.parse(text);
    for (let i = 0; i < 32; i++) assert.equal(document[`f${i}`], i);
  });

  await t.step("who may do what", async () => {
    const nobody = await fetch(`${cluster.url}/entity/bytes?key=k`);
    assert.deepEqual([nobody.status, nobody.headers.get("www-authenticate")?.slice(0, 6)], [401, "Bearer"]);
    await nobody.body?.cancel();
    const login = await fetch(`${cluster.url}/api/login`, { method: "POST", body: JSON.stringify({ key: ADMIN_KEY }) });
    const { token } = await login.json();
    const me = await cluster.fetch("/api/me", { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await me.json()).is_admin, true);
    const created = await cluster.fetch("/api/keys", {
      method: "POST",
      body: JSON.stringify({ name: "reader", permissions: ["read"], schemas: ["byt*"] }),
    });
    const { secret, id } = await created.json();
    const read = (path: string) => cluster.fetch(path, { headers: { authorization: `Bearer ${secret}` } });
    assert.equal((await read("/entity/bytes?key=k")).status, 200);
    assert.equal((await read("/entity/cond?key=k")).status, 403);
    assert.equal((await cluster.fetch(`/api/keys/${id}`, { method: "DELETE" })).status, 200);
    assert.equal((await read("/entity/bytes?key=k")).status, 401);
  });

  await t.step("listings and many at once", async () => {
    const documents = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`k${String(i).padStart(3, "0")}`, i]));
    assert.equal((await put("/entity/list", JSON.stringify(documents))).status, 200);
    const keys: string[] = [];
    for (let cursor = "";;) {
      const page = await (await cluster.fetch(`/entities/list?limit=100&cursor=${cursor}`)).json();
      keys.push(...page.keys.map(({ key }: { key: string }) => key));
      if (page.next_cursor === null) break;
      cursor = page.next_cursor;
    }
    assert.deepEqual(keys, Object.keys(documents));
    const many = await (await cluster.fetch("/entities/list/get", {
      method: "POST",
      body: JSON.stringify({ keys: ["k001", "k249", "nope"] }),
    })).json();
    assert.deepEqual(many, { entities: { k001: 1, k249: 249 }, missing: ["nope"] });
    const counts = await (await cluster.fetch("/api/schemas?counts=true")).json();
    assert.equal(counts.find(({ id }: { id: string }) => id === "list").entities, cluster.store.counted ? 250 : null);
  });
}
