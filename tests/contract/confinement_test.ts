/** An API key that is confined to some schemas, against real programs: every path of the description, and watches. */
import assert from "assert";
import { Cluster } from "../system/cluster.ts";
import { caughtUp, Watcher } from "./watchers.ts";

const OWN = ["user", "users"];
const OTHERS = ["chats", "xuser", "User"];
/** What of others must not turn up: their ids, and what is stored there. */
const FOREIGN = /chats|xuser|"User"|hidden/;

Deno.test("a key confined to user* sees nothing of other schemas on any path, nor do its sessions", async (t) => {
  await using cluster = await Cluster.start({ workers: 2 });
  for (const id of [...OWN, ...OTHERS]) {
    const what = OWN.includes(id) ? "mine" : "hidden";
    const schema = await cluster.fetch(`/schema/${id}`, { method: "PUT", body: JSON.stringify({ title: what }) });
    assert.equal(schema.status, 201);
    for (let i = 0; i < 20; i++) await cluster.put(id, `${what}-${id}-${i}`, `"${what}"`);
  }
  const created = await cluster.fetch("/api/keys", {
    method: "POST",
    body: JSON.stringify({ name: "confined", permissions: ["read", "write", "admin"], schemas: ["user*"] }),
  });
  const { secret } = await created.json();
  const login = await cluster.fetch("/api/login", { method: "POST", body: JSON.stringify({ key: secret }) });
  const { token } = await login.json();
  const { paths } = await (await cluster.fetch("/openapi.json")).json();

  for (const [what, credential] of [["key", secret], ["session", token]]) {
    const headers = { authorization: `Bearer ${credential}` };
    await t.step(`every operation of the description, with the ${what}`, async () => {
      let forbidden = 0;
      for (const [template, item] of Object.entries<Record<string, unknown>>(paths)) {
        for (const method of ["get", "put", "post", "patch", "delete"].filter((name) => name in item)) {
          const schema = template.includes("{schema_id}");
          for (const id of schema ? OTHERS : [""]) {
            const path = template.replace("{schema_id}", id).replace("{key_id}", "none");
            const response = await cluster.fetch(`${path}${path === "/api/schemas" ? "" : `?key=hidden-${id}-0`}`, {
              method: method.toUpperCase(),
              headers,
              ...(method === "get" ? {} : { body: '{"keys":["hidden-0"]}' }),
            });
            const text = await response.text();
            const isPublic = JSON.stringify((item[method] as { security?: unknown }).security) === "[]";
            if (response.status === 403) forbidden++;
            else assert(!schema, `${method} ${path} answered ${response.status}`);
            if (!isPublic) assert.doesNotMatch(text, FOREIGN, `${method} ${path}`);
          }
        }
      }
      assert(forbidden > 3 * 8, `${forbidden} were forbidden`);
    });

    await t.step(`lists and counts, with the ${what}`, async () => {
      const read = async (path: string) => await (await cluster.fetch(path, { headers })).json();
      assert.deepEqual(await read("/admin/schemas"), OWN);
      assert.deepEqual(await read("/api/schemas"), OWN);
      assert.deepEqual(await read("/api/schemas?counts=true"), OWN.map((id) => ({ id, entities: 20 })));
      for (const id of OWN) {
        const { keys } = await read(`/entities/${id}?limit=1000&values=true`);
        assert.deepEqual(keys.map(({ key }: { key: string }) => key.split("-")[1]), Array(20).fill(id));
      }
    });

    await t.step(`watches, with the ${what}`, async () => {
      const watchers = await Promise.all(OWN.map((id) => Watcher.start(cluster.url, id, credential)));
      await Promise.all(watchers.map(({ open }) => open));
      for (const id of [...OTHERS, ...OWN]) await cluster.put(id, `event-${id}-${what}`, "1");
      for (const [i, watcher] of watchers.entries()) {
        await caughtUp(watcher, new Map([[`event-${OWN[i]}-${what}`, 1]]));
        assert.equal(watcher.events, 1);
        watcher.close();
        await watcher.ended;
      }
      // The lists of the next round are to be what they were.
      for (const id of [...OTHERS, ...OWN]) {
        const gone = await cluster.fetch(`/entity/${id}?key=event-${id}-${what}`, { method: "DELETE" });
        assert.equal(gone.status, 200);
        await gone.body!.cancel();
      }
    });
  }
  for (const id of OTHERS) assert.equal(await cluster.get(id, `hidden-${id}-0`), '"hidden"');
});
