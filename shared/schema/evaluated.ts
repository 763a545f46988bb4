/** What a schema has looked at in a value, for `unevaluatedItems` and `unevaluatedProperties` to leave out. */
export class Evaluated {
  /** Items before this index. */
  #prefix = 0;
  /** Further items, which `contains` has matched. */
  #items: Set<number> | undefined;
  #names: Set<string> | undefined;

  addPrefix(length: number): void {
    if (length > this.#prefix) this.#prefix = length;
  }

  addItem(index: number): void {
    (this.#items ??= new Set()).add(index);
  }

  addName(name: string): void {
    (this.#names ??= new Set()).add(name);
  }

  hasItem(index: number): boolean {
    return index < this.#prefix || (this.#items?.has(index) ?? false);
  }

  hasName(name: string): boolean {
    return this.#names?.has(name) ?? false;
  }

  /** Takes over what a subschema has looked at in the same value. */
  addAll(other: Evaluated): void {
    this.addPrefix(other.#prefix);
    if (other.#items !== undefined) { for (const index of other.#items) this.addItem(index); }
    if (other.#names !== undefined) { for (const name of other.#names) this.addName(name); }
  }

  /** What `addAll` of this costs. */
  get size(): number {
    return (this.#items?.size ?? 0) + (this.#names?.size ?? 0);
  }
}
