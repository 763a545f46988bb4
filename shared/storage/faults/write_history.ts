/** Remembers what was written to a store and how that was answered, and judges what is found afterwards. */
import assert from "assert";

/** What a write ended in, for the one who asked for it. `open`: not answered, or answered with "unknown". */
export type Answer = "committed" | "refused" | "open";

/** One write; its value is unique, `undefined` deletes. */
export interface Written {
  readonly value: string | undefined;
  answer: Answer;
}

/** The history of every name, in order; there is one write at a time for each. */
export class WriteHistory {
  readonly #writes = new Map<string, Written[]>();

  /** Notes that a write begins; its answer is set when it is known. */
  begin(name: string, value: string | undefined): Written {
    const written: Written = { value, answer: "open" };
    this.#writes.set(name, [...this.#writes.get(name) ?? [], written]);
    return written;
  }

  names(): string[] {
    return [...this.#writes.keys()];
  }

  /** Values that may be found: the last committed one, and every write after it whose answer is open. */
  allowed(name: string): (string | undefined)[] {
    const values: (string | undefined)[] = [];
    for (const { value, answer } of (this.#writes.get(name) ?? []).toReversed()) {
      if (answer === "refused") continue;
      values.push(value);
      if (answer === "committed") return values;
    }
    return [...values, undefined];
  }

  /**
   * Checks a value that was found; from now on it is a committed one. `final`: whoever wrote before is dead, so what was
   * open and is not there will never be.
   */
  found(name: string, value: string | undefined, final: boolean, where: string): void {
    const allowed = this.allowed(name);
    assert.ok(allowed.includes(value), `${where}: ${name} is ${value}; allowed: ${allowed.join(" or ")}`);
    const writes = this.#writes.get(name) ?? [];
    const at = writes.findLastIndex((written) => written.value === value && written.answer !== "refused");
    const later = final ? [] : writes.slice(at + 1);
    this.#writes.set(name, [{ value, answer: "committed" }, ...later]);
  }
}
