/** A store in a temporary directory, for tests. */
import { type Clock, systemClock } from "../../seams/clock.ts";
import { systemRandom } from "../../seams/random.ts";
import { type DirectoryBounds } from "./bounds.ts";
import { type Disk } from "./disk.ts";
import { type ReportEvent } from "./events.ts";
import { type DirectoryStore, openDirectoryStore } from "./store.ts";
import { systemDisk } from "./system_disk.ts";

/** Opens the store in `root`, and makes it when there is none. */
export function openTestStore(
  root: string,
  options: {
    partitions?: number;
    disk?: Disk;
    clock?: Clock;
    report?: ReportEvent;
    bounds?: Partial<DirectoryBounds>;
  } = {},
): Promise<DirectoryStore> {
  const { partitions = 4, disk = systemDisk, clock = systemClock, report = () => {}, bounds = {} } = options;
  return openDirectoryStore({ root, create: { partitions } }, { disk, clock, random: systemRandom, report, bounds });
}

/** Calls `work` with a directory that is removed afterwards. */
export async function withDirectory<T>(work: (root: string) => Promise<T>): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "deltadb-test-" });
  try {
    return await work(`${directory}/db`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
