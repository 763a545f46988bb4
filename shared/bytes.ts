/** Byte arrays put together. */

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
