/** Where things lie in a store's directory. */
import { PARTITIONS_MAX } from "../../limits.ts";

/** Paths of the store under one root. */
export class Layout {
  readonly manifest: string;
  readonly logs: string;
  readonly partitions: string;
  readonly templates: string;
  readonly auth: string;
  readonly locks: string;
  readonly mainLock: string;
  /** Held while a store is created. */
  readonly createLock: string;

  constructor(readonly root: string) {
    this.manifest = `${root}/manifest.json`;
    this.logs = `${root}/log`;
    this.partitions = `${root}/partitions`;
    this.templates = `${root}/templates`;
    this.auth = `${root}/_auth`;
    this.locks = `${root}/locks`;
    this.mainLock = `${this.locks}/main`;
    this.createLock = `${this.locks}/create`;
  }

  /** A partition's database. */
  table(partition: number): string {
    return `${this.partitions}/${hex(partition)}.db`;
  }

  /** A partition's lock file. */
  lock(partition: number): string {
    return `${this.locks}/${hex(partition)}`;
  }
}

function hex(partition: number): string {
  if (!Number.isInteger(partition) || partition < 0 || partition >= PARTITIONS_MAX) {
    throw new RangeError(`there is no partition ${partition}`);
  }
  return partition.toString(16).padStart(2, "0");
}
