/** JSON Schemas that the descriptions of several routes share, and the parameters that several routes take. */
import {
  API_KEY_NAME_BYTES_MAX,
  API_KEY_SCHEMAS_MAX,
  ENTITY_KEY_BYTES_MAX,
  LIST_PAGE_DEFAULT,
  LIST_PAGE_MAX,
  SCHEMA_ID_BYTES_MAX,
} from "../../../shared/limits.ts";
import { STATUS_OF } from "./errors.ts";
import type { JsonSchema, MediaType, Parameter, ResponseHeader } from "./openapi_types.ts";

/** A reference to one of {@linkcode COMPONENTS}. */
export function ref(name: keyof typeof COMPONENTS): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

/** A JSON body. */
export function jsonContent(schema: JsonSchema, example?: unknown): Readonly<Record<string, MediaType>> {
  return { "application/json": example === undefined ? { schema } : { schema, example } };
}

/** No empty name, no slash, no backslash, no control character, no two dots in a row. */
const NAME_PATTERN = "^(?:(?!\\.\\.)[^/\\\\\\u0000-\\u001f\\u007f-\\u009f])+$";

/** No control character. */
export const NO_CONTROL_PATTERN = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

/** An object with exactly these members, all of them required but the optional ones. */
function object(properties: Readonly<Record<string, JsonSchema>>, optional: readonly string[] = []): JsonSchema {
  return {
    type: "object",
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    properties,
    additionalProperties: false,
  };
}

/** One of these, or `null`. As a list of types, and not by `anyOf`: several generators of clients know no schema for `null` alone. */
function nullable(schema: JsonSchema): JsonSchema {
  return { ...schema, type: [schema.type as string, "null"] };
}

const DATE_TIME: JsonSchema = { type: "string", format: "date-time" };
/** Without the format, generated clients take 32 bits for it. */
const COUNT: JsonSchema = { type: "integer", format: "int64", minimum: 0 };
const PERMISSION_LIST: JsonSchema = {
  type: "array",
  minItems: 1,
  uniqueItems: true,
  items: { type: "string", enum: ["read", "write", "admin"] },
};
const SCHEMA_PATTERN_LIST: JsonSchema = {
  type: "array",
  minItems: 1,
  maxItems: API_KEY_SCHEMAS_MAX,
  items: {
    type: "string",
    minLength: 1,
    maxLength: SCHEMA_ID_BYTES_MAX,
    pattern: "^(?:(?!\\.\\.)[^/\\\\*\\u0000-\\u001f\\u007f-\\u009f])*\\*?$",
  },
  description: "Schema ids to which the key is confined. A `*` at the end matches any rest. Absent: all schemas.",
};
const NULLABLE_NUMBERS: JsonSchema = { type: "array", items: { type: ["number", "null"] } };
const NUMBERS: JsonSchema = { type: "array", items: { type: "number" } };
const CACHE: Readonly<Record<string, JsonSchema>> = {
  entries: COUNT,
  bytes: COUNT,
  hits: COUNT,
  misses: COUNT,
  evictions: COUNT,
};

/** `components.schemas` of the OpenAPI document. */
export const COMPONENTS = {
  Document: { description: "Any JSON value. It comes back byte for byte as it was written." },
  Template: { type: ["object", "boolean"], description: "A JSON Schema." },
  SchemaId: {
    type: "string",
    minLength: 1,
    maxLength: SCHEMA_ID_BYTES_MAX,
    pattern: NAME_PATTERN,
    description: `The namespace of entities, and the id of the JSON Schema that judges them. At most ` +
      `${SCHEMA_ID_BYTES_MAX} bytes of UTF-8.`,
  },
  EntityKey: {
    type: "string",
    minLength: 1,
    maxLength: ENTITY_KEY_BYTES_MAX,
    pattern: NAME_PATTERN,
    description: `The name of an entity within its schema. At most ${ENTITY_KEY_BYTES_MAX} bytes of UTF-8.`,
  },
  Version: {
    type: "integer",
    format: "int64",
    minimum: 1,
    description: "1 for the first write after the entity was absent, then one more for each.",
  },
  Etag: { type: "string", description: "Unique to one write of one entity; without the quotes that the header has." },
  Error: {
    type: "object",
    required: ["error", "code"],
    properties: {
      error: { type: "string", description: "A sentence for a person." },
      code: { type: "string", enum: Object.keys(STATUS_OF), description: "Stable; made for programs." },
      details: {
        type: "array",
        description: "Where there is more to say: violations of a schema, or how each key of a request ended.",
        items: { anyOf: [{ $ref: "#/components/schemas/Violation" }, { $ref: "#/components/schemas/KeyDetail" }] },
      },
    },
    additionalProperties: false,
  },
  Violation: object({
    key: { type: "string", description: "The entity key of the document." },
    path: { type: "string", description: "Where in the document, as JSON Pointer (RFC 6901)." },
    message: { type: "string" },
  }),
  KeyDetail: object({
    key: { type: "string" },
    status: { type: "string", enum: ["stored", "failed"] },
    version: { $ref: "#/components/schemas/Version" },
    code: { type: "string", enum: Object.keys(STATUS_OF) },
    message: { type: "string" },
  }, ["version", "code", "message"]),
  PutManyResult: object({
    status: { const: "ok" },
    versions: { type: "object", additionalProperties: { $ref: "#/components/schemas/Version" } },
  }),
  PutOneResult: object({ status: { const: "ok" }, version: { $ref: "#/components/schemas/Version" } }),
  Ok: object({ status: { const: "ok" } }),
  MultiGetResult: object({
    entities: { type: "object", additionalProperties: { $ref: "#/components/schemas/Document" } },
    missing: { type: "array", items: { $ref: "#/components/schemas/EntityKey" } },
  }),
  ListEntry: {
    type: "object",
    required: ["key", "size"],
    properties: {
      key: { $ref: "#/components/schemas/EntityKey" },
      version: { $ref: "#/components/schemas/Version" },
      size: { ...COUNT, description: "Bytes of the document; on a bucket without `values`, of what is stored." },
      updated_at: DATE_TIME,
      value: { $ref: "#/components/schemas/Document" },
      problem: {
        type: "string",
        enum: ["tampered", "key_unavailable"],
        description: "With `values=true`: why there is no `value`.",
      },
    },
    additionalProperties: false,
  },
  ListResult: object({
    keys: { type: "array", items: { $ref: "#/components/schemas/ListEntry" } },
    next_cursor: { type: ["string", "null"], description: "Continues the listing; `null` at its end." },
  }),
  SchemaCount: object({
    id: { $ref: "#/components/schemas/SchemaId" },
    entities: { ...nullable(COUNT), description: "`null` where the store cannot count." },
  }),
  SchemaCheck: object({
    checked: { ...COUNT, description: "Documents that were looked at." },
    failing: { ...COUNT, description: "Documents that the candidate would not accept." },
    unreadable: { ...COUNT, description: "Documents that could not be opened, and so not looked at." },
    complete: { type: "boolean", description: "`false`: the time was up before every document was looked at." },
    examples: {
      type: "array",
      items: object({
        key: { $ref: "#/components/schemas/EntityKey" },
        violations: { type: "array", items: { $ref: "#/components/schemas/Violation" } },
      }),
    },
  }),
  ApiKeyRequest: object({
    name: { type: "string", minLength: 1, maxLength: API_KEY_NAME_BYTES_MAX, pattern: NO_CONTROL_PATTERN },
    permissions: PERMISSION_LIST,
    schemas: nullable(SCHEMA_PATTERN_LIST),
    expires_in: {
      type: ["string", "null"],
      pattern: "^(?:[1-9][0-9]{0,3}(?:ms|s|m|h|d)){1,3}$",
      description: "How long it is good, as a duration: `90s`, `1h30m`, `24h`, `7d`. Absent: for ever.",
    },
  }, ["schemas", "expires_in"]),
  ApiKey: object({
    id: { type: "string" },
    name: { type: "string" },
    permissions: PERMISSION_LIST,
    schemas: nullable(SCHEMA_PATTERN_LIST),
    created_at: DATE_TIME,
    expires_at: nullable(DATE_TIME),
    last_used_at: {
      ...nullable(DATE_TIME),
      description: "Since the main worker started; `null`: not since then.",
    },
  }),
  CreatedApiKey: object({
    id: { type: "string" },
    name: { type: "string" },
    secret: { type: "string", pattern: "^dk_[0-9a-f]{64}$", description: "Shown this once." },
    permissions: PERMISSION_LIST,
    schemas: nullable(SCHEMA_PATTERN_LIST),
    expires_at: nullable(DATE_TIME),
    created_at: DATE_TIME,
  }),
  Session: object({
    token: { type: "string" },
    client_id: { type: "string" },
    expires_at: DATE_TIME,
    permissions: PERMISSION_LIST,
  }),
  Me: object({
    client_id: { type: "string" },
    permissions: PERMISSION_LIST,
    is_admin: { type: "boolean" },
    schemas: nullable(SCHEMA_PATTERN_LIST),
    expires_at: nullable(DATE_TIME),
  }),
  Worker: object({
    worker_id: { type: "string" },
    status: { type: "string", enum: ["Available", "Unavailable"] },
    key_id: { type: "string" },
    last_seen: DATE_TIME,
    tags: { type: "object", additionalProperties: { type: "string" } },
    active_requests: COUNT,
    partitions: { type: "array", items: COUNT },
    cache: object(CACHE),
    storage: object({
      syncs: COUNT,
      sync_mean_ms: { type: ["number", "null"] },
      log_bytes: COUNT,
      dirty_entities: COUNT,
      dirty_bytes: COUNT,
      checkpoints: COUNT,
    }),
  }, ["storage"]),
  OperationSeries: object({
    rate: { ...NUMBERS, description: "Requests per second." },
    error_rate: { ...NUMBERS, description: "Answers with a status of 500 or more, per second." },
    p50_ms: NULLABLE_NUMBERS,
    p99_ms: NULLABLE_NUMBERS,
    window: object({
      count: COUNT,
      errors: COUNT,
      p50_ms: { type: ["number", "null"] },
      p99_ms: { type: ["number", "null"] },
    }),
    total: object({ count: COUNT, errors: COUNT }),
  }),
  Stats: object({
    version: { type: "string" },
    now: DATE_TIME,
    started_at: DATE_TIME,
    dev_mode: { type: "boolean" },
    key_id: { type: "string", description: "The master key that new documents are encrypted under." },
    storage: object({
      kind: { type: "string", enum: ["directory", "bucket"] },
      location: { type: "string" },
      store_id: { type: "string" },
    }),
    cache: object({ ...CACHE, bytes_max: COUNT, hit_ratio: { type: ["number", "null"] } }),
    sync: object({ mean_ms: { type: ["number", "null"] }, syncs: nullable(COUNT) }),
    warnings: {
      type: "array",
      items: object({
        code: { type: "string" },
        severity: { type: "string", enum: ["info", "warning", "critical"] },
        message: { type: "string" },
        since: nullable(DATE_TIME),
      }),
    },
    configuration: { type: "object", additionalProperties: { type: ["string", "number", "boolean", "null"] } },
    requests: object({
      bucket_s: { type: "number" },
      times: { ...NUMBERS, description: "Start of each bucket, seconds since the epoch." },
      operations: { type: "object", additionalProperties: { $ref: "#/components/schemas/OperationSeries" } },
      active: COUNT,
      watchers: COUNT,
    }),
    workers: { type: "array", items: { $ref: "#/components/schemas/Worker" } },
    partitions: object({
      count: COUNT,
      epoch: COUNT,
      owners: { type: "array", items: { type: ["string", "null"] } },
      moving: { type: "array", items: COUNT },
      none: { type: "array", items: COUNT },
    }),
  }),
  RestoreLine: {
    type: "object",
    required: ["status", "entities"],
    properties: {
      status: { type: "string", enum: ["running", "done", "failed"] },
      entities: COUNT,
      entities_skipped: COUNT,
      templates: COUNT,
      templates_skipped: COUNT,
      api_keys: COUNT,
      api_keys_skipped: COUNT,
      error: { type: "string" },
      code: { type: "string", enum: Object.keys(STATUS_OF) },
    },
    additionalProperties: false,
  },
  Rewrap: object({
    status: { type: "string", enum: ["idle", "running", "done", "failed"] },
    key_id: { type: "string" },
    scanned: COUNT,
    rewrapped: COUNT,
    failed: COUNT,
    total: nullable(COUNT),
    started_at: nullable(DATE_TIME),
    finished_at: nullable(DATE_TIME),
    error: { type: "string" },
  }, ["error"]),
} as const satisfies Readonly<Record<string, JsonSchema>>;

/** `{schema_id}` of a path. */
export const SCHEMA_ID_PARAMETER: Parameter = {
  name: "schema_id",
  in: "path",
  required: true,
  description: "Percent-encoded UTF-8.",
  schema: { $ref: "#/components/schemas/SchemaId" },
  example: "chat.v1",
};

/** `?key=` of a query. */
export function keyParameter(required: boolean, description: string): Parameter {
  return {
    name: "key",
    in: "query",
    required,
    description: `${description} Percent-encoded UTF-8; \`+\` is a space, a plus sign is \`%2B\`. Given once.`,
    schema: { $ref: "#/components/schemas/EntityKey" },
    example: "u1",
  };
}

/** `?prefix=` of a query. */
export const PREFIX_PARAMETER: Parameter = {
  name: "prefix",
  in: "query",
  description: "Only keys that start with this. Encoded like `key`.",
  schema: { type: "string", maxLength: ENTITY_KEY_BYTES_MAX },
};

/** `?limit=` of a query. */
export const LIMIT_PARAMETER: Parameter = {
  name: "limit",
  in: "query",
  description: "Most keys in this answer. There may be fewer although more follow: `next_cursor` tells.",
  schema: { type: "integer", minimum: 1, maximum: LIST_PAGE_MAX, default: LIST_PAGE_DEFAULT },
};

/** `*`, or a list of entity tags. */
export const TAGS_PATTERN = '^(?:\\*|(?:W/)?"[!#-~]*"(?:, *(?:W/)?"[!#-~]*")*)$';

/** `If-Match` of a request. */
export const IF_MATCH_PARAMETER: Parameter = {
  name: "If-Match",
  in: "header",
  description: "Only if the entity's current ETag is one of these, or `*`: only if it exists. Weak tags never match.",
  schema: { type: "string", pattern: TAGS_PATTERN },
};

/** Header fields of an answer about one version of an entity. */
export const ENTITY_HEADERS: Readonly<Record<string, ResponseHeader>> = {
  "ETag": { description: "Strong, unique to the write.", schema: { type: "string" } },
  "X-Entity-Version": { description: "The version.", schema: { type: "integer", format: "int64", minimum: 1 } },
  "Last-Modified": { description: "When it was written, in whole seconds.", schema: { type: "string" } },
};
