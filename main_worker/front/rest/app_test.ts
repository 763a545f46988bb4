import assert from "assert";
import { STATUS_OF } from "./errors.ts";
import { describeRoutes, errorCodes } from "./openapi.ts";
import { API_CONTENT_SECURITY_POLICY } from "./reply.ts";
import type { Route } from "./route.ts";
import { ADMIN_KEY, createHarness, type SendOptions } from "./testing.ts";

/** A path of a route with its parameters filled in. */
function pathOf(route: Route): string {
  return route.path.replace("{schema_id}", "s").replace("{key_id}", "none");
}

Deno.test("every route is described, and every description has a route that answers", async () => {
  const { app, send } = await createHarness();
  const { paths } = describeRoutes(app.routes, "1");
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  assert.deepEqual(described.sort(), app.routes.map(({ method, path }) => `${method} ${path}`).sort());
  assert.equal(new Set(described).size, described.length);
  const ids = app.routes.map(({ describe }) => describe.operationId);
  assert.equal(new Set(ids).size, ids.length);
  for (const route of app.routes) {
    const { describe, path, method } = route;
    const parameters = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
    const inPath = (describe.parameters ?? []).filter((one) => one.in === "path").map(({ name }) => name);
    assert.deepEqual(inPath, parameters, path);
    assert.ok(Object.keys(describe.responses).some((status) => status.startsWith("2")), path);
    const response = await send(method, pathOf(route), { key: "nobody" });
    await response.body?.cancel();
    assert.notEqual(response.status, 405);
    if (route.access.kind !== "public") assert.equal(response.status, 401, `${method} ${path}`);
    else assert.notEqual(response.status, 401, `${method} ${path}`);
  }
});

Deno.test("a path without a route is 404, a method that it lacks 405 with Allow, on every path", async () => {
  const { app, send } = await createHarness();
  for (
    const path of ["/nothing", "/entity", "/entity/", "/entity/a/b", "/entity/s/", "/admin", "/ENTITY/s", "//", "/%"]
  ) {
    const response = await send("GET", path);
    assert.deepEqual([response.status, (await response.json()).code], [404, "not_found"], path);
  }
  assert.equal((await send("POST", "/nothing")).status, 404);
  const byPath = Map.groupBy(app.routes, pathOf);
  for (const [path, routes] of byPath) {
    const has = new Set<string>(routes.map(({ method }) => method));
    const allow = [...has, ...(has.has("GET") ? ["HEAD"] : []), "OPTIONS"].sort().join(", ");
    for (const method of ["GET", "PUT", "POST", "PATCH", "DELETE", "PROPFIND", "QUERY"]) {
      if (has.has(method)) continue;
      const response = await send(method, path, { key: null });
      assert.deepEqual(
        [response.status, response.headers.get("allow"), (await response.json()).code],
        [405, allow, "method_not_allowed"],
        `${method} ${path}`,
      );
    }
    const options = await send("OPTIONS", path, { key: null, headers: { origin: "https://elsewhere.example" } });
    assert.deepEqual([options.status, options.headers.get("allow"), options.body], [204, allow, null]);
    assert.equal(options.headers.get("access-control-allow-origin"), null);
  }
});

Deno.test("HEAD answers on every path with GET, without a body", async () => {
  const { app, send } = await createHarness();
  for (const route of app.routes.filter(({ method }) => method === "GET")) {
    const head = await send("HEAD", `${pathOf(route)}?key=k`);
    assert.equal(await head.text(), "");
    const get = await send("GET", `${pathOf(route)}?key=k`);
    const streams = ["/watch/{schema_id}", "/admin/backup", "/"].includes(route.path);
    const size = streams ? null : String((await get.bytes()).length);
    if (streams) await get.body!.cancel();
    // The answer to HEAD is counted too, so these figures have moved on.
    if (route.path !== "/admin/stats") assert.equal(head.headers.get("content-length"), size, route.path);
    assert.equal(head.status, get.status, route.path);
    assert.equal(head.headers.get("content-type"), get.headers.get("content-type"), route.path);
  }
});

Deno.test("every answer has a request id and safety headers, whatever it is", async () => {
  const { send } = await createHarness();
  const requests: [string, string, SendOptions?][] = [
    ["GET", "/health"],
    ["GET", "/nothing"],
    ["PATCH", "/health"],
    ["OPTIONS", "/health"],
    ["GET", "/admin/workers"],
    ["GET", "/admin/workers", { key: null }],
    ["GET", "/entity/s?key=none"],
    ["PUT", "/entity/s?key=k", { body: "1" }],
    ["GET", "/entity/s?key=k"],
    ["HEAD", "/entity/s?key=k"],
    ["GET", "/entity/%ff?key=k"],
    ["GET", "/openapi.json"],
    ["GET", "/watch/s"],
    ["GET", "/admin/backup"],
  ];
  const seen = new Set<string>();
  for (const [method, path, options] of requests) {
    const response = await send(method, path, options);
    await response.body?.cancel();
    const { headers } = response;
    assert.match(headers.get("x-request-id")!, /^[0-9a-f]{12}-[0-9a-z]+$/);
    seen.add(headers.get("x-request-id")!);
    assert.equal(headers.get("x-content-type-options"), "nosniff", path);
    assert.equal(headers.get("content-security-policy"), API_CONTENT_SECURITY_POLICY, path);
    assert.equal(headers.get("cache-control"), "no-store, no-transform", path);
  }
  assert.equal(seen.size, requests.length);
  for (const path of ["/", "/docs", "/assets/app.js"]) {
    const { headers } = await send("GET", path, { key: null });
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.match(headers.get("content-security-policy")!, /default-src '(self|none)'.*frame-ancestors 'none'/);
    assert.doesNotMatch(headers.get("content-security-policy")!, /unsafe/);
    assert.ok(headers.get("x-request-id"));
  }
});

Deno.test("a well-formed request id of the client is kept, another one is not", async () => {
  const { send } = await createHarness();
  const idFor = async (id: string) =>
    (await send("GET", "/health", { headers: { "x-request-id": id } })).headers.get("x-request-id");
  assert.equal(await idFor("abc-1.2_3"), "abc-1.2_3");
  for (const bad of ["", "a b", "x".repeat(65), "<script>", "é"]) assert.notEqual(await idFor(bad), bad);
});

Deno.test("what nobody expected is 500 without a word about it, and logged under its id", async () => {
  const { send, entities, log } = await createHarness();
  entities.fault = () => {
    throw new Error("secret in /srv/data at line 3");
  };
  for (
    const [method, path] of [["GET", "/entity/s?key=k"], ["PUT", "/entity/s?key=k"], ["GET", "/entities/s"]] as const
  ) {
    const response = await send(method, path, method === "PUT" ? { body: "1" } : {});
    assert.equal(response.status, 500);
    const text = await response.text();
    assert.equal(JSON.parse(text).code, "internal");
    assert.doesNotMatch(text, /secret|srv|line 3|at /);
    const [line] = log.of("request_failed").slice(-1);
    assert.equal(line!.fields.request_id, response.headers.get("x-request-id"));
    assert.equal(line!.level, "error");
  }
});

Deno.test("the table of errors has every code once, and descriptions name only codes that exist", async () => {
  const { app } = await createHarness();
  for (const route of app.routes) {
    for (const code of errorCodes(route)) assert.ok(STATUS_OF[code] >= 400, code);
  }
  assert.deepEqual(
    Object.entries(STATUS_OF).filter(([, status]) => status === 503).map(([code]) => code),
    ["no_worker", "overloaded", "storage_unavailable"],
  );
});

Deno.test("credentials: missing, malformed, unknown and not enough", async () => {
  const { send, key, log } = await createHarness();
  const headers = (authorization: string) => ({ key: null, headers: { authorization } });
  for (
    const options of [
      { key: null },
      { key: "unknown" },
      headers(""),
      headers("Bearer"),
      headers("Bearer "),
      headers("Basic YTpi"),
      headers(`Bearer ${ADMIN_KEY} x`),
      headers(`Bearer ${ADMIN_KEY}, Bearer ${ADMIN_KEY}`),
      headers(ADMIN_KEY),
      headers(`Bearer ${"x".repeat(5000)}`),
    ]
  ) {
    const response = await send("GET", "/entity/s?key=k", options);
    assert.equal(response.status, 401, JSON.stringify(options));
    assert.match(response.headers.get("www-authenticate")!, /^Bearer/);
    assert.equal((await response.json()).code, "unauthorized");
  }
  assert.equal(log.of("request_refused").length, 10);
  assert.equal((await send("GET", "/entity/s?key=k", headers(`bearer   ${ADMIN_KEY}  `))).status, 404);
  const reader = await key(["read"]);
  const writer = await key(["write"]);
  const forbidden: [string, string, string][] = [
    ["PUT", "/entity/s?key=k", reader],
    ["DELETE", "/entity/s?key=k", reader],
    ["PUT", "/schema/s", reader],
    ["GET", "/api/keys", reader],
    ["GET", "/entity/s?key=k", writer],
    ["GET", "/entities/s", writer],
    ["POST", "/entities/s/get", writer],
    ["GET", "/watch/s", writer],
    ["GET", "/api/schemas", writer],
    ["GET", "/admin/schemas", writer],
    ["POST", "/api/keys", writer],
    ["GET", "/admin/workers", writer],
    ["GET", "/admin/backup", writer],
  ];
  for (const [method, path, secret] of forbidden) {
    const response = await send(method, path, { key: secret, body: method === "GET" ? null : "{}" });
    assert.deepEqual([response.status, (await response.json()).code], [403, "forbidden"], `${method} ${path}`);
  }
});

Deno.test("a flood of refused requests is not a flood of lines", async () => {
  const { send, log, clock } = await createHarness();
  for (let i = 0; i < 50; i++) await send("GET", "/api/me", { key: null });
  assert.equal(log.of("request_refused").length, 20);
  clock.pass(1_000);
  await send("GET", "/api/me", { key: null });
  assert.equal(log.of("request_refused").at(-1)!.fields.not_logged_before_count, 30);
});

Deno.test("requests are counted under their operation", async () => {
  const { send, statistics } = await createHarness();
  await send("PUT", "/entity/s?key=k", { body: "1" });
  await send("PUT", "/entity/s", { body: '{"a":1,"b":2}' });
  await send("GET", "/entity/s?key=k");
  await send("GET", "/entity/s?key=k", { key: null });
  await send("GET", "/nothing");
  const { operations, active } = statistics.series();
  const totals = Object.fromEntries(Object.entries(operations).map(([name, { total }]) => [name, total.count]));
  assert.deepEqual([totals.put, totals.put_many, totals.get, totals.other, totals.list], [1, 1, 2, 1, 0]);
  assert.equal(active, 0);
});

Deno.test("the probes", async () => {
  const harness = await createHarness();
  assert.equal(await (await harness.send("GET", "/health", { key: null })).text(), '{"status":"ok"}');
  assert.equal((await harness.send("GET", "/ready", { key: null })).status, 200);
  harness.readiness = { kind: "failed", code: "no_worker", message: "no worker has joined yet" };
  const response = await harness.send("GET", "/ready", { key: null });
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
  assert.deepEqual(await response.json(), { error: "no worker has joined yet", code: "no_worker" });
});

Deno.test("the UI's files are served beside the routes", async () => {
  const { send } = await createHarness();
  assert.equal(await (await send("GET", "/", { key: null })).text(), "<p>UI</p>");
  assert.equal(await (await send("GET", "/assets/app.js", { key: null })).text(), "<p>UI</p>");
  assert.equal(await (await send("HEAD", "/assets/app.js", { key: null })).text(), "");
  assert.equal((await send("POST", "/assets/app.js", { key: null })).status, 404);
});
