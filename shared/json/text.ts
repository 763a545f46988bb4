/** Decodes JSON strings out of bytes that the scanner has accepted. */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Longer strings are left to the native decoder, whose call costs more than this many characters. */
const SHORT = 32;

/**
 * The value of the JSON string in `[start, end)`, quotes included. Half a surrogate pair written as an escape stays one.
 * The bytes must have passed the scanner.
 */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT) {
    let text = "";
    let i = start + 1;
    for (; i < end - 1; i++) {
      const byte = bytes[i]!;
      if (byte >= 0x80 || byte === 0x5c) break;
      text += String.fromCharCode(byte);
    }
    if (i === end - 1) return text;
  }
  const text = decoder.decode(bytes.subarray(start + 1, end - 1));
  return text.includes("\\") ? JSON.parse(`"${text}"`) : text;
}
