/** Counts the work of judging one document, so that no schema can stop a worker. */
import { VALIDATION_STEPS_BASE, VALIDATION_STEPS_PER_BYTE } from "../limits.ts";

/** Thrown through an evaluation when a document costs more work than it may. */
export class TooCostly extends Error {
  override name = "TooCostly";
}

/**
 * The work that is left. A step stands for one subschema applied to one value, one name looked up, or a few dozen
 * characters read.
 */
export class Meter {
  #left = 0;
  readonly #tooCostly = new TooCostly();

  /** Begins a document of so many bytes. */
  reset(bytes: number): void {
    this.#left = VALIDATION_STEPS_BASE + VALIDATION_STEPS_PER_BYTE * bytes;
  }

  /** Steps that are left. */
  get left(): number {
    return this.#left;
  }

  /** Counts `steps`. @throws {TooCostly} */
  charge(steps: number): void {
    if ((this.#left -= steps) < 0) throw this.#tooCostly;
  }
}
