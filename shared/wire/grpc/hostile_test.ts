/** Whatever arrives at the port of a server: it goes on serving, and tells nothing. */
import { once } from "node:events";
import { Buffer } from "node:buffer";
import http2 from "node:http2";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import assert from "assert";
import fc from "fast-check";
import { GRPC_MESSAGE_BYTES_MAX_DEFAULT, GRPC_PUBLIC_REQUEST_BYTES_MAX, GRPC_WAITING_BYTES_MAX } from "../../limits.ts";
import { sleep, systemClock } from "../../seams/clock.ts";
import type { WorkerHandler } from "../transport.ts";
import { type MainServer, type MainServerOptions, serveMainOverGrpc } from "./main_server.ts";
import { connectWorkerOverGrpc } from "./worker_client.ts";
import { serveWorkerOverGrpc } from "./worker_server.ts";

const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;
const BATCH = { epoch: 1, dispatcher: "d", seq: 1, floor: 1, deadlineMs: 1, operations: [], schemas: new Map() };
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const PROCESS_BATCH = "/deltadb.ProcWorker/ProcessBatch";

/** Serves a worker whose handler counts its calls, and checks at the end that it still serves. */
async function withTarget(run: (port: number) => Promise<void>): Promise<void> {
  let ran = 0;
  const handler: WorkerHandler = {
    processBatch: () => Promise.resolve({ results: [] }).finally(() => ran += 1),
    list: () => Promise.reject(new Error("not expected")),
    events: () => Promise.reject(new Error("not expected")),
  };
  const server = await serveWorkerOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    handler,
    authorize: (token) => token === "t",
    onFault: (error) => assert.fail(String(error)),
  });
  try {
    await run(Number(server.address.split(":")[1]));
    assert.equal(ran, 0);
    const client = connectWorkerOverGrpc({ messageBytesMax })(server.address, () => "t");
    assert.deepEqual(await client.processBatch(BATCH, 5_000), { results: [] });
    client.close();
  } finally {
    await server.stop(100);
  }
}

/** Sends bytes and waits until the server has closed the connection, or hangs up itself. */
async function send(port: number, bytes: Uint8Array, hangUp: boolean): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  socket.resume();
  await once(socket, "connect");
  const closed = once(socket, "close");
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
  if (hangUp) socket.destroy();
  await closed;
}

Deno.test("hostile: bytes that are no HTTP/2 close their connection and nothing else", async () => {
  await withTarget(async (port) => {
    await send(port, Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), false);
    await send(port, new Uint8Array(100_000).fill(0xff), false);
    await send(port, new Uint8Array(0), true);
    await send(port, PREFACE.subarray(0, 10), true);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, preface) => {
        await send(port, preface ? Buffer.concat([PREFACE, bytes]) : bytes, true);
      }),
      { numRuns: 100 },
    );
  });
});

interface Answer {
  readonly headers: Record<string, unknown>;
  readonly bytes: number;
}

/** One HTTP/2 request with these headers and body; the answer, or the error of the stream. */
async function request(port: number, headers: http2.OutgoingHttpHeaders, body: Uint8Array): Promise<Answer | Error> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  try {
    return await new Promise<Answer | Error>((resolve) => {
      const stream = session.request({
        ":method": "POST",
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      let answer: Answer = { headers: {}, bytes: 0 };
      stream.on("response", (headers) => answer = { ...answer, headers: { ...answer.headers, ...headers } });
      stream.on("trailers", (headers) => answer = { ...answer, headers: { ...answer.headers, ...headers } });
      stream.on("data", (chunk: Buffer) => answer = { ...answer, bytes: answer.bytes + chunk.length });
      stream.on("error", resolve);
      stream.on("close", () => resolve(answer));
      stream.end(body);
    });
  } finally {
    session.destroy();
  }
}

const frame = (bytes: Uint8Array, compressed = 0) => {
  const head = Buffer.alloc(5);
  head[0] = compressed;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
};

Deno.test("hostile: requests that are no calls are refused, whatever their headers and bodies", async () => {
  const authorization = "Bearer t";
  const bomb = gzipSync(new Uint8Array(64 << 20));
  await withTarget(async (port) => {
    const cases: [http2.OutgoingHttpHeaders, Uint8Array, string | undefined][] = [
      [{ ":path": PROCESS_BATCH }, frame(new Uint8Array(0)), "16"],
      [{ ":path": PROCESS_BATCH, authorization: "Basic t" }, frame(new Uint8Array(0)), "16"],
      [{ ":path": PROCESS_BATCH, authorization: `Bearer ${"x".repeat(8_000)}` }, frame(new Uint8Array(0)), "16"],
      [{ ":path": PROCESS_BATCH, authorization, "content-type": "text/html" }, new Uint8Array(9), undefined],
      [{ ":path": PROCESS_BATCH, authorization, ":method": "GET" }, new Uint8Array(0), undefined],
      [{ ":path": "/deltadb.ProcWorker/No", authorization }, frame(new Uint8Array(0)), "12"],
      [{ ":path": "/%ff%00/\u00e9?x=1#y", authorization }, frame(new Uint8Array(0)), undefined],
      [{ ":path": PROCESS_BATCH, authorization, "grpc-timeout": "not a time" }, new Uint8Array(0), undefined],
      [{ ":path": PROCESS_BATCH, authorization, "grpc-timeout": "0n" }, new Uint8Array(0), undefined],
      [{ ":path": PROCESS_BATCH, authorization }, frame(new Uint8Array([0xff, 0xff, 0xff])), "3"],
      [{ ":path": PROCESS_BATCH, authorization }, Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), "8"],
      [{ ":path": PROCESS_BATCH, authorization, "grpc-encoding": "gzip" }, frame(bomb, 1), "8"],
      [{ ":path": PROCESS_BATCH, authorization, "grpc-encoding": "gzip" }, frame(new Uint8Array(9), 1), "13"],
      [{ ":path": PROCESS_BATCH, authorization, "grpc-encoding": "zzz" }, frame(new Uint8Array(9), 1), "12"],
    ];
    for (const [headers, body, status] of cases) {
      const answer = await request(port, headers, body);
      const what = JSON.stringify(headers);
      if (status !== undefined) {
        assert(!(answer instanceof Error), `${what}: ${answer}`);
        assert.equal(String(answer.headers["grpc-status"]), status, what);
      }
      if (!(answer instanceof Error)) {
        assert.notEqual(answer.headers["grpc-status"], "0", what);
        assert.equal(answer.bytes, 0, what);
      }
    }
  });
});

/** Serves a main worker of which only health and reflection are expected to be asked, unless there is more. */
function serveMain(more: Partial<MainServerOptions> = {}): Promise<MainServer> {
  const refuse = () => Promise.reject(new Error("not expected"));
  return serveMainOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    handler: { subscribe: refuse, heartbeat: refuse, unsubscribe: refuse },
    process: refuse,
    onFault: (error) => assert.fail(String(error)),
    ...more,
  });
}

/** Opens a call that anybody may begin. */
function callOf(session: http2.ClientHttp2Session, path: string): http2.ClientHttp2Stream {
  return session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
}

Deno.test("hostile: health and reflection answer nonsense with an error and go on", async () => {
  const server = await serveMain();
  try {
    const port = Number(server.address.split(":")[1]);
    for (
      const path of [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      ]
    ) {
      for (const body of [new Uint8Array([0xff, 0xff]), new Uint8Array([0x22, 0x01, 0x78]), new Uint8Array(0)]) {
        await request(port, { ":path": path }, frame(body));
      }
      await request(port, { ":path": path }, new Uint8Array(0));
    }
    const answer = await request(port, { ":path": "/grpc.health.v1.Health/Check" }, frame(new Uint8Array(0)));
    assert(!(answer instanceof Error));
    assert.equal(String(answer.headers["grpc-status"]), "0");
  } finally {
    await server.stop(100);
  }
});

Deno.test("hostile: who asks and takes no answers is asked for no more, and gets all of them when it takes them", async () => {
  const server = await serveMain();
  const port = Number(server.address.split(":")[1]);
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const symbol = new TextEncoder().encode("deltadb.MainWorker");
  const question = frame(Buffer.concat([Buffer.of(0x22, symbol.length), symbol]));
  const QUESTIONS = 10_000;
  const session = http2.connect(`http://127.0.0.1:${port}`);
  try {
    const stream = callOf(session, path);
    let left = QUESTIONS;
    for (let n = 0; n < QUESTIONS; n++) stream.write(question, () => left -= 1);
    let before = Infinity;
    while (left < before) {
      before = left;
      await sleep(systemClock, 200);
    }
    assert(left > QUESTIONS / 2, `${left} of ${QUESTIONS} questions were not taken`);
    let bytes = 0;
    let answers = 0;
    let rest = Buffer.alloc(0);
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      rest = Buffer.concat([rest, chunk]);
      for (let size; rest.length >= 5 && rest.length >= (size = 5 + rest.readUInt32BE(1)); rest = rest.subarray(size)) {
        answers += 1;
      }
    });
    stream.end();
    await once(stream, "end");
    assert.equal(answers, QUESTIONS);
    assert(bytes > 1_000 * QUESTIONS);
    const large = await request(port, { ":path": path }, frame(new Uint8Array(GRPC_PUBLIC_REQUEST_BYTES_MAX + 1)));
    assert(!(large instanceof Error));
    assert.equal(String(large.headers["grpc-status"]), "3");
  } finally {
    session.destroy();
    await server.stop(100);
  }
});

Deno.test("hostile: connections beyond the bound are closed at once, those within it go on", async () => {
  const server = await serveWorkerOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax,
    connectionsMax: 10,
    handler: {
      processBatch: () => Promise.resolve({ results: [] }),
      list: () => Promise.reject(new Error("not expected")),
      events: () => Promise.reject(new Error("not expected")),
    },
    authorize: (token) => token === "t",
    onFault: (error) => assert.fail(String(error)),
  });
  const client = connectWorkerOverGrpc({ messageBytesMax })(server.address, () => "t");
  assert.deepEqual(await client.processBatch(BATCH, 5_000), { results: [] });
  const port = Number(server.address.split(":")[1]);
  let closed = 0;
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const sockets = Array.from({ length: 50 }, () => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.once("close", () => ++closed === 41 && resolve());
    return socket.resume();
  });
  await enough;
  assert.deepEqual(await client.processBatch(BATCH, 5_000), { results: [] });
  assert.equal(closed, 41);
  for (const socket of sockets) socket.destroy();
  client.close();
  await server.stop(1_000);
});

const whole = frame(new Uint8Array(messageBytesMax / 2));
/** Where callers stop: a call to each path, with what is sent and the memory that it takes at least. */
const STOPPED_CALLS = {
  "a part of a message": ["/deltadb.MainWorker/Process", whole.subarray(0, whole.length - 1), whole.length],
  "a request without its end": ["/deltadb.MainWorker/Process", whole, whole.length],
  "their headers": ["/deltadb.MainWorker/Process", undefined, 16_000],
  "a watch": ["/grpc.health.v1.Health/Watch", frame(new Uint8Array(0)), 16_000],
} as const;

for (const [what, [path, sent, bytes]] of Object.entries(STOPPED_CALLS)) {
  Deno.test(`hostile: calls that stop after ${what} are given up when they are too much, and others come through`, async () => {
    const server = await serveMain();
    const port = Number(server.address.split(":")[1]);
    const sessions: http2.ClientHttp2Session[] = [];
    try {
      const enough = Math.ceil(1.5 * GRPC_WAITING_BYTES_MAX / bytes);
      const { promise: ended, resolve } = Promise.withResolvers<number>();
      for (let i = 0; i < enough; i++) {
        if (i % 200 === 0) {
          sessions.unshift(http2.connect(`http://127.0.0.1:${port}`));
          sessions[0]!.on("error", () => {});
        }
        const stream = callOf(sessions[0]!, path);
        stream.on("error", () => {});
        stream.resume();
        if (i === 0) stream.once("close", () => resolve(Number(stream.rstCode)));
        if (sent !== undefined) await new Promise<void>((resolve) => stream.write(sent, () => resolve()));
      }
      const over = new AbortController();
      const late = sleep(systemClock, 30_000, over.signal).catch(() => {});
      assert.equal(await Promise.race([ended, late]), http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
      over.abort();
      const answer = await request(port, { ":path": "/grpc.health.v1.Health/Check" }, frame(new Uint8Array(0)));
      assert(!(answer instanceof Error));
      assert.equal(String(answer.headers["grpc-status"]), "0");
    } finally {
      for (const session of sessions) session.destroy();
      await server.stop(100);
    }
  });
}

Deno.test("hostile: large answers that nobody takes have room to a bound, which their callers' going frees", async () => {
  const result = new Uint8Array(1 << 20).fill(0x31);
  const server = await serveMain({
    process: () => Promise.resolve({ status: "ok", result }),
    answersBytesMax: 3 * result.length,
  });
  const port = Number(server.address.split(":")[1]);
  // The operation GET.
  const question = frame(Uint8Array.of(0x20, 0x01));
  const ask = () => request(port, { ":path": "/deltadb.MainWorker/Process" }, question);
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
  session.on("error", () => {});
  try {
    for (let i = 0; i < 2; i++) {
      const stream = callOf(session, "/deltadb.MainWorker/Process");
      stream.on("error", () => {});
      stream.end(question);
      await once(stream, "response");
    }
    for (let i = 0; i < 2; i++) {
      const refused = await ask();
      assert(!(refused instanceof Error));
      assert.deepEqual([String(refused.headers["grpc-status"]), refused.bytes], ["14", 0]);
      assert.match(String(refused.headers["grpc-message"]), /large%20answers|large answers/);
    }
    session.destroy();
    for (let i = 0; i < 5; i++) {
      let answer = await ask();
      // That the caller is gone is known in a moment.
      while (!(answer instanceof Error) && answer.bytes === 0) answer = await ask();
      assert(!(answer instanceof Error));
      assert(answer.bytes > result.length);
    }
  } finally {
    session.destroy();
    await server.stop(100);
  }
});
