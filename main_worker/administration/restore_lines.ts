/** Takes a backup's bytes apart into lines, and lines into values, whatever is sent. */
import { concatBytes } from "../../shared/bytes.ts";
import { BACKUP_LINE_BYTES_MAX } from "../../shared/limits.ts";

/** What was sent is not a backup, or not a whole one. The message is for the person who sent it and repeats nothing of it. */
export class BadBackup extends Error {
  override name = "BadBackup";
}

/** A line's value; its fields are not checked. */
export type Line = Readonly<Record<string, unknown>>;

/**
 * The lines of a stream, without their ends. A line may have `lineBytesMax` bytes.
 * @throws {BadBackup} when a line is too long or the last one has no end; and what reading `body` throws.
 */
export async function* splitLines(
  body: ReadableStream<Uint8Array>,
  lineBytesMax: number = BACKUP_LINE_BYTES_MAX,
): AsyncGenerator<Uint8Array, void, void> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let lines = 0;
  const grow = (part: Uint8Array): void => {
    length += part.length;
    if (length > lineBytesMax) throw new BadBackup(`line ${lines + 1} is longer than ${lineBytesMax} bytes`);
    if (part.length > 0) parts.push(part);
  };
  const take = (): Uint8Array => {
    const line = parts.length === 1 ? parts[0]! : concatBytes(parts, length);
    parts = [];
    length = 0;
    lines += 1;
    return line;
  };
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      grow(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    // Copied: a view would keep the whole chunk for as long as the line grows.
    grow(chunk.slice(start));
  }
  if (length > 0) throw new BadBackup(`the backup is truncated: line ${lines + 1}, its last one, is cut off`);
}

const LINE_FEED = 0x0a;

/** The object in a line. `number` counts from 1. @throws {BadBackup} */
export function parseLine(bytes: Uint8Array, number: number): Line {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Line;
  } catch {
    // Said below, with the number of the line.
  }
  throw new BadBackup(number === 1 ? "this is not a backup" : `line ${number} is damaged: it is not a JSON object`);
}

/** Bytes in base64, or `undefined` when it is none. */
export function fromBase64(text: unknown): Uint8Array | undefined {
  if (typeof text !== "string") return undefined;
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}
