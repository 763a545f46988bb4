/** The content of lock files: comes back, and a torn write leaves the one before. */
import assert from "assert";
import fc from "fast-check";
import { decodeLockContent, encodeLockContent, type LockContent, SLOT_BYTES } from "./lock_content.ts";

const content = fc.record({
  generation: fc.nat(),
  holder: fc.string({ maxLength: 200, unit: "binary" }),
  writers: fc.array(fc.stringMatching(/^[0-9a-f]{32}$/), { maxLength: 17 }),
  settled: fc.option(fc.maxSafeNat(), { nil: undefined }),
}, { noNullPrototype: true });

function write(file: Uint8Array, change: LockContent, length = SLOT_BYTES): Uint8Array {
  const { offset, bytes } = encodeLockContent(change);
  const written = new Uint8Array(Math.max(file.length, offset + length));
  written.set(file);
  written.set(bytes.subarray(0, length), offset);
  return written;
}

Deno.test("the newest content of a lock file is read", () => {
  fc.assert(fc.property(fc.array(content, { minLength: 2, maxLength: 5 }), (changes) => {
    let file = new Uint8Array(0) as Uint8Array;
    changes.forEach((change, index) => file = write(file, { ...change, generation: index + 1 }));
    const newest = { ...changes.at(-1), generation: changes.length };
    assert.deepEqual(decodeLockContent(file), { newest, isDoubtful: false });
  }));
});

Deno.test("a write that is torn anywhere leaves the content before it, as one that is doubtful, or is whole", () => {
  const names = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padStart(32, "0"));
  const before: LockContent = { generation: 6, holder: "x", writers: names(16), settled: 12 };
  const earlier: LockContent = { generation: 5, holder: "y", writers: names(2), settled: 9 };
  const after: LockContent = { generation: 7, holder: "z", writers: names(1), settled: 20 };
  const file = write(write(new Uint8Array(0), earlier), before);
  const seen = new Map<number, number>();
  for (let length = 0; length <= SLOT_BYTES; length++) {
    const torn = write(file, after, length);
    const { newest, isDoubtful } = decodeLockContent(torn);
    assert.ok(newest !== undefined);
    assert.deepEqual(newest, newest.generation === 6 ? before : after);
    const isUntouched = torn.every((byte, at) => byte === file[at]);
    assert.equal(isDoubtful, newest.generation === 6 && !isUntouched);
    seen.set(newest.generation, (seen.get(newest.generation) ?? 0) + 1);
  }
  assert.ok(seen.get(6)! > 20 && seen.get(7)! > 20 && seen.size === 2);
});

Deno.test("a newer content that was damaged is not passed over for the older one", () => {
  const older: LockContent = { generation: 6, holder: "x", writers: ["a"], settled: 12 };
  const newer: LockContent = { generation: 7, holder: "y", writers: ["a", "b"], settled: 12 };
  const { offset } = encodeLockContent(newer);
  for (let at = offset; at < offset + 80; at++) {
    const damaged = write(write(new Uint8Array(0), older), newer);
    damaged[at]! ^= 0x04;
    assert.deepEqual(decodeLockContent(damaged), { newest: older, isDoubtful: true });
  }
  // Nor one that was cut off, or is zeros.
  const both = write(write(new Uint8Array(0), older), newer);
  assert.equal(offset, SLOT_BYTES);
  for (const gone of [both.slice(0, SLOT_BYTES), both.slice().fill(0, SLOT_BYTES)]) {
    assert.deepEqual(decodeLockContent(gone), { newest: older, isDoubtful: true });
  }
});

Deno.test("a file with nothing whole in it says nothing", () => {
  assert.deepEqual(decodeLockContent(new Uint8Array(0)), { newest: undefined, isDoubtful: false });
  const first = write(new Uint8Array(0), { generation: 1, holder: "h", writers: [], settled: undefined });
  for (let at = SLOT_BYTES; at < SLOT_BYTES + 60; at++) {
    const damaged = first.slice();
    damaged[at]! ^= 0x04;
    assert.deepEqual(decodeLockContent(damaged), { newest: undefined, isDoubtful: true });
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    assert.equal(decodeLockContent(bytes).newest, undefined);
  }));
});

Deno.test("a holder's line that is too long is shortened", () => {
  const { newest } = decodeLockContent(
    write(new Uint8Array(0), { generation: 1, holder: "ä".repeat(5_000), writers: [], settled: 1 }),
  );
  assert.equal(newest!.holder.length, 500);
});
