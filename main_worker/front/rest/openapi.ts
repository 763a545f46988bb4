/** The OpenAPI 3.1 document, made from the very routes that answer. */
import type { ErrorCode } from "../../../shared/outcome.ts";
import { COMPONENTS } from "./components.ts";
import { STATUS_OF } from "./errors.ts";
import type { MediaType, Parameter, RequestBody, ResponseHeader, ResponseObject } from "./openapi_types.ts";
import type { Route } from "./route.ts";

/** An operation of the document. */
export interface OpenApiOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: RequestBody;
  readonly responses: Readonly<Record<string, ResponseObject>>;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
}

/** The document. */
export interface OpenApiDocument {
  readonly openapi: "3.1.0";
  readonly info: Readonly<Record<string, unknown>>;
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: Readonly<Record<string, unknown>>;
}

const TAGS = [
  { name: "Entities", description: "Documents, by schema and key." },
  { name: "Schemas", description: "The JSON Schemas by which writes are judged." },
  { name: "Session", description: "Logging in." },
  { name: "Keys", description: "API keys." },
  { name: "Administration", description: "What concerns the whole server." },
  { name: "Server", description: "Probes, this description, and the management UI." },
];

const REQUEST_ID: Readonly<Record<string, ResponseHeader>> = {
  "X-Request-Id": {
    description:
      "That of the request when it was well-formed (1 to 64 letters, digits and `._-`), otherwise a new one.",
    schema: { type: "string" },
  },
};

/** What each code stands for, for who reads the description. */
const MEANING: Readonly<Record<ErrorCode, string>> = {
  bad_json: "The body is not JSON.",
  empty: "The body is empty, or has no entity.",
  missing_key: "The query parameter `key` is missing.",
  invalid_key: "An entity key breaks a rule for keys, or is too long for the service that has the bucket.",
  invalid_schema_id: "The schema id breaks a rule for schema ids.",
  invalid_schema: "The JSON Schema is not valid; nothing can be judged by it.",
  schema_violation: "A document breaks its schema; `details` has each violation.",
  bad_request: "Something else about the request is wrong.",
  unauthorized: "No credential, or one that is not good.",
  forbidden: "The credential does not permit this.",
  not_found: "There is no such thing.",
  method_not_allowed: "The path does not have this method; `Allow` has those that it has.",
  key_unavailable: "The entity is encrypted with a key that this server does not hold.",
  version_mismatch: "A condition failed; `ETag` is the current one.",
  too_large: "The body or the document is over its limit.",
  unsupported_media_type: "The body is of a type or in a coding that is not taken here.",
  too_many_attempts: "Too many failed logins from this address.",
  internal: "Something unexpected; the server's log has it under the request id.",
  tampered: "What is stored is not what was written; it is not shown.",
  no_worker: "No processing worker can take this now.",
  overloaded: "Too much is waiting already.",
  storage_unavailable: "The store does not answer.",
  deadline: "No answer came in time: the outcome is unknown, and the request safe to repeat.",
};

/** Error codes that a route can answer: its own, and those that come with its access and its path. */
export function errorCodes(route: Route): readonly ErrorCode[] {
  const codes = new Set<ErrorCode>(route.describe.errors);
  if (route.path.includes("{schema_id}")) codes.add("invalid_schema_id");
  if (route.access.kind !== "public") {
    for (const code of ["bad_request", "unauthorized", "forbidden"] as const) codes.add(code);
    for (const code of ["no_worker", "overloaded", "storage_unavailable", "deadline"] as const) codes.add(code);
  }
  codes.add("internal");
  return [...codes].sort((a, b) => STATUS_OF[a] - STATUS_OF[b] || (a < b ? -1 : 1));
}

function errorResponses(route: Route): Record<string, ResponseObject> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of errorCodes(route)) {
    const status = STATUS_OF[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const responses: Record<string, ResponseObject> = {};
  for (const [status, codes] of byStatus) {
    const examples: Record<string, { summary: string; value: unknown }> = {};
    for (const code of codes) examples[code] = { summary: MEANING[code], value: exampleOf(code) };
    responses[status] = {
      description: codes.map((code) => `\`${code}\`: ${MEANING[code]}`).join(" "),
      headers: { ...REQUEST_ID, ...headersOf(status) },
      content: { "application/json": { schema: { $ref: "#/components/schemas/Error" }, examples } as MediaType },
    };
  }
  return responses;
}

function headersOf(status: number): Readonly<Record<string, ResponseHeader>> {
  switch (status) {
    case 401:
      return { "WWW-Authenticate": { description: "`Bearer`.", schema: { type: "string" } } };
    case 412:
      return { "ETag": { description: "The current one, when the entity exists.", schema: { type: "string" } } };
    case 429:
    case 503:
      return { "Retry-After": { description: "Seconds.", schema: { type: "integer", minimum: 1 } } };
    default:
      return {};
  }
}

function exampleOf(code: ErrorCode): unknown {
  const error = MEANING[code].replaceAll("`", "");
  return code === "schema_violation"
    ? { error, code, details: [{ key: "chat_1", path: "/chat", message: "must be array" }] }
    : { error, code };
}

function operation(route: Route): OpenApiOperation {
  const { describe, access } = route;
  const responses: Record<string, ResponseObject> = {};
  for (const [status, response] of Object.entries(describe.responses)) {
    responses[status] = { ...response, headers: { ...REQUEST_ID, ...response.headers } };
  }
  const needs = access.kind === "permission"
    ? `Needs the permission \`${access.permission}\`.`
    : access.kind === "credential"
    ? "Needs a valid credential."
    : "Public.";
  return {
    operationId: describe.operationId,
    tags: [describe.tag],
    summary: describe.summary,
    description: describe.description === undefined ? needs : `${describe.description}\n\n${needs}`,
    ...(describe.parameters === undefined ? {} : { parameters: describe.parameters }),
    ...(describe.requestBody === undefined ? {} : { requestBody: describe.requestBody }),
    responses: { ...responses, ...errorResponses(route) },
    security: access.kind === "public" ? [] : [{ bearer: [] }],
  };
}

/** Describes all routes. */
export function describeRoutes(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const route of routes) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "DeltaDatabase",
      version,
      description:
        "JSON documents, encrypted before they touch storage, checked against their schema at every write.\n\n" +
        "Every path with `GET` has `HEAD`. Every answer has an `X-Request-Id`. Every error answer has one form, and " +
        "its `code` is stable. (A bare `400` without a body is the answer of the HTTP server itself to what it cannot " +
        "parse, and without TLS to who asks for an upgrade to HTTP/2 with a body, as Java's `HttpClient` does unless it " +
        "is told `HTTP_1_1`.)",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    tags: TAGS,
    paths,
    components: {
      schemas: COMPONENTS,
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description: "The admin key, an API key (`dk_…`), or a session token from `POST /api/login`.",
        },
      },
    },
  };
}
