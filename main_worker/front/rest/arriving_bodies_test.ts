import assert from "assert";
import { BODIES_ARRIVING_BYTES_MAX, BODY_UNCOUNTED_BYTES_MAX } from "../../../shared/limits.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import { ArrivingBodies, arrivingBodiesOf } from "./arriving_bodies.ts";
import { readBody } from "./bodies.ts";
import { Refusal } from "./errors.ts";

const LARGE = BODY_UNCOUNTED_BYTES_MAX + 1;

Deno.test("arriving bodies: those that were begun first are given up when all take too much, once each", () => {
  const bodies = new ArrivingBodies(3 * LARGE);
  const given: string[] = [];
  const begin = (name: string) => bodies.begin(() => given.push(name));
  const [a, b, c, d] = [begin("a"), begin("b"), begin("c"), begin("d")];
  for (const body of [a, b, c]) bodies.grow(body, LARGE);
  for (let i = 0; i < 100; i++) bodies.grow(begin("small"), BODY_UNCOUNTED_BYTES_MAX);
  assert.deepEqual([given, bodies.bytes], [[], 3 * LARGE]);
  bodies.grow(d, LARGE);
  assert.deepEqual([given, bodies.bytes], [["a"], 3 * LARGE]);
  bodies.grow(a, 2 * LARGE);
  assert.equal(bodies.bytes, 3 * LARGE);
  bodies.grow(c, 2 * LARGE);
  assert.deepEqual([given, bodies.bytes], [["a", "b"], 3 * LARGE]);
  bodies.end(c);
  bodies.grow(d, 10 * LARGE);
  assert.deepEqual([given, bodies.bytes], [["a", "b"], 10 * LARGE]);
  bodies.end(d);
  assert.equal(bodies.bytes, 0);
});

Deno.test("arriving bodies: who leaves one is told that there is no room, others come through, and nothing is left", async () => {
  const clock = new ManualClock();
  const SIZE = 16 * 1024 * 1024;
  /** A request that has sent all but the end of its body. */
  const left = () =>
    new Request("http://localhost/", {
      method: "PUT",
      body: new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(SIZE)) }),
    });
  const codes = Array.from({ length: BODIES_ARRIVING_BYTES_MAX / SIZE + 3 }, () =>
    readBody(left(), SIZE, clock).then(
      () => assert.fail("it is not whole"),
      (error: Refusal) => error.failure.code,
    ));
  assert.deepEqual(await Promise.all(codes.slice(0, 3)), ["overloaded", "overloaded", "overloaded"]);
  const whole = new Request("http://localhost/", { method: "PUT", body: new Uint8Array(1_000_000) });
  assert.equal((await readBody(whole, SIZE, clock)).length, 1_000_000);
  clock.pass(30_000);
  for (const code of (await Promise.all(codes)).slice(4)) assert.equal(code, "bad_request");
  assert.equal(arrivingBodiesOf(clock).bytes, 0);
});
