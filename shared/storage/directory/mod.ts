/** The directory engine: a store in a directory of a POSIX file system. */
export { DEFAULT_BOUNDS, type DirectoryBounds } from "./bounds.ts";
export { type Disk, DiskError } from "./disk.ts";
export { type DirectoryEntities } from "./entities.ts";
export { type ReportEvent, type StorageEvent } from "./events.ts";
export {
  type DirectoryStore,
  type DirectoryStoreOptions,
  type DirectoryStoreParts,
  openDirectoryStore,
  StoreMissingError,
} from "./store.ts";
export { systemDisk } from "./system_disk.ts";
