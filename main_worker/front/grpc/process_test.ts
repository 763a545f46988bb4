import assert from "assert";
import fc from "fast-check";
import {
  ENTITIES_PER_PUT_MAX,
  KEYS_PER_MULTI_GET_MAX,
  LIST_PAGE_MAX,
  REFUSALS_LOGGED_PER_S,
} from "../../../shared/limits.ts";
import { recordingLogger } from "../../../shared/logging/logger.ts";
import { failure } from "../../../shared/outcome.ts";
import type { ClientOperation, ClientRequest, ClientResponse } from "../../../shared/wire/client_messages.ts";
import { Authenticator } from "../auth.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import { ADMIN_KEY, countingRandom, FakeControl, FakeEntities, schemaId } from "../rest/testing.ts";
import { createProcess } from "./process.ts";

const OPERATIONS: readonly ClientOperation[] = [
  "get",
  "head",
  "get_many",
  "list",
  "schema_get",
  "schema_list",
  "put",
  "put_many",
  "patch",
  "delete",
  "schema_put",
  "schema_delete",
];

async function world(answerBytesMax = 4 << 20) {
  const clock = new ManualClock();
  const control = await FakeControl.open(clock, countingRandom(), ADMIN_KEY);
  const entities = new FakeEntities(clock);
  const log = recordingLogger();
  const counted: [string, string][] = [];
  const actions: string[] = [];
  let refused = 0;
  const process = createProcess({
    entities,
    control,
    authenticator: new Authenticator(clock, () => control.snapshot().credentials),
    clock,
    log,
    documentBytesMax: 1_000,
    answerBytesMax,
    metrics: {
      request: (operation, status) => void counted.push([operation, status]),
      credentialRefused: () => void refused++,
    },
    countAction: (action, result) => void actions.push(`${action} ${result}`),
  });
  const call = (operation: ClientOperation, request: Partial<ClientRequest> = {}, credential = ADMIN_KEY) =>
    process({ ...NOTHING, operation, schemaId: "s", ...request }, credential, "192.0.2.1");
  return { call, control, entities, log, counted, actions, refused: () => refused };
}

const NOTHING: ClientRequest = {
  operation: "get",
  schemaId: "",
  entityKey: "",
  payload: new Uint8Array(),
  force: false,
  keys: [],
  entities: [],
  prefix: "",
  limit: 0,
  cursor: "",
  values: false,
  counts: false,
};
const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a refused credential is told, counted and put on record; nothing is done", async () => {
  const { call, control, entities, log, counted, refused } = await world();
  entities.fault = () => {
    throw new Error("it was done");
  };
  const made = await control.createApiKey({ name: "r", permissions: ["read"], schemas: ["user*"] });
  assert(made.kind === "done");
  for (const operation of OPERATIONS) {
    assert.equal((await call(operation, {}, "wrong")).status, "unauthorized");
    const without = await call(operation, {}, "");
    assert.equal(without.status, "unauthorized");
    assert.match(without.error!, /A credential is needed/);
    if (operation !== "schema_list") assert.equal((await call(operation, {}, made.value.secret)).status, "forbidden");
  }
  assert.equal(refused(), 3 * OPERATIONS.length - 1);
  assert.equal(
    log.of("request_refused").length,
    REFUSALS_LOGGED_PER_S,
    "whoever floods the server does not flood the log",
  );
  assert.deepEqual(log.of("request_refused")[0]!.fields, {
    address: "192.0.2.1",
    code: "unauthorized",
    operation: "get",
    audit: true,
  });
  assert.deepEqual(counted.slice(0, 3).map(([, status]) => status), [
    "UNAUTHENTICATED",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
  ]);
});

Deno.test("a template that was dropped in and is unusable says so", async () => {
  const { call, control } = await world();
  const unreadable = { hash: "1", text: new Uint8Array(0), invalid: "it is not JSON" };
  control.publish({ schemas: { revision: 2, templates: new Map([[schemaId("unreadable"), unreadable]]) } });
  const { status, error } = await call("schema_get", { schemaId: "unreadable" });
  assert.deepEqual([status, error], ["invalid_schema", "The template cannot be used: it is not JSON"]);
});

Deno.test("templates: what was there, what is kept on record", async () => {
  const { call, log, actions } = await world();
  const payload = bytes(' {"type":"object"} ');
  assert.deepEqual(await call("schema_put", { payload }), { status: "ok", existed: false });
  assert.deepEqual(await call("schema_put", { payload }), { status: "ok", existed: true });
  assert.equal(new TextDecoder().decode((await call("schema_get")).result), '{"type":"object"}');
  assert.equal((await call("schema_put", { payload: bytes('{"type":7}') })).status, "invalid_schema");
  assert.deepEqual(await call("schema_delete"), { status: "ok", existed: true });
  assert.equal((await call("schema_delete")).status, "not_found");
  assert.deepEqual(log.of("schema_put").map(({ fields }) => fields.result), ["ok", "ok", "invalid_schema"]);
  assert.deepEqual(log.of("schema_delete").map(({ fields }) => [fields.client_id, fields.result]), [["admin", "ok"], [
    "admin",
    "not_found",
  ]]);
  assert.deepEqual(actions, [
    "schema_put ok",
    "schema_put ok",
    "schema_put invalid_schema",
    "schema_delete ok",
    "schema_delete not_found",
  ]);
});

Deno.test("a page and an answer of many end where a client could not receive more", async () => {
  const { call } = await world(4_000);
  for (let i = 0; i < 9; i++) {
    await call("put", { entityKey: `k${i}`, payload: bytes(`"${"x".repeat(900)}"`) });
  }
  const seen: string[] = [];
  let pages = 0;
  for (let cursor: string | undefined = ""; cursor !== undefined; pages++) {
    const page: ClientResponse = await call("list", { values: true, cursor });
    assert(page.entities!.reduce((sum, { value }) => sum + value!.length, 0) <= 4_000);
    seen.push(...page.entities!.map(({ key }) => key));
    cursor = page.nextCursor;
  }
  assert.deepEqual(seen, ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]);
  assert.equal(pages, 5);
  assert.equal((await call("get_many", { keys: ["k0", "k1", "k2"] })).status, "too_large");
  assert.equal((await call("get_many", { keys: ["k0", "k1", "k1"] })).entities!.length, 2);
});

Deno.test("tags that none of ours can be match nothing, and a prefix is as long as a key at most", async () => {
  const { call, entities } = await world();
  const seen: unknown[] = [];
  const put = entities.put.bind(entities);
  entities.put = (schema, key, document, options) => {
    seen.push(options.ifMatch);
    return put(schema, key, document, options);
  };
  assert.equal((await call("put", { entityKey: "k", payload: bytes("1") })).status, "ok");
  const tags = ["x".repeat(64), "x".repeat(65), "\u00ff", "*"];
  for (const tag of tags.slice(0, 3)) {
    const answer = await call("put", { entityKey: "k", payload: bytes("1"), ifMatch: [tag] });
    assert.equal(answer.status, "version_mismatch");
  }
  assert.equal((await call("put", { entityKey: "k", payload: bytes("1"), ifMatch: tags })).status, "ok");
  assert.deepEqual(seen.at(-1), [tags[0], '""', '""', "*"]);
  assert.equal((await call("list", { prefix: "p".repeat(256) })).status, "ok");
  assert.equal((await call("list", { prefix: "p".repeat(257) })).status, "invalid_key");
});

Deno.test("HEAD is GET without the document, and what has not changed is no error", async () => {
  const { call, counted } = await world();
  await call("put", { entityKey: "k", payload: bytes(' {"a":1} ') });
  const { result, ...rest } = await call("get", { entityKey: "k" });
  assert.deepEqual([new TextDecoder().decode(result), rest.status, rest.size, rest.version], ['{"a":1}', "ok", 7, 1]);
  assert.deepEqual(await call("head", { entityKey: "k" }), rest);
  const unchanged = await call("get", { entityKey: "k", ifNoneMatch: [rest.etag!] });
  assert.deepEqual([unchanged.status, unchanged.result], ["not_modified", undefined]);
  assert.deepEqual(counted, [["put", "OK"], ["get", "OK"], ["head", "OK"], ["get", "OK"]]);
});

Deno.test("what must be written in any case is said to be, and nothing else is", async () => {
  const { call, entities } = await world();
  const forced: unknown[] = [];
  const [put, putMany] = [entities.put.bind(entities), entities.putMany.bind(entities)];
  entities.put = (schema, key, document, options) => (forced.push(options.force), put(schema, key, document, options));
  entities.putMany = (schema, documents, options) => (forced.push(options.force), putMany(schema, documents, options));
  for (const force of [false, true]) {
    await call("put", { entityKey: "k", payload: bytes("1"), force });
    await call("put_many", { entities: [{ key: "k", payload: bytes("1") }], force });
  }
  assert.deepEqual(forced, [undefined, undefined, true, true]);
});

Deno.test("as many entities as are allowed are taken, and one more is not; no conditions, no key twice", async () => {
  const { call } = await world();
  const many = (count: number) => Array.from({ length: count }, (_, n) => ({ key: `k${n}`, payload: bytes("1") }));
  const stored = await call("put_many", { entities: many(ENTITIES_PER_PUT_MAX) });
  assert.equal(stored.status, "ok");
  assert.deepEqual([stored.entities![7]!.key, stored.entities![7]!.status, stored.entities![7]!.version], [
    "k7",
    "ok",
    1,
  ]);
  assert.match(stored.entities![7]!.etag!, /^1-/);
  const keys = Array.from({ length: KEYS_PER_MULTI_GET_MAX }, (_, n) => `k${n}`);
  assert.equal((await call("get_many", { keys })).entities!.length, keys.length);
  for (
    const [operation, request] of [
      ["put_many", { entities: many(ENTITIES_PER_PUT_MAX + 1) }],
      ["put_many", { entities: many(1), ifMatch: ["1-a"] }],
      ["put_many", { entities: many(1), ifNoneMatch: ["*"] }],
      ["put_many", { entities: [...many(2), ...many(1)] }],
      ["get_many", { keys: [...keys, "one-more"] }],
    ] as const
  ) {
    assert.equal((await call(operation, request)).status, "bad_request", operation);
  }
  assert.equal((await call("put_many", { entities: [] })).status, "empty");
  assert.equal((await call("put", { entityKey: "k", payload: bytes(`"${"x".repeat(998)}"`) })).status, "ok");
  assert.equal((await call("put", { entityKey: "k", payload: bytes(`"${"x".repeat(999)}"`) })).status, "too_large");
});

Deno.test("many at once: what is there, what is missing, and a failure as the failure of all", async () => {
  const { call, entities } = await world();
  for (const key of ["a", "b"]) await call("put", { entityKey: key, payload: bytes(`"${key}"`) });
  const { entities: found, missing, status } = await call("get_many", { keys: ["a", "x", "b", "a"] });
  assert.deepEqual([status, missing], ["ok", ["x"]]);
  assert.deepEqual(found!.map(({ key, value }) => [key, new TextDecoder().decode(value)]), [["a", '"a"'], [
    "b",
    '"b"',
  ]]);
  entities.fault = (_, key) => key === "b" ? failure("tampered", "it was changed") : undefined;
  const failed = await call("get_many", { keys: ["a", "b"] });
  assert.deepEqual([failed.status, failed.error, failed.entities], ["tampered", "it was changed", undefined]);
  const busy = failure("overloaded", "too much is waiting", { retryAfterS: 3 });
  entities.fault = () => busy;
  assert.deepEqual(await call("get", { entityKey: "a" }), {
    status: "overloaded",
    error: "too much is waiting",
    retryAfterS: 3,
  });
  assert.equal((await call("list")).status, "overloaded");
});

Deno.test("a list says of each document what it knows, and of one that cannot be opened why", async () => {
  const { call, entities } = await world();
  for (const key of ["a", "b"]) await call("put", { entityKey: key, payload: bytes(`"${key}"`) });
  const list = async (request: Partial<ClientRequest>) =>
    (await call("list", request)).entities!.map(({ key, status, version, value }) =>
      `${key} ${status} ${version} ${value && new TextDecoder().decode(value)}`
    );
  assert.deepEqual(await list({}), ["a ok 1 undefined", "b ok 1 undefined"]);
  entities.fault = (operation, key) =>
    operation === "open" && key === "b" ? failure("key_unavailable", "no key") : undefined;
  assert.deepEqual(await list({ values: true }), ['a ok 1 "a"', "b key_unavailable 1 undefined"]);
  entities.fault = () => undefined;
  entities.listsVersions = false;
  assert.deepEqual(await list({ limit: LIST_PAGE_MAX }), ["a ok undefined undefined", "b ok undefined undefined"]);
  assert.equal((await call("list", { limit: LIST_PAGE_MAX + 1 })).status, "bad_request");
});

Deno.test("schemas: those with a template and those with entities, counted when that is asked for and known", async () => {
  const { call, control, entities } = await world();
  await call("schema_put", { schemaId: "b", payload: bytes("{}") });
  await call("put", { schemaId: "a", entityKey: "k", payload: bytes("1") });
  const schemas = async (counts: boolean, credential?: string) =>
    (await call("schema_list", { counts }, credential)).schemas;
  assert.deepEqual(await schemas(false), [{ id: "b" }]);
  assert.deepEqual(await schemas(true), [{ id: "a", entities: 1 }, { id: "b", entities: 0 }]);
  const made = await control.createApiKey({ name: "r", permissions: ["read"], schemas: ["b*"] });
  assert(made.kind === "done");
  assert.deepEqual(await schemas(true, made.value.secret), [{ id: "b", entities: 0 }]);
  entities.listsVersions = false;
  assert.deepEqual(await schemas(true), [{ id: "a" }, { id: "b", entities: 0 }]);
  entities.fault = () => failure("no_worker", "nobody is there");
  assert.equal((await call("schema_list", { counts: true })).status, "no_worker");
  assert.deepEqual(await schemas(false), [{ id: "b" }]);
});

Deno.test("of many documents, what was not stored is told for each", async () => {
  const { call, entities } = await world();
  entities.fault = (_, key) => key === "b" ? failure("storage_unavailable", "the disk is full") : undefined;
  const answer = await call("put_many", { entities: ["a", "b", "c"].map((key) => ({ key, payload: bytes("1") })) });
  assert.deepEqual([answer.status, answer.retryAfterS], ["storage_unavailable", 1]);
  assert.deepEqual(answer.entities!.map(({ key, status }) => [key, status]), [
    ["a", "ok"],
    ["b", "storage_unavailable"],
    ["c", "ok"],
  ]);
});

Deno.test("what nobody expected is counted and thrown on", async () => {
  const { call, entities, counted } = await world();
  entities.fault = () => {
    throw new Error("a defect");
  };
  await assert.rejects(call("get", { entityKey: "k" }), /a defect/);
  assert.deepEqual(counted, [["get", "INTERNAL"]]);
});

Deno.test("any request whatever ends in an answer", async () => {
  const { call } = await world();
  await call("put", { entityKey: "k", payload: bytes('{"a":1}') });
  const name = fc.oneof(fc.constantFrom("s", "k", "", "..", "a/b", "\0"), fc.string({ unit: "binary", maxLength: 80 }));
  const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.json().map(bytes));
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        operation: fc.constantFrom(...OPERATIONS),
        schemaId: name,
        entityKey: name,
        payload,
        ifMatch: fc.array(name, { maxLength: 3 }),
        ifNoneMatch: fc.array(name, { maxLength: 3 }),
        force: fc.boolean(),
        keys: fc.array(name, { maxLength: 5 }),
        entities: fc.array(fc.record({ key: name, payload }), { maxLength: 5 }),
        prefix: name,
        limit: fc.nat(2_000),
        cursor: fc.oneof(fc.constant(""), name, fc.base64String()),
        values: fc.boolean(),
        counts: fc.boolean(),
      }),
      async (request) => {
        const { status, error } = await call(request.operation, request);
        assert(status !== "internal" && status !== "unauthorized", `${status}: ${error}`);
        if (status !== "ok" && status !== "not_modified") assert(error !== undefined && error.length > 0);
      },
    ),
    { numRuns: 1_000 },
  );
});
