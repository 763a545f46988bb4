/** Arbitrary headers, names and documents for the property tests of this folder. */
import fc from "fast-check";
import { type EntityKey, parseEntityKey, parseSchemaId, type SchemaId } from "../../names.ts";
import type { EnvelopeHeader } from "../sealer.ts";

function allowed<T>(parse: (value: string) => T): (value: string) => boolean {
  return (value) => {
    try {
      parse(value);
      return true;
    } catch {
      return false;
    }
  };
}

/** Schema ids, of any characters that are allowed. */
export const arbitrarySchemaId: fc.Arbitrary<SchemaId> = fc.string({ unit: "binary", minLength: 1, maxLength: 20 })
  .filter(allowed(parseSchemaId)).map(parseSchemaId);

/** Entity keys, of any characters that are allowed. */
export const arbitraryEntityKey: fc.Arbitrary<EntityKey> = fc.string({ unit: "binary", minLength: 1, maxLength: 64 })
  .filter(allowed(parseEntityKey)).map(parseEntityKey);

/** Lower-case hex digits, two for each of `bytes`. */
export function arbitraryHex(bytes: number): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => value.toHex());
}

/** Headers that may be written. */
export const arbitraryHeader: fc.Arbitrary<EnvelopeHeader> = fc.record({
  keyId: fc.stringMatching(/^[!-+.0-9;-~]{1,64}$/),
  schemaId: arbitrarySchemaId,
  entityKey: arbitraryEntityKey,
  version: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  opId: arbitraryHex(16),
  writtenAtMs: fc.integer({ min: -62167219200000, max: 253402300799999 }),
}, { noNullPrototype: true });

/** Bytes of any kind: the envelope does not care whether a document is JSON. */
export const arbitraryDocument: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.uint8Array({ maxLength: 2_000 });
