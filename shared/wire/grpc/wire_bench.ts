/**
 * What the wire costs: encoding and decoding of batches, and calls with one operation against calls with 32, both ends
 * in one process. A bench of calls moves 4,096 operations in each iteration.
 */
import type { EntityName, Partition } from "../../names.ts";
import type { BatchRequest, Operation } from "../messages.ts";
import { createCodec } from "./codec.ts";
import { connectWorkerOverGrpc } from "./worker_client.ts";
import { serveWorkerOverGrpc } from "./worker_server.ts";

const codec = createCodec();
const document = crypto.getRandomValues(new Uint8Array(1_024));
const messageBytesMax = 4 << 20;

function batch(size: number): BatchRequest {
  const operations = Array.from({ length: size }, (_, at): Operation => ({
    opId: crypto.randomUUID().replaceAll("-", ""),
    kind: "put",
    partition: (at % 64) as Partition,
    name: `chat.v1_user-${at}-0123456789abcdef` as EntityName,
    payload: document,
    schemaHash: "ab".repeat(32),
    attempt: 1,
  }));
  return {
    epoch: 2 ** 32 * 7 + 3,
    dispatcher: "0123456789abcdef",
    seq: 1_000,
    floor: 999,
    deadlineMs: 10_000,
    operations,
    schemas: new Map(),
  };
}

const meta = { version: 12, etag: "12-0123456789abcdef", writtenAtMs: Date.now(), size: document.length };
const stored = (size: number) => ({ seq: 1_000, results: Array(size).fill({ kind: "stored", meta }) });
const found = (size: number) => ({ seq: 1_000, results: Array(size).fill({ kind: "found", document, meta }) });

for (const size of [1, 32, 128]) {
  const request = batch(size);
  const encoded = codec.batchRequest.encode(request);
  const answers = { stored: stored(size), found: found(size) };
  Deno.bench(`encode a request of ${size}`, { group: `${size}` }, () => void codec.batchRequest.encode(request));
  Deno.bench(`decode a request of ${size}`, { group: `${size}` }, () => void codec.batchRequest.decode(encoded));
  for (const [kind, answer] of Object.entries(answers)) {
    const bytes = codec.batchResponse.encode(answer);
    Deno.bench(`encode ${size} ${kind}`, { group: `${size}` }, () => void codec.batchResponse.encode(answer));
    Deno.bench(`decode ${size} ${kind}`, { group: `${size}` }, () => void codec.batchResponse.decode(bytes));
  }
}

const OPERATIONS = 4_096;
const IN_FLIGHT = 64;

for (const size of [1, 8, 32, 128]) {
  Deno.bench(`${OPERATIONS} operations, ${size} a call`, { group: "calls", n: 10, warmup: 3 }, async (bench) => {
    const answer = stored(size);
    const server = await serveWorkerOverGrpc({
      address: "127.0.0.1:0",
      messageBytesMax,
      codec,
      handler: {
        processBatch: () => Promise.resolve(answer),
        list: () => Promise.reject(new Error("not expected")),
        events: () => Promise.reject(new Error("not expected")),
      },
      authorize: (token) => token === "t",
      onFault: console.error,
    });
    const client = connectWorkerOverGrpc({ messageBytesMax, codec })(server.address, () => "t");
    const request = batch(size);
    await client.processBatch(request, 5_000);
    let seq = request.seq;
    let left = OPERATIONS / size;
    const lane = async () => {
      while (left-- > 0) await client.processBatch({ ...request, seq: ++seq }, 5_000);
    };
    bench.start();
    await Promise.all(Array.from({ length: Math.max(2, IN_FLIGHT / size) }, lane));
    bench.end();
    client.close();
    await server.stop(1_000);
  });
}
