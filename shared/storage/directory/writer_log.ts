/** The log of one live writer: appends groups durably, starts new files, and knows which of its files still matter. */
import { type Clock } from "../../seams/clock.ts";
import { type Random } from "../../seams/random.ts";
import { StorageError } from "../store.ts";
import { type AppendFile, type Disk, DiskError } from "./disk.ts";
import { FRAME_HEADER_BYTES, IDENTITY_BYTES, sealFrame } from "./frame.ts";
import { encodeLogHeader, logName } from "./log_header.ts";
import { runtimeError } from "./storage_errors.ts";

const CREATE_ATTEMPTS = 3;

/** A file that is not appended to any more. It is kept open: its lock says that the writer lives. */
export interface RetiredLog {
  readonly number: number;
  /** Acknowledged frames, without the header's. */
  readonly frames: number;
  readonly bytes: number;
  readonly file: AppendFile;
}

interface CurrentLog {
  readonly number: number;
  readonly identity: Uint8Array;
  readonly file: AppendFile;
  frames: number;
  bytes: number;
}

/**
 * Calls that write ({@linkcode WriterLog.append}, `repair`, `rotate`) must not overlap; the caller takes turns.
 *
 * A file whose sync failed is never appended to again: the kernel may have dropped the bytes and forgotten it. The next
 * file's header says how many of its frames count, so the doubtful group can't come back later over newer writes.
 */
export class WriterLog {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #directory: string;
  readonly #store: string;
  #next = 1;
  #current: CurrentLog | undefined;
  #retired: RetiredLog[] = [];
  /** Resolved by the repair after which nothing of a failed group can be found any more. */
  #uncertain: PromiseWithResolvers<void> | undefined;
  #syncs = 0;
  #syncMs = 0;

  private constructor(
    readonly writer: string,
    parts: { disk: Disk; clock: Clock; random: Random; directory: string; store: string },
  ) {
    this.#disk = parts.disk;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#directory = parts.directory;
    this.#store = parts.store;
  }

  /** Starts the log of a new writer with its first file. @throws {DiskError} */
  static async open(
    writer: string,
    parts: { disk: Disk; clock: Clock; random: Random; directory: string; store: string },
  ): Promise<WriterLog> {
    const log = new WriterLog(writer, parts);
    try {
      await log.#start();
    } catch (error) {
      await log.close(false);
      throw error;
    }
    return log;
  }

  /** Path of the file that is appended to, or `undefined` while there is none. */
  get path(): string | undefined {
    return this.#current && this.#path(this.#current.number);
  }

  /** Whether the current file holds records. */
  get hasRecords(): boolean {
    return this.#current === undefined || this.#current.frames > 0;
  }

  /** Whether {@linkcode WriterLog.repair} must be called, and succeed, before the next append. */
  get broken(): boolean {
    return this.#current === undefined;
  }

  /** Whether the last group that failed may still be found in the log by a later owner. Ends with a repair. */
  get uncertain(): boolean {
    return this.#uncertain !== undefined;
  }

  get retired(): readonly RetiredLog[] {
    return this.#retired;
  }

  /** Bytes of the current file. */
  get currentBytes(): number {
    return this.#current?.bytes ?? 0;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#retired.reduce((sum, log) => sum + log.bytes, this.currentBytes);
  }

  get syncs(): number {
    return this.#syncs;
  }

  get syncSeconds(): number {
    return this.#syncMs / 1000;
  }

  /**
   * Seals a frame and appends it durably. `whileSyncing` is called once while the disk works.
   * @throws {StorageError} `unavailable`: nothing of it will ever be found. `unknown`: it may be; see `uncertain`.
   */
  async append(frame: Uint8Array, whileSyncing: () => void): Promise<void> {
    const current = this.#current;
    if (current === undefined) throw new StorageError("unavailable", "the log has no file that can be written");
    sealFrame(frame, current.identity, current.frames + 1);
    try {
      await current.file.append(frame);
    } catch (error) {
      return await this.#undo(current, error);
    }
    try {
      const synced = this.#sync(current.file);
      try {
        whileSyncing();
      } finally {
        await synced;
      }
    } catch (error) {
      return await this.#abandon(current, error);
    }
    current.frames++;
    current.bytes += frame.length;
  }

  /** Starts a new file after a failed sync; then the group that failed is known to be out. @throws {StorageError} */
  async repair(): Promise<void> {
    if (this.#current !== undefined) return;
    try {
      await this.#start();
    } catch (error) {
      throw runtimeError("can't start a new log file", error);
    }
    this.#uncertain?.resolve();
    this.#uncertain = undefined;
  }

  /**
   * Goes on in a new file. @throws {StorageError} when it can't: then the current one stays in use, unless the new one is
   * left behind. Its header may be whole, and says that nothing more follows in the current one; so nothing may.
   */
  async rotate(): Promise<void> {
    const current = this.#current;
    if (current === undefined) return await this.repair();
    const { number, frames, bytes, file } = current;
    const before = this.#retired;
    this.#retired = [...before, { number, frames, bytes, file }];
    try {
      await this.#start();
    } catch (error) {
      if (this.#retired.some((log) => log.number > number)) this.#current = undefined;
      else this.#retired = this.#retired.filter((log) => log.number !== number);
      throw runtimeError("can't start a new log file", error);
    }
  }

  /**
   * Removes retired files, oldest first, each durably before the next: a later one says what counts in an earlier one.
   * @throws {DiskError} and keeps those that are left.
   */
  async remove(logs: readonly RetiredLog[]): Promise<void> {
    for (const log of [...logs].sort((a, b) => a.number - b.number)) {
      if (!this.#retired.includes(log)) continue;
      await this.#disk.removeFile(this.#path(log.number));
      this.#retired = this.#retired.filter((other) => other !== log);
      log.file.close();
    }
  }

  /** Closes all files; removes them first when nobody needs them. @throws {DiskError} after closing them. */
  async close(remove: boolean): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    try {
      if (remove) {
        await this.remove(this.#retired);
        if (current !== undefined) await this.#disk.removeFile(this.#path(current.number));
      }
    } finally {
      for (const log of this.#retired) log.file.close();
      current?.file.close();
      this.#retired = [];
    }
  }

  #path(number: number): string {
    return `${this.#directory}/${logName(this.writer, number)}`;
  }

  async #sync(file: AppendFile): Promise<void> {
    const start = this.#clock.monotonic();
    await file.sync();
    this.#syncs++;
    this.#syncMs += this.#clock.monotonic() - start;
  }

  /** An append failed (full disk, short write): cuts the file back, durably, so that it can be used further. */
  async #undo(current: CurrentLog, cause: unknown): Promise<never> {
    try {
      await current.file.truncate(current.bytes);
      await this.#sync(current.file);
    } catch {
      return await this.#abandon(current, cause);
    }
    throw runtimeError("can't write the log; nothing was changed", cause);
  }

  /** What the current file holds after its last acknowledged frame is in doubt: goes on in a new file. */
  async #abandon(current: CurrentLog, cause: unknown): Promise<never> {
    const { number, frames, bytes, file } = current;
    this.#retired = [...this.#retired, { number, frames, bytes, file }];
    this.#current = undefined;
    const uncertain = this.#uncertain = Promise.withResolvers<void>();
    let repaired = false;
    try {
      await this.repair();
      repaired = true;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
    }
    if (!(cause instanceof DiskError)) throw cause;
    if (repaired) throw runtimeError("can't write the log; nothing was changed", cause);
    const message = `can't write the log, and can't start a new one: ${cause.message}`;
    throw new StorageError("unknown", message, { cause, decided: uncertain.promise });
  }

  /** Makes the next file the current one, after its header is durable. @throws {DiskError} */
  async #start(): Promise<void> {
    for (let attempt = 1;; attempt++) {
      const number = this.#next++;
      const file = await this.#disk.createFile(this.#path(number));
      let current: CurrentLog | undefined;
      try {
        current = await this.#begin(number, file);
      } catch (error) {
        await this.#discard(number, file);
        throw error;
      }
      if (current !== undefined) {
        this.#current = current;
        return;
      }
      file.close();
      if (attempt === CREATE_ATTEMPTS) throw new DiskError("busy", `${this.#path(number)}: taken by another process`);
    }
  }

  /** `undefined`: another process collected the file as garbage before its lock was had. */
  async #begin(number: number, file: AppendFile): Promise<CurrentLog | undefined> {
    if (!await file.tryLock() || !await file.isCurrent()) return undefined;
    const identity = this.#random.bytes(IDENTITY_BYTES);
    const previous = this.#retired.map(({ number, frames }) => ({ number, frames }));
    const header = encodeLogHeader({ store: this.#store, writer: this.writer, number, previous });
    sealFrame(header, identity, 0);
    await file.append(header);
    await this.#sync(file);
    await this.#disk.syncDirectory(this.#directory);
    return { number, identity, file, frames: 0, bytes: header.length };
  }

  /** Removes a file that could not be begun; if even that fails, the next header says that nothing in it counts. */
  async #discard(number: number, file: AppendFile): Promise<void> {
    try {
      await this.#disk.removeFile(this.#path(number));
      file.close();
    } catch {
      this.#retired = [...this.#retired, { number, frames: 0, bytes: FRAME_HEADER_BYTES, file }];
    }
  }
}
