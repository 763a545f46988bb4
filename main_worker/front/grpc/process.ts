/** The gRPC door for clients: `Process` with the same credentials, names, limits and outcomes as REST. */
import { possibleTag } from "../../../shared/conditions.ts";
import { scanDocument } from "../../../shared/json/scanner.ts";
import {
  ENTITIES_PER_PUT_MAX,
  KEYS_PER_MULTI_GET_MAX,
  LIST_PAGE_DEFAULT,
  LIST_PAGE_MAX,
} from "../../../shared/limits.ts";
import { BoundedAudit } from "../../../shared/logging/bounded_audit.ts";
import type { Logger } from "../../../shared/logging/logger.ts";
import {
  checkKeyPrefix,
  type EntityKey,
  entityName,
  NameError,
  parseEntityKey,
  parseSchemaId,
  type SchemaId,
} from "../../../shared/names.ts";
import { type EntityMeta, type Failure, failure, type Outcome } from "../../../shared/outcome.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import type {
  ClientEntity,
  ClientOperation,
  ClientRequest,
  ClientResponse,
} from "../../../shared/wire/client_messages.ts";
import { STATUS_OF_CODE } from "../../../shared/wire/grpc/errors.ts";
import { allowsSchema, auditedCaller, type Authenticator, authorize, type Principal } from "../auth.ts";
import type { Control, Permission } from "../../control/control.ts";
import type { EntityService } from "../entities.ts";
import { decodeCursor, encodeCursor } from "../rest/cursors.ts";
import { Refusal } from "../rest/errors.ts";

export interface ProcessParts {
  readonly entities: EntityService;
  readonly control: Control;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  readonly log: Logger;
  /** Largest document in bytes. */
  readonly documentBytesMax: number;
  /** Bytes of documents in one answer, beyond which a client with the usual limits could not receive it. */
  readonly answerBytesMax: number;
  readonly metrics: {
    /** `status`: of gRPC. */
    request(operation: string, status: string, seconds: number): void;
    credentialRefused(): void;
  };
  /** Counts an administrative action by what it ended in. */
  readonly countAction: (action: string, result: string) => void;
}

const PERMISSION: Readonly<Record<ClientOperation, Permission>> = {
  get: "read",
  head: "read",
  get_many: "read",
  list: "read",
  schema_get: "read",
  schema_list: "read",
  put: "write",
  put_many: "write",
  patch: "write",
  delete: "write",
  schema_put: "write",
  schema_delete: "write",
};

/** What an entity of an answer takes beside its document: key, ETag, numbers, and their tags. */
const ENTITY_OVERHEAD_BYTES = 512;

/** Thrown inside this file only: an answer that ends the request early. */
class Ended extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/** Executes a client's request; never rejects for what a client can cause. */
export function createProcess(parts: ProcessParts) {
  const { entities, control, authenticator, clock, log, documentBytesMax, answerBytesMax, metrics, countAction } =
    parts;
  const refusals = new BoundedAudit(log, clock);

  async function process(request: ClientRequest, credential: string, peer: string): Promise<ClientResponse> {
    const startedMs = clock.monotonic();
    let status = "INTERNAL";
    try {
      const response = await execute(request, credential, peer).catch((error) => {
        if (error instanceof Ended || error instanceof Refusal) return failed(error.failure);
        throw error;
      });
      status = response.status === "ok" || response.status === "not_modified" ? "OK" : STATUS_OF_CODE[response.status];
      return response;
    } finally {
      metrics.request(request.operation, status, (clock.monotonic() - startedMs) / 1000);
    }
  }

  /** The caller and the schema, when the one may do this to the other. */
  function admit({ operation, schemaId: given }: ClientRequest, credential: string, peer: string) {
    const refused = (refusal: Failure): Ended => {
      metrics.credentialRefused();
      refusals.audit("request_refused", { address: peer, code: refusal.code, operation });
      return new Ended(refusal);
    };
    const principal = authenticator.credential(credential);
    if ("kind" in principal) throw refused(principal);
    const schemaId = operation === "schema_list" ? undefined : named(() => parseSchemaId(given), "invalid_schema_id");
    const forbidden = authorize(principal, PERMISSION[operation], schemaId);
    if (forbidden) throw refused(forbidden);
    return { principal, schemaId };
  }

  async function execute(request: ClientRequest, credential: string, peer: string): Promise<ClientResponse> {
    const { principal, schemaId } = admit(request, credential, peer);
    const audit = (result: string) => {
      countAction(request.operation, result);
      log.audit(request.operation, {
        address: peer,
        ...auditedCaller(principal),
        result,
        schema_id: schemaId,
      });
    };
    if (request.operation === "schema_list") return await listSchemas(principal, request.counts);
    const schema = schemaId!;
    const conditions = {
      ...(request.ifMatch ? { ifMatch: request.ifMatch.map(possibleTag) } : {}),
      ...(request.ifNoneMatch ? { ifNoneMatch: request.ifNoneMatch.map(possibleTag) } : {}),
    };
    switch (request.operation) {
      case "get":
      case "head": {
        const response = answer(await entities.get(schema, keyOf(request.entityKey), conditions));
        return request.operation === "get" ? response : withoutResult(response);
      }
      case "put": {
        const document = documentOf(request.payload);
        const options = { ...conditions, ...(request.force ? { force: true } : {}) };
        return answer(await entities.put(schema, keyOf(request.entityKey), document, options));
      }
      case "patch":
        return answer(await entities.patch(schema, keyOf(request.entityKey), documentOf(request.payload), conditions));
      case "delete":
        return answer(await entities.delete(schema, keyOf(request.entityKey), conditions));
      case "put_many":
        return await putMany(schema, request);
      case "get_many":
        return await getMany(schema, request.keys);
      case "list":
        return await list(schema, request);
      case "schema_get": {
        const template = control.snapshot().schemas.templates.get(schema);
        if (template === undefined) return failed(failure("not_found", "There is no such schema"));
        return template.text.length > 0
          ? { status: "ok", result: template.text }
          : failed(failure("invalid_schema", `The template cannot be used: ${template.invalid}`));
      }
      case "schema_put": {
        const changed = await control.putSchema(schema, documentOf(request.payload));
        audit(changed.kind === "done" ? "ok" : changed.code);
        return changed.kind === "done" ? { status: "ok", existed: !changed.value.created } : failed(changed);
      }
      case "schema_delete": {
        const changed = await control.deleteSchema(schema);
        audit(changed.kind === "failed" ? changed.code : changed.value.existed ? "ok" : "not_found");
        if (changed.kind === "failed") return failed(changed);
        return changed.value.existed
          ? { status: "ok", existed: true }
          : failed(failure("not_found", "There is no such schema"));
      }
    }
  }

  /** The document in a payload, without the white space around it. */
  function documentOf(payload: Uint8Array): Uint8Array {
    if (payload.byteLength > documentBytesMax) {
      throw new Ended(failure("too_large", `The document is larger than ${documentBytesMax} bytes`));
    }
    const scanned = scanDocument(payload);
    if (!scanned.ok) throw new Ended(failure(scanned.code, scanned.reason));
    return payload.subarray(scanned.start, scanned.end);
  }

  async function putMany(schema: SchemaId, request: ClientRequest): Promise<ClientResponse> {
    const { entities: given } = request;
    if (given.length === 0) throw new Ended(failure("empty", "There is no entity in the request"));
    if (given.length > ENTITIES_PER_PUT_MAX) {
      throw new Ended(
        failure("bad_request", `There are ${given.length} entities; ${ENTITIES_PER_PUT_MAX} are allowed`),
      );
    }
    if (request.ifMatch || request.ifNoneMatch) {
      throw new Ended(failure("bad_request", "Conditions apply to a single entity"));
    }
    const crowded = entities.crowded(schema);
    if (crowded !== undefined) throw new Ended(crowded);
    const documents = new Map<EntityKey, Uint8Array>();
    for (const { key, payload } of given) {
      const parsed = keyOf(key);
      if (documents.has(parsed)) throw new Ended(failure("bad_request", "An entity key appears twice"));
      documents.set(parsed, documentOf(payload));
    }
    const outcome = await entities.putMany(schema, documents, request.force ? { force: true } : {});
    if (outcome.kind === "failed") return failed(outcome);
    const results = [...outcome.outcomes].map(([key, one]): ClientEntity => {
      const { status, version, etag, error } = answer(one);
      return {
        key,
        status: status === "not_modified" ? "ok" : status,
        ...(version === undefined ? {} : { version }),
        ...(etag === undefined ? {} : { etag }),
        ...(error === undefined ? {} : { error }),
      };
    });
    const worst = results.find((result) => result.status !== "ok");
    if (worst === undefined) return { status: "ok", entities: results };
    return { status: worst.status, error: "Some entities could not be stored", entities: results, retryAfterS: 1 };
  }

  async function getMany(schema: SchemaId, keys: readonly string[]): Promise<ClientResponse> {
    if (keys.length > KEYS_PER_MULTI_GET_MAX) {
      throw new Ended(failure("bad_request", `There are ${keys.length} keys; ${KEYS_PER_MULTI_GET_MAX} are allowed`));
    }
    const outcomes = await entities.getMany(schema, [...new Set(keys.map(keyOf))]);
    const found: ClientEntity[] = [];
    const missing: string[] = [];
    let bytes = 0;
    for (const [key, outcome] of outcomes) {
      if (outcome.kind === "failed" && outcome.code === "not_found") {
        missing.push(key);
        continue;
      }
      if (outcome.kind === "failed") return failed(outcome);
      const { result, version, etag, writtenAtMs, size } = answer(outcome);
      bytes += size! + ENTITY_OVERHEAD_BYTES;
      if (bytes > answerBytesMax && found.length > 0) {
        return failed(
          failure("too_large", `The documents have more than ${answerBytesMax} bytes; ask for fewer at once`),
        );
      }
      found.push({
        key,
        status: "ok",
        value: result!,
        version: version!,
        etag: etag!,
        writtenAtMs: writtenAtMs!,
        size: size!,
      });
    }
    return { status: "ok", entities: found, missing };
  }

  async function list(schema: SchemaId, request: ClientRequest): Promise<ClientResponse> {
    const limit = request.limit === 0 ? LIST_PAGE_DEFAULT : request.limit;
    if (limit > LIST_PAGE_MAX) throw new Ended(failure("bad_request", `limit is at most ${LIST_PAGE_MAX}`));
    named(() => checkKeyPrefix(request.prefix), "invalid_key");
    const after = request.cursor === "" ? "" : decodeCursor(schema, request.cursor);
    const page = await entities.list(schema, { prefix: request.prefix, after, limit, values: request.values });
    if (page.kind === "failed") return failed(page);
    let bytes = 0;
    const tooMany = page.entries.findIndex(({ value }, i) => {
      bytes += (value?.byteLength ?? 0) + ENTITY_OVERHEAD_BYTES;
      return bytes > answerBytesMax && i > 0;
    });
    const entries = tooMany < 0 ? page.entries : page.entries.slice(0, tooMany);
    const next = tooMany < 0 ? page.next : entityName(schema, entries.at(-1)!.key);
    return {
      status: "ok",
      entities: entries.map(({ key, meta, size, value, problem }): ClientEntity => ({
        key,
        status: problem ?? "ok",
        size,
        ...(meta ? { version: meta.version, etag: meta.etag, writtenAtMs: meta.writtenAtMs } : {}),
        ...(value ? { value } : {}),
      })),
      ...(next === null ? {} : { nextCursor: encodeCursor(schema, next) }),
    };
  }

  async function listSchemas(principal: Principal, counts: boolean): Promise<ClientResponse> {
    const ids = [...control.snapshot().schemas.templates.keys()];
    const counted = new Map<SchemaId, number | null>();
    if (counts) {
      const outcome = await entities.counts();
      if (outcome.kind === "failed") return failed(outcome);
      for (const [id, n] of outcome.counts) counted.set(id, n);
    }
    const own = [...new Set([...ids, ...counted.keys()])].filter((id) => allowsSchema(principal, id)).sort();
    return {
      status: "ok",
      schemas: own.map((id) => {
        const n = counts ? counted.get(id) ?? (counted.has(id) ? null : 0) : null;
        return { id, ...(n === null ? {} : { entities: n }) };
      }),
    };
  }

  return process;
}

function keyOf(key: string): EntityKey {
  if (key === "") throw new Ended(failure("missing_key", "The entity key is missing"));
  return named(() => parseEntityKey(key), "invalid_key");
}

function named<T>(parse: () => T, code: "invalid_key" | "invalid_schema_id"): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof NameError) throw new Ended(failure(code, error.message));
    throw error;
  }
}

function metaFields({ version, etag, writtenAtMs, size }: EntityMeta) {
  return { version, etag, writtenAtMs, size };
}

function answer(outcome: Outcome): ClientResponse {
  switch (outcome.kind) {
    case "found":
      return { status: "ok", result: outcome.document, ...metaFields(outcome.meta) };
    case "stored":
      return { status: "ok", ...metaFields(outcome.meta) };
    case "not_modified":
      return { status: "not_modified", ...metaFields(outcome.meta) };
    case "deleted":
      return { status: "ok", existed: outcome.existed };
    case "valid":
      return { status: "ok" };
    case "failed":
      return failed(outcome);
  }
}

function failed({ code, message, violations, current, retryAfterS }: Failure): ClientResponse {
  return {
    status: code,
    error: message,
    ...(violations ? { violations } : {}),
    ...(current ? metaFields(current) : {}),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  };
}

function withoutResult({ result: _, ...rest }: ClientResponse): ClientResponse {
  return rest;
}
