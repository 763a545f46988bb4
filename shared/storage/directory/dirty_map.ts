/** The acknowledged changes of one partition that are not in its table yet, newest only, in the order of names. */
import { compareNames } from "../../names.ts";

/** Memory that an entry takes besides its name and envelope, about. */
const ENTRY_BYTES = 128;

/** A change that is not checkpointed yet. */
export interface DirtyEntry {
  /** `undefined`: deleted. */
  readonly envelope: Uint8Array | undefined;
}

/** A map by name that can also be walked in order; sorts what was added only when somebody walks. */
export class DirtyMap {
  readonly #entries = new Map<string, DirtyEntry>();
  #sorted: string[] = [];
  #added: string[] = [];
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of memory, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get(name: string): DirtyEntry | undefined {
    return this.#entries.get(name);
  }

  set(name: string, envelope: Uint8Array | undefined): void {
    const before = this.#entries.get(name);
    if (before === undefined) {
      this.#added.push(name);
      this.#bytes += name.length + ENTRY_BYTES;
    }
    this.#bytes += (envelope?.length ?? 0) - (before?.envelope?.length ?? 0);
    this.#entries.set(name, { envelope });
  }

  /** All names, sorted. Not to be changed, and good until the next change of the map. */
  names(): readonly string[] {
    if (this.#added.length > 0) {
      this.#sorted = mergeSorted(this.#sorted, this.#added.sort(compareNames));
      this.#added = [];
    }
    return this.#sorted;
  }

  /** Index in {@linkcode DirtyMap.names} of the first name that is not less than `name`. */
  indexFrom(name: string): number {
    const names = this.names();
    let low = 0;
    let high = names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (names[middle]! < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Merges two sorted lists; a name that is in both comes once. */
export function mergeSorted(left: readonly string[], right: readonly string[]): string[] {
  const merged: string[] = [];
  let at = 0;
  for (const name of right) {
    while (at < left.length && left[at]! < name) merged.push(left[at++]!);
    if (left[at] === name) at++;
    merged.push(name);
  }
  while (at < left.length) merged.push(left[at++]!);
  return merged;
}
