/**
 * Writes whose answer never came: they may have taken effect, or may still do so. Each keeps its slot of the coherence table
 * unresolved until the worker says that its batch is finished, or a later owner has taken the partition.
 */
import { UNRESOLVED_WRITES_MAX } from "../../../shared/limits.ts";
import type { Epoch } from "../../../shared/wire/messages.ts";
import type { Snapshot } from "../../control/control.ts";

/** A write with an unknown outcome, by the last batch that carried it. */
export interface UnresolvedWrite {
  readonly session: string;
  readonly seq: number;
  readonly epoch: Epoch;
  readonly partition: number;
  readonly resolve: () => void;
}

export class UnresolvedWrites {
  readonly #dispatcher: string;
  #writes: UnresolvedWrite[] = [];

  constructor(dispatcher: string) {
    this.#dispatcher = dispatcher;
  }

  get size(): number {
    return this.#writes.length;
  }

  /** Whether no more can be remembered; writes must then be refused, for their slots could not be kept apart. */
  get full(): boolean {
    return this.#writes.length >= UNRESOLVED_WRITES_MAX;
  }

  /** Remembers a write, unless it is decided already. */
  add(write: UnresolvedWrite, snapshot: Pick<Snapshot, "finished" | "routes">): void {
    if (this.#decided(write, snapshot)) write.resolve();
    else this.#writes.push(write);
  }

  /** Resolves what has been decided by now. */
  settle(snapshot: Pick<Snapshot, "finished" | "routes">): void {
    if (this.#writes.length === 0) return;
    const open: UnresolvedWrite[] = [];
    for (const write of this.#writes) {
      if (this.#decided(write, snapshot)) write.resolve();
      else open.push(write);
    }
    this.#writes = open;
  }

  #decided(write: UnresolvedWrite, { finished, routes }: Pick<Snapshot, "finished" | "routes">): boolean {
    const floor = finished.get(`${write.session}/${this.#dispatcher}`) ?? 0;
    return floor > write.seq || (routes.takenEpochs[write.partition] ?? 0) > write.epoch;
  }
}
