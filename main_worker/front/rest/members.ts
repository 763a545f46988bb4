/** Reading the members of a small JSON object that a client sent. */
import { refuse } from "./errors.ts";

// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Refuses members that nothing here reads, so that a misspelt one is noticed. @throws {Refusal} `bad_request` */
export function onlyMembers(body: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  const unknown = Object.keys(body).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw refuse("bad_request", `the body has a member that is not known here; known are ${known.join(", ")}`);
  }
}

/** A text member of at most `bytesMax` bytes, without control characters; `undefined` without it. @throws {Refusal} `bad_request` */
export function textMember(
  body: Readonly<Record<string, unknown>>,
  name: string,
  bytesMax: number,
): string | undefined {
  const value = Object.hasOwn(body, name) ? body[name] : undefined;
  if (value === undefined) return undefined;
  if (
    typeof value !== "string" || value === "" || !value.isWellFormed() || CONTROL.test(value)
  ) {
    throw refuse("bad_request", `${name} must be a text that is not empty and has no control character`);
  }
  const size = new TextEncoder().encode(value).length;
  if (size > bytesMax) throw refuse("bad_request", `${name} has ${size} bytes of UTF-8; ${bytesMax} are allowed`);
  return value;
}
