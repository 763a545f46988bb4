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

Deno.test("branches that all lead to the same ones are looked at once each", () => {
  const definitions = Object.fromEntries(
    Array.from({ length: 31 }, (_, i): [string, Json] => {
      const next: Json = i === 30 ? { properties: { last: { const: i } } } : { $ref: `#/definitions/d${i + 1}` };
      return [`d${i}`, { anyOf: [next, next], properties: { [`p${i}`]: { type: "null" } } }];
    }),
  );
  const schema: Json = { allOf: [{ $ref: "#/definitions/d0" }, { $ref: "#/definitions/d0" }], definitions };
  assert.deepEqual(propertiesAt(schema, []).map(({ name }) => name).slice(0, 3), ["p0", "p1", "p2"]);
  const bush: Json = { additionalProperties: { anyOf: Array.from({ length: 9 }, () => ({ $ref: "#" })) }, const: 1 };
  assert.deepEqual(valuesAt(bush, Array.from({ length: 40 }, (_, i) => `m${i}`)).map(({ text }) => text), ["1"]);
});

Deno.test("a first draft of what requires itself ends", () => {
  const names = Array.from({ length: 40 }, (_, i) => `m${i}`);
  const schema: Json = {
    type: "object",
    required: names,
    properties: Object.fromEntries(names.map((name) => [name, { $ref: "#" }])),
  };
  const draft = scaffold(schema);
  assert.equal(draft.match(/"m\d+"/g)!.length, 500);
  assert.deepEqual(Object.keys(JSON.parse(draft)), names);
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
