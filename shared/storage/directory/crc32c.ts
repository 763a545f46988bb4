/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), sixteen bytes a step (Kounavis and Berry 2005, "slicing"). */

const POLYNOMIAL_REFLECTED = 0x82f63b78;
const SLICES = 16;
const TABLES = makeTables();

function makeTables(): Int32Array[] {
  const tables = Array.from({ length: SLICES }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL_REFLECTED : crc >>> 1;
    tables[0]![byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = tables[slice - 1]![byte]!;
      tables[slice]![byte] = (before >>> 8) ^ tables[0]![before & 0xff]!;
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/**
 * The checksum of `bytes[start, end)` as an unsigned 32-bit number; `crc32c` of `"123456789"` is `0xe3069283`.
 *
 * The non-null assertions cost nothing: an index is a byte, and the bounds are checked once.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (start < 0 || end > bytes.length || start > end) {
    throw new RangeError(`no range [${start}, ${end}) in ${bytes.length} bytes`);
  }
  let crc = -1;
  let at = start;
  for (const last = end - 16; at <= last; at += 16) {
    crc = T15[(crc ^ bytes[at]!) & 0xff]! ^
      T14[((crc >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
      T13[((crc >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
      T12[(crc >>> 24) ^ bytes[at + 3]!]! ^
      T11[bytes[at + 4]!]! ^
      T10[bytes[at + 5]!]! ^
      T9[bytes[at + 6]!]! ^
      T8[bytes[at + 7]!]! ^
      T7[bytes[at + 8]!]! ^
      T6[bytes[at + 9]!]! ^
      T5[bytes[at + 10]!]! ^
      T4[bytes[at + 11]!]! ^
      T3[bytes[at + 12]!]! ^
      T2[bytes[at + 13]!]! ^
      T1[bytes[at + 14]!]! ^
      T0[bytes[at + 15]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
