import assert from "assert";
import { type Json, propertiesAt, scaffold, valuesAt } from "./json_schema.ts";

Deno.test("combinations and references are looked into", () => {
  const schema: Json = {
    allOf: [{ $ref: "#/definitions/named" }, { properties: { age: { type: "integer" } } }],
    oneOf: [{ properties: { cat: { const: "x" } } }, { properties: { dog: { default: 3 } } }],
    definitions: { named: { required: ["name"], properties: { name: { type: "string", description: "Name" } } } },
  };
  assert.deepEqual(propertiesAt(schema, []).map(({ name }) => name).sort(), ["age", "cat", "dog", "name"]);
  const [name] = propertiesAt(schema, []).filter((property) => property.name === "name");
  assert.deepEqual(name, { name: "name", type: "string", description: "Name", required: true, starter: '""' });
  assert.deepEqual(valuesAt(schema, ["cat"]).map(({ text }) => text), ['"x"']);
});

Deno.test("a schema that refers to itself ends", () => {
  const loop: Json = { $ref: "#" };
  assert.deepEqual(propertiesAt(loop, ["a", "b"]), []);
  const tree: Json = { properties: { children: { type: "array", items: { $ref: "#" } } } };
  assert.deepEqual(propertiesAt(tree, ["children", 0, "children", 3]).map(({ name }) => name), ["children"]);
});

Deno.test("a first draft has what is required", () => {
  const schema: Json = {
    type: "object",
    required: ["title", "size", "owner"],
    properties: {
      title: { type: "string" },
      size: { enum: ["s", "m"] },
      owner: { type: "object", required: ["id"], properties: { id: { type: "integer" }, note: { type: "string" } } },
    },
  };
  assert.deepEqual(JSON.parse(scaffold(schema)), { title: "", size: "s", owner: { id: 0 } });
  assert.equal(scaffold({ type: "array" }), "[]");
  assert.equal(scaffold(true), "null");
});
