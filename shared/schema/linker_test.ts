import assert from "assert";
import { SCHEMA_FANOUT_MAX, SCHEMA_REFERENCE_CHAIN_MAX, SCHEMA_SUBSCHEMAS_MAX } from "../limits.ts";
import { compileSchema } from "./validator.ts";

const DRAFT_07 = "http://json-schema.org/draft-07/schema#";
const DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema";
const DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema";

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const count = (n: number) => Array.from({ length: n }, (_, i) => i);

function verdicts(schema: unknown, ...documents: unknown[]): boolean[] {
  const compiled = compileSchema(encode(schema));
  assert.ok(compiled.kind === "compiled", JSON.stringify(compiled));
  return documents.map((document) => compiled.validator.validate(encode(document)).length === 0);
}

function refused(schema: unknown, message: RegExp, path?: string): void {
  const compiled = compileSchema(encode(schema));
  assert.ok(compiled.kind === "invalid", JSON.stringify(schema).slice(0, 200));
  assert.match(compiled.message, message);
  if (path !== undefined) assert.equal(compiled.path, path);
}

Deno.test("references by pointer lead anywhere in the schema", () => {
  const schema = {
    properties: {
      a: { $ref: "#/definitions/x~1y~0z" },
      b: { $ref: "#/properties/list/items" },
      c: { $ref: "#/definitions/percent%25" },
      d: { $ref: "#/elsewhere/0/deep" },
      list: { items: { type: "integer" } },
    },
    definitions: { "x/y~z": { type: "string" }, "percent%": { type: "boolean" } },
    elsewhere: [{ deep: { type: "null" } }],
  };
  assert.deepEqual(
    verdicts(schema, { a: "s", b: 1, c: true, d: null }, { a: 1 }, { b: "s" }, { c: 1 }, { d: 1 }),
    [true, false, false, false, false],
  );
});

Deno.test("a schema may refer to itself where the value gets smaller", () => {
  const tree = {
    type: "object",
    required: ["value"],
    properties: { value: { type: "integer" }, children: { type: "array", items: { $ref: "#" } } },
    additionalProperties: false,
  };
  assert.deepEqual(
    verdicts(tree, { value: 1, children: [{ value: 2, children: [{ value: 3 }] }] }, {
      value: 1,
      children: [{ value: "2" }],
    }),
    [true, false],
  );
  const deep = JSON.parse("[".repeat(127) + "]".repeat(127));
  assert.deepEqual(verdicts({ items: { $ref: "#" }, type: "array" }, deep), [true]);
});

Deno.test("$id gives a part of the schema a URI, against which references in it are resolved", () => {
  const schema = {
    $schema: DRAFT_2020,
    $id: "http://example.org/root.json",
    properties: {
      byName: { $ref: "item.json" },
      byUri: { $ref: "http://example.org/item.json" },
      byPointer: { $ref: "item.json#/$defs/inner" },
      byAnchor: { $ref: "item.json#named" },
      urn: { $ref: "urn:example:thing#/$defs/inner" },
    },
    $defs: {
      item: {
        $id: "item.json",
        $ref: "#/$defs/inner",
        $defs: { inner: { type: "integer" }, other: { $anchor: "named", type: "string" } },
      },
      thing: { $id: "urn:example:thing", $defs: { inner: { type: "boolean" } } },
    },
  };
  assert.deepEqual(
    verdicts(
      schema,
      { byName: 1, byUri: 2, byPointer: 3, byAnchor: "s", urn: true },
      ...[{ byName: "s" }, { byUri: "s" }, { byPointer: "s" }, { byAnchor: 1 }, { urn: 1 }],
    ),
    [true, false, false, false, false, false],
  );
});

Deno.test("in draft-07 $id beside $ref is without effect", () => {
  const schema = {
    $id: "http://example.org/root.json",
    definitions: { a: { $id: "http://elsewhere.example/x/", $ref: "b.json" }, b: { $id: "b.json", type: "integer" } },
    items: { $ref: "#/definitions/a" },
  };
  assert.deepEqual(verdicts(schema, [1], ["a"]), [true, false]);
});

Deno.test("the metaschema of the same draft may be referred to", () => {
  for (const $schema of [DRAFT_07, DRAFT_2019, DRAFT_2020]) {
    assert.deepEqual(
      verdicts({ $schema, properties: { schema: { $ref: $schema } } }, { schema: { type: "string" } }, {
        schema: { properties: { a: { minLength: -1 } } },
      }),
      [true, false],
    );
  }
  refused({ $schema: DRAFT_2020, items: { $ref: DRAFT_07 } }, /leads out of the schema/, "/items/$ref");
});

Deno.test("$dynamicRef leads to the outermost anchor by the way that was taken", () => {
  const schema = {
    $schema: DRAFT_2020,
    $id: "http://example.org/strict-tree",
    $dynamicAnchor: "node",
    $ref: "tree",
    unevaluatedProperties: false,
    $defs: {
      tree: {
        $id: "tree",
        $dynamicAnchor: "node",
        type: "object",
        properties: { data: true, children: { type: "array", items: { $dynamicRef: "#node" } } },
      },
    },
  };
  assert.deepEqual(
    verdicts(schema, { children: [{ data: 1 }] }, { children: [{ daat: 1 }] }, { daat: 1 }),
    [true, false, false],
  );
  // The same definition, reached in two ways, means two things.
  const twice = {
    $schema: DRAFT_2020,
    $id: "http://example.org/main",
    properties: { numbers: { $ref: "numbers" }, strings: { $ref: "strings" }, any: { $ref: "list" } },
    $defs: {
      list: {
        $id: "list",
        items: { $dynamicRef: "#item" },
        $defs: { item: { $dynamicAnchor: "item" } },
      },
      numbers: { $id: "numbers", $ref: "list", $defs: { item: { $dynamicAnchor: "item", type: "number" } } },
      strings: { $id: "strings", $ref: "list", $defs: { item: { $dynamicAnchor: "item", type: "string" } } },
    },
  };
  assert.deepEqual(
    verdicts(twice, { numbers: [1], strings: ["a"], any: [1, "a", null] }, { numbers: ["a"] }, { strings: [1] }),
    [true, false, false],
  );
});

Deno.test("$recursiveRef leads to the outermost recursive anchor", () => {
  const schema = {
    $schema: DRAFT_2019,
    $id: "http://example.org/strict",
    $recursiveAnchor: true,
    $ref: "tree",
    unevaluatedProperties: false,
    $defs: {
      tree: {
        $id: "tree",
        $recursiveAnchor: true,
        type: "object",
        properties: { children: { type: "array", items: { $recursiveRef: "#" } } },
      },
    },
  };
  assert.deepEqual(verdicts(schema, { children: [{}] }, { children: [{ x: 1 }] }), [true, false]);
  const plain = { ...schema, $recursiveAnchor: false };
  assert.deepEqual(verdicts(plain, { children: [{ x: 1 }] }, { x: 1 }), [true, false]);
});

Deno.test("references that lead nowhere are refused with their place", () => {
  refused(
    { properties: { a: { $ref: "http://example.org/other.json" } } },
    /leads out of the schema/,
    "/properties/a/$ref",
  );
  refused({ items: { $ref: "other.json#/definitions/x" } }, /leads out of the schema/, "/items/$ref");
  refused({ items: { $ref: "file:///etc/passwd" } }, /leads out of the schema/, "/items/$ref");
  refused({ items: { $ref: "#/definitions/none" } }, /leads to nothing/, "/items/$ref");
  refused({ items: { $ref: "#/constructor" } }, /leads to nothing/, "/items/$ref");
  refused({ items: { $ref: "#/items/$ref" } }, /not a schema/, "/items/$ref");
  refused({ items: { $ref: "#name" } }, /an anchor that the schema does not have/, "/items/$ref");
  refused({ $schema: DRAFT_2020, allOf: [{ $dynamicRef: "#gone" }] }, /an anchor/, "/allOf/0/$dynamicRef");
  refused({ definitions: { a: { $id: "x" }, b: { $id: "x" } } }, /appears twice/, "/definitions/b/$id");
  refused({ $schema: DRAFT_2020, $defs: { a: { $anchor: "x" }, b: { $anchor: "x" } } }, /appears twice/, "/$defs/b");
  refused(
    { $schema: DRAFT_2020, $defs: { a: { $id: "x", $schema: DRAFT_2019 } } },
    /of another draft/,
    "/$defs/a/$schema",
  );
});

Deno.test("references that come back for the same value are refused", () => {
  refused({ $ref: "#" }, /leads back to itself/, "/$ref");
  refused({ allOf: [{ $ref: "#" }] }, /leads back to itself/, "/allOf/0/$ref");
  const pair = (a: unknown, b: unknown) => ({ definitions: { a, b }, items: { $ref: "#/definitions/a" } });
  refused(pair({ $ref: "#/definitions/b" }, { not: { $ref: "#/definitions/a" } }), /leads back to itself/);
  refused(
    pair({ if: { $ref: "#/definitions/b" }, then: true }, { anyOf: [{ $ref: "#/definitions/a" }] }),
    /leads back/,
  );
  refused({ $schema: DRAFT_2020, $dynamicAnchor: "x", anyOf: [{ $dynamicRef: "#x" }] }, /leads back to itself/);
  refused(
    { $schema: DRAFT_2019, $recursiveAnchor: true, dependentSchemas: { a: { $recursiveRef: "#" } } },
    /leads back/,
  );
});

Deno.test("what would grow without measure is refused", () => {
  const definitions = (n: number, make: (i: number) => unknown) =>
    Object.fromEntries(count(n).map((i) => [`a${i}`, make(i)]).concat([[`a${n}`, {}]]));
  const doubling = definitions(
    40,
    (i) => ({ allOf: [{ $ref: `#/definitions/a${i + 1}` }, { $ref: `#/definitions/a${i + 1}` }] }),
  );
  refused(
    { definitions: doubling, $ref: "#/definitions/a0" },
    new RegExp(`more than ${SCHEMA_FANOUT_MAX} subschemas to one value`),
  );
  refused({ definitions: doubling, items: { $ref: "#/definitions/a0" } }, /to one value/);
  const chain = definitions(100, (i) => ({ $ref: `#/definitions/a${i + 1}` }));
  refused(
    { definitions: chain, $ref: "#/definitions/a0" },
    new RegExp(`more than ${SCHEMA_REFERENCE_CHAIN_MAX} references`),
  );
  const wide = {
    properties: Object.fromEntries(count(SCHEMA_SUBSCHEMAS_MAX + 1).map((i) => [`p${i}`, { type: "null" }])),
  };
  refused(wide, new RegExp(`more than ${SCHEMA_SUBSCHEMAS_MAX} subschemas`));
  // Anchors in force multiply the meanings of a definition.
  const names = count(20);
  const multiplied = {
    $schema: DRAFT_2020,
    $id: "http://example.org/m",
    $ref: "r0",
    $defs: Object.fromEntries(names.map((i) => [`r${i}`, {
      $id: `r${i}`,
      properties: Object.fromEntries(names.map((k) => [`p${k}`, { $ref: `r${k}` }])),
      $defs: { d: { $dynamicAnchor: `d${i}` } },
    }])),
  };
  refused(multiplied, /subschemas when its references are followed/);
  const anchors = Object.fromEntries(count(101).map((i) => [`d${i}`, { $dynamicAnchor: `d${i}` }]));
  refused({ $schema: DRAFT_2020, $defs: anchors }, /more than 100 dynamic anchors/);
});

Deno.test("long ways through parts of a value are no chain", () => {
  const steps = 500;
  const definitions = Object.fromEntries(
    count(steps).map((i) => [`a${i}`, { properties: { next: { $ref: `#/definitions/a${i + 1}` } } }]),
  );
  const schema = { definitions: { ...definitions, [`a${steps}`]: { type: "null" } }, $ref: "#/definitions/a0" };
  assert.deepEqual(verdicts(schema, {}, { next: { next: 1 } }), [true, true]);
});
