/** Batches of operations and their results between the plain types and their messages. */
import {
  BATCH_OPERATIONS_MAX,
  BATCH_SCHEMAS_MAX,
  ENTITY_TAGS_MAX,
  ETAG_BYTES_MAX,
  PARTITIONS_MAX,
  WIRE_ID_BYTES_MAX,
  WIRE_TEXT_BYTES_MAX,
  WIRE_VIOLATIONS_MAX,
} from "../../limits.ts";
import { type EntityName, isStorageName, type Partition } from "../../names.ts";
import type { EntityMeta, Failure, Violation } from "../../outcome.ts";
import type { BatchRequest, BatchResponse, Operation, OperationKind, OperationResult } from "../messages.ts";
import type { Definition } from "./definition.ts";
import { isErrorCode, WireError } from "./errors.ts";
import {
  enumTable,
  enumValue,
  hex,
  type Message,
  type MessageCodec,
  messageCodec,
  outMs,
  outWhole,
  text,
  unhex,
  whole,
} from "./message_codec.ts";

const OP_ID_BYTES = 16;
const HASH_BYTES = 32;
const UINT32_MAX = 2 ** 32 - 1;
const DEADLINE_MS_MAX = 2 ** 31 - 1;

/** A storage name as `encodeName` writes them. */
export function storageName(value: string, field: string): EntityName {
  if (!isStorageName(value)) throw new WireError("INVALID_ARGUMENT", `${field} is not a storage name`);
  return value;
}

/** A partition index. */
export function partition(value: unknown, field: string): Partition {
  return whole(value, field, PARTITIONS_MAX - 1) as Partition;
}

function tagsToMessage(etags: readonly string[] | undefined): Message | undefined {
  return etags === undefined ? undefined : { etags };
}

function tagsFromMessage(message: Message, field: string): readonly string[] {
  if (message.etags.length > ENTITY_TAGS_MAX) {
    throw new WireError("INVALID_ARGUMENT", `${field} has more than ${ENTITY_TAGS_MAX} elements`);
  }
  return message.etags.map((etag: string) => text(etag, field, ETAG_BYTES_MAX));
}

function metaFromMessage(message: Message): EntityMeta {
  return {
    version: whole(message.version, "version"),
    etag: text(message.etag, "etag", ETAG_BYTES_MAX),
    writtenAtMs: whole(message.writtenAtMs, "written_at_ms"),
    size: whole(message.size, "size"),
  };
}

function metaToMessage(meta: EntityMeta): Message {
  return {
    version: outWhole(meta.version, "version"),
    etag: meta.etag,
    writtenAtMs: outMs(meta.writtenAtMs, "writtenAtMs"),
    size: outWhole(meta.size, "size"),
  };
}

/**
 * Cuts a sentence for people to what may travel. It can quote a document or a schema, whose strings may hold halves of
 * surrogate pairs, as may what was cut; the other side would take the whole message for a broken one.
 */
export function sentence(value: string): string {
  return value.slice(0, WIRE_TEXT_BYTES_MAX / 3).toWellFormed();
}

/** Violations as they travel; those beyond the bound are left out. */
export function violationsToMessage(violations: readonly Violation[] | undefined): Message[] | undefined {
  return violations?.slice(0, WIRE_VIOLATIONS_MAX).map((violation) => ({
    key: violation.key,
    path: sentence(violation.path),
    message: sentence(violation.message),
  }));
}

function violationFromMessage(message: Message): Violation {
  return {
    key: text(message.key, "violation.key", WIRE_TEXT_BYTES_MAX),
    path: text(message.path, "violation.path", WIRE_TEXT_BYTES_MAX),
    message: text(message.message, "violation.message", WIRE_TEXT_BYTES_MAX),
  };
}

function failureToMessage(failure: Failure): Message {
  return {
    code: failure.code,
    message: sentence(failure.message),
    violations: violationsToMessage(failure.violations),
    current: failure.current && metaToMessage(failure.current),
    retryAfterS: failure.retryAfterS === undefined
      ? undefined
      : outWhole(Math.ceil(failure.retryAfterS), "retryAfterS"),
  };
}

/** A failed outcome. */
export function failureFromMessage(message: Message): Failure {
  const { code } = message;
  if (!isErrorCode(code)) throw new WireError("INVALID_ARGUMENT", `failure.code has the unknown value ${code}`);
  if (message.violations.length > WIRE_VIOLATIONS_MAX) {
    throw new WireError("INVALID_ARGUMENT", `failure.violations has more than ${WIRE_VIOLATIONS_MAX} elements`);
  }
  return {
    kind: "failed",
    code,
    message: text(message.message, "failure.message", WIRE_TEXT_BYTES_MAX),
    ...(message.violations.length > 0 && { violations: message.violations.map(violationFromMessage) }),
    ...(message.current && { current: metaFromMessage(message.current) }),
    ...(Object.hasOwn(message, "retryAfterS") && { retryAfterS: whole(message.retryAfterS, "retry_after_s") }),
  };
}

/** Codec of `BatchRequest`. */
export function batchRequestCodec(definition: Definition): MessageCodec<BatchRequest> {
  const kinds = enumTable<OperationKind>(definition, "Operation.Kind", {
    get: "GET",
    put: "PUT",
    patch: "PATCH",
    delete: "DELETE",
    validate: "VALIDATE",
    rewrap: "REWRAP",
    restore: "RESTORE",
  });

  function operationFromMessage(message: Message, hashes: readonly string[]): Operation {
    const schema: number = message.schema;
    if (schema > hashes.length) {
      throw new WireError("INVALID_ARGUMENT", `operation.schema is ${schema}; there are ${hashes.length} hashes`);
    }
    const operation: Operation = {
      opId: hex(message.opId, "operation.op_id", OP_ID_BYTES),
      kind: enumValue(kinds.names, message.kind, "operation.kind"),
      partition: partition(message.partition, "operation.partition"),
      name: storageName(message.name, "operation.name"),
      payload: message.payload,
      schemaHash: schema === 0 ? "" : hashes[schema - 1]!,
      attempt: message.attempt,
    };
    const optional = operation as { -readonly [Key in keyof Operation]: Operation[Key] };
    if (message.ifMatch) optional.ifMatch = tagsFromMessage(message.ifMatch, "operation.if_match");
    if (message.ifNoneMatch) optional.ifNoneMatch = tagsFromMessage(message.ifNoneMatch, "operation.if_none_match");
    if (message.validated) optional.validated = true;
    if (message.force) optional.force = true;
    return operation;
  }

  return messageCodec<BatchRequest>(definition, {
    name: "BatchRequest",
    counts: {
      operations: BATCH_OPERATIONS_MAX,
      schemaHashes: BATCH_SCHEMAS_MAX,
      schemas: BATCH_SCHEMAS_MAX,
    },
    toMessage: (request) => {
      const places = new Map<string, number>();
      const schemaHashes: Uint8Array[] = [];
      const operations = request.operations.map((operation) => {
        let schema = 0;
        if (operation.schemaHash !== "") {
          schema = places.get(operation.schemaHash) ?? 0;
          if (schema === 0) {
            schema = schemaHashes.push(unhex(operation.schemaHash, "schemaHash", HASH_BYTES));
            places.set(operation.schemaHash, schema);
          }
        }
        return {
          opId: unhex(operation.opId, "opId", OP_ID_BYTES),
          kind: kinds.numbers[operation.kind],
          partition: operation.partition,
          name: operation.name,
          payload: operation.payload,
          schema,
          ifMatch: tagsToMessage(operation.ifMatch),
          ifNoneMatch: tagsToMessage(operation.ifNoneMatch),
          validated: operation.validated || undefined,
          force: operation.force || undefined,
          attempt: Math.min(operation.attempt, UINT32_MAX),
        };
      });
      return {
        epoch: outWhole(request.epoch, "epoch"),
        dispatcher: request.dispatcher,
        seq: outWhole(request.seq, "seq"),
        floor: outWhole(request.floor, "floor"),
        deadlineMs: Math.max(0, Math.min(DEADLINE_MS_MAX, Math.floor(request.deadlineMs))),
        operations,
        schemaHashes,
        schemas: Array.from(
          request.schemas,
          ([hash, template]) => ({ hash: unhex(hash, "schema hash", HASH_BYTES), text: template }),
        ),
      };
    },
    fromMessage: (message) => {
      const hashes = message.schemaHashes.map((hash: Uint8Array) => hex(hash, "schema_hashes", HASH_BYTES));
      return {
        epoch: whole(message.epoch, "epoch"),
        dispatcher: text(message.dispatcher, "dispatcher", WIRE_ID_BYTES_MAX),
        seq: whole(message.seq, "seq"),
        floor: whole(message.floor, "floor"),
        deadlineMs: whole(message.deadlineMs, "deadline_ms"),
        operations: message.operations.map((operation: Message) => operationFromMessage(operation, hashes)),
        schemas: new Map(
          message.schemas.map((template: Message) => [hex(template.hash, "schemas.hash", HASH_BYTES), template.text]),
        ),
      };
    },
  });
}

type ResultTag =
  | Exclude<OperationResult["kind"], "retry">
  | Extract<OperationResult, { kind: "retry" }>["reason"];

/** The answer to the batch with this number. */
export interface BatchAnswer extends BatchResponse {
  readonly seq: number;
}

/** Codec of `BatchResponse`. */
export function batchResponseCodec(definition: Definition): MessageCodec<BatchAnswer> {
  const kinds = enumTable<ResultTag>(definition, "OperationResult.Kind", {
    found: "FOUND",
    not_modified: "NOT_MODIFIED",
    stored: "STORED",
    deleted: "DELETED",
    valid: "VALID",
    failed: "FAILED",
    not_owner: "RETRY_NOT_OWNER",
    schema_unknown: "RETRY_SCHEMA_UNKNOWN",
    response_full: "RETRY_RESPONSE_FULL",
  });

  function resultToMessage(result: OperationResult): Message {
    switch (result.kind) {
      case "found":
        return { kind: kinds.numbers.found, document: result.document, ...metaToMessage(result.meta) };
      case "not_modified":
      case "stored":
        return { kind: kinds.numbers[result.kind], ...metaToMessage(result.meta) };
      case "deleted":
        return { kind: kinds.numbers.deleted, existed: result.existed };
      case "valid":
        return { kind: kinds.numbers.valid };
      case "failed":
        return { kind: kinds.numbers.failed, failure: failureToMessage(result) };
      case "retry":
        return { kind: kinds.numbers[result.reason] };
    }
  }

  function resultFromMessage(message: Message): OperationResult {
    const kind = enumValue(kinds.names, message.kind, "result.kind");
    switch (kind) {
      case "found":
        return { kind, document: message.document, meta: metaFromMessage(message) };
      case "not_modified":
      case "stored":
        return { kind, meta: metaFromMessage(message) };
      case "deleted":
        return { kind, existed: message.existed };
      case "valid":
        return { kind };
      case "failed":
        if (!message.failure) throw new WireError("INVALID_ARGUMENT", "result.failure is missing");
        return failureFromMessage(message.failure);
      case "not_owner":
      case "schema_unknown":
      case "response_full":
        return { kind: "retry", reason: kind };
    }
  }

  return messageCodec<BatchAnswer>(definition, {
    name: "BatchResponse",
    counts: { results: BATCH_OPERATIONS_MAX },
    toMessage: ({ results, seq }) => ({ results: results.map(resultToMessage), seq: outWhole(seq, "seq") }),
    fromMessage: (message) => ({ results: message.results.map(resultFromMessage), seq: whole(message.seq, "seq") }),
  });
}
