/** Control as a front thread sees it: the last snapshot, kept up to date by changes, and the two things that front tells control. */
import type { Control, Snapshot, Template } from "../../control/control.ts";
import type { SchemaId } from "../../../shared/names.ts";
import type { SnapshotChange } from "./messages.ts";

/** What of control is needed where entities are served. */
export type EntityControl = Pick<Control, "snapshot" | "subscribe" | "workerRefused" | "batchFloor">;

/** What is known before anything was told; nothing is served by it. */
const EMPTY: Snapshot = {
  routes: { epoch: 0, workers: new Map(), owners: [], takenEpochs: [] },
  credentials: { revision: 0, adminKeyHash: "", apiKeys: [], sessionKeys: [], clientTtlMs: 0 },
  schemas: { revision: 0, templates: new Map() },
  finished: new Map(),
};

export class ControlMirror implements EntityControl {
  readonly workerRefused: Control["workerRefused"];
  readonly batchFloor: Control["batchFloor"];
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  #snapshot: Snapshot;

  /** @param first A change that has every field. */
  constructor(first: SnapshotChange, tell: Pick<Control, "workerRefused" | "batchFloor">) {
    this.#snapshot = apply(EMPTY, first);
    this.workerRefused = tell.workerRefused;
    this.batchFloor = tell.batchFloor;
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** When it returns, this thread knows nothing older any more. */
  change(change: SnapshotChange): void {
    this.#snapshot = apply(this.#snapshot, change);
    for (const listener of this.#listeners) listener(this.#snapshot);
  }
}

/** What `next` has that `before` had not; everything, without one before. */
export function difference(before: Snapshot | undefined, next: Snapshot): SnapshotChange {
  return {
    ...(next.routes === before?.routes ? {} : { routes: next.routes }),
    ...(next.credentials === before?.credentials ? {} : { credentials: next.credentials }),
    ...(next.schemas === before?.schemas ? {} : { schemas: schemaDifference(before, next) }),
    ...(next.finished === before?.finished ? {} : { finished: next.finished }),
  };
}

function schemaDifference(before: Snapshot | undefined, next: Snapshot): NonNullable<SnapshotChange["schemas"]> {
  const known: ReadonlyMap<SchemaId, Template> = before?.schemas.templates ?? new Map();
  const { revision, templates } = next.schemas;
  return {
    revision,
    put: [...templates].filter(([id, template]) => known.get(id) !== template),
    removed: [...known.keys()].filter((id) => !templates.has(id)),
  };
}

function apply(snapshot: Snapshot, { schemas, ...fields }: SnapshotChange): Snapshot {
  if (schemas === undefined) return { ...snapshot, ...fields };
  const templates = new Map(snapshot.schemas.templates);
  for (const id of schemas.removed) templates.delete(id);
  for (const [id, template] of schemas.put) templates.set(id, template);
  return { ...snapshot, ...fields, schemas: { revision: schemas.revision, templates } };
}
