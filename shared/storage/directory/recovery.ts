/** What earlier owners of a partition acknowledged and did not checkpoint, from the logs that they left. */
import { RECOVERED_KEPT_BYTES_MAX, RECOVERED_KEPT_MS } from "../../limits.ts";
import { sleep, type Timer } from "../../seams/clock.ts";
import { StorageError } from "../store.ts";
import { logName, parseLogName } from "./log_header.ts";
import { type LogFile, type LogReaderParts, type PartitionRecords, readLogs } from "./log_reader.ts";
import { decodeRecord, type LogRecord } from "./record.ts";

/** The changes that a partition's table lacks. */
export interface Recovered {
  /** The newest envelope of each name; `undefined`: deleted. */
  readonly changes: ReadonlyMap<string, Uint8Array | undefined>;
  /** Sequence of the newest change, or the table's when there is none. */
  readonly last: number;
}

interface WriterRecords {
  /** The writer was alive when its files were read. */
  readonly isLive: boolean;
  readonly partitions: ReadonlyMap<number, PartitionRecords>;
  /** There is no file; or none has a whole header. */
  readonly lack: "missing" | "not a log any more" | undefined;
  readonly bytes: number;
}

interface Kept {
  readonly records: Promise<WriterRecords>;
  bytes: number;
  /** When damage was found in it. */
  damagedMs?: number;
}

/** Reads logs of writers; keeps what dead ones left for a few seconds and within a bound, for the next partition. */
export class Recovery {
  readonly #parts: LogReaderParts;
  readonly #kept = new Map<string, Kept>();
  #loadTurn: Promise<unknown> = Promise.resolve();
  #mergeTurn: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;

  constructor(parts: LogReaderParts) {
    this.#parts = parts;
  }

  /** Writers with files in the log directory. @throws {DiskError} */
  async writers(): Promise<Set<string>> {
    const names = await this.#parts.disk.list(this.#parts.directory);
    return new Set(names.map(parseLogName).filter((log) => log !== undefined).map((log) => log.writer));
  }

  /**
   * What the logs of these writers hold of a partition beyond its table's applied sequence. `areNamed`: by its lock file, in
   * which a writer puts its name only when its log is durably begun.
   * @throws {StorageError} `corrupt`: a file is missing or damaged, or changes are missing between those that are there.
   * @throws {DiskError}
   */
  async recover(
    writers: readonly string[],
    partition: number,
    applied: number,
    areNamed: boolean,
  ): Promise<Recovered> {
    const logs: PartitionRecords[] = [];
    for (const writer of writers) {
      const { partitions, lack } = await this.#read(writer);
      if (areNamed && lack !== undefined) {
        this.#noteDamage(writer);
        const path = `${this.#parts.directory}/${logName(writer, 1)}`;
        throw new StorageError("corrupt", `${path} or its successor is ${lack}; a lock file says that it holds writes`);
      }
      const records = partitions.get(partition);
      if (records !== undefined) logs.push(records);
    }
    if (logs.length === 0) return { changes: new Map(), last: applied };
    // One partition after the other, with the event loop in between: all of them together would be a long pause.
    const merged = this.#mergeTurn.then(() => merge(logs, partition, applied));
    this.#mergeTurn = merged.catch(() => {}).then(() => sleep(this.#parts.clock, 0));
    return await merged;
  }

  /** Forgets everything that is kept. */
  close(): void {
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#kept.clear();
  }

  async #read(writer: string): Promise<WriterRecords> {
    const { clock } = this.#parts;
    const damagedMs = this.#kept.get(writer)?.damagedMs;
    // Somebody may have brought the file back.
    if (damagedMs !== undefined && clock.monotonic() - damagedMs > RECOVERED_KEPT_MS) this.#kept.delete(writer);
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
      return records;
    } catch (error) {
      // Damage stays for a while; anything else may pass at once.
      if (error instanceof StorageError && error.reason === "corrupt") this.#noteDamage(writer);
      else this.#forget(writer, kept);
      throw error;
    } finally {
      this.#tidy(writer);
    }
  }

  #noteDamage(writer: string): void {
    const kept = this.#kept.get(writer);
    if (kept !== undefined) kept.damagedMs ??= this.#parts.clock.monotonic();
  }

  #forget(writer: string, kept: Kept): void {
    if (this.#kept.get(writer) === kept) this.#kept.delete(writer);
  }

  /** Keeps what was used last, within the bound, until nothing was asked for a while. */
  #tidy(current: string): void {
    const { clock } = this.#parts;
    let bytes = 0;
    for (const kept of this.#kept.values()) bytes += kept.bytes;
    for (const [writer, kept] of this.#kept) {
      if (bytes <= RECOVERED_KEPT_BYTES_MAX) break;
      if (writer === current) continue;
      this.#kept.delete(writer);
      bytes -= kept.bytes;
    }
    if (this.#timer !== undefined) clock.clearTimer(this.#timer);
    this.#timer = clock.setTimer(() => this.close(), RECOVERED_KEPT_MS);
  }

  /** Reads one writer's files after the other's, so that there is never more than one being read. */
  #load(writer: string): Promise<WriterRecords> {
    const { disk, directory } = this.#parts;
    const records = this.#loadTurn.then(async (): Promise<WriterRecords> => {
      const files = await this.#files(writer);
      if (files.length === 0) return { isLive: false, partitions: new Map(), lack: "missing", bytes: 0 };
      // A file says what counts in those before it: so that it exists must be durable before anybody goes by it.
      await disk.syncDirectory(directory);
      // Asked before anything is read: whoever is dead then adds nothing.
      const isLive = await this.#isLive(files);
      const { partitions, isBegun } = await readLogs(this.#parts, writer, files);
      const lack = isBegun ? undefined : "not a log any more";
      return { isLive, partitions, lack, bytes: files.reduce((sum, file) => sum + file.size, 0) };
    });
    this.#loadTurn = records.catch(() => {});
    return records;
  }

  async #files(writer: string): Promise<LogFile[]> {
    const { disk, directory } = this.#parts;
    const files: LogFile[] = [];
    for (const name of await disk.list(directory)) {
      const log = parseLogName(name);
      if (log?.writer !== writer) continue;
      const status = await disk.status(`${directory}/${name}`);
      if (status !== undefined) files.push({ name, number: log.number, size: status.size });
    }
    return files.sort((a, b) => a.number - b.number);
  }

  /**
   * Whether the writer may go on writing: then what was read is soon not all, or not what was acknowledged. A file that was
   * empty may be one that its writer is about to lock; those before it stay locked while the writer lives.
   */
  async #isLive(files: readonly LogFile[]): Promise<boolean> {
    const begun = files.findLast(({ size }) => size > 0);
    if (begun === undefined) return true;
    const lock = await this.#parts.disk.openLock(`${this.#parts.directory}/${begun.name}`);
    if (lock === undefined) return true;
    try {
      return !await lock.tryLock();
    } finally {
      lock.close();
    }
  }
}

/** Puts together what several writers left, each of whom owned the partition for a while. */
function merge(logs: readonly PartitionRecords[], partition: number, applied: number): Recovered {
  let last = applied;
  const ranges = logs.flatMap((log) => log.ranges).filter((range) => range.last > applied);
  for (const range of ranges.sort((a, b) => a.first - b.first)) {
    if (Math.max(range.first, applied + 1) !== last + 1) {
      const gap = `the logs go on with change ${range.first} after change ${last}`;
      throw new StorageError("corrupt", `partition ${partition}: ${gap}; nothing was changed`);
    }
    last = range.last;
  }
  const newest = new Map<string, LogRecord>();
  for (const { parts } of logs) {
    for (const { bytes, offsets } of parts) {
      for (const offset of offsets) {
        const record = decodeRecord(bytes, offset);
        if (record.sequence <= applied) continue;
        const other = newest.get(record.name);
        if (other === undefined || other.sequence < record.sequence) newest.set(record.name, record);
      }
    }
  }
  return { changes: copyEnvelopes(newest), last };
}

/** Copies into one piece of memory, because views would keep whole files for as long as one of the envelopes is kept. */
function copyEnvelopes(newest: ReadonlyMap<string, LogRecord>): Map<string, Uint8Array | undefined> {
  let size = 0;
  for (const { envelope } of newest.values()) size += envelope?.length ?? 0;
  const bytes = new Uint8Array(size);
  const changes = new Map<string, Uint8Array | undefined>();
  let at = 0;
  for (const [name, { envelope }] of newest) {
    if (envelope === undefined) changes.set(name, undefined);
    else {
      bytes.set(envelope, at);
      changes.set(name, bytes.subarray(at, at += envelope.length));
    }
  }
  return changes;
}
