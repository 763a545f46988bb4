/** Calls whose caller lets them wait: counted as long as they do, and given up when they are too much together. */
import assert from "assert";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import http2 from "node:http2";
import fc from "fast-check";
import { WaitingCalls, type WaitsUntil } from "./waiting_calls.ts";

/** What a call takes that has sent nothing. */
const CALL = 16 * 1024;

/** A call as far as it is watched. */
class Call extends EventEmitter {
  readonly closedWith: (number | undefined)[] = [];

  close(code?: number): void {
    this.closedWith.push(code);
    this.emit("close");
  }

  arrive(part: Uint8Array): void {
    this.emit("data", part);
  }

  end(): void {
    this.emit("end");
  }
}

function watched(calls: WaitingCalls, until: WaitsUntil = "message"): Call {
  const call = new Call();
  calls.watch(call as unknown as Parameters<WaitingCalls["watch"]>[0], until);
  return call;
}

function message(size: number): Buffer {
  const bytes = Buffer.alloc(5 + size, 7);
  bytes[0] = 0;
  bytes.writeUInt32BE(size, 1);
  return bytes;
}

Deno.test("waiting: whole messages count for nothing, however they are cut; of others what has arrived, and each part", () => {
  fc.assert(fc.property(
    fc.array(fc.nat(70_000), { maxLength: 5 }),
    fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 50 }),
    fc.nat(4_000),
    (sizes, cuts, rest) => {
      const calls = new WaitingCalls(Infinity);
      const call = watched(calls);
      const bytes = Buffer.concat([...sizes.map(message), message(4_000).subarray(0, rest)]);
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const end = Math.min(at + cuts[turn % cuts.length]!, bytes.length);
        call.arrive(bytes.subarray(at, end));
        at = end;
      }
      const more = calls.bytes - (sizes.length === 0 ? CALL : 0);
      if (rest === 0) assert.equal(more, 0);
      else assert.ok(more > rest && more <= rest + 600 * rest, `${more} for ${rest}`);
      call.close();
      assert.equal(calls.bytes, 0);
    },
  ));
});

Deno.test("waiting: a request counts until it has ended, whole or not, and one that anybody may send until it is over", () => {
  const calls = new WaitingCalls(Infinity);
  const unary = watched(calls, "request_ends");
  unary.arrive(message(1_000));
  unary.arrive(message(1_000).subarray(0, 300));
  assert(calls.bytes > CALL + 1_300);
  unary.end();
  assert.equal(calls.bytes, 0);
  unary.arrive(message(1_000));
  assert.equal(calls.bytes, 0);
  const open = watched(calls, "over");
  open.arrive(message(1_000));
  open.end();
  assert(calls.bytes > CALL + 1_000);
  open.close();
  assert.equal(calls.bytes, 0);
});

Deno.test("waiting: the first that were begun are given up, and nobody who goes on", () => {
  const calls = new WaitingCalls(3 * CALL + 10_000);
  const [left, other, whole] = [watched(calls), watched(calls), watched(calls)];
  left.arrive(message(50_000).subarray(0, 4_000));
  other.arrive(message(50_000).subarray(0, 4_000));
  whole.arrive(message(6_000));
  assert.deepEqual([left.closedWith, other.closedWith], [[], []]);
  const large = message(CALL + 4_000);
  whole.arrive(large.subarray(0, CALL + 3_000));
  assert.deepEqual(left.closedWith, [http2.constants.NGHTTP2_ENHANCE_YOUR_CALM]);
  whole.arrive(large.subarray(CALL + 3_000));
  assert.deepEqual([other.closedWith, whole.closedWith], [[], []]);
  const before = calls.bytes;
  left.arrive(new Uint8Array(9_000));
  assert.equal(calls.bytes, before);
});

Deno.test("waiting: calls that send nothing count, too", () => {
  for (const until of ["message", "request_ends", "over"] as const) {
    const calls = new WaitingCalls(10 * CALL);
    const all = Array.from({ length: 25 }, () => watched(calls, until));
    assert.deepEqual(all.map(({ closedWith }) => closedWith.length), [...Array(15).fill(1), ...Array(10).fill(0)]);
    for (const call of all) call.close();
    assert.equal(calls.bytes, 0);
  }
});

Deno.test("waiting: single bytes count for what they take", () => {
  const calls = new WaitingCalls(100_000);
  const call = watched(calls);
  call.arrive(message(1_000).subarray(0, 5));
  for (let sent = 0; sent < 1_000 && call.closedWith.length === 0; sent++) call.arrive(Buffer.of(7));
  assert.equal(call.closedWith.length, 1);
  assert.equal(calls.bytes, 0);
});

Deno.test("waiting: a message that is larger than everything that may be kept is given up itself", () => {
  const calls = new WaitingCalls(CALL + 1_000);
  const call = watched(calls);
  call.arrive(message(5_000).subarray(0, 2_000));
  assert.equal(call.closedWith.length, 1);
  assert.equal(calls.bytes, 0);
});
