/** What the front doors (REST, gRPC) can ask of entities. `dispatch/` implements it; doors hold no other way to data. */
import type { EntityKey, SchemaId } from "../../shared/names.ts";
import type { EntityMeta, Failure, Outcome } from "../../shared/outcome.ts";

/** Conditions of a request, ETags without quotes; `*` stands for any version. */
export interface Conditions {
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
}

/** Options of a write. */
export interface WriteOptions extends Conditions {
  /** Write even over an entity whose key is not held (it is lost then). Default: false. */
  readonly force?: boolean;
}

/** How a PUT of many ended: one outcome per key when storing began, or one failure when nothing was written. */
export type PutManyOutcome = { readonly kind: "done"; readonly outcomes: ReadonlyMap<EntityKey, Outcome> } | Failure;

export interface ListOptions {
  /** Keys that start with this; empty: all. */
  readonly prefix: string;
  /** Storage name after which the page starts; empty: the beginning. */
  readonly after: string;
  readonly limit: number;
  readonly values: boolean;
}

export interface ListEntry {
  readonly key: EntityKey;
  /** `undefined` on a bucket without `values`. */
  readonly meta: EntityMeta | undefined;
  /** Bytes of the document, as far as known. */
  readonly size: number;
  readonly value?: Uint8Array;
  readonly problem?: "tampered" | "key_unavailable";
}

/** `next`: storage name to continue after, or `null` at the end. */
export type ListOutcome =
  | { readonly kind: "page"; readonly entries: readonly ListEntry[]; readonly next: string | null }
  | Failure;

/** One acknowledged write, or a `reset`: events were lost, list again. */
export type WatchEvent =
  | {
    readonly kind: "put" | "delete";
    readonly sequence: string;
    readonly key: EntityKey;
    readonly version: number;
    readonly etag: string;
  }
  | { readonly kind: "reset"; readonly sequence: string };

export interface WatchOptions {
  readonly prefix: string;
  /** `sequence` of the last event that the client has seen. */
  readonly lastEventId?: string;
}

/** A subscription; iterate it until it ends, each time over what has come since the last. It ends by itself when its buffer overflowed (the client resumes and gets a `reset`). */
export interface Watch extends AsyncIterable<readonly WatchEvent[]> {
  close(): void;
}

export interface EntityService {
  /** A hit in the read cache is answered without a promise. */
  get(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Outcome | Promise<Outcome>;
  put(schemaId: SchemaId, key: EntityKey, document: Uint8Array, options: WriteOptions): Promise<Outcome>;
  /** Why a PUT of many would not be taken now, whatever is in it: it need not be looked at then. */
  crowded(schemaId: SchemaId): Failure | undefined;
  /** Validates all before it writes any. */
  putMany(
    schemaId: SchemaId,
    documents: ReadonlyMap<EntityKey, Uint8Array>,
    options: WriteOptions,
  ): Promise<PutManyOutcome>;
  /** Applies an RFC 7396 merge patch under the owner's ordering. */
  patch(schemaId: SchemaId, key: EntityKey, patch: Uint8Array, conditions: Conditions): Promise<Outcome>;
  delete(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Promise<Outcome>;
  getMany(schemaId: SchemaId, keys: readonly EntityKey[]): Promise<ReadonlyMap<EntityKey, Outcome>>;
  list(schemaId: SchemaId, options: ListOptions): Promise<ListOutcome>;
  /** Entities per schema that holds at least one; `null` where the store cannot count. */
  counts(): Promise<{ readonly kind: "counts"; readonly counts: ReadonlyMap<SchemaId, number | null> } | Failure>;
  watch(schemaId: SchemaId, options: WatchOptions): Promise<Watch | Failure>;
}
