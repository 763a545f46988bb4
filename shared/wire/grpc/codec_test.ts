/** Every message comes back as it went in, and no bytes whatever do more than a clear error. */
import assert from "assert";
import fc from "fast-check";
import protobuf from "protobufjs";
import { BATCH_OPERATIONS_MAX, GRPC_TRAILER_BYTES_MAX, SUBSCRIBE_BYTES_MAX } from "../../limits.ts";
import type { EntityName, Partition } from "../../names.ts";
import type { Operation } from "../messages.ts";
import { arbitraries } from "./codec_arbitraries.ts";
import { createCodec } from "./codec.ts";
import { WireError } from "./errors.ts";
import type { MessageCodec } from "./message_codec.ts";

const codec = createCodec();
const codecs = Object.entries(arbitraries) as [keyof typeof arbitraries, fc.Arbitrary<unknown>][];
const codecOf = (name: keyof typeof arbitraries) => codec[name] as MessageCodec<unknown>;

/** Decodes; anything but a value or an INVALID_ARGUMENT is a failure of the test. */
function decodesOrRefuses(name: keyof typeof arbitraries, bytes: Uint8Array): void {
  try {
    codecOf(name).decode(bytes);
  } catch (error) {
    assert(error instanceof WireError, `${name}: ${error}`);
    assert.equal(error.status, "INVALID_ARGUMENT");
  }
}

/** Byte arrays become plain ones, so that a deep comparison sees their content only. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (value instanceof Map) return new Map(Array.from(value, ([key, inner]) => [key, plain(inner)]));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

for (const [name, arbitrary] of codecs) {
  Deno.test(`codec: ${name} comes back as it went in`, () => {
    fc.assert(fc.property(arbitrary, (value) => {
      assert.deepEqual(plain(codecOf(name).decode(codecOf(name).encode(value))), plain(value));
    }));
  });

  Deno.test(`codec: ${name} refuses what is broken and never crashes`, () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodesOrRefuses(name, bytes)));
    fc.assert(
      fc.property(
        arbitrary,
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (value, changes, cut) => {
          const bytes = new Uint8Array(codecOf(name).encode(value));
          if (bytes.length === 0) return;
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          decodesOrRefuses(name, bytes);
          decodesOrRefuses(name, bytes.subarray(0, cut % bytes.length));
        },
      ),
    );
  });
}

function operation(more: Partial<Operation> = {}): Operation {
  return {
    opId: "00112233445566778899aabbccddeeff",
    kind: "put",
    partition: 7 as Partition,
    name: "a_b" as EntityName,
    payload: new Uint8Array([1, 2, 3]),
    schemaHash: "",
    attempt: 1,
    ...more,
  };
}

function batch(operations: readonly Operation[]) {
  return { epoch: 1, dispatcher: "d", seq: 1, floor: 1, deadlineMs: 1_000, operations, schemas: new Map() };
}

Deno.test("codec: decoded bytes are plain views of the message", () => {
  const encoded = codec.batchRequest.encode(batch([operation()]));
  const payload = codec.batchRequest.decode(encoded).operations[0]!.payload;
  assert.equal(Object.getPrototypeOf(payload), Uint8Array.prototype);
  assert.equal(payload.buffer, encoded.buffer);
  assert.notEqual(payload.slice().buffer, encoded.buffer);
});

Deno.test("codec: a deadline with a fraction is rounded down, a past one is zero", () => {
  const deadline = (deadlineMs: number) =>
    codec.batchRequest.decode(codec.batchRequest.encode({ ...batch([]), deadlineMs })).deadlineMs;
  assert.equal(deadline(12.9), 12);
  assert.equal(deadline(-5), 0);
  assert.equal(deadline(1e12), 2 ** 31 - 1);
});

Deno.test("codec: what breaks the contract is refused before it is sent", () => {
  assert.throws(() => codec.batchRequest.encode(batch([operation({ opId: "12" })])), TypeError);
  assert.throws(() => codec.batchRequest.encode(batch([operation({ schemaHash: "zz".repeat(32) })])), SyntaxError);
  assert.throws(() => codec.batchRequest.encode({ ...batch([]), epoch: -1 }), RangeError);
  assert.throws(() => codec.batchRequest.encode({ ...batch([]), seq: 0.5 }), RangeError);
});

Deno.test("codec: one field out of bounds is named", () => {
  const type = codec.definition.type("BatchRequest");
  const valid = { opId: new Uint8Array(16), kind: 1, name: "a_b", attempt: 1 };
  const refused: [object, RegExp][] = [
    [{ operations: [{ ...valid, opId: new Uint8Array(15) }] }, /op_id has 15 bytes instead of 16/],
    [{ operations: [{ ...valid, kind: 0 }] }, /kind has the unknown value 0, or is not there/],
    [{ operations: [{ ...valid, kind: 99 }] }, /kind has the unknown value 99$/],
    [{ operations: [{ ...valid, name: "../../etc" }] }, /name is not a storage name/],
    [{ operations: [{ ...valid, name: "" }] }, /name is not a storage name/],
    [{ operations: [{ ...valid, name: "a_" + "b".repeat(1_000) }] }, /name is not a storage name/],
    [{ operations: [{ ...valid, partition: 1_024 }] }, /partition is 1024/],
    [{ operations: [{ ...valid, schema: 1 }] }, /schema is 1; there are 0 hashes/],
    [{ schemaHashes: [new Uint8Array(31)] }, /schema_hashes has 31 bytes/],
    [{ operations: [{ ...valid, ifMatch: { etags: Array(101).fill("x") } }] }, /if_match has more than 100/],
    [{ operations: [{ ...valid, ifMatch: { etags: ["x".repeat(65)] } }] }, /if_match is longer/],
    [{ epoch: 2 ** 60 }, /epoch is/],
    [{ epoch: -1 }, /epoch is/],
    [{ operations: Array(BATCH_OPERATIONS_MAX + 1).fill(valid) }, /operations has more than 128/],
  ];
  for (const [message, pattern] of refused) {
    assert.throws(() => codec.batchRequest.decode(type.encode(message).finish()), {
      name: "WireError",
      status: "INVALID_ARGUMENT",
      message: pattern,
    });
  }
  assert.equal(codec.batchRequest.decode(type.encode({ operations: [valid] }).finish()).operations.length, 1);
});

Deno.test("codec: a message of a stranger is bounded before it is decoded", () => {
  assert.throws(() => codec.subscribeRequest.decode(new Uint8Array(SUBSCRIBE_BYTES_MAX + 1)), /bytes; .* allowed/);
  const tags = new protobuf.Writer();
  for (let count = 0; count < 33; count++) tags.uint32(3 << 3 | 2).bytes(new Uint8Array(0));
  assert.throws(() => codec.subscribeRequest.decode(tags.finish()), /tags has more than 32/);
});

Deno.test("codec: strings of a client are what it sent, byte for byte, or an error", () => {
  const { operation, entityKey } = codec.definition.type("ProcessRequest").fields;
  const decode = (bytes: Uint8Array) => {
    const writer = new protobuf.Writer().uint32(operation!.id << 3).uint32(1).uint32(entityKey!.id << 3 | 2).bytes(
      bytes,
    );
    return codec.clientRequest.decode(writer.finish()).request.entityKey;
  };
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const refused = { name: "WireError", status: "INVALID_ARGUMENT", message: /not valid UTF-8/ };
  const unusual = [[0xff], [0x61, 0xff], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0xaf]];
  for (const bytes of unusual) assert.throws(() => decode(new Uint8Array(bytes)), refused);
  fc.assert(fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.string({ unit: "binary" }).map((text) => new TextEncoder().encode(text)),
    ),
    (bytes) => {
      let text: string;
      try {
        text = strict.decode(bytes);
      } catch {
        return assert.throws(() => decode(bytes), refused);
      }
      assert.equal(decode(bytes), text);
    },
  ));
});

Deno.test("codec: an error in trailing metadata always fits", () => {
  const violation = { key: "k", path: "/a".repeat(300), message: "m".repeat(300) };
  fc.assert(fc.property(fc.nat({ max: 200 }), fc.nat({ max: 200 }), (violations, entities) => {
    const trailer = codec.clientResponse.encodeTrailer({
      status: "schema_violation",
      error: "€".repeat(10_000),
      result: new Uint8Array(100_000),
      violations: Array(violations).fill(violation),
      entities: Array(entities).fill({ key: "k".repeat(200), status: "storage_unavailable" }),
    });
    assert(trailer.byteLength <= GRPC_TRAILER_BYTES_MAX);
    const message = codec.definition.type("ProcessResponse").decode(trailer) as unknown as {
      details: unknown[];
      entities: unknown[];
      omitted: number;
    };
    assert.equal(message.details.length + message.entities.length + message.omitted, violations + entities);
  }));
});

Deno.test("bytes that are absent are no bytes, and not an array that only looks like them", () => {
  const { publicKey, proof } = codec.subscribeRequest.decode(new Uint8Array(0));
  for (const bytes of [publicKey, proof]) assert(bytes instanceof Uint8Array && bytes.length === 0);
});

Deno.test("codec: a time before 1970 goes as its beginning, instead of stopping all that it travels with", () => {
  const meta = { version: 1, etag: "1-a", writtenAtMs: Date.UTC(1960, 0), size: 2 };
  const results = [{ kind: "stored", meta }] as const;
  const [result] = codec.batchResponse.decode(codec.batchResponse.encode({ seq: 1, results })).results;
  assert.deepEqual(result, { kind: "stored", meta: { ...meta, writtenAtMs: 0 } });
});
