/** Records: the single changes inside a frame of the log. */
import { Buffer } from "node:buffer";
import { FRAME_HEADER_BYTES } from "./frame.ts";

/**
 * One change to one entity. Little-endian: length of what follows (u32), kind (u8: 1 put, 2 delete), partition (u16),
 * sequence (u64), length of the name (u16), name (ASCII), envelope (to the end).
 */
export interface LogRecord {
  readonly partition: number;
  /** Counts the changes of its partition, over all its owners, from 1. */
  readonly sequence: number;
  readonly name: string;
  /** `undefined`: deleted. */
  readonly envelope: Uint8Array | undefined;
}

const KIND_PUT = 1;
const KIND_DELETE = 2;
const RECORD_HEADER_BYTES = 4 + 1 + 2 + 8 + 2;
const SEQUENCE_HIGH = 2 ** 32;

/** Bytes of a record in the log. */
export function recordBytes(nameLength: number, envelopeLength: number): number {
  return RECORD_HEADER_BYTES + nameLength + envelopeLength;
}

/** A frame with these records as its payload; its header is still to be sealed. */
export function encodeRecords(records: readonly LogRecord[]): Uint8Array<ArrayBuffer> {
  let size = FRAME_HEADER_BYTES;
  for (const record of records) size += recordBytes(record.name.length, record.envelope?.length ?? 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = FRAME_HEADER_BYTES;
  for (const record of records) {
    const { name, envelope, sequence } = record;
    view.setUint32(at, recordBytes(name.length, envelope?.length ?? 0) - 4, true);
    bytes[at + 4] = envelope === undefined ? KIND_DELETE : KIND_PUT;
    view.setUint16(at + 5, record.partition, true);
    view.setUint32(at + 7, sequence % SEQUENCE_HIGH, true);
    view.setUint32(at + 11, Math.floor(sequence / SEQUENCE_HIGH), true);
    view.setUint16(at + 15, name.length, true);
    at += RECORD_HEADER_BYTES;
    for (let index = 0; index < name.length; index++) bytes[at + index] = name.charCodeAt(index);
    at += name.length;
    if (envelope !== undefined) {
      bytes.set(envelope, at);
      at += envelope.length;
    }
  }
  return bytes;
}

/** The envelopes of records in the frame that {@linkcode encodeRecords} made of them, as views of it. */
export function envelopesIn(frame: Uint8Array, records: readonly LogRecord[]): (Uint8Array | undefined)[] {
  let end = FRAME_HEADER_BYTES;
  return records.map(({ name, envelope }) => {
    const length = envelope?.length ?? 0;
    end += recordBytes(name.length, length);
    return envelope && frame.subarray(end - length, end);
  });
}

/**
 * Visits the records of a frame's payload in order, without decoding them; `at` is what {@linkcode decodeRecord} takes.
 * `false` when it holds anything else, which a payload whose checksum is right never does.
 */
export function visitRecords(
  payload: Uint8Array,
  visit: (partition: number, sequence: number, at: number) => void,
): boolean {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let at = 0;
  while (at < payload.length) {
    if (at + RECORD_HEADER_BYTES > payload.length) return false;
    const end = at + 4 + view.getUint32(at, true);
    const kind = payload[at + 4];
    const partition = view.getUint16(at + 5, true);
    const sequence = view.getUint32(at + 7, true) + view.getUint32(at + 11, true) * SEQUENCE_HIGH;
    const nameEnd = at + RECORD_HEADER_BYTES + view.getUint16(at + 15, true);
    if (end > payload.length || nameEnd > end || !Number.isSafeInteger(sequence)) return false;
    if (kind !== KIND_PUT && (kind !== KIND_DELETE || nameEnd !== end)) return false;
    visit(partition, sequence, at);
    at = end;
  }
  return true;
}

/** A record that {@linkcode visitRecords} found; the envelope is a view of `bytes`. */
export function decodeRecord(bytes: Buffer, at: number): LogRecord {
  const nameStart = at + RECORD_HEADER_BYTES;
  const nameEnd = nameStart + bytes.readUInt16LE(at + 15);
  const end = at + 4 + bytes.readUInt32LE(at);
  return {
    partition: bytes.readUInt16LE(at + 5),
    sequence: bytes.readUInt32LE(at + 7) + bytes.readUInt32LE(at + 11) * SEQUENCE_HIGH,
    name: bytes.toString("latin1", nameStart, nameEnd),
    envelope: bytes[at + 4] === KIND_PUT ? bytes.subarray(nameEnd, end) : undefined,
  };
}
