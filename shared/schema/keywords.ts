/**
 * The keywords that the code generator gets from us: calls between definitions, the counting of work, and those whose
 * own implementations in Ajv take quadratic time, trip over names such as `valueOf`, or take doubles for decimals.
 */
import { _, type Ajv2020, type Code, type CodeKeywordDefinition, type KeywordCxt, Name, nil } from "ajv/dist/2020.js";
import names from "ajv/dist/compile/names.js";
import { mergeEvaluated } from "ajv/dist/compile/util.js";
import anyOf from "ajv/dist/vocabularies/applicator/anyOf.js";
import contains from "ajv/dist/vocabularies/applicator/contains.js";
import oneOf from "ajv/dist/vocabularies/applicator/oneOf.js";
import { callValidateCode } from "ajv/dist/vocabularies/code.js";
import type { Json } from "./dialect.ts";
import { findDuplicate, isMultiple, ValueSet } from "./equality.ts";
import type { StepCosts } from "./linker.ts";
import type { Meter } from "./meter.ts";

const { vErrors, errors } = names.default;

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
    withoutEvaluating(verdictOnly(contains.default as CodeKeywordDefinition)),
    UNEVALUATED_PROPERTIES,
  ];
  for (const definition of own) {
    ajv.removeKeyword(definition.keyword as string);
    ajv.addKeyword(definition);
  }

  for (const keyword of ["const", "enum", "uniqueItems", "multipleOf"]) ajv.removeKeyword(keyword);
  ajv.addKeyword({
    keyword: "const",
    compile(value: Json) {
      const allowed = new ValueSet([value], meter);
      return (data: Json) => allowed.has(data);
    },
    errors: false,
    error: { message: "must be equal to constant" },
  });
  ajv.addKeyword({
    keyword: "enum",
    schemaType: "array",
    compile(values: Json[]) {
      const allowed = new ValueSet(values, meter);
      return (data: Json) => allowed.has(data);
    },
    errors: false,
    error: { message: "must be equal to one of the allowed values" },
  });
  ajv.addKeyword({
    keyword: "multipleOf",
    type: "number",
    schemaType: "number",
    compile: (unit: number) => (data: number) => isMultiple(data, unit),
    errors: false,
    error: { message: ({ schema }: { schema: number }) => _`${`must be multiple of ${schema}`}` },
  });
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    compile(unique: boolean) {
      const validate: { (data: Json[]): boolean; errors?: { message: string }[] } = (data) => {
        const found = unique ? findDuplicate(data, meter) : undefined;
        if (found === undefined) return true;
        validate.errors = [{
          message: `must NOT have duplicate items (items ${found[0]} and ${found[1]} are equal)`,
        }];
        return false;
      };
      return validate;
    },
    errors: true,
  });
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

/** Takes over which items and properties a definition has looked at. */
function takeEvaluated({ gen, it }: KeywordCxt, target: Name): void {
  if (!it.opts.unevaluated) return;
  if (it.props !== true) {
    const props = gen.var("props", _`${target}.evaluated.props`);
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

/** A keyword that does not make Ajv believe that it has looked at every item. */
function withoutEvaluating(definition: CodeKeywordDefinition): CodeKeywordDefinition {
  return {
    ...definition,
    code(cxt: KeywordCxt, ruleType?: string) {
      const { items } = cxt.it;
      definition.code(cxt, ruleType);
      cxt.it.items = items;
    },
  };
}

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
    const { allErrors, props } = it;
    if (props !== true) {
      const known = props instanceof Name
        ? props
        : gen.scopeValue("obj", { ref: Object.assign(Object.create(null), props) });
      const rest = gen.scopeValue("func", { ref: isUnevaluated });
      const check = () =>
        gen.forIn("key", data, (key) =>
          gen.if(_`${rest}(${known}, ${key})`, () => {
            if (schema === false) {
              cxt.setParams({ unevaluatedProperty: key });
              cxt.error();
              if (!allErrors) gen.break();
              return;
            }
            if (schema === true) return;
            const valid = gen.name("valid");
            cxt.subschema({ keyword: "unevaluatedProperties", dataProp: key, dataPropType: 1 }, valid);
            if (!allErrors) gen.if(_`!${valid}`, () => gen.break());
          }));
      if (props instanceof Name) gen.if(_`${props} !== true`, check);
      else check();
    }
    it.props = true;
    cxt.ok(_`${errsCount} === ${errors}`);
  },
};

function isUnevaluated(known: Record<string, boolean> | undefined, name: string): boolean {
  return known === undefined || !Object.hasOwn(known, name);
}
