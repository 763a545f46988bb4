/** CRC-32C: known answers, and the same as bit by bit. */
import assert from "assert";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";

/** The definition: divide bit by bit. */
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

Deno.test("crc32c: known answers (RFC 3720, appendix B.4)", () => {
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(0)), 0);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => 31 - index)), 0x113fdb5c);
});

Deno.test("crc32c: any range of any bytes is what the definition says", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(220), fc.nat(220), (bytes, a, b) => {
    const [start, end] = [Math.min(a, b, bytes.length), Math.min(Math.max(a, b), bytes.length)];
    assert.equal(crc32c(bytes, start, end), bitwise(bytes.subarray(start, end)));
  }));
  assert.throws(() => crc32c(new Uint8Array(3), 0, 4), RangeError);
});
