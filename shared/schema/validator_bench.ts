/** What judging a document costs, beside parsing it, and what compiling a schema costs. `deno bench -A shared/schema` */
import { compileSchema, type Validator } from "./validator.ts";

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const CHAT = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  required: ["id", "created_at", "messages"],
  additionalProperties: false,
  properties: {
    id: { type: "string", pattern: "^[a-z]-[0-9]+$" },
    created_at: { type: "string", format: "date-time" },
    topic: { type: "string", maxLength: 200 },
    open: { type: "boolean" },
    messages: { type: "array", items: { $ref: "#/$defs/message" } },
  },
  $defs: {
    message: {
      type: "object",
      required: ["from", "text"],
      properties: {
        from: { type: "string", pattern: "^user-(\\d+|guest)$" },
        at: { type: "integer", minimum: 0 },
        text: { type: "string", minLength: 1, maxLength: 10_000 },
        kind: { enum: ["plain", "markdown"] },
        marks: { type: "array", items: { type: "number" }, uniqueItems: true },
      },
    },
  },
};

function chat(messages: number): Uint8Array {
  const message = {
    from: "user-17",
    at: 1_714_557_600_123,
    text: "A line of text as people write it when they talk to each other.",
    kind: "plain",
    marks: [1, 2.5, -3],
  };
  return encode({
    id: "c-4711",
    created_at: "2024-05-01T10:00:00Z",
    topic: "weekly sync",
    open: true,
    messages: Array(messages).fill(message),
  });
}

function validatorOf(schema: unknown): Validator {
  const compiled = compileSchema(encode(schema));
  if (compiled.kind === "invalid") throw new Error(compiled.message);
  return compiled.validator;
}

const decoder = new TextDecoder();
for (const [name, document] of [["1 KB", chat(6)], ["16 KB", chat(100)]] as const) {
  const validator = validatorOf(CHAT);
  Deno.bench(`validate (${name})`, { group: name }, () => {
    if (validator.validate(document).length > 0) throw new Error("not valid");
  });
  Deno.bench(`decode and parse (${name})`, { group: name, baseline: true }, () => {
    JSON.parse(decoder.decode(document));
  });
}

Deno.bench("compile a small schema", { group: "compile" }, () => {
  validatorOf(CHAT);
});

const large = {
  properties: Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`p${i}`, { type: "string", maxLength: i }])),
};
Deno.bench("compile a schema of 1,000 properties", { group: "compile" }, () => {
  validatorOf(large);
});
