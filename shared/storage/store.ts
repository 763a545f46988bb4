/**
 * What the product needs of a store, and nothing about how. The directory engine and the bucket engine implement it;
 * `conformance.ts` is the suite that both pass.
 *
 * The main worker uses {@linkcode Store} for templates, small objects and its own lock. A processing worker opens
 * {@linkcode Entities} on it, takes partitions, and is then the only one that reads and writes them.
 */
import type { EntityName, Partition } from "../names.ts";

/** A store that cannot be used, or an operation on it that failed. */
export class StorageError extends Error {
  override name = "StorageError";
  /**
   * After an `unknown` outcome: resolves when a write that has not taken effect by then never will. It stays pending where
   * only a later owner of the partition can tell. Absent: nothing is under way any more.
   */
  readonly decided: Promise<void> | undefined;
  /**
   * `configuration`: will not work until somebody changes something (start-up error).
   * `missing`: there is no store yet; the main worker makes it.
   * `unavailable`: may work again (full disk, unreachable service); nothing was changed by the failed operation.
   * `unnameable`: this store can keep nothing under such a name; nothing was changed.
   * `unknown`: may work again; whether the failed write took effect is not known.
   * `corrupt`: stored data is damaged; the message names the file or object.
   */
  constructor(
    readonly reason: "configuration" | "missing" | "unavailable" | "unnameable" | "unknown" | "corrupt",
    message: string,
    options: ErrorOptions & { readonly decided?: Promise<void> } = {},
  ) {
    super(message, options);
    this.decided = options.decided;
  }
}

/** A few small named objects (templates, key hashes): whole values, replaced atomically and durably. */
export interface Shelf {
  /** The bytes of an object, or `undefined`. @throws {StorageError} */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Creates or replaces an object; when it resolves, a crash cannot lose it. @throws {StorageError} */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Removes an object durably; `false` when there was none. @throws {StorageError} */
  delete(name: string): Promise<boolean>;
  /** All names, sorted, each with a string that changes when its content does. @throws {StorageError} */
  list(): Promise<{ readonly name: string; readonly revision: string }[]>;
}

/** The right to be the store's one main worker. */
export interface MainLock {
  /** Aborted when the lock is lost (a lease that could not be renewed). The holder must stop serving at once. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** A store that was opened. */
export interface Store {
  readonly kind: "directory" | "bucket";
  /** Random id, made with the store, 32 hex digits. */
  readonly id: string;
  /** Partition count, a power of two, fixed when the store was made. */
  readonly partitions: number;
  /** JSON Schemas as uploaded: object `<schemaId>` is `templates/<encodeName(schemaId)>.json`. */
  readonly templates: Shelf;
  /** `_auth/`: API key hashes, join secret, key check values, epoch. Files of mode 0600. */
  readonly auth: Shelf;
  /** Whether only owners can list (`owners`, a directory) or the store itself can (`store`, a bucket; see {@linkcode Store.list}). */
  readonly listing: "owners" | "store";
  /**
   * Takes the main worker's lock. `holder` is a line for people: host, process id, start time. `holds` is told until when the
   * lock certainly holds, by the wall clock in milliseconds: first before this resolves, and after each renewal. It is never
   * called where the lock holds until it is released. @throws {StorageError}
   */
  lockMain(
    holder: string,
    holds?: (untilMs: number) => void,
  ): Promise<{ kind: "locked"; lock: MainLock } | { kind: "held"; by: string }>;
  /**
   * Whether the main worker's lock is free as this process sees it, where locks are the file system's own. While a main
   * worker serves, that means that the file system keeps each machine's locks to itself, or that this is a copy of the
   * store. @throws {StorageError}
   */
  isMainLockFree?(): Promise<boolean>;
  /** Opens entity access for one processing worker. `holder` as above. @throws {StorageError} */
  openEntities(holder: string): Promise<Entities>;
  /** Lists entities of the whole store in byte order of their names, where `listing` is `store`. @throws {StorageError} */
  list?(query: ListQuery): Promise<Listed[]>;
  /**
   * What names begin with up to their separator and with it (`encode(schema_id) + "_"`), where `listing` is `store`: of all entities,
   * and perhaps of some that are gone, or of what is none. @throws {StorageError}
   */
  schemaPrefixes?(): Promise<string[]>;
  /** Resolves when the store answers. @throws {StorageError} */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/** Which entities to list. */
export interface NameQuery {
  /** Storage names that start with this (an encoded prefix). */
  readonly prefix: string;
  /** Only names greater than this one. */
  readonly after?: string;
  readonly limit: number;
}

/** Which entities to list, and whether with their envelopes. */
export interface ListQuery extends NameQuery {
  readonly envelopes: boolean;
  /** A page with envelopes ends early when it holds this many bytes (it always holds one entity). */
  readonly bytesMax: number;
}

/** An entity in a listing. */
export interface Listed {
  readonly name: EntityName;
  /** Bytes of the envelope. */
  readonly size: number;
  /** The envelope, its beginning or nothing of it, whatever was asked for. */
  readonly envelope: Uint8Array;
}

/** What lies under a name, and the engine's mark of that very state for a conditional write. */
export interface Stored {
  readonly envelope: Uint8Array;
  /** Opaque; `undefined` in an engine whose partitions are locked by the kernel. */
  readonly token: string | undefined;
}

/** One durable change to one entity. The caller never has two in flight for the same name. */
export interface EntityWrite {
  readonly partition: Partition;
  readonly name: EntityName;
  /** The new envelope; `undefined` deletes. */
  readonly envelope: Uint8Array | undefined;
  /** Token of the state that the decision was made on; `undefined`: the entity was absent, or the engine has no tokens. */
  readonly expected: string | undefined;
  /**
   * Nothing was read: that the entity is absent, as `expected` says, is a guess, which {@linkcode Entities.blindCreate}
   * allows. A `conflict` then says that something is there, which may be this very write. Default: `false`.
   */
  readonly blind?: boolean;
}

/** `conflict`: somebody else wrote the entity; read it again and decide again. Nothing was changed, if the write was not blind. */
export type CommitOutcome = { readonly kind: "committed"; readonly token: string | undefined } | {
  readonly kind: "conflict";
};

/** `held`: a live process has the partition's lock; `by` is its holder line. */
export type TakeOutcome =
  | { readonly kind: "taken"; readonly recovered: number }
  | { readonly kind: "held"; readonly by: string }
  | { readonly kind: "corrupt"; readonly detail: string }
  | { readonly kind: "unavailable"; readonly detail: string };

/** Figures of an engine for metrics and the dashboard; counters only grow. */
export interface EntitiesStats {
  readonly logBytes: number;
  readonly dirtyEntities: number;
  readonly dirtyBytes: number;
  readonly syncs: number;
  readonly syncSecondsTotal: number;
  readonly checkpoints: number;
  readonly requests: number;
  readonly retries: number;
}

/** Entity access of one processing worker. Methods on a partition that is not taken throw `StorageError("unavailable")`. */
export interface Entities {
  /**
   * Whether an entity of which nothing is known may be created without a read before it ({@linkcode EntityWrite.blind}):
   * a read costs as much as a write does, and a creation is refused where something is there.
   */
  readonly blindCreate: boolean;
  /**
   * Whether nobody else can take a partition until it is released (a lock). Otherwise whoever learns that it owns a partition
   * anew cannot know that it owned it all the time.
   */
  readonly exclusive: boolean;
  /** Takes a partition for this process alone, with everything that was acknowledged in it by earlier owners. */
  take(partition: Partition): Promise<TakeOutcome>;
  /** Makes the partition clean for its next owner and gives it up. The caller has let its writes finish. */
  release(partition: Partition): Promise<void>;
  /** What is durably there; never a write that could still be lost. @throws {StorageError} */
  read(partition: Partition, name: EntityName): Promise<Stored | undefined>;
  /** Resolves when a crash of the machine cannot lose the write. Concurrent commits share syncs. @throws {StorageError} */
  commit(write: EntityWrite): Promise<CommitOutcome>;
  /**
   * Lists one partition in byte order of names: the beginnings of envelopes with at least their headers (a directory), or nothing
   * of them (a bucket). @throws {StorageError}
   */
  list(partition: Partition, query: NameQuery): Promise<Listed[]>;
  /** Entities by schema prefix (`encode(schema_id) + "_"`), exact; `undefined` where only a full listing could tell. */
  counts(partition: Partition): Promise<Map<string, number> | undefined>;
  stats(): EntitiesStats;
  /** Releases all partitions and closes. */
  close(): Promise<void>;
}
