/** Calls of the main worker to a processing worker, over real connections. */
import type { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import assert from "assert";
import { GRPC_MESSAGE_BYTES_MAX_DEFAULT, WATCH_BUFFER_EVENTS_MAX } from "../../limits.ts";
import type { EntityName, Partition } from "../../names.ts";
import { failure } from "../../outcome.ts";
import type { BatchRequest, BatchResponse, EntityEvent, ListRequest, Operation } from "../messages.ts";
import { TransportError, type WorkerClient, type WorkerHandler } from "../transport.ts";
import { createCodec } from "./codec.ts";
import { WireError } from "./errors.ts";
import { fails } from "./fails_test_support.ts";
import { connectWorkerOverGrpc } from "./worker_client.ts";
import { serveWorkerOverGrpc, type WorkerServer, type WorkerServerOptions } from "./worker_server.ts";

const TOKEN = "the-right-token";
const OWNED = { partition: 7 as Partition, epoch: 3 };
const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;

const nothing: WorkerHandler = {
  processBatch: () => Promise.reject(new Error("not expected")),
  list: () => Promise.reject(new Error("not expected")),
  events: () => Promise.reject(new Error("not expected")),
};

interface Pair {
  readonly server: WorkerServer;
  readonly client: WorkerClient;
  readonly faults: unknown[];
}

async function withPair(
  handler: Partial<WorkerHandler>,
  run: (pair: Pair) => Promise<void>,
  options: Partial<WorkerServerOptions> & { token?: string } = {},
): Promise<void> {
  const faults: unknown[] = [];
  const server = await serveWorkerOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    handler: { ...nothing, ...handler },
    authorize: (token) => token === TOKEN,
    onFault: (error) => faults.push(error),
    ...options,
  });
  const client = connectWorkerOverGrpc({ messageBytesMax })(server.address, () => options.token ?? TOKEN);
  try {
    await run({ server, client, faults });
  } finally {
    client.close();
    await server.stop(1_000);
  }
}

function operation(at: number, payload = new Uint8Array(0)): Operation {
  return {
    opId: at.toString(16).padStart(32, "0"),
    kind: "put",
    partition: (at % 64) as Partition,
    name: `chat_room-${at}` as EntityName,
    payload,
    schemaHash: "ab".repeat(32),
    attempt: 1,
  };
}

function batch(operations: readonly Operation[], more: Partial<BatchRequest> = {}): BatchRequest {
  return { epoch: 7, dispatcher: "d", seq: 3, floor: 2, deadlineMs: 5_000, operations, schemas: new Map(), ...more };
}

const meta = (at: number) => ({
  version: at + 1,
  etag: `${at + 1}-0000000000000000`,
  writtenAtMs: 1_700_000_000_000,
  size: 9,
});

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve()));

Deno.test("worker: a batch of 128 operations and 1 MiB, and its answers, arrive whole", async () => {
  let received: BatchRequest | undefined;
  const sent = batch(
    Array.from({ length: 128 }, (_, at) => operation(at, new Uint8Array(8_192).fill(at))),
    { schemas: new Map([["ab".repeat(32), new TextEncoder().encode("{}")]]) },
  );
  const answer: BatchResponse = {
    results: sent.operations.map((one, at) => ({ kind: "found", document: one.payload, meta: meta(at) })),
  };
  await withPair(
    { processBatch: (request) => Promise.resolve(answer).finally(() => received = request) },
    async ({ client }) => {
      assert.deepEqual(await client.processBatch(sent, 5_000), answer);
      assert.deepEqual(received, sent);
    },
  );
});

Deno.test("worker: a list comes back as it was answered", async () => {
  const request: ListRequest = {
    epoch: 9,
    partitions: [1, 5] as Partition[],
    prefix: "chat_",
    after: "chat_a",
    limit: 10,
    want: "documents",
    bytesMax: 1_000,
  };
  const answer = {
    items: [{ name: "chat_b" as EntityName, ...meta(1), keyId: "k", bytes: new Uint8Array([1]) }],
    more: true,
    notOwned: [5] as Partition[],
    counts: new Map([["chat_", 12]]),
  };
  let received: ListRequest | undefined;
  await withPair({ list: (list) => Promise.resolve(answer).finally(() => received = list) }, async ({ client }) => {
    assert.deepEqual(await client.list(request, 5_000), answer);
    assert.deepEqual(received, request);
  });
});

Deno.test("worker: events arrive in order from the moment the stream is open until it is given up", async () => {
  let ended = Promise.resolve();
  const handler: Partial<WorkerHandler> = {
    events: (_, send, signal) => {
      for (let at = 0; at < 100; at++) {
        send({ kind: "put", name: `a_${at}` as EntityName, version: at, etag: "e", ...OWNED });
      }
      return ended = untilAborted(signal);
    },
  };
  await withPair(handler, async ({ client }) => {
    const seen: EntityEvent[] = [];
    const giveUp = new AbortController();
    let opened = false;
    await client.events({ epoch: 1 }, () => opened = true, (event) => {
      assert(opened);
      if (seen.push(event) === 100) giveUp.abort();
    }, giveUp.signal);
    assert.deepEqual(seen.map((event) => event.version), Array.from({ length: 100 }, (_, at) => at));
    await ended;
  });
});

Deno.test("worker: a reader of events that does not keep up is cut off", async () => {
  const name = `a_${"x".repeat(900)}` as EntityName;
  let sent = 0;
  const refused = Promise.withResolvers<void>();
  const handler: Partial<WorkerHandler> = {
    events: async (_, send, signal) => {
      while (sent < 100_000 && send({ kind: "put", name, version: sent, etag: "e", ...OWNED })) {
        if (++sent % 100 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
      assert(signal.aborted);
      assert.equal(send({ kind: "put", name, version: 1, etag: "e", ...OWNED }), false);
      refused.resolve();
    },
  };
  await withPair(handler, async ({ server }) => {
    const codec = createCodec();
    const client = new grpc.Client(server.address, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${TOKEN}`);
    const identity = (bytes: Buffer) => bytes;
    const request = codec.eventsRequest.encode({ epoch: 1 });
    const call = client.makeServerStreamRequest("/deltadb.ProcWorker/Events", identity, identity, request, metadata);
    await refused.promise;
    assert(sent >= WATCH_BUFFER_EVENTS_MAX && sent < 10 * WATCH_BUFFER_EVENTS_MAX, `${sent} events were taken`);
    let seen = 0;
    call.on("data", (bytes: Buffer) => assert.equal(codec.entityEvent.decode(bytes).version, seen++));
    const error = await new Promise<grpc.ServiceError>((resolve) => call.on("error", resolve));
    assert.equal(error.code, grpc.status.UNAVAILABLE);
    assert.match(error.details, /too slow/);
    client.close();
  });
});

Deno.test("worker: without the right token nothing is answered and nothing runs", async () => {
  let ran = 0;
  const handler: WorkerHandler = {
    processBatch: () => Promise.resolve({ results: [] }).finally(() => ran += 1),
    list: () => Promise.resolve({ items: [], more: false, notOwned: [] }).finally(() => ran += 1),
    events: () => Promise.resolve().finally(() => ran += 1),
  };
  const list: ListRequest = { epoch: 1, partitions: [], prefix: "", after: "", limit: 1, want: "meta", bytesMax: 1 };
  for (const token of ["wrong", "", "x".repeat(5_000)]) {
    await withPair(handler, async ({ client }) => {
      await assert.rejects(client.processBatch(batch([]), 5_000), fails("denied"));
      await assert.rejects(client.list(list, 5_000), fails("denied"));
      let opened = false;
      await assert.rejects(
        client.events({ epoch: 1 }, () => opened = true, () => {}, new AbortController().signal),
        fails("denied"),
      );
      assert.equal(opened, false);
    }, { token });
  }
  assert.equal(ran, 0);
});

Deno.test("worker: a call without an answer ends with its deadline", async () => {
  const answer = Promise.withResolvers<BatchResponse>();
  await withPair({ processBatch: () => answer.promise }, async ({ client }) => {
    await assert.rejects(client.processBatch(batch([]), 100), fails("deadline"));
    await assert.rejects(client.processBatch(batch([]), 0), fails("deadline"));
    answer.resolve({ results: [] });
  });
});

Deno.test("worker: what a handler throws becomes the caller's failure, and a fault is told to nobody but the log", async () => {
  const cases: [unknown, TransportError["reason"], RegExp, boolean][] = [
    [new TransportError("busy", "come back later"), "busy", /come back later/, false],
    [new TransportError("denied", "not you"), "denied", /not you/, false],
    [new TransportError("deadline", "too late"), "deadline", /too late/, false],
    [new TransportError("refused", "odd"), "broken", /odd/, false],
    [new TransportError("broken", "half \ud800 a pair \u{1f600} % \n"), "broken", /half/, false],
    [new WireError("UNAVAILABLE", "going away"), "broken", /going away/, false],
    [new WireError("RESOURCE_EXHAUSTED", "too much"), "broken", /too much/, false],
    [new TypeError("secret of the machine"), "broken", /internal error$/, true],
    ["a string", "broken", /internal error$/, true],
  ];
  for (const [thrown, reason, message, fault] of cases) {
    await withPair({ processBatch: () => Promise.reject(thrown) }, async ({ client, faults }) => {
      await assert.rejects(client.processBatch(batch([]), 5_000), fails(reason, message));
      assert.deepEqual(faults, fault ? [thrown] : []);
    });
  }
});

Deno.test("worker: where nobody listens, the call is refused, and the client finds a server that comes back", async () => {
  const handler = { processBatch: () => Promise.resolve({ results: [failure("overloaded", "x")] }) };
  let address = "";
  await withPair(handler, ({ server }) => {
    address = server.address;
    return Promise.resolve();
  });
  const client = connectWorkerOverGrpc({ messageBytesMax })(address, () => TOKEN);
  try {
    await assert.rejects(client.processBatch(batch([]), 5_000), fails("refused"));
    await assert.rejects(client.processBatch(batch([]), 5_000), fails("refused"));
    await withPair(handler, async () => {
      // While the connection backs off, the last failure is old news: it must not be taken for a refusal.
      for (;;) {
        try {
          assert.equal((await client.processBatch(batch([]), 5_000)).results.length, 1);
          return;
        } catch (error) {
          fails("broken")(error);
        }
      }
    }, { address });
  } finally {
    client.close();
  }
});

Deno.test("worker: an address that is none fails each call", async () => {
  for (const address of ["", "unix:/tmp/x", "127.0.0.1", "a:b:c", "127.0.0.1:99999", "dns:///x:1"]) {
    const client = connectWorkerOverGrpc({ messageBytesMax })(address, () => TOKEN);
    await assert.rejects(client.processBatch(batch([]), 5_000), fails("broken", /is not host:port/));
    client.close();
  }
});

Deno.test("worker: a message over the limit fails its call, either way, and the connection goes on", async () => {
  const big = new Uint8Array(messageBytesMax);
  let answerBytes = 0;
  const handler: Partial<WorkerHandler> = {
    processBatch: () =>
      Promise.resolve({ results: [{ kind: "found", document: new Uint8Array(answerBytes), meta: meta(1) }] }),
  };
  await withPair(handler, async ({ server, client }) => {
    await assert.rejects(client.processBatch(batch([operation(1, big)]), 5_000), fails("broken", /larger than/));
    const generous = connectWorkerOverGrpc({ messageBytesMax: 2 * messageBytesMax })(server.address, () => TOKEN);
    await assert.rejects(generous.processBatch(batch([operation(1, big)]), 5_000), fails("broken", /larger than/));
    assert.equal((await generous.processBatch(batch([]), 5_000)).results.length, 1);
    generous.close();
    answerBytes = 17 << 20;
    await assert.rejects(client.processBatch(batch([]), 5_000), fails("broken", /larger than/));
    answerBytes = 3 << 20;
    assert.equal((await client.processBatch(batch([]), 5_000)).results.length, 1);
  });
});

Deno.test("worker: a server that is stopped lets calls end, and cuts off what takes too long", async () => {
  const slow = Promise.withResolvers<BatchResponse>();
  const started = Promise.withResolvers<void>();
  await withPair({ processBatch: () => (started.resolve(), slow.promise) }, async ({ server, client }) => {
    const call = client.processBatch(batch([]), 5_000);
    await started.promise;
    const stopped = server.stop(5_000);
    slow.resolve({ results: [] });
    assert.deepEqual(await call, { results: [] });
    await stopped;
  });
  const never = Promise.withResolvers<BatchResponse>();
  const begun = Promise.withResolvers<void>();
  await withPair({ processBatch: () => (begun.resolve(), never.promise) }, async ({ server, client }) => {
    const call = client.processBatch(batch([]), 5_000);
    await begun.promise;
    await Promise.all([server.stop(50), assert.rejects(call, fails("broken"))]);
    never.resolve({ results: [] });
  });
});

Deno.test("worker: a server that is stopped ends streams of events at once", async () => {
  let told = false;
  const handler: Partial<WorkerHandler> = {
    events: (_, _send, signal) => untilAborted(signal).then(() => void (told = true)),
  };
  await withPair(handler, async ({ server, client }) => {
    const open = Promise.withResolvers<void>();
    const reading = client.events({ epoch: 1 }, open.resolve, () => {}, new AbortController().signal);
    await open.promise;
    // Without its end the stream would keep the server for all of this time, and the test runner would complain.
    const [stopped] = await Promise.allSettled([server.stop(600_000), reading]);
    assert.equal(stopped.status, "fulfilled");
    await assert.rejects(reading, fails("broken", /the server stops/));
    assert(told);
  });
});

Deno.test("worker: a client that was closed fails its calls, and an error of the reader is the reader's", async () => {
  const handler: Partial<WorkerHandler> = {
    events: (_, send, signal) => {
      send({ kind: "put", name: "a_b" as EntityName, version: 1, etag: "e", ...OWNED });
      return untilAborted(signal);
    },
  };
  await withPair(handler, async ({ client }) => {
    const never = new AbortController().signal;
    const own = new RangeError("mine");
    const raise = () => {
      throw own;
    };
    await assert.rejects(client.events({ epoch: 1 }, raise, () => {}, never), own);
    await assert.rejects(client.events({ epoch: 1 }, () => {}, raise, never), own);
    client.close();
    await assert.rejects(client.processBatch(batch([]), 5_000), fails("broken"));
    await assert.rejects(client.events({ epoch: 1 }, () => {}, () => {}, never), fails("broken"));
  });
});

Deno.test("worker: a port that is taken is one clear sentence", async () => {
  await withPair({}, async ({ server }) => {
    await assert.rejects(
      serveWorkerOverGrpc({
        address: server.address,
        messageBytesMax,
        handler: nothing,
        authorize: () => false,
        onFault: () => {},
      }),
      { message: `cannot listen on ${server.address}: the address is already in use` },
    );
  });
});
