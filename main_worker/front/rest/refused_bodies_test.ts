import assert from "assert";
import http2 from "node:http2";
import { REFUSED_BODIES_MAX, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_MS_MAX } from "../../../shared/limits.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import { RefusedBodies } from "./refused_bodies.ts";
import { serveRest } from "./server.ts";
import { createHarness } from "./testing.ts";

const PIECE = new Uint8Array(64 * 1024);

/** A request whose body has so many pieces, and how many were taken; `Infinity`: it stalls behind the first one. */
function request(pieces: number, headers: Record<string, string> = {}) {
  const body = { taken: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (body.taken === pieces) return controller.close();
      if (pieces === Infinity && body.taken === 1) return new Promise(() => {});
      body.taken += 1;
      controller.enqueue(PIECE);
    },
    cancel() {
      body.cancelled = true;
    },
  }, { highWaterMark: 0 });
  return { request: new Request("http://h/", { method: "PUT", body: stream, headers }), body };
}

Deno.test("the body of a refused request over HTTP/2 is taken up to a bound", async () => {
  const refused = new RefusedBodies(new ManualClock());
  const small = request(3);
  await refused.take(small.request);
  assert.deepEqual(small.body, { taken: 3, cancelled: false });
  const large = request(1_000);
  await refused.take(large.request);
  assert.deepEqual(large.body, { taken: REFUSED_BODY_BYTES_MAX / PIECE.length, cancelled: true });
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) });
  await refused.take(new Request("http://h/", { method: "PUT", body: broken }));
});

Deno.test("nothing is taken over HTTP/1.1, of a request without a body, or of one that is being read", () => {
  const refused = new RefusedBodies(new ManualClock());
  const older = request(3, { host: "h" });
  assert.equal(refused.take(older.request), undefined);
  assert.equal(older.body.taken, 0);
  assert.equal(refused.take(new Request("http://h/")), undefined);
  const read = request(3);
  read.request.body!.getReader();
  assert.equal(refused.take(read.request), undefined);
});

Deno.test("bodies that stall have their time, and only so many are taken at once", async () => {
  const clock = new ManualClock();
  const refused = new RefusedBodies(clock);
  const stalled = Array.from({ length: REFUSED_BODIES_MAX }, () => request(Infinity));
  const taking = stalled.map((one) => refused.take(one.request));
  assert(taking.every((one) => one !== undefined));
  const more = request(3);
  assert.equal(refused.take(more.request), undefined);
  clock.pass(REFUSED_BODY_MS_MAX);
  await Promise.all(taking);
  assert(stalled.every((one) => one.body.cancelled));
  await refused.take(more.request);
  assert.equal(more.body.taken, 3);
  assert.equal(clock.timers, 0);
});

Deno.test("over a socket: a client that sends its whole body before it looks gets the answer of a refusal", async () => {
  const harness = await createHarness({ bodyBytesMax: 64 * 1024 });
  const server = serveRest(harness.app, { host: "127.0.0.1", port: 0 }, undefined, harness.log);
  const session = http2.connect(`http://127.0.0.1:${server.address.port}`);
  try {
    for (const [credential, status] of [["wrong", 401], ["the-admin-key", 413]] as const) {
      const stream = session.request({
        ":method": "PUT",
        ":path": "/entity/s?key=k",
        authorization: `Bearer ${credential}`,
      });
      const answered = Promise.withResolvers<number>();
      stream.on("response", (headers) => answered.resolve(headers[":status"]!));
      stream.on("error", answered.reject);
      const sent = Promise.withResolvers<void>();
      const stuck = setTimeout(() => sent.reject(new Error("the server does not take the body")), 10_000);
      stream.end(new Uint8Array(4 * 1024 * 1024), () => sent.resolve());
      await sent.promise.finally(() => clearTimeout(stuck));
      assert.equal(await answered.promise, status);
      stream.resume();
      await new Promise((closed) => stream.once("close", closed));
      assert.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR);
    }
  } finally {
    session.destroy();
    harness.stop.abort();
    await server.stop(5_000);
  }
});
