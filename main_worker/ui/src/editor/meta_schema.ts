/** The keywords of JSON Schema that people use daily, as a schema: for completion while a schema is written. */
import type { Json } from "./json_schema.ts";

const nested: Json = { $ref: "#" };
const nestedMap: Json = { type: "object", additionalProperties: { $ref: "#" } };
const nestedList: Json = { type: "array", items: { $ref: "#" } };
const text = (description: string): Json => ({ type: "string", description });
const number = (description: string): Json => ({ type: "number", description });

/** A schema of schemas; not a judge of them. */
export const META_SCHEMA: Json = {
  type: "object",
  properties: {
    $schema: {
      type: "string",
      description: "Draft of this schema; without it, draft-07",
      enum: [
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
      ],
    },
    title: text("A name for people"),
    description: text("What it is for"),
    type: {
      description: "Type of the value",
      enum: ["object", "array", "string", "number", "integer", "boolean", "null"],
    },
    properties: { ...nestedMap as object, description: "Schemas of the properties of an object" },
    required: { type: "array", items: { type: "string" }, description: "Names that must be there" },
    additionalProperties: { description: "false: no other names", enum: [false, true] },
    patternProperties: { ...nestedMap as object, description: "Schemas by pattern of the name" },
    items: { ...nested as object, type: "object", description: "Schema of each item" },
    prefixItems: { ...nestedList as object, description: "Schemas of the first items (2020-12)" },
    minItems: number("Fewest items"),
    maxItems: number("Most items"),
    uniqueItems: { type: "boolean", description: "No item twice" },
    enum: { type: "array", description: "The values that are allowed" },
    const: { description: "The one value that is allowed" },
    default: { description: "Proposed value; not filled in" },
    examples: { type: "array", description: "Values to show" },
    minLength: number("Fewest characters"),
    maxLength: number("Most characters"),
    pattern: text("Regular expression that strings must match"),
    format: {
      description: "Kind of string",
      enum: ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "regex"],
    },
    minimum: number("Smallest value"),
    maximum: number("Largest value"),
    exclusiveMinimum: number("Must be above"),
    exclusiveMaximum: number("Must be below"),
    multipleOf: number("Must be a multiple of"),
    allOf: { ...nestedList as object, description: "All must hold" },
    anyOf: { ...nestedList as object, description: "At least one must hold" },
    oneOf: { ...nestedList as object, description: "Exactly one must hold" },
    not: { ...nested as object, type: "object", description: "Must not hold" },
    if: { ...nested as object, type: "object", description: "Condition for then and else" },
    then: { ...nested as object, type: "object", description: "Holds when `if` holds" },
    else: { ...nested as object, type: "object", description: "Holds when `if` does not" },
    $ref: text("A place in this schema: #/$defs/name"),
    $defs: { ...nestedMap as object, description: "Schemas to refer to" },
    definitions: { ...nestedMap as object, description: "Schemas to refer to (draft-07)" },
  },
};
