/**
 * Where each partition is: wanted at a worker, granted to it, served by it. A partition is granted to a new worker only when
 * the earlier one has given it up or is gone; every grant and every revocation takes a new epoch.
 */
import type { Partition } from "../../shared/names.ts";
import type { Epoch, HeartbeatRequest } from "../../shared/wire/messages.ts";
import { assign } from "./assignment.ts";
import type { Routes } from "./control.ts";

/** A lock that is held by somebody else for longer than this is not on its way any more: clients are told so. */
const HELD_MS_MAX = 2_000;

interface Slot {
  target: string | undefined;
  granted: { readonly session: string; readonly epoch: Epoch } | undefined;
  /** Epoch at which the granted session was told to give the partition up. */
  revoked: Epoch | undefined;
  serving: boolean;
  /** The session that serves it, or did last, and the epoch under which it took it from another one. */
  takenBy: string | undefined;
  takenEpoch: Epoch;
  trouble:
    | { readonly reason: "held" | "corrupt" | "unavailable"; readonly detail: string; readonly sinceMs: number }
    | undefined;
  /** When it was last without an owner; `undefined` while it is served. */
  unservedSinceMs: number | undefined;
}

/** A partition that nobody serves. */
export interface Unserved {
  readonly partition: Partition;
  readonly sinceMs: number;
  readonly reason: string | undefined;
}

export class Placement {
  readonly #slots: Slot[];
  readonly #now: () => number;
  readonly #members = new Set<string>();
  #epoch: Epoch;

  /** @param epoch First epoch; higher than all that an earlier main worker of the store has given out. */
  constructor(partitions: number, epoch: Epoch, now: () => number) {
    this.#epoch = epoch;
    this.#now = now;
    this.#slots = Array.from({ length: partitions }, () => ({
      target: undefined,
      granted: undefined,
      revoked: undefined,
      serving: false,
      takenBy: undefined,
      takenEpoch: 0,
      trouble: undefined,
      unservedSinceMs: now(),
    }));
  }

  /** The newest epoch that was given out. */
  get epoch(): Epoch {
    return this.#epoch;
  }

  /** A session that already holds partitions (the main worker was restarted) keeps those that nobody else serves. */
  join(session: string, holding: readonly Partition[]): void {
    this.#members.add(session);
    for (const partition of holding) {
      const slot = this.#slots[partition];
      if (slot === undefined || slot.serving) continue;
      slot.target = session;
      this.#grant(slot, session);
    }
  }

  /** A session that can own nothing any more. */
  remove(session: string): void {
    this.#members.delete(session);
    for (const slot of this.#slots) if (slot.granted?.session === session) this.#free(slot);
  }

  /** Decides anew who shall own what, among the sessions that can take partitions. Answers how many moved. */
  rebalance(sessions: readonly string[]): number {
    let moved = 0;
    assign(this.#slots.map((slot) => slot.target), sessions).forEach((target, partition) => {
      const slot = this.#slots[partition]!;
      if (slot.target !== target) moved += 1;
      slot.target = target;
    });
    this.#settle();
    return moved;
  }

  /** Takes in what a session says of itself; of partitions that there are not, nothing. */
  report(session: string, report: Pick<HeartbeatRequest, "owned" | "releasing" | "failing" | "epoch">): void {
    const owned = new Map(report.owned.map((o) => [o.partition, o.epoch]));
    const failing = new Map(report.failing.map((f) => [f.partition, f]));
    const releasing = new Set(report.releasing);
    this.#slots.forEach((slot, index) => {
      const partition = index as Partition;
      if (slot.granted?.session !== session) return;
      if (slot.revoked !== undefined) {
        const acted = report.epoch >= slot.revoked;
        if (acted && !owned.has(partition) && !releasing.has(partition)) this.#free(slot);
        return;
      }
      if (owned.get(partition) === slot.granted.epoch) {
        slot.serving = true;
        if (slot.takenBy !== session) slot.takenEpoch = slot.granted.epoch;
        slot.takenBy = session;
        slot.trouble = undefined;
        slot.unservedSinceMs = undefined;
        return;
      }
      const failure = failing.get(partition);
      if (failure === undefined) slot.trouble = undefined;
      else if (slot.trouble?.reason !== failure.reason) {
        slot.trouble = { reason: failure.reason, detail: failure.detail, sinceMs: this.#now() };
      }
    });
    this.#settle();
  }

  /** What a session shall own, by the newest epoch. */
  assignedTo(session: string): { partition: Partition; epoch: Epoch }[] {
    const assigned: { partition: Partition; epoch: Epoch }[] = [];
    this.#slots.forEach(({ granted, revoked }, partition) => {
      if (granted?.session === session && revoked === undefined) {
        assigned.push({ partition: partition as Partition, epoch: granted.epoch });
      }
    });
    return assigned;
  }

  /** Partitions that a session serves. */
  servedBy(session: string): Partition[] {
    return this.#slots.flatMap(({ granted, serving }, partition) =>
      serving && granted?.session === session ? [partition as Partition] : []
    );
  }

  unserved(): Unserved[] {
    return this.#slots.flatMap(({ unservedSinceMs, trouble }, partition) =>
      unservedSinceMs === undefined ? [] : [{
        partition: partition as Partition,
        sinceMs: unservedSinceMs,
        reason: trouble && `${trouble.reason}: ${trouble.detail}`,
      }]
    );
  }

  owners(): Pick<Routes, "epoch" | "owners" | "takenEpochs"> {
    return {
      epoch: this.#epoch,
      owners: this.#slots.map((slot) => this.#owner(slot)),
      takenEpochs: this.#slots.map((slot) => slot.takenEpoch),
    };
  }

  #owner({ granted, serving, revoked, trouble, target }: Slot): Routes["owners"][number] {
    if (serving && granted !== undefined && revoked === undefined) return granted;
    if (target === undefined) return "none";
    if (trouble === undefined) return "moving";
    return trouble.reason === "held" && this.#now() - trouble.sinceMs < HELD_MS_MAX ? "moving" : "none";
  }

  #settle(): void {
    for (const slot of this.#slots) {
      if (slot.granted !== undefined && slot.granted.session !== slot.target && slot.revoked === undefined) {
        slot.revoked = ++this.#epoch;
        this.#unserve(slot);
      }
      if (slot.granted !== undefined && slot.granted.session === slot.target && slot.revoked !== undefined) {
        this.#grant(slot, slot.target);
      }
      if (slot.granted === undefined && slot.target !== undefined && this.#members.has(slot.target)) {
        this.#grant(slot, slot.target);
      }
    }
  }

  #grant(slot: Slot, session: string): void {
    slot.granted = { session, epoch: ++this.#epoch };
    slot.revoked = undefined;
    slot.trouble = undefined;
    this.#unserve(slot);
  }

  #free(slot: Slot): void {
    slot.granted = undefined;
    slot.revoked = undefined;
    slot.trouble = undefined;
    this.#unserve(slot);
    this.#epoch += 1;
  }

  #unserve(slot: Slot): void {
    slot.serving = false;
    slot.unservedSinceMs ??= this.#now();
  }
}
