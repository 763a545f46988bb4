import assert from "assert";
import { escapeHtml } from "./docs.ts";
import { createHarness } from "./testing.ts";

Deno.test("the description is OpenAPI 3.1 whose references all lead somewhere", async () => {
  const { send } = await createHarness();
  const document = await (await send("GET", "/openapi.json", { key: null })).json();
  assert.equal(document.openapi, "3.1.0");
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    assert.ok(document.components.schemas[name!], String(name));
  }
  const tags = new Set(document.tags.map(({ name }: { name: string }) => name));
  for (const methods of Object.values<Record<string, { tags: string[]; security: unknown[] }>>(document.paths)) {
    for (const { tags: used } of Object.values(methods)) for (const tag of used) assert.ok(tags.has(tag), tag);
  }
  assert.deepEqual(document.paths["/health"].get.security, []);
  assert.deepEqual(document.paths["/entity/{schema_id}"].put.security, [{ bearer: [] }]);
});

Deno.test("the description has nothing that generators of clients are known to stumble over", async () => {
  const { send } = await createHarness();
  const document = await (await send("GET", "/openapi.json", { key: null })).json();
  const names = new Set(Object.keys(document.components.schemas));
  // Generated Go has a function NewX for each X.
  for (const name of names) assert.ok(!names.has(`New${name}`), name);
  const look = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) return;
    const schema = value as Readonly<Record<string, unknown>>;
    assert.notEqual(schema.type, "null", `${path}: null alone, for which Python has no type`);
    if ([schema.type].flat().includes("integer")) {
      assert.ok(schema.format === "int64" || schema.maximum !== undefined || path.includes("Retry-After"), path);
    }
    if (schema.in === "header") assert.ok(!("const" in (schema.schema as object)), path);
    for (const [name, inner] of Object.entries(schema)) look(inner, `${path}/${name}`);
  };
  look(document, "");
});

Deno.test("the page needs no script and nothing from elsewhere", async () => {
  const { send, app } = await createHarness();
  const response = await send("GET", "/docs", { key: null });
  assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = response.headers.get("content-security-policy")!;
  const page = await response.text();
  assert.doesNotMatch(page, /<script|\sstyle=|\son[a-z]+=|<link|<img|https?:\/\/(?!json-schema\.org)/);
  const style = /<style>([\s\S]*?)<\/style>/.exec(page)![1]!;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
  assert.ok(policy.includes(`style-src 'sha256-${new Uint8Array(digest).toBase64()}'`));
  for (const { describe: { operationId } } of app.routes) assert.ok(page.includes(`id="${operationId}"`), operationId);
  for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) {
    assert.ok(page.includes(`id="${target}"`), String(target));
  }
});

Deno.test("text becomes HTML that shows it", () => {
  assert.equal(escapeHtml(`<a href="x">&`), "&lt;a href=&quot;x&quot;&gt;&amp;");
});
