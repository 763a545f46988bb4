/** Byte arrays put together, compared, taken out of larger ones, and given out in pieces. */

/** All parts one after the other, in memory of their own. `size`: the sum of their lengths, where it is known. */
export function concatBytes(
  parts: readonly Uint8Array[],
  size = parts.reduce((sum, part) => sum + part.length, 0),
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether both hold the same. Not for secrets: it stops at the first difference. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** The same bytes in memory of their own: a view of a larger buffer keeps all of that in memory for as long as it is kept. */
export function inOwnMemory<Bytes extends Uint8Array>(bytes: Bytes): Bytes | Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}

/** A frame of HTTP/2 holds as much, unless the client asks for more. */
const PIECE_BYTES = 16 * 1024;

/**
 * A body that many answers share. One of bytes begins with a copy of them, which a client that takes nothing would hold;
 * of this one it holds a piece. `whole` is asked when the first of it is.
 */
export function inPieces(whole: () => Uint8Array | Promise<Uint8Array>): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      const bytes = await whole();
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, at += PIECE_BYTES));
      if (at >= bytes.length) controller.close();
    },
  }, { highWaterMark: 0 });
}
