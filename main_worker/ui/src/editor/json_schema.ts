/** What a JSON Schema allows at a place of a document: for completion. It proposes; the server judges. */

/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Schema = { readonly [keyword: string]: Json };

/** A property that an object may have. */
export interface PropertyProposal {
  readonly name: string;
  readonly type: string;
  readonly description: string;
  readonly required: boolean;
  /** JSON text to start the value with. */
  readonly starter: string;
}

interface ValueProposal {
  /** JSON text. */
  readonly text: string;
  readonly description: string;
}

const DEPTH_MAX = 32;
const SCAFFOLD_DEPTH_MAX = 6;
const SCAFFOLD_MEMBERS_MAX = 500;

function isObject(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The subschema that a local `$ref` means. */
function resolve(root: Json, reference: string): Json | undefined {
  if (!reference.startsWith("#")) return undefined;
  if (reference === "#") return root;
  if (!reference.startsWith("#/")) return undefined;
  let at: Json | undefined = root;
  for (const token of decodeURIComponent(reference.slice(2)).split("/")) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    at = isObject(at) ? at[name] : Array.isArray(at) ? at[Number(name)] : undefined;
  }
  return at;
}

/** Adds a schema and everything that applies beside it to `found`: references, and all branches of combinations. */
function spread(root: Json, schema: Json | undefined, found = new Set<Schema>(), depth = 0): Set<Schema> {
  // Each once: branches that refer to the same branches would double at every level.
  if (!isObject(schema) || depth > DEPTH_MAX || found.has(schema)) return found;
  found.add(schema);
  if (typeof schema.$ref === "string") spread(root, resolve(root, schema.$ref), found, depth + 1);
  for (const keyword of ["allOf", "anyOf", "oneOf"]) {
    const branches = schema[keyword];
    if (Array.isArray(branches)) { for (const branch of branches) spread(root, branch, found, depth + 1); }
  }
  for (const keyword of ["then", "else"]) spread(root, schema[keyword], found, depth + 1);
  return found;
}

/** What a schema says of a member or an item. */
function inner(schema: Schema, token: string | number): Json | undefined {
  if (typeof token === "string") {
    const { properties } = schema;
    return isObject(properties) && Object.hasOwn(properties, token) ? properties[token] : schema.additionalProperties;
  }
  const fixed = Array.isArray(schema.prefixItems)
    ? schema.prefixItems
    : Array.isArray(schema.items)
    ? schema.items
    : [];
  if (token < fixed.length) return fixed[token];
  return Array.isArray(schema.items) ? schema.additionalItems : schema.items;
}

/** All schemas that apply at a path. */
function schemasAt(root: Json, path: readonly (string | number)[]): Schema[] {
  let schemas = spread(root, root);
  for (const token of path) {
    const next = new Set<Schema>();
    for (const schema of schemas) spread(root, inner(schema, token), next);
    schemas = next;
  }
  return [...schemas];
}

function typeOf(schemas: readonly Schema[]): string {
  for (const { type } of schemas) {
    if (typeof type === "string") return type;
    if (Array.isArray(type)) return type.join(" | ");
  }
  if (schemas.some((schema) => isObject(schema.properties))) return "object";
  return schemas.some((schema) => schema.enum || schema.const !== undefined) ? "enum" : "any";
}

function descriptionOf(schemas: readonly Schema[]): string {
  for (const { description, title } of schemas) {
    if (typeof description === "string") return description;
    if (typeof title === "string") return title;
  }
  return "";
}

function starterOf(schemas: readonly Schema[]): string {
  for (const schema of schemas) {
    if (schema.default !== undefined) return JSON.stringify(schema.default);
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (Array.isArray(schema.enum) && schema.enum.length > 0) return JSON.stringify(schema.enum[0]);
  }
  const type = typeOf(schemas).split(" | ")[0];
  return {
    string: '""',
    integer: "0",
    number: "0",
    boolean: "false",
    array: "[]",
    object: "{}",
    null: "null",
  }[type!] ?? "null";
}

/** The properties that an object at this path may have. */
export function propertiesAt(root: Json, path: readonly (string | number)[]): PropertyProposal[] {
  const proposals = new Map<string, PropertyProposal>();
  const schemas = schemasAt(root, path);
  const required = new Set(schemas.flatMap((schema) => Array.isArray(schema.required) ? schema.required : []));
  for (const schema of schemas) {
    if (!isObject(schema.properties)) continue;
    for (const name of Object.keys(schema.properties)) {
      const schemas = [...spread(root, schema.properties[name])];
      proposals.set(name, {
        name,
        type: typeOf(schemas),
        description: descriptionOf(schemas),
        required: required.has(name),
        starter: starterOf(schemas),
      });
    }
  }
  return [...proposals.values()];
}

/** The values that may stand at this path, where the schema names them. */
export function valuesAt(root: Json, path: readonly (string | number)[]): ValueProposal[] {
  const proposals = new Map<string, ValueProposal>();
  const add = (value: Json, description: string) => {
    const text = JSON.stringify(value);
    if (!proposals.has(text)) proposals.set(text, { text, description });
  };
  for (const schema of schemasAt(root, path)) {
    const description = descriptionOf([schema]);
    if (schema.const !== undefined) add(schema.const, description);
    if (Array.isArray(schema.enum)) { for (const value of schema.enum) add(value, description); }
    if (schema.default !== undefined) add(schema.default, "default");
    if (Array.isArray(schema.examples)) { for (const value of schema.examples) add(value, "example"); }
    const types = Array.isArray(schema.type) ? schema.type : [schema.type];
    if (types.includes("boolean")) [true, false].forEach((value) => add(value, description));
    if (types.includes("null")) add(null, description);
  }
  return [...proposals.values()];
}

/** A first document that has everything that the schema requires, within reason, laid out. */
export function scaffold(root: Json): string {
  let room = SCAFFOLD_MEMBERS_MAX;
  const build = (path: readonly (string | number)[], depth: number): Json => {
    if (depth > SCAFFOLD_DEPTH_MAX || room === 0) return {};
    const wanted = propertiesAt(root, path).filter((property) => property.required).slice(0, room);
    room -= wanted.length;
    return Object.fromEntries(wanted.map((property) => {
      const at = [...path, property.name];
      return [
        property.name,
        property.starter === "{}" ? build(at, depth + 1) : JSON.parse(property.starter) as Json,
      ];
    }));
  };
  const starter = starterOf([...spread(root, root)]);
  const isRecord = starter === "{}" || propertiesAt(root, []).length > 0;
  return JSON.stringify(isRecord ? build([], 0) : JSON.parse(starter), null, 2);
}
