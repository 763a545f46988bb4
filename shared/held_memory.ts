/**
 * Memory that many hold, bounded together. When it is too much, those that were begun first are given up: what is sent without
 * pause is over within moments, so that whoever begins something and leaves it harms himself first.
 */
import { type Linked, LinkedList, unlinked } from "./linked_list.ts";

/** One that holds memory. */
export interface Holder extends Linked<Holder> {
  readonly giveUp: () => void;
  /** What it holds. */
  bytes: number;
  over: boolean;
}

export class HeldMemory {
  readonly #bytesMax: number;
  readonly #sparesLast: boolean;
  readonly #holders = new LinkedList<Holder>();
  #bytes = 0;

  /** @param sparesLast whether one alone may hold more than `bytesMax`. */
  constructor(bytesMax: number, sparesLast: boolean) {
    this.#bytesMax = bytesMax;
    this.#sparesLast = sparesLast;
  }

  /** What all hold now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** One that holds nothing yet. `giveUp` is called, once at most, when others need its room. */
  begin(giveUp: () => void): Holder {
    return { giveUp, bytes: 0, over: false, ...unlinked<Holder>() };
  }

  /** It holds so much by now. Of one that is over nothing counts. */
  hold(holder: Holder, bytes: number): void {
    if (holder.over) return;
    if (!holder.listed) this.#holders.add(holder);
    this.#bytes += bytes - holder.bytes;
    holder.bytes = bytes;
    while (this.#bytes > this.#bytesMax && !(this.#sparesLast && this.#holders.size === 1)) {
      const first = this.#holders.first!;
      this.end(first);
      first.giveUp();
    }
  }

  /** It holds nothing now, and is among the last if it does again. */
  letGo(holder: Holder): void {
    if (!this.#holders.remove(holder)) return;
    this.#bytes -= holder.bytes;
    holder.bytes = 0;
  }

  /** It will hold nothing any more. */
  end(holder: Holder): void {
    holder.over = true;
    this.letGo(holder);
  }
}
