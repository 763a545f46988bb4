/** `/entity/{schema_id}`: writing, reading, patching and deleting single entities, and writing many at once. */
import { ifMatchHolds } from "../../../shared/conditions.ts";
import { scanDocument } from "../../../shared/json/scanner.ts";
import { sliceDocuments } from "../../../shared/json/slicer.ts";
import { ENTITIES_PER_PUT_MAX } from "../../../shared/limits.ts";
import { type EntityKey, NameError, parseEntityKey, type SchemaId } from "../../../shared/names.ts";
import { type EntityMeta, type Failure, failure, type Outcome } from "../../../shared/outcome.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import type { Conditions, WriteOptions } from "../entities.ts";
import { mediaType, readBody } from "./bodies.ts";
import {
  ENTITY_HEADERS,
  IF_MATCH_PARAMETER,
  jsonContent,
  keyParameter,
  ref,
  SCHEMA_ID_PARAMETER,
  TAGS_PATTERN,
} from "./components.ts";
import { type KeyDetail, quoteEtag, Refusal, refuse, STATUS_OF } from "./errors.ts";
import { changeConditions, isConditional, putConditions, readConditions } from "./etags.ts";
import type { LargeAnswers } from "./large_answers.ts";
import { queryFlag, queryKey, requiredKey } from "./query.ts";
import { failed, httpDate, json, reply } from "./reply.ts";
import { type Call, type EntityDeps, READ, type Route, schemaIdOfCall, WRITE } from "./route.ts";

const MERGE_PATCH = "application/merge-patch+json";

/** What an outcome that this operation cannot have means. */
function unexpected(outcome: Outcome): Error {
  return new Error(`the outcome ${outcome.kind} does not belong to this operation`);
}

/**
 * An answer with the header fields that are about one version. `Last-Modified` is never in the future (RFC 9110, section
 * 8.8.2.1): the clock of the worker that wrote it may be ahead of this one.
 */
function aboutVersion(response: Response, meta: EntityMeta, clock: Clock): Response {
  const { headers } = response;
  headers.append("etag", quoteEtag(meta));
  headers.append("x-entity-version", String(meta.version));
  headers.append("last-modified", httpDate(Math.min(meta.writtenAtMs, clock.now())));
  return response;
}

/** The answer to a read. */
function answerRead(
  call: Call,
  outcome: Outcome,
  conditions: Conditions,
  clock: Clock,
  answers: LargeAnswers,
): Response {
  if (outcome.kind === "failed") return failed(call, outcome);
  if (outcome.kind !== "found" && outcome.kind !== "not_modified") throw unexpected(outcome);
  if (conditions.ifMatch !== undefined && !ifMatchHolds(conditions.ifMatch, outcome.meta.etag)) {
    return failed(call, failure("version_mismatch", "The entity has another version", { current: outcome.meta }));
  }
  if (outcome.kind === "not_modified") return aboutVersion(reply(call, 304, null, undefined), outcome.meta, clock);
  const response = answers.document(call, outcome);
  return response.ok ? aboutVersion(response, outcome.meta, clock) : response;
}

/** The answer to a write of one entity. `body`: what is said of its version. */
function answerStored(call: Call, outcome: Outcome, clock: Clock, body: (version: number) => string): Response {
  if (outcome.kind === "failed") return failed(call, outcome);
  if (outcome.kind !== "stored") throw unexpected(outcome);
  return aboutVersion(reply(call, 200, body(outcome.meta.version), "application/json"), outcome.meta, clock);
}

/** The answer to a write of many of which some may have failed. */
function answerMany(call: Call, outcomes: ReadonlyMap<EntityKey, Outcome>): Response {
  let worst: Failure | undefined;
  const details: KeyDetail[] = [];
  const versions: string[] = [];
  for (const [key, outcome] of outcomes) {
    if (outcome.kind === "stored") {
      details.push({ key, status: "stored", version: outcome.meta.version });
      versions.push(`${JSON.stringify(key)}:${outcome.meta.version}`);
    } else if (outcome.kind === "failed") {
      details.push({ key, status: "failed", code: outcome.code, message: outcome.message });
      if (worst === undefined || STATUS_OF[outcome.code] > STATUS_OF[worst.code]) worst = outcome;
    } else {
      throw unexpected(outcome);
    }
  }
  if (worst === undefined) {
    return reply(call, 200, `{"status":"ok","versions":{${versions.join(",")}}}`, "application/json");
  }
  const message = `${details.length - versions.length} of ${details.length} entities are not known to be stored; ` +
    `details says how each ended. The first reason: ${worst.message}`;
  return failed(call, { kind: "failed", code: worst.code, message, retryAfterS: worst.retryAfterS }, details);
}

/** What a query must have to name `force`, as it is or percent-encoded: most have neither, and need not be taken apart. */
const FORCE = /force|%/;

/** The routes of single entities. */
export function entityRoutes(deps: EntityDeps, answers: LargeAnswers): readonly Route[] {
  const { entities, clock, bodyBytesMax } = deps;

  function get(call: Call): Response | Promise<Response> {
    const key = requiredKey(call.query);
    const conditions = readConditions(call.request.headers);
    const outcome = entities.get(schemaIdOfCall(call), key, conditions);
    return outcome instanceof Promise
      ? outcome.then((settled) => answerRead(call, settled, conditions, clock, answers))
      : answerRead(call, outcome, conditions, clock, answers);
  }

  function writeOptions(call: Call): WriteOptions {
    const conditions = putConditions(call.request.headers);
    return FORCE.test(call.query) && queryFlag(call.query, "force") ? { ...conditions, force: true } : conditions;
  }

  async function put(call: Call): Promise<Response> {
    const schemaId = schemaIdOfCall(call);
    const key = queryKey(call.query);
    const options = writeOptions(call);
    const body = await readBody(call.request, bodyBytesMax, clock);
    if (key === undefined) return putMany(call, schemaId, body, options);
    const scanned = scanDocument(body);
    if (!scanned.ok) throw refuse(scanned.code, scanned.reason);
    const outcome = await entities.put(schemaId, key, body.subarray(scanned.start, scanned.end), options);
    return answerStored(call, outcome, clock, (version) => `{"status":"ok","version":${version}}`);
  }

  async function putMany(call: Call, schemaId: SchemaId, body: Uint8Array, options: WriteOptions): Promise<Response> {
    const crowded = entities.crowded(schemaId);
    if (crowded !== undefined) throw new Refusal(crowded);
    const sliced = sliceDocuments(body);
    if (sliced.kind === "failed") throw new Refusal(sliced);
    const documents = new Map<EntityKey, Uint8Array>();
    for (const { key, document } of sliced.documents) documents.set(memberKey(key, documents.size), document);
    const [only] = documents;
    if (documents.size === 1 && only !== undefined) {
      const outcome = await entities.put(schemaId, only[0], only[1], options);
      return answerStored(
        call,
        outcome,
        clock,
        (version) => `{"status":"ok","versions":{${JSON.stringify(only[0])}:${version}}}`,
      );
    }
    if (isConditional(call.request.headers)) {
      throw refuse("bad_request", "If-Match and If-None-Match need a body with exactly one entity");
    }
    const done = await entities.putMany(schemaId, documents, options);
    return done.kind === "failed" ? failed(call, done) : answerMany(call, done.outcomes);
  }

  async function patch(call: Call): Promise<Response> {
    const key = requiredKey(call.query);
    const conditions = changeConditions("PATCH", call.request.headers);
    if (mediaType(call.request) !== MERGE_PATCH) {
      throw refuse("unsupported_media_type", `PATCH takes Content-Type: ${MERGE_PATCH}`, [
        ["accept-patch", MERGE_PATCH],
      ]);
    }
    const body = await readBody(call.request, bodyBytesMax, clock);
    const scanned = scanDocument(body);
    if (!scanned.ok) throw refuse(scanned.code, scanned.reason);
    const change = body.subarray(scanned.start, scanned.end);
    const outcome = await entities.patch(schemaIdOfCall(call), key, change, conditions);
    return answerStored(call, outcome, clock, (version) => `{"status":"ok","version":${version}}`);
  }

  async function remove(call: Call): Promise<Response> {
    const key = requiredKey(call.query);
    const conditions = changeConditions("DELETE", call.request.headers);
    const outcome = await entities.delete(schemaIdOfCall(call), key, conditions);
    if (outcome.kind === "failed") return failed(call, outcome);
    if (outcome.kind !== "deleted") throw unexpected(outcome);
    return json(call, 200, { status: "ok" });
  }

  return [
    {
      method: "GET",
      path: "/entity/{schema_id}",
      access: READ,
      operation: "get",
      handle: get,
      describe: {
        operationId: "getEntity",
        tag: "Entities",
        summary: "Read a document",
        description: "The document, byte for byte as it was written. `HEAD` answers the same without the document.",
        parameters: [
          SCHEMA_ID_PARAMETER,
          keyParameter(true, "The entity."),
          {
            name: "If-None-Match",
            in: "header",
            description: "Answers 304 while the entity's ETag is one of these.",
            schema: { type: "string", pattern: TAGS_PATTERN },
          },
          IF_MATCH_PARAMETER,
        ],
        responses: {
          "200": {
            description: "The document.",
            headers: ENTITY_HEADERS,
            content: jsonContent(ref("Document"), { chat: [{ type: "assistant", text: "Hello." }] }),
          },
          "304": { description: "Nothing newer than what `If-None-Match` names.", headers: ENTITY_HEADERS },
        },
        errors: ["missing_key", "invalid_key", "not_found", "key_unavailable", "version_mismatch", "tampered"],
      },
    },
    {
      method: "PUT",
      path: "/entity/{schema_id}",
      access: WRITE,
      operation: ({ query }) => /(?:^|&)key=/.test(query) ? "put" : "put_many",
      handle: put,
      describe: {
        operationId: "putEntities",
        tag: "Entities",
        summary: "Write one document, or many",
        description: "With `key` the body is the document. Without it the body is an object of key → document, " +
          `1 to ${ENTITIES_PER_PUT_MAX} of them: all are validated before any is written, and one violation means ` +
          "that nothing is stored. Once answered, a write survives a crash of every process and of the machine. " +
          "The Content-Type does not matter.",
        parameters: [
          SCHEMA_ID_PARAMETER,
          keyParameter(false, "The entity whose document the body is."),
          {
            name: "force",
            in: "query",
            description: "Write even over an entity that is encrypted with a key this server does not hold. " +
              "What was there is lost then.",
            schema: { type: "boolean", default: false },
          },
          IF_MATCH_PARAMETER,
          {
            name: "If-None-Match",
            in: "header",
            description: "`*`: only if the entity does not exist. With one entity only.",
            schema: { type: "string", pattern: "^\\*$" },
          },
        ],
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: ref("Document"),
              examples: {
                many: {
                  summary: "Without key: key → document",
                  value: { chat_1: { chat: [{ type: "user", text: "Hi." }] } },
                },
                one: { summary: "With key: the document", value: { chat: [{ type: "user", text: "Hi." }] } },
              },
            },
          },
        },
        responses: {
          "200": {
            description: "Stored durably. With one entity, the header fields are about it.",
            headers: ENTITY_HEADERS,
            content: {
              "application/json": {
                schema: { oneOf: [ref("PutManyResult"), ref("PutOneResult")] },
                examples: {
                  many: { summary: "Without key", value: { status: "ok", versions: { chat_1: 3 } } },
                  one: { summary: "With key", value: { status: "ok", version: 3 } },
                },
              },
            },
          },
        },
        errors: [
          "bad_json",
          "empty",
          "invalid_key",
          "invalid_schema",
          "schema_violation",
          "key_unavailable",
          "version_mismatch",
          "too_large",
          "unsupported_media_type",
          "tampered",
        ],
      },
    },
    {
      method: "PATCH",
      path: "/entity/{schema_id}",
      access: WRITE,
      operation: "patch",
      handle: patch,
      describe: {
        operationId: "patchEntity",
        tag: "Entities",
        summary: "Change parts of a document",
        description: "A JSON Merge Patch (RFC 7396), applied by the entity's owner in the order in which patches " +
          "arrive, so that concurrent ones never lose one another. The result is validated. Numbers that the patch " +
          "does not touch keep their bytes.",
        parameters: [SCHEMA_ID_PARAMETER, keyParameter(true, "The entity."), IF_MATCH_PARAMETER],
        requestBody: {
          required: true,
          content: { [MERGE_PATCH]: { schema: ref("Document"), example: { title: "New", obsolete: null } } },
        },
        responses: {
          "200": {
            description: "Stored durably.",
            headers: ENTITY_HEADERS,
            content: jsonContent(ref("PutOneResult"), { status: "ok", version: 4 }),
          },
        },
        errors: [
          "bad_json",
          "empty",
          "missing_key",
          "invalid_key",
          "invalid_schema",
          "schema_violation",
          "not_found",
          "key_unavailable",
          "version_mismatch",
          "too_large",
          "unsupported_media_type",
          "tampered",
        ],
      },
    },
    {
      method: "DELETE",
      path: "/entity/{schema_id}",
      access: WRITE,
      operation: "delete",
      handle: remove,
      describe: {
        operationId: "deleteEntity",
        tag: "Entities",
        summary: "Delete an entity",
        description: "Answers the same when it was not there.",
        parameters: [SCHEMA_ID_PARAMETER, keyParameter(true, "The entity."), IF_MATCH_PARAMETER],
        responses: {
          "200": { description: "It is gone, durably.", content: jsonContent(ref("Ok"), { status: "ok" }) },
        },
        errors: ["missing_key", "invalid_key", "key_unavailable", "version_mismatch", "tampered"],
      },
    },
  ];
}

/** The key of a member of a PUT of many. */
function memberKey(text: string, index: number): EntityKey {
  try {
    return parseEntityKey(text);
  } catch (error) {
    if (!(error instanceof NameError)) throw error;
    throw refuse("invalid_key", `${error.message} (entity ${index + 1} of the body)`);
  }
}
