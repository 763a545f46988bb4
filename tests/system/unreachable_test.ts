/** Workers that join and could not be used: they are refused with a reason, and nobody's requests wait for them. */
import assert from "assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { HEARTBEAT_MS, HEARTBEATS_MISSED_MAX } from "../../shared/limits.ts";
import { freePort } from "../tools/free_port.ts";
import { Cluster } from "./cluster.ts";

Deno.test("a worker that the main worker cannot call, or not with whole documents, is refused and told why", async () => {
  await using cluster = await Cluster.start();
  const [good] = await cluster.members();
  const port = freePort();
  const strangers = {
    nobody: cluster.startStranger("nobody", [`-advertise-addr=127.0.0.1:${port}`]),
    another: cluster.startStranger("another", [`-advertise-addr=${good!.tags.grpc_addr!}`]),
    small: cluster.startStranger("small", ["-grpc-max-recv-msg-size=1MiB"]),
  };
  let slowestMs = 0;
  let over = false;
  const writing = (async () => {
    for (let n = 0; !over; n = (n + 1) % 100) {
      const startedMs = performance.now();
      await cluster.put("reached", `k${n}`, `${n}`);
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    }
  })();
  for (const [name, program] of Object.entries(strangers)) {
    assert.notEqual((await program.ended()).code, 0, `${name}: ${program.output}`);
  }
  over = true;
  await writing;
  // A partition that one of them held on to would be away for three heartbeats.
  assert(slowestMs < HEARTBEATS_MISSED_MAX * HEARTBEAT_MS - 1_000, `${slowestMs} ms`);
  assert.match(strangers.nobody.output, new RegExp(`cannot call this worker at 127.0.0.1:${port} .*-advertise-addr`));
  assert.match(strangers.another.output, /cannot call this worker at .*-advertise-addr/);
  assert.match(strangers.small.output, /-grpc-max-recv-msg-size must be .* or more/);
  await cluster.put("reached", "after", "1");
});

/** Answers to a health check; its field 1 is `status`. */
const [SERVING, NOT_SERVING] = ["0801", "0802"];

/** What the gRPC server at this address says of its health. */
async function health(address: string): Promise<string> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const same = (bytes: Uint8Array) => Buffer.from(bytes);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  client.makeUnaryRequest(
    "/grpc.health.v1.Health/Check",
    same,
    same,
    Buffer.alloc(0),
    { deadline: Date.now() + 10_000 },
    (error, value) => error === null ? resolve(value!) : reject(error),
  );
  try {
    return (await promise).toString("hex");
  } finally {
    client.close();
  }
}

Deno.test("the main worker's gRPC door says that it serves; a worker's does when the main worker has it, not before", async () => {
  await using cluster = await Cluster.start();
  assert.equal(await health(cluster.grpc), SERVING);
  await cluster.main.kill();
  const address = `127.0.0.1:${freePort()}`;
  const early = cluster.startWorker("early", [`-grpc-addr=${address}`]);
  await early.event("started");
  for (let i = 0; i < 50; i++) assert.equal(await health(address), NOT_SERVING);
  await cluster.startMain();
  await cluster.until("it is a member", (members) => members.some(({ worker_id }) => worker_id === "early"));
  let said = NOT_SERVING;
  for (let i = 0; said === NOT_SERVING && i < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    said = await health(address);
  }
  assert.equal(said, SERVING);
});
