/** Byte arrays put together, and taken out of larger ones. */

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

/** The same bytes in memory of their own: a view of a larger buffer keeps all of that in memory for as long as it is kept. */
export function inOwnMemory<Bytes extends Uint8Array>(bytes: Bytes): Bytes | Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}
