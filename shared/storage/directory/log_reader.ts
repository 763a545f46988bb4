/** Reads and checks all log files of one writer, and sorts their records by partition. */
import { Buffer } from "node:buffer";
import { LOG_BYTES_MAX, LOG_GROUP_BYTES_MAX, LOG_RECORD_BYTES_MAX } from "../../limits.ts";
import { type Clock, sleep } from "../../seams/clock.ts";
import { StorageError } from "../store.ts";
import { type Disk } from "./disk.ts";
import { FrameScanner } from "./frame.ts";
import { decodeLogHeader, type LogHeader, logName } from "./log_header.ts";
import { visitRecords } from "./record.ts";

const FILE_BYTES_MAX = LOG_BYTES_MAX + LOG_RECORD_BYTES_MAX + LOG_GROUP_BYTES_MAX;
/** Bytes that are checked between two yields to the event loop. */
const STEP_BYTES = 4 * 1024 * 1024;

/** Sequences from `first` to `last`. */
export interface SequenceRange {
  readonly first: number;
  last: number;
}

/** One partition's records in one writer's logs, in the order in which they were written. */
export interface PartitionRecords {
  /** For each file its bytes, and where the records begin in them; see `decodeRecord`. */
  readonly parts: { readonly bytes: Buffer; readonly offsets: number[] }[];
  /** The sequences of all the records, ascending. */
  readonly ranges: SequenceRange[];
}

/** One log file of a writer. */
export interface LogFile {
  readonly name: string;
  readonly number: number;
  readonly size: number;
}

/** Where logs are, and whose store they must be of. */
export interface LogReaderParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly store: string;
}

/**
 * The records of one writer by partition; what was read is durable. `files` are all of the writer's, ascending. A torn
 * tail was never acknowledged and is passed over. `isBegun`: one of the files has a whole header.
 * @throws {StorageError} `corrupt`: a file is damaged before its tail; names it and the byte.
 * @throws {DiskError}
 */
export async function readLogs(
  parts: LogReaderParts,
  writer: string,
  files: readonly LogFile[],
): Promise<{ readonly partitions: Map<number, PartitionRecords>; readonly isBegun: boolean }> {
  const partitions = new Map<number, PartitionRecords>();
  let newest: LogHeader | undefined;
  // Newest file first, because the newest header says how many frames of the earlier files count. A live writer may have
  // begun another one meanwhile, and then the newest one here is like any last file.
  for (const file of files.toReversed()) {
    const limit = newest?.previous.find((log) => log.number === file.number)?.frames;
    // Nothing in a file counts that was never begun properly.
    if (limit === 0) continue;
    const read = await readFile(parts, writer, file, limit);
    newest ??= read?.header;
    for (const [partition, records] of read?.partitions ?? []) {
      const later = partitions.get(partition);
      partitions.set(partition, later === undefined ? records : join(records, later));
    }
  }
  return { partitions, isBegun: newest !== undefined };
}

async function readFile(
  { disk, clock, directory, store }: LogReaderParts,
  writer: string,
  file: LogFile,
  limit: number | undefined,
): Promise<{ header: LogHeader | undefined; partitions: Map<number, PartitionRecords> } | undefined> {
  const path = `${directory}/${file.name}`;
  const content = await disk.readFile(path, FILE_BYTES_MAX, true);
  if (content === undefined) return undefined;
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const damaged = (at: number, why: string) =>
    new StorageError("corrupt", `${path} is damaged at byte ${at}: ${why}; nothing was changed`);
  const partitions = new Map<number, PartitionRecords>();
  const scanner = new FrameScanner(content);
  let header: LogHeader | undefined;
  let frames = 0;
  let yieldAt = STEP_BYTES;
  while (limit === undefined || frames < limit || header === undefined) {
    const at = scanner.at;
    const scan = scanner.next();
    if (scan.kind === "corrupt") throw damaged(scan.at, scan.why);
    if (scan.kind === "end") {
      if (limit === undefined || frames === limit) break;
      throw damaged(scan.at, `it ends after ${frames} of ${limit} acknowledged groups of writes`);
    }
    const { payload } = scan;
    if (header === undefined) {
      header = decodeLogHeader(payload);
      if (header === undefined) throw damaged(at, "its header is not one that this version knows");
      if (header.store !== store || header.writer !== writer || header.number !== file.number) {
        throw damaged(at, `it belongs to ${logName(header.writer, header.number)} of store ${header.store}`);
      }
      continue;
    }
    frames++;
    const base = payload.byteOffset - content.byteOffset;
    const isWhole = visitRecords(payload, (partition, sequence, at) => {
      let records = partitions.get(partition);
      if (records === undefined) partitions.set(partition, records = { parts: [{ bytes, offsets: [] }], ranges: [] });
      records.parts[0]!.offsets.push(base + at);
      addRange(records.ranges, sequence, sequence);
    });
    if (!isWhole) throw damaged(at, "its records can't be read");
    if (scanner.at > yieldAt) {
      yieldAt = scanner.at + STEP_BYTES;
      await sleep(clock, 0);
    }
  }
  return { header, partitions };
}

function addRange(ranges: SequenceRange[], first: number, last: number): void {
  const end = ranges.at(-1);
  if (end !== undefined && end.last + 1 === first) end.last = last;
  else ranges.push({ first, last });
}

function join(earlier: PartitionRecords, later: PartitionRecords): PartitionRecords {
  const ranges = [...earlier.ranges];
  for (const { first, last } of later.ranges) addRange(ranges, first, last);
  return { parts: [...earlier.parts, ...later.parts], ranges };
}
