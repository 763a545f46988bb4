/**
 * Compiles JSON Schemas (draft-07, 2019-09, 2020-12) into validators that judge documents in bounded time and memory,
 * however hostile the schema or the document.
 *
 * The linker makes a schema a list of simple definitions, the evaluator makes these functions. Every function counts its
 * work on one meter, and a document that costs more than it may is not valid: so it is not stored.
 *
 * Documents are judged as what `JSON.parse` makes of them: of a name that appears twice the last member counts, numbers
 * are doubles. So `12345678901234567890` is judged as the nearest double, and a number beyond the range of doubles
 * (`1e400`) as an integer that is larger than every `maximum`, satisfies every `minimum`, equals other such numbers of
 * its sign and is a multiple of nothing.
 */
import { SCHEMA_BYTES_MAX, SCHEMA_PATTERNS_SIZE_MAX } from "../limits.ts";
import { scanDocument } from "../json/scanner.ts";
import { DEFAULT_DIALECT, type Dialect, dialectOf, type Json, type JsonObject } from "./dialect.ts";
import { type Check, createEvaluator } from "./evaluator.ts";
import { type LinkedSchema, linkSchema, SchemaError } from "./linker.ts";
import { type Meter, TooCostly } from "./meter.ts";
import { compilePattern, type Pattern, PatternError } from "./pattern.ts";
import { EnoughProblems, Run, type SchemaViolation } from "./run.ts";

export type { SchemaViolation };

/** Judges documents by one schema. Holds no reference to what it has judged. */
export interface Validator {
  /** Bytes that it may keep in memory, roughly. */
  readonly weight: number;
  /**
   * All problems of a document, at most `VIOLATIONS_MAX`; empty: it is valid. Of alternatives that all fail
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

/** Bytes of functions and data for each byte of a schema, and for each validator, as measured. */
const WEIGHT_PER_BYTE = 40;
const WEIGHT_MIN = 24 * 1024;

class CompiledValidator implements Validator {
  readonly weight: number;
  readonly #run = new Run();
  readonly #check: Check;

  constructor(linked: LinkedSchema, size: number) {
    // Values in the schema are prepared by what judges values later, so that is counted too.
    this.#run.begin(SCHEMA_BYTES_MAX);
    const patterns = compilePatterns(linked.patterns, this.#run.meter);
    this.#check = createEvaluator(linked, patterns, this.#run);
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
    const run = this.#run;
    run.begin(bytes);
    try {
      if (this.#check(value, undefined)) return NONE;
    } catch (error) {
      // A schema that descends deeper than the stack asks for too much as well.
      if (error instanceof TooCostly || error instanceof RangeError) run.violations.push(TOO_COSTLY);
      else if (!(error instanceof EnoughProblems)) throw error;
    }
    const { violations } = run;
    run.violations = [];
    return violations;
  }
}

const NONE: readonly SchemaViolation[] = [];

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
