import assert from "assert";
import fc from "fast-check";
import { href, parseRoute } from "./router.ts";

Deno.test("an address leads back to what it was made of, whatever the names are", () => {
  const name = fc.string({ unit: "grapheme", minLength: 1 });
  fc.assert(fc.property(name, name, (schema, key) => {
    const url = new URL(href("documents", { schema, key }), "http://h");
    assert.deepEqual(parseRoute(url.pathname, url.search), { page: "documents", query: { schema, key } });
  }));
});

Deno.test("names that a path would lose survive", () => {
  const url = new URL(href("documents", { schema: ".", key: "%2e" }), "http://h");
  assert.deepEqual(parseRoute(url.pathname, url.search).query, { schema: ".", key: "%2e" });
});

Deno.test("a path of nobody is no page", () => {
  assert.equal(parseRoute("/", "").page, null);
  assert.equal(parseRoute("/docs", "").page, null);
  assert.equal(href("documents", { schema: "a", key: undefined, prefix: "" }), "/documents?schema=a");
});
