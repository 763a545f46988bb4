import assert from "assert";
import { concatBytes, inOwnMemory, inPieces, sameBytes } from "./bytes.ts";

Deno.test("bytes in pieces: all of them, in order, as views of the one copy that all answers share", async () => {
  for (const size of [0, 1, 16_383, 16_384, 16_385, 100_000]) {
    const whole = Uint8Array.from({ length: size }, (_, at) => at % 251);
    const pieces = await Array.fromAsync(inPieces(() => Promise.resolve(whole)));
    assert.deepEqual(concatBytes(pieces), whole);
    for (const piece of pieces) assert(piece.length > 0 && piece.length <= 16_384 && piece.buffer === whole.buffer);
  }
});

Deno.test("bytes in pieces: nothing is asked for before the client takes it", async () => {
  let asked = 0;
  const stream = inPieces(() => {
    asked++;
    return new Uint8Array(40_000);
  });
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(asked, 0);
  const reader = stream.getReader();
  await reader.read();
  assert.equal(asked, 1);
  await reader.cancel();
  assert.equal(asked, 1);
});

Deno.test("bytes in their own memory: a view is copied, what has its memory to itself is not", () => {
  const all = Uint8Array.from([1, 2, 3, 4]);
  assert.equal(inOwnMemory(all), all);
  const view = inOwnMemory(all.subarray(1, 3));
  assert.deepEqual([[...view], view.buffer.byteLength], [[2, 3], 2]);
});

Deno.test("same bytes: the same values in the same number", () => {
  const all = Uint8Array.from([1, 2, 3]);
  assert(sameBytes(all, Uint8Array.from([0, 1, 2, 3]).subarray(1)));
  for (const other of [[], [1, 2], [1, 2, 3, 4], [1, 2, 4], [0, 2, 3]]) assert(!sameBytes(all, Uint8Array.from(other)));
});
