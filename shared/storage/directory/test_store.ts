/** A store in a temporary directory, for tests. */
import { systemClock } from "../../seams/clock.ts";
import { systemRandom } from "../../seams/random.ts";
import { type DirectoryStore, type DirectoryStoreParts, openDirectoryStore } from "./store.ts";
import { systemDisk } from "./system_disk.ts";

/** The real disk, clock and randomness, or what is given. */
export function testParts(parts: Partial<DirectoryStoreParts> = {}): DirectoryStoreParts {
  return { disk: systemDisk, clock: systemClock, random: systemRandom, ...parts };
}

/** Opens the store in `root`, and makes it when there is none: of four partitions if not said. */
export function openTestStore(
  root: string,
  { partitions = 4, ...parts }: { partitions?: number } & Partial<DirectoryStoreParts> = {},
): Promise<DirectoryStore> {
  return openDirectoryStore({ root, create: { partitions } }, testParts(parts));
}

/** Calls `work` with the path of a directory that does not exist yet, and is removed afterwards. */
export async function withDirectory<T>(work: (root: string) => Promise<T>): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "deltadb-test-" });
  try {
    return await work(`${directory}/db`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
