/** gRPC as strangers use it: clients made from reflection alone, and from the .proto file alone, against real programs. */
import assert from "assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { ADMIN_KEY, Cluster, ROOT } from "../system/cluster.ts";

/** What a stranger knows of reflection: the published protocol, nothing of ours. */
const REFLECTION = protobuf.parse(`
  syntax = "proto3";
  package grpc.reflection.v1;
  message ServerReflectionRequest {
    string host = 1;
    oneof message_request {
      string file_by_filename = 3;
      string file_containing_symbol = 4;
      string list_services = 7;
    }
  }
  message ServerReflectionResponse {
    string valid_host = 1;
    oneof message_response {
      FileDescriptorResponse file_descriptor_response = 4;
      ListServiceResponse list_services_response = 6;
      ErrorResponse error_response = 7;
    }
  }
  message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
  message ListServiceResponse { repeated ServiceResponse service = 1; }
  message ServiceResponse { string name = 1; }
  message ErrorResponse { int32 error_code = 1; string error_message = 2; }
`).root;

const OPTIONS: protoLoader.Options = { keepCase: true, longs: Number, enums: String, defaults: true };

interface Entity {
  readonly key: string;
  readonly status: string;
  readonly value: Buffer;
  readonly version: number;
  readonly etag: string;
  readonly size: number;
}

/** Fields of the answers, as proto-loader gives them. */
interface Answer {
  readonly status: string;
  readonly result: Buffer;
  readonly version: number;
  readonly error: string;
  readonly etag: string;
  readonly existed: boolean;
  readonly entities: readonly Entity[];
  readonly missing: readonly string[];
  readonly next_cursor: string;
  readonly schemas: readonly { id: string; entities?: number }[];
  readonly details: readonly { key: string; path: string }[];
  readonly retry_after_s: number;
}

type Request = Readonly<Record<string, unknown>>;

/** The status of a failed call, and the answer that came along. */
class Refused extends Error {
  constructor(readonly status: string, readonly answer: Answer | undefined, details: string) {
    super(`${status}: ${details}`);
  }
}

class Client {
  readonly #client: grpc.Client;
  readonly #method: grpc.MethodDefinition<object, object>;
  readonly #services: grpc.GrpcObject;

  constructor(address: string, definition: protoLoader.PackageDefinition) {
    this.#services = grpc.loadPackageDefinition(definition);
    const service = definition["deltadb.MainWorker"] as grpc.ServiceDefinition;
    this.#method = service.Process as grpc.MethodDefinition<object, object>;
    this.#client = new grpc.Client(address, grpc.credentials.createInsecure());
  }

  /** Packages and messages that the definition has. */
  get names(): string[] {
    return Object.keys(this.#services.deltadb as object);
  }

  /** `credential` goes as metadata; a `token` in the request goes as it is. */
  process(request: Request, credential: string | null = ADMIN_KEY): Promise<Answer> {
    const metadata = new grpc.Metadata();
    if (credential !== null) metadata.set("authorization", `Bearer ${credential}`);
    const { path, requestSerialize, responseDeserialize } = this.#method;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        {},
        (error, answer) => {
          if (error === null) return resolve(answer as Answer);
          const [trailer] = error.metadata.get("deltadb-response-bin");
          const more = trailer === undefined ? undefined : responseDeserialize(trailer as Buffer) as Answer;
          reject(new Refused(grpc.status[error.code]!, more, error.details));
        },
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

async function refusal(call: Promise<Answer>): Promise<Refused> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "the call was not refused" });
}

/** Asserts the status and the code that a call is refused with. */
async function assertRefused(call: Promise<Answer>, status: string, code: string): Promise<Refused> {
  const refused = await refusal(call);
  assert.deepEqual([refused.status, refused.answer?.status], [status, code], refused.message);
  return refused;
}

/** A definition as the server tells it. */
async function reflected(address: string): Promise<protoLoader.PackageDefinition> {
  const requestType = REFLECTION.lookupType("grpc.reflection.v1.ServerReflectionRequest");
  const responseType = REFLECTION.lookupType("grpc.reflection.v1.ServerReflectionResponse");
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const ask = (request: object) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const call = client.makeBidiStreamRequest(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        (message: object) => Buffer.from(requestType.encode(requestType.create(message)).finish()),
        (bytes: Buffer) => responseType.toObject(responseType.decode(bytes)),
      );
      call.on("data", (response: Record<string, unknown>) => {
        resolve(response);
        call.end();
      });
      call.on("error", reject);
      call.write(request);
    });
  try {
    const { listServicesResponse } = await ask({ listServices: "" });
    const names = (listServicesResponse as { service: { name: string }[] }).service.map(({ name }) => name);
    assert.deepEqual(names.sort(), ["deltadb.MainWorker", "grpc.health.v1.Health"]);
    const health = await ask({ fileContainingSymbol: "grpc.health.v1.Health" });
    assert(health.fileDescriptorResponse !== undefined, JSON.stringify(health));
    const { fileDescriptorResponse } = await ask({ fileContainingSymbol: "deltadb.MainWorker" });
    const files = (fileDescriptorResponse as { fileDescriptorProto: Uint8Array[] }).fileDescriptorProto;
    // A FileDescriptorSet is these files, each as field 1.
    const set = protobuf.Writer.create();
    for (const file of files) set.uint32((1 << 3) | 2).bytes(file);
    return protoLoader.loadFileDescriptorSetFromBuffer(Buffer.from(set.finish()), OPTIONS);
  } finally {
    client.close();
  }
}

const bytes = (text: string) => Buffer.from(text);

Deno.test("gRPC for clients, on real programs", async (t) => {
  await using cluster = await Cluster.start({ workers: 2 });
  const client = new Client(cluster.grpc, protoLoader.loadSync(`${ROOT}proto/deltadb.proto`, OPTIONS));
  const put = (schema_id: string, entity_key: string, document: string | Buffer, more: Request = {}) =>
    client.process({ operation: "PUT", schema_id, entity_key, payload: Buffer.from(document), ...more });
  const get = (schema_id: string, entity_key: string, more: Request = {}) =>
    client.process({ operation: "GET", schema_id, entity_key, ...more });

  try {
    await t.step("a client made from reflection alone stores and reads", async () => {
      const stranger = new Client(cluster.grpc, await reflected(cluster.grpc));
      try {
        const stored = await stranger.process({
          operation: "PUT",
          schema_id: "chat.v1",
          entity_key: "room",
          payload: bytes('{"topic":"hi"}'),
          token: ADMIN_KEY,
        }, null);
        assert.deepEqual([stored.status, stored.version], ["ok", 1]);
        const read = await stranger.process({ operation: "GET", schema_id: "chat.v1", entity_key: "room" });
        assert.equal(String(read.result), '{"topic":"hi"}');
        assert.equal(read.etag, stored.etag);
      } finally {
        stranger.close();
      }
    });

    await t.step("documents come back byte for byte, here and over REST", async () => {
      for (
        const document of [
          '{"n":12345678901234567890,"d":1.10,"e":1e400}',
          '{"a":1,"a":2}',
          '"\\ud800"',
          "-0.0",
          "null",
        ]
      ) {
        await put("bytes", "k", ` \n${document}\t`);
        assert.equal(String((await get("bytes", "k")).result), document);
        assert.equal(await cluster.get("bytes", "k"), document);
      }
      const largest = `"${"x".repeat((1 << 20) - 2)}"`;
      await put("bytes", "large", largest);
      assert.equal(String((await get("bytes", "large")).result), largest);
      await cluster.put("bytes", "rest", "[1]");
      assert.equal(String((await get("bytes", "rest")).result), "[1]");
    });

    await t.step("every operation", async () => {
      const first = await put("ops", "a", '{"x":1.10}', { if_none_match: ["*"] });
      assert.deepEqual([first.status, first.version], ["ok", 1]);
      const second = await put("ops", "a", '{"x":1.10,"y":2}', { if_match: [first.etag] });
      assert.equal(second.version, 2);
      const unchanged = await get("ops", "a", { if_none_match: [second.etag] });
      assert.deepEqual([unchanged.status, unchanged.result.length, unchanged.version], ["not_modified", 0, 2]);
      const head = await client.process({ operation: "HEAD", schema_id: "ops", entity_key: "a" });
      assert.deepEqual([head.result.length, head.version, head.etag], [0, 2, second.etag]);
      const patched = await client.process({
        operation: "PATCH",
        schema_id: "ops",
        entity_key: "a",
        payload: bytes('{"y":null,"z":3}'),
      });
      assert.equal(patched.version, 3);
      assert.equal(String((await get("ops", "a")).result), '{"x":1.10,"z":3}');
      const many = await client.process({
        operation: "PUT_MANY",
        schema_id: "ops",
        entities: Array.from({ length: 250 }, (_, i) => ({ key: `m${i}`, payload: bytes(` ${i} `) })),
      });
      assert.equal(many.entities.length, 250);
      assert(many.entities.every(({ status, version }) => status === "ok" && version === 1));
      const several = await client.process({ operation: "GET_MANY", schema_id: "ops", keys: ["m3", "m249", "nope"] });
      assert.deepEqual(several.entities.map(({ key, value }) => [key, String(value)]).sort(), [["m249", "249"], [
        "m3",
        "3",
      ]]);
      assert.deepEqual(several.missing, ["nope"]);
      const listed: string[] = [];
      for (let cursor = "";;) {
        const page = await client.process({ operation: "LIST", schema_id: "ops", prefix: "m", values: true, cursor });
        listed.push(...page.entities.map(({ value }) => `m${value}`));
        cursor = page.next_cursor;
        if (cursor === "") break;
      }
      assert.deepEqual(listed, Array.from({ length: 250 }, (_, i) => `m${i}`).sort());
      const gone = await client.process({ operation: "DELETE", schema_id: "ops", entity_key: "a" });
      assert.equal(gone.existed, true);
      assert.equal((await client.process({ operation: "DELETE", schema_id: "ops", entity_key: "a" })).existed, false);
      const schema = '{"type":"object","required":["n"]}';
      const made = await client.process({ operation: "SCHEMA_PUT", schema_id: "judged", payload: bytes(schema) });
      assert.equal(made.existed, false);
      const again = await client.process({ operation: "SCHEMA_PUT", schema_id: "judged", payload: bytes(schema) });
      assert.equal(again.existed, true);
      const template = await client.process({ operation: "SCHEMA_GET", schema_id: "judged" });
      assert.equal(String(template.result), schema);
      const schemas = await client.process({ operation: "SCHEMA_LIST", counts: true });
      assert.equal(schemas.schemas.find(({ id }) => id === "ops")!.entities, 250);
      const violation = await assertRefused(put("judged", "k", "{}"), "INVALID_ARGUMENT", "schema_violation");
      assert.deepEqual(violation.answer!.details.map(({ key }) => key), ["k"]);
      const left = await client.process({ operation: "SCHEMA_DELETE", schema_id: "judged" });
      assert.equal(left.status, "ok");
      await put("judged", "k", "{}");
    });

    await t.step("every error has its status and its code", async () => {
      await put("errors", "k", "1");
      await assertRefused(put("errors", "k", "{"), "INVALID_ARGUMENT", "bad_json");
      await assertRefused(put("errors", "k", ""), "INVALID_ARGUMENT", "empty");
      await assertRefused(put("errors", "", "1"), "INVALID_ARGUMENT", "missing_key");
      await assertRefused(put("errors", "a/b", "1"), "INVALID_ARGUMENT", "invalid_key");
      await assertRefused(put("errors", "x".repeat(257), "1"), "INVALID_ARGUMENT", "invalid_key");
      await assertRefused(put("../errors", "k", "1"), "INVALID_ARGUMENT", "invalid_schema_id");
      await assertRefused(put("", "k", "1"), "INVALID_ARGUMENT", "invalid_schema_id");
      await assertRefused(get("errors", "nope"), "NOT_FOUND", "not_found");
      await assertRefused(client.process({ operation: "SCHEMA_GET", schema_id: "nope" }), "NOT_FOUND", "not_found");
      await assertRefused(client.process({ operation: "SCHEMA_DELETE", schema_id: "nope" }), "NOT_FOUND", "not_found");
      const schema = { operation: "SCHEMA_PUT", schema_id: "bad", payload: bytes('{"type":"nonsense"}') };
      await assertRefused(client.process(schema), "INVALID_ARGUMENT", "invalid_schema");
      const missed = await assertRefused(
        put("errors", "k", "2", { if_match: ["x"] }),
        "FAILED_PRECONDITION",
        "version_mismatch",
      );
      assert.equal(missed.answer!.version, 1);
      await assertRefused(put("errors", "k", "2", { if_none_match: ["*"] }), "FAILED_PRECONDITION", "version_mismatch");
      await assertRefused(put("errors", "k", `"${"x".repeat(1 << 20)}"`), "RESOURCE_EXHAUSTED", "too_large");
      const patch = { operation: "PATCH", schema_id: "errors", entity_key: "nope", payload: bytes("{}") };
      await assertRefused(client.process(patch), "NOT_FOUND", "not_found");
      await assertRefused(client.process({ operation: "PUT_MANY", schema_id: "errors" }), "INVALID_ARGUMENT", "empty");
      const twice = {
        operation: "PUT_MANY",
        schema_id: "errors",
        entities: [1, 2].map(() => ({ key: "k", payload: bytes("1") })),
      };
      await assertRefused(client.process(twice), "INVALID_ARGUMENT", "bad_request");
      const cursor = { operation: "LIST", schema_id: "errors", cursor: "made up" };
      await assertRefused(client.process(cursor), "INVALID_ARGUMENT", "bad_request");
      const limit = { operation: "LIST", schema_id: "errors", limit: 1_001 };
      await assertRefused(client.process(limit), "INVALID_ARGUMENT", "bad_request");
    });

    await t.step("who may do what is the same as over REST", async () => {
      const anything = { operation: "GET", schema_id: "bytes", entity_key: "k" };
      for (const credential of [null, "", "wrong", `dk_${"0".repeat(64)}`, "x".repeat(5_000)]) {
        await assertRefused(client.process(anything, credential), "UNAUTHENTICATED", "unauthorized");
      }
      await assertRefused(client.process({ ...anything, token: "wrong" }), "UNAUTHENTICATED", "unauthorized");
      const create = (permissions: string[], schemas?: string[]) =>
        cluster.fetch("/api/keys", { method: "POST", body: JSON.stringify({ name: "k", permissions, schemas }) })
          .then((response) => response.json() as Promise<{ secret: string; id: string }>);
      const reader = await create(["read"]);
      const confined = await create(["read", "write"], ["user*"]);
      assert.equal((await client.process(anything, reader.secret)).status, "ok");
      const write = { ...anything, operation: "PUT", payload: bytes("1") };
      await assertRefused(client.process(write, reader.secret), "PERMISSION_DENIED", "forbidden");
      for (const operation of ["PUT_MANY", "PATCH", "DELETE", "SCHEMA_PUT", "SCHEMA_DELETE"]) {
        await assertRefused(client.process({ ...write, operation }, reader.secret), "PERMISSION_DENIED", "forbidden");
      }
      for (const operation of ["GET", "HEAD", "GET_MANY", "LIST", "SCHEMA_GET", "PUT", "DELETE"]) {
        await assertRefused(
          client.process({ ...anything, operation }, confined.secret),
          "PERMISSION_DENIED",
          "forbidden",
        );
      }
      await client.process({ ...write, schema_id: "user-1" }, confined.secret);
      const seen = await client.process({ operation: "SCHEMA_LIST", counts: true }, confined.secret);
      assert.deepEqual(seen.schemas, [{ id: "user-1", entities: 1 }]);
      const login = await cluster.fetch("/api/login", { method: "POST", body: JSON.stringify({ key: reader.secret }) });
      const { token } = await login.json();
      assert.equal((await client.process({ ...anything, token }, null)).status, "ok");
      // Revoking holds at once, for the key and for its session.
      assert.equal((await cluster.fetch(`/api/keys/${reader.id}`, { method: "DELETE" })).status, 200);
      await assertRefused(client.process(anything, reader.secret), "UNAUTHENTICATED", "unauthorized");
      await assertRefused(client.process({ ...anything, token }, null), "UNAUTHENTICATED", "unauthorized");
    });

    await t.step("hostile requests: a status, and nothing breaks", async () => {
      const refused = async (request: Request) => (await refusal(client.process(request))).status;
      assert.equal(await refused({ schema_id: "h", entity_key: "k" }), "INVALID_ARGUMENT");
      assert.equal(await refused({ operation: 77, schema_id: "h", entity_key: "k" }), "INVALID_ARGUMENT");
      const key = (_: unknown, i: number) => `k${i}`;
      const keys = Array.from({ length: 1_001 }, key);
      assert.equal(await refused({ operation: "GET_MANY", schema_id: "h", keys }), "INVALID_ARGUMENT");
      const entities = keys.map((name) => ({ key: name, payload: bytes("1") }));
      assert.equal(await refused({ operation: "PUT_MANY", schema_id: "h", entities }), "INVALID_ARGUMENT");
      const tags = Array.from({ length: 101 }, key);
      assert.equal(
        await refused({ operation: "GET", schema_id: "h", entity_key: "k", if_match: tags }),
        "INVALID_ARGUMENT",
      );
      const huge = { operation: "PUT", schema_id: "h", entity_key: "k", payload: Buffer.alloc((4 << 20) + 1, "1") };
      assert.equal(await refused(huge), "RESOURCE_EXHAUSTED");
      const deep = { operation: "PUT", schema_id: "h", entity_key: "k", payload: Buffer.alloc(1 << 20, "[") };
      assert.equal(await refused(deep), "INVALID_ARGUMENT");
      const [noise, words] = [crypto.getRandomValues(new Uint8Array(65_536)), [
        "GET",
        "PUT",
        "LIST",
        "PATCH",
        "SCHEMA_PUT",
      ]];
      for (let i = 0; i < 300; i++) {
        const at = (i * 197) % 60_000;
        const part = (n: number) => Buffer.from(noise.subarray(at + n, at + n + (noise[at + n]! % 40)));
        await client.process({
          operation: words[i % words.length],
          schema_id: i % 2 ? "h" : part(1).toString("latin1"),
          entity_key: part(2).toString("latin1"),
          payload: part(3),
          if_match: i % 3 ? [] : [part(4).toString("latin1")],
          prefix: part(5).toString("latin1"),
          cursor: i % 5 ? "" : part(6).toString("base64url"),
          limit: i % 7 ? 0 : noise[at]! * 8,
        }).catch((error) => {
          assert(error instanceof Refused && !["INTERNAL", "UNKNOWN"].includes(error.status), String(error));
        });
      }
      assert.equal((await get("bytes", "rest")).status, "ok");
      assert.doesNotMatch(cluster.output, /call_failed|unexpected/);
    });

    await t.step("an answer stays within what a client with the usual limits receives", async () => {
      for (let i = 0; i < 10; i++) await put("big", `k${i}`, `"${"x".repeat(900_000)}"`);
      const listed: string[] = [];
      let pages = 0;
      for (let cursor = "";; pages++) {
        const page = await client.process({ operation: "LIST", schema_id: "big", values: true, cursor });
        listed.push(...page.entities.map(({ key, value }) => `${key}:${value.length}`));
        cursor = page.next_cursor;
        if (cursor === "") break;
      }
      assert.deepEqual(listed, Array.from({ length: 10 }, (_, i) => `k${i}:900002`));
      assert(pages >= 2);
      const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
      await assertRefused(
        client.process({ operation: "GET_MANY", schema_id: "big", keys }),
        "RESOURCE_EXHAUSTED",
        "too_large",
      );
      const few = await client.process({ operation: "GET_MANY", schema_id: "big", keys: keys.slice(0, 4) });
      assert.equal(few.entities.length, 4);
    });

    await t.step("what is not for clients is closed to them", async () => {
      const services = protoLoader.loadSync(`${ROOT}proto/deltadb.proto`, OPTIONS);
      const call = (address: string, service: string, method: string, request: object) =>
        new Promise<string>((resolve) => {
          const raw = new grpc.Client(address, grpc.credentials.createInsecure());
          const metadata = new grpc.Metadata();
          metadata.set("authorization", `Bearer ${ADMIN_KEY}`);
          const { path, requestSerialize, responseDeserialize } =
            (services[`deltadb.${service}`] as grpc.ServiceDefinition)[method]!;
          raw.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, {}, (error) => {
            raw.close();
            resolve(error === null ? "OK" : grpc.status[error.code]!);
          });
        });
      const worker = (await cluster.workers.get("worker-1")!.event("started")).grpc_addr as string;
      assert.equal(await call(worker, "ProcWorker", "ProcessBatch", {}), "UNAUTHENTICATED");
      assert.equal(await call(worker, "ProcWorker", "ProcessBatches", {}), "UNAUTHENTICATED");
      assert.equal(await call(worker, "ProcWorker", "List", {}), "UNAUTHENTICATED");
      const join = {
        worker_id: "worker-9",
        pubkey: Buffer.alloc(400),
        session: "0".repeat(32),
        proof: Buffer.alloc(32),
      };
      assert.match(await call(cluster.grpc, "MainWorker", "Subscribe", join), /PERMISSION_DENIED|INVALID_ARGUMENT/);
      const beat = { worker_id: "worker-1", session: "0".repeat(32), token: ADMIN_KEY, seq: 1, cache: {} };
      assert.equal(await call(cluster.grpc, "MainWorker", "Heartbeat", beat), "PERMISSION_DENIED");
      assert.equal(await call(cluster.grpc, "MainWorker", "Unsubscribe", beat), "PERMISSION_DENIED");
    });
  } finally {
    client.close();
  }
});
