import assert from "assert";
import fc from "fast-check";
import { SCHEMA_BYTES_MAX, VIOLATIONS_CHARS_MAX, VIOLATIONS_MAX } from "../limits.ts";
import { compileSchema, type SchemaViolation, type Validator } from "./validator.ts";

const DRAFT_07 = "http://json-schema.org/draft-07/schema#";
const DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema";
const DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema";
const ALL = [DRAFT_07, DRAFT_2019, DRAFT_2020];
const NEWER = [DRAFT_2019, DRAFT_2020];

const encode = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

/** A validator of a schema, given as text or as a value. */
function compile(schema: unknown): Validator {
  const compiled = compileSchema(encode(schema));
  assert.ok(compiled.kind === "compiled", JSON.stringify(compiled));
  return compiled.validator;
}

function invalid(schema: unknown): { message: string; path?: string } {
  const compiled = compileSchema(encode(schema));
  assert.ok(compiled.kind === "invalid", `compiled: ${JSON.stringify(schema)?.slice(0, 200)}`);
  return compiled;
}

/** Problems of a document, given as JSON text. */
function judge(schema: unknown, document: string): readonly SchemaViolation[] {
  return compile(schema).validate(encode(document));
}

/** Schemas as JSON texts without `$schema`, each with documents that it accepts and documents that it refuses. */
type Cases = [schema: string, accepted: string[], refused: string[]][];

function check(drafts: string[], cases: Cases): void {
  for (const draft of drafts) {
    for (const [text, accepted, refused] of cases) {
      const schema = text.startsWith("{") ? `{"$schema":"${draft}",${text.slice(1)}`.replace(",}", "}") : text;
      const validator = compile(schema);
      for (const document of accepted) {
        assert.deepEqual(validator.validate(encode(document)), [], `${draft}: ${text} refuses ${document}`);
      }
      for (const document of refused) {
        assert.notEqual(validator.validate(encode(document)).length, 0, `${draft}: ${text} accepts ${document}`);
      }
    }
  }
}

Deno.test("keywords of all drafts: any value", () => {
  check(ALL, [
    ["true", ["1", "{}"], []],
    ["false", [], ["1", "null"]],
    ["{}", ["1", "{}", "[]", '"a"', "null"], []],
    ['{"type":"object"}', ["{}"], ["[]", "null", "1", '"a"']],
    ['{"type":"integer"}', ["1", "1.0", "-0", "1e2"], ["1.5", '"1"', "true"]],
    ['{"type":["string","null"]}', ['"a"', "null"], ["1", "false", "[]"]],
    ['{"enum":[1,"a",null,[1,{"x":2,"y":3}],false]}', ["1", "1.0", '"a"', "null", '[1,{"y":3,"x":2}]', "false"], [
      ...["2", '"b"', "0", "[1]", '[1,{"x":2}]', "{}", "true"],
    ]],
    ['{"const":{"a":[1]}}', ['{"a":[1]}', '{"a":[1.0]}'], ['{"a":[2]}', '{"a":[1],"b":2}', "[]", "1"]],
    ['{"const":0}', ["0", "-0", "0.0"], ["false", "null", '""']],
    ['{"const":null}', ["null"], ["0", "false"]],
    ['{"allOf":[{"type":"integer"},{"minimum":3}]}', ["3"], ["2", "3.5"]],
    ['{"anyOf":[{"type":"integer"},{"minLength":2}]}', ["3", '"ab"', "3.5"], ['"a"']],
    ['{"oneOf":[{"type":"integer"},{"minimum":2}]}', ["1", "2.5", '"a"'].slice(0, 2), ["3", "1.5"]],
    ['{"oneOf":[{"const":1},{"const":2},{"const":3},{"const":3},{"type":"string"}]}', ["1", "2", '"a"'], ["3", "4"]],
    ['{"not":{"type":"integer"}}', ["1.5", '"a"'], ["1"]],
    ['{"not":{}}', [], ["1"]],
    ['{"if":{"type":"integer"},"then":{"minimum":3},"else":{"type":"string"}}', ["3", '"a"'], ["2", "null"]],
    ['{"if":{"type":"integer"},"then":{"minimum":3}}', ["3", "null"], ["2"]],
    ['{"if":{"type":"integer"},"else":{"type":"string"}}', ["3", '"a"'], ["null"]],
    ['{"then":false,"else":false}', ["1"], []],
  ]);
});

Deno.test("keywords of all drafts: numbers, strings, formats", () => {
  check(ALL, [
    ['{"minimum":1,"maximum":3}', ["1", "3", '"a"'], ["0.9", "3.1"]],
    ['{"exclusiveMinimum":1,"exclusiveMaximum":3}', ["1.1", "2.9"], ["1", "3"]],
    ['{"multipleOf":2}', ["4", "0", "-2", "1e22"], ["3", "1.5"]],
    ['{"multipleOf":0.01}', ["1.13", "0.29", "19.99", "1e300"], ["1.131", "0.005"]],
    ['{"multipleOf":0.123456789}', ["0", "0.246913578"], ["1e308"]],
    ['{"minLength":2,"maxLength":3}', ['"ab"', '"abc"', '"😀😀"', '"😀😀😀"', "1"], ['"a"', '"abcd"', '"😀"', '""']],
    ['{"pattern":"^a+$"}', ['"aa"', "1"], ['"ab"', '""']],
    ['{"pattern":"b"}', ['"abc"'], ['"ac"']],
    ['{"format":"email"}', ['"a@example.org"', "1"], ['"a"', '"a@"']],
    ['{"format":"no-such-format"}', ['"x"'], []],
  ]);
});

Deno.test("keywords of all drafts: arrays", () => {
  check(ALL, [
    ['{"minItems":1,"maxItems":2}', ["[1]", "[1,2]", "{}"], ["[]", "[1,2,3]"]],
    ['{"items":{"type":"integer"}}', ["[]", "[1,2]", "1"], ['["a"]', "[1,1.5]"]],
    ['{"items":false}', ["[]"], ["[1]"]],
    ['{"uniqueItems":true}', ["[]", '[1,"1",[1],{"a":1},true,null]', "[[1],[2]]", '[{"a":1},{"a":2}]', "[0,false]"], [
      ...["[1,1]", "[1,1.0]", '["a","a"]', "[[1],[1]]", '[{"a":1,"b":2},{"b":2,"a":1}]', "[null,null]", "[0,-0]"],
      "[1,2,3,4,5,6,7,8,9,10,1]",
    ]],
    ['{"uniqueItems":false}', ["[1,1]"], []],
    ['{"contains":{"const":5}}', ["[1,5]", "{}"], ["[]", "[1]"]],
    ['{"contains":true}', ["[1]"], ["[]"]],
    ['{"contains":false}', ["{}"], ["[]", "[1]"]],
  ]);
});

Deno.test("keywords of all drafts: objects", () => {
  check(ALL, [
    ['{"minProperties":1,"maxProperties":2}', ['{"a":1}', "[]"], ["{}", '{"a":1,"b":2,"c":3}']],
    ['{"required":["a","b"]}', ['{"a":1,"b":null}', "[]"], ['{"a":1}', "{}"]],
    ['{"properties":{"a":{"type":"integer"},"b":false}}', ['{"a":1,"c":"x"}', "{}"], ['{"a":"1"}', '{"b":1}']],
    ['{"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":{"type":"string"}}', ['{"x1":1,"y":"a"}'], [
      ...['{"x1":"a"}', '{"y":1}'],
    ]],
    ['{"properties":{"a":true},"additionalProperties":false}', ['{"a":1}', "{}"], ['{"b":1}', '{"a":1,"b":2}']],
    ['{"propertyNames":{"maxLength":2}}', ['{"ab":1}', "{}"], ['{"abc":1}']],
    ['{"dependencies":{"a":["b"],"c":{"required":["d"]}}}', ['{"a":1,"b":2}', '{"b":1}', '{"c":1,"d":2}'], [
      ...['{"a":1}', '{"c":1}'],
    ]],
  ]);
});

Deno.test("keywords of draft-07", () => {
  check([DRAFT_07], [
    ['{"items":[{"type":"integer"},{"type":"string"}]}', ["[1]", '[1,"a",null]', "[]"], ['["a"]', "[1,2]"]],
    ['{"items":[{"type":"integer"}],"additionalItems":false}', ["[1]"], ["[1,2]"]],
    ['{"items":[{"type":"integer"}],"additionalItems":{"type":"string"}}', ['[1,"a"]'], ["[1,2]"]],
    ['{"items":{},"additionalItems":false}', ["[1,2]"], []],
    // Keywords beside $ref have no effect in this draft, and those of later drafts never have.
    [
      '{"definitions":{"a":{"type":"integer"}},"properties":{"x":{"$ref":"#/definitions/a","minimum":5}}}',
      ['{"x":1}'],
      [
        '{"x":"a"}',
      ],
    ],
    ['{"contains":{"const":1},"minContains":2}', ["[1]"], []],
    ['{"dependentRequired":{"a":["b"]},"unevaluatedProperties":false,"prefixItems":[false]}', ['{"a":1}', "[1]"], []],
    ['{"definitions":{"a":{"$id":"#name","type":"integer"}},"items":{"$ref":"#name"}}', ["[1]"], ['["a"]']],
  ]);
});

Deno.test("keywords of 2019-09 and 2020-12", () => {
  check(NEWER, [
    ['{"contains":{"const":1},"minContains":2,"maxContains":3}', ["[1,1]", "[1,2,1,1]"], ["[1]", "[1,1,1,1]"]],
    ['{"contains":{"const":1},"minContains":0}', ["[]", "[2]"], []],
    ['{"contains":{"const":1},"minContains":0,"maxContains":1}', ["[]", "[1]"], ["[1,1]"]],
    ['{"minContains":2}', ["[]"], []],
    ['{"dependentRequired":{"a":["b","c"]}}', ['{"a":1,"b":1,"c":1}', "{}"], ['{"a":1,"b":1}']],
    ['{"dependentSchemas":{"a":{"minProperties":2}}}', ['{"a":1,"b":1}', "{}"], ['{"a":1}']],
    ['{"$defs":{"a":{"type":"integer"}},"properties":{"x":{"$ref":"#/$defs/a","minimum":5}}}', ['{"x":5}'], [
      ...['{"x":1}', '{"x":"a"}'],
    ]],
    ['{"$defs":{"a":{"$anchor":"name","type":"integer"}},"additionalProperties":{"$ref":"#name"}}', ['{"x":5}'], [
      '{"x":""}',
    ]],
    ['{"properties":{"a":true},"unevaluatedProperties":false}', ['{"a":1}'], ['{"b":1}']],
    ['{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}', ['{"a":1}'], ['{"b":1}']],
    ['{"anyOf":[{"required":["a"],"properties":{"a":true}},{"properties":{"b":true}}],"unevaluatedProperties":false}', [
      ...['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
    ], ['{"c":1}']],
    ['{"$ref":"#/$defs/x","unevaluatedProperties":{"type":"string"},"$defs":{"x":{"properties":{"a":true}}}}', [
      ...['{"a":1}', '{"a":1,"b":"c"}'],
    ], ['{"b":1}']],
    [
      '{"if":{"required":["a"],"properties":{"a":true}},"else":{"properties":{"b":true}},"unevaluatedProperties":false}',
      [
        ...['{"a":1}', '{"b":1}'],
      ],
      ['{"a":1,"b":1}', '{"c":1}'],
    ],
    ['{"if":{"properties":{"a":{"const":1}},"required":["a"]},"unevaluatedProperties":false}', ['{"a":1}'], [
      '{"a":2}',
      '{"b":1}',
    ]],
    ['{"not":{"not":{"properties":{"a":true}}},"unevaluatedProperties":false}', ["{}"], ['{"a":1}']],
    ['{"anyOf":[{"items":{"type":"string"}},true],"unevaluatedItems":{"type":"boolean"}}', ['["a"]', "[true]"], [
      "[1]",
    ]],
  ]);
});

Deno.test("keywords of 2019-09", () => {
  check([DRAFT_2019], [
    ['{"items":[{"type":"integer"}],"additionalItems":false}', ["[1]"], ["[1,2]"]],
    ['{"items":[true],"unevaluatedItems":false}', ["[1]"], ["[1,2]"]],
    ['{"contains":{"const":1},"unevaluatedItems":false}', [], ["[1]"]],
    ['{"$recursiveAnchor":true,"type":"object","additionalProperties":{"$recursiveRef":"#"}}', ['{"a":{"b":{}}}'], [
      '{"a":{"b":1}}',
    ]],
  ]);
});

Deno.test("keywords of 2020-12", () => {
  check([DRAFT_2020], [
    ['{"prefixItems":[{"type":"integer"},{"type":"string"}]}', ["[1]", '[1,"a",null]', "[]"], ['["a"]', "[1,2]"]],
    ['{"prefixItems":[{"type":"integer"}],"items":false}', ["[1]", "[]"], ["[1,2]"]],
    ['{"prefixItems":[{"type":"integer"}],"items":{"type":"string"}}', ['[1,"a"]'], ["[1,2]"]],
    ['{"prefixItems":[true],"unevaluatedItems":false}', ["[1]"], ["[1,2]"]],
    ['{"contains":{"type":"string"},"unevaluatedItems":{"type":"integer"}}', ['["a",1]'], ['["a",null]', "[1]"]],
    ['{"allOf":[{"contains":{"multipleOf":2}},{"contains":{"multipleOf":3}}],"unevaluatedItems":false}', ["[2,3,4]"], [
      "[2,3,5]",
    ]],
    ['{"$dynamicAnchor":"node","type":"object","additionalProperties":{"$dynamicRef":"#node"}}', ['{"a":{}}'], [
      '{"a":1}',
    ]],
  ]);
});

Deno.test("names that every object inherits are names like any other", () => {
  check(ALL, [
    ['{"required":["toString","__proto__"]}', ['{"toString":1,"__proto__":2}'], [
      "{}",
      '{"toString":1}',
      '{"__proto__":1}',
    ]],
    ['{"properties":{"constructor":{"type":"integer"},"__proto__":{"type":"integer"}}}', ["{}", '{"__proto__":1}'], [
      ...['{"constructor":"a"}', '{"__proto__":"a"}'],
    ]],
    ['{"properties":{"__proto__":true},"additionalProperties":false}', ['{"__proto__":1}', "{}"], [
      '{"toString":1}',
      '{"valueOf":1}',
    ]],
    ['{"dependencies":{"__proto__":["a"],"valueOf":["b"]}}', ["{}", '{"__proto__":1,"a":2}'], [
      '{"__proto__":1}',
      '{"valueOf":1}',
    ]],
    ['{"enum":[{"valueOf":1},{"a":1}]}', ['{"valueOf":1}'], ['{"valueOf":2}', '{"constructor":1}', '{"__proto__":1}']],
    ['{"uniqueItems":true}', ['[{"valueOf":1},{"valueOf":2},{"__proto__":1},{}]'], [
      '[{"__proto__":1},{"__proto__":1}]',
    ]],
  ]);
  check(NEWER, [
    ['{"anyOf":[{"properties":{"a":true}},true],"unevaluatedProperties":false}', ['{"a":1}'], [
      '{"toString":1}',
      '{"__proto__":1}',
    ]],
  ]);
});

Deno.test("numbers beyond doubles are judged as the module says", () => {
  const cases: [string, string, boolean][] = [
    ['{"type":"number"}', "1e400", true],
    ['{"type":"integer"}', "-1e400", true],
    ['{"type":"string"}', "1e400", false],
    ['{"maximum":1e308}', "1e400", false],
    ['{"minimum":1}', "1e400", true],
    ['{"minimum":-1}', "-1e400", false],
    ['{"multipleOf":10}', "1e400", false],
    ['{"const":1e400}', "1e401", true],
    ['{"const":1e400}', "-1e400", false],
    ['{"uniqueItems":true}', "[1e400,1e401]", false],
    ['{"type":"integer"}', "12345678901234567890", true],
    ['{"const":12345678901234567890}', "12345678901234567891", true],
    ['{"exclusiveMinimum":0}', "1e-400", false],
    ['{"enum":[[1e400]]}', "[1e400]", true],
    ['{"maximum":1e400}', "1e400", true],
  ];
  for (const [schema, document, valid] of cases) {
    assert.equal(judge(schema, document).length === 0, valid, `${schema} on ${document}`);
  }
});

Deno.test("of a name that appears twice the last member is judged", () => {
  assert.equal(judge({ properties: { a: { type: "integer" } } }, '{"a":"x","a":1}').length, 0);
  assert.equal(judge({ properties: { a: { type: "integer" } } }, '{"a":1,"a":"x"}').length, 1);
});

Deno.test("all problems are told, each with its place", () => {
  const schema = {
    type: "object",
    required: ["id", "name"],
    properties: {
      id: { type: "integer" },
      "a/b~c": { type: "array", items: { type: "string", minLength: 2 } },
      pair: { $ref: "#/definitions/pair" },
    },
    additionalProperties: false,
    definitions: { pair: { type: "object", required: ["left"], propertyNames: { pattern: "^[a-z]+$" } } },
  };
  const document = { id: "x", "a/b~c": ["ok", "", 3], pair: { Right: 1 }, extra: 1, "mo/re": 2 };
  const found = judge(schema, JSON.stringify(document)).map(({ path, message }) => `${path}: ${message}`);
  assert.deepEqual(found.toSorted(), [
    "/a~1b~0c/1: must NOT have fewer than 2 characters",
    "/a~1b~0c/2: must be string",
    "/extra: must NOT be there: the schema does not name the property",
    "/id: must be integer",
    "/mo~1re: must NOT be there: the schema does not name the property",
    '/pair/Right: its name must match pattern "^[a-z]+$"',
    "/pair: must have required property 'left'",
    ": must have required property 'name'",
  ]);
});

Deno.test("messages hold nothing of the document", () => {
  const secret = "s3cret";
  const schema = {
    properties: Object.fromEntries(
      [
        { type: "integer" },
        { const: 1 },
        { enum: [1, [2]] },
        { pattern: "^a$" },
        { format: "email" },
        { maxLength: 1 },
        { not: { type: "string" } },
        { anyOf: [{ type: "null" }, { minLength: 100 }] },
        { oneOf: [{ type: "string" }, { minLength: 1 }] },
        { if: true, then: { type: "null" } },
        { contains: { type: "null" } },
        { uniqueItems: true },
        { propertyNames: { maxLength: 1 } },
        { items: { multipleOf: 7 } },
        false,
      ].map((part, i) => [`p${i}`, part]),
    ),
  };
  const document: Record<string, unknown> = {};
  for (let i = 0; i < 15; i++) document[`p${i}`] = secret;
  document.p10 = [secret];
  document.p11 = [secret, secret];
  document.p12 = { [secret]: secret };
  document.p13 = [secret, 3];
  const found = judge(schema, JSON.stringify(document));
  assert.ok(found.length >= 15, JSON.stringify(found));
  for (const { message } of found) assert.ok(!message.includes(secret), message);
});

Deno.test("alternatives that fail tell why, and those that hold tell nothing", () => {
  const schema = { anyOf: [{ type: "string" }, { type: "array", items: { type: "integer" } }] };
  assert.deepEqual(judge(schema, "[1,2]"), []);
  assert.deepEqual(judge(schema, '[1,"a","b"]').map(({ path, message }) => `${path}: ${message}`), [
    ": must be string",
    "/1: must be integer",
    ": must match at least one of the schemas in anyOf",
  ]);
});

Deno.test("the number of problems and the length of their paths are bounded", () => {
  const strings = { items: { type: "string" } };
  assert.equal(judge(strings, `[${"1,".repeat(100_000)}1]`).length, VIOLATIONS_MAX);
  assert.equal(judge({ additionalProperties: strings }, `{"a":[${"1,".repeat(5_000)}1]}`).length, VIOLATIONS_MAX);
  const long = "k".repeat(100_000);
  const found = judge({ additionalProperties: strings }, `{"${long}":[${"1,".repeat(100)}1]}`);
  assert.ok(found.length > 0 && found.reduce((sum, { path }) => sum + path.length, 0) <= VIOLATIONS_CHARS_MAX);
  const [single] = judge({ additionalProperties: { type: "string" } }, `{"${"k".repeat(600_000)}":1}`);
  assert.ok(single!.path.length <= VIOLATIONS_CHARS_MAX);
});

Deno.test("a document that is not JSON is a problem, not an exception", () => {
  const validator = compile({});
  for (const bytes of [[], [0xff], [0x22, 0xc3, 0x22], [0x7b]]) {
    assert.deepEqual(validator.validate(new Uint8Array(bytes)), [{ path: "", message: "must be JSON" }]);
  }
});

Deno.test("a validator forgets a document when it has judged it", () => {
  const validator = compile({ items: { type: "integer" }, minItems: 1 });
  assert.equal(validator.validate(encode('["a"]')).length, 1);
  assert.equal(validator.validate(encode("[1]")).length, 0);
  assert.equal(validator.validate(encode("[]")).length, 1);
  assert.equal(validator.validate(encode("[1]")).length, 0);
});

Deno.test("texts that are no schema are refused with the place", () => {
  const cases: [unknown, RegExp, string | undefined][] = [
    ["", /not JSON/, undefined],
    ["{", /not JSON/, undefined],
    ["\ufeff{}", /byte order mark/, undefined],
    ["1", /an object or a boolean/, ""],
    ["[]", /an object or a boolean/, ""],
    ["null", /an object or a boolean/, ""],
    [`{"$schema":"http://example.org/mine"}`, /none of draft-07/, "/$schema"],
    [`{"$schema":"http://json-schema.org/draft-04/schema#"}`, /none of draft-07/, "/$schema"],
    [`{"$schema":7}`, /none of draft-07/, "/$schema"],
    [{ type: "objct" }, /draft-07/, "/type"],
    [{ properties: { a: { minLength: -1 } } }, /draft-07/, "/properties/a/minLength"],
    [{ $schema: DRAFT_2020, properties: { "a/b": { type: 3 } } }, /2020-12/, "/properties/a~1b/type"],
    [{ $schema: DRAFT_2019, required: "a" }, /2019-09/, "/required"],
    [{ $schema: DRAFT_2020, items: [{}] }, /2020-12/, "/items"],
    [{ properties: { a: { pattern: "(" } } }, /not a regular expression|format/, "/properties/a/pattern"],
    [{ pattern: "(?=a)" }, /ahead or behind/, "/pattern"],
    [{ patternProperties: { "(a)\\1": {} } }, /refers back/, "/patternProperties/(a)\\1"],
    [{ minimum: "1" }, /draft-07/, "/minimum"],
    [{ enum: 1 }, /draft-07/, "/enum"],
    ["[".repeat(200) + "]".repeat(200), /deeper than 128/, undefined],
    [`{"title":"${"x".repeat(SCHEMA_BYTES_MAX)}"}`, /are allowed/, undefined],
  ];
  for (const [schema, message, path] of cases) {
    const found = invalid(schema);
    assert.match(found.message, message);
    assert.equal(found.path, path, JSON.stringify(schema).slice(0, 100));
  }
});

Deno.test("keywords that Ajv knows beside the standard have no effect", () => {
  assert.deepEqual(judge({ $async: true, type: "integer" }, "1"), []);
  assert.equal(judge({ nullable: true, type: "integer" }, "null").length, 1);
  assert.deepEqual(
    judge({ id: "x", discriminator: { propertyName: "a" }, formatMinimum: 3, unknown: { $ref: 7 } }, "1"),
    [],
  );
  assert.deepEqual(judge({ "x-call": 0, "x-branch": 0, "x-steps": { own: 1e9 } }, "1"), []);
  assert.deepEqual(judge({ $comment: "a", default: 1, title: "b", examples: [{ $ref: "#/nowhere" }] }, "1"), []);
});

Deno.test("no schema keeps a worker: what costs too much is refused", () => {
  const count = (n: number) => Array.from({ length: n }, (_, i) => i);
  const expensive: [string, unknown, string][] = [
    [
      "unique items on every level",
      nest(60, (items) => ({ uniqueItems: true, items })),
      "[".repeat(60) + count(5_000) + "]".repeat(60),
    ],
    [
      "many patterns",
      { patternProperties: Object.fromEntries(count(500).map((i) => [`(a|b)*${i}x`, {}])) },
      object(5_000),
    ],
    ["much contains", { allOf: count(500).map((i) => ({ contains: { const: i + 5 } })) }, `[${"1,".repeat(50_000)}1]`],
    ["far multiples", { items: { multipleOf: 1e-300 } }, `[${"1e308,".repeat(20_000)}1]`],
    ["a blown-up automaton", { pattern: "[ab]*a[ab]{300}[cd]" }, `"${"ab".repeat(50_000)}"`],
    [
      "long names as paths",
      { definitions: { x: {} }, allOf: count(500).map(() => ({ additionalProperties: { not: { const: 1 } } })) },
      `{"${"k/".repeat(50_000)}":2}`,
    ],
    [
      "regular expressions with classes of Unicode",
      { items: { format: "regex" } },
      JSON.stringify(count(28_000).map((i) => `[\\p{L}\\P{Lu}\\p{Script=Han}]${i}`)),
    ],
    [
      "hosts that are parsed",
      { items: { allOf: Array(15).fill({ format: "idn-hostname" }) } },
      JSON.stringify(count(60_000).map((i) => `\u00fc${i}.\u00fc`)),
    ],
    ["large constants", { allOf: count(500).map((i) => ({ const: { a: i } })) }, object(5_000)],
  ];
  for (const [what, schema, document] of expensive) {
    const found = judge(schema, document);
    assert.match(found.at(-1)!.message, /more work than a document of this size/, what);
  }
});

Deno.test("what is large but sound is judged", () => {
  const count = (n: number) => Array.from({ length: n }, (_, i) => i);
  const numbers = `[${"1,".repeat(200_000)}1]`;
  const paths = count(30).map((i) => `^C:\\\\Program Files\\\\x${i}$`);
  assert.deepEqual(judge({ items: { format: "regex" } }, JSON.stringify(paths)), []);
  assert.deepEqual(judge({ items: { type: "integer", minimum: 0, maximum: 5 } }, numbers), []);
  assert.deepEqual(judge({ items: { anyOf: [{ type: "string" }, { type: "integer" }] } }, numbers), []);
  assert.deepEqual(judge({ anyOf: [{ items: { type: "string" } }, { items: { type: "integer" } }] }, numbers), []);
  assert.deepEqual(judge({ items: { enum: count(10_000) } }, numbers), []);
  assert.deepEqual(judge({ uniqueItems: true }, `[${count(50_000).map((i) => `{"id":${i}}`)}]`), []);
  assert.deepEqual(judge({ pattern: "^(?:[a-z]+ ?)+$", minLength: 1 }, `"${"word ".repeat(100_000)}"`), []);
  assert.deepEqual(judge({ oneOf: count(2_000).map((i) => ({ const: `c${i}` })) }, '"c1234"'), []);
  assert.equal(judge({ oneOf: count(900).map((i) => ({ const: `c${i}` })) }, '"other"').length, 901);
  const wide = { properties: Object.fromEntries(count(2_000).map((i) => [`p${i}`, { type: "string" }])) };
  assert.deepEqual(judge(wide, object(2_000, '"x"')), []);
  assert.equal(judge(wide, object(2_000)).length, VIOLATIONS_MAX);
  assert.equal(judge({ anyOf: [wide, { type: "null" }] }, object(2_000)).length > 0, true);
  assert.deepEqual(judge({ not: { allOf: count(1_500).map((i) => ({ required: [`r${i}`] })) } }, "{}"), []);
});

function nest(levels: number, wrap: (inner: unknown) => unknown): unknown {
  let schema: unknown = {};
  for (let i = 0; i < levels; i++) schema = wrap(schema);
  return schema;
}

function object(members: number, value = "1"): string {
  return `{${Array.from({ length: members }, (_, i) => `"p${i}":${value}`).join(",")}}`;
}

/** What a schema has looked at in a value, or `undefined` when the value breaks it. */
type Evaluated = { names: Set<string>; items: Set<number> } | undefined;
type Schema = boolean | Record<string, unknown>;

/** 2020-12 as its specification reads, without a thought for time: what the compiled validators must agree with. */
function evaluate(schema: Schema, value: unknown, root: Schema): Evaluated {
  if (typeof schema === "boolean") return schema ? { names: new Set(), items: new Set() } : undefined;
  const names = new Set<string>();
  const items = new Set<number>();
  const holds = (part: Schema, of: unknown) => evaluate(part, of, root) !== undefined;
  const join = (found: Evaluated): boolean => {
    found?.names.forEach((name) => names.add(name));
    found?.items.forEach((item) => items.add(item));
    return found !== undefined;
  };
  const s = schema as Record<string, Schema> & Record<string, Schema[]> & Record<string, Record<string, Schema>>;
  const list = (keyword: string) => (s[keyword] ?? []) as Schema[];
  const map = (keyword: string) => Object.entries((s[keyword] ?? {}) as Record<string, Schema>);
  const has = (keyword: string) => Object.hasOwn(schema, keyword);
  const same = (a: unknown, b: unknown) => canonical(a) === canonical(b);
  const ok: boolean[] = [];

  if (has("type")) {
    ok.push(
      [schema.type].flat().some((type) => type === typeOf(value) || (type === "number" && typeof value === "number")),
    );
  }
  if (has("const")) ok.push(same(schema.const, value));
  if (has("enum")) ok.push((schema.enum as unknown[]).some((allowed) => same(allowed, value)));
  if (typeof value === "number") {
    if (has("minimum")) ok.push(value >= (schema.minimum as number));
    if (has("multipleOf")) ok.push(Number.isInteger(value / (schema.multipleOf as number)));
  }
  if (typeof value === "string") {
    if (has("minLength")) ok.push([...value].length >= (schema.minLength as number));
    if (has("maxLength")) ok.push([...value].length <= (schema.maxLength as number));
    if (has("pattern")) ok.push(new RegExp(schema.pattern as string, "u").test(value));
  }
  if (has("$ref")) {
    ok.push(join(evaluate(((root as Record<string, unknown>).$defs as Record<string, Schema>).a!, value, root)));
  }
  for (const part of list("allOf")) ok.push(join(evaluate(part, value, root)));
  if (has("anyOf")) ok.push(list("anyOf").map((part) => join(evaluate(part, value, root))).includes(true));
  if (has("oneOf")) ok.push(list("oneOf").filter((part) => join(evaluate(part, value, root))).length === 1);
  if (has("not")) ok.push(!holds(s.not as Schema, value));
  if (has("if")) {
    const branch = join(evaluate(s.if as Schema, value, root)) ? "then" : "else";
    if (has(branch)) ok.push(join(evaluate(s[branch] as Schema, value, root)));
  }
  if (Array.isArray(value)) {
    const prefix = list("prefixItems");
    value.forEach((item, i) => {
      const part = i < prefix.length ? prefix[i]! : has("items") ? s.items as Schema : undefined;
      if (part === undefined) return;
      ok.push(holds(part, item));
      items.add(i);
    });
    if (has("maxItems")) ok.push(value.length <= (schema.maxItems as number));
    if (schema.uniqueItems === true) ok.push(new Set(value.map(canonical)).size === value.length);
    if (has("contains")) {
      const matching = value.flatMap((item, i) => holds(s.contains as Schema, item) ? [i] : []);
      matching.forEach((i) => items.add(i));
      ok.push(matching.length >= ((schema.minContains as number | undefined) ?? 1));
    }
    if (has("unevaluatedItems")) {
      value.forEach((item, i) => items.has(i) || ok.push(holds(s.unevaluatedItems as Schema, item)));
      value.forEach((_, i) => items.add(i));
    }
  } else if (typeof value === "object" && value !== null) {
    const object = value as Record<string, unknown>;
    for (const name of (schema.required ?? []) as string[]) ok.push(Object.hasOwn(object, name));
    if (has("maxProperties")) ok.push(Object.keys(object).length <= (schema.maxProperties as number));
    for (const [name, needed] of map("dependentRequired")) {
      if (Object.hasOwn(object, name)) {
        for (const other of needed as unknown as string[]) ok.push(Object.hasOwn(object, other));
      }
    }
    for (const [name, part] of map("dependentSchemas")) {
      if (Object.hasOwn(object, name)) ok.push(join(evaluate(part, value, root)));
    }
    for (const [name, member] of Object.entries(object)) {
      const parts = map("properties").filter(([other]) => other === name)
        .concat(map("patternProperties").filter(([pattern]) => new RegExp(pattern, "u").test(name)));
      if (parts.length === 0 && has("additionalProperties")) parts.push(["", s.additionalProperties as Schema]);
      for (const [, part] of parts) ok.push(holds(part, member));
      if (parts.length > 0) names.add(name);
      if (has("propertyNames")) ok.push(holds(s.propertyNames as Schema, name));
    }
    if (has("unevaluatedProperties")) {
      for (const [name, member] of Object.entries(object)) {
        if (!names.has(name)) ok.push(holds(s.unevaluatedProperties as Schema, member));
      }
      Object.keys(object).forEach((name) => names.add(name));
    }
  }
  return ok.includes(false) ? undefined : { names, items };
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).sort()}}`;
}

const scalar = fc.constantFrom<unknown>(null, true, false, 0, 1, 2.5, -3, "", "a", "ab", "é", "x1");
const name = fc.constantFrom("a", "b", "x1", "y", "toString", "valueOf");

/** Documents out of few names and values, so that schemas hit. */
const documents = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(name, tie("value"), { maxKeys: 4 }),
  ),
})).value;

/** Schemas of 2020-12. */
function randomSchemas(): fc.Arbitrary<Schema> {
  return fc.letrec<{ schema: Schema }>((tie) => {
    const schema = tie("schema");
    const list = fc.array(schema, { minLength: 1, maxLength: 3 });
    const optional = { requiredKeys: [] };
    return {
      schema: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.boolean(),
        fc.constant({ properties: { a: { $ref: "#/$defs/a" } } }),
        fc.constant({ items: { $ref: "#/$defs/a" } }),
        fc.record({
          type: fc.constantFrom("object", "array", "string", "number", "integer", "boolean", "null", [
            "string",
            "array",
          ]),
          enum: fc.array(documents, { minLength: 1, maxLength: 3 }),
        }, optional),
        fc.record(
          { const: documents, minimum: fc.constantFrom(0, 1, 2.5), multipleOf: fc.constantFrom(1, 2, 0.5) },
          optional,
        ),
        fc.record({
          minLength: fc.nat(3),
          maxLength: fc.nat(3),
          pattern: fc.constantFrom("^a", "b$", "[0-9]", "^(a|é)+$"),
        }, optional),
        fc.record({ maxItems: fc.nat(3), uniqueItems: fc.boolean() }, optional),
        fc.record({
          required: fc.uniqueArray(name, { maxLength: 2 }),
          maxProperties: fc.nat(3),
          dependentRequired: fc.dictionary(name, fc.uniqueArray(name, { maxLength: 2 }), { maxKeys: 2 }),
        }, optional),
        fc.record({ allOf: list, anyOf: list, oneOf: list, not: schema }, optional),
        fc.record({ if: schema, then: schema, else: schema, $ref: fc.constant("#/$defs/a") }, optional),
        fc.record(
          { prefixItems: list, items: schema, contains: schema, allOf: list, unevaluatedItems: schema },
          optional,
        ),
        fc.record({ contains: schema, minContains: fc.nat(2), anyOf: list, unevaluatedItems: schema }, optional),
        fc.record({
          properties: fc.dictionary(name, schema, { maxKeys: 3 }),
          patternProperties: fc.dictionary(fc.constantFrom("^x", "a|b"), schema, { maxKeys: 2 }),
          additionalProperties: schema,
          allOf: list,
          anyOf: list,
          unevaluatedProperties: schema,
        }, optional),
        fc.record({ propertyNames: schema, dependentSchemas: fc.dictionary(name, schema, { maxKeys: 2 }) }, optional),
      ),
    };
  }).schema;
}

const RUNS = 1_000;

Deno.test("property: agrees with the specification", () => {
  const schemas = randomSchemas();
  let judged = 0;
  let valid = 0;
  fc.assert(
    fc.property(schemas, schemas, fc.array(documents, { minLength: 1, maxLength: 6 }), (main, other, values) => {
      const root = { ...main as Record<string, unknown>, $schema: DRAFT_2020, $defs: { a: other } };
      if (main === false) Object.assign(root, { not: {} });
      const compiled = compileSchema(encode(root));
      if (compiled.kind === "invalid") {
        assert.match(compiled.message, /leads back to itself/);
        return;
      }
      for (const value of values) {
        const document = JSON.stringify(value);
        const expected = evaluate(root, JSON.parse(document), root) !== undefined;
        const found = compiled.validator.validate(encode(document));
        assert.equal(found.length === 0, expected, `${JSON.stringify(root)} on ${document}: ${JSON.stringify(found)}`);
        judged++;
        if (expected) valid++;
      }
    }),
    { numRuns: RUNS },
  );
  // A property that never sees one of the two verdicts would prove little.
  assert.ok(valid > judged / 10 && valid < judged * 9 / 10, `${valid} of ${judged} were valid`);
});

Deno.test("property: no schema and no document makes it throw", () => {
  const json = fc.jsonValue({ maxDepth: 3 });
  const keyword = fc.constantFrom(
    ...[
      "$ref",
      "$id",
      "$schema",
      "$anchor",
      "$dynamicRef",
      "$dynamicAnchor",
      "$recursiveRef",
      "$recursiveAnchor",
      "$defs",
    ],
    ...[
      "type",
      "items",
      "properties",
      "allOf",
      "anyOf",
      "not",
      "if",
      "enum",
      "const",
      "pattern",
      "required",
      "contains",
    ],
    ...[
      "dependencies",
      "unevaluatedProperties",
      "unevaluatedItems",
      "prefixItems",
      "format",
      "multipleOf",
      "x",
      "__proto__",
    ],
  );
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<unknown>(
        "#",
        "#/",
        "#/x",
        "#a",
        "a",
        "#/$defs/x",
        "object",
        "http://x.invalid/y#z",
        1,
        -1,
        true,
        null,
      ),
      fc.constantFrom<unknown>(...ALL, "^a", "(", "%", "//", "urn:x:y", "#/allOf/0", "#/properties/x"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(keyword, tie("value"), { maxKeys: 4 }),
    ),
  })).value;
  fc.assert(
    fc.property(value, json, (schema, document) => {
      const compiled = compileSchema(encode(JSON.stringify(schema)));
      if (compiled.kind === "compiled") compiled.validator.validate(encode(JSON.stringify(document)));
    }),
    { numRuns: 3_000 },
  );
});
