/** Calls of processing workers and of clients to the main worker, over real connections. */
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import assert from "assert";
import protobuf from "protobufjs";
import { GRPC_MESSAGE_BYTES_MAX_DEFAULT, SUBSCRIBE_BYTES_MAX } from "../../limits.ts";
import type { Partition } from "../../names.ts";
import type { ClientRequest } from "../client_messages.ts";
import type { HeartbeatRequest, HeartbeatResponse, SubscribeRequest, SubscribeResponse } from "../messages.ts";
import { type MainClient, type MainHandler, TransportError } from "../transport.ts";
import { Child } from "./child_test_support.ts";
import { createCodec } from "./codec.ts";
import { connectMainOverGrpc } from "./main_client.ts";
import { type MainServer, type ProcessHandler, RESPONSE_TRAILER, serveMainOverGrpc } from "./main_server.ts";

const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;
const codec = createCodec();
const identity = (bytes: Buffer) => bytes;

const nothing: MainHandler = {
  subscribe: () => Promise.reject(new Error("not expected")),
  heartbeat: () => Promise.reject(new Error("not expected")),
  unsubscribe: () => Promise.reject(new Error("not expected")),
};

async function withMain(
  parts: Partial<MainHandler> & { process?: ProcessHandler },
  run: (pair: { server: MainServer; client: MainClient; faults: unknown[] }) => Promise<void>,
): Promise<void> {
  const faults: unknown[] = [];
  const { process = () => Promise.reject(new Error("not expected")), ...handler } = parts;
  const server = await serveMainOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    handler: { ...nothing, ...handler },
    process,
    onFault: (error) => faults.push(error),
    codec,
  });
  const client = connectMainOverGrpc({ address: server.address, messageBytesMax, codec });
  try {
    await run({ server, client, faults });
  } finally {
    client.close();
    await server.stop(1_000);
  }
}

/** A client like one that somebody else wrote. */
async function withRawClient<T>(address: string, run: (client: grpc.Client) => Promise<T>): Promise<T> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

function rawCall(
  client: grpc.Client,
  path: string,
  bytes: Uint8Array,
  metadata = new grpc.Metadata(),
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      identity,
      identity,
      Buffer.from(bytes),
      metadata,
      { deadline: Date.now() + 5_000 },
      (error, value) => error ? reject(error) : resolve(value!),
    );
  });
}

const heartbeat: HeartbeatRequest = {
  workerId: "w",
  session: "s",
  token: "t",
  seq: 4,
  owned: [{ partition: 3 as Partition, epoch: 2 ** 40 }],
  releasing: [4 as Partition],
  failing: [{ partition: 5 as Partition, reason: "corrupt", detail: "partitions/05.db" }],
  finished: [{ dispatcher: "d", floor: 9 }],
  epoch: 2 ** 40,
  leaving: false,
  activeRequests: 2,
  cache: { entries: 1, bytes: 2, hits: 3, misses: 4, evictions: 5 },
  immediate: false,
};

const subscribe: SubscribeRequest = {
  workerId: "proc-1",
  session: "00ff",
  publicKey: new Uint8Array([1, 2]),
  tags: { grpc_addr: "0.0.0.0:50052", zone: "a" },
  timestampMs: 1_700_000_000_000,
  proof: new Uint8Array(32),
  storeId: "ab",
  partitions: 64,
  owned: [1 as Partition],
};

const request: ClientRequest = {
  operation: "put",
  schemaId: "chat",
  entityKey: "k",
  payload: new TextEncoder().encode('{"n":1.10}'),
  force: false,
  keys: [],
  entities: [],
  prefix: "",
  limit: 0,
  cursor: "",
  values: false,
  counts: false,
};

Deno.test("main: a worker joins, reports and leaves", async () => {
  const joined: SubscribeResponse = {
    token: "t",
    tokenExpiresAtMs: 1_700_000_000_000,
    keys: [{ keyId: "main-key-v1", wrapped: new Uint8Array(384) }, { keyId: "old", wrapped: new Uint8Array(384) }],
    heartbeatMs: 2_000,
    term: 3,
    documentBytesMax: 1 << 20,
  };
  const news: HeartbeatResponse = {
    epoch: 2 ** 41,
    assigned: heartbeat.owned,
    floors: [{ dispatcher: "d", floor: 1 }],
  };
  const seen: unknown[] = [];
  await withMain({
    subscribe: (got, peer) => Promise.resolve(joined).finally(() => seen.push(got, peer)),
    heartbeat: (got, gone) => Promise.resolve(news).finally(() => seen.push(got, gone.aborted)),
    unsubscribe: (got) => Promise.resolve().finally(() => seen.push(got)),
  }, async ({ client }) => {
    assert.deepEqual(await client.subscribe(subscribe, 5_000), joined);
    assert.deepEqual(await client.heartbeat(heartbeat, 5_000), news);
    assert.equal(await client.unsubscribe({ workerId: "w", session: "s", token: "t" }, 5_000), undefined);
    assert.deepEqual(seen, [subscribe, "127.0.0.1", heartbeat, false, { workerId: "w", session: "s", token: "t" }]);
  });
});

Deno.test("main: a refused worker learns why", async () => {
  await withMain({
    subscribe: () => Promise.reject(new TransportError("denied", "the proof is older than 60 s")),
  }, async ({ client }) => {
    await assert.rejects(client.subscribe(subscribe, 5_000), { reason: "denied", message: /older than 60 s/ });
  });
});

Deno.test("main: a worker that is killed while its heartbeat waits is seen at once", async () => {
  const waiting = Promise.withResolvers<AbortSignal>();
  const gone = Promise.withResolvers<void>();
  await withMain({
    heartbeat: (_, signal) => {
      signal.addEventListener("abort", () => gone.resolve());
      waiting.resolve(signal);
      return gone.promise.then(() => ({ epoch: 0, assigned: [], floors: [] }));
    },
  }, async ({ server }) => {
    await using child = new Child("heartbeat", server.address);
    assert.equal((await waiting.promise).aborted, false);
    child.kill();
    await gone.promise;
  });
});

Deno.test("main: a worker whose deadline passes, or who is answered, is not gone", async () => {
  const signals: AbortSignal[] = [];
  const answers: ((answer: HeartbeatResponse) => void)[] = [];
  const news = { epoch: 1, assigned: [], floors: [] };
  await withMain({
    heartbeat: (_, signal) => new Promise((resolve) => (signals.push(signal), answers.push(resolve))),
  }, async ({ client }) => {
    await assert.rejects(client.heartbeat(heartbeat, 100), { reason: "deadline" });
    const second = client.heartbeat(heartbeat, 5_000);
    while (answers.length < 2) await new Promise((resolve) => setTimeout(resolve));
    answers[1]!(news);
    await second;
    assert.deepEqual(signals.map((signal) => signal.aborted), [false, false]);
    answers[0]!(news);
  });
  assert.deepEqual(signals.map((signal) => signal.aborted), [false, false]);
});

Deno.test("main: a server that is killed in the middle of a call breaks it, and refuses the next", async () => {
  await using child = new Child("serve");
  const address = await child.line();
  const client = connectMainOverGrpc({ address, messageBytesMax, codec });
  try {
    const call = client.heartbeat(heartbeat, 10_000);
    assert.equal(await child.line(), "heartbeat");
    child.kill();
    await assert.rejects(call, { name: "TransportError", reason: "broken" });
    await child.ended;
    for (;;) {
      const error = await client.heartbeat(heartbeat, 10_000).catch((error: TransportError) => error) as TransportError;
      if (error.reason === "refused") break;
      assert.equal(error.reason, "broken");
    }
  } finally {
    client.close();
  }
});

Deno.test("process: a client's request and its answer arrive whole, with the credential of either place", async () => {
  const seen: unknown[] = [];
  const answer = { status: "ok" as const, version: 3, etag: "3-00", result: request.payload };
  await withMain({
    process: (...got) => Promise.resolve(answer).finally(() => seen.push(got)),
  }, async ({ server }) => {
    await withRawClient(server.address, async (client) => {
      const metadata = new grpc.Metadata();
      for (const credential of ["", "in-the-message"]) {
        const bytes = await rawCall(
          client,
          "/deltadb.MainWorker/Process",
          codec.clientRequest.encode({ request, credential }),
          metadata,
        );
        assert.deepEqual(codec.clientResponse.decode(bytes), answer);
        metadata.set("authorization", "bearer in-the-metadata");
      }
      await rawCall(
        client,
        "/deltadb.MainWorker/Process",
        codec.clientRequest.encode({ request, credential: "" }),
        metadata,
      );
    });
    assert.deepEqual(
      seen,
      ["", "in-the-message", "in-the-metadata"].map((credential) => [request, credential, "127.0.0.1"]),
    );
  });
});

Deno.test("process: an expected failure is a status with everything that is known beside it", async () => {
  const response = {
    status: "version_mismatch" as const,
    error: "the entity is at another version: ü %",
    version: 8,
    etag: "8-11",
    violations: [{ key: "k", path: "/a", message: "must be a string" }],
  };
  await withMain({ process: () => Promise.resolve(response) }, async ({ server, faults }) => {
    await withRawClient(server.address, async (client) => {
      const bytes = codec.clientRequest.encode({ request, credential: "c" });
      const error = await rawCall(client, "/deltadb.MainWorker/Process", bytes).then(
        () => assert.fail("it succeeded"),
        (error: grpc.ServiceError) => error,
      );
      assert.equal(error.code, grpc.status.FAILED_PRECONDITION);
      assert.equal(error.details, response.error);
      assert.deepEqual(codec.clientResponse.decode(error.metadata.get(RESPONSE_TRAILER)[0] as Buffer), response);
    });
    assert.deepEqual(faults, []);
  });
});

Deno.test("process: what is malformed is INVALID_ARGUMENT and reaches no handler", async () => {
  await withMain({}, async ({ server, faults }) => {
    await withRawClient(server.address, async (client) => {
      const bad: [string, Uint8Array][] = [
        ["Process", new Uint8Array([0x22, 0xff, 0xff, 0xff])],
        ["Process", new Uint8Array(0)],
        ["Subscribe", new Uint8Array(SUBSCRIBE_BYTES_MAX + 1)],
        ["Heartbeat", new Uint8Array(0)],
        ["Heartbeat", new Uint8Array([0x2a, 0x02, 0x08])],
        ["Unsubscribe", new Uint8Array([0x0a, 0x7f])],
      ];
      for (const [method, bytes] of bad) {
        await assert.rejects(rawCall(client, `/deltadb.MainWorker/${method}`, bytes), {
          code: grpc.status.INVALID_ARGUMENT,
        }, method);
      }
      await assert.rejects(rawCall(client, "/deltadb.MainWorker/Nothing", new Uint8Array(0)), {
        code: grpc.status.UNIMPLEMENTED,
      });
      await assert.rejects(rawCall(client, "/deltadb.MainWorker/Process", new Uint8Array(messageBytesMax + 1)), {
        code: grpc.status.RESOURCE_EXHAUSTED,
      });
    });
    assert.deepEqual(faults, []);
  });
});

/** The published definition of the reflection protocol, as far as a client needs it here. */
const REFLECTION = protobuf.parse(`syntax = "proto3";
  package grpc.reflection.v1;
  message ServerReflectionRequest { oneof message_request { string file_containing_symbol = 4; string list_services = 7; } }
  message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
  message ServiceResponse { string name = 1; }
  message ListServiceResponse { repeated ServiceResponse service = 1; }
  message ServerReflectionResponse { FileDescriptorResponse file_descriptor_response = 4;
    ListServiceResponse list_services_response = 6; }`).root;

Deno.test("reflection: a client made from it alone stores and reads", async () => {
  const documents = new Map<string, Uint8Array>();
  const process: ProcessHandler = ({ operation, entityKey, payload }, credential) => {
    if (credential !== "dk_1") return Promise.resolve({ status: "unauthorized" });
    if (operation === "put") documents.set(entityKey, payload.slice());
    return Promise.resolve({ status: "ok", result: documents.get(entityKey), version: 1 });
  };
  await withMain({ process }, async ({ server }) => {
    const definition = await withRawClient(server.address, async (client) => {
      const ask = REFLECTION.lookupType("grpc.reflection.v1.ServerReflectionRequest");
      const answer = REFLECTION.lookupType("grpc.reflection.v1.ServerReflectionResponse");
      const call = client.makeBidiStreamRequest(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        (value: object) => ask.encode(value).finish() as Buffer,
        (bytes: Buffer) => answer.toObject(answer.decode(bytes)),
      );
      const answers: Record<string, unknown>[] = [];
      call.write({ listServices: "*" });
      call.write({ fileContainingSymbol: "deltadb.MainWorker" });
      call.end();
      for await (const one of call) answers.push(one);
      const services = answers[0]!.listServicesResponse as { service: { name: string }[] };
      assert(services.service.some(({ name }) => name === "deltadb.MainWorker"));
      const files = answers[1]!.fileDescriptorResponse as { fileDescriptorProto: Buffer[] };
      const set = new protobuf.Writer();
      for (const file of files.fileDescriptorProto) set.uint32(1 << 3 | 2).bytes(file);
      return loadFileDescriptorSetFromBuffer(set.finish() as Buffer, { keepCase: true, enums: String, longs: Number });
    });
    // deno-lint-ignore no-explicit-any
    const deltadb = (grpc.loadPackageDefinition(definition) as any).deltadb;
    const client = new deltadb.MainWorker(server.address, grpc.credentials.createInsecure());
    const ask = (message: object) =>
      new Promise<Record<string, unknown>>((resolve, reject) =>
        client.Process(
          message,
          (error: Error | null, value: Record<string, unknown>) => error ? reject(error) : resolve(value),
        )
      );
    try {
      const payload = new TextEncoder().encode('{"a":1e400}');
      await assert.rejects(ask({ operation: "GET" }), { code: grpc.status.UNAUTHENTICATED });
      await ask({ operation: "PUT", schema_id: "s", entity_key: "k", payload, token: "dk_1" });
      const read = await ask({ operation: "GET", schema_id: "s", entity_key: "k", token: "dk_1" });
      assert.deepEqual(new Uint8Array(read.result as Buffer), payload);
      assert.equal(read.status, "ok");
      assert.equal(read.version, 1);
    } finally {
      client.close();
    }
  });
});

Deno.test("health: says what it was told, for the server and for the service, and needs no credential", async () => {
  await withMain({}, async ({ server }) => {
    await withRawClient(server.address, async (client) => {
      const check = async (service: string) => {
        const writer = new protobuf.Writer();
        if (service) writer.uint32(1 << 3 | 2).string(service);
        return (await rawCall(client, "/grpc.health.v1.Health/Check", writer.finish()))[1];
      };
      assert.equal(await check(""), 2);
      server.health.set(true);
      assert.equal(await check(""), 1);
      assert.equal(await check("deltadb.MainWorker"), 1);
      server.health.set(false);
      assert.equal(await check("deltadb.MainWorker"), 2);
      await assert.rejects(check("other"), { code: grpc.status.NOT_FOUND });
    });
  });
});

Deno.test("a server that drains answers what is under way, refuses what comes, and keeps its connections", async () => {
  const arrived = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const handler: MainHandler = {
    subscribe: () => Promise.reject(new TransportError("denied", "not here")),
    heartbeat: () => Promise.reject(new TransportError("denied", "not here")),
    unsubscribe: () => (arrived.resolve(), release.promise),
  };
  const server = await serveMainOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax: 65_536,
    handler,
    process: () => Promise.reject(new Error("not here")),
    onFault: () => {},
  });
  const client = connectMainOverGrpc({ address: server.address, messageBytesMax: 65_536 });
  try {
    const request = { workerId: "w", session: "s", token: "t" };
    const underWay = client.unsubscribe(request, 10_000);
    await arrived.promise;
    const drained = server.drain(10_000);
    await assert.rejects(client.unsubscribe(request, 10_000), { reason: "busy" });
    release.resolve();
    await underWay;
    await drained;
  } finally {
    client.close();
    await server.stop(1_000);
  }
});
