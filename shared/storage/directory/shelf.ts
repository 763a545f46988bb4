/** A shelf: a directory with one small file for each object. */
import { SHELF_OBJECT_BYTES_MAX } from "../../limits.ts";
import { compareNames, decodeName, encodeName } from "../../names.ts";
import { type Random, randomHex } from "../../seams/random.ts";
import { type Shelf, StorageError } from "../store.ts";
import { type Disk } from "./disk.ts";
import { runtimeError } from "./storage_errors.ts";

const FILE_NAME_BYTES_MAX = 255;
const TEMPORARY = /^\.[^/]*\.[0-9a-f]{16}\.tmp$/;

/** How a shelf names and protects its files. */
export interface ShelfOptions {
  readonly directory: string;
  /** Follows the encoded name, such as `.json`. Files that end otherwise are not the shelf's. */
  readonly suffix: string;
  /** Mode of the files. */
  readonly mode: number;
}

/** A temporary file beside `path`, which `removeTemporaryFiles` knows again. */
export function temporaryPath(path: string, random: Random): string {
  const slash = path.lastIndexOf("/");
  return `${path.slice(0, slash)}/.${path.slice(slash + 1).slice(0, 200)}.${randomHex(random, 8)}.tmp`;
}

/**
 * Removes temporary files that a crash left in a directory. Nobody else may be writing there.
 * @throws {DiskError}
 */
export async function removeTemporaryFiles(disk: Disk, directory: string): Promise<void> {
  for (const name of await disk.list(directory)) {
    if (TEMPORARY.test(name)) await disk.removeFile(`${directory}/${name}`);
  }
}

/** A {@linkcode Shelf} in a directory; object `x` is the file `encodeName(x) + suffix`. */
export class DirectoryShelf implements Shelf {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #options: ShelfOptions;

  constructor(disk: Disk, random: Random, options: ShelfOptions) {
    this.#disk = disk;
    this.#random = random;
    this.#options = options;
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const path = this.#path(name);
    if (path === undefined) return undefined;
    try {
      return await this.#disk.readFile(path, SHELF_OBJECT_BYTES_MAX);
    } catch (error) {
      throw runtimeError("can't read an object of the store", error);
    }
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(name);
    if (path === undefined) throw new StorageError("unavailable", `"${name}" can't be the name of a stored object`);
    if (bytes.length > SHELF_OBJECT_BYTES_MAX) {
      throw new StorageError("unavailable", `${path}: ${bytes.length} bytes, ${SHELF_OBJECT_BYTES_MAX} are allowed`);
    }
    try {
      await this.#disk.replaceFile(path, temporaryPath(path, this.#random), bytes, this.#options.mode);
    } catch (error) {
      throw runtimeError("can't write an object of the store", error);
    }
  }

  async delete(name: string): Promise<boolean> {
    const path = this.#path(name);
    if (path === undefined) return false;
    try {
      return await this.#disk.removeFile(path);
    } catch (error) {
      throw runtimeError("can't remove an object of the store", error);
    }
  }

  async list(): Promise<{ readonly name: string; readonly revision: string }[]> {
    const { directory, suffix } = this.#options;
    try {
      const listed = [];
      for (const file of await this.#disk.list(directory)) {
        const name = file.endsWith(suffix) ? decodeName(file.slice(0, file.length - suffix.length)) : undefined;
        if (name === undefined || name === "") continue;
        const status = await this.#disk.status(`${directory}/${file}`);
        if (status === undefined) continue;
        listed.push({ name, revision: `${status.modifiedMs}-${status.size}-${status.inode}` });
      }
      return listed.sort((a, b) => compareNames(a.name, b.name));
    } catch (error) {
      throw runtimeError("can't list objects of the store", error);
    }
  }

  /** `undefined` for a name that no file can have. */
  #path(name: string): string | undefined {
    if (name === "" || !name.isWellFormed()) return undefined;
    const file = encodeName(name) + this.#options.suffix;
    return file.length > FILE_NAME_BYTES_MAX ? undefined : `${this.#options.directory}/${file}`;
  }
}
