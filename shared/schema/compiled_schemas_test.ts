import assert from "assert";
import { CompiledSchemas, templateHash } from "./compiled_schemas.ts";

const encode = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

function add(schemas: CompiledSchemas, schema: unknown): string {
  const text = encode(schema);
  const hash = templateHash(text);
  assert.deepEqual(schemas.add(hash, text), { kind: "added" });
  return hash;
}

Deno.test("a hash is the SHA-256 of the text in hexadecimal", () => {
  assert.equal(templateHash(encode("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

Deno.test("a schema is found by its hash, and adding it again changes nothing", () => {
  const schemas = new CompiledSchemas();
  const hash = add(schemas, { type: "integer" });
  const validator = schemas.get(hash)!;
  assert.deepEqual(validator.validate(encode("1")), []);
  assert.equal(validator.validate(encode('"a"')).length, 1);
  assert.equal(add(schemas, { type: "integer" }), hash);
  assert.equal(schemas.get(hash), validator);
  assert.equal(schemas.has("00"), false);
  assert.equal(schemas.get("00"), undefined);
});

Deno.test("a text is not kept under a hash that is not its own", () => {
  const schemas = new CompiledSchemas();
  assert.deepEqual(schemas.add(templateHash(encode("{}")), encode("true")), { kind: "hash_mismatch" });
  assert.equal(schemas.size, 0);
});

Deno.test("a text that is no schema is kept as a validator that refuses all", () => {
  const schemas = new CompiledSchemas();
  const text = encode({ type: "nonsense" });
  const hash = templateHash(text);
  assert.equal(schemas.add(hash, text).kind, "invalid");
  assert.match(schemas.get(hash)!.validate(encode("1"))[0]!.message, /the schema is not valid/);
});

Deno.test("the least recently used makes room", () => {
  const schemas = new CompiledSchemas(2);
  const [a, b] = [add(schemas, { minimum: 1 }), add(schemas, { minimum: 2 })];
  schemas.get(a);
  const c = add(schemas, { minimum: 3 });
  assert.deepEqual([a, b, c].map((hash) => schemas.has(hash)), [true, false, true]);
});

Deno.test("their weight is bounded, and one that is heavier than all may be the only one", () => {
  const schemas = new CompiledSchemas(100, 300_000);
  for (let i = 0; i < 20; i++) add(schemas, { minimum: i });
  assert.ok(schemas.size > 1 && schemas.size < 20);
  const heavy = add(schemas, { pattern: "^(a|b)+(c|d)+$", description: "x".repeat(20_000) });
  assert.equal(schemas.size, 1);
  assert.deepEqual(schemas.get(heavy)!.validate(encode('"abcd"')), []);
});
