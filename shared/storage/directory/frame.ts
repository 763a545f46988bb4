/** Frames: what the log appends and syncs as one, each sealed with checksums, its number and its file's identity. */
import { LOG_FRAME_BYTES_MAX } from "../../limits.ts";
import { crc32c } from "./crc32c.ts";

/**
 * Header, little-endian: magic (u32), identity of the file (16 bytes), frame number (u32), payload length (u32),
 * CRC-32C of the payload (u32), CRC-32C of the header before it (u32). The payload follows.
 */
export const FRAME_HEADER_BYTES = 36;
export const IDENTITY_BYTES = 16;
const MAGIC = 0x4c424444; // "DDBL"
const AT_NUMBER = 4 + IDENTITY_BYTES;
const AT_LENGTH = AT_NUMBER + 4;
const AT_PAYLOAD_CRC = AT_LENGTH + 4;
const AT_HEADER_CRC = AT_PAYLOAD_CRC + 4;

/** Writes the header over the first {@linkcode FRAME_HEADER_BYTES} of `frame`, whose rest is the payload. */
export function sealFrame(frame: Uint8Array, identity: Uint8Array, number: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  view.setUint32(0, MAGIC, true);
  frame.set(identity, 4);
  view.setUint32(AT_NUMBER, number, true);
  view.setUint32(AT_LENGTH, frame.length - FRAME_HEADER_BYTES, true);
  view.setUint32(AT_PAYLOAD_CRC, crc32c(frame, FRAME_HEADER_BYTES), true);
  view.setUint32(AT_HEADER_CRC, crc32c(frame, 0, AT_HEADER_CRC), true);
}

interface FrameHeader {
  readonly number: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

/**
 * What a log file holds next. `end`: the file ends here, or with bytes of one frame that was never whole (`torn`).
 * `corrupt`: a frame at `at` is damaged although the file shows that it was once whole.
 */
export type FrameScan =
  | { readonly kind: "frame"; readonly number: number; readonly payload: Uint8Array }
  | { readonly kind: "end"; readonly torn: boolean; readonly at: number }
  | { readonly kind: "corrupt"; readonly at: number; readonly why: string };

/**
 * Reads the frames of one log file in order.
 *
 * A frame is appended only after the one before it was synced. So a bad frame with nothing valid after it is the one
 * that a crash tore: it was never acknowledged, and ends the log. A bad frame before a valid one was acknowledged once.
 */
export class FrameScanner {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #identity: Uint8Array | undefined;
  #at = 0;
  #number = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Offset of the frame that {@linkcode FrameScanner.next} reads next. */
  get at(): number {
    return this.#at;
  }

  next(): FrameScan {
    const at = this.#at;
    if (at === this.#bytes.length) return { kind: "end", torn: false, at };
    const header = this.#header(at);
    if (header === undefined) return this.#bad(at, "its header is damaged");
    if (header.number !== this.#number) {
      return { kind: "corrupt", at, why: `frame ${header.number} stands where frame ${this.#number} belongs` };
    }
    const start = at + FRAME_HEADER_BYTES;
    const end = start + header.payloadBytes;
    if (end > this.#bytes.length) return this.#bad(at, "it is cut short");
    if (crc32c(this.#bytes, start, end) !== header.payloadCrc) {
      if (end < this.#bytes.length) return { kind: "corrupt", at, why: "its checksum is wrong and data follow it" };
      return { kind: "end", torn: true, at };
    }
    this.#identity ??= this.#bytes.slice(at + 4, at + 4 + IDENTITY_BYTES);
    this.#at = end;
    this.#number++;
    return { kind: "frame", number: header.number, payload: this.#bytes.subarray(start, end) };
  }

  /** The header at an offset, if it is a valid one of this file. */
  #header(at: number): FrameHeader | undefined {
    if (at + FRAME_HEADER_BYTES > this.#bytes.length) return undefined;
    if (this.#view.getUint32(at, true) !== MAGIC) return undefined;
    if (this.#view.getUint32(at + AT_HEADER_CRC, true) !== crc32c(this.#bytes, at, at + AT_HEADER_CRC)) {
      return undefined;
    }
    if (this.#identity?.every((byte, index) => byte === this.#bytes[at + 4 + index]) === false) return undefined;
    const payloadBytes = this.#view.getUint32(at + AT_LENGTH, true);
    if (payloadBytes > LOG_FRAME_BYTES_MAX) return undefined;
    return {
      number: this.#view.getUint32(at + AT_NUMBER, true),
      payloadBytes,
      payloadCrc: this.#view.getUint32(at + AT_PAYLOAD_CRC, true),
    };
  }

  /** Decides between a torn tail and corruption: a valid header further on proves that this frame was synced. */
  #bad(at: number, why: string): FrameScan {
    const magic = new Uint8Array(4);
    new DataView(magic.buffer).setUint32(0, MAGIC, true);
    for (let later = this.#find(magic, at + 1); later >= 0; later = this.#find(magic, later + 1)) {
      if (this.#header(later) !== undefined) {
        return { kind: "corrupt", at, why: `${why} and a whole frame follows at byte ${later}` };
      }
    }
    return { kind: "end", torn: true, at };
  }

  #find(magic: Uint8Array, from: number): number {
    for (let at = this.#bytes.indexOf(magic[0]!, from); at >= 0; at = this.#bytes.indexOf(magic[0]!, at + 1)) {
      if (this.#bytes[at + 1] === magic[1] && this.#bytes[at + 2] === magic[2] && this.#bytes[at + 3] === magic[3]) {
        return at;
      }
    }
    return -1;
  }
}
