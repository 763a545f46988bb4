/** How often what is put, and is not cached, turns out to be new: whether creating it first, and reading only if that is refused, pays. */

/** Weight of each newest observation: a change of the clients' habits shows after about eleven of them. */
const WEIGHT = 1 / 16;
/** A wrong guess costs one request more than reading first, a right one saves one. */
const LIKELY_MIN = 1 / 2;

/** An exponentially weighted moving average of observed absences. It starts at 1: an empty store is filled first. */
export class AbsenceRate {
  #rate = 1;

  /** Takes an observation in: the entity was absent, or was there. */
  note(absent: boolean): void {
    this.#rate += ((absent ? 1 : 0) - this.#rate) * WEIGHT;
  }

  /** Whether the next one is more likely absent than there. */
  get likely(): boolean {
    return this.#rate >= LIKELY_MIN;
  }
}
