/** `Process`, the method of clients, between the plain types and its messages. */
import type { Buffer } from "node:buffer";
import {
  CREDENTIAL_BYTES_MAX,
  ENTITIES_PER_PUT_MAX,
  ENTITY_NAME_BYTES_MAX,
  ENTITY_TAGS_MAX,
  GRPC_TRAILER_BYTES_MAX,
  KEYS_PER_MULTI_GET_MAX,
  LIST_PAGE_MAX,
  SCHEMAS_MAX,
  WIRE_TEXT_BYTES_MAX,
  WIRE_VIOLATIONS_MAX,
} from "../../limits.ts";
import type { ErrorCode } from "../../outcome.ts";
import type { ClientEntity, ClientOperation, ClientRequest, ClientResponse } from "../client_messages.ts";
import { sentence, violationsToMessage } from "./codec_batch.ts";
import type { Definition } from "./definition.ts";
import { isErrorCode, WireError } from "./errors.ts";
import {
  enumTable,
  enumValue,
  type Message,
  type MessageCodec,
  messageCodec,
  outMs,
  outWhole,
  text,
  whole,
} from "./message_codec.ts";

/** A request with the credential that it carries (empty: none in the message). */
export interface AuthenticatedRequest {
  readonly request: ClientRequest;
  readonly credential: string;
}

/** Names are only bounded here; the front door parses them and says which rule one breaks. */
const NAME_BYTES_MAX = WIRE_TEXT_BYTES_MAX;

/** Codec of `ProcessRequest`. */
export function clientRequestCodec(definition: Definition): MessageCodec<AuthenticatedRequest> {
  const operations = enumTable<ClientOperation>(definition, "ProcessRequest.Operation", {
    get: "GET",
    put: "PUT",
    delete: "DELETE",
    schema_get: "SCHEMA_GET",
    schema_put: "SCHEMA_PUT",
    schema_delete: "SCHEMA_DELETE",
    patch: "PATCH",
    list: "LIST",
    get_many: "GET_MANY",
    put_many: "PUT_MANY",
    head: "HEAD",
    schema_list: "SCHEMA_LIST",
  });
  return messageCodec<AuthenticatedRequest>(definition, {
    name: "ProcessRequest",
    strictStrings: true,
    counts: {
      ifMatch: ENTITY_TAGS_MAX,
      ifNoneMatch: ENTITY_TAGS_MAX,
      keys: KEYS_PER_MULTI_GET_MAX,
      entities: ENTITIES_PER_PUT_MAX,
    },
    toMessage: ({ request, credential }) => ({
      entityKey: request.entityKey,
      schemaId: request.schemaId,
      operation: operations.numbers[request.operation],
      payload: request.payload,
      token: credential || undefined,
      ifMatch: request.ifMatch,
      ifNoneMatch: request.ifNoneMatch,
      force: request.force || undefined,
      keys: request.keys,
      entities: request.entities,
      prefix: request.prefix,
      limit: outWhole(request.limit, "limit"),
      cursor: request.cursor,
      values: request.values || undefined,
      counts: request.counts || undefined,
    }),
    fromMessage: (message) => ({
      credential: text(message.token, "token", CREDENTIAL_BYTES_MAX),
      request: {
        operation: enumValue(operations.names, message.operation, "operation"),
        schemaId: text(message.schemaId, "schema_id", NAME_BYTES_MAX),
        entityKey: text(message.entityKey, "entity_key", NAME_BYTES_MAX),
        payload: message.payload,
        ...(message.ifMatch.length > 0 && { ifMatch: tags(message.ifMatch, "if_match") }),
        ...(message.ifNoneMatch.length > 0 && { ifNoneMatch: tags(message.ifNoneMatch, "if_none_match") }),
        force: message.force,
        keys: message.keys.map((key: string) => text(key, "keys", NAME_BYTES_MAX)),
        entities: message.entities.map((entity: Message) => ({
          key: text(entity.key, "entities.key", NAME_BYTES_MAX),
          payload: entity.payload,
        })),
        prefix: text(message.prefix, "prefix", NAME_BYTES_MAX),
        limit: whole(message.limit, "limit"),
        cursor: text(message.cursor, "cursor", NAME_BYTES_MAX),
        values: message.values,
        counts: message.counts,
      },
    }),
  });
}

function tags(values: readonly string[], field: string): readonly string[] {
  return values.map((value) => text(value, field, NAME_BYTES_MAX));
}

function status(value: string, field: string): ErrorCode | "ok" | "not_modified" {
  if (value === "ok" || value === "not_modified" || isErrorCode(value)) return value;
  throw new WireError("INVALID_ARGUMENT", `${field} has the unknown value ${value}`);
}

function entityToMessage(entity: ClientEntity): Message {
  return {
    key: entity.key,
    status: entity.status,
    value: entity.value,
    version: optionalWhole(entity.version, "version"),
    etag: entity.etag,
    writtenAtMs: entity.writtenAtMs === undefined ? undefined : outMs(entity.writtenAtMs, "writtenAtMs"),
    size: optionalWhole(entity.size, "size"),
    error: entity.error === undefined ? undefined : sentence(entity.error),
  };
}

function optionalWhole(value: number | undefined, field: string): number | undefined {
  return value === undefined ? undefined : outWhole(value, field);
}

/** The value of a field that was sent, through `check`; nothing for one that was not. */
function sent<T>(message: Message, field: string, check: (value: never, field: string) => T): Record<string, T> {
  return Object.hasOwn(message, field) ? { [field]: check(message[field] as never, field) } : {};
}

function entityFromMessage(message: Message): ClientEntity {
  const state = status(message.status, "entities.status");
  if (state === "not_modified") throw new WireError("INVALID_ARGUMENT", "entities.status has the value not_modified");
  return {
    key: text(message.key, "entities.key", NAME_BYTES_MAX),
    status: state,
    ...sent(message, "value", (value) => value as Uint8Array),
    ...sent(message, "version", whole),
    ...sent(message, "etag", bounded),
    ...sent(message, "writtenAtMs", whole),
    ...sent(message, "size", whole),
    ...sent(message, "error", bounded),
  };
}

function bounded(value: string, field: string): string {
  return text(value, field, WIRE_TEXT_BYTES_MAX);
}

/** Codec of `ProcessResponse`. */
export interface ClientResponseCodec extends MessageCodec<ClientResponse> {
  /** An error as it travels in trailing metadata: what does not fit is left out and counted. */
  encodeTrailer(response: ClientResponse): Buffer;
}

/** Codec of `ProcessResponse`. */
export function clientResponseCodec(definition: Definition): ClientResponseCodec {
  const toMessage = (response: ClientResponse): Message => ({
    status: response.status,
    result: response.result,
    version: optionalWhole(response.version, "version"),
    error: response.error === undefined ? undefined : sentence(response.error),
    etag: response.etag,
    writtenAtMs: response.writtenAtMs === undefined ? undefined : outMs(response.writtenAtMs, "writtenAtMs"),
    size: optionalWhole(response.size, "size"),
    details: violationsToMessage(response.violations),
    entities: response.entities?.map(entityToMessage),
    missing: response.missing,
    nextCursor: response.nextCursor,
    existed: response.existed,
    schemas: response.schemas,
    retryAfterS: response.retryAfterS === undefined
      ? undefined
      : outWhole(Math.ceil(response.retryAfterS), "retryAfterS"),
  });
  const codec = messageCodec<ClientResponse>(definition, {
    name: "ProcessResponse",
    counts: {
      details: WIRE_VIOLATIONS_MAX,
      entities: Math.max(LIST_PAGE_MAX, KEYS_PER_MULTI_GET_MAX, ENTITIES_PER_PUT_MAX),
      missing: KEYS_PER_MULTI_GET_MAX,
      schemas: SCHEMAS_MAX,
    },
    toMessage,
    fromMessage: (message) => ({
      status: status(message.status, "status"),
      ...sent(message, "result", (value) => value as Uint8Array),
      ...sent(message, "version", whole),
      ...sent(message, "etag", bounded),
      ...sent(message, "writtenAtMs", whole),
      ...sent(message, "size", whole),
      ...sent(message, "error", bounded),
      ...(message.details.length > 0 && {
        violations: message.details.map((one: Message) => ({
          key: bounded(one.key, "details.key"),
          path: bounded(one.path, "details.path"),
          message: bounded(one.message, "details.message"),
        })),
      }),
      ...(message.entities.length > 0 && { entities: message.entities.map(entityFromMessage) }),
      ...(message.missing.length > 0 && {
        missing: message.missing.map((key: string) => text(key, "missing", NAME_BYTES_MAX)),
      }),
      ...sent(message, "nextCursor", (value: string, field) => text(value, field, ENTITY_NAME_BYTES_MAX * 2)),
      ...sent(message, "existed", (value) => value as boolean),
      ...(message.schemas.length > 0 && {
        schemas: message.schemas.map((one: Message) => ({
          id: text(one.id, "schemas.id", NAME_BYTES_MAX),
          ...sent(one, "entities", whole),
        })),
      }),
      ...sent(message, "retryAfterS", whole),
    }),
  });
  const type = definition.type("ProcessResponse");
  return {
    ...codec,
    encodeTrailer: (response) => {
      const message = toMessage({ ...response, result: undefined });
      const details: Message[] = message.details ?? [];
      const entities: Message[] = message.entities ?? [];
      let kept = details.length + entities.length;
      for (;;) {
        const fewer = {
          ...message,
          error: message.error?.slice(0, GRPC_TRAILER_BYTES_MAX / 6),
          details: details.slice(0, kept),
          entities: entities.slice(0, Math.max(0, kept - details.length)),
          omitted: details.length + entities.length - kept || undefined,
        };
        const encoded = type.encode(fewer).finish() as Buffer;
        if (encoded.byteLength <= GRPC_TRAILER_BYTES_MAX || kept === 0) return encoded;
        kept >>= 1;
      }
    },
  };
}
