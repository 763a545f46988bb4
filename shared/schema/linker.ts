/**
 * Turns a JSON Schema of any supported draft into definitions of one simple form, in which nothing is left to resolve.
 *
 * Every `$id`, anchor, `$ref`, `$recursiveRef` and `$dynamicRef` is followed here; what remains are calls from one
 * numbered definition to another. Dynamic references depend on the way by which a schema was reached, so a definition
 * is made for each pair of a target and the anchors that are in force there (partial evaluation: the pairs are finite,
 * and one in nearly all schemas). Keywords of older drafts are written in their newer form, keywords without effect are
 * left out, so the code generator sees none that it would take to mean something.
 *
 * And here is refused what would stop a worker: schemas that are too large, that apply themselves to the same value
 * without end, or that apply too many subschemas to one value.
 */
import {
  SCHEMA_ALTERNATIVES_MAX,
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

/**
 * A definition: a boolean, or the 2020-12 keywords that need nothing resolved, and these of our own:
 * `x-call` (apply the definition of this number), `x-branch` (the same where only the verdict counts) and `x-steps`
 * ({@linkcode StepCosts}).
 */
export type Definition = boolean | Record<string, unknown>;

/** What one application of a subschema costs beside the subschemas that it applies. */
export interface StepCosts {
  readonly own: number;
  /** How often the names of an object are gone through. */
  readonly names: number;
  /** Whether the characters of a string are gone through. */
  readonly text: boolean;
  /** Whether problems found here are reported. If not, only the verdict counts. */
  readonly report: boolean;
}

/** Definition 0 is the schema itself. */
export interface LinkedSchema {
  readonly definitions: readonly Definition[];
  /** Whether `unevaluatedItems` or `unevaluatedProperties` is used. */
  readonly unevaluated: boolean;
  /** Whether it names a property that every object of the language inherits. */
  readonly inherited: boolean;
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
  /** Subschemas in it, itself included. */
  readonly size: number;
  readonly id: number;
}

/** The dynamic anchors in force: by name, the outermost one. `key` is equal for equal scopes. */
interface Scope {
  readonly anchors: ReadonlyMap<string, Subschema>;
  readonly key: string;
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
  readonly report: boolean;
}

/** How a subschema relates to the one around it. */
type Position = "same" | "branch" | "part" | "part branch";

const BASE_URI = "http://schema.invalid/";
const NO_SCOPE: Scope = { anchors: new Map(), key: "" };
/** Branches with more subschemas become functions of their own: code for a verdict nests, and nests only so deep. */
const BRANCH_SIZE_MAX = 24;

const INHERITED = new Set(Object.getOwnPropertyNames(Object.prototype));

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
  readonly #numbers = new Map<string, number>();
  readonly #pending: { readonly number: number; readonly target: Subschema; readonly scope: Scope }[] = [];
  readonly #definitions: Definition[] = [];
  /** By definition, the level of the value that it is applied to. */
  readonly #roots: Level[] = [];
  readonly #levels: Level[] = [];
  readonly #patterns = new Map<string, string>();
  #written = 0;
  #indexed = 0;
  #unevaluated = false;
  #inherited = false;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  link(schema: boolean | JsonObject): LinkedSchema {
    this.#unevaluated = this.#dialect.keywords.has("unevaluatedItems") && namesUnevaluated(schema);
    const resource = this.#addResource(BASE_URI, "", schema);
    const root = this.#index(schema, "", resource);
    this.#define(root, NO_SCOPE);
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      const { number, target, scope } = next;
      const level = this.#addLevel(target.pointer);
      this.#roots[number] = level;
      this.#definitions[number] = this.#write(target, { scope, level, report: true });
    }
    this.#checkFanout();
    return {
      definitions: this.#definitions,
      unevaluated: this.#unevaluated,
      inherited: this.#inherited,
      patterns: this.#patterns,
    };
  }

  /** Code for `unevaluated…` grows with the square of the subschemas that apply to a value. */
  get #subschemasMax(): number {
    return this.#unevaluated ? SCHEMA_SUBSCHEMAS_MAX / 2 : SCHEMA_SUBSCHEMAS_MAX;
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
    if (typeof schema === "boolean") return { schema, pointer, resource: outer, size: 1, id: this.#indexed++ };
    if (this.#indexed > SCHEMA_SUBSCHEMAS_MAX * 2) tooMany(SCHEMA_SUBSCHEMAS_MAX * 2, pointer);
    const { resource, anchor } = this.#identify(schema, pointer, outer);
    const id = this.#indexed++;
    let size = 1;
    for (const [value, place] of children(schema, this.#dialect)) {
      size += this.#index(value, `${pointer}${place}`, resource).size;
    }
    const subschema = { schema, pointer, resource, size, id };
    this.#subschemas.set(schema, subschema);
    if (anchor !== undefined) this.#addAnchor(resource, resource.anchors, anchor, subschema);
    const { keywords } = this.#dialect;
    if (keywords.has("$anchor") && typeof schema.$anchor === "string") {
      this.#addAnchor(resource, resource.anchors, schema.$anchor, subschema);
    }
    if (keywords.has("$dynamicAnchor") && typeof schema.$dynamicAnchor === "string") {
      this.#addAnchor(resource, resource.anchors, schema.$dynamicAnchor, subschema);
      resource.dynamicAnchors.set(schema.$dynamicAnchor, subschema);
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
    let anchors: Map<string, Subschema> | undefined;
    for (const [name, subschema] of resource.dynamicAnchors) {
      if (scope.anchors.has(name)) continue;
      anchors ??= new Map(scope.anchors);
      anchors.set(name, subschema);
    }
    if (anchors === undefined) return scope;
    return { anchors, key: [...anchors].map(([name, { id }]) => `${id}:${name}`).sort().join(" ") };
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
    if (++this.#written > this.#subschemasMax) tooMany(this.#subschemasMax, pointer);
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
    const level = position.startsWith("part") ? this.#addLevel(pointer) : context.level;
    const report = context.report && !position.endsWith("branch");
    if (!report && part.size > BRANCH_SIZE_MAX) {
      return this.#call(part, pointer, { ...context, level, report });
    }
    return this.#write(part, { scope: context.scope, level, report });
  }

  /** Writes a call of what a reference leads to. */
  writeReference(reference: string, keyword: string, from: Subschema, context: Context): Definition {
    const pointer = `${from.pointer}/${keyword}`;
    const { target, anchor } = this.#resolve(reference, from.resource, pointer);
    let actual = target;
    if (keyword === "$dynamicRef" && anchor !== undefined && target.resource.dynamicAnchors.get(anchor) === target) {
      actual = context.scope.anchors.get(anchor) ?? target;
    }
    if (keyword === "$recursiveRef" && target.resource.dynamicAnchors.has("")) {
      actual = context.scope.anchors.get("") ?? target;
    }
    return this.#call(actual, pointer, context);
  }

  /**
   * What `contains` asks for on behalf of `unevaluatedItems` in the same schema: in 2020-12 an item that it matches is
   * evaluated. It is looked for in all that may apply to the same value. Of a branch that does not apply or fails, the
   * `contains` counts too, which the specification denies: items that only such a branch asks for are let pass.
   */
  writeContained(subschema: Subschema, context: Context): Definition[] {
    if (!this.#dialect.keywords.has("prefixItems")) return [];
    const level = this.#addLevel(`${subschema.pointer}/unevaluatedItems`);
    const written: Definition[] = [];
    const seen = new Set<Subschema>();
    const visit = (place: Subschema): void => {
      if (seen.has(place) || typeof place.schema === "boolean") return;
      seen.add(place);
      for (const [value, keyword, pointer] of inPlace(place.schema)) {
        if (typeof value === "string") {
          visit(this.#resolve(value, place.resource, `${place.pointer}${pointer}`).target);
          continue;
        }
        const part = this.#subschemas.get(value);
        if (part === undefined) continue;
        if (keyword !== "contains") visit(part);
        else written.push(this.#call(part, part.pointer, { scope: context.scope, level, report: false }));
      }
    };
    visit(subschema);
    return written;
  }

  #call(target: Subschema, pointer: string, { scope, level, report }: Context): Definition {
    const number = this.#define(target, scope);
    level.calls.push({ target: number, pointer });
    return { [report ? "x-call" : "x-branch"]: number };
  }

  addPattern(pattern: string, pointer: string): void {
    if (!this.#patterns.has(pattern)) this.#patterns.set(pattern, pointer);
  }

  get dialect(): Dialect {
    return this.#dialect;
  }

  /** Whether `unevaluatedItems` or `unevaluatedProperties` may be used. */
  get unevaluated(): boolean {
    return this.#unevaluated;
  }

  notePropertyNames(names: Iterable<string>): void {
    for (const name of names) if (INHERITED.has(name)) this.#inherited = true;
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

/** Writes one subschema in the simple form. */
class Writer {
  readonly #linker: Linker;
  readonly #subschema: Subschema;
  readonly #schema: JsonObject;
  readonly #context: Context;
  readonly #out: Record<string, unknown> = {};
  /** Further schemas that must hold. */
  readonly #allOf: Definition[] = [];
  #own = 0;
  #names = 0;
  #text = false;

  constructor(linker: Linker, subschema: Subschema, context: Context) {
    this.#linker = linker;
    this.#subschema = subschema;
    this.#schema = subschema.schema as JsonObject;
    this.#context = context;
  }

  write(): Definition {
    const { refStandsAlone } = this.#linker.dialect;
    this.#references();
    if (!refStandsAlone || typeof this.#schema.$ref !== "string") {
      this.#values();
      this.#combinations();
      this.#arrays();
      this.#objects();
    }
    const out = this.#out;
    if (this.#allOf.length === 1 && Object.keys(out).length === 0) return this.#allOf[0]!;
    if (this.#allOf.length > 0) out.allOf = this.#allOf;
    if (Object.keys(out).length === 0) return true;
    out["x-steps"] = {
      own: 1 + (this.#own >> 3),
      names: this.#names,
      text: this.#text,
      report: this.#context.report,
    } satisfies StepCosts;
    return out;
  }

  /** A subschema that stands nowhere in the schema. */
  #made(keywords: Record<string, unknown>): Definition {
    const costs: StepCosts = { own: 2, names: 0, text: false, report: false };
    return { ...keywords, "x-steps": costs };
  }

  /** The value of a keyword that the draft knows. */
  #get(keyword: string): Json | undefined {
    return this.#linker.dialect.keywords.has(keyword) ? this.#schema[keyword] : undefined;
  }

  #part(value: Json, place: string, position: Position): Definition {
    return this.#linker.writePart(value, place, this.#subschema, this.#context, position);
  }

  #references(): void {
    for (const keyword of ["$ref", "$dynamicRef", "$recursiveRef"]) {
      const reference = this.#get(keyword);
      if (typeof reference !== "string") continue;
      this.#allOf.push(this.#linker.writeReference(reference, keyword, this.#subschema, this.#context));
    }
  }

  #values(): void {
    for (const keyword of PLAIN) {
      const value = this.#get(keyword);
      if (value !== undefined) this.#out[keyword] = value;
    }
    if (this.#schema.minLength !== undefined || this.#schema.maxLength !== undefined) this.#text = true;
    if (this.#schema.minProperties !== undefined || this.#schema.maxProperties !== undefined) this.#names++;
    const values = this.#get("const") === undefined ? this.#get("enum") : [this.#get("const")!];
    if (this.#get("const") !== undefined) this.#out.const = this.#get("const");
    if (this.#get("enum") !== undefined) this.#out.enum = this.#get("enum");
    this.#own += values === undefined ? 0 : 8;
    const pattern = this.#get("pattern");
    if (typeof pattern === "string") {
      this.#linker.addPattern(pattern, `${this.#subschema.pointer}/pattern`);
      this.#out.pattern = pattern;
    }
    const format = this.#get("format");
    if (typeof format === "string" && FORMATS.has(format)) {
      this.#out.format = format;
      this.#text = true;
    }
  }

  #combinations(): void {
    const all = this.#get("allOf");
    if (Array.isArray(all)) {
      all.forEach((value, i) => this.#allOf.push(this.#part(value, `/allOf/${i}`, "same")));
    }
    for (const keyword of ["anyOf", "oneOf"]) {
      const alternatives = this.#get(keyword);
      if (Array.isArray(alternatives)) this.#alternatives(keyword, alternatives);
    }
    const not = this.#get("not");
    if (not !== undefined) this.#out.not = this.#part(not, "/not", "branch");
    if (this.#get("if") !== undefined) this.#condition(this.#get("if")!);
  }

  #condition(condition: Json): void {
    const written = this.#part(condition, "/if", "branch");
    for (const keyword of ["then", "else"]) {
      const value = this.#get(keyword);
      if (value !== undefined) this.#out[keyword] = this.#part(value, `/${keyword}`, "same");
    }
    if (!this.#linker.unevaluated) {
      if (this.#out.then !== undefined || this.#out.else !== undefined) this.#out.if = written;
      return;
    }
    // What a condition has looked at counts if and only if it holds; the code generator takes it in any case. So that
    // is left to an alternative, and the condition is asked in a form that looks at nothing.
    this.#out.if = this.#made({ not: this.#made({ not: written }) });
    this.#allOf.push(this.#made({ anyOf: [this.#part(condition, "/if", "branch"), true] }));
  }

  /** Alternatives that are nothing but constants become one `enum`, in which a constant that appears twice is none of oneOf. */
  #alternatives(keyword: string, alternatives: readonly Json[]): void {
    const written: Definition[] = [];
    const constants = new Map<string, Json>();
    const repeated = new Set<string>();
    alternatives.forEach((value, i) => {
      const constant = isObject(value) ? soleConstant(value, this.#linker.dialect) : undefined;
      if (constant === undefined || alternatives.length < 4) {
        written.push(this.#part(value, `/${keyword}/${i}`, "branch"));
        return;
      }
      const key = canonicalScalar(constant);
      if (constants.has(key)) repeated.add(key);
      constants.set(key, constant);
    });
    if (keyword === "oneOf") { for (const key of repeated) constants.delete(key); }
    if (constants.size > 0) {
      written.push(this.#made({ enum: [...constants.values()] }));
    }
    if (written.length > SCHEMA_ALTERNATIVES_MAX) {
      throw new SchemaError(
        `${keyword} has ${written.length} alternatives; ${SCHEMA_ALTERNATIVES_MAX} are allowed`,
        `${this.#subschema.pointer}/${keyword}`,
      );
    }
    this.#out[keyword] = written.length === 0 ? [false] : written;
  }

  #arrays(): void {
    const items = this.#get("items");
    const prefix = this.#get("prefixItems") ?? (Array.isArray(items) ? items : undefined);
    if (Array.isArray(prefix) && prefix.length > 0) {
      const name = this.#get("prefixItems") === undefined ? "items" : "prefixItems";
      this.#out.prefixItems = prefix.map((value, i) => this.#part(value, `/${name}/${i}`, "part"));
    }
    if (Array.isArray(items)) {
      const additional = this.#get("additionalItems");
      if (additional !== undefined) this.#out.items = this.#part(additional, "/additionalItems", "part");
    } else if (items !== undefined) {
      this.#out.items = this.#part(items, "/items", "part");
    }
    const contains = this.#get("contains");
    if (contains !== undefined) {
      this.#out.contains = this.#part(contains, "/contains", "part branch");
      for (const keyword of ["minContains", "maxContains"]) {
        const value = this.#get(keyword);
        if (value !== undefined) this.#out[keyword] = value;
      }
    }
    const unevaluated = this.#get("unevaluatedItems");
    if (unevaluated === undefined) return;
    const rest = this.#part(unevaluated, "/unevaluatedItems", "part");
    const matched = this.#linker.writeContained(this.#subschema, this.#context);
    this.#out.unevaluatedItems = matched.length === 0 ? rest : this.#made({ anyOf: [...matched, rest] });
  }

  #objects(): void {
    const patterns: Record<string, Definition> = {};
    const properties = this.#get("properties");
    if (isObject(properties)) {
      const out: Record<string, Definition> = {};
      for (const [name, value] of Object.entries(properties)) {
        const definition = this.#part(value, `/properties/${escapeToken(name)}`, "part");
        // The code generator skips this name among properties.
        if (name === "__proto__") this.#pattern(patterns, "^__proto__$", definition, "/properties");
        else out[name] = definition;
      }
      this.#linker.notePropertyNames(Object.keys(properties));
      this.#own += Object.keys(out).length;
      this.#out.properties = out;
    }
    const patternProperties = this.#get("patternProperties");
    if (isObject(patternProperties)) {
      for (const [pattern, value] of Object.entries(patternProperties)) {
        const place = `/patternProperties/${escapeToken(pattern)}`;
        this.#pattern(patterns, pattern, this.#part(value, place, "part"), place);
      }
    }
    const patternCount = Object.keys(patterns).length;
    if (patternCount > 0) {
      this.#out.patternProperties = patterns;
      this.#names += patternCount;
    }
    for (const keyword of ["additionalProperties", "unevaluatedProperties"]) {
      const value = this.#get(keyword);
      if (value === undefined) continue;
      this.#out[keyword] = this.#part(value, `/${keyword}`, "part");
      this.#names += 1 + patternCount;
    }
    const propertyNames = this.#get("propertyNames");
    if (propertyNames !== undefined) {
      this.#out.propertyNames = this.#part(propertyNames, "/propertyNames", "part");
      this.#names++;
    }
    const required = this.#get("required");
    if (Array.isArray(required)) this.#required(required as string[]);
    this.#dependents();
  }

  #pattern(patterns: Record<string, Definition>, pattern: string, definition: Definition, place: string): void {
    this.#linker.addPattern(pattern, `${this.#subschema.pointer}${place}`);
    if (Object.hasOwn(patterns, pattern)) patterns[pattern] = this.#made({ allOf: [patterns[pattern], definition] });
    else patterns[pattern] = definition;
  }

  #required(names: readonly string[]): void {
    this.#linker.notePropertyNames(names);
    this.#own += names.length;
    if (names.length > 0) this.#out.required = names;
  }

  #dependents(): void {
    const required: Record<string, readonly string[]> = {};
    const schemas: Record<string, Definition> = {};
    const add = (name: string, value: Json, place: string): void => {
      this.#linker.notePropertyNames([name]);
      this.#own++;
      const names = Array.isArray(value) ? value as string[] : undefined;
      if (names !== undefined) {
        this.#linker.notePropertyNames(names);
        this.#own += names.length;
      }
      const then = names === undefined ? this.#part(value, place, "same") : this.#made({ required: names });
      if (name === "__proto__") {
        // The code generator skips this name among dependencies.
        this.#allOf.push(this.#made({ if: this.#made({ required: [name] }), then }));
      } else if (names !== undefined) {
        required[name] = [...new Set([...Object.hasOwn(required, name) ? required[name]! : [], ...names])];
      } else {
        schemas[name] = Object.hasOwn(schemas, name) ? this.#made({ allOf: [schemas[name], then] }) : then;
      }
    };
    for (const keyword of ["dependencies", "dependentRequired", "dependentSchemas"]) {
      const dependents = this.#get(keyword);
      if (!isObject(dependents)) continue;
      for (const [name, value] of Object.entries(dependents)) add(name, value, `/${keyword}/${escapeToken(name)}`);
    }
    if (Object.keys(required).length > 0) this.#out.dependentRequired = required;
    if (Object.keys(schemas).length > 0) this.#out.dependentSchemas = schemas;
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

/** `contains`, references, and the schemas that apply to the same value as this one, each with its keyword and place. */
function* inPlace(schema: JsonObject): Generator<[JsonObject | string, string, string]> {
  for (const keyword of ["contains", "if", "then", "else"]) {
    const value = schema[keyword];
    if (isObject(value)) yield [value, keyword, `/${keyword}`];
  }
  for (const keyword of ["allOf", "anyOf", "oneOf"]) {
    const list = schema[keyword];
    if (!Array.isArray(list)) continue;
    for (const [i, value] of list.entries()) if (isObject(value)) yield [value, keyword, `/${keyword}/${i}`];
  }
  const dependents = schema.dependentSchemas;
  for (const [name, value] of Object.entries(isObject(dependents) ? dependents : {})) {
    if (isObject(value)) yield [value, "dependentSchemas", `/dependentSchemas/${escapeToken(name)}`];
  }
  for (const keyword of ["$ref", "$dynamicRef"]) {
    const reference = schema[keyword];
    if (typeof reference === "string") yield [reference, keyword, `/${keyword}`];
  }
}

/** Whether a schema has an `unevaluated…` keyword anywhere, or a property that is named like one. */
function namesUnevaluated(value: Json): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(namesUnevaluated);
  return Object.entries(value).some(([name, member]) => name.startsWith("unevaluated") || namesUnevaluated(member));
}

/** The scalar constant that is all that a schema asks for. */
function soleConstant(schema: JsonObject, dialect: Dialect): string | number | boolean | null | undefined {
  const effective = Object.keys(schema).filter((keyword) => dialect.keywords.has(keyword) || keyword.startsWith("$"));
  const value = schema.const;
  if (effective.length !== 1 || effective[0] !== "const") return undefined;
  return typeof value === "object" && value !== null ? undefined : value;
}

function canonicalScalar(value: string | number | boolean | null): string {
  return `${typeof value} ${value === 0 ? 0 : value}`;
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
