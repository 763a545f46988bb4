/** The judging of one document: what is left of the work that it may cost, where it is, and what was found. */
import { VIOLATIONS_CHARS_MAX, VIOLATIONS_MAX } from "../limits.ts";
import { escapeToken } from "../json/pointer.ts";
import { Meter } from "./meter.ts";

/** One way in which a document breaks a schema. `message` quotes the schema, never the document. */
export interface SchemaViolation {
  /** JSON Pointer (RFC 6901) into the document. */
  readonly path: string;
  readonly message: string;
}

/** Thrown through an evaluation when as many problems are known as are told. */
export class EnoughProblems extends Error {
  override name = "EnoughProblems";
}

/**
 * How much is asked of an evaluation. `verdict`: only whether the value is valid; it stops at the first problem and
 * tells nothing. `first`: it stops there and tells it. `all`: every problem.
 */
export type Thoroughness = "verdict" | "first" | "all";

/** The state of one validator, which judges one document at a time. */
export class Run {
  readonly meter = new Meter();
  thoroughness: Thoroughness = "all";
  violations: SchemaViolation[] = [];
  /** What messages begin with, where they are not about the value at the path. */
  subject = "";
  readonly #path: (string | number)[] = [];
  #depth = 0;
  #chars = 0;
  readonly #enough = new EnoughProblems();

  /** Begins a document of so many bytes. */
  begin(bytes: number): void {
    this.meter.reset(bytes);
    this.thoroughness = "all";
    this.violations = [];
    this.subject = "";
    this.#depth = 0;
    this.#chars = 0;
  }

  /** Goes down to a part of the value. */
  enter(token: string | number): void {
    this.#path[this.#depth++] = token;
  }

  /** Goes back up. */
  leave(): void {
    this.#depth--;
  }

  /**
   * Takes down a problem of the value that is looked at, or of its member. @returns `false`, what a check that has a
   * problem answers.
   *
   * @throws {EnoughProblems}
   */
  problem(message: string, member?: string): false {
    if (this.thoroughness === "verdict") return false;
    let path = "";
    for (let i = 0; i < this.#depth; i++) path += `/${escapeToken(String(this.#path[i]))}`;
    if (member !== undefined) path += `/${escapeToken(member)}`;
    this.#chars += path.length + this.subject.length + message.length;
    if (this.#chars > VIOLATIONS_CHARS_MAX) {
      if (this.violations.length > 0) throw this.#enough;
      // A single path that is out of all bounds is given up to the last token that fits.
      if (path.length > VIOLATIONS_CHARS_MAX) path = path.slice(0, path.lastIndexOf("/", VIOLATIONS_CHARS_MAX));
    }
    this.violations.push({ path, message: this.subject + message });
    if (this.violations.length === VIOLATIONS_MAX) throw this.#enough;
    return false;
  }
}
