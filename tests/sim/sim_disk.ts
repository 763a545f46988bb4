/**
 * The simulated disk of one machine that several processes share. A process that is killed leaves behind what it wrote and loses
 * its locks; a crash of the machine also loses what was not synced, or keeps a part of it, torn.
 */
import {
  type AppendFile,
  type Disk,
  DiskError,
  type FileStatus,
  type LockFile,
  type PartitionTable,
  schemaPrefixOf,
  type TableChange,
  type TableOptions,
  type TableRange,
  type TableRow,
  tableRow,
} from "../../shared/storage/directory/disk.ts";
import type { Process } from "./process.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** How bad the disk is. */
export interface DiskFaults {
  latencyMsMax: number;
  /** Probability that an operation takes a hundred times as long. */
  slow: number;
  /** Nothing more fits. */
  full: boolean;
  /** Probability that a sync fails. */
  failingSync: number;
}

interface Inode {
  readonly id: number;
  content: Uint8Array<ArrayBuffer>;
  /** What a crash of the machine certainly leaves. */
  durable: Uint8Array<ArrayBuffer>;
  modifiedMs: number;
  lockedBy: object | undefined;
}

interface Table {
  readonly store: string;
  readonly partition: number;
  rows: Map<string, Uint8Array>;
  applied: number;
  open: Process | undefined;
}

/** Files, names and tables; survives processes. */
export class SimMachine {
  readonly faults: DiskFaults;
  readonly random: SeededRandom;
  readonly files = new Map<string, Inode>();
  /** Names as a crash of the machine leaves them. */
  durableNames = new Map<string, Inode>();
  readonly tables = new Map<string, Table>();
  readonly directories = new Set<string>();
  #inodes = 0;

  constructor(random: SeededRandom, faults: DiskFaults) {
    this.random = random;
    this.faults = faults;
  }

  newInode(nowMs: number): Inode {
    return {
      id: ++this.#inodes,
      content: new Uint8Array(0),
      durable: new Uint8Array(0),
      modifiedMs: nowMs,
      lockedBy: undefined,
    };
  }

  /** Power is lost: every process was killed before. */
  crash(): void {
    const names = new Map(this.durableNames);
    // A name that was not made durable may be there all the same.
    for (const [path, inode] of this.files) if (!names.has(path) && this.random.chance(0.5)) names.set(path, inode);
    this.files.clear();
    for (const [path, inode] of names) {
      inode.content = this.#torn(inode);
      inode.durable = inode.content;
      inode.lockedBy = undefined;
      this.files.set(path, inode);
    }
    this.durableNames = new Map(this.files);
  }

  /** What is durable, and of what was written after it a part: a beginning, whole or with a damaged end. */
  #torn({ content, durable }: Inode): Uint8Array<ArrayBuffer> {
    if (content.length <= durable.length) return durable;
    const kept = this.random.between(durable.length, content.length);
    const result = content.slice(0, kept);
    result.set(durable);
    if (kept > durable.length && this.random.chance(0.5)) {
      const damaged = this.random.between(durable.length, kept - 1);
      result[damaged] = result[damaged]! ^ (1 << this.random.between(0, 7));
    }
    return result;
  }
}

/** The disk as one process sees it. What is under way when the process is killed never ends. */
export function simDisk(machine: SimMachine, process: Process): Disk {
  const { random, faults, files } = machine;

  /** Does an operation in one step when it has taken its time; the process learns of it a little later, or never. */
  function act<T>(run: () => T, mayFill = false): Promise<T> {
    const slow = random.chance(faults.slow) ? 100 : 1;
    const latencyMs = (0.02 + random.unit() ** 2 * faults.latencyMsMax) * slow;
    return new Promise((resolve, reject) => {
      process.kernelAfter(latencyMs, () => {
        let settle: () => void;
        try {
          if (mayFill && faults.full) throw new DiskError("full", "simulated: no space left");
          const value = run();
          settle = () => resolve(value);
        } catch (error) {
          settle = () => reject(error);
        }
        process.after(0.01, settle);
      });
    });
  }

  const nowMs = () => process.clock.now();

  function durable(path: string): void {
    const inode = files.get(path);
    if (inode === undefined) machine.durableNames.delete(path);
    else machine.durableNames.set(path, inode);
  }

  function syncDirectory(path: string): void {
    const inside = (name: string) => name.slice(0, name.lastIndexOf("/")) === path;
    for (const name of [...files.keys(), ...machine.durableNames.keys()]) if (inside(name)) durable(name);
  }

  function open(path: string, inode: Inode) {
    const handle = {};
    const release = () => {
      if (inode.lockedBy === handle) inode.lockedBy = undefined;
    };
    const forget = process.onDeath(release);
    return {
      tryLock: () =>
        act(() => {
          if (inode.lockedBy !== undefined && inode.lockedBy !== handle) return false;
          inode.lockedBy = handle;
          return true;
        }),
      isCurrent: () => act(() => files.get(path) === inode),
      close: () => {
        release();
        forget();
      },
    };
  }

  function append(inode: Inode, bytes: Uint8Array): void {
    const grown = new Uint8Array(inode.content.length + bytes.length);
    grown.set(inode.content);
    grown.set(bytes, inode.content.length);
    inode.content = grown;
    inode.modifiedMs = nowMs();
  }

  const sync = (inode: Inode, wished: () => Uint8Array<ArrayBuffer>) => {
    // A sync covers what was written before it began, and nothing that comes while it runs.
    const covered = wished();
    return act(() => {
      if (random.chance(faults.failingSync)) throw new DiskError("failed", "simulated: the sync failed");
      if (covered.length >= inode.durable.length || inode.content.length < inode.durable.length) {
        inode.durable = covered;
      }
    });
  };

  return {
    makeDirectory: (path) => act(() => void machine.directories.add(path)),
    syncDirectory: (path) => act(() => syncDirectory(path)),
    list: (path) =>
      act(() =>
        [...files.keys()].filter((name) => name.slice(0, name.lastIndexOf("/")) === path)
          .map((name) => name.slice(path.length + 1))
      ),
    status: (path) =>
      act((): FileStatus | undefined => {
        const inode = files.get(path);
        return inode && { size: inode.content.length, modifiedMs: inode.modifiedMs, inode: inode.id };
      }),
    readFile: (path, bytesMax, synced) =>
      act(() => {
        const inode = files.get(path);
        if (inode === undefined) return undefined;
        if (inode.content.length > bytesMax) throw new DiskError("failed", `${path}: larger than ${bytesMax} bytes`);
        if (synced) inode.durable = inode.content;
        return inode.content.slice();
      }),
    replaceFile: (path, _temporary, bytes) =>
      act(() => {
        const inode = machine.newInode(nowMs());
        inode.content = inode.durable = new Uint8Array(bytes);
        files.set(path, inode);
        durable(path);
      }, true),
    removeFile: (path) =>
      act(() => {
        const had = files.delete(path);
        durable(path);
        return had;
      }),
    createFile: (path) =>
      act((): AppendFile => {
        if (files.has(path)) throw new DiskError("exists", `${path}: exists`);
        const inode = machine.newInode(nowMs());
        files.set(path, inode);
        return {
          ...open(path, inode),
          append: (bytes) =>
            act(() => {
              if (!faults.full) return append(inode, bytes);
              // A full disk may take a part.
              append(inode, bytes.subarray(0, random.between(0, bytes.length)));
              throw new DiskError("full", "simulated: no space left");
            }),
          sync: () => sync(inode, () => inode.content),
          truncate: (size) =>
            act(() => {
              inode.content = inode.content.slice(0, size);
            }),
        };
      }, true),
    openLock: (path) =>
      act((): LockFile | undefined => {
        const inode = files.get(path);
        if (inode === undefined) return undefined;
        return {
          ...open(path, inode),
          read: (bytesMax) => act(() => inode.content.slice(0, bytesMax)),
          write: (offset, bytes) =>
            act(() => {
              const content = new Uint8Array(Math.max(inode.content.length, offset + bytes.length));
              content.set(inode.content);
              content.set(bytes, offset);
              inode.content = inode.durable = content;
            }),
          sync: () => sync(inode, () => inode.content),
        };
      }),
    openTable: (path, options) => act(() => openTable(machine, process, act, path, options), true),
  };
}

function openTable(
  machine: SimMachine,
  process: Process,
  act: <T>(run: () => T, mayFill?: boolean) => Promise<T>,
  path: string,
  { create, store, partition }: TableOptions,
): PartitionTable {
  let table = machine.tables.get(path);
  if (table === undefined) {
    if (!create) throw new DiskError("missing", `${path}: there is no such table`);
    table = { store, partition, rows: new Map(), applied: 0, open: undefined };
    machine.tables.set(path, table);
  }
  if (table.store !== store || table.partition !== partition) throw new DiskError("damaged", `${path}: another table`);
  if (table.open?.alive) throw new DiskError("busy", `${path}: open in ${table.open.name}`);
  table.open = process;
  const opened = table;
  let sorted: string[] | undefined;
  return {
    get appliedSequence() {
      return opened.applied;
    },
    get: (name) => opened.rows.get(name),
    has: (name) => opened.rows.has(name),
    list: ({ from, exclusive, before, rowsMax }: TableRange) => {
      sorted ??= [...opened.rows.keys()].sort();
      const rows: TableRow[] = [];
      for (const name of sorted) {
        if (name < from || (exclusive && name === from) || name >= before) continue;
        if (rows.length >= rowsMax) break;
        rows.push(tableRow(name, opened.rows.get(name)!));
      }
      return rows;
    },
    counts: () => {
      const counts = new Map<string, number>();
      for (const name of opened.rows.keys()) {
        const prefix = schemaPrefixOf(name);
        counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
      }
      return counts;
    },
    apply: (changes: readonly TableChange[], appliedSequence: number | undefined) =>
      act(() => {
        for (const { name, envelope } of changes) {
          if (envelope === undefined) opened.rows.delete(name);
          else opened.rows.set(name, envelope.slice());
        }
        sorted = undefined;
        if (appliedSequence !== undefined) opened.applied = appliedSequence;
      }, true),
    close: () =>
      act(() => {
        if (opened.open === process) opened.open = undefined;
      }),
  };
}
