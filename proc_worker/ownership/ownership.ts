/**
 * Which partitions this worker serves. It follows the assignment of the main worker: takes what is assigned, gives up what
 * no longer is, and counts the operations under way in each so that none is cut off when a partition moves.
 */
import { HANDOVER_RETRY_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import type { Clock, Timer } from "../../shared/seams/clock.ts";
import type { Entities } from "../../shared/storage/store.ts";
import type { Epoch, HeartbeatRequest } from "../../shared/wire/messages.ts";

interface Owned {
  /** `taking` and `releasing` are on their way; `renewing` waits for operations of the earlier epoch to end. */
  state: "taking" | "serving" | "renewing" | "releasing";
  /** Epoch under which it serves, or will. */
  epoch: Epoch;
  active: number;
  /** Operations are under way that began before a {@linkcode Ownership.lapse}. */
  lapsed: boolean;
  idle: (() => void) | undefined;
  failure: { reason: "held" | "corrupt" | "unavailable"; detail: string } | undefined;
  retry: Timer | undefined;
}

/** What the parts around it need to know of a change. */
export interface OwnershipEvents {
  /** Something changed that the main worker should know. */
  changed(): void;
  /** A partition was given up, or may have been another's for a while: forget what is cached of it. */
  dropped(partition: Partition): void;
}

/** Partitions that are taken or released at the same time. */
const PARALLEL = 8;

export class Ownership {
  readonly #entities: Entities;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events: OwnershipEvents;
  readonly #partitions = new Map<Partition, Owned>();
  #wanted = new Map<Partition, Epoch>();
  #epoch: Epoch = 0;
  #running = 0;
  readonly #waiting: (() => Promise<void>)[] = [];
  #closed = false;

  constructor(entities: Entities, clock: Clock, log: Logger, events: OwnershipEvents) {
    this.#entities = entities;
    this.#clock = clock;
    this.#log = log;
    this.#events = events;
  }

  /** Epoch of the last assignment that was acted on. */
  get epoch(): Epoch {
    return this.#epoch;
  }

  /** Acts on an assignment; one that is older than the last is ignored. */
  assign(epoch: Epoch, assigned: readonly { partition: Partition; epoch: Epoch }[]): void {
    if (epoch <= this.#epoch || this.#closed) return;
    this.#epoch = epoch;
    const before = this.#wanted;
    this.#wanted = new Map(assigned.map((a) => [a.partition, a.epoch]));
    const same = before.size === this.#wanted.size && [...before].every(([p, e]) => this.#wanted.get(p) === e);
    if (same) return;
    for (const partition of new Set([...this.#partitions.keys(), ...this.#wanted.keys()])) this.#step(partition);
    this.#events.changed();
  }

  /**
   * Counts an operation in, if this worker serves the partition for routes of `epoch`; then {@linkcode leave} must follow.
   * Refused: a partition that is not served, and routes older than the ownership (they may be of an earlier main worker).
   */
  enter(partition: Partition, epoch: Epoch): boolean {
    const owned = this.#partitions.get(partition);
    if (owned === undefined || owned.state !== "serving" || epoch < owned.epoch) return false;
    owned.active += 1;
    return true;
  }

  leave(partition: Partition): void {
    const owned = this.#partitions.get(partition);
    if (owned === undefined) return;
    owned.active -= 1;
    if (owned.active === 0) {
      owned.lapsed = false;
      owned.idle?.();
      owned.idle = undefined;
    }
  }

  /**
   * The main worker may have given everything to others for a while, and what is under way here may have been answered there.
   * Where a taken partition keeps nobody out, it is served again only when that has ended, with nothing cached.
   */
  lapse(): void {
    if (this.#entities.exclusive) return;
    for (const [partition, owned] of this.#partitions) {
      owned.lapsed = owned.active > 0;
      if (owned.state === "serving") this.#renew(partition, owned, owned.epoch);
    }
  }

  /** Whether operations are under way in the partition that began before a {@linkcode lapse}: they must change nothing any more. */
  lapsed(partition: Partition): boolean {
    return this.#partitions.get(partition)?.lapsed ?? false;
  }

  /** Epoch under which the operations that are counted in at a partition run. */
  epochOf(partition: Partition): Epoch {
    return this.#partitions.get(partition)?.epoch ?? 0;
  }

  /** Partitions that are served, with the epoch of each. */
  serving(): { partition: Partition; epoch: Epoch }[] {
    return [...this.#partitions].filter(([, o]) => o.state === "serving").map(([partition, o]) => ({
      partition,
      epoch: o.epoch,
    }));
  }

  /** Partitions whose lock this worker has: served, or on the way in or out. */
  holding(): Partition[] {
    return [...this.#partitions].filter(([, o]) => o.state !== "taking").map(([partition]) => partition);
  }

  /** Partitions that are no longer served and not given up yet. */
  releasing(): Partition[] {
    return [...this.#partitions].filter(([, o]) => o.state === "releasing").map(([partition]) => partition);
  }

  failing(): HeartbeatRequest["failing"] {
    return [...this.#partitions].flatMap(([partition, { failure }]) => failure ? [{ partition, ...failure }] : []);
  }

  /** Gives everything up, cleanly, and takes nothing more. */
  async close(): Promise<void> {
    this.#wanted = new Map();
    this.#closed = true;
    for (const partition of [...this.#partitions.keys()]) this.#step(partition);
    while (this.#partitions.size > 0) await new Promise<void>((resolve) => this.#onSettled.push(resolve));
  }

  readonly #onSettled: (() => void)[] = [];

  /** Brings one partition a step nearer to what is wanted; called again whenever a step has ended. */
  #step(partition: Partition): void {
    const epoch = this.#wanted.get(partition);
    const owned = this.#partitions.get(partition);
    if (owned === undefined) {
      if (epoch !== undefined) this.#take(partition, epoch);
    } else if (owned.state === "serving") {
      if (epoch === undefined) this.#release(partition, owned);
      else if (epoch > owned.epoch) this.#renew(partition, owned, epoch);
    } else if (owned.state === "taking" && owned.retry !== undefined && epoch === undefined) {
      this.#forget(partition, owned);
    }
  }

  #take(partition: Partition, epoch: Epoch): void {
    const owned: Owned = {
      state: "taking",
      epoch,
      active: 0,
      lapsed: false,
      idle: undefined,
      failure: undefined,
      retry: undefined,
    };
    this.#partitions.set(partition, owned);
    this.#attempt(partition, owned);
  }

  #attempt(partition: Partition, owned: Owned): void {
    owned.retry = undefined;
    this.#run(async () => {
      if (!this.#wanted.has(partition)) return this.#forget(partition, owned);
      const outcome = await this.#entities.take(partition).catch((error) => ({
        kind: "unavailable" as const,
        detail: error instanceof Error ? error.message : String(error),
      }));
      if (outcome.kind === "taken") {
        owned.failure = undefined;
        owned.epoch = this.#wanted.get(partition) ?? owned.epoch;
        owned.state = "serving";
        this.#log.debug("partition_taken", { partition, epoch: owned.epoch, recovered: outcome.recovered });
        this.#step(partition);
      } else {
        const failure = { reason: outcome.kind, detail: outcome.kind === "held" ? outcome.by : outcome.detail };
        if (owned.failure?.reason !== failure.reason) {
          this.#log.warn("partition_not_taken", { partition, reason: failure.reason, detail: failure.detail });
        }
        owned.failure = failure;
        owned.retry = this.#clock.setTimer(() => this.#attempt(partition, owned), HANDOVER_RETRY_MS);
        this.#step(partition);
      }
      this.#events.changed();
    });
  }

  #renew(partition: Partition, owned: Owned, epoch: Epoch): void {
    owned.state = "renewing";
    this.#whenIdle(owned, () => {
      // The main worker was restarted, or missed this worker for a while: without a lock it may have let another one write.
      if (!this.#entities.exclusive) this.#events.dropped(partition);
      owned.epoch = this.#wanted.get(partition) ?? epoch;
      owned.state = "serving";
      this.#step(partition);
      this.#events.changed();
    });
  }

  #release(partition: Partition, owned: Owned): void {
    owned.state = "releasing";
    this.#whenIdle(owned, () =>
      this.#run(async () => {
        this.#events.dropped(partition);
        try {
          await this.#entities.release(partition);
        } catch (error) {
          // The lock is still held, so nobody else can serve it: try again until the storage takes what it must keep.
          this.#log.error("partition_release_failed", { partition, error });
          if (!this.#closed) {
            owned.retry = this.#clock.setTimer(() => this.#release(partition, owned), HANDOVER_RETRY_MS);
            return;
          }
        }
        this.#forget(partition, owned);
        this.#log.debug("partition_released", { partition });
        this.#step(partition);
        this.#events.changed();
      }));
  }

  #whenIdle(owned: Owned, then: () => void): void {
    if (owned.active === 0) then();
    else owned.idle = then;
  }

  #forget(partition: Partition, owned: Owned): void {
    if (owned.retry !== undefined) this.#clock.clearTimer(owned.retry);
    this.#partitions.delete(partition);
    for (const resolve of this.#onSettled.splice(0)) resolve();
  }

  #run(work: () => Promise<void>): void {
    if (this.#running >= PARALLEL) {
      this.#waiting.push(work);
      return;
    }
    this.#running += 1;
    work().catch((error) => this.#log.error("partition_step_failed", { error })).finally(() => {
      this.#running -= 1;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#run(next);
    });
  }
}
