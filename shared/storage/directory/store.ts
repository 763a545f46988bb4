/** Opens a store in a directory: manifest, shelves, the main worker's lock, and entity access for workers. */
import { PARTITIONS_DEFAULT } from "../../limits.ts";
import { type Clock, sleep } from "../../seams/clock.ts";
import { type Random, randomHex } from "../../seams/random.ts";
import { type MainLock, type Shelf, StorageError, type Store } from "../store.ts";
import { DEFAULT_BOUNDS, type DirectoryBounds } from "./bounds.ts";
import { type Disk } from "./disk.ts";
import { DirectoryEntities } from "./entities.ts";
import { type ReportEvent } from "./events.ts";
import { createLockFile, FileLock, isLockFree, probeExclusion } from "./file_lock.ts";
import { Layout } from "./layout.ts";
import { cleanContent } from "./lock_content.ts";
import {
  decodeManifest,
  encodeManifest,
  FORMAT,
  isPartitionCount,
  type Manifest,
  MANIFEST_BYTES_MAX,
} from "./manifest.ts";
import { DirectoryShelf, removeTemporaryFiles, temporaryPath } from "./shelf.ts";
import { runtimeError, startUpError } from "./storage_errors.ts";

const AUTH_DIRECTORY_MODE = 0o700;
const AUTH_FILE_MODE = 0o600;
const FILE_MODE = 0o644;
/** How often, and how many times, to look whether another process has finished to create the store. */
const CREATE_POLL_MS = 50;
const CREATE_POLLS_MAX = 100;

/** There is no store in the directory yet; the main worker makes it. A worker may wait and try again. */
export class StoreMissingError extends StorageError {
  override name = "StoreMissingError";
  constructor(root: string) {
    super("missing", `there is no store in ${root} yet; the main worker makes one when it starts`);
  }
}

/** Where a store is, and whether it may be made. */
export interface DirectoryStoreOptions {
  readonly root: string;
  /**
   * Makes the store when there is none, with so many partitions (64 if not said). Only the main worker does that. A
   * number that is given and not the existing store's is an error.
   */
  readonly create?: { readonly partitions?: number };
}

/** What a store stands on. */
export interface DirectoryStoreParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: events are dropped. */
  readonly report?: ReportEvent;
  /** Default: {@linkcode DEFAULT_BOUNDS}. */
  readonly bounds?: Partial<DirectoryBounds>;
}

/** A {@linkcode Store} in a directory. Only owners list. */
export interface DirectoryStore extends Store {
  readonly kind: "directory";
  readonly listing: "owners";
  readonly root: string;
  isMainLockFree(): Promise<boolean>;
  openEntities(holder: string): Promise<DirectoryEntities>;
}

/**
 * Opens the store in a directory.
 * @throws {StoreMissingError} when there is none and `create` is not given.
 * @throws {StorageError} `configuration` for a directory that can't be used, a newer format or another partition count.
 */
export async function openDirectoryStore(
  options: DirectoryStoreOptions,
  parts: DirectoryStoreParts,
): Promise<DirectoryStore> {
  const layout = new Layout(options.root.replace(/(?<=.)\/+$/, ""));
  const asked = options.create?.partitions;
  if (asked !== undefined && !isPartitionCount(asked)) {
    throw new StorageError("configuration", `${asked} partitions: it must be a power of two from 1 to 1024`);
  }
  try {
    const manifest = options.create === undefined
      ? await readManifest(parts.disk, layout)
      : await createStore(layout, asked ?? PARTITIONS_DEFAULT, parts);
    if (manifest === undefined) throw new StoreMissingError(layout.root);
    if (asked !== undefined && manifest.partitions !== asked) {
      throw new StorageError(
        "configuration",
        `the store in ${layout.root} was made with ${manifest.partitions} partitions, which never change; ${asked} are asked for`,
      );
    }
    return new OpenDirectoryStore(layout, manifest, parts);
  } catch (error) {
    throw startUpError(`can't use ${layout.root} as a store`, error);
  }
}

async function readManifest(disk: Disk, layout: Layout): Promise<Manifest | undefined> {
  const bytes = await disk.readFile(layout.manifest, MANIFEST_BYTES_MAX, true);
  return bytes && decodeManifest(layout.manifest, bytes);
}

/** The store's manifest; makes the store when there is none, or waits until another process has made it. */
async function createStore(layout: Layout, partitions: number, parts: DirectoryStoreParts): Promise<Manifest> {
  const { disk, clock } = parts;
  for (let poll = 0; poll < CREATE_POLLS_MAX; poll++) {
    const manifest = await readManifest(disk, layout);
    if (manifest !== undefined) {
      // Whoever made it may have died before its name was durable.
      await disk.syncDirectory(layout.root);
      return manifest;
    }
    await disk.makeDirectory(layout.locks);
    const outcome = await FileLock.tryLock(disk, layout.createLock);
    if (outcome.kind === "locked") {
      try {
        return await readManifest(disk, layout) ?? await makeStore(layout, partitions, parts);
      } finally {
        outcome.lock.close();
      }
    }
    await sleep(clock, CREATE_POLL_MS);
  }
  throw new StorageError("unavailable", `another process is creating the store in ${layout.root} and does not finish`);
}

/** Makes everything before the manifest, which says that a store is there. */
async function makeStore(layout: Layout, partitions: number, { disk, random }: DirectoryStoreParts): Promise<Manifest> {
  await disk.makeDirectory(layout.logs);
  await disk.makeDirectory(layout.partitions);
  await disk.makeDirectory(layout.templates);
  await disk.makeDirectory(layout.auth, AUTH_DIRECTORY_MODE);
  for (const directory of [layout.logs, layout.partitions]) {
    const name = (await disk.list(directory)).find((name) => /\.(db|log)$/.test(name));
    if (name === undefined) continue;
    throw new StorageError("corrupt", `${layout.manifest} is missing, but there is data: ${directory}/${name}`);
  }
  await createLockFile(disk, layout.mainLock);
  for (let partition = 0; partition < partitions; partition++) await createLockFile(disk, layout.lock(partition));
  await disk.syncDirectory(layout.locks);
  const manifest: Manifest = { format: FORMAT, store: randomHex(random, 16), partitions };
  const temporary = temporaryPath(layout.manifest, random);
  await disk.replaceFile(layout.manifest, temporary, encodeManifest(manifest), FILE_MODE);
  return manifest;
}

class OpenDirectoryStore implements DirectoryStore {
  readonly kind = "directory";
  readonly listing = "owners";
  readonly root: string;
  readonly id: string;
  readonly partitions: number;
  readonly templates: Shelf;
  readonly auth: Shelf;
  readonly #layout: Layout;
  readonly #parts: DirectoryStoreParts;
  readonly #entities = new Set<DirectoryEntities>();
  readonly #mainLocks = new Set<MainLock>();

  constructor(layout: Layout, manifest: Manifest, parts: DirectoryStoreParts) {
    const { disk, random } = parts;
    this.#layout = layout;
    this.#parts = parts;
    this.root = layout.root;
    this.id = manifest.store;
    this.partitions = manifest.partitions;
    this.templates = new DirectoryShelf(disk, random, {
      directory: layout.templates,
      suffix: ".json",
      mode: FILE_MODE,
    });
    this.auth = new DirectoryShelf(disk, random, { directory: layout.auth, suffix: "", mode: AUTH_FILE_MODE });
  }

  async lockMain(holder: string): Promise<{ kind: "locked"; lock: MainLock } | { kind: "held"; by: string }> {
    const { disk } = this.#parts;
    const layout = this.#layout;
    let fileLock: FileLock | undefined;
    try {
      const outcome = await FileLock.tryLock(disk, layout.mainLock);
      if (outcome.kind === "held") return outcome;
      fileLock = outcome.lock;
      await probeExclusion(disk, layout.mainLock);
      await fileLock.write({ ...cleanContent(undefined), holder });
      // Only the holder writes in these, so whatever is half done there is left from a crash.
      for (const directory of [layout.root, layout.templates, layout.auth]) {
        await removeTemporaryFiles(disk, directory);
        await disk.syncDirectory(directory);
      }
    } catch (error) {
      fileLock?.close();
      throw startUpError(`can't lock the store in ${layout.root}`, error);
    }
    const lock = this.#mainLock(fileLock);
    this.#mainLocks.add(lock);
    return { kind: "locked", lock };
  }

  #mainLock(fileLock: FileLock): MainLock {
    const lock: MainLock = {
      lost: new AbortController().signal,
      release: async () => {
        if (!this.#mainLocks.delete(lock)) return;
        try {
          await fileLock.write(cleanContent(undefined));
        } catch (error) {
          throw runtimeError("can't clear the main lock", error);
        } finally {
          fileLock.close();
        }
      },
    };
    return lock;
  }

  async isMainLockFree(): Promise<boolean> {
    const path = this.#layout.mainLock;
    try {
      return await isLockFree(this.#parts.disk, path);
    } catch (error) {
      throw runtimeError("can't see who has the main lock", error);
    }
  }

  async openEntities(holder: string): Promise<DirectoryEntities> {
    const { disk, clock, random, bounds, report = () => {} } = this.#parts;
    const entities = await DirectoryEntities.open({
      disk,
      clock,
      random,
      layout: this.#layout,
      store: this.id,
      partitions: this.partitions,
      holder,
      bounds: { ...DEFAULT_BOUNDS, ...bounds },
      report,
      onClosed: (closed) => this.#entities.delete(closed),
    });
    this.#entities.add(entities);
    return entities;
  }

  async probe(): Promise<void> {
    let manifest: Manifest | undefined;
    try {
      manifest = await readManifest(this.#parts.disk, this.#layout);
    } catch (error) {
      throw runtimeError(`the store in ${this.root} does not answer`, error);
    }
    if (manifest?.store === this.id) return;
    throw new StorageError("unavailable", `${this.#layout.manifest} is gone, or another store's`);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entities].map((entities) => entities.close()));
    await Promise.all([...this.#mainLocks].map((lock) => lock.release()));
  }
}
