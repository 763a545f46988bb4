/**
 * Makes linked definitions functions that judge values.
 *
 * They are closures over what the schema says, not generated code: V8 keeps the text of everything that is compiled by
 * `new Function` for the life of the process (measured on Deno 2.9.6: 100,000 functions of 1 KB leave 300 MB, whatever
 * is dropped and collected), so a service that compiles whatever schemas it is given must not generate code. They also
 * compile a hundred times faster, nest to no depth that depends on the width of a schema, and stop where they are told.
 */
import ucs2length from "ajv/dist/runtime/ucs2length.js";
import type { Json, JsonObject } from "./dialect.ts";
import { findDuplicate, isMultiple, ValueSet } from "./equality.ts";
import { Evaluated } from "./evaluated.ts";
import { type Format, FORMATS, formatSteps } from "./formats.ts";
import type { Definition, LinkedSchema, Rules } from "./linker.ts";
import type { Meter } from "./meter.ts";
import type { Pattern } from "./pattern.ts";
import type { Run, Thoroughness } from "./run.ts";

/**
 * Judges a value: whether it is valid, with its problems in the run as thoroughly as the run says. What was looked at
 * is added to `seen`, where somebody asks for it.
 */
export type Check<Value = Json> = (value: Value, seen: Evaluated | undefined) => boolean;

/** Makes the function that judges a whole document. `patterns` holds every pattern of the schema. */
export function createEvaluator(linked: LinkedSchema, patterns: ReadonlyMap<string, Pattern>, run: Run): Check {
  const compiler = new Compiler(linked, patterns, run);
  return compiler.compileAll();
}

const counted: (text: string) => number = ucs2length.default;
const NOT_NAMED = "must NOT be there: the schema does not name the property";

const MANY_NAMES = 1_000;
const MANY_NAMES_STEPS = 8;

class Compiler {
  readonly #linked: LinkedSchema;
  readonly #patterns: ReadonlyMap<string, Pattern>;
  readonly #run: Run;
  readonly #meter: Meter;
  readonly #checks: Check[] = [];

  constructor(linked: LinkedSchema, patterns: ReadonlyMap<string, Pattern>, run: Run) {
    this.#linked = linked;
    this.#patterns = patterns;
    this.#run = run;
    this.#meter = run.meter;
  }

  compileAll(): Check {
    for (const definition of this.#linked.definitions) this.#checks.push(this.#compile(definition));
    return this.#checks[0]!;
  }

  #compile(definition: Definition): Check {
    const run = this.#run;
    if (definition === true) return () => true;
    if (definition === false) return () => run.problem("must NOT be there: the schema allows no value");

    const { type } = definition;
    const types = type === undefined ? ANY_TYPE : type.reduce((mask, name) => mask | TYPES[name]!, 0);
    const typeMessage = `must be ${type?.join(" or ")}`;
    const always = [...this.#values(definition), ...this.#combinations(definition)];
    const ofNumber = this.#numbers(definition);
    const ofString = this.#strings(definition);
    const ofArray = this.#arrays(definition);
    const ofObject = this.#objects(definition);
    const last = this.#unevaluated(definition);
    const meter = this.#meter;
    const judge: Check = (value, seen) => {
      meter.charge(1);
      const actual = typeOf(value);
      let valid = (actual & types) !== 0 || run.problem(typeMessage);
      if (valid || run.thoroughness === "all") valid = this.#all(always, value, seen) && valid;
      if (!valid && run.thoroughness !== "all") return false;
      switch (actual) {
        case STRING:
          return this.#all(ofString, value as string, seen) && valid;
        case INTEGER:
        case FRACTION:
          return this.#all(ofNumber, value as number, seen) && valid;
        case ARRAY:
          valid = this.#all(ofArray, value as Json[], seen) && valid;
          break;
        case OBJECT:
          valid = this.#all(ofObject, value as JsonObject, seen) && valid;
          break;
        default:
          return valid;
      }
      if (last.length === 0 || (!valid && run.thoroughness !== "all")) return valid;
      return this.#all(last, value as JsonObject | Json[], seen) && valid;
    };
    if (last.length === 0) return judge;
    // What is looked at here is asked for here, whether or not anybody outside asks.
    return (value, seen) => {
      const own = new Evaluated();
      const valid = judge(value, own);
      if (seen !== undefined) this.#take(seen, own);
      return valid;
    };
  }

  #all<Value>(checks: readonly Check<Value>[], value: Value, seen: Evaluated | undefined): boolean {
    let valid = true;
    for (let i = 0; i < checks.length; i++) {
      if (checks[i]!(value, seen)) continue;
      if (this.#run.thoroughness !== "all") return false;
      valid = false;
    }
    return valid;
  }

  #compileList(definitions: readonly Definition[] | undefined): Check[] {
    return (definitions ?? []).map((definition) => this.#compile(definition));
  }

  #take(seen: Evaluated, found: Evaluated): void {
    this.#meter.charge(found.size << 3);
    seen.addAll(found);
  }

  /** Applies a check to the same value as thoroughly as told, and takes over what it has looked at if the value is valid. */
  #attempt(check: Check, value: Json, seen: Evaluated | undefined, thoroughness: Thoroughness): boolean {
    const run = this.#run;
    const outer = run.thoroughness;
    run.thoroughness = thoroughness;
    const found = seen === undefined ? undefined : new Evaluated();
    const valid = check(value, found);
    run.thoroughness = outer;
    if (valid && found !== undefined) this.#take(seen!, found);
    return valid;
  }

  /** Applies a check to a part of the value. */
  #enter(check: Check, token: string | number, part: Json): boolean {
    const run = this.#run;
    run.enter(token);
    const valid = check(part, undefined);
    run.leave();
    return valid;
  }

  #values({ const: constant, enum: values }: Rules): Check[] {
    const run = this.#run;
    const checks: Check[] = [];
    if (constant !== undefined) {
      const allowed = new ValueSet(constant, this.#meter);
      checks.push((value) => allowed.has(value) || run.problem("must be equal to the value that the schema gives"));
    }
    if (values !== undefined) {
      const allowed = new ValueSet(values, this.#meter);
      checks.push((value) =>
        allowed.has(value) || run.problem("must be equal to one of the values that the schema lists")
      );
    }
    return checks;
  }

  #combinations(rules: Rules): Check[] {
    const run = this.#run;
    const checks: Check[] = [];
    for (const number of rules.calls ?? []) checks.push((value, seen) => this.#checks[number]!(value, seen));
    checks.push(...this.#compileList(rules.allOf));
    if (rules.anyOf !== undefined) checks.push(this.#anyOf(this.#compileList(rules.anyOf)));
    if (rules.oneOf !== undefined) checks.push(this.#oneOf(this.#compileList(rules.oneOf)));
    if (rules.not !== undefined) {
      const not = this.#compile(rules.not);
      checks.push((value) =>
        !this.#attempt(not, value, undefined, "verdict") || run.problem("must NOT match the schema in not")
      );
    }
    if (rules.if !== undefined) {
      const condition = this.#compile(rules.if);
      const then = this.#compile(rules.then ?? true);
      const otherwise = this.#compile(rules.else ?? true);
      checks.push((value, seen) => (this.#attempt(condition, value, seen, "verdict") ? then : otherwise)(value, seen));
    }
    for (const [name, definition] of rules.dependentSchemas ?? []) {
      const dependent = this.#compile(definition);
      checks.push((value, seen) => !isObject(value) || !Object.hasOwn(value, name) || dependent(value, seen));
    }
    return checks;
  }

  #anyOf(alternatives: readonly Check[]): Check {
    return (value, seen) => {
      let valid = false;
      for (const alternative of alternatives) {
        if (!this.#attempt(alternative, value, seen, "verdict")) continue;
        valid = true;
        // The others could only add to what was looked at.
        if (seen === undefined) break;
      }
      return valid || this.#explain(alternatives, value, "must match at least one of the schemas in anyOf");
    };
  }

  #oneOf(alternatives: readonly Check[]): Check {
    return (value, seen) => {
      let matching = 0;
      for (const alternative of alternatives) {
        if (this.#attempt(alternative, value, seen, "verdict") && ++matching === 2) {
          return this.#run.problem("must match only one of the schemas in oneOf");
        }
      }
      return matching === 1 || this.#explain(alternatives, value, "must match one of the schemas in oneOf");
    };
  }

  /**
   * Tells that no alternative matches, and why: the first problem of each. Only the outermost of nested alternatives is
   * explained, or the work would double with each level.
   */
  #explain(alternatives: readonly Check[], value: Json, message: string): false {
    if (this.#run.thoroughness === "all") {
      for (const alternative of alternatives) this.#attempt(alternative, value, undefined, "first");
    }
    return this.#run.problem(message);
  }

  #numbers(rules: Rules): Check<number>[] {
    const run = this.#run;
    const checks: Check<number>[] = [];
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = rules;
    if (minimum !== undefined) checks.push((value) => value >= minimum || run.problem(`must be >= ${minimum}`));
    if (maximum !== undefined) checks.push((value) => value <= maximum || run.problem(`must be <= ${maximum}`));
    if (exclusiveMinimum !== undefined) {
      checks.push((value) => value > exclusiveMinimum || run.problem(`must be > ${exclusiveMinimum}`));
    }
    if (exclusiveMaximum !== undefined) {
      checks.push((value) => value < exclusiveMaximum || run.problem(`must be < ${exclusiveMaximum}`));
    }
    if (multipleOf !== undefined) {
      checks.push((value) =>
        isMultiple(value, multipleOf, this.#meter) || run.problem(`must be multiple of ${multipleOf}`)
      );
    }
    const format = formatOf(rules);
    if (typeof format === "object") {
      checks.push((value) => format.validate(value) || run.problem(`must match format "${rules.format}"`));
    }
    return checks;
  }

  #strings(rules: Rules): Check<string>[] {
    const run = this.#run;
    const meter = this.#meter;
    const checks: Check<string>[] = [];
    const { minLength, maxLength } = rules;
    const length = (text: string): number => {
      meter.charge(text.length >> 4);
      return counted(text);
    };
    // Code points are counted only where the number of UTF-16 units leaves a doubt.
    if (minLength !== undefined) {
      checks.push((value) =>
        value.length >= minLength * 2 || (value.length >= minLength && length(value) >= minLength) ||
        run.problem(`must NOT have fewer than ${minLength} characters`)
      );
    }
    if (maxLength !== undefined) {
      checks.push((value) =>
        value.length <= maxLength || (value.length <= maxLength * 2 && length(value) <= maxLength) ||
        run.problem(`must NOT have more than ${maxLength} characters`)
      );
    }
    if (rules.pattern !== undefined) {
      const pattern = this.#patterns.get(rules.pattern)!;
      checks.push((value) => pattern.test(value) || run.problem(`must match pattern "${pattern.source}"`));
    }
    const format = formatOf(rules);
    if (typeof format === "function") {
      checks.push((value) => {
        meter.charge(formatSteps(rules.format!, value));
        return format(value) || run.problem(`must match format "${rules.format}"`);
      });
    }
    return checks;
  }

  #arrays(rules: Rules): Check<Json[]>[] {
    const run = this.#run;
    const checks: Check<Json[]>[] = [];
    const { minItems, maxItems } = rules;
    if (minItems !== undefined) {
      checks.push((value) => value.length >= minItems || run.problem(`must NOT have fewer than ${minItems} items`));
    }
    if (maxItems !== undefined) {
      checks.push((value) => value.length <= maxItems || run.problem(`must NOT have more than ${maxItems} items`));
    }
    if (rules.prefixItems !== undefined || rules.items !== undefined) {
      checks.push(this.#items(this.#compileList(rules.prefixItems), rules.items));
    }
    if (rules.contains !== undefined) checks.push(this.#contains(rules));
    if (rules.uniqueItems === true) {
      checks.push((value) => {
        const found = findDuplicate(value, this.#meter);
        return found === undefined ||
          run.problem(`must NOT have duplicate items (items ${found[0]} and ${found[1]} are equal)`);
      });
    }
    return checks;
  }

  #items(prefix: readonly Check[], items: Definition | undefined): Check<Json[]> {
    const run = this.#run;
    const rest = items === undefined || items === true ? undefined : this.#compile(items);
    return (value, seen) => {
      const end = rest === undefined ? Math.min(prefix.length, value.length) : value.length;
      seen?.addPrefix(items === undefined ? end : value.length);
      let valid = true;
      for (let i = 0; i < end; i++) {
        if (this.#enter(i < prefix.length ? prefix[i]! : rest!, i, value[i]!)) continue;
        if (run.thoroughness !== "all") return false;
        valid = false;
      }
      return valid;
    };
  }

  #contains(rules: Rules): Check<Json[]> {
    const run = this.#run;
    const check = this.#compile(rules.contains!);
    const min = rules.minContains ?? 1;
    const max = rules.maxContains ?? Infinity;
    const message = max === Infinity
      ? `must contain at least ${min} matching items`
      : `must contain at least ${min} and no more than ${max} matching items`;
    return (value, seen) => {
      const matched = rules.containsEvaluates ? seen : undefined;
      let count = 0;
      for (let i = 0; i < value.length; i++) {
        if (!this.#attempt(check, value[i]!, undefined, "verdict")) continue;
        count++;
        matched?.addItem(i);
        if (matched === undefined && (max === Infinity ? count >= min : count > max)) break;
      }
      return (count >= min && count <= max) || run.problem(message);
    };
  }

  #objects(rules: Rules): Check<JsonObject>[] {
    const run = this.#run;
    const meter = this.#meter;
    const checks: Check<JsonObject>[] = [];
    const { required, dependentRequired, minProperties, maxProperties } = rules;
    if (required !== undefined) {
      checks.push((value) => {
        meter.charge(required.length >> 2);
        let valid = true;
        for (const name of required) {
          if (Object.hasOwn(value, name)) continue;
          valid = run.problem(`must have required property '${name}'`);
          if (run.thoroughness !== "all") return false;
        }
        return valid;
      });
    }
    if (minProperties !== undefined) {
      checks.push((value) =>
        this.#namesOf(value).length >= minProperties ||
        run.problem(`must NOT have fewer than ${minProperties} properties`)
      );
    }
    if (maxProperties !== undefined) {
      checks.push((value) =>
        this.#namesOf(value).length <= maxProperties ||
        run.problem(`must NOT have more than ${maxProperties} properties`)
      );
    }
    for (const [name, needed] of dependentRequired ?? []) {
      checks.push((value) => {
        if (!Object.hasOwn(value, name)) return true;
        meter.charge(needed.length >> 2);
        let valid = true;
        for (const other of needed) {
          if (Object.hasOwn(value, other)) continue;
          valid = run.problem(`must have property '${other}' when property '${name}' is present`);
          if (run.thoroughness !== "all") return false;
        }
        return valid;
      });
    }
    const members = this.#members(rules);
    if (members !== undefined) checks.push(members);
    return checks;
  }

  /** The keywords that are asked of each member of an object. */
  #members(rules: Rules): Check<JsonObject> | undefined {
    const { properties, patternProperties, additionalProperties, propertyNames } = rules;
    if ((properties ?? patternProperties ?? additionalProperties ?? propertyNames) === undefined) return undefined;
    const run = this.#run;
    const meter = this.#meter;
    const byName = new Map([...properties ?? []].map(([name, definition]) => [name, this.#compile(definition)]));
    const byPattern = [...patternProperties ?? []].map(([source, definition]) => ({
      pattern: this.#patterns.get(source)!,
      check: this.#compile(definition),
    }));
    const additional = additionalProperties === undefined ? undefined : this.#compile(additionalProperties);
    const ofName = propertyNames === undefined ? undefined : this.#compile(propertyNames);

    if (byPattern.length === 0 && additional === undefined && ofName === undefined) {
      return this.#properties([...byName].map(([name, check]) => ({ name, check })));
    }
    const member = (name: string, part: Json, seen: Evaluated | undefined): boolean => {
      meter.charge(1 + (name.length >> 5));
      let valid = true;
      let known = false;
      const named = byName.get(name);
      if (named !== undefined) {
        known = true;
        valid = this.#enter(named, name, part);
      }
      for (let i = 0; i < byPattern.length && (valid || run.thoroughness === "all"); i++) {
        const { pattern, check } = byPattern[i]!;
        if (!pattern.test(name)) continue;
        known = true;
        valid = this.#enter(check, name, part) && valid;
      }
      if (!known && additional !== undefined) {
        known = true;
        valid = additionalProperties === false ? run.problem(NOT_NAMED, name) : this.#enter(additional, name, part);
      }
      if (known) seen?.addName(name);
      if (ofName !== undefined && (valid || run.thoroughness === "all")) {
        valid = this.#name(ofName, name) && valid;
      }
      return valid;
    };
    return (value, seen) => {
      let valid = true;
      for (const name of this.#namesOf(value)) {
        if (member(name, value[name]!, seen)) continue;
        if (run.thoroughness !== "all") return false;
        valid = false;
      }
      return valid;
    };
  }

  /** The members that the schema names, where nothing is asked of others. */
  #properties(properties: readonly { readonly name: string; readonly check: Check }[]): Check<JsonObject> {
    const run = this.#run;
    const meter = this.#meter;
    return (value, seen) => {
      meter.charge(properties.length >> 2);
      let valid = true;
      for (let i = 0; i < properties.length; i++) {
        const { name, check } = properties[i]!;
        if (!Object.hasOwn(value, name)) continue;
        seen?.addName(name);
        if (this.#enter(check, name, value[name]!)) continue;
        if (run.thoroughness !== "all") return false;
        valid = false;
      }
      return valid;
    };
  }

  /** The names of an object, which take long to list and to look up where they are many. */
  #namesOf(value: JsonObject): string[] {
    const names = Object.keys(value);
    if (names.length > MANY_NAMES) this.#meter.charge(names.length * MANY_NAMES_STEPS);
    return names;
  }

  /** Judges a name, with its problems at the place of its member. */
  #name(check: Check, name: string): boolean {
    const run = this.#run;
    const outer = run.subject;
    run.subject = "its name ";
    const valid = this.#enter(check, name, name);
    run.subject = outer;
    return valid;
  }

  #unevaluated(rules: Rules): Check<JsonObject | Json[]>[] {
    const run = this.#run;
    const meter = this.#meter;
    const checks: Check<JsonObject | Json[]>[] = [];
    if (rules.unevaluatedItems !== undefined) {
      const check = this.#compile(rules.unevaluatedItems);
      checks.push((value, seen) => {
        if (!Array.isArray(value)) return true;
        let valid = true;
        for (let i = 0; i < value.length; i++) {
          meter.charge(1);
          if (seen!.hasItem(i) || this.#enter(check, i, value[i]!)) continue;
          if (run.thoroughness !== "all") return false;
          valid = false;
        }
        seen!.addPrefix(value.length);
        return valid;
      });
    }
    if (rules.unevaluatedProperties !== undefined) {
      const check = this.#compile(rules.unevaluatedProperties);
      checks.push((value, seen) => {
        if (Array.isArray(value)) return true;
        let valid = true;
        for (const name of this.#namesOf(value)) {
          meter.charge(1);
          if (seen!.hasName(name)) continue;
          const fits = rules.unevaluatedProperties === false
            ? run.problem(NOT_NAMED, name)
            : this.#enter(check, name, value[name]!);
          if (!fits && run.thoroughness !== "all") return false;
          if (!fits) valid = false;
          seen!.addName(name);
        }
        return valid;
      });
    }
    return checks;
  }
}

const NULL = 1;
const BOOLEAN = 2;
const STRING = 4;
const INTEGER = 8;
const FRACTION = 16;
const ARRAY = 32;
const OBJECT = 64;
const ANY_TYPE = 127;

/** The types of JSON Schema as sets of those above. */
const TYPES: Readonly<Record<string, number>> = {
  null: NULL,
  boolean: BOOLEAN,
  string: STRING,
  integer: INTEGER,
  number: INTEGER | FRACTION,
  array: ARRAY,
  object: OBJECT,
};

/** A number without a fraction is an integer, one beyond the range of doubles too. */
function typeOf(value: Json): number {
  switch (typeof value) {
    case "string":
      return STRING;
    case "number":
      return Number.isInteger(value) || !Number.isFinite(value) ? INTEGER : FRACTION;
    case "boolean":
      return BOOLEAN;
    default:
      return value === null ? NULL : Array.isArray(value) ? ARRAY : OBJECT;
  }
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function formatOf({ format }: Rules): Format | undefined {
  return format === undefined ? undefined : FORMATS.get(format);
}
