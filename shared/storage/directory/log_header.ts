/** The first frame of a log file: whose it is, and how much of the writer's earlier files was acknowledged. */
import { FRAME_HEADER_BYTES } from "./frame.ts";

const FORMAT = 1;

/** What the first frame of a log file says. */
export interface LogHeader {
  readonly store: string;
  readonly writer: string;
  readonly number: number;
  /**
   * The writer's earlier files that were still there. Exactly the frames 1 to `frames` of each count: later ones belong
   * to a write whose sync failed, and fewer mean that an acknowledged one was damaged.
   */
  readonly previous: readonly { readonly number: number; readonly frames: number }[];
}

/** `<writer>-<number>.log` */
export function logName(writer: string, number: number): string {
  return `${writer}-${number}.log`;
}

/** The parts of a log file's name, or `undefined` for any other file. */
export function parseLogName(name: string): { writer: string; number: number } | undefined {
  const match = /^([0-9a-f]{32})-(\d{1,15})\.log$/.exec(name);
  return match === null ? undefined : { writer: match[1]!, number: Number(match[2]) };
}

/** The header's frame, still to be sealed. */
export function encodeLogHeader(header: LogHeader): Uint8Array<ArrayBuffer> {
  const payload = new TextEncoder().encode(JSON.stringify({ format: FORMAT, ...header }));
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** The header in a first frame's payload, or `undefined` when this version does not know it. */
export function decodeLogHeader(payload: Uint8Array): LogHeader | undefined {
  try {
    const { format, store, writer, number, previous } = JSON.parse(new TextDecoder().decode(payload));
    return format === FORMAT && Array.isArray(previous) ? { store, writer, number, previous } : undefined;
  } catch {
    return undefined;
  }
}
