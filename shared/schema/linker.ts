/**
 * Turns a JSON Schema of any supported draft into definitions of one simple form, in which nothing is left to resolve.
 *
 * Every `$id`, anchor, `$ref`, `$recursiveRef` and `$dynamicRef` is followed here; what remains are calls from one
 * numbered definition to another. Dynamic references depend on the way by which a schema was reached, so a definition
 * is made for each pair of a target and the anchors that are in force there (partial evaluation: the pairs are finite,
 * and one in nearly all schemas). Keywords of older drafts are written in their newer form, keywords without effect are
 * left out.
 *
 * And here is refused what would stop a worker: schemas that are too large, that apply themselves to the same value
 * without end, or that apply too many subschemas to one value.
 */
import {
  SCHEMA_DYNAMIC_ANCHORS_MAX,
  SCHEMA_FANOUT_MAX,
  SCHEMA_REFERENCE_CHAIN_MAX,
  SCHEMA_SUBSCHEMAS_MAX,
} from "../limits.ts";
import { escapeToken, pointerTokens } from "../json/pointer.ts";
import { type Dialect, dialectOf, type Json, type JsonObject } from "./dialect.ts";
import { FORMATS } from "./formats.ts";

/** A schema that cannot be used. `path` is a JSON Pointer to the place. */
export class SchemaError extends Error {
  override name = "SchemaError";
  readonly path: string;
  constructor(message: string, path: string) {
    super(message);
    this.path = path;
  }
}

/** What a value must be: anything (`true`), nothing (`false`), or what the rules say. */
export type Definition = boolean | Rules;

/** The keywords of 2020-12 that have an effect on which documents are valid, with nothing left to resolve. */
export interface Rules {
  /** Definitions that must hold for the same value, by number: what references lead to. */
  readonly calls?: readonly number[];
  readonly type?: readonly string[];
  /** One value, in a list so that `null` is one. */
  readonly const?: readonly [Json];
  readonly enum?: readonly Json[];
  readonly multipleOf?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maxLength?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly allOf?: readonly Definition[];
  readonly anyOf?: readonly Definition[];
  readonly oneOf?: readonly Definition[];
  readonly not?: Definition;
  readonly if?: Definition;
  readonly then?: Definition;
  readonly else?: Definition;
  readonly prefixItems?: readonly Definition[];
  readonly items?: Definition;
  readonly contains?: Definition;
  /** Whether `unevaluatedItems` leaves out what `contains` has matched. */
  readonly containsEvaluates?: boolean;
  readonly minContains?: number;
  readonly maxContains?: number;
  readonly maxItems?: number;
  readonly minItems?: number;
  readonly uniqueItems?: boolean;
  readonly unevaluatedItems?: Definition;
  readonly properties?: ReadonlyMap<string, Definition>;
  readonly patternProperties?: ReadonlyMap<string, Definition>;
  readonly additionalProperties?: Definition;
  readonly propertyNames?: Definition;
  readonly required?: readonly string[];
  readonly maxProperties?: number;
  readonly minProperties?: number;
  readonly dependentRequired?: readonly (readonly [name: string, needed: readonly string[]])[];
  readonly dependentSchemas?: readonly (readonly [name: string, definition: Definition])[];
  readonly unevaluatedProperties?: Definition;
}

/** Definition 0 is the schema itself. */
export interface LinkedSchema {
  readonly definitions: readonly Definition[];
  /** Every pattern in it, with the place where it was first found. */
  readonly patterns: ReadonlyMap<string, string>;
}

/** A part of a schema with a URI of its own. */
interface Resource {
  readonly uri: string;
  readonly pointer: string;
  readonly root: Json;
  readonly anchors: Map<string, Subschema>;
  /** `$dynamicAnchor`s by name; `$recursiveAnchor` by the empty name. */
  readonly dynamicAnchors: Map<string, Subschema>;
}

/** A schema somewhere in a schema. */
interface Subschema {
  readonly schema: boolean | JsonObject;
  readonly pointer: string;
  readonly resource: Resource;
  readonly id: number;
}

/** The dynamic anchors in force: by name, the outermost one. `key` is equal for equal scopes. */
interface Scope {
  readonly anchors: ReadonlyMap<string, Subschema>;
  readonly key: string;
  /** The scopes inside resources that were entered from here. */
  readonly inside: Map<Resource, Scope>;
}

/** The subschemas that are applied to one and the same value within a definition, and the definitions called for it. */
interface Level {
  visits: number;
  readonly calls: { readonly target: number; readonly pointer: string }[];
  readonly pointer: string;
}

/** Where a subschema is written to. */
interface Context {
  readonly scope: Scope;
  readonly level: Level;
}

/** Whether a subschema applies to the same value as the one around it, or to a part of it. */
type Position = "same" | "part";

const BASE_URI = "http://schema.invalid/";
/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
const HOLDS_SCHEMA = ("not if then else contains items additionalItems unevaluatedItems additionalProperties " +
  "unevaluatedProperties propertyNames").split(" ");
const HOLDS_LIST = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
const HOLDS_MAP = ["$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"];

/** Keywords that mean the same in all drafts and hold no schema. */
const PLAIN =
  ("type multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength maxItems minItems " +
    "uniqueItems maxProperties minProperties").split(" ");

/** @throws {SchemaError} */
export function linkSchema(schema: boolean | JsonObject, dialect: Dialect): LinkedSchema {
  return new Linker(dialect).link(schema);
}

class Linker {
  readonly #dialect: Dialect;
  readonly #resources = new Map<string, Resource>();
  readonly #subschemas = new Map<JsonObject, Subschema>();
  readonly #scopes = new Map<string, Scope>();
  readonly #numbers = new Map<string, number>();
  readonly #pending: { readonly number: number; readonly target: Subschema; readonly scope: Scope }[] = [];
  readonly #definitions: Definition[] = [];
  /** By definition, the level of the value that it is applied to. */
  readonly #roots: Level[] = [];
  readonly #levels: Level[] = [];
  readonly #patterns = new Map<string, string>();
  #written = 0;
  #indexed = 0;
  #dynamicAnchors = 0;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  link(schema: boolean | JsonObject): LinkedSchema {
    const resource = this.#addResource(BASE_URI, "", schema);
    const root = this.#index(schema, "", resource);
    this.#define(root, this.#scope(new Map()));
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      const { number, target, scope } = next;
      const level = this.#addLevel(target.pointer);
      this.#roots[number] = level;
      this.#definitions[number] = this.#write(target, { scope, level });
    }
    this.#checkFanout();
    return {
      definitions: this.#definitions,
      patterns: this.#patterns,
    };
  }

  // Finding every schema, resource and anchor.

  #addResource(uri: string, pointer: string, root: Json): Resource {
    if (this.#resources.has(uri)) throw new SchemaError("the $id appears twice in the schema", `${pointer}/$id`);
    const resource = { uri, pointer, root, anchors: new Map(), dynamicAnchors: new Map() };
    this.#resources.set(uri, resource);
    return resource;
  }

  /** Indexes a schema and all within. Recurses at most as deep as JSON may nest. */
  #index(schema: boolean | JsonObject, pointer: string, outer: Resource): Subschema {
    if (typeof schema === "boolean") return { schema, pointer, resource: outer, id: this.#indexed++ };
    if (this.#indexed > SCHEMA_SUBSCHEMAS_MAX * 2) tooMany(SCHEMA_SUBSCHEMAS_MAX * 2, pointer);
    const { resource, anchor } = this.#identify(schema, pointer, outer);
    const id = this.#indexed++;
    for (const [value, place] of children(schema, this.#dialect)) this.#index(value, `${pointer}${place}`, resource);
    const subschema = { schema, pointer, resource, id };
    this.#subschemas.set(schema, subschema);
    if (anchor !== undefined) this.#addAnchor(resource, resource.anchors, anchor, subschema);
    const { keywords } = this.#dialect;
    if (keywords.has("$anchor") && typeof schema.$anchor === "string") {
      this.#addAnchor(resource, resource.anchors, schema.$anchor, subschema);
    }
    if (keywords.has("$dynamicAnchor") && typeof schema.$dynamicAnchor === "string") {
      this.#addAnchor(resource, resource.anchors, schema.$dynamicAnchor, subschema);
      resource.dynamicAnchors.set(schema.$dynamicAnchor, subschema);
      if (++this.#dynamicAnchors > SCHEMA_DYNAMIC_ANCHORS_MAX) {
        throw new SchemaError(`the schema has more than ${SCHEMA_DYNAMIC_ANCHORS_MAX} dynamic anchors`, pointer);
      }
    }
    if (keywords.has("$recursiveAnchor") && schema.$recursiveAnchor === true && resource.root === schema) {
      resource.dynamicAnchors.set("", subschema);
    }
    return subschema;
  }

  /** The resource that a schema belongs to, and its anchor where `$id` gives one (draft-07). */
  #identify(schema: JsonObject, pointer: string, outer: Resource): { resource: Resource; anchor?: string } {
    const id = schema.$id;
    if (typeof id !== "string" || (this.#dialect.refStandsAlone && typeof schema.$ref === "string")) {
      return { resource: outer };
    }
    const url = URL.canParse(id, outer.uri) ? new URL(id, outer.uri) : undefined;
    if (url === undefined) throw new SchemaError("the $id is not a URI reference", `${pointer}/$id`);
    const anchor = decodeFragment(url);
    url.hash = "";
    if (url.href === outer.uri && outer.root !== schema) {
      return anchor === "" ? { resource: outer } : { resource: outer, anchor };
    }
    const { $schema } = schema;
    if (typeof $schema === "string" && dialectOf($schema) !== this.#dialect) {
      throw new SchemaError("a part of the schema is of another draft than the whole", `${pointer}/$schema`);
    }
    if (outer.root === schema && outer.pointer === pointer) this.#resources.delete(outer.uri);
    const resource = this.#addResource(url.href, pointer, schema);
    return anchor === "" ? { resource } : { resource, anchor };
  }

  #addAnchor(resource: Resource, anchors: Map<string, Subschema>, name: string, subschema: Subschema): void {
    const other = anchors.get(name);
    if (other !== undefined && other.schema !== subschema.schema) {
      throw new SchemaError("the anchor appears twice in the schema", subschema.pointer);
    }
    resource.anchors.set(name, subschema);
  }

  // Following references.

  /** The schema that a reference leads to, and the plain name by which it was found, if so. */
  #resolve(reference: string, from: Resource, pointer: string): { target: Subschema; anchor?: string } {
    if (!URL.canParse(reference, from.uri)) throw new SchemaError("the reference is not a URI reference", pointer);
    const url = new URL(reference, from.uri);
    const fragment = decodeFragment(url);
    url.hash = "";
    const resource = this.#resources.get(url.href) ?? this.#metaschema(url.href);
    if (resource === undefined) {
      throw new SchemaError("the reference leads out of the schema, and nothing is fetched from elsewhere", pointer);
    }
    if (fragment === "" || fragment.startsWith("/")) {
      return { target: this.#walk(resource, pointerTokens(fragment), pointer) };
    }
    const target = resource.anchors.get(fragment);
    if (target === undefined) {
      throw new SchemaError("the reference names an anchor that the schema does not have", pointer);
    }
    return { target, anchor: fragment };
  }

  /** A metaschema of this draft, indexed when it is first referred to. */
  #metaschema(uri: string): Resource | undefined {
    const metaschema = this.#dialect.metaschemas.find(({ $id }) => $id === uri || $id === `${uri}#`);
    if (metaschema === undefined) return undefined;
    const holder: Resource = {
      uri: BASE_URI,
      pointer: "",
      root: null,
      anchors: new Map(),
      dynamicAnchors: new Map(),
    };
    return this.#index(metaschema, "", holder).resource;
  }

  /** The schema at a JSON Pointer, which may also be where no keyword of the draft holds one. */
  #walk(resource: Resource, tokens: readonly string[], pointer: string): Subschema {
    let value: Json | undefined = resource.root;
    let owner = resource;
    let place = resource.pointer;
    for (const token of tokens) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, token)) value = undefined;
      else value = (value as JsonObject)[token];
      if (value === undefined) throw new SchemaError("the reference leads to nothing in the schema", pointer);
      place += `/${escapeToken(token)}`;
      if (isObject(value)) owner = this.#subschemas.get(value)?.resource ?? owner;
    }
    if (typeof value !== "boolean" && !isObject(value)) {
      throw new SchemaError("the reference leads to something that is not a schema", pointer);
    }
    return (isObject(value) ? this.#subschemas.get(value) : undefined) ?? this.#index(value, place, owner);
  }

  /** The scope inside a resource that is entered with `scope` in force: what is bound outside stays. */
  #enter(scope: Scope, resource: Resource): Scope {
    if (resource.dynamicAnchors.size === 0) return scope;
    let inside = scope.inside.get(resource);
    if (inside === undefined) {
      const anchors = new Map([...resource.dynamicAnchors, ...scope.anchors]);
      inside = anchors.size === scope.anchors.size ? scope : this.#scope(anchors);
      scope.inside.set(resource, inside);
    }
    return inside;
  }

  #scope(anchors: ReadonlyMap<string, Subschema>): Scope {
    const key = [...anchors].map(([name, { id }]) => `${id}:${name}`).sort().join(" ");
    let scope = this.#scopes.get(key);
    if (scope === undefined) {
      scope = { anchors, key, inside: new Map() };
      this.#scopes.set(key, scope);
    }
    return scope;
  }

  // Writing definitions.

  /** The number of the definition of a target in a scope. */
  #define(target: Subschema, outerScope: Scope): number {
    const scope = this.#enter(outerScope, target.resource);
    const key = `${target.id} ${scope.key}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#definitions.length;
    this.#numbers.set(key, number);
    this.#definitions.push(true);
    this.#pending.push({ number, target, scope });
    return number;
  }

  #addLevel(pointer: string): Level {
    const level = { visits: 0, calls: [], pointer };
    this.#levels.push(level);
    return level;
  }

  #write(subschema: Subschema, context: Context): Definition {
    const { schema, pointer, resource } = subschema;
    if (++this.#written > SCHEMA_SUBSCHEMAS_MAX) tooMany(SCHEMA_SUBSCHEMAS_MAX, pointer);
    context.level.visits++;
    if (typeof schema === "boolean") return schema;
    const scope = this.#enter(context.scope, resource);
    return new Writer(this, subschema, { ...context, scope }).write();
  }

  /** Writes a schema that stands at `place` within `parent`. */
  writePart(value: Json, place: string, parent: Subschema, context: Context, position: Position): Definition {
    const pointer = `${parent.pointer}${place}`;
    const part = (isObject(value) ? this.#subschemas.get(value) : undefined) ??
      this.#index(value as boolean | JsonObject, pointer, parent.resource);
    return this.#write(part, { ...context, level: position === "part" ? this.#addLevel(pointer) : context.level });
  }

  /** The number of the definition that a reference leads to. */
  callReference(reference: string, keyword: string, from: Subschema, { scope, level }: Context): number {
    const pointer = `${from.pointer}/${keyword}`;
    const { target, anchor } = this.#resolve(reference, from.resource, pointer);
    let actual = target;
    if (keyword === "$dynamicRef" && anchor !== undefined && target.resource.dynamicAnchors.get(anchor) === target) {
      actual = scope.anchors.get(anchor) ?? target;
    }
    if (keyword === "$recursiveRef" && target.resource.dynamicAnchors.has("")) {
      actual = scope.anchors.get("") ?? target;
    }
    const number = this.#define(actual, scope);
    level.calls.push({ target: number, pointer });
    return number;
  }

  addPattern(pattern: string, pointer: string): void {
    if (!this.#patterns.has(pattern)) this.#patterns.set(pattern, pointer);
  }

  get dialect(): Dialect {
    return this.#dialect;
  }

  // Bounding what one value can cost.

  /** Refuses calls that come back to the same value, long chains of calls, and too many subschemas for one value. */
  #checkFanout(): void {
    const costs: (number | "open" | undefined)[] = this.#roots.map(() => undefined);
    const heights: number[] = [];
    const cost = (number: number, pointer: string, depth: number): number => {
      const known = costs[number];
      if (known === "open") {
        throw new SchemaError("the reference leads back to itself for the same value, without an end", pointer);
      }
      if (depth + (heights[number] ?? 0) > SCHEMA_REFERENCE_CHAIN_MAX) {
        throw new SchemaError(`more than ${SCHEMA_REFERENCE_CHAIN_MAX} references follow one another`, pointer);
      }
      if (known !== undefined) return known;
      costs[number] = "open";
      const level = this.#roots[number]!;
      let total = level.visits;
      let height = 0;
      for (const call of level.calls) {
        total += cost(call.target, call.pointer, depth + 1);
        height = Math.max(height, heights[call.target]! + 1);
        if (total > SCHEMA_FANOUT_MAX) fansOut(call.pointer);
      }
      costs[number] = total;
      heights[number] = height;
      return total;
    };
    for (const level of this.#levels) {
      let total = level.visits;
      for (const call of level.calls) {
        total += cost(call.target, call.pointer, 1);
        if (total > SCHEMA_FANOUT_MAX) fansOut(call.pointer);
      }
      if (total > SCHEMA_FANOUT_MAX) fansOut(level.pointer);
    }
  }
}

/** Rules while they are written. */
type Draft = { -readonly [Keyword in keyof Rules]: Rules[Keyword] };

/** Writes one subschema in the simple form. */
class Writer {
  readonly #linker: Linker;
  readonly #subschema: Subschema;
  readonly #schema: JsonObject;
  readonly #context: Context;
  readonly #out: Draft = {};

  constructor(linker: Linker, subschema: Subschema, context: Context) {
    this.#linker = linker;
    this.#subschema = subschema;
    this.#schema = subschema.schema as JsonObject;
    this.#context = context;
  }

  write(): Definition {
    this.#references();
    if (!this.#linker.dialect.refStandsAlone || typeof this.#schema.$ref !== "string") {
      this.#values();
      this.#combinations();
      this.#arrays();
      this.#objects();
    }
    return Object.keys(this.#out).length === 0 ? true : this.#out;
  }

  /** The value of a keyword that the draft knows. */
  #get(keyword: string): Json | undefined {
    return this.#linker.dialect.keywords.has(keyword) ? this.#schema[keyword] : undefined;
  }

  #part(value: Json, place: string, position: Position): Definition {
    return this.#linker.writePart(value, place, this.#subschema, this.#context, position);
  }

  /** The schema that a keyword holds, if it does. */
  #one(keyword: string, position: Position): Definition | undefined {
    const value = this.#get(keyword);
    return isSchema(value) ? this.#part(value, `/${keyword}`, position) : undefined;
  }

  /** The schemas in the list that a keyword holds, if it does. */
  #list(keyword: string, position: Position): Definition[] | undefined {
    const value = this.#get(keyword);
    if (!Array.isArray(value)) return undefined;
    return value.map((item, i) => this.#part(item, `/${keyword}/${i}`, position));
  }

  /** The members of a keyword, each with its place. */
  #members(keyword: string): [name: string, value: Json, place: string][] {
    const value = this.#get(keyword);
    if (!isObject(value)) return [];
    return Object.entries(value).map(([name, member]) => [name, member, `/${keyword}/${escapeToken(name)}`]);
  }

  #set<Keyword extends keyof Rules>(keyword: Keyword, value: Rules[Keyword]): void {
    if (value !== undefined) this.#out[keyword] = value;
  }

  #references(): void {
    const calls: number[] = [];
    for (const keyword of ["$ref", "$dynamicRef", "$recursiveRef"]) {
      const reference = this.#get(keyword);
      if (typeof reference !== "string") continue;
      calls.push(this.#linker.callReference(reference, keyword, this.#subschema, this.#context));
    }
    if (calls.length > 0) this.#out.calls = calls;
  }

  #values(): void {
    for (const keyword of PLAIN) {
      const value = this.#get(keyword);
      if (value !== undefined) Object.assign(this.#out, { [keyword]: value });
    }
    const type = this.#get("type");
    if (type !== undefined) this.#out.type = [type].flat() as string[];
    const constant = this.#get("const");
    if (constant !== undefined) this.#out.const = [constant];
    this.#set("enum", this.#get("enum") as Json[] | undefined);
    const pattern = this.#get("pattern");
    if (typeof pattern === "string") {
      this.#linker.addPattern(pattern, `${this.#subschema.pointer}/pattern`);
      this.#out.pattern = pattern;
    }
    const format = this.#get("format");
    if (typeof format === "string" && FORMATS.has(format)) this.#out.format = format;
  }

  #combinations(): void {
    for (const keyword of ["allOf", "anyOf", "oneOf"] as const) this.#set(keyword, this.#list(keyword, "same"));
    this.#set("not", this.#one("not", "same"));
    this.#set("if", this.#one("if", "same"));
    if (this.#out.if === undefined) return;
    this.#set("then", this.#one("then", "same"));
    this.#set("else", this.#one("else", "same"));
  }

  #arrays(): void {
    const { keywords } = this.#linker.dialect;
    if (Array.isArray(this.#get("items"))) {
      this.#set("prefixItems", this.#list("items", "part"));
      this.#set("items", this.#one("additionalItems", "part"));
    } else {
      this.#set("prefixItems", this.#list("prefixItems", "part"));
      this.#set("items", this.#one("items", "part"));
    }
    this.#set("contains", this.#one("contains", "part"));
    if (this.#out.contains !== undefined) {
      this.#set("minContains", this.#get("minContains") as number | undefined);
      this.#set("maxContains", this.#get("maxContains") as number | undefined);
      this.#set("containsEvaluates", keywords.has("prefixItems") ? true : undefined);
    }
    this.#set("unevaluatedItems", this.#one("unevaluatedItems", "part"));
  }

  #objects(): void {
    const properties = this.#members("properties");
    if (properties.length > 0) {
      this.#out.properties = new Map(
        properties.map(([name, value, place]) => [name, this.#part(value, place, "part")]),
      );
    }
    const patterns = this.#members("patternProperties");
    for (const [pattern, , place] of patterns) this.#linker.addPattern(pattern, `${this.#subschema.pointer}${place}`);
    if (patterns.length > 0) {
      this.#out.patternProperties = new Map(
        patterns.map(([pattern, value, place]) => [pattern, this.#part(value, place, "part")]),
      );
    }
    this.#set("additionalProperties", this.#one("additionalProperties", "part"));
    this.#set("propertyNames", this.#one("propertyNames", "part"));
    const required = this.#get("required") as string[] | undefined;
    if (required !== undefined && required.length > 0) this.#out.required = required;
    this.#dependents();
    this.#set("unevaluatedProperties", this.#one("unevaluatedProperties", "part"));
  }

  #dependents(): void {
    const required: [string, string[]][] = [];
    const schemas: [string, Definition][] = [];
    for (const keyword of ["dependencies", "dependentRequired", "dependentSchemas"]) {
      for (const [name, value, place] of this.#members(keyword)) {
        if (Array.isArray(value)) required.push([name, value as string[]]);
        else schemas.push([name, this.#part(value, place, "same")]);
      }
    }
    if (required.length > 0) this.#out.dependentRequired = required;
    if (schemas.length > 0) this.#out.dependentSchemas = schemas;
  }
}

/** The schemas directly within a schema, each with its place. */
function* children(schema: JsonObject, dialect: Dialect): Generator<[boolean | JsonObject, string]> {
  const known = (keyword: string) => keyword === "$defs" || keyword === "definitions" || dialect.keywords.has(keyword);
  for (const keyword of HOLDS_SCHEMA) {
    const value = schema[keyword];
    if (known(keyword) && isSchema(value)) yield [value, `/${keyword}`];
  }
  for (const keyword of HOLDS_LIST) {
    const value = schema[keyword];
    if (!known(keyword) || !Array.isArray(value)) continue;
    for (const [i, item] of value.entries()) if (isSchema(item)) yield [item, `/${keyword}/${i}`];
  }
  for (const keyword of HOLDS_MAP) {
    const value = schema[keyword];
    if (!known(keyword) || !isObject(value)) continue;
    for (const [name, item] of Object.entries(value)) {
      if (isSchema(item)) yield [item, `/${keyword}/${escapeToken(name)}`];
    }
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSchema(value: Json | undefined): value is boolean | JsonObject {
  return typeof value === "boolean" || isObject(value);
}

function decodeFragment(url: URL): string {
  const fragment = url.hash.slice(1);
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}

function tooMany(max: number, pointer: string): never {
  throw new SchemaError(
    `the schema has more than ${max} subschemas when its references are followed`,
    pointer,
  );
}

function fansOut(pointer: string): never {
  throw new SchemaError(`the schema applies more than ${SCHEMA_FANOUT_MAX} subschemas to one value`, pointer);
}
