/**
 * The disk seam: everything of the directory engine that touches a file system goes through {@linkcode Disk}.
 * `system_disk.ts` is the real one; a simulated one forgets in a crash what was not synced.
 *
 * Vocabulary of the promises below. *Durable*: a crash of the machine cannot undo it. A process that is killed leaves
 * behind whatever it wrote, durable or not, so what another process wrote is only durable after it was synced again.
 */
import { ENVELOPE_HEADER_BYTES_MAX } from "../../limits.ts";

/**
 * What went wrong, as far as the engine decides by it.
 * `full`: no space or quota left. `denied`: no permission. `read_only`: the file system is mounted so.
 * `missing`, `exists`, `not_directory`: the path. `busy`: another process has it. `damaged`: the content is not what was written.
 * `failed`: anything else, such as an I/O error.
 */
export type DiskErrorCode =
  | "full"
  | "denied"
  | "read_only"
  | "missing"
  | "exists"
  | "not_directory"
  | "busy"
  | "damaged"
  | "failed";

/** An operation of a {@linkcode Disk} that failed; the message names the path. */
export class DiskError extends Error {
  override name = "DiskError";
  constructor(readonly code: DiskErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** What is known of a file without reading it. */
export interface FileStatus {
  readonly size: number;
  /** Milliseconds since the epoch, with a fraction where the file system has one. */
  readonly modifiedMs: number;
  /** Changes when the file was replaced by another one. */
  readonly inode: number;
}

/** An open file whose exclusive lock (`flock`) can be had; closing the file gives the lock back, and so does a crash. */
export interface Lockable {
  /** Takes the exclusive lock, or answers `false` when another open file has it. @throws {DiskError} */
  tryLock(): Promise<boolean>;
  /** Whether the path it was opened under still leads to this very file. @throws {DiskError} */
  isCurrent(): Promise<boolean>;
  close(): void;
}

/** A file that grows at its end. Calls never overlap. */
export interface AppendFile extends Lockable {
  /** Writes all of `bytes` at the end. After an error any part of them may be there. @throws {DiskError} */
  append(bytes: Uint8Array): Promise<void>;
  /** Makes everything appended so far, and the size, durable (`fdatasync`). @throws {DiskError} */
  sync(): Promise<void>;
  /** Cuts the file; durable after the next {@linkcode AppendFile.sync}. @throws {DiskError} */
  truncate(size: number): Promise<void>;
}

/** A lock file: its lock is on the inode, so its content is rewritten in place and the file is never replaced. */
export interface LockFile extends Lockable {
  /** The first `bytesMax` bytes. @throws {DiskError} */
  read(bytesMax: number): Promise<Uint8Array>;
  /** Overwrites bytes from `offset` on; durable when it resolves. Torn by a crash in between. @throws {DiskError} */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes the content durable, whoever wrote it. @throws {DiskError} */
  sync(): Promise<void>;
}

/** How a partition's table is opened. */
export interface TableOptions {
  /** Makes the table when there is none; otherwise that is a `missing` error. */
  readonly create: boolean;
  /** Id of the store and index of the partition: written into a new table, `damaged` when another one has others. */
  readonly store: string;
  readonly partition: number;
  /** Bytes of pages that the table may keep in memory. */
  readonly cacheBytes: number;
}

/** One row of a partition's table. */
export interface TableRow {
  readonly name: string;
  /** Bytes of the whole envelope. */
  readonly size: number;
  /** The first {@linkcode HEAD_BYTES} of the envelope. */
  readonly head: Uint8Array;
}

/** Which rows to list: `after < name < before`, or `from <= name` instead of `after`. */
export interface TableRange {
  readonly from: string;
  /** Leaves `from` itself out. */
  readonly exclusive: boolean;
  readonly before: string;
  readonly rowsMax: number;
}

/** A row to write, or to remove when `envelope` is `undefined`. */
export interface TableChange {
  readonly name: string;
  readonly envelope: Uint8Array | undefined;
}

/** The checkpointed entities of one partition, open in one process at a time. Reading is synchronous. */
export interface PartitionTable {
  /** Highest sequence whose record is in the table or was overtaken by one that is; 0 in a new table. */
  readonly appliedSequence: number;
  get(name: string): Uint8Array | undefined;
  has(name: string): boolean;
  /** A page of rows in byte order of their names. */
  list(range: TableRange): TableRow[];
  /** Rows by {@linkcode schemaPrefixOf} of their names, exact, kept in the transaction that changes the rows. */
  counts(): Map<string, number>;
  /**
   * Writes the changes, their counts and (unless `undefined`) the applied sequence in one transaction. When it resolves,
   * that and everything that was read from the table before is durable, also what an earlier process left unsynced.
   * After an error nothing of it is visible. @throws {DiskError}
   */
  apply(changes: readonly TableChange[], appliedSequence: number | undefined): Promise<void>;
  close(): Promise<void>;
}

/** A file system, as far as the engine needs one. Paths are the engine's own: the root, `/`, and ASCII names. */
export interface Disk {
  /** Makes a directory and its parents, durably; fine when it is there. @throws {DiskError} */
  makeDirectory(path: string, mode?: number): Promise<void>;
  /** Makes the names in a directory durable, whoever made or removed them. @throws {DiskError} */
  syncDirectory(path: string): Promise<void>;
  /** Names of the regular files in a directory, in no order. @throws {DiskError} */
  list(path: string): Promise<string[]>;
  /** @throws {DiskError} */
  status(path: string): Promise<FileStatus | undefined>;
  /**
   * A file's content, or `undefined` when there is none. `sync`: makes it durable before reading it. A file of more
   * than `bytesMax` bytes is an error (`failed`). @throws {DiskError}
   */
  readFile(path: string, bytesMax: number, sync?: boolean): Promise<Uint8Array | undefined>;
  /**
   * Creates or replaces a file: writes `temporary` (same directory), syncs it, renames it over `path`, syncs the
   * directory. Durable when it resolves; after an error the temporary file is gone, as far as that can be had, and
   * `path` holds the old or the new content. @throws {DiskError}
   */
  replaceFile(path: string, temporary: string, bytes: Uint8Array, mode: number): Promise<void>;
  /** Removes a file durably; `false` when there was none. @throws {DiskError} */
  removeFile(path: string): Promise<boolean>;
  /** Makes a new empty file, `exists` when there is one. Its name is durable after `syncDirectory`. @throws {DiskError} */
  createFile(path: string): Promise<AppendFile>;
  /** Opens a lock file, or `undefined` when there is none. @throws {DiskError} */
  openLock(path: string): Promise<LockFile | undefined>;
  /** Opens a partition's table; a new one is durable when it resolves. @throws {DiskError} */
  openTable(path: string, options: TableOptions): Promise<PartitionTable>;
}

/** Bytes of an envelope's beginning that a listing gives; covers the longest header. */
export const HEAD_BYTES = 8 + ENVELOPE_HEADER_BYTES_MAX;

/** An entity as a listing shows it. */
export function tableRow(name: string, envelope: Uint8Array): TableRow {
  return { name, size: envelope.length, head: envelope.subarray(0, HEAD_BYTES) };
}

/** The part of a storage name that all entities of a schema share, with the `_` that ends it. */
export function schemaPrefixOf(name: string): string {
  return name.slice(0, name.indexOf("_") + 1);
}
