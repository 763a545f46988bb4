/** Removes the logs of dead writers that no partition needs any more. */
import { type Disk, type LockFile } from "./disk.ts";
import { readLockContent } from "./file_lock.ts";
import { type Layout } from "./layout.ts";
import { logName, parseLogName } from "./log_header.ts";

/**
 * A writer is dead when the locks of all its files can be had; nobody needs it when no lock file names it, and no lock
 * file will again, because only a writer itself adds its name. Returns how many files were removed.
 * @throws {DiskError}
 */
export async function collectGarbage(
  disk: Disk,
  layout: Layout,
  partitions: number,
  isLive: (writer: string) => boolean,
): Promise<number> {
  const files = new Map<string, number[]>();
  for (const name of await disk.list(layout.logs)) {
    const log = parseLogName(name);
    if (log === undefined || isLive(log.writer)) continue;
    files.set(log.writer, [...files.get(log.writer) ?? [], log.number]);
  }
  const locked: LockFile[] = [];
  try {
    const dead: string[] = [];
    for (const [writer, numbers] of files) {
      const locks = await lockAll(disk, numbers.map((number) => `${layout.logs}/${logName(writer, number)}`));
      if (locks === undefined) continue;
      locked.push(...locks);
      dead.push(writer);
    }
    if (dead.length === 0) return 0;
    const named = await namedWriters(disk, layout, partitions);
    if (named === undefined) return 0;
    let removed = 0;
    for (const writer of dead) {
      if (named.has(writer)) continue;
      // Oldest first: a later file says how much of an earlier one counts.
      for (const number of files.get(writer)!.sort((a, b) => a - b)) {
        if (await disk.removeFile(`${layout.logs}/${logName(writer, number)}`)) removed++;
      }
    }
    return removed;
  } finally {
    for (const lock of locked) lock.close();
  }
}

/** The locks of all files that are still there, or `undefined` when somebody has one of them. */
async function lockAll(disk: Disk, paths: readonly string[]): Promise<LockFile[] | undefined> {
  const locks: LockFile[] = [];
  let all = false;
  try {
    for (const path of paths) {
      const lock = await disk.openLock(path);
      if (lock === undefined) continue;
      locks.push(lock);
      if (!await lock.tryLock()) return undefined;
    }
    all = true;
    return locks;
  } finally {
    if (!all) { for (const lock of locks) lock.close(); }
  }
}

/** Writers that lock files name, or `undefined` when one of them can't be read and might name any. */
async function namedWriters(disk: Disk, layout: Layout, partitions: number): Promise<Set<string> | undefined> {
  const named = new Set<string>();
  for (let partition = 0; partition < partitions; partition++) {
    const content = await readLockContent(disk, layout.lock(partition));
    if (content === undefined) return undefined;
    for (const writer of content.writers) named.add(writer);
  }
  return named;
}
