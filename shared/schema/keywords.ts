/**
 * The keywords that the code generator gets from us: calls between definitions, the counting of work, and those whose
 * own implementations in Ajv take quadratic time, trip over names such as `valueOf`, or take doubles for decimals.
 */
import {
  _,
  type Ajv2020,
  type Code,
  type CodeKeywordDefinition,
  type KeywordCxt,
  Name,
  nil,
  str,
} from "ajv/dist/2020.js";
import names from "ajv/dist/compile/names.js";
import { mergeEvaluated } from "ajv/dist/compile/util.js";
import anyOf from "ajv/dist/vocabularies/applicator/anyOf.js";
import oneOf from "ajv/dist/vocabularies/applicator/oneOf.js";
import ucs2length from "ajv/dist/runtime/ucs2length.js";
import { callValidateCode } from "ajv/dist/vocabularies/code.js";
import type { Json } from "./dialect.ts";
import { findDuplicate, isMultiple, ValueSet } from "./equality.ts";
import type { StepCosts } from "./linker.ts";
import type { Meter } from "./meter.ts";

const { vErrors, errors } = names.default;

// Ajv's `Type` of a place in the document: it is erased from its declarations.
const NUMBER = 0;
const STRING = 1;

/** A compiled definition, or the place of one that is not compiled yet. */
export interface Slot {
  validate?: unknown;
}

/** Gives a code generator the keywords. `slots` are the definitions by number. */
export function addKeywords(ajv: Ajv2020, slots: readonly Slot[], meter: Meter): void {
  for (const keyword of ["$ref", "$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor", "id"]) {
    ajv.removeKeyword(keyword);
  }
  const own: CodeKeywordDefinition[] = [
    stepsKeyword(meter),
    callKeyword("x-call", slots, meter),
    callKeyword("x-branch", slots, meter),
    verdictOnly(anyOf.default as CodeKeywordDefinition),
    verdictOnly(oneOf.default as CodeKeywordDefinition),
    PREFIX_ITEMS,
    CONTAINS,
    UNEVALUATED_ITEMS,
    UNEVALUATED_PROPERTIES,
    allowedKeyword("const", "must be equal to constant", meter),
    allowedKeyword("enum", "must be equal to one of the allowed values", meter),
    multipleOfKeyword(meter),
    lengthKeyword("minLength"),
    lengthKeyword("maxLength"),
    uniqueItemsKeyword(meter),
  ];
  for (const definition of own) {
    ajv.removeKeyword(definition.keyword as string);
    ajv.addKeyword(definition);
  }
}

/** `const` and `enum`: scalars and other values are looked up, not compared one by one. */
function allowedKeyword(keyword: "const" | "enum", message: string, meter: Meter): CodeKeywordDefinition {
  return {
    keyword,
    error: { message },
    code(cxt: KeywordCxt) {
      const allowed = new ValueSet(keyword === "const" ? [cxt.schema as Json] : cxt.schema as Json[], meter);
      cxt.fail(_`!${cxt.gen.scopeValue("obj", { ref: allowed })}.has(${cxt.data})`);
    },
  };
}

function multipleOfKeyword(meter: Meter): CodeKeywordDefinition {
  return {
    keyword: "multipleOf",
    type: "number",
    schemaType: "number",
    error: { message: ({ schema }) => str`must be multiple of ${schema as number}` },
    code(cxt: KeywordCxt) {
      const { gen, data, schema } = cxt;
      const counter = gen.scopeValue("obj", { ref: meter });
      cxt.fail(_`!${gen.scopeValue("func", { ref: isMultiple })}(${data}, ${schema as number}, ${counter})`);
    },
  };
}

/** `minLength` and `maxLength`, in code points, which are counted only where the number of UTF-16 units leaves a doubt. */
function lengthKeyword(keyword: "minLength" | "maxLength"): CodeKeywordDefinition {
  const atLeast = keyword === "minLength";
  return {
    keyword,
    type: "string",
    schemaType: "number",
    error: {
      message: ({ schema }) => str`must NOT have ${atLeast ? "fewer" : "more"} than ${schema as number} characters`,
    },
    code(cxt: KeywordCxt) {
      const { gen, data } = cxt;
      const limit = cxt.schema as number;
      const count = _`${gen.scopeValue("func", { ref: ucs2length.default })}(${data})`;
      cxt.fail(
        atLeast
          ? _`${data}.length < ${limit * 2} && ${count} < ${limit}`
          : _`${data}.length > ${limit} && ${count} > ${limit}`,
      );
    },
  };
}

function uniqueItemsKeyword(meter: Meter): CodeKeywordDefinition {
  return {
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    error: {
      message: ({ params: { found } }) =>
        str`must NOT have duplicate items (items ${_`${found}[0]`} and ${_`${found}[1]`} are equal)`,
    },
    code(cxt: KeywordCxt) {
      if (cxt.schema !== true) return;
      const { gen, data } = cxt;
      const counter = gen.scopeValue("obj", { ref: meter });
      const found = gen.const("found", _`${gen.scopeValue("func", { ref: findDuplicate })}(${data}, ${counter})`);
      cxt.setParams({ found });
      cxt.fail(_`${found} !== undefined`);
    },
  };
}

/** `x-steps`: counts the application of a subschema, and stops when there are problems enough. */
function stepsKeyword(meter: Meter): CodeKeywordDefinition {
  return {
    keyword: "x-steps",
    schemaType: "object",
    before: "x-call",
    code(cxt: KeywordCxt) {
      const { gen, data } = cxt;
      const costs = cxt.schema as StepCosts;
      prepareEvaluated(cxt);
      const counter = gen.scopeValue("obj", { ref: meter });
      gen.code(_`${counter}.left -= ${costs.own}`);
      if (costs.text) gen.if(_`typeof ${data} == "string"`, () => gen.code(_`${counter}.left -= ${data}.length >> 3`));
      if (costs.names > 0) {
        gen.if(
          _`${data} && typeof ${data} == "object" && !Array.isArray(${data})`,
          () => gen.code(_`${counter}.chargeNames(${data}, ${costs.names})`),
        );
      }
      gen.if(_`${counter}.left < 0`, () => gen.code(_`${counter}.refuse()`));
      if (costs.report) stopWhenEnough(cxt, counter);
    },
  };
}

function stopWhenEnough({ gen }: KeywordCxt, counter: Name): void {
  gen.if(_`${errors} > ${counter}.problemsMax`, () => gen.code(_`${counter}.stop(${vErrors})`));
}

/**
 * `x-call` and `x-branch`: apply a definition to the same value, as Ajv's `$ref` does to a schema. A branch is given up
 * after a few problems.
 */
function callKeyword(keyword: "x-call" | "x-branch", slots: readonly Slot[], meter: Meter): CodeKeywordDefinition {
  return {
    keyword,
    schemaType: "number",
    code(cxt: KeywordCxt) {
      const { gen, it } = cxt;
      const counter = gen.scopeValue("obj", { ref: meter });
      prepareEvaluated(cxt);
      const slot = gen.scopeValue("obj", { ref: slots[cxt.schema as number] });
      const target = gen.const("target", _`${slot}.validate`);
      gen.if(_`--${counter}.left < 0`, () => gen.code(_`${counter}.refuse()`));
      const call = callValidateCode(cxt, target, nil);
      let found: Code = _`${target}.errors`;
      let valid: Code = call;
      if (keyword === "x-branch") {
        const outer = gen.const("outer", _`${counter}.enterBranch()`);
        const passed = gen.let("passed", false);
        found = gen.let("found", null);
        const problems = found;
        gen.try(
          () => gen.assign(passed, call).assign(problems as Name, _`${target}.errors`),
          (error) => gen.code(_`${counter}.gaveUp(${error})`),
        );
        gen.code(_`${counter}.leaveBranch(${outer})`);
        valid = passed;
      }
      cxt.result(valid, () => takeEvaluated(cxt, target), () => {
        gen.assign(vErrors, _`${gen.scopeValue("func", { ref: joinErrors })}(${vErrors}, ${found})`);
        gen.assign(errors, _`${vErrors}.length`);
        if (keyword === "x-call" && !it.compositeRule) stopWhenEnough(cxt, counter);
      });
    },
  };
}

/** The problems so far with those of a definition added. There is at least one afterwards, since it has failed. */
function joinErrors(before: unknown[] | null, added: unknown[] | null): unknown[] {
  const problems = before ?? [];
  if (added === null || added.length === 0) problems.push({ message: "must match the schema" });
  else for (const problem of added) problems.push(problem);
  return problems;
}

/**
 * Makes what a subschema has looked at variables from the beginning. Ajv makes them where it first needs to, which may
 * be a branch that is not taken, or a loop that finds the value of its last round; and inherited names seem to be in.
 */
function prepareEvaluated({ gen, it }: KeywordCxt): void {
  if (!it.opts.unevaluated) return;
  it.props ??= gen.var("props", _`${gen.scopeValue("func", { ref: noNames })}()`);
  it.items ??= gen.var("items", 0);
}

function noNames(): Record<string, boolean> {
  return Object.create(null);
}

/** Takes over which items and properties a definition has looked at. */
function takeEvaluated({ gen, it }: KeywordCxt, target: Name): void {
  if (!it.opts.unevaluated) return;
  if (it.props !== true) {
    const props = gen.const("props", _`${target}.evaluated.props`);
    it.props = mergeEvaluated.props(gen, props, it.props, Name);
  }
  if (it.items !== true) {
    const items = gen.var("items", _`${target}.evaluated.items`);
    it.items = mergeEvaluated.items(gen, items, it.items, Name);
  }
}

/** A keyword whose subschemas stop at their first problem. */
function verdictOnly(definition: CodeKeywordDefinition): CodeKeywordDefinition {
  return {
    ...definition,
    code(cxt: KeywordCxt, ruleType?: string) {
      const subschema = cxt.subschema.bind(cxt);
      cxt.subschema = (application, valid) => subschema({ ...application, allErrors: false }, valid);
      definition.code(cxt, ruleType);
    },
  };
}

/** `prefixItems`, as in Ajv except that an array with fewer items doesn't keep the keywords after it from being checked. */
const PREFIX_ITEMS: CodeKeywordDefinition = {
  keyword: "prefixItems",
  type: "array",
  schemaType: "array",
  before: "uniqueItems",
  trackErrors: true,
  code(cxt: KeywordCxt) {
    const { gen, data, errsCount, it } = cxt;
    const parts = cxt.schema as unknown[];
    if (it.opts.unevaluated && it.items !== true) it.items = mergeEvaluated.items(gen, parts.length, it.items);
    parts.forEach((part, i) => {
      if (part === true) return;
      gen.if(_`${data}.length > ${i}`, () => {
        cxt.subschema({ keyword: "prefixItems", schemaProp: i, dataProp: i }, gen.name("valid"));
      });
      cxt.ok(_`${errsCount} === ${errors}`);
    });
  },
};

/** `contains`, as in Ajv except that items that don't match leave no problems, and that none counts as looked at. */
const CONTAINS: CodeKeywordDefinition = {
  keyword: "contains",
  type: "array",
  schemaType: ["boolean", "object"],
  trackErrors: true,
  error: {
    message: ({ params: { min, max } }) =>
      max === undefined
        ? str`must contain at least ${min} valid item(s)`
        : str`must contain at least ${min} and no more than ${max} valid item(s)`,
  },
  code(cxt: KeywordCxt) {
    const { gen, data, parentSchema } = cxt;
    const min: number = parentSchema.minContains ?? 1;
    const max: number | undefined = parentSchema.maxContains;
    cxt.setParams({ min, max });
    const count = gen.let("count", 0);
    gen.forRange("i", 0, _`${data}.length`, (i) => {
      const valid = gen.name("valid");
      cxt.subschema(
        {
          keyword: "contains",
          dataProp: i,
          dataPropType: NUMBER,
          compositeRule: true,
          createErrors: false,
          allErrors: false,
        },
        valid,
      );
      cxt.reset();
      gen.if(valid, () => {
        gen.code(_`${count}++`);
        gen.if(max === undefined ? _`${count} >= ${min}` : _`${count} > ${max}`, () => gen.break());
      });
    });
    cxt.pass(max === undefined ? _`${count} >= ${min}` : _`${count} >= ${min} && ${count} <= ${max}`);
  },
};

/** `unevaluatedItems`, as in Ajv except that items may turn out at run time to be all looked at. */
const UNEVALUATED_ITEMS: CodeKeywordDefinition = {
  keyword: "unevaluatedItems",
  type: "array",
  schemaType: ["boolean", "object"],
  trackErrors: true,
  error: { message: ({ params }) => str`must NOT have more than ${params.count} items` },
  code(cxt: KeywordCxt) {
    const { gen, schema, data, errsCount, it } = cxt;
    const { items } = it;
    it.items = true;
    if (items === true || schema === true) return;
    const count = gen.const(
      "count",
      items instanceof Name ? _`${items} === true ? ${data}.length : ${items} || 0` : _`${items ?? 0}`,
    );
    if (schema === false) {
      cxt.setParams({ count });
      cxt.fail(_`${data}.length > ${count}`);
      return;
    }
    gen.forRange("i", count, _`${data}.length`, (i) => {
      const valid = gen.name("valid");
      cxt.subschema({ keyword: "unevaluatedItems", dataProp: i, dataPropType: NUMBER }, valid);
      if (!it.allErrors) gen.if(_`!${valid}`, () => gen.break());
    });
    cxt.ok(_`${errsCount} === ${errors}`);
  },
};

/** `unevaluatedProperties`, as in Ajv except that inherited names don't count as looked at. */
const UNEVALUATED_PROPERTIES: CodeKeywordDefinition = {
  keyword: "unevaluatedProperties",
  type: "object",
  schemaType: ["boolean", "object"],
  trackErrors: true,
  error: {
    message: "must NOT have unevaluated properties",
    params: ({ params }) => _`{unevaluatedProperty: ${params.unevaluatedProperty}}`,
  },
  code(cxt: KeywordCxt) {
    const { gen, schema, data, errsCount, it } = cxt;
    const { props } = it;
    it.props = true;
    if (props === true || schema === true) return;
    const known = props instanceof Name ? props : gen.scopeValue("obj", { ref: { ...props } });
    const rest = gen.scopeValue("func", { ref: isUnevaluated });
    gen.forIn("key", data, (key) =>
      gen.if(_`${rest}(${known}, ${key})`, () => {
        if (schema === false) {
          cxt.setParams({ unevaluatedProperty: key });
          cxt.error();
          if (!it.allErrors) gen.break();
          return;
        }
        const valid = gen.name("valid");
        cxt.subschema({ keyword: "unevaluatedProperties", dataProp: key, dataPropType: STRING }, valid);
        if (!it.allErrors) gen.if(_`!${valid}`, () => gen.break());
      }));
    cxt.ok(_`${errsCount} === ${errors}`);
  },
};

function isUnevaluated(known: true | Record<string, boolean> | undefined, name: string): boolean {
  return known !== true && (known === undefined || !Object.hasOwn(known, name));
}
