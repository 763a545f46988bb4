/** Messages that arrive in parts: counted until they are whole, and given up when they are too much together. */
import assert from "assert";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import http2 from "node:http2";
import fc from "fast-check";
import { UnfinishedMessages } from "./unfinished_messages.ts";

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
}

function watched(messages: UnfinishedMessages): Call {
  const call = new Call();
  messages.watch(call as unknown as Parameters<UnfinishedMessages["watch"]>[0]);
  return call;
}

function message(size: number): Buffer {
  const bytes = Buffer.alloc(5 + size, 7);
  bytes[0] = 0;
  bytes.writeUInt32BE(size, 1);
  return bytes;
}

Deno.test("unfinished: whole messages count for nothing, however they are cut; of others what has arrived, and each part", () => {
  fc.assert(fc.property(
    fc.array(fc.nat(70_000), { maxLength: 5 }),
    fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 50 }),
    fc.nat(4_000),
    (sizes, cuts, rest) => {
      const messages = new UnfinishedMessages(Infinity);
      const call = watched(messages);
      const bytes = Buffer.concat([...sizes.map(message), message(4_000).subarray(0, rest)]);
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const end = Math.min(at + cuts[turn % cuts.length]!, bytes.length);
        call.arrive(bytes.subarray(at, end));
        at = end;
      }
      if (rest === 0) assert.equal(messages.bytes, 0);
      else assert.ok(messages.bytes > rest && messages.bytes <= rest + 600 * rest, `${messages.bytes} of ${rest}`);
      call.close();
      assert.equal(messages.bytes, 0);
    },
  ));
});

Deno.test("unfinished: the first that were begun are given up, and nobody who goes on", () => {
  const messages = new UnfinishedMessages(10_000);
  const [left, other, whole] = [watched(messages), watched(messages), watched(messages)];
  left.arrive(message(50_000).subarray(0, 4_000));
  other.arrive(message(50_000).subarray(0, 4_000));
  whole.arrive(message(6_000));
  assert.deepEqual([left.closedWith, other.closedWith], [[], []]);
  const large = message(4_000);
  whole.arrive(large.subarray(0, 3_000));
  assert.deepEqual(left.closedWith, [http2.constants.NGHTTP2_ENHANCE_YOUR_CALM]);
  whole.arrive(large.subarray(3_000));
  assert.deepEqual([other.closedWith, whole.closedWith], [[], []]);
  const before = messages.bytes;
  left.arrive(new Uint8Array(9_000));
  assert.equal(messages.bytes, before);
});

Deno.test("unfinished: single bytes count for what they take", () => {
  const messages = new UnfinishedMessages(100_000);
  const call = watched(messages);
  call.arrive(message(1_000).subarray(0, 5));
  for (let sent = 0; sent < 1_000 && call.closedWith.length === 0; sent++) call.arrive(Buffer.of(7));
  assert.equal(call.closedWith.length, 1);
  assert.equal(messages.bytes, 0);
});

Deno.test("unfinished: a message that is larger than everything that may be kept is given up itself", () => {
  const messages = new UnfinishedMessages(1_000);
  const call = watched(messages);
  call.arrive(message(5_000).subarray(0, 2_000));
  assert.equal(call.closedWith.length, 1);
  assert.equal(messages.bytes, 0);
});
