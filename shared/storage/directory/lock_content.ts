/** What a lock file says: who has the lock, and whose logs still hold writes that are not in the partition's table. */
import { crc32c } from "./crc32c.ts";

/** Bytes of one slot. The file has two, and only the older one is overwritten, so a torn write leaves the newer one. */
export const SLOT_BYTES = 4096;
const FORMAT = "DDBK1";
const HOLDER_LENGTH_MAX = 500;

/** The content of a lock file. */
export interface LockContent {
  /** Grows by one with every change. */
  readonly generation: number;
  /** A line for people about the process that has the lock; empty when it was given back. */
  readonly holder: string;
  /** Writers whose logs must be replayed, in the order in which they owned the partition; empty: none. */
  readonly writers: readonly string[];
  /** The table holds at least everything up to this sequence; `undefined`: there is no table yet. */
  readonly settled: number | undefined;
}

/** The content of a lock that was given back with everything in the table, and nothing more to say. */
export function cleanContent(settled: number | undefined): Omit<LockContent, "generation"> {
  return { holder: "", writers: [], settled };
}

/** The content as bytes, and where they go. */
export function encodeLockContent(content: LockContent): { offset: number; bytes: Uint8Array } {
  const { generation, holder, writers, settled } = content;
  const line = (text: string) =>
    new TextEncoder().encode(JSON.stringify({ generation, holder: text, writers, settled: settled ?? null }));
  let json = line(holder);
  if (json.length > SLOT_BYTES - 32) json = line(holder.slice(0, HOLDER_LENGTH_MAX).replace(/[^\x20-\x7e]/g, "?"));
  if (json.length > SLOT_BYTES - 32) throw new RangeError(`the content of a lock file has ${json.length} bytes`);
  const bytes = new Uint8Array(SLOT_BYTES).fill(0x20);
  bytes.set(new TextEncoder().encode(`${FORMAT} ${crc32c(json).toString(16).padStart(8, "0")} `));
  bytes.set(json, FORMAT.length + 10);
  bytes[SLOT_BYTES - 1] = 0x0a;
  return { offset: generation % 2 * SLOT_BYTES, bytes };
}

/** What was found in a lock file. */
export interface FoundContent {
  /** The newest whole content; `undefined`: there is none. */
  readonly newest: LockContent | undefined;
  /**
   * There is something that is not whole, or the content before the newest is gone. It may be a write that a crash has torn, or
   * a newer content that was damaged and named other writers; nothing tells one from the other.
   */
  readonly isDoubtful: boolean;
}

/** The content of a lock file's bytes. */
export function decodeLockContent(bytes: Uint8Array): FoundContent {
  const slots = [bytes.subarray(0, SLOT_BYTES), bytes.subarray(SLOT_BYTES)];
  const contents = slots.map(decodeSlot);
  const [newest, before] = contents.toSorted((a, b) => (b?.generation ?? 0) - (a?.generation ?? 0));
  const isDamaged = slots.some((slot, n) => contents[n] === undefined && slot.some((byte) => byte !== 0));
  const isAlone = newest !== undefined && before?.generation !== newest.generation - 1;
  return { newest, isDoubtful: isDamaged || isAlone };
}

function decodeSlot(slot: Uint8Array): LockContent | undefined {
  const match = /^DDBK1 ([0-9a-f]{8}) (\{.*\}) *\n?$/s.exec(new TextDecoder().decode(slot));
  if (match === null || crc32c(new TextEncoder().encode(match[2])) !== parseInt(match[1]!, 16)) return undefined;
  const { generation, holder, writers, settled } = JSON.parse(match[2]!);
  return { generation, holder, writers, settled: settled ?? undefined };
}
