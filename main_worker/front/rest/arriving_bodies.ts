/**
 * Bodies that are on their way. Each has a bound and a deadline, but a thousand callers may each begin a large one and leave it:
 * their memory is bounded together, and those that were begun first are given up.
 */
import { HeldMemory, type Holder } from "../../../shared/held_memory.ts";
import { BODIES_ARRIVING_BYTES_MAX, BODY_UNCOUNTED_BYTES_MAX } from "../../../shared/limits.ts";
import type { Clock } from "../../../shared/seams/clock.ts";

export class ArrivingBodies {
  readonly #large: HeldMemory;

  /** @param bytesMax Default: {@linkcode BODIES_ARRIVING_BYTES_MAX} */
  constructor(bytesMax: number = BODIES_ARRIVING_BYTES_MAX) {
    this.#large = new HeldMemory(bytesMax, true);
  }

  /** Memory of those that count, in bytes. */
  get bytes(): number {
    return this.#large.bytes;
  }

  /** `giveUp` is called, once at most, when others need its room. */
  begin(giveUp: () => void): Holder {
    return this.#large.begin(giveUp);
  }

  /** It takes so much memory by now. One that is small counts for nothing, and so does what still arrives of one that is over. */
  grow(body: Holder, bytes: number): void {
    if (bytes > BODY_UNCOUNTED_BYTES_MAX) this.#large.hold(body, bytes);
  }

  /** It is whole, or not read on. */
  end(body: Holder): void {
    this.#large.end(body);
  }
}

const ofClock = new WeakMap<Clock, ArrivingBodies>();

/** Bounds the bodies that are read by a clock, before the first one is. */
export function boundArrivingBodies(clock: Clock, bytesMax: number): void {
  ofClock.set(clock, new ArrivingBodies(bytesMax));
}

/** The bodies that are read by a clock, which all who read share. */
export function arrivingBodiesOf(clock: Clock): ArrivingBodies {
  let bodies = ofClock.get(clock);
  if (bodies === undefined) ofClock.set(clock, bodies = new ArrivingBodies());
  return bodies;
}
