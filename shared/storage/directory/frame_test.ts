/** Frames and records: what is written comes back, and no damage is taken for something else. */
import assert from "assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { FRAME_HEADER_BYTES, type FrameScan, FrameScanner, IDENTITY_BYTES, sealFrame } from "./frame.ts";
import { decodeRecord, encodeRecords, envelopesIn, type LogRecord, recordBytes, visitRecords } from "./record.ts";

const identity = new Uint8Array(IDENTITY_BYTES).fill(0xa5);
const record: fc.Arbitrary<LogRecord> = fc.record({
  partition: fc.nat(1023),
  sequence: fc.maxSafeNat(),
  name: fc.stringMatching(/^[A-Za-z0-9.%_-]{1,60}$/),
  envelope: fc.option(fc.uint8Array({ maxLength: 100 }), { nil: undefined }),
}, { noNullPrototype: true });

/** The records of a payload, or `undefined` when it holds anything else. */
function decodeRecords(payload: Uint8Array): LogRecord[] | undefined {
  const bytes = Buffer.from(payload);
  const records: LogRecord[] = [];
  const isWhole = visitRecords(payload, (partition, sequence, at) => {
    const { envelope, ...record } = decodeRecord(bytes, at);
    assert.deepEqual([record.partition, record.sequence], [partition, sequence]);
    records.push({ ...record, envelope: envelope && new Uint8Array(envelope) });
  });
  return isWhole ? records : undefined;
}

function frame(payload: Uint8Array, number: number, of = identity): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  bytes.set(payload, FRAME_HEADER_BYTES);
  sealFrame(bytes, of, number);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function scan(bytes: Uint8Array): { payloads: Uint8Array[]; last: FrameScan } {
  const scanner = new FrameScanner(bytes);
  const payloads: Uint8Array[] = [];
  for (;;) {
    const last = scanner.next();
    if (last.kind !== "frame") return { payloads, last };
    assert.equal(last.number, payloads.length);
    payloads.push(last.payload);
  }
}

Deno.test("records come back as they were written", () => {
  fc.assert(fc.property(fc.array(record), (records) => {
    const encoded = encodeRecords(records);
    const size = records.reduce((sum, { name, envelope }) => sum + recordBytes(name.length, envelope?.length ?? 0), 0);
    assert.equal(encoded.length, FRAME_HEADER_BYTES + size);
    assert.deepEqual(decodeRecords(encoded.subarray(FRAME_HEADER_BYTES)), records);
    assert.deepEqual(envelopesIn(encoded, records), records.map(({ envelope }) => envelope));
  }));
});

Deno.test("bytes that are no records are refused, whatever they are", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    decodeRecords(bytes);
  }));
  fc.assert(fc.property(fc.array(record, { minLength: 1 }), fc.nat(), (records, cut) => {
    const payload = encodeRecords(records).subarray(FRAME_HEADER_BYTES);
    const decoded = decodeRecords(payload.subarray(0, cut % payload.length));
    assert.ok(decoded === undefined || decoded.length < records.length);
  }));
});

Deno.test("frames come back in order, to the end", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (payloads) => {
    const { payloads: found, last } = scan(concat(payloads.map((payload, number) => frame(payload, number))));
    assert.deepEqual(found, payloads);
    assert.equal(last.kind === "end" && last.torn, false);
    assert.equal(last.kind, "end");
  }));
});

const PAYLOADS = [3, 40, 0, 25, 60].map((size, index) => new Uint8Array(size).fill(index + 1));
const FRAMES = PAYLOADS.map((payload, number) => frame(payload, number));
const STARTS = FRAMES.map((_, index) => FRAMES.slice(0, index).reduce((sum, part) => sum + part.length, 0));
const LOG = concat(FRAMES);

Deno.test("a log that is cut at any byte ends there, torn, with every whole frame before", () => {
  for (let cut = 0; cut < LOG.length; cut++) {
    const whole = STARTS.findLastIndex((start) => start <= cut);
    const { payloads, last } = scan(LOG.subarray(0, cut));
    assert.deepEqual(payloads, PAYLOADS.slice(0, whole));
    assert.deepEqual(last, { kind: "end", torn: cut !== STARTS[whole], at: STARTS[whole] });
  }
});

Deno.test("a damaged byte before the last frame is corruption of its frame; in the last one it is a torn tail", () => {
  for (let at = 0; at < LOG.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const bytes = LOG.slice();
      bytes[at]! ^= flip;
      const { payloads, last } = scan(bytes);
      const damaged = STARTS.findLastIndex((start) => start <= at);
      assert.deepEqual(payloads, PAYLOADS.slice(0, damaged));
      if (damaged < FRAMES.length - 1) assert.equal(last.kind === "corrupt" && last.at, STARTS[damaged], `byte ${at}`);
      else assert.deepEqual(last, { kind: "end", torn: true, at: STARTS[damaged] });
    }
  }
});

Deno.test("zeros, a hole, or a repeated or missing frame are never taken for a shorter log", () => {
  const zeros = new Uint8Array(5_000);
  assert.deepEqual(scan(concat([LOG, zeros])).last, { kind: "end", torn: true, at: LOG.length });
  const hole = LOG.slice().fill(0, STARTS[1], STARTS[3]);
  assert.equal(scan(hole).last.kind, "corrupt");
  assert.equal(scan(concat([...FRAMES, FRAMES[4]!])).last.kind, "corrupt");
  assert.equal(scan(concat([FRAMES[0]!, FRAMES[2]!])).last.kind, "corrupt");
  assert.equal(scan(concat([FRAMES[1]!, FRAMES[2]!])).last.kind, "corrupt");
});

Deno.test("frames of another file after the end are a torn tail, not this file's", () => {
  const other = frame(new Uint8Array(10), 5, new Uint8Array(IDENTITY_BYTES).fill(1));
  const { payloads, last } = scan(concat([...FRAMES, other]));
  assert.equal(payloads.length, FRAMES.length);
  assert.deepEqual(last, { kind: "end", torn: true, at: LOG.length });
});

Deno.test("random bytes are a torn tail or nothing", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const { payloads, last } = scan(bytes);
    assert.equal(payloads.length, 0);
    assert.equal(last.kind, "end");
  }));
});
