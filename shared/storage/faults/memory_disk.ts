/** A disk in memory that a test can make fail or crash at any step, with or without what was not synced. */
import {
  type AppendFile,
  type Disk,
  DiskError,
  type DiskErrorCode,
  type FileStatus,
  type LockFile,
  type PartitionTable,
  schemaPrefixOf,
  type TableChange,
  type TableOptions,
  type TableRange,
  type TableRow,
  tableRow,
} from "../directory/disk.ts";

/** How much of an operation happens although it fails. */
export type Effect = "none" | "partial" | "full";

/** What goes wrong at a step. `crash`: the process is dead from here on. */
export interface Fault {
  readonly effect: Effect;
  readonly error: DiskErrorCode | "crash";
}

/** Decides what happens to an operation; `step` counts the process's operations from 0. */
export type FaultPlan = (step: number, operation: string, path: string) => Fault | undefined;

/**
 * What a crash of the machine leaves of what was not synced: nothing, everything, half of the bytes, zeros in place of
 * some, or the writes without the truncation that came after them.
 */
export type Unsynced = "lost" | "kept" | "halved" | "zeroed" | "untruncated";

interface Inode {
  readonly id: number;
  content: Uint8Array;
  durable: Uint8Array;
  /** The longest content since the last sync. */
  longest: Uint8Array;
  lockedBy: MemoryFile | undefined;
  changes: number;
}

interface TableState {
  readonly rows: ReadonlyMap<string, Uint8Array>;
  readonly applied: number;
}

interface StoredTable {
  readonly store: string;
  readonly partition: number;
  state: TableState;
  durable: TableState | undefined;
  openIn: MemoryProcess | undefined;
}

const EMPTY = new Uint8Array(0);
const NO_ROWS: TableState = { rows: new Map(), applied: 0 };

/** The files of one machine; processes come and go on it. */
export class MemoryMachine {
  readonly names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  readonly tables = new Map<string, StoredTable>();
  readonly directories = new Set<string>();
  #inodes = 0;

  /** A process with its own open files and locks. */
  process(plan: FaultPlan = () => undefined): MemoryProcess {
    return new MemoryProcess(this, plan);
  }

  create(path: string): Inode {
    const inode = {
      id: ++this.#inodes,
      content: EMPTY,
      durable: EMPTY,
      longest: EMPTY,
      lockedBy: undefined,
      changes: 0,
    };
    this.names.set(path, inode);
    return inode;
  }

  syncNames(directory: string): void {
    const inside = (path: string) =>
      path.startsWith(`${directory}/`) && !path.slice(directory.length + 1).includes("/");
    for (const path of this.#durableNames.keys()) {
      if (inside(path) && !this.names.has(path)) this.#durableNames.delete(path);
    }
    for (const [path, inode] of this.names) if (inside(path)) this.#durableNames.set(path, inode);
  }

  /** Power is lost. Every process must be dead. */
  crash(unsynced: Unsynced): void {
    const keepsNames = unsynced === "kept" || unsynced === "untruncated";
    if (!keepsNames) {
      this.names.clear();
      for (const [path, inode] of this.#durableNames) this.names.set(path, inode);
    }
    for (const inode of this.names.values()) {
      const content = unsynced === "untruncated" ? inode.longest : leave(inode.content, inode.durable, unsynced);
      inode.content = inode.durable = inode.longest = content;
      inode.lockedBy = undefined;
    }
    for (const [path, table] of this.tables) {
      table.openIn = undefined;
      if (keepsNames) table.durable = table.state;
      else if (table.durable === undefined) this.tables.delete(path);
      else table.state = table.durable;
    }
    this.#durableNames = new Map(this.names);
  }
}

/** What a crash leaves of a file: synced bytes, and of the others all, nothing, the first half or zeros at first. */
function leave(content: Uint8Array, durable: Uint8Array, unsynced: Exclude<Unsynced, "untruncated">): Uint8Array {
  if (unsynced === "lost") return durable;
  if (unsynced === "kept") return content;
  const from = durable.findIndex((byte, index) => byte !== content[index]);
  const start = from < 0 ? Math.min(durable.length, content.length) : from;
  const middle = start + Math.floor((content.length - start) / 2);
  if (unsynced === "halved") {
    const rest = content.length === durable.length ? durable.subarray(middle) : EMPTY;
    return concat(content.subarray(0, middle), rest);
  }
  return concat(content.subarray(0, start), new Uint8Array(middle - start), content.subarray(middle));
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const parent = (path: string) => path.slice(0, path.lastIndexOf("/"));

/** The disk as one process sees it. */
export class MemoryProcess implements Disk {
  readonly machine: MemoryMachine;
  readonly #plan: FaultPlan;
  readonly #files = new Set<MemoryFile>();
  #steps = 0;
  #dead = false;

  constructor(machine: MemoryMachine, plan: FaultPlan) {
    this.machine = machine;
    this.#plan = plan;
  }

  get steps(): number {
    return this.#steps;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Open files; a process that closed everything has none. */
  get openFiles(): number {
    return this.#files.size;
  }

  /** Ends the process: its locks are free, and what it still tries has no effect. */
  kill(): void {
    this.#dead = true;
    for (const file of this.#files) file.close();
    for (const table of this.machine.tables.values()) if (table.openIn === this) table.openIn = undefined;
  }

  /** One step: `work` does as much of the operation as it is told to. */
  async step<T>(operation: string, path: string, work: (effect: Effect) => T): Promise<T> {
    // As on a real disk, nothing happens before the caller goes on.
    await Promise.resolve();
    if (this.#dead) throw new DiskError("failed", `${path}: the process is dead`);
    const fault = this.#plan(this.#steps++, operation, path);
    if (fault === undefined) return work("full");
    if (fault.effect !== "none") work(fault.effect);
    if (fault.error === "crash") this.kill();
    throw new DiskError(fault.error === "crash" ? "failed" : fault.error, `${path}: ${operation} fails on purpose`);
  }

  open(path: string, inode: Inode): MemoryFile {
    const file = new MemoryFile(this, path, inode, () => this.#files.delete(file));
    this.#files.add(file);
    return file;
  }

  makeDirectory(path: string): Promise<void> {
    return this.step("makeDirectory", path, () => void this.machine.directories.add(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.step("syncDirectory", path, () => this.machine.syncNames(path));
  }

  list(path: string): Promise<string[]> {
    return this.step("list", path, () => {
      const names = [...this.machine.names.keys()].filter((name) => parent(name) === path);
      return names.map((name) => name.slice(path.length + 1));
    });
  }

  status(path: string): Promise<FileStatus | undefined> {
    return this.step("status", path, () => {
      const inode = this.machine.names.get(path);
      return inode && { size: inode.content.length, modifiedMs: inode.changes, inode: inode.id };
    });
  }

  readFile(path: string, bytesMax: number, sync = false): Promise<Uint8Array | undefined> {
    return this.step("readFile", path, () => {
      const inode = this.machine.names.get(path);
      if (inode === undefined) return undefined;
      if (sync) inode.durable = inode.longest = inode.content;
      if (inode.content.length > bytesMax) throw new DiskError("failed", `${path}: too large`);
      return inode.content.slice();
    });
  }

  async replaceFile(path: string, temporary: string, bytes: Uint8Array): Promise<void> {
    try {
      const inode = await this.step("create", temporary, () => this.machine.create(temporary));
      await this.step("write", temporary, (effect) => {
        inode.content = effect === "partial" ? bytes.slice(0, bytes.length >> 1) : bytes.slice();
      });
      await this.step("sync", temporary, () => void (inode.durable = inode.longest = inode.content));
      await this.step("rename", path, () => {
        this.machine.names.delete(temporary);
        this.machine.names.set(path, inode);
      });
    } catch (error) {
      if (!this.#dead) this.machine.names.delete(temporary);
      throw error;
    }
    await this.syncDirectory(parent(path));
  }

  async removeFile(path: string): Promise<boolean> {
    const removed = await this.step("remove", path, () => this.machine.names.delete(path));
    await this.syncDirectory(parent(path));
    return removed;
  }

  async createFile(path: string): Promise<AppendFile> {
    const inode = await this.step("create", path, () => {
      if (this.machine.names.has(path)) throw new DiskError("exists", `${path}: exists`);
      return this.machine.create(path);
    });
    return this.open(path, inode);
  }

  async openLock(path: string): Promise<LockFile | undefined> {
    const inode = await this.step("open", path, () => this.machine.names.get(path));
    return inode && this.open(path, inode);
  }

  async openTable(path: string, options: TableOptions): Promise<PartitionTable> {
    const table = await this.step("openTable", path, () => {
      let table = this.machine.tables.get(path);
      if (table === undefined) {
        if (!options.create) throw new DiskError("damaged", `${path}: is missing`);
        const { store, partition } = options;
        table = { store, partition, state: NO_ROWS, durable: undefined, openIn: undefined };
        this.machine.tables.set(path, table);
      }
      if (options.create) table.durable ??= NO_ROWS;
      if (table.openIn !== undefined) throw new DiskError("busy", `${path}: database is locked`);
      if (table.store !== options.store || table.partition !== options.partition) {
        throw new DiskError("damaged", `${path}: another store's`);
      }
      return table;
    });
    table.openIn = this;
    return new MemoryTable(this, path, table);
  }
}

class MemoryFile implements AppendFile, LockFile {
  readonly #process: MemoryProcess;
  readonly #path: string;
  readonly #inode: Inode;
  readonly #onClose: () => void;

  constructor(process: MemoryProcess, path: string, inode: Inode, onClose: () => void) {
    this.#process = process;
    this.#path = path;
    this.#inode = inode;
    this.#onClose = onClose;
  }

  tryLock(): Promise<boolean> {
    return this.#process.step("tryLock", this.#path, () => {
      if (this.#inode.lockedBy !== undefined && this.#inode.lockedBy !== this) return false;
      this.#inode.lockedBy = this;
      return true;
    });
  }

  isCurrent(): Promise<boolean> {
    return this.#process.step(
      "isCurrent",
      this.#path,
      () => this.#process.machine.names.get(this.#path) === this.#inode,
    );
  }

  append(bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    return this.#process.step("append", this.#path, (effect) => {
      this.#change(concat(this.#inode.content, effect === "partial" ? copy.subarray(0, copy.length >> 1) : copy));
    });
  }

  sync(): Promise<void> {
    return this.#process.step("sync", this.#path, (effect) => {
      const { content, durable } = this.#inode;
      this.#inode.durable = effect === "partial" ? leave(content, durable, "halved") : content;
      if (effect === "full") this.#inode.longest = content;
    });
  }

  truncate(size: number): Promise<void> {
    return this.#process.step("truncate", this.#path, () => this.#change(this.#inode.content.slice(0, size)));
  }

  read(bytesMax: number): Promise<Uint8Array> {
    return this.#process.step("read", this.#path, () => this.#inode.content.slice(0, bytesMax));
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#process.step("write", this.#path, (effect) => {
      const written = effect === "partial" ? bytes.subarray(0, bytes.length >> 6) : bytes;
      const content = new Uint8Array(Math.max(this.#inode.content.length, offset + written.length));
      content.set(this.#inode.content);
      content.set(written, offset);
      this.#change(content);
    });
    await this.sync();
  }

  close(): void {
    if (this.#inode.lockedBy === this) this.#inode.lockedBy = undefined;
    this.#onClose();
  }

  #change(content: Uint8Array): void {
    this.#inode.content = content;
    if (content.length >= this.#inode.longest.length) this.#inode.longest = content;
    this.#inode.changes++;
  }
}

class MemoryTable implements PartitionTable {
  readonly #process: MemoryProcess;
  readonly #path: string;
  readonly #table: StoredTable;

  constructor(process: MemoryProcess, path: string, table: StoredTable) {
    this.#process = process;
    this.#path = path;
    this.#table = table;
  }

  get appliedSequence(): number {
    return this.#table.state.applied;
  }

  get(name: string): Uint8Array | undefined {
    this.#assertOpen();
    return this.#table.state.rows.get(name);
  }

  has(name: string): boolean {
    this.#assertOpen();
    return this.#table.state.rows.has(name);
  }

  list(range: TableRange): TableRow[] {
    this.#assertOpen();
    const rows: TableRow[] = [];
    for (const name of [...this.#table.state.rows.keys()].sort()) {
      if (range.exclusive ? name <= range.from : name < range.from) continue;
      if (name >= range.before || rows.length === range.rowsMax) break;
      rows.push(tableRow(name, this.#table.state.rows.get(name)!));
    }
    return rows;
  }

  counts(): Map<string, number> {
    this.#assertOpen();
    const counts = new Map<string, number>();
    for (const name of this.#table.state.rows.keys()) {
      counts.set(schemaPrefixOf(name), (counts.get(schemaPrefixOf(name)) ?? 0) + 1);
    }
    return counts;
  }

  apply(changes: readonly TableChange[], appliedSequence: number | undefined): Promise<void> {
    return this.#process.step("apply", this.#path, (effect) => {
      const rows = new Map(this.#table.state.rows);
      for (const { name, envelope } of changes) {
        if (envelope === undefined) rows.delete(name);
        else rows.set(name, envelope.slice());
      }
      this.#table.state = { rows, applied: appliedSequence ?? this.#table.state.applied };
      if (effect === "full") this.#table.durable = this.#table.state;
    });
  }

  /** As with files, it is closed even when that fails. */
  async close(): Promise<void> {
    const isOpen = this.#table.openIn === this.#process;
    if (isOpen) this.#table.openIn = undefined;
    await this.#process.step("closeTable", this.#path, () => {});
  }

  #assertOpen(): void {
    if (this.#table.openIn !== this.#process) throw new DiskError("failed", `${this.#path}: is not open`);
  }
}
