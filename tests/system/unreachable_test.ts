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

Deno.test("the main worker's gRPC door says that it serves", async () => {
  await using cluster = await Cluster.start();
  const client = new grpc.Client(cluster.grpc, grpc.credentials.createInsecure());
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
  // Field 1, `status`, is 1: SERVING.
  assert.deepEqual([...await promise], [8, 1]);
  client.close();
});
