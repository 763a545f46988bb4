/**
 * Compiles JSON Schemas (draft-07, 2019-09, 2020-12) into validators that judge documents in bounded time and memory,
 * however hostile the schema or the document.
 *
 * The linker makes a schema a list of simple definitions, Ajv makes each of them a function. Every function counts its
 * work on one meter and is stopped when a document costs too much, which is a violation: such a document is not stored.
 *
 * Documents are judged as what `JSON.parse` makes of them: of a name that appears twice the last member counts, numbers
 * are doubles. So `12345678901234567890` is judged as the nearest double, and a number beyond the range of doubles
 * (`1e400`) as an integer that is larger than every `maximum`, satisfies every `minimum`, equals other such numbers of
 * its sign and is a multiple of nothing.
 */
import { Ajv2020, type AnySchema, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { SCHEMA_BYTES_MAX, SCHEMA_PATTERNS_SIZE_MAX, VIOLATION_PATHS_CHARS_MAX, VIOLATIONS_MAX } from "../limits.ts";
import { escapeToken } from "../json/pointer.ts";
import { scanDocument } from "../json/scanner.ts";
import { DEFAULT_DIALECT, type Dialect, dialectOf, type Json, type JsonObject } from "./dialect.ts";
import { FORMATS } from "./formats.ts";
import { addKeywords, type Slot } from "./keywords.ts";
import { type LinkedSchema, linkSchema, SchemaError } from "./linker.ts";
import { EnoughProblems, Meter, TooCostly } from "./meter.ts";
import { compilePattern, type Pattern, PatternError } from "./pattern.ts";

/** One way in which a document breaks a schema. `message` quotes the schema, never the document. */
export interface SchemaViolation {
  /** JSON Pointer (RFC 6901) into the document. */
  readonly path: string;
  readonly message: string;
}

/** Judges documents by one schema. Holds no reference to what it has judged. */
export interface Validator {
  /** Bytes that it may keep in memory, roughly. */
  readonly weight: number;
  /**
   * All problems of a document, at most {@linkcode VIOLATIONS_MAX}; empty: it is valid. Of alternatives that all fail
   * (`anyOf`), the first problem of each.
   */
  validate(document: Uint8Array): readonly SchemaViolation[];
}

/** A validator, or why a text is no schema that can be used. `path` is a JSON Pointer into the schema. */
export type CompiledSchema =
  | { readonly kind: "compiled"; readonly validator: Validator }
  | { readonly kind: "invalid"; readonly message: string; readonly path?: string };

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Compiles the text of a schema. */
export function compileSchema(text: Uint8Array): CompiledSchema {
  if (text.length > SCHEMA_BYTES_MAX) {
    return { kind: "invalid", message: `the schema has ${text.length} bytes; ${SCHEMA_BYTES_MAX} are allowed` };
  }
  const scanned = scanDocument(text);
  if (!scanned.ok) return { kind: "invalid", message: `the schema is not JSON: ${scanned.reason}` };
  const schema: Json = JSON.parse(decoder.decode(text));
  try {
    return { kind: "compiled", validator: compile(schema, text.length) };
  } catch (error) {
    if (error instanceof SchemaError) return { kind: "invalid", message: error.message, path: error.path };
    if (error instanceof RangeError) return { kind: "invalid", message: "the schema is too deep to be compiled" };
    throw error;
  }
}

/** @throws {SchemaError} */
function compile(schema: Json, size: number): Validator {
  if (typeof schema === "boolean") return new CompiledValidator(linkSchema(schema, DEFAULT_DIALECT), size);
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    throw new SchemaError("a schema is an object or a boolean", "");
  }
  const dialect = chooseDialect(schema);
  const [problem] = metaschemaOf(dialect).judge(schema, size * METASCHEMA_WEIGHT);
  if (problem !== undefined) {
    throw new SchemaError(`the schema breaks the rules of ${dialect.name}: ${problem.message}`, problem.path);
  }
  return new CompiledValidator(linkSchema(schema, dialect), size);
}

function chooseDialect(schema: JsonObject): Dialect {
  const { $schema } = schema;
  if (!Object.hasOwn(schema, "$schema")) return DEFAULT_DIALECT;
  const dialect = typeof $schema === "string" ? dialectOf($schema) : undefined;
  if (dialect === undefined) {
    throw new SchemaError("$schema names none of draft-07, 2019-09 and 2020-12 by its URI", "/$schema");
  }
  return dialect;
}

/** A schema may cost more than a document of its size, as the metaschemas ask for much; they are not hostile. */
const METASCHEMA_WEIGHT = 16;

/** The validators of the metaschemas, made when they are first needed. They never change, so all callers share them. */
const metaschemas = new Map<Dialect, CompiledValidator>();

function metaschemaOf(dialect: Dialect): CompiledValidator {
  let validator = metaschemas.get(dialect);
  if (validator === undefined) {
    validator = new CompiledValidator(linkSchema({ $ref: dialect.uri }, dialect), 0);
    metaschemas.set(dialect, validator);
  }
  return validator;
}

/** Bytes of generated code and data for each byte of a schema, and for each validator, as measured. */
const WEIGHT_PER_BYTE = 32;
const WEIGHT_MIN = 64 * 1024;

class CompiledValidator implements Validator {
  readonly weight: number;
  readonly #meter = new Meter();
  readonly #root: ValidateFunction;

  constructor(linked: LinkedSchema, size: number) {
    // Values in the schema are prepared by what judges values later, so that is counted too.
    this.#meter.reset(SCHEMA_BYTES_MAX);
    const patterns = compilePatterns(linked.patterns, this.#meter);
    const slots: Slot[] = linked.definitions.map(() => ({}));
    const generator = createGenerator(linked, patterns);
    addKeywords(generator, slots, this.#meter);
    linked.definitions.forEach((definition, i) => slots[i]!.validate = generator.compile(definition as AnySchema));
    this.#root = slots[0]!.validate as ValidateFunction;
    this.weight = WEIGHT_MIN + WEIGHT_PER_BYTE * size;
    for (const { weight } of patterns.values()) this.weight += weight;
  }

  validate(document: Uint8Array): readonly SchemaViolation[] {
    let value: Json;
    try {
      value = JSON.parse(decoder.decode(document));
    } catch {
      return [{ path: "", message: "must be JSON" }];
    }
    return this.judge(value, document.length);
  }

  /** As `validate`, for a value whose text has so many bytes. */
  judge(value: Json, bytes: number): readonly SchemaViolation[] {
    const meter = this.#meter;
    meter.reset(bytes);
    let problems: readonly ErrorObject[];
    try {
      if (this.#root(value)) return [];
      problems = this.#root.errors ?? [];
    } catch (error) {
      if (error instanceof EnoughProblems) problems = meter.problems as readonly ErrorObject[];
      else if (error instanceof TooCostly || error instanceof RangeError) return [TOO_COSTLY];
      else throw error;
    } finally {
      this.#root.errors = null;
      meter.problems = [];
    }
    return describe(problems);
  }
}

const TOO_COSTLY: SchemaViolation = {
  path: "",
  message: "cannot be judged: the schema asks for more work than a document of this size may cost",
};

/** @throws {SchemaError} */
function compilePatterns(sources: ReadonlyMap<string, string>, meter: Meter): ReadonlyMap<string, Pattern> {
  const patterns = new Map<string, Pattern>();
  let size = 0;
  for (const [source, path] of sources) {
    let pattern: Pattern;
    try {
      pattern = compilePattern(source, meter);
    } catch (error) {
      if (error instanceof PatternError) throw new SchemaError(error.message, path);
      throw error;
    }
    size += Math.max(16, pattern.size);
    if (size > SCHEMA_PATTERNS_SIZE_MAX) {
      throw new SchemaError(`the patterns of the schema have more than ${SCHEMA_PATTERNS_SIZE_MAX} characters`, path);
    }
    patterns.set(source, pattern);
  }
  return patterns;
}

/** An Ajv instance for one schema only: whatever it keeps goes with the validator. */
function createGenerator(linked: LinkedSchema, patterns: ReadonlyMap<string, Pattern>): Ajv2020 {
  const regExp = Object.assign((source: string) => {
    const { test } = patterns.get(source)!;
    return { test, toString: () => source };
  }, { code: "regExp" });
  const generator = new Ajv2020({
    allErrors: true,
    strict: false,
    // A number beyond the range of doubles is still a number.
    strictNumbers: false,
    logger: false,
    meta: false,
    validateSchema: false,
    addUsedSchema: false,
    inlineRefs: false,
    ownProperties: linked.inherited,
    formats: Object.fromEntries(FORMATS),
    code: { regExp, optimize: false },
  });
  Object.assign(generator.opts, { unevaluated: linked.unevaluated, dynamicRef: false });
  return generator;
}

/** Problems as violations, the place of an unwanted property being the property. */
function describe(problems: readonly ErrorObject[]): SchemaViolation[] {
  const violations: SchemaViolation[] = [];
  let chars = 0;
  for (const problem of problems) {
    const { path, message } = describeOne(problem);
    chars += path.length;
    if (violations.length > 0 && (violations.length === VIOLATIONS_MAX || chars > VIOLATION_PATHS_CHARS_MAX)) break;
    // A single path that is out of all bounds is given as far as it goes: up to the last whole token.
    const short = path.length > VIOLATION_PATHS_CHARS_MAX
      ? path.slice(0, path.lastIndexOf("/", VIOLATION_PATHS_CHARS_MAX))
      : path;
    violations.push({ path: short, message });
  }
  return violations;
}

function describeOne({ instancePath, keyword, params, propertyName, message }: ErrorObject): SchemaViolation {
  const path = instancePath ?? "";
  const member = (name: string) => `${path}/${escapeToken(name)}`;
  switch (keyword) {
    case "additionalProperties":
      return {
        path: member(params.additionalProperty),
        message: "must NOT be there: the schema does not name the property",
      };
    case "unevaluatedProperties":
      return {
        path: member(params.unevaluatedProperty),
        message: "must NOT be there: the schema does not name the property",
      };
    case "propertyNames":
      return { path: member(params.propertyName), message: "must have a name that the schema allows" };
    case "false schema":
      return { path, message: "must NOT be there: the schema allows no value" };
  }
  if (propertyName !== undefined) return { path: member(propertyName), message: `its name ${message}` };
  return { path, message: message ?? "must match the schema" };
}
