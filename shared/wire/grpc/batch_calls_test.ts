/** Batches over one call: none waits for another, and whatever ends the call, each batch learns what became of it. */
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import assert from "assert";
import {
  GRPC_EXCHANGES_MAX,
  GRPC_MESSAGE_BYTES_MAX_DEFAULT,
  GRPC_SHARED_CALL_BYTES_MAX,
  GRPC_STREAMS_MAX,
} from "../../limits.ts";
import type { EntityName, Partition } from "../../names.ts";
import type { BatchRequest, BatchResponse } from "../messages.ts";
import { TransportError, type WorkerClient } from "../transport.ts";
import { fails } from "./fails_test_support.ts";
import { connectWorkerOverGrpc } from "./worker_client.ts";
import { serveWorkerOverGrpc, type WorkerServer } from "./worker_server.ts";

const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;

/** A worker whose batches are answered when the test says so, and a client of it. */
class World {
  readonly arrived: BatchRequest[] = [];
  readonly faults: unknown[] = [];
  /** Tokens that are good now. */
  readonly good = new Set(["first"]);
  token = "first";
  client!: WorkerClient;
  server!: WorkerServer;
  readonly #answers = new Map<number, PromiseWithResolvers<BatchResponse>>();
  #onArrival = () => {};

  static async with(run: (world: World) => Promise<void>): Promise<void> {
    const world = new World();
    const refuse = () => Promise.reject(new Error("not expected"));
    world.server = await serveWorkerOverGrpc({
      address: "127.0.0.1:0",
      messageBytesMax,
      handler: { processBatch: (request) => world.#arrive(request), list: refuse, events: refuse },
      authorize: (token) => world.good.has(token),
      onFault: (error) => world.faults.push(error),
    });
    world.client = connectWorkerOverGrpc({ messageBytesMax })(world.server.address, () => world.token);
    try {
      await run(world);
    } finally {
      world.client.close();
      await world.server.stop(1_000);
    }
  }

  /** Sends a batch; its answer is awaited by whoever wants it. */
  send(seq: number, { deadlineMs = 5_000, bytes = 0 } = {}): Promise<BatchResponse> {
    const operation = {
      opId: "0".repeat(32),
      kind: "put",
      partition: 0 as Partition,
      name: "a_b" as EntityName,
      payload: new Uint8Array(bytes),
      schemaHash: "",
      attempt: 1,
    } as const;
    const request = {
      epoch: 1,
      dispatcher: "d",
      seq,
      floor: 1,
      deadlineMs,
      operations: [operation],
      schemas: new Map(),
    };
    const answer = this.client.processBatch(request, deadlineMs);
    // The test may look at it later than it fails.
    answer.catch(() => {});
    return answer;
  }

  async until(arrived: number): Promise<void> {
    while (this.arrived.length < arrived) await new Promise<void>((resolve) => this.#onArrival = resolve);
  }

  answer(seq: number): void {
    this.#answers.get(seq)!.resolve(answerOf(seq));
  }

  refuse(seq: number, error: unknown): void {
    this.#answers.get(seq)!.reject(error);
  }

  #arrive(request: BatchRequest): Promise<BatchResponse> {
    const answer = Promise.withResolvers<BatchResponse>();
    this.#answers.set(request.seq, answer);
    this.arrived.push(request);
    this.#onArrival();
    return answer.promise;
  }
}

const answerOf = (seq: number): BatchResponse => ({ results: [{ kind: "deleted", existed: seq % 2 === 0 }] });

Deno.test("batch calls: answers come in whatever order, each to its batch, large ones among them", async () => {
  await World.with(async (world) => {
    const sizes = [0, 1_000, GRPC_SHARED_CALL_BYTES_MAX, 10, 1 << 20];
    const answers = sizes.map((bytes, seq) => world.send(seq, { bytes }));
    await world.until(5);
    assert.deepEqual(world.arrived.map(({ operations }) => operations[0]!.payload.length).sort(), sizes.sort());
    for (const seq of [3, 1, 4, 0, 2]) {
      world.answer(seq);
      assert.deepEqual(await answers[seq], answerOf(seq));
    }
  });
});

Deno.test("batch calls: no more are worked on at a time than the bound says, and the rest comes after them", async () => {
  await World.with(async (world) => {
    const answers = Array.from({ length: 3 * GRPC_EXCHANGES_MAX }, (_, seq) => world.send(seq));
    await world.until(GRPC_EXCHANGES_MAX);
    await new Promise((resolve) => setTimeout(resolve, 50));
    // What is in the reader's own buffer comes through.
    assert(world.arrived.length < 2 * GRPC_EXCHANGES_MAX, `${world.arrived.length}`);
    for (let seq = 0; seq < answers.length; seq++) {
      await world.until(seq + 1);
      world.answer(world.arrived[seq]!.seq);
    }
    await Promise.all(answers);
  });
});

Deno.test("batch calls: a batch that is given up leaves the others alone, and its answer is nobody's", async () => {
  await World.with(async (world) => {
    const other = world.send(2);
    const late = world.send(1, { deadlineMs: 50 });
    await world.until(2);
    await assert.rejects(late, fails("deadline"));
    const next = world.send(3);
    await world.until(3);
    for (const seq of [1, 2, 3]) world.answer(seq);
    assert.deepEqual(await other, answerOf(2));
    assert.deepEqual(await next, answerOf(3));
  });
});

Deno.test("batch calls: a new token is used at once; what was sent with the old one is still answered", async () => {
  await World.with(async (world) => {
    const old = world.send(1);
    await world.until(1);
    world.good.add(world.token = "second");
    world.answer(1);
    const renewed = world.send(2);
    await world.until(2);
    world.good.delete("first");
    world.answer(2);
    assert.deepEqual(await Promise.all([old, renewed]), [answerOf(1), answerOf(2)]);
  });
});

Deno.test("batch calls: a token that is good no more is refused on a call that is open, and what was begun is answered", async () => {
  await World.with(async (world) => {
    const begun = world.send(1);
    await world.until(1);
    world.good.clear();
    const refused = world.send(2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    world.answer(1);
    assert.deepEqual(await begun, answerOf(1));
    await assert.rejects(refused, fails("denied"));
    await assert.rejects(world.send(3), fails("denied"));
    assert.equal(world.arrived.length, 1);
  });
});

Deno.test("batch calls: a batch that is refused ends the call after the answers to those that were begun", async () => {
  await World.with(async (world) => {
    const answered = world.send(1);
    const refused = world.send(2);
    await world.until(2);
    world.refuse(2, new TransportError("busy", "come back later"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const behind = world.send(3);
    world.answer(1);
    assert.deepEqual(await answered, answerOf(1));
    // Neither was executed, and both know it.
    await assert.rejects(refused, fails("busy", /come back later/));
    await assert.rejects(behind, fails("busy"));
    assert.equal(world.arrived.length, 2);
    const again = world.send(4);
    await world.until(3);
    world.answer(4);
    assert.deepEqual(await again, answerOf(4));
  });
});

Deno.test("batch calls: however the answers and the refusal behind them come in, what was executed is answered", async () => {
  await World.with(async (world) => {
    const begun = Array.from({ length: 20 }, (_, seq) => world.send(seq + 1));
    await world.until(20);
    world.good.clear();
    const refused = world.send(21);
    await new Promise((resolve) => setTimeout(resolve, 20));
    // All in one turn: they and the end of the call are in one packet.
    for (let seq = 1; seq <= 20; seq++) world.answer(seq);
    assert.deepEqual(await Promise.all(begun), begun.map((_, seq) => answerOf(seq + 1)));
    await assert.rejects(refused, fails("denied"));
  });
});

Deno.test("batch calls: a fault is graver than a refusal, and is told to the log", async () => {
  await World.with(async (world) => {
    const executed = world.send(1);
    await world.until(1);
    world.good.clear();
    const refused = world.send(2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const fault = new TypeError("nobody expected it");
    world.refuse(1, fault);
    await assert.rejects(executed, fails("broken"));
    await assert.rejects(refused, fails("broken"));
    assert.deepEqual(world.faults, [fault]);
  });
});

Deno.test("batch calls: a worker that hangs is not left with a call for each batch that was given up", async () => {
  await World.with(async (world) => {
    // More than a connection may have calls at a time.
    const last = GRPC_STREAMS_MAX + 10;
    for (let seq = 1; seq < last; seq++) await assert.rejects(world.send(seq, { deadlineMs: 5 }), fails("deadline"));
    const next = world.send(last);
    while (!world.arrived.some(({ seq }) => seq === last)) await world.until(world.arrived.length + 1);
    world.answer(last);
    assert.deepEqual(await next, answerOf(last));
    for (const { seq } of world.arrived) world.answer(seq);
  });
});

Deno.test("batch calls: a server that drains answers what it has begun and refuses the rest as not begun", async () => {
  await World.with(async (world) => {
    const begun = world.send(1);
    await world.until(1);
    const drained = world.server.drain(5_000);
    const late = world.send(2);
    world.answer(1);
    assert.deepEqual(await begun, answerOf(1));
    await assert.rejects(late, fails("busy", /stops/));
    await assert.rejects(world.send(3), fails("busy", /stops/));
    await drained;
    assert.equal(world.arrived.length, 1);
  });
});

Deno.test("batch calls: a message that is none ends its call with a reason and nothing else", async () => {
  await World.with(async (world) => {
    const client = new grpc.Client(world.server.address, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("authorization", "Bearer first");
    const identity = (bytes: Buffer) => bytes;
    const call = client.makeBidiStreamRequest("/deltadb.ProcWorker/ProcessBatches", identity, identity, metadata);
    call.on("data", () => assert.fail("it was answered"));
    const ended = new Promise<grpc.ServiceError>((resolve) => call.on("error", resolve));
    call.write(Buffer.from("nonsense"));
    const { code, details } = await ended;
    assert.equal(code, grpc.status.INVALID_ARGUMENT, details);
    client.close();
    const answer = world.send(1);
    await world.until(1);
    world.answer(1);
    assert.deepEqual(await answer, answerOf(1));
    assert.deepEqual(world.faults, []);
  });
});

Deno.test("batch calls: a connection that breaks fails every batch that has no answer, and the next one finds another", async () => {
  await World.with(async (world) => {
    const lost = [world.send(1), world.send(2)];
    await world.until(2);
    const stopped = world.server.stop(0);
    for (const one of lost) await assert.rejects(one, fails("broken"));
    for (const seq of [1, 2]) world.answer(seq);
    await stopped;
    await assert.rejects(world.send(3), fails("refused"));
    assert.deepEqual(world.faults, []);
  });
});

Deno.test("batch calls: a client that is closed fails what is under way and what comes", async () => {
  await World.with(async (world) => {
    const lost = world.send(1);
    await world.until(1);
    world.client.close();
    await assert.rejects(lost, fails("broken"));
    await assert.rejects(world.send(2), fails("broken"));
    world.answer(1);
  });
});
