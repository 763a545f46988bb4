/** An exclusive lock on a lock file of the store, with the content that its holder keeps there. */
import { StorageError } from "../store.ts";
import { type Disk, DiskError, type LockFile } from "./disk.ts";
import { decodeLockContent, encodeLockContent, type LockContent, SLOT_BYTES } from "./lock_content.ts";

const CONTENT_BYTES = 2 * SLOT_BYTES;

/** `held`: another open file has the lock; `by` is its holder's line. */
export type FileLockOutcome = { readonly kind: "locked"; readonly lock: FileLock } | {
  readonly kind: "held";
  readonly by: string;
};

/** A lock that is held until {@linkcode FileLock.close}, or until the process dies. */
export class FileLock {
  readonly #file: LockFile;
  #generation = 0;
  /** Whether the newest content in the file may not be durable. */
  #isDoubtful = true;

  private constructor(
    readonly path: string,
    file: LockFile,
    /** What the file said when the lock was had; `undefined`: nothing, or nothing certain. */
    readonly found: LockContent | undefined,
    /** The table holds at least everything up to this sequence, which holds whatever else is in doubt. */
    readonly settled: number | undefined,
    /** Nobody ever wrote in the file, or somebody removed what was there. */
    readonly isEmpty: boolean,
  ) {
    this.#file = file;
  }

  /** Tries to take the lock; makes the file durably when somebody removed it. @throws {DiskError} */
  static async tryLock(disk: Disk, path: string): Promise<FileLockOutcome> {
    let file = await disk.openLock(path);
    if (file === undefined) {
      await createLockFile(disk, path);
      await disk.syncDirectory(path.slice(0, path.lastIndexOf("/")));
      file = await disk.openLock(path);
      if (file === undefined) throw new DiskError("missing", `${path}: disappeared`);
    }
    try {
      if (!await file.tryLock()) {
        const { newest } = decodeLockContent(await file.read(CONTENT_BYTES));
        file.close();
        return { kind: "held", by: newest?.holder || "another process" };
      }
      if (!await file.isCurrent()) throw new DiskError("busy", `${path}: somebody replaced the lock file`);
      const bytes = await file.read(CONTENT_BYTES);
      const { newest, isDoubtful } = decodeLockContent(bytes);
      const found = isDoubtful ? undefined : newest;
      return { kind: "locked", lock: new FileLock(path, file, found, newest?.settled, bytes.length === 0) };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Replaces the content durably; a crash leaves the old or the new one. @throws {DiskError} */
  async write(content: Omit<LockContent, "generation">): Promise<void> {
    if (this.#isDoubtful) {
      // The slot that is overwritten next is the older one only if the newer one is durable. Whoever wrote that may have
      // been killed before, or this one's last try failed half way; others may have read it and gone by it.
      const { newest } = decodeLockContent(await this.#file.read(CONTENT_BYTES));
      await this.#file.sync();
      this.#generation = newest?.generation ?? this.#generation;
    }
    this.#isDoubtful = true;
    // The first content is written twice: where only one half holds something, the other one has been lost.
    do {
      const { offset, bytes } = encodeLockContent({ ...content, generation: this.#generation + 1 });
      await this.#file.write(offset, bytes);
      this.#generation++;
    } while (this.#generation < 2);
    this.#isDoubtful = false;
  }

  /** Gives the lock back. */
  close(): void {
    this.#file.close();
  }
}

/** Makes an empty lock file; `false` when there was one. Durable after the directory was synced. @throws {DiskError} */
export async function createLockFile(disk: Disk, path: string): Promise<boolean> {
  try {
    (await disk.createFile(path)).close();
    return true;
  } catch (error) {
    if (error instanceof DiskError && error.code === "exists") return false;
    throw error;
  }
}

/**
 * What a lock file durably says, without its lock; `undefined` when it says nothing, as a missing one, or nothing certain.
 * @throws {DiskError}
 */
export async function readLockContent(disk: Disk, path: string): Promise<LockContent | undefined> {
  const file = await disk.openLock(path);
  if (file === undefined) return undefined;
  try {
    const bytes = await file.read(CONTENT_BYTES);
    // Afterwards, because the holder may be writing: what was read is durable, and what came later does not matter.
    await file.sync();
    const { newest, isDoubtful } = decodeLockContent(bytes);
    return isDoubtful ? undefined : newest;
  } finally {
    file.close();
  }
}

/** Whether nobody has the lock, as this process sees it; a missing file tells nothing: `false`. @throws {DiskError} */
export async function isLockFree(disk: Disk, path: string): Promise<boolean> {
  const file = await disk.openLock(path);
  if (file === undefined) return false;
  try {
    return await file.tryLock();
  } finally {
    file.close();
  }
}

/**
 * Checks that the file system keeps a second lock out, by trying one on a file that is locked.
 * @throws {StorageError} `configuration` when it does not.
 */
export async function probeExclusion(disk: Disk, path: string): Promise<void> {
  if (!await isLockFree(disk, path)) return;
  throw new StorageError(
    "configuration",
    `the file system of ${path} let the file be locked twice; a store needs one where flock excludes (ext4, XFS, NFSv4)`,
  );
}
