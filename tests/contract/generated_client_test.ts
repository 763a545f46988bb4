/** A client that a generator from npm makes of `/openapi.json`: its types fit, and it stores and reads. */
import assert from "assert";
import { ADMIN_KEY, Cluster } from "../system/cluster.ts";

const GENERATOR = "npm:openapi-typescript@7.13.0";
const CLIENT = "npm:openapi-fetch@0.17.0";

/** What somebody writes who has only the generated types. The lines marked as errors must be errors, or the types say nothing. */
const PROGRAM = `
import createClient from "${CLIENT}";
import type { components, paths } from "./api.ts";

const [baseUrl, key] = Deno.args;
const api = createClient<paths>({ baseUrl, headers: { authorization: \`Bearer \${key}\` } });
function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
const params = { path: { schema_id: "chat.v1" }, query: { key: "room" } };

const put = await api.PUT("/entity/{schema_id}", { params, body: { topic: "hi", n: 1 } });
check(put.response.status === 200, "put");
const etag = put.response.headers.get("etag")!;
const got = await api.GET("/entity/{schema_id}", { params });
check(JSON.stringify(got.data) === '{"topic":"hi","n":1}', "get");
const unchanged = await api.GET("/entity/{schema_id}", { params: { ...params, header: { "If-None-Match": etag } } });
check(unchanged.response.status === 304, "304");
const patched = await api.PATCH("/entity/{schema_id}", {
  params,
  body: { n: null },
  headers: { "content-type": "application/merge-patch+json" },
});
check(patched.response.status === 200, "patch");
const list = await api.GET("/entities/{schema_id}", { params: { path: { schema_id: "chat.v1" }, query: { limit: 10 } } });
check(list.data?.keys[0]?.key === "room" && list.data.next_cursor === null, "list");
const many = await api.POST("/entities/{schema_id}/get", {
  params: { path: { schema_id: "chat.v1" } },
  body: { keys: ["room", "none"] },
});
check(many.data?.missing[0] === "none", "multi-get");
const missing = await api.GET("/entity/{schema_id}", { params: { ...params, query: { key: "none" } } });
const failure: components["schemas"]["Error"] | undefined = missing.error;
check(failure?.code === "not_found", "not_found");
const created = await api.POST("/api/keys", { body: { name: "k", permissions: ["read"] } });
check(created.data !== undefined && created.data.secret.startsWith("dk_"), "key");
const revoked = await api.DELETE("/api/keys/{key_id}", { params: { path: { key_id: created.data.id } } });
check(revoked.response.status === 200, "revoke");
const stats = await api.GET("/admin/stats");
check(typeof stats.data?.partitions.count === "number", "stats");
const gone = await api.DELETE("/entity/{schema_id}", { params });
check(gone.response.status === 200, "delete");

// @ts-expect-error: there is no such path
await api.GET("/entitys/{schema_id}", { params }).catch(() => {});
// @ts-expect-error: a permission that does not exist
await api.POST("/api/keys", { body: { name: "k", permissions: ["fly"] } });
console.log("stored and read");
`;

async function deno(args: string[], cwd: string): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
  const decoder = new TextDecoder();
  return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test("a client generated from the description alone stores and reads", async () => {
  const directory = await Deno.makeTempDir({ prefix: "deltadb-client-" });
  try {
    await using cluster = await Cluster.start();
    await Deno.writeTextFile(`${directory}/deno.json`, '{"compilerOptions":{"strict":true}}');
    await Deno.writeTextFile(`${directory}/openapi.json`, await (await fetch(`${cluster.url}/openapi.json`)).text());
    const generated = await deno(["run", "-q", "-A", GENERATOR, "openapi.json", "-o", "api.ts"], directory);
    if (!generated.success && /registry|dns|connect/i.test(generated.output)) {
      return console.error(`left out: the generator cannot be had: ${generated.output.slice(-500)}`);
    }
    assert(generated.success, generated.output);
    await Deno.writeTextFile(`${directory}/program.ts`, PROGRAM);
    const checked = await deno(["check", "-q", "program.ts"], directory);
    assert(checked.success, checked.output);
    const ran = await deno(
      ["run", "-q", "--no-check", "--allow-net=127.0.0.1", "program.ts", cluster.url, ADMIN_KEY],
      directory,
    );
    assert(ran.success && ran.output.includes("stored and read"), ran.output);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
