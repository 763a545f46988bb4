/** Counts the work of judging one document, so that no schema can stop a worker. */
import { VALIDATION_STEPS_BASE, VALIDATION_STEPS_PER_BYTE, VIOLATIONS_MAX } from "../limits.ts";

/** Thrown through generated code when a document costs more work than one may. */
export class TooCostly extends Error {
  override name = "TooCostly";
}

/** Thrown through generated code when enough problems are known. */
export class EnoughProblems extends Error {
  override name = "EnoughProblems";
}

/** Problems after which a branch of `anyOf` and the like is given up: it has failed, and nobody reads them. */
const BRANCH_PROBLEMS_MAX = 4;

/**
 * The work of one validator, which judges one document at a time. A step stands for one subschema applied to one value,
 * eight names looked up, or a few dozen characters read.
 */
export class Meter {
  /** Steps that are left. Generated code counts it down itself. */
  left = 0;
  /** A function of generated code with more problems than this stops. */
  problemsMax = 0;
  /** The problems of the function that has stopped last. */
  problems: readonly unknown[] = [];
  readonly #tooCostly = new TooCostly();
  readonly #enough = new EnoughProblems();

  /** Begins a document of so many bytes. */
  reset(bytes: number): void {
    this.left = VALIDATION_STEPS_BASE + VALIDATION_STEPS_PER_BYTE * bytes;
    this.problemsMax = VIOLATIONS_MAX;
    this.problems = [];
  }

  /** Counts `steps`. @throws {TooCostly} */
  charge(steps: number): void {
    if ((this.left -= steps) < 0) this.refuse();
  }

  /** Counts the names of an object, gone through `passes` times. @throws {TooCostly} */
  chargeNames(value: object, passes: number): void {
    let steps = 0;
    for (const name in value) {
      steps++;
      // A long name costs by its length where it becomes part of a path, above all where it must be escaped for that.
      if (name.length > 32) steps += /[~/]/.test(name) ? name.length : name.length >> 4;
    }
    this.charge(steps * passes);
  }

  /** @throws {TooCostly} */
  refuse(): never {
    throw this.#tooCostly;
  }

  /** Gives up a function with these problems. @throws {EnoughProblems} */
  stop(problems: readonly unknown[]): never {
    this.problems = problems;
    throw this.#enough;
  }

  /** Enters a branch whose problems nobody reads. @returns what {@linkcode leaveBranch} takes. */
  enterBranch(): number {
    const outer = this.problemsMax;
    this.problemsMax = BRANCH_PROBLEMS_MAX;
    return outer;
  }

  /** Leaves a branch. */
  leaveBranch(outer: number): void {
    this.problemsMax = outer;
  }

  /** Whether an exception says that a branch was given up; any other one is thrown again. */
  gaveUp(error: unknown): void {
    if (error !== this.#enough) throw error;
  }
}
