/**
 * Counters that tell whether a cached entity is still current, shared by all front threads. A write marks the slot of its entity
 * unresolved before it leaves and advances the slot when its outcome is known; an entry is good only under the stamp that
 * it was filled under, while nothing in its slot is unresolved. Entities that share a slot only cost each other cache hits.
 *
 * All of this holds as long as every write passes through this main worker. Where its right to the store can end while it is
 * paused (a lease), the table also keeps until when it has that right: from then on nothing is current.
 */
import { COHERENCE_SLOTS } from "../../../shared/limits.ts";
import type { Clock } from "../../../shared/seams/clock.ts";

/** Version of a slot at a moment when none of its writes was unresolved. */
export type Stamp = number;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class CoherenceTable {
  readonly #versions: Int32Array;
  readonly #unresolved: Int32Array;
  readonly #locks: Int32Array;
  /** One number: seconds of the wall clock at which the right ends; 0: it does not end by itself. */
  readonly #ends: Uint32Array;
  readonly #clock: Pick<Clock, "now">;

  /** @param memory From {@linkcode CoherenceTable.allocate}; the same for every thread. */
  constructor(memory: SharedArrayBuffer, clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#versions = new Int32Array(memory, 0, COHERENCE_SLOTS);
    this.#unresolved = new Int32Array(memory, COHERENCE_SLOTS * 4, COHERENCE_SLOTS);
    this.#locks = new Int32Array(memory, COHERENCE_SLOTS * 8, COHERENCE_SLOTS);
    this.#ends = new Uint32Array(memory, COHERENCE_SLOTS * 12, 1);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(COHERENCE_SLOTS * 12 + 4);
  }

  /** From `untilMs` of the wall clock on (at most a second earlier) nothing is current, unless this is called again. */
  holdsUntil(untilMs: number): void {
    Atomics.store(this.#ends, 0, Math.max(Math.floor(untilMs / 1_000), 1));
  }

  /** The slot of a storage name (FNV-1a over its characters, which are ASCII). */
  slotOf(name: string): number {
    let hash = FNV_OFFSET;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), FNV_PRIME);
    return (hash ^ hash >>> 16) & (COHERENCE_SLOTS - 1);
  }

  /** The slot's stamp, or `undefined` while a write in it is unresolved. */
  stamp(slot: number): Stamp | undefined {
    const version = Atomics.load(this.#versions, slot);
    return Atomics.load(this.#unresolved, slot) === 0 ? version : undefined;
  }

  /** Whether what was read or filled under `stamp` is still current. */
  isCurrent(slot: number, stamp: Stamp): boolean {
    return this.stamp(slot) === stamp && this.#holds();
  }

  #holds(): boolean {
    const ends = Atomics.load(this.#ends, 0);
    return ends === 0 || this.#clock.now() < ends * 1_000;
  }

  /** A write is about to leave. Answers the stamp before it, if it is the only one in its slot. */
  begin(slot: number): Stamp | undefined {
    const others = Atomics.add(this.#unresolved, slot, 1);
    return others === 0 ? Atomics.load(this.#versions, slot) : undefined;
  }

  /**
   * The outcome of a write is known. Answers the stamp under which its result may be cached: only if no other write of the
   * slot began or ended since `begun`, the answer of {@linkcode begin}.
   */
  resolve(slot: number, begun: Stamp | undefined): Stamp | undefined {
    const before = Atomics.add(this.#versions, slot, 1);
    const others = Atomics.sub(this.#unresolved, slot, 1) - 1;
    return others === 0 && before === begun ? (before + 1) | 0 : undefined;
  }

  /**
   * Takes the slot for one write of one front. Where several fronts dispatch, the next write of an entity may only be sent
   * when the outcome of the one before was answered, whichever front that one came through.
   */
  tryLock(slot: number): boolean {
    return Atomics.compareExchange(this.#locks, slot, 0, 1) === 0;
  }

  unlock(slot: number): void {
    Atomics.store(this.#locks, slot, 0);
    Atomics.notify(this.#locks, slot, 1);
  }

  /** Resolves when somebody has unlocked the slot, at the latest after `ms`; it may be locked again by then. */
  async unlocked(slot: number, ms: number): Promise<void> {
    const waiting = Atomics.waitAsync(this.#locks, slot, 1, ms);
    if (waiting.async) await waiting.value;
  }
}
