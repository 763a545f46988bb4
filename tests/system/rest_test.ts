/** The REST contract on real programs on a directory, and their dev mode. */
import assert from "assert";
import { Cluster } from "./cluster.ts";
import { tryRestContract } from "./rest.ts";

Deno.test("documents, schemas, conditions and errors on real programs", (t) => tryRestContract(t));

Deno.test("dev mode: a session without a key reads and writes, and no more", async () => {
  await using cluster = await Cluster.start({ adminKey: null });
  const login = await fetch(`${cluster.url}/api/login`, { method: "POST", body: '{"client_id":"me"}' });
  const { token } = await login.json();
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await cluster.fetch("/entity/x?key=k", { method: "PUT", body: "1", headers })).status, 200);
  assert.equal(await (await cluster.fetch("/entity/x?key=k", { headers })).text(), "1");
  assert.equal((await cluster.fetch("/admin/workers", { headers })).status, 403);
  assert.equal((await fetch(`${cluster.url}/admin/schemas`)).status, 200);
  assert.match(cluster.output, /dev_mode/);
});
