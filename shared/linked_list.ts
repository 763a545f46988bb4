/**
 * A list whose items carry the links: in and out in constant time, in the order of arrival.
 *
 * For what comes and goes with each request it takes the place of a Set or a Map. V8 gives those a new table every few changes,
 * and leads from each table to the next one: when one that is not needed any more has got into the old generation, all
 * tables after it count as needed until that is collected, with all that was in them.
 */

/** What an item has for the one list that it may be in. */
export interface Linked<Item> {
  /** Whether it is in the list. */
  listed: boolean;
  previous: Item | undefined;
  next: Item | undefined;
}

/** The links of a new item. */
export function unlinked<Item>(): Linked<Item> {
  return { listed: false, previous: undefined, next: undefined };
}

export class LinkedList<Item extends Linked<Item>> {
  #first: Item | undefined;
  #last: Item | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that has been in for the longest time. */
  get first(): Item | undefined {
    return this.#first;
  }

  /** Puts an item at the end. @throws {TypeError} when it is in a list already */
  add(item: Item): void {
    if (item.listed) throw new TypeError("the item is in a list already");
    item.listed = true;
    item.previous = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
    this.#size += 1;
  }

  /** Takes an item out; `false` when it was not in. */
  remove(item: Item): boolean {
    if (!item.listed) return false;
    const { previous, next } = item;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    // An item that is out must not lead to those that are in, for the same reason as with a table.
    item.listed = false;
    item.previous = item.next = undefined;
    this.#size -= 1;
    return true;
  }

  /** In the order of arrival. Nothing may be taken out meanwhile. */
  *[Symbol.iterator](): Generator<Item, void, undefined> {
    for (let item = this.#first; item !== undefined; item = item.next) yield item;
  }
}
