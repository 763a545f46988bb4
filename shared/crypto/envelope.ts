/**
 * The DDB1 envelope: how a sealed document and its header lie in bytes.
 *
 * ```text
 * "DDB1" | header length (u32 LE) | header (UTF-8 JSON) | IV (12) | ciphertext | tag (16)
 * └──────────── additional authenticated data ──────────────────┘
 * ```
 *
 * The decoder takes any bytes whatever and answers with a value; only {@linkcode ENVELOPE_HEADER_BYTES_MAX} of them can
 * make it work. What it reads is not authenticated: `keyring.ts` does that.
 */
import { ENVELOPE_HEADER_BYTES_MAX } from "../limits.ts";
import { NameError, parseEntityKey, parseSchemaId } from "../names.ts";
import type { EntityMeta } from "../outcome.ts";
import { isKeyId } from "./master_key.ts";
import type { EnvelopeHeader } from "./sealer.ts";

/** The one algorithm of the format. */
export const ENVELOPE_ALG = "AES-256-GCM";
/** Bytes of the IV: 96 bits, the length for which GCM is made (NIST SP 800-38D, 5.2.1.1). */
export const IV_BYTES = 12;
/** Bytes of the authentication tag: 128 bits, the longest that there is. */
export const TAG_BYTES = 16;
/** Bytes before the header. */
const PREAMBLE_BYTES = 8;
/** So many bytes from the beginning of an envelope hold its whole header, whatever it is. */
export const ENVELOPE_PREFIX_BYTES_MAX = PREAMBLE_BYTES + ENVELOPE_HEADER_BYTES_MAX;

/** A header that cannot be written down: the caller broke the contract of {@linkcode EnvelopeHeader}. */
export class EnvelopeError extends Error {
  override name = "EnvelopeError";
}

/** An envelope taken apart. The byte arrays are views of it. */
export interface EnvelopeParts {
  readonly header: EnvelopeHeader;
  /** Everything before the ciphertext. */
  readonly aad: Uint8Array;
  readonly iv: Uint8Array;
  /** Ciphertext and tag, as Web Crypto wants them. */
  readonly sealed: Uint8Array;
  readonly tag: Uint8Array;
}

/** What {@linkcode decodeEnvelope} made of some bytes; `reason` is for a log and repeats nothing of them. */
export type DecodedEnvelope =
  | { readonly kind: "decoded"; readonly parts: EnvelopeParts }
  | { readonly kind: "malformed"; readonly reason: string };

const encoder = new TextEncoder();
// A byte order mark is not dropped but kept, so that it makes the header malformed.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Seven names and the six values that are strings: so many string tokens has a header with nothing more in it. */
const STRINGS = 13;
const STRING = /"(?:[^"\\]|\\.)*"/g;
const OP_ID = /^[0-9a-f]{32}$/;
const WRITTEN_AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/**
 * A new envelope with room for a document of `documentSize` bytes: preamble, header and IV are in place, ciphertext
 * and tag are zeros from `aad.length` on.
 * @throws {EnvelopeError} when the header holds what the decoder would refuse.
 */
export function encodeEnvelope(
  header: EnvelopeHeader,
  iv: Uint8Array,
  documentSize: number,
): { readonly envelope: Uint8Array<ArrayBuffer>; readonly aad: Uint8Array<ArrayBuffer> } {
  if (iv.length !== IV_BYTES) throw new EnvelopeError(`the IV has ${iv.length} bytes, not ${IV_BYTES}`);
  const text = encoder.encode(headerText(header));
  if (text.length > ENVELOPE_HEADER_BYTES_MAX) {
    throw new EnvelopeError(`the header has ${text.length} bytes; ${ENVELOPE_HEADER_BYTES_MAX} are allowed`);
  }
  const aadSize = PREAMBLE_BYTES + text.length + IV_BYTES;
  const envelope = new Uint8Array(aadSize + documentSize + TAG_BYTES);
  envelope.set([0x44, 0x44, 0x42, 0x31, text.length & 0xff, text.length >> 8, 0, 0]);
  envelope.set(text, PREAMBLE_BYTES);
  envelope.set(iv, aadSize - IV_BYTES);
  return { envelope, aad: envelope.subarray(0, aadSize) };
}

function headerText(header: EnvelopeHeader): string {
  const { keyId, schemaId, entityKey, version, opId, writtenAtMs } = header;
  if (!isKeyId(keyId)) throw new EnvelopeError("the key id is not one");
  if (!isVersion(version)) throw new EnvelopeError(`the version is ${version}, not a whole number from 1 on`);
  if (!OP_ID.test(opId)) throw new EnvelopeError("the operation id is not 32 lower-case hex digits");
  // RFC 3339 has years of four digits.
  if (!Number.isInteger(writtenAtMs) || writtenAtMs < -62167219200000 || writtenAtMs > 253402300799999) {
    throw new EnvelopeError(`the time of writing is ${writtenAtMs}, not milliseconds of the years 0 to 9999`);
  }
  return JSON.stringify({
    key_id: keyId,
    alg: ENVELOPE_ALG,
    schema_id: schemaId,
    entity_key: entityKey,
    version,
    op_id: opId,
    written_at: new Date(writtenAtMs).toISOString(),
  });
}

/**
 * Takes an envelope apart. The header may be any JSON spelling of exactly the seven fields. Never throws.
 * Nothing of the answer is authenticated.
 */
export function decodeEnvelope(bytes: Uint8Array): DecodedEnvelope {
  const size = headerSize(bytes);
  if (typeof size === "string") return { kind: "malformed", reason: size };
  const ivAt = PREAMBLE_BYTES + size;
  const sealedAt = ivAt + IV_BYTES;
  if (bytes.length < sealedAt + TAG_BYTES) return { kind: "malformed", reason: "it is cut short" };
  const header = parseHeader(bytes.subarray(PREAMBLE_BYTES, ivAt));
  if (typeof header === "string") return { kind: "malformed", reason: header };
  return {
    kind: "decoded",
    parts: {
      header,
      aad: bytes.subarray(0, sealedAt),
      iv: bytes.subarray(ivAt, sealedAt),
      sealed: bytes.subarray(sealedAt),
      tag: bytes.subarray(bytes.length - TAG_BYTES),
    },
  };
}

/**
 * The header of an envelope from its beginning (at most {@linkcode ENVELOPE_PREFIX_BYTES_MAX} bytes are needed), or
 * `undefined` when the bytes do not hold a whole and well-formed one. Never throws.
 *
 * Not authenticated: whoever can write to the store can make it say anything. Good for listings and for choosing what
 * to open; only `Sealer.open` tells what is true.
 */
export function readEnvelopeHeader(bytes: Uint8Array): EnvelopeHeader | undefined {
  const size = headerSize(bytes);
  if (typeof size === "string" || bytes.length < PREAMBLE_BYTES + size) return undefined;
  const header = parseHeader(bytes.subarray(PREAMBLE_BYTES, PREAMBLE_BYTES + size));
  return typeof header === "string" ? undefined : header;
}

/**
 * Bytes of the document in an envelope that begins with `prefix` (8 bytes are enough) and has `envelopeSize` bytes;
 * 0 when no envelope could begin so. Not authenticated, like {@linkcode readEnvelopeHeader}.
 */
export function documentSize(prefix: Uint8Array, envelopeSize: number = prefix.length): number {
  const size = headerSize(prefix);
  return typeof size === "string" ? 0 : Math.max(0, envelopeSize - PREAMBLE_BYTES - size - IV_BYTES - TAG_BYTES);
}

/** The ETag of a version, without quotes: `<version>-<first 16 hex digits of the op id>`. */
export function etagOf(header: Pick<EnvelopeHeader, "version" | "opId">): string {
  return `${header.version}-${header.opId.slice(0, 16)}`;
}

/** What the header and the document's size in bytes say of a version. */
export function metaOf(header: EnvelopeHeader, documentSize: number): EntityMeta {
  return { version: header.version, etag: etagOf(header), writtenAtMs: header.writtenAtMs, size: documentSize };
}

/** The length of the header in bytes, or why there is none. */
function headerSize(bytes: Uint8Array): number | string {
  if (bytes.length < PREAMBLE_BYTES) return "it is cut short";
  if (bytes[0] !== 0x44 || bytes[1] !== 0x44 || bytes[2] !== 0x42 || bytes[3] !== 0x31) {
    return "it does not begin with DDB1";
  }
  const size = (bytes[4]! | bytes[5]! << 8 | bytes[6]! << 16 | bytes[7]! << 24) >>> 0;
  return size > ENVELOPE_HEADER_BYTES_MAX ? `its header claims ${size} bytes` : size;
}

/** The header, or why it is none. */
function parseHeader(bytes: Uint8Array): EnvelopeHeader | string {
  let text: string;
  let fields: unknown;
  try {
    text = decoder.decode(bytes);
    fields = JSON.parse(text);
  } catch {
    return "its header is not JSON in UTF-8";
  }
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return "its header is not an object";
  const { key_id, alg, schema_id, entity_key, version, op_id, written_at } = fields as Record<string, unknown>;
  if (alg !== ENVELOPE_ALG) return "its header names another algorithm";
  if (typeof key_id !== "string" || !isKeyId(key_id)) return "its header has no valid key_id";
  if (typeof version !== "number" || !isVersion(version)) return "its header has no valid version";
  if (typeof op_id !== "string" || !OP_ID.test(op_id)) return "its header has no valid op_id";
  const writtenAtMs = parseTime(written_at);
  if (writtenAtMs === undefined) return "its header has no valid written_at";
  if (typeof schema_id !== "string" || typeof entity_key !== "string") return "its header names no entity";
  // The seven are there, and none holds more than one string; so more strings are those of another field, or the name
  // of one that stands there twice.
  if (text.match(STRING)!.length !== STRINGS) return "its header has more than its seven fields";
  try {
    return {
      keyId: key_id,
      schemaId: parseSchemaId(schema_id),
      entityKey: parseEntityKey(entity_key),
      version,
      opId: op_id,
      writtenAtMs,
    };
  } catch (error) {
    if (error instanceof NameError) return "its header has a name that is not allowed";
    throw error;
  }
}

function isVersion(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

/** Milliseconds since the epoch, or `undefined` when the value is not a UTC time with milliseconds that exists. */
function parseTime(value: unknown): number | undefined {
  if (typeof value !== "string" || !WRITTEN_AT.test(value)) return undefined;
  const ms = Date.parse(value);
  // Date.parse takes 24:00:00 and, in some engines, 30 February for the moment that would follow.
  return Number.isNaN(ms) || new Date(ms).toISOString() !== value ? undefined : ms;
}
