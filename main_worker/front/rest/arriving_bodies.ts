/**
 * Bodies that are on their way. Each has a bound and a deadline, but a thousand callers may each begin a large one and leave it.
 *
 * Their memory is bounded together. When it is too much, those that were begun first are given up: what is sent without pause is
 * whole within moments, so that whoever begins bodies and leaves them harms himself first.
 */
import { BODIES_ARRIVING_BYTES_MAX, BODY_UNCOUNTED_BYTES_MAX } from "../../../shared/limits.ts";
import { type Linked, LinkedList, unlinked } from "../../../shared/linked_list.ts";
import type { Clock } from "../../../shared/seams/clock.ts";

/** One that is being read. */
export interface ArrivingBody extends Linked<ArrivingBody> {
  readonly giveUp: () => void;
  /** Memory that it takes. */
  bytes: number;
  over: boolean;
}

export class ArrivingBodies {
  readonly #bytesMax: number;
  readonly #large = new LinkedList<ArrivingBody>();
  #bytes = 0;

  /** @param bytesMax Default: {@linkcode BODIES_ARRIVING_BYTES_MAX} */
  constructor(bytesMax: number = BODIES_ARRIVING_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Memory of those that count, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `giveUp` is called, once at most, when others need its room. */
  begin(giveUp: () => void): ArrivingBody {
    return { giveUp, bytes: 0, over: false, ...unlinked<ArrivingBody>() };
  }

  /** It takes so much memory by now. One that is small counts for nothing, and so does what still arrives of one that is over. */
  grow(body: ArrivingBody, bytes: number): void {
    if (body.over || bytes <= BODY_UNCOUNTED_BYTES_MAX) return;
    if (!body.listed) this.#large.add(body);
    this.#bytes += bytes - body.bytes;
    body.bytes = bytes;
    while (this.#bytes > this.#bytesMax && this.#large.size > 1) {
      const first = this.#large.first!;
      this.end(first);
      first.giveUp();
    }
  }

  /** It is whole, or not read on. */
  end(body: ArrivingBody): void {
    body.over = true;
    if (this.#large.remove(body)) this.#bytes -= body.bytes;
  }
}

const ofClock = new WeakMap<Clock, ArrivingBodies>();

/** The bodies that are read by a clock, which all who read share. */
export function arrivingBodiesOf(clock: Clock): ArrivingBodies {
  let bodies = ofClock.get(clock);
  if (bodies === undefined) ofClock.set(clock, bodies = new ArrivingBodies());
  return bodies;
}
