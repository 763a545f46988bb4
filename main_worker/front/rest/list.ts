/** `GET /entities/{schema_id}`: the keys of a schema, page by page, with their documents on request. */
import { LIST_PAGE_DEFAULT, LIST_PAGE_MAX } from "../../../shared/limits.ts";
import { jsonContent, LIMIT_PARAMETER, PREFIX_PARAMETER, ref, SCHEMA_ID_PARAMETER } from "./components.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import type { LargeAnswers } from "./large_answers.ts";
import { queryFlag, queryInteger, queryPrefix, queryValue } from "./query.ts";
import { failed, JsonParts } from "./reply.ts";
import { type Call, type EntityDeps, READ, type Route, schemaIdOfCall } from "./route.ts";

/** The route of listings. */
export function listRoutes({ entities }: EntityDeps, answers: LargeAnswers): readonly Route[] {
  async function list(call: Call): Promise<Response> {
    const schemaId = schemaIdOfCall(call);
    const prefix = queryPrefix(call.query);
    const limit = queryInteger(call.query, "limit", 1, LIST_PAGE_MAX, LIST_PAGE_DEFAULT);
    const values = queryFlag(call.query, "values");
    const cursor = queryValue(call.query, "cursor");
    const after = cursor === undefined || cursor === "" ? "" : decodeCursor(schemaId, cursor);
    const outcome = await entities.list(schemaId, { prefix, after, limit, values });
    if (outcome.kind === "failed") return failed(call, outcome);

    const parts = new JsonParts().text(`{"keys":[`);
    let comma = "";
    for (const { key, meta, size, value, problem } of outcome.entries) {
      parts.text(`${comma}{"key":${JSON.stringify(key)}`);
      comma = ",";
      if (meta !== undefined) parts.text(`,"version":${meta.version}`);
      parts.text(`,"size":${size}`);
      if (meta !== undefined) parts.text(`,"updated_at":"${new Date(meta.writtenAtMs).toISOString()}"`);
      if (problem !== undefined) parts.text(`,"problem":"${problem}"`);
      else if (values && value !== undefined) parts.text(`,"value":`).bytes(value);
      parts.text("}");
    }
    const next = outcome.next === null ? "null" : JSON.stringify(encodeCursor(schemaId, outcome.next));
    return answers.answer(call, parts.text(`],"next_cursor":${next}}`));
  }

  return [{
    method: "GET",
    path: "/entities/{schema_id}",
    access: READ,
    operation: "list",
    handle: list,
    describe: {
      operationId: "listEntities",
      tag: "Entities",
      summary: "List the keys of a schema",
      description: "In the byte order of the keys' storage names. On a bucket, `version` and `updated_at` come only " +
        "with `values=true`. A cursor stays valid while entities come and go.",
      parameters: [
        SCHEMA_ID_PARAMETER,
        PREFIX_PARAMETER,
        LIMIT_PARAMETER,
        {
          name: "cursor",
          in: "query",
          description: "`next_cursor` of the page before. Absent or empty: from the beginning.",
          schema: { type: "string", pattern: "^[A-Za-z0-9_-]*$" },
        },
        {
          name: "values",
          in: "query",
          description: "Whether to answer the documents too. A page may end early then.",
          schema: { type: "boolean", default: false },
        },
      ],
      responses: {
        "200": {
          description: "A page.",
          content: jsonContent(ref("ListResult"), {
            keys: [{ key: "chat_1", version: 3, size: 512, updated_at: "2026-01-31T12:00:00.000Z" }],
            next_cursor: null,
          }),
        },
      },
      errors: ["invalid_key"],
    },
  }];
}
