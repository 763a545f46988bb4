/** The real disk: a thin layer over Deno's file functions and `node:sqlite`. */
import {
  type AppendFile,
  type Disk,
  DiskError,
  type DiskErrorCode,
  type FileStatus,
  type LockFile,
  type PartitionTable,
  type TableOptions,
} from "./disk.ts";
import { SqliteTable } from "./sqlite_table.ts";

const CODES: Record<string, DiskErrorCode> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "read_only",
  ENOENT: "missing",
  EEXIST: "exists",
  ENOTDIR: "not_directory",
};

/** Makes an error of Deno a {@linkcode DiskError} that names the path. */
function diskError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DiskError) return error;
  const code = (error as { code?: string }).code;
  const denied = error instanceof Deno.errors.NotCapable;
  // Deno's own advice names a flag that only who runs it from source can give.
  const why = denied
    ? "this program may write only below ./data, /data, /shared and /var/lib/deltadatabase, and the folders that it was " +
      "built with by deno task compile --root=FOLDER"
    : error.message;
  return new DiskError(denied ? "denied" : CODES[code ?? ""] ?? "failed", `${path}: ${why}`, { cause: error });
}

async function withErrors<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskError(path, error);
  }
}

/** `undefined` instead of an error when there is no such file. */
async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Reads to the end, or to `bytesMax`. */
async function readAll(file: Deno.FsFile, bytesMax: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(bytesMax, (await file.stat()).size));
  let at = 0;
  while (at < bytes.length) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) break;
    at += count;
  }
  return bytes.subarray(0, at);
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await Deno.open(path);
  try {
    await directory.sync();
  } finally {
    directory.close();
  }
}

class SystemFile implements AppendFile, LockFile {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  tryLock(): Promise<boolean> {
    return withErrors(this.#path, () => this.#file.tryLock(true));
  }

  isCurrent(): Promise<boolean> {
    return withErrors(this.#path, async () => {
      const [mine, there] = [await this.#file.stat(), await unlessMissing(() => Deno.stat(this.#path))];
      return there !== undefined && mine.ino === there.ino && mine.dev === there.dev;
    });
  }

  append(bytes: Uint8Array): Promise<void> {
    return withErrors(this.#path, () => writeAll(this.#file, bytes));
  }

  sync(): Promise<void> {
    return withErrors(this.#path, () => this.#file.syncData());
  }

  truncate(size: number): Promise<void> {
    return withErrors(this.#path, () => this.#file.truncate(size));
  }

  read(bytesMax: number): Promise<Uint8Array> {
    return withErrors(this.#path, async () => {
      await this.#file.seek(0, Deno.SeekMode.Start);
      return await readAll(this.#file, bytesMax);
    });
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return withErrors(this.#path, async () => {
      await this.#file.seek(offset, Deno.SeekMode.Start);
      await writeAll(this.#file, bytes);
      await this.#file.syncData();
    });
  }

  close(): void {
    this.#file.close();
  }
}

/** The file system of this machine. */
export const systemDisk: Disk = {
  makeDirectory(path: string, mode?: number): Promise<void> {
    return withErrors(path, async () => {
      if ((await unlessMissing(() => Deno.stat(path)))?.isDirectory) return;
      const parent = path.slice(0, Math.max(path.lastIndexOf("/"), 0)) || (path.startsWith("/") ? "/" : ".");
      if (parent !== path && parent !== ".") await systemDisk.makeDirectory(parent);
      await Deno.mkdir(path, { mode }).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
      if (!(await Deno.stat(path)).isDirectory) throw new DiskError("not_directory", `${path}: is not a directory`);
      await syncDirectory(parent);
    });
  },

  syncDirectory(path: string): Promise<void> {
    return withErrors(path, () => syncDirectory(path));
  },

  list(path: string): Promise<string[]> {
    return withErrors(path, async () => {
      const names: string[] = [];
      for await (const entry of Deno.readDir(path)) if (entry.isFile) names.push(entry.name);
      return names;
    });
  },

  status(path: string): Promise<FileStatus | undefined> {
    return withErrors(path, async () => {
      const info = await unlessMissing(() => Deno.stat(path));
      return info && { size: info.size, modifiedMs: info.mtime?.getTime() ?? 0, inode: info.ino ?? 0 };
    });
  },

  readFile(path: string, bytesMax: number, sync = false): Promise<Uint8Array | undefined> {
    return withErrors(path, async () => {
      const file = await unlessMissing(() => Deno.open(path));
      if (file === undefined) return undefined;
      try {
        if (sync) await file.sync();
        const bytes = await readAll(file, bytesMax + 1);
        if (bytes.length > bytesMax) throw new DiskError("failed", `${path}: has more than ${bytesMax} bytes`);
        return bytes;
      } finally {
        file.close();
      }
    });
  },

  replaceFile(path: string, temporary: string, bytes: Uint8Array, mode: number): Promise<void> {
    return withErrors(path, async () => {
      try {
        const file = await Deno.open(temporary, { write: true, createNew: true, mode });
        try {
          await writeAll(file, bytes);
          await file.sync();
        } finally {
          file.close();
        }
        await Deno.rename(temporary, path);
      } catch (error) {
        // It may never have come into being.
        await Deno.remove(temporary).catch(() => {});
        throw error;
      }
      await syncDirectory(path.slice(0, path.lastIndexOf("/")));
    });
  },

  removeFile(path: string): Promise<boolean> {
    return withErrors(path, async () => {
      const removed = await unlessMissing(() => Deno.remove(path).then(() => true)) ?? false;
      // Also when it was gone: whoever removed it may have died before that was durable.
      await syncDirectory(path.slice(0, path.lastIndexOf("/")));
      return removed;
    });
  },

  createFile(path: string): Promise<AppendFile> {
    return withErrors(path, async () => {
      return new SystemFile(path, await Deno.open(path, { write: true, createNew: true, append: true }));
    });
  },

  openLock(path: string): Promise<LockFile | undefined> {
    return withErrors(path, async () => {
      const file = await unlessMissing(() => Deno.open(path, { read: true, write: true }));
      return file && new SystemFile(path, file);
    });
  },

  openTable(path: string, options: TableOptions): Promise<PartitionTable> {
    return withErrors(path, async () => {
      const isThere = await unlessMissing(() => Deno.stat(path)) !== undefined;
      if (!isThere && !options.create) throw new DiskError("damaged", `${path}: is missing`);
      const table = SqliteTable.open(path, options);
      try {
        // Also when it was there: whoever made it may have died before that was durable.
        if (options.create) await syncDirectory(path.slice(0, path.lastIndexOf("/")));
      } catch (error) {
        await table.close();
        throw error;
      }
      return table;
    });
  },
};
