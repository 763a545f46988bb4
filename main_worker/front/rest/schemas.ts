/** `/schema/{schema_id}`, `/admin/schemas`, `/api/schemas`: the templates by which writes are judged, and which schemas hold data. */
import { scanDocument } from "../../../shared/json/scanner.ts";
import { SCHEMA_BYTES_MAX } from "../../../shared/limits.ts";
import { failure } from "../../../shared/outcome.ts";
import { allowsSchema } from "../auth.ts";
import { readBody } from "./bodies.ts";
import { jsonContent, ref, SCHEMA_ID_PARAMETER } from "./components.ts";
import { refuse } from "./errors.ts";
import { queryFlag } from "./query.ts";
import { failed, json, reply } from "./reply.ts";
import { auditCall } from "./audit.ts";
import { type Call, READ, READ_OR_DEV, type RestDeps, type Route, schemaIdOfCall, WRITE } from "./route.ts";

const TEMPLATE_EXAMPLE = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  required: ["chat"],
  properties: { chat: { type: "array" } },
};

/** The routes of schemas. */
export function schemaRoutes(deps: RestDeps): readonly Route[] {
  const { entities, control, clock } = deps;

  /** Whether the caller may know of a schema. Without a caller (dev mode): yes. */
  const visible = (call: Call, id: string) => call.principal === undefined || allowsSchema(call.principal, id);

  function ids(call: Call): Response {
    const all = [...control.snapshot().schemas.templates.keys()].filter((id) => visible(call, id));
    return json(call, 200, all.sort(compareIds));
  }

  function get(call: Call): Response {
    const template = control.snapshot().schemas.templates.get(schemaIdOfCall(call));
    if (template === undefined) return failed(call, NO_TEMPLATE);
    // A file that was dropped in and is not even JSON, or is too large, was not kept.
    if (template.text.length === 0) {
      return failed(call, failure("invalid_schema", `The template cannot be used: ${template.invalid}`));
    }
    return reply(call, 200, template.text, "application/json");
  }

  async function put(call: Call): Promise<Response> {
    const schemaId = schemaIdOfCall(call);
    const body = await readBody(call.request, SCHEMA_BYTES_MAX, clock);
    const scanned = scanDocument(body);
    if (!scanned.ok) throw refuse(scanned.code, scanned.reason);
    const changed = await control.putSchema(schemaId, body.slice(scanned.start, scanned.end));
    auditCall(deps, call, "schema_put", changed.kind === "done" ? "ok" : changed.code, { schema_id: schemaId });
    if (changed.kind === "failed") return failed(call, changed);
    return json(call, changed.value.created ? 201 : 200, { status: "ok" });
  }

  async function remove(call: Call): Promise<Response> {
    const schemaId = schemaIdOfCall(call);
    const changed = await control.deleteSchema(schemaId);
    const result = changed.kind === "failed" ? changed.code : changed.value.existed ? "ok" : "not_found";
    auditCall(deps, call, "schema_delete", result, { schema_id: schemaId });
    if (changed.kind === "failed") return failed(call, changed);
    return changed.value.existed ? json(call, 200, { status: "ok" }) : failed(call, NO_TEMPLATE);
  }

  async function used(call: Call): Promise<Response> {
    const withCounts = queryFlag(call.query, "counts");
    const outcome = await entities.counts();
    if (outcome.kind === "failed") return failed(call, outcome);
    const all = [...outcome.counts].filter(([id]) => visible(call, id)).sort(([a], [b]) => compareIds(a, b));
    return json(call, 200, withCounts ? all.map(([id, number]) => ({ id, entities: number })) : all.map(([id]) => id));
  }

  return [
    {
      method: "GET",
      path: "/admin/schemas",
      access: READ_OR_DEV,
      operation: "schema",
      handle: ids,
      describe: {
        operationId: "listSchemas",
        tag: "Schemas",
        summary: "List the schemas that have a template",
        description: "Sorted by their ids. Public in dev mode.",
        responses: {
          "200": {
            description: "Schema ids.",
            content: jsonContent({ type: "array", items: ref("SchemaId") }, ["chat.v1", "user"]),
          },
        },
      },
    },
    {
      method: "GET",
      path: "/schema/{schema_id}",
      access: READ_OR_DEV,
      operation: "schema",
      handle: get,
      describe: {
        operationId: "getSchema",
        tag: "Schemas",
        summary: "Read a template",
        description: "The JSON Schema as it was uploaded. Public in dev mode.",
        parameters: [SCHEMA_ID_PARAMETER],
        responses: {
          "200": { description: "The template.", content: jsonContent(ref("Document"), TEMPLATE_EXAMPLE) },
        },
        errors: ["not_found", "invalid_schema"],
      },
    },
    {
      method: "PUT",
      path: "/schema/{schema_id}",
      access: WRITE,
      operation: "schema",
      handle: put,
      describe: {
        operationId: "putSchema",
        tag: "Schemas",
        summary: "Set a template",
        description: "A JSON Schema of draft-07, 2019-09 or 2020-12, told by `$schema` (draft-07 without it); no " +
          "`$ref` to another document. Once this has answered, every later write of the schema id is judged by it. " +
          "Documents that are stored already stay as they are.",
        parameters: [SCHEMA_ID_PARAMETER],
        requestBody: { required: true, content: jsonContent(ref("Template"), TEMPLATE_EXAMPLE) },
        responses: {
          "200": { description: "Replaced.", content: jsonContent(ref("Ok"), { status: "ok" }) },
          "201": { description: "Created.", content: jsonContent(ref("Ok"), { status: "ok" }) },
        },
        errors: ["bad_json", "empty", "invalid_schema", "too_large", "unsupported_media_type"],
      },
    },
    {
      method: "DELETE",
      path: "/schema/{schema_id}",
      access: WRITE,
      operation: "schema",
      handle: remove,
      describe: {
        operationId: "deleteSchema",
        tag: "Schemas",
        summary: "Remove a template",
        description: "Stored documents stay; later writes of the schema id are not checked.",
        parameters: [SCHEMA_ID_PARAMETER],
        responses: { "200": { description: "Removed.", content: jsonContent(ref("Ok"), { status: "ok" }) } },
        errors: ["not_found"],
      },
    },
    {
      method: "GET",
      path: "/api/schemas",
      access: READ,
      operation: "schema",
      handle: used,
      describe: {
        operationId: "listUsedSchemas",
        tag: "Schemas",
        summary: "List the schemas that hold at least one entity",
        description: "Sorted by their ids; whether they have a template does not matter.",
        parameters: [{
          name: "counts",
          in: "query",
          description: "Whether to answer the number of entities too.",
          schema: { type: "boolean", default: false },
        }],
        responses: {
          "200": {
            description: "Schema ids; with `counts=true`, objects.",
            content: jsonContent(
              { type: "array", items: { anyOf: [ref("SchemaId"), ref("SchemaCount")] } },
              [{ id: "chat.v1", entities: 1204 }],
            ),
          },
        },
      },
    },
  ];
}

const NO_TEMPLATE = failure("not_found", "There is no template with this schema id");

function compareIds(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
