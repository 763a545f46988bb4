/** Random messages of every kind, for property tests of the codecs and for benchmarks. */
import fc from "fast-check";
import { type EntityName, entityName, parseEntityKey, parseSchemaId, type Partition } from "../../names.ts";
import type { EntityMeta, Failure } from "../../outcome.ts";
import type { ClientEntity, ClientRequest, ClientResponse } from "../client_messages.ts";
import type {
  BatchRequest,
  EntityEvent,
  HeartbeatRequest,
  HeartbeatResponse,
  ListRequest,
  ListResponse,
  Operation,
  OperationResult,
  SubscribeRequest,
  SubscribeResponse,
  UnsubscribeRequest,
} from "../messages.ts";
import { STATUS_OF_CODE } from "./errors.ts";
import type { BatchAnswer } from "./codec_batch.ts";
import type { AuthenticatedRequest } from "./codec_client.ts";

const number = fc.maxSafeNat();
const small = fc.nat({ max: 100_000 });
const content = fc.uint8Array({ maxLength: 64 });
const line = fc.string({ unit: "grapheme", maxLength: 20 });
/** Ids of keys: 64 bytes at most. */
const keyId = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 64 });
const hex = (size: number) => fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => bytes.toHex());
const partition = fc.nat({ max: 1_023 }) as fc.Arbitrary<Partition>;
const partitions = fc.array(partition, { maxLength: 20 });
const etag = fc.tuple(fc.nat(), hex(8)).map(([version, id]) => `${version}-${id}`);
const etags = fc.array(fc.oneof(etag, fc.constant("*")), { maxLength: 4 });
const plain = (unit: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...unit), minLength: 1, maxLength });
const name: fc.Arbitrary<EntityName> = fc.tuple(plain("abcü_.%-1", 12), plain("xyz€ _.%9", 40))
  .filter(([schema, key]) => !schema.includes("..") && !key.includes(".."))
  .map(([schema, key]) => entityName(parseSchemaId(schema), parseEntityKey(key)));
const code = fc.constantFrom(...Object.keys(STATUS_OF_CODE) as (keyof typeof STATUS_OF_CODE)[]);
const violation = fc.record({ key: line, path: line, message: line });
const meta: fc.Arbitrary<EntityMeta> = fc.record({ version: number, etag, writtenAtMs: number, size: number });

/** A record in which the fields of the second list may be missing. */
function partly<T extends object>(model: { [Key in keyof T]-?: fc.Arbitrary<T[Key]> }, optional: (keyof T)[]) {
  const requiredKeys = (Object.keys(model) as (keyof T)[]).filter((key) => !optional.includes(key));
  return fc.record(model, { requiredKeys: requiredKeys as never }) as unknown as fc.Arbitrary<T>;
}

const failure: fc.Arbitrary<Failure> = partly<Failure>({
  kind: fc.constant("failed" as const),
  code,
  message: line,
  violations: fc.array(violation, { minLength: 1, maxLength: 3 }),
  current: meta,
  retryAfterS: small,
}, ["violations", "current", "retryAfterS"]);

const hash = hex(32);

function operation(hashes: readonly string[]): fc.Arbitrary<Operation> {
  return partly<Operation>({
    opId: hex(16),
    kind: fc.constantFrom("get", "put", "patch", "delete", "validate", "rewrap", "restore"),
    partition,
    name,
    payload: content,
    schemaHash: fc.constantFrom("", ...hashes),
    ifMatch: etags,
    ifNoneMatch: etags,
    validated: fc.constant(true),
    force: fc.constant(true),
    attempt: small,
  }, ["ifMatch", "ifNoneMatch", "validated", "force"]);
}

const batchRequest: fc.Arbitrary<BatchRequest> = fc.array(hash, { maxLength: 3 }).chain((hashes) =>
  fc.record({
    epoch: number,
    dispatcher: line,
    seq: number,
    floor: number,
    deadlineMs: small,
    operations: fc.array(operation(hashes), { maxLength: 8 }),
    schemas: fc.array(fc.tuple(hash, content), { maxLength: 3 }).map((entries) => new Map(entries)),
  })
);

const result: fc.Arbitrary<OperationResult> = fc.oneof(
  fc.record({ kind: fc.constant("found" as const), document: content, meta }),
  fc.record({ kind: fc.constantFrom("not_modified" as const, "stored" as const), meta }),
  fc.record({ kind: fc.constant("deleted" as const), existed: fc.boolean() }),
  fc.record({ kind: fc.constant("valid" as const) }),
  failure,
  fc.record({
    kind: fc.constant("retry" as const),
    reason: fc.constantFrom("not_owner" as const, "schema_unknown" as const, "response_full" as const),
  }),
);

const batchResponse: fc.Arbitrary<BatchAnswer> = fc.record({
  results: fc.array(result, { maxLength: 8 }),
  seq: number,
});

const listRequest: fc.Arbitrary<ListRequest> = fc.record({
  epoch: number,
  partitions,
  prefix: line,
  after: line,
  limit: fc.nat({ max: 1_001 }),
  want: fc.constantFrom("meta", "documents", "envelopes", "counts"),
  bytesMax: number,
});

const listResponse: fc.Arbitrary<ListResponse> = partly<ListResponse>({
  items: fc.array(
    partly<ListResponse["items"][number]>({
      name,
      version: number,
      etag: fc.oneof(etag, fc.constant("")),
      writtenAtMs: number,
      size: number,
      keyId,
      bytes: content,
      problem: fc.constantFrom("tampered", "key_unavailable"),
    }, ["bytes", "problem"]),
    { maxLength: 5 },
  ),
  more: fc.boolean(),
  notOwned: partitions,
  unreadable: fc.constant(true),
  overloaded: fc.constant(true),
  counts: fc.array(fc.tuple(line, number), { maxLength: 3 }).map((entries) => new Map(entries)),
}, ["unreadable", "overloaded", "counts"]);

const entityEvent: fc.Arbitrary<EntityEvent> = fc.record({
  kind: fc.constantFrom("put", "delete"),
  name,
  version: number,
  etag,
  partition,
  epoch: number,
});

const subscribeRequest: fc.Arbitrary<SubscribeRequest> = fc.record({
  workerId: line,
  session: hex(16),
  publicKey: content,
  tags: fc.dictionary(fc.oneof(line, fc.constant("__proto__")), line, { maxKeys: 4, noNullPrototype: true }),
  timestampMs: number,
  proof: fc.uint8Array({ maxLength: 32 }),
  storeId: hex(16),
  partitions: fc.nat({ max: 1_024 }),
  owned: partitions,
});

const subscribeResponse: fc.Arbitrary<SubscribeResponse> = fc.record({
  token: line,
  tokenExpiresAtMs: number,
  keys: fc.array(fc.record({ keyId, wrapped: content }), { minLength: 1, maxLength: 4 }),
  heartbeatMs: number.map((value) => value % 2 ** 32),
  term: number,
  documentBytesMax: number,
});

const owned = fc.array(fc.record({ partition, epoch: number }), { maxLength: 8 });
const floors = fc.array(fc.record({ dispatcher: line, floor: number }), { maxLength: 4 });

const heartbeatRequest: fc.Arbitrary<HeartbeatRequest> = partly<HeartbeatRequest>({
  workerId: line,
  session: hex(16),
  token: line,
  seq: number,
  owned,
  releasing: partitions,
  failing: fc.array(
    fc.record({ partition, reason: fc.constantFrom("held", "corrupt", "unavailable"), detail: line }),
    { maxLength: 4 },
  ),
  finished: floors,
  epoch: number,
  leaving: fc.boolean(),
  activeRequests: small,
  cache: fc.record({ entries: number, bytes: number, hits: number, misses: number, evictions: number }),
  storage: fc.record({
    syncs: number,
    syncMicroseconds: number,
    logBytes: number,
    dirtyEntities: number,
    dirtyBytes: number,
    checkpoints: number,
  }),
  immediate: fc.boolean(),
}, ["storage"]);

const heartbeatResponse: fc.Arbitrary<HeartbeatResponse> = partly<HeartbeatResponse>({
  epoch: number,
  assigned: owned,
  floors,
  token: line,
  tokenExpiresAtMs: number,
}, ["token", "tokenExpiresAtMs"]);

const unsubscribeRequest: fc.Arbitrary<UnsubscribeRequest> = fc.record({
  workerId: line,
  session: hex(16),
  token: line,
});

const clientRequest: fc.Arbitrary<AuthenticatedRequest> = fc.record({
  credential: line,
  request: partly<ClientRequest>({
    operation: fc.constantFrom(
      "get",
      "put",
      "delete",
      "schema_get",
      "schema_put",
      "schema_delete",
      "patch",
      "list",
      "get_many",
      "put_many",
      "head",
      "schema_list",
    ),
    schemaId: line,
    entityKey: line,
    payload: content,
    ifMatch: fc.array(etag, { minLength: 1, maxLength: 3 }),
    ifNoneMatch: fc.array(etag, { minLength: 1, maxLength: 3 }),
    force: fc.boolean(),
    keys: fc.array(line, { maxLength: 4 }),
    entities: fc.array(fc.record({ key: line, payload: content }), { maxLength: 4 }),
    prefix: line,
    limit: small,
    cursor: line,
    values: fc.boolean(),
    counts: fc.boolean(),
  }, ["ifMatch", "ifNoneMatch"]),
});

const clientEntity: fc.Arbitrary<ClientEntity> = partly<ClientEntity>({
  key: line,
  status: fc.oneof(fc.constant("ok" as const), code),
  value: content,
  version: number,
  etag,
  writtenAtMs: number,
  size: number,
  error: line,
}, ["value", "version", "etag", "writtenAtMs", "size", "error"]);

const clientResponse: fc.Arbitrary<ClientResponse> = partly<ClientResponse>({
  status: fc.oneof(fc.constantFrom("ok" as const, "not_modified" as const), code),
  result: content,
  version: number,
  etag,
  writtenAtMs: number,
  size: number,
  error: line,
  violations: fc.array(violation, { minLength: 1, maxLength: 3 }),
  entities: fc.array(clientEntity, { minLength: 1, maxLength: 3 }),
  missing: fc.array(line, { minLength: 1, maxLength: 3 }),
  nextCursor: line,
  existed: fc.boolean(),
  schemas: fc.array(partly<{ id: string; entities?: number }>({ id: line, entities: number }, ["entities"]), {
    minLength: 1,
    maxLength: 3,
  }),
  retryAfterS: small,
}, [
  "result",
  "version",
  "etag",
  "writtenAtMs",
  "size",
  "error",
  "violations",
  "entities",
  "missing",
  "nextCursor",
  "existed",
  "schemas",
  "retryAfterS",
]);

/** An arbitrary for the plain type of each codec, under the codec's name. */
export const arbitraries = {
  batchRequest,
  batchResponse,
  listRequest,
  listResponse,
  eventsRequest: fc.record({ epoch: number }),
  entityEvent,
  subscribeRequest,
  subscribeResponse,
  heartbeatRequest,
  heartbeatResponse,
  unsubscribeRequest,
  clientRequest,
  clientResponse,
};
