/** Order per entity: work on one name runs one after the other, work on different names does not wait for each other. */
import type { EntityName } from "../../shared/names.ts";

export class EntityOrder {
  readonly #tails = new Map<EntityName, Promise<unknown>>();

  /** Runs `work` when everything that was started on `name` before has ended, however it ended. */
  run<T>(name: EntityName, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name);
    const result = before === undefined ? work() : before.then(work, work);
    const forget = () => {
      if (this.#tails.get(name) === result) this.#tails.delete(name);
    };
    this.#tails.set(name, result);
    result.then(forget, forget);
    return result;
  }

  /** Names with work under way. */
  get size(): number {
    return this.#tails.size;
  }
}
