import assert from "assert";
import fc from "fast-check";
import { ENVELOPE_HEADER_BYTES_MAX } from "../limits.ts";
import { parseEntityKey, parseSchemaId } from "../names.ts";
import {
  decodeEnvelope,
  documentSize,
  encodeEnvelope,
  ENVELOPE_PREFIX_BYTES_MAX,
  EnvelopeError,
  etagOf,
  metaOf,
  readEnvelopeHeader,
} from "./envelope.ts";
import type { EnvelopeHeader } from "./sealer.ts";
import { arbitraryDocument, arbitraryHeader } from "./testing/arbitraries.ts";

const HEADER: EnvelopeHeader = {
  keyId: "main-key-v1",
  schemaId: parseSchemaId("chat.v1"),
  entityKey: parseEntityKey("Chat_id"),
  version: 3,
  opId: "00112233445566778899aabbccddeeff",
  writtenAtMs: Date.UTC(2026, 6, 1, 12, 30, 15, 7),
};
const IV = new Uint8Array(12).fill(9);
const FIELDS = {
  key_id: "main-key-v1",
  alg: "AES-256-GCM",
  schema_id: "chat.v1",
  entity_key: "Chat_id",
  version: 3,
  op_id: "00112233445566778899aabbccddeeff",
  written_at: "2026-07-01T12:30:15.007Z",
};

/** An envelope around any header text, whole in every other respect. */
function around(header: string | Uint8Array, claimed?: number): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + 12 + 5 + 16);
  bytes.set(new TextEncoder().encode("DDB1"));
  new DataView(bytes.buffer).setUint32(4, claimed ?? text.length, true);
  bytes.set(text, 8);
  return bytes;
}

function assertMalformed(bytes: Uint8Array, what: string): void {
  const decoded = decodeEnvelope(bytes);
  assert.equal(decoded.kind, "malformed", what);
}

Deno.test("an envelope lies in bytes as the format says", () => {
  const { envelope, aad } = encodeEnvelope(HEADER, IV, 5);
  const text = JSON.stringify(FIELDS);
  assert.equal(envelope.length, 8 + text.length + 12 + 5 + 16);
  assert.equal(new TextDecoder().decode(envelope.subarray(0, 4)), "DDB1");
  assert.equal(new DataView(envelope.buffer).getUint32(4, true), text.length);
  assert.equal(new TextDecoder().decode(envelope.subarray(8, 8 + text.length)), text);
  assert.deepEqual(aad.subarray(8 + text.length), IV);
  assert.equal(aad.length, 8 + text.length + 12);
});

Deno.test("what was encoded is decoded, and its pieces cover the envelope", () => {
  fc.assert(fc.property(arbitraryHeader, arbitraryDocument, (header, document) => {
    const { envelope } = encodeEnvelope(header, IV, document.length);
    const decoded = decodeEnvelope(envelope);
    assert.equal(decoded.kind, "decoded");
    if (decoded.kind !== "decoded") return;
    const { parts } = decoded;
    assert.deepEqual(parts.header, header);
    assert.deepEqual(parts.iv, IV);
    assert.equal(parts.aad.length + parts.sealed.length, envelope.length);
    assert.equal(parts.sealed.length, document.length + 16);
    assert.equal(parts.tag.length, 16);
    assert.deepEqual(readEnvelopeHeader(envelope), header);
  }));
});

Deno.test("an envelope that is a view into a larger buffer is decoded by its own bounds", () => {
  const { envelope } = encodeEnvelope(HEADER, IV, 5);
  const larger = new Uint8Array(envelope.length + 40).fill(0x44);
  larger.set(envelope, 13);
  assert.deepEqual(readEnvelopeHeader(larger.subarray(13, 13 + envelope.length)), HEADER);
});

Deno.test("a header is read from any beginning that holds all of it, and from none that does not", () => {
  const { envelope, aad } = encodeEnvelope(HEADER, IV, 5);
  const whole = aad.length - IV.length;
  for (let size = 0; size <= envelope.length; size++) {
    const read = readEnvelopeHeader(envelope.subarray(0, size));
    if (size < whole) assert.equal(read, undefined, `${size} bytes`);
    else assert.deepEqual(read, HEADER, `${size} bytes`);
  }
});

Deno.test("the longest names fit, escaped or not, and the prefix bound covers them", () => {
  for (const filler of ["\u{10ffff}", '"', "\u2028", "é"]) {
    const fit = (bytes: number) => filler.repeat(Math.floor(bytes / new TextEncoder().encode(filler).length));
    const header: EnvelopeHeader = {
      keyId: "~".repeat(64),
      schemaId: parseSchemaId(fit(64)),
      entityKey: parseEntityKey(fit(256)),
      version: Number.MAX_SAFE_INTEGER,
      opId: "f".repeat(32),
      writtenAtMs: Date.parse("9999-12-31T23:59:59.999Z"),
    };
    const { envelope } = encodeEnvelope(header, IV, 0);
    assert.deepEqual(readEnvelopeHeader(envelope.subarray(0, ENVELOPE_PREFIX_BYTES_MAX)), header);
  }
});

Deno.test("any JSON spelling of the seven fields is a header", () => {
  const reversed = Object.fromEntries(Object.entries(FIELDS).reverse());
  const spellings = [
    JSON.stringify(FIELDS, null, 2),
    JSON.stringify(reversed),
    JSON.stringify(FIELDS).replaceAll('":', '" : '),
    JSON.stringify(FIELDS).replace("Chat_id", "\\u0043hat_id"),
    JSON.stringify(FIELDS).replace('"key_id"', '"key\\u005fid"'),
  ];
  for (const text of spellings) assert.deepEqual(readEnvelopeHeader(around(text)), HEADER, text);
  assert.deepEqual(readEnvelopeHeader(around(JSON.stringify({ ...FIELDS, entity_key: 'a"b","' }))), {
    ...HEADER,
    entityKey: 'a"b","',
  });
});

Deno.test("a header with a field too many, too few, twice or of another kind is malformed", () => {
  const text = JSON.stringify(FIELDS);
  for (const name of Object.keys(FIELDS) as (keyof typeof FIELDS)[]) {
    const { [name]: value, ...rest } = FIELDS;
    assertMalformed(around(JSON.stringify(rest)), `without ${name}`);
    for (const other of [null, true, [], {}, [value], { "": value }, "", -1, 0, 1.5, "\ud800", "a".repeat(300)]) {
      assertMalformed(around(JSON.stringify({ ...FIELDS, [name]: other })), `${name} is ${JSON.stringify(other)}`);
    }
    for (const twin of [value, other(value), null, [1, 2], { a: {} }]) {
      const member = `"${name}":${JSON.stringify(twin)}`;
      assertMalformed(around(text.replace("{", `{${member},`)), `${name} twice, first`);
      assertMalformed(around(text.replace("{", `{${member.replace("_", "\\u005f")},`)), `${name} twice, escaped`);
      if (twin === value) assertMalformed(around(text.replace("}", `,${member}}`)), `${name} twice, last`);
    }
  }
  for (const extra of ["iv", "__proto__", "constructor", "toString", "", "KEY_ID"]) {
    assertMalformed(around(text.replace("{", `{"${extra}":1,`)), `extra ${JSON.stringify(extra)}`);
    assertMalformed(around(text.replace("{", `{"${extra}":"${extra}",`)), `extra ${JSON.stringify(extra)}`);
  }
  function other(value: string | number): unknown {
    return typeof value === "string" ? 7 : "seven";
  }
});

Deno.test("a header whose values are not what they should be is malformed", () => {
  const cases: Record<string, unknown>[] = [
    { alg: "AES-128-GCM" },
    { alg: "aes-256-gcm" },
    { key_id: "a:b" },
    { key_id: "a/b" },
    { key_id: "a,b" },
    { key_id: "a b" },
    { key_id: "schlüssel" },
    { key_id: "k".repeat(65) },
    { version: 2 ** 53 },
    { version: 1e300 },
    { op_id: "00112233445566778899AABBCCDDEEFF" },
    { op_id: "00112233445566778899aabbccddeef" },
    { op_id: "00112233445566778899aabbccddeeff0" },
    { op_id: "00112233445566778899aabbccddeeff\n" },
    { schema_id: "a/b" },
    { schema_id: "a\u0000" },
    { schema_id: "a".repeat(65) },
    { entity_key: ".." },
    { entity_key: "a\\b" },
    { written_at: "2026-07-01T12:30:15Z" },
    { written_at: "2026-07-01T12:30:15.007" },
    { written_at: "2026-07-01T12:30:15.007+00:00" },
    { written_at: "2026-07-01 12:30:15.007Z" },
    { written_at: "2026-07-01T12:30:15.0071Z" },
    { written_at: "2026-02-30T12:30:15.007Z" },
    { written_at: "2026-13-01T12:30:15.007Z" },
    { written_at: "2026-07-01T24:00:00.000Z" },
    { written_at: "2026-07-01T23:59:60.000Z" },
    { written_at: "+002026-07-01T12:30:15.007Z" },
    { written_at: "2026-07-01T12:30:15.007Z\n" },
  ];
  for (const change of cases) {
    assertMalformed(around(JSON.stringify({ ...FIELDS, ...change })), JSON.stringify(change));
  }
});

Deno.test("a header that is not one JSON object in UTF-8 is malformed", () => {
  const text = JSON.stringify(FIELDS);
  const bytes = new TextEncoder().encode(text);
  assertMalformed(around(""), "empty");
  for (const other of ["null", "7", '"x"', `[${text}]`, `${text}${text}`, `${text},`, `${text}\u0000`, "{"]) {
    assertMalformed(around(other), other);
  }
  assertMalformed(around("\ufeff" + text), "with a byte order mark");
  assertMalformed(around(bytes.with(text.indexOf("Chat_id"), 0xff)), "with a byte that UTF-8 does not have");
  assertMalformed(around(new Uint8Array([...bytes.subarray(0, -2), 0xc3, 0x7d])), "with half a character");
  assertMalformed(around("[".repeat(ENVELOPE_HEADER_BYTES_MAX)), "deep");
});

Deno.test("a header length beyond the bound or the envelope is malformed", () => {
  const text = JSON.stringify(FIELDS);
  for (const claimed of [0, 1, text.length - 1, text.length + 1, 4096, 4097, 65536, 2 ** 31, 2 ** 32 - 1]) {
    assertMalformed(around(text, claimed), `claims ${claimed}`);
    assert.equal(readEnvelopeHeader(around(text, claimed)), undefined);
  }
  const padded = text + " ".repeat(ENVELOPE_HEADER_BYTES_MAX - text.length);
  assert.equal(decodeEnvelope(around(padded)).kind, "decoded");
  assertMalformed(around(padded + " "), "one byte too long");
});

Deno.test("an envelope that is cut before its tag could be whole is malformed", () => {
  const { envelope } = encodeEnvelope(HEADER, IV, 0);
  for (let size = 0; size < envelope.length; size++) assertMalformed(envelope.subarray(0, size), `${size} bytes`);
  assert.equal(decodeEnvelope(envelope).kind, "decoded");
});

Deno.test("the decoder answers whatever bytes it is given", () => {
  const bytes = fc.uint8Array({ maxLength: 600 });
  const text = JSON.stringify(FIELDS);
  const nearly = fc.tuple(fc.nat(text.length), fc.nat(40), fc.string({ unit: "binary", maxLength: 12 })).map(
    ([at, drop, put]) => around(text.slice(0, at) + put + text.slice(at + drop)),
  );
  const framed = fc.tuple(bytes, fc.option(fc.nat(5000), { nil: undefined })).map(([inner, size]) =>
    around(inner, size)
  );
  const json = fc.json({ maxDepth: 4 }).map((inner) => around(inner));
  fc.assert(
    fc.property(fc.oneof(bytes, nearly, framed, json), (input) => {
      const decoded = decodeEnvelope(input);
      const header = readEnvelopeHeader(input);
      const size = documentSize(input);
      assert.ok(Number.isSafeInteger(size) && size >= 0 && size <= input.length);
      if (decoded.kind === "malformed") return;
      assert.deepEqual(header, decoded.parts.header);
      // Whatever passes can be written again.
      assert.deepEqual(readEnvelopeHeader(encodeEnvelope(header!, IV, 0).envelope), header);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("the encoder refuses a header that the decoder would refuse", () => {
  const cases: Partial<EnvelopeHeader>[] = [
    { keyId: "" },
    { keyId: "a:b" },
    { version: 0 },
    { version: 1.5 },
    { version: NaN },
    { version: 2 ** 53 },
    { opId: "xyz" },
    { writtenAtMs: NaN },
    { writtenAtMs: 0.5 },
    { writtenAtMs: 253402300800000 },
    { writtenAtMs: -62167219200001 },
  ];
  for (const change of cases) {
    assert.throws(() => encodeEnvelope({ ...HEADER, ...change }, IV, 1), EnvelopeError, JSON.stringify(change));
  }
  assert.throws(() => encodeEnvelope(HEADER, new Uint8Array(16), 1), EnvelopeError);
  for (const writtenAtMs of [253402300799999, -62167219200000, 0, -1]) {
    assert.deepEqual(readEnvelopeHeader(encodeEnvelope({ ...HEADER, writtenAtMs }, IV, 1).envelope), {
      ...HEADER,
      writtenAtMs,
    });
  }
});

Deno.test("the size of a document follows from the beginning of its envelope and the envelope's size", () => {
  const { envelope } = encodeEnvelope(HEADER, IV, 1234);
  assert.equal(documentSize(envelope), 1234);
  assert.equal(documentSize(envelope.subarray(0, 8), envelope.length), 1234);
  assert.equal(documentSize(envelope.subarray(0, 7), envelope.length), 0);
  assert.equal(documentSize(envelope, 20), 0);
  assert.equal(documentSize(new Uint8Array(100)), 0);
  for (const claimed of [4097, 2 ** 31, 2 ** 32 - 1]) assert.equal(documentSize(around("", claimed), 2 ** 33), 0);
});

Deno.test("the ETag is the version and the first half of the operation id", () => {
  assert.equal(etagOf(HEADER), "3-0011223344556677");
  assert.deepEqual(metaOf(HEADER, 42), {
    version: 3,
    etag: "3-0011223344556677",
    writtenAtMs: HEADER.writtenAtMs,
    size: 42,
  });
});
