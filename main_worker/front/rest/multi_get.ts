/** `POST /entities/{schema_id}/get`: many documents of a schema in one answer. */
import { KEYS_PER_MULTI_GET_MAX, MULTI_GET_BYTES_MAX } from "../../../shared/limits.ts";
import type { EntityKey } from "../../../shared/names.ts";
import { type Failure, failure, type Outcome } from "../../../shared/outcome.ts";
import { readJsonObject } from "./bodies.ts";
import { jsonContent, ref, SCHEMA_ID_PARAMETER } from "./components.ts";
import { type KeyDetail, refuse, STATUS_OF } from "./errors.ts";
import { onlyMembers } from "./members.ts";
import { entityKeyOf } from "./query.ts";
import type { LargeAnswers } from "./large_answers.ts";
import { failed, JsonParts } from "./reply.ts";
import { type Call, type EntityDeps, READ, type Route, schemaIdOfCall } from "./route.ts";

/** The keys that a body asks for, each once. @throws {Refusal} `bad_request`, `invalid_key` */
function requestedKeys(body: Readonly<Record<string, unknown>>): readonly EntityKey[] {
  onlyMembers(body, ["keys"]);
  const { keys } = body;
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) {
    throw refuse("bad_request", "keys must be an array of strings");
  }
  if (keys.length > KEYS_PER_MULTI_GET_MAX) {
    throw refuse("bad_request", `keys has ${keys.length} entries; ${KEYS_PER_MULTI_GET_MAX} are allowed`);
  }
  return [...new Set(keys.map(entityKeyOf))];
}

/** The answer, or the failure of the request when any key could neither be read nor found missing. */
function answer(
  call: Call,
  keys: readonly EntityKey[],
  outcomes: ReadonlyMap<EntityKey, Outcome>,
  answers: LargeAnswers,
): Response {
  const parts = new JsonParts().text(`{"entities":{`);
  const missing: EntityKey[] = [];
  const details: KeyDetail[] = [];
  let worst: Failure | undefined;
  let comma = "";
  let size = 0;
  for (const key of keys) {
    const outcome = outcomes.get(key);
    if (outcome?.kind === "found") {
      parts.text(`${comma}${JSON.stringify(key)}:`).document(outcome);
      comma = ",";
      size += outcome.meta.size;
    } else if (outcome?.kind === "failed" && outcome.code === "not_found") {
      missing.push(key);
    } else if (outcome?.kind === "failed") {
      details.push({ key, status: "failed", code: outcome.code, message: outcome.message });
      if (worst === undefined || STATUS_OF[outcome.code] > STATUS_OF[worst.code]) worst = outcome;
    } else {
      throw new Error("a read of many has no outcome for one of its keys");
    }
  }
  if (worst !== undefined) return failed(call, worst, details);
  if (size > MULTI_GET_BYTES_MAX) {
    return failed(call, failure("too_large", `The documents have ${size} bytes together; ask for fewer at once`));
  }
  return answers.answer(call, parts.text(`},"missing":${JSON.stringify(missing)}}`));
}

/** The route of reads of many. */
export function multiGetRoutes({ entities, clock, bodyBytesMax }: EntityDeps, answers: LargeAnswers): readonly Route[] {
  async function getMany(call: Call): Promise<Response> {
    const keys = requestedKeys(await readJsonObject(call.request, bodyBytesMax, clock));
    const outcomes = await entities.getMany(schemaIdOfCall(call), keys);
    return answer(call, keys, outcomes, answers);
  }

  return [{
    method: "POST",
    path: "/entities/{schema_id}/get",
    access: READ,
    operation: "get_many",
    handle: getMany,
    describe: {
      operationId: "getEntities",
      tag: "Entities",
      summary: "Read many documents",
      description: "Either every key is answered, as a document or as missing, or the request fails and `details` " +
        "names the keys that could not be read.",
      parameters: [SCHEMA_ID_PARAMETER],
      requestBody: {
        required: true,
        content: jsonContent({
          type: "object",
          required: ["keys"],
          properties: { keys: { type: "array", maxItems: KEYS_PER_MULTI_GET_MAX, items: ref("EntityKey") } },
          additionalProperties: false,
        }, { keys: ["chat_1", "chat_2"] }),
      },
      responses: {
        "200": {
          description: "The documents, byte for byte.",
          content: jsonContent(ref("MultiGetResult"), { entities: { chat_1: { chat: [] } }, missing: ["chat_2"] }),
        },
      },
      errors: [
        "bad_json",
        "empty",
        "invalid_key",
        "key_unavailable",
        "too_large",
        "unsupported_media_type",
        "tampered",
      ],
    },
  }];
}
