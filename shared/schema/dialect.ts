/** The drafts of JSON Schema that are understood: how `$schema` names them, their keywords and their metaschemas. */
import draft07 from "ajv/dist/refs/json-schema-draft-07.json" with { type: "json" };
import schema2019 from "ajv/dist/refs/json-schema-2019-09/schema.json" with { type: "json" };
import applicator2019 from "ajv/dist/refs/json-schema-2019-09/meta/applicator.json" with { type: "json" };
import content2019 from "ajv/dist/refs/json-schema-2019-09/meta/content.json" with { type: "json" };
import core2019 from "ajv/dist/refs/json-schema-2019-09/meta/core.json" with { type: "json" };
import format2019 from "ajv/dist/refs/json-schema-2019-09/meta/format.json" with { type: "json" };
import metaData2019 from "ajv/dist/refs/json-schema-2019-09/meta/meta-data.json" with { type: "json" };
import validation2019 from "ajv/dist/refs/json-schema-2019-09/meta/validation.json" with { type: "json" };
import schema2020 from "ajv/dist/refs/json-schema-2020-12/schema.json" with { type: "json" };
import applicator2020 from "ajv/dist/refs/json-schema-2020-12/meta/applicator.json" with { type: "json" };
import content2020 from "ajv/dist/refs/json-schema-2020-12/meta/content.json" with { type: "json" };
import core2020 from "ajv/dist/refs/json-schema-2020-12/meta/core.json" with { type: "json" };
import format2020 from "ajv/dist/refs/json-schema-2020-12/meta/format-annotation.json" with { type: "json" };
import metaData2020 from "ajv/dist/refs/json-schema-2020-12/meta/meta-data.json" with { type: "json" };
import unevaluated2020 from "ajv/dist/refs/json-schema-2020-12/meta/unevaluated.json" with { type: "json" };
import validation2020 from "ajv/dist/refs/json-schema-2020-12/meta/validation.json" with { type: "json" };

/** What `JSON.parse` makes. Objects may have any own name, `__proto__` included. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [name: string]: Json;
}

/** One draft. */
export interface Dialect {
  readonly name: string;
  /** The `$schema` of the draft, without an empty fragment. */
  readonly uri: string;
  /** The metaschema, and the vocabularies that it refers to. */
  readonly metaschemas: readonly JsonObject[];
  /** Whether `$ref` leaves all keywords beside it without effect. */
  readonly refStandsAlone: boolean;
  /** Keywords that have an effect on which documents are valid. Others are annotations. */
  readonly keywords: ReadonlySet<string>;
}

const DRAFT_07 = ("type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength " +
  "pattern format items additionalItems maxItems minItems uniqueItems contains maxProperties minProperties required " +
  "properties patternProperties additionalProperties dependencies propertyNames if then else allOf anyOf oneOf not $ref")
  .split(" ");
const DRAFT_2019 = [
  ...DRAFT_07,
  ...("$anchor $recursiveRef $recursiveAnchor minContains maxContains dependentRequired dependentSchemas " +
    "unevaluatedItems unevaluatedProperties").split(" "),
];
const DRAFT_2020 = [
  ...DRAFT_2019.filter((keyword) => !["additionalItems", "$recursiveRef", "$recursiveAnchor"].includes(keyword)),
  ...["prefixItems", "$dynamicRef", "$dynamicAnchor"],
];

/** Imported JSON, whose inferred type has members that are `undefined`, as the JSON that it is. */
function documents(...imported: object[]): JsonObject[] {
  return imported as JsonObject[];
}

/** The draft that a schema without `$schema` is read by. */
export const DEFAULT_DIALECT: Dialect = {
  name: "draft-07",
  uri: "http://json-schema.org/draft-07/schema",
  metaschemas: documents(draft07),
  refStandsAlone: true,
  keywords: new Set(DRAFT_07),
};

/** All drafts that are understood. */
export const DIALECTS: readonly Dialect[] = [
  DEFAULT_DIALECT,
  {
    name: "2019-09",
    uri: "https://json-schema.org/draft/2019-09/schema",
    metaschemas: documents(schema2019, applicator2019, content2019, core2019, format2019, metaData2019, validation2019),
    refStandsAlone: false,
    keywords: new Set(DRAFT_2019),
  },
  {
    name: "2020-12",
    uri: "https://json-schema.org/draft/2020-12/schema",
    metaschemas: documents(
      ...[schema2020, applicator2020, content2020, core2020, format2020, metaData2020, unevaluated2020, validation2020],
    ),
    refStandsAlone: false,
    keywords: new Set(DRAFT_2020),
  },
];

/** The draft that a value of `$schema` names, with or without an empty fragment; `undefined`: none of them. */
export function dialectOf(uri: string): Dialect | undefined {
  const plain = uri.endsWith("#") ? uri.slice(0, -1) : uri;
  return DIALECTS.find((dialect) => dialect.uri === plain);
}
