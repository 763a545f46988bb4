/** Reads what writers left in their logs: each writer's files once, however many partitions are taken from it. */
import {
  LOG_BYTES_MAX,
  LOG_GROUP_BYTES_MAX,
  LOG_RECORD_BYTES_MAX,
  RECOVERED_KEPT_BYTES_MAX,
  RECOVERED_KEPT_MS,
} from "../../limits.ts";
import { type Clock, sleep, type Timer } from "../../seams/clock.ts";
import { StorageError } from "../store.ts";
import { type Disk } from "./disk.ts";
import { FrameScanner } from "./frame.ts";
import { decodeLogHeader, type LogHeader, logName, parseLogName } from "./log_header.ts";
import { visitRecords } from "./record.ts";

const FILE_BYTES_MAX = LOG_BYTES_MAX + LOG_RECORD_BYTES_MAX + LOG_GROUP_BYTES_MAX;
/** Bytes that are checked between two yields to the event loop. */
const STEP_BYTES = 4 * 1024 * 1024;

/** The newest change to one entity in some logs. */
export interface RecoveredRecord {
  readonly sequence: number;
  readonly envelope: Uint8Array | undefined;
}

/** What one writer's logs hold of one partition. */
export interface RecoveredPartition {
  readonly newest: ReadonlyMap<string, RecoveredRecord>;
  /** The sequences of all its records, as ranges `[first, last]`, ascending. */
  readonly ranges: readonly { readonly first: number; readonly last: number }[];
}

/** Where a record's envelope lies in a file that was read; `start` is `undefined` for a deletion. */
interface LocatedRecord {
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly start: number | undefined;
  readonly end: number;
}

interface PartitionBuilder {
  newest: Map<string, LocatedRecord>;
  ranges: { first: number; last: number }[];
}

interface WriterRecords {
  /** The writer was alive when its files were read. */
  readonly isLive: boolean;
  readonly partitions: Map<number, PartitionBuilder>;
  readonly bytes: number;
}

interface Kept {
  readonly records: Promise<WriterRecords>;
  bytes: number;
  /** When damage was found in it. */
  damagedMs?: number;
}

interface LogFile {
  readonly name: string;
  readonly number: number;
  readonly size: number;
}

/** Reads logs of writers; keeps what dead ones left for a few seconds and within a bound, for the next partition. */
export class Recovery {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #directory: string;
  readonly #store: string;
  readonly #kept = new Map<string, Kept>();
  #turn: Promise<unknown> = Promise.resolve();
  #copyTurn: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;

  constructor(parts: { disk: Disk; clock: Clock; directory: string; store: string }) {
    this.#disk = parts.disk;
    this.#clock = parts.clock;
    this.#directory = parts.directory;
    this.#store = parts.store;
  }

  /** Writers with files in the log directory. @throws {DiskError} */
  async writers(): Promise<Set<string>> {
    const names = await this.#disk.list(this.#directory);
    return new Set(names.map(parseLogName).filter((log) => log !== undefined).map((log) => log.writer));
  }

  /**
   * What a writer's logs hold of a partition; what was read is durable. A torn tail was never acknowledged and is
   * passed over.
   * @throws {StorageError} `corrupt`: a file is missing, or damaged before its tail; names it and the byte.
   * @throws {DiskError}
   */
  async read(writer: string, partition: number): Promise<RecoveredPartition> {
    const damagedMs = this.#kept.get(writer)?.damagedMs;
    // Somebody may have brought the file back.
    if (damagedMs !== undefined && this.#clock.monotonic() - damagedMs > RECOVERED_KEPT_MS) this.#kept.delete(writer);
    const earlier = this.#kept.get(writer);
    const kept: Kept = earlier ?? { records: this.#load(writer), bytes: 0 };
    this.#kept.delete(writer);
    this.#kept.set(writer, kept);
    try {
      let records = await kept.records;
      kept.bytes = records.bytes;
      // What was read for somebody else may be older than what this caller knows to be there.
      if (records.isLive && earlier !== undefined) records = await this.#load(writer);
      if (records.isLive) this.#forget(writer, kept);
      return await this.#copyInTurn(records.partitions.get(partition));
    } catch (error) {
      // Damage stays for a while; anything else may pass at once.
      if (error instanceof StorageError && error.reason === "corrupt") kept.damagedMs ??= this.#clock.monotonic();
      else this.#forget(writer, kept);
      throw error;
    } finally {
      this.#tidy(writer);
    }
  }

  /** One partition after the other, with the event loop in between: all of them together would be a long pause. */
  #copyInTurn(builder: PartitionBuilder | undefined): Promise<RecoveredPartition> {
    const copied = this.#copyTurn.then(() => copyOut(builder));
    if (builder !== undefined) this.#copyTurn = copied.then(() => sleep(this.#clock, 0));
    return copied;
  }

  #forget(writer: string, kept: Kept): void {
    if (this.#kept.get(writer) === kept) this.#kept.delete(writer);
  }

  /** Reads one writer's files after the other's, so that only one file is in memory as a whole. */
  #load(writer: string): Promise<WriterRecords> {
    const records = this.#turn.then(async () => {
      const files = await this.#files(writer);
      if (files.length === 0) {
        throw new StorageError(
          "corrupt",
          `${this.#directory}/${logName(writer, 1)} or its successor is missing; a lock file says that it holds writes`,
        );
      }
      // A file says what counts in those before it: so that it exists must be durable before anybody goes by it.
      await this.#disk.syncDirectory(this.#directory);
      // Asked before anything is read: whoever is dead then adds nothing.
      const isLive = await this.#isLive(files);
      return { ...await this.#readFiles(writer, files), isLive };
    });
    this.#turn = records.catch(() => {});
    return records;
  }

  /** Whether the writer goes on writing: then what was read is soon not all, or not what was acknowledged. */
  async #isLive(files: readonly LogFile[]): Promise<boolean> {
    const lock = await this.#disk.openLock(`${this.#directory}/${files.at(-1)!.name}`);
    if (lock === undefined) return true;
    try {
      return !await lock.tryLock();
    } finally {
      lock.close();
    }
  }

  /** Forgets everything that is kept. */
  close(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#kept.clear();
  }

  /** Keeps what was used last, within the bound, until nothing was asked for a while. */
  #tidy(current: string): void {
    let bytes = 0;
    for (const kept of this.#kept.values()) bytes += kept.bytes;
    for (const [writer, kept] of this.#kept) {
      if (bytes <= RECOVERED_KEPT_BYTES_MAX) break;
      if (writer === current) continue;
      this.#kept.delete(writer);
      bytes -= kept.bytes;
    }
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = this.#clock.setTimer(() => this.close(), RECOVERED_KEPT_MS);
  }

  async #files(writer: string): Promise<LogFile[]> {
    const files: LogFile[] = [];
    for (const name of await this.#disk.list(this.#directory)) {
      const log = parseLogName(name);
      if (log?.writer !== writer) continue;
      const status = await this.#disk.status(`${this.#directory}/${name}`);
      if (status !== undefined) files.push({ name, number: log.number, size: status.size });
    }
    return files.sort((a, b) => a.number - b.number);
  }

  /**
   * Newest file first, because the newest header says how many frames of the earlier files count; a live writer may
   * have begun another one meanwhile, and then the newest one read here is like any last file.
   */
  async #readFiles(writer: string, files: readonly LogFile[]): Promise<Omit<WriterRecords, "isLive">> {
    const parsed: { file: LogFile; partitions: Map<number, PartitionBuilder> }[] = [];
    let newest: LogHeader | undefined;
    for (const file of files.toReversed()) {
      const limit = newest?.previous.find((log) => log.number === file.number)?.frames;
      const read = await this.#readFile(writer, file, limit);
      newest ??= read.header;
      parsed.unshift({ file, partitions: read.partitions });
    }
    const partitions = new Map<number, PartitionBuilder>();
    for (const { partitions: later } of parsed) {
      for (const [partition, builder] of later) merge(partitions, partition, builder);
    }
    return { partitions, bytes: files.reduce((sum, file) => sum + file.size, 0) };
  }

  async #readFile(
    writer: string,
    file: LogFile,
    limit: number | undefined,
  ): Promise<{ header: LogHeader | undefined; partitions: Map<number, PartitionBuilder> }> {
    const path = `${this.#directory}/${file.name}`;
    const partitions = new Map<number, PartitionBuilder>();
    // Nothing in a file counts that was never begun properly.
    const bytes = limit === 0 ? undefined : await this.#disk.readFile(path, FILE_BYTES_MAX, true);
    if (bytes === undefined) return { header: undefined, partitions };
    const damaged = (at: number, why: string) =>
      new StorageError("corrupt", `${path} is damaged at byte ${at}: ${why}; nothing was changed`);
    const scanner = new FrameScanner(bytes);
    let header: LogHeader | undefined;
    let frames = 0;
    let yieldAt = STEP_BYTES;
    while (limit === undefined || frames < limit || header === undefined) {
      const at = scanner.at;
      const scan = scanner.next();
      if (scan.kind === "corrupt") throw damaged(scan.at, scan.why);
      if (scan.kind === "end") {
        if (limit !== undefined && frames < limit) {
          throw damaged(scan.at, `it ends after ${frames} of ${limit} acknowledged groups of writes`);
        }
        break;
      }
      if (header === undefined) {
        header = decodeLogHeader(scan.payload);
        if (header === undefined) throw damaged(at, "its header is not one that this version knows");
        if (header.store !== this.#store || header.writer !== writer || header.number !== file.number) {
          throw damaged(at, `it belongs to ${logName(header.writer, header.number)} of store ${header.store}`);
        }
        continue;
      }
      frames++;
      const { payload } = scan;
      const isWhole = visitRecords(payload, (partition, sequence, name, start, end) => {
        let builder = partitions.get(partition);
        if (builder === undefined) partitions.set(partition, builder = { newest: new Map(), ranges: [] });
        addToRanges(builder.ranges, sequence, sequence);
        builder.newest.set(name, { sequence, payload, start, end });
      });
      if (!isWhole) throw damaged(at, "its records can't be read");
      if (scanner.at > yieldAt) {
        yieldAt = scanner.at + STEP_BYTES;
        await sleep(this.#clock, 0);
      }
    }
    return { header, partitions };
  }
}

/** Copies into one piece of memory, because views would keep whole files for as long as one of the envelopes is kept. */
function copyOut(builder: PartitionBuilder | undefined): RecoveredPartition {
  if (builder === undefined) return { newest: new Map(), ranges: [] };
  let size = 0;
  for (const { start, end } of builder.newest.values()) size += start === undefined ? 0 : end - start;
  const bytes = new Uint8Array(size);
  const newest = new Map<string, RecoveredRecord>();
  let at = 0;
  for (const [name, { sequence, payload, start, end }] of builder.newest) {
    let envelope: Uint8Array | undefined;
    if (start !== undefined) {
      envelope = bytes.subarray(at, at + end - start);
      envelope.set(payload.subarray(start, end));
      at += end - start;
    }
    newest.set(name, { sequence, envelope });
  }
  return { newest, ranges: builder.ranges };
}

function addToRanges(ranges: { first: number; last: number }[], first: number, last: number): void {
  const end = ranges.at(-1);
  if (end !== undefined && end.last + 1 === first) end.last = last;
  else ranges.push({ first, last });
}

/** Adds what a later file says of a partition. */
function merge(partitions: Map<number, PartitionBuilder>, partition: number, later: PartitionBuilder): void {
  const earlier = partitions.get(partition);
  if (earlier === undefined) {
    partitions.set(partition, later);
    return;
  }
  for (const { first, last } of later.ranges) addToRanges(earlier.ranges, first, last);
  for (const [name, record] of later.newest) earlier.newest.set(name, record);
}
