/**
 * A strict RFC 8259 scanner: tells where a JSON value ends in a run of bytes, or where and why it is not JSON.
 *
 * Nothing is decoded, copied or recursed into. Beyond the grammar, the bytes must be valid UTF-8 and nest at most so
 * deep. What a parser would have to decide is left open: numbers of any size, duplicate names, and lone surrogates
 * written as escapes (`"\ud800"`) pass, because documents come back as the bytes that they are.
 */
import { JSON_DEPTH_MAX } from "../limits.ts";

/** What a scan ends in. Offsets are bytes from the beginning of the scanned bytes. */
export type ScanResult =
  | {
    readonly ok: true;
    /** The document without the white space around it is `[start, end)`. */
    readonly start: number;
    readonly end: number;
  }
  | ScanProblem;

/** Why bytes are not one JSON value. `reason` is a sentence for the client: it names the offset and holds no content. */
export interface ScanProblem {
  readonly ok: false;
  /** `empty`: there is nothing but white space. */
  readonly code: "bad_json" | "empty";
  readonly reason: string;
  readonly offset: number;
}

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const LOWER_E = 0x65;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

// Classes of a byte inside a string. PLAIN must be 0: four bytes are tested at once by or-ing their classes.
const PLAIN = 0;
const END = 1;
const ESCAPE = 2;
const BAD = 3;
const UTF8_2 = 4;
const UTF8_3_E0 = 5;
const UTF8_3 = 6;
const UTF8_3_ED = 7;
const UTF8_4_F0 = 8;
const UTF8_4 = 9;
const UTF8_4_F4 = 10;

const IN_STRING = new Uint8Array(256).map((_, byte) => {
  if (byte === QUOTE) return END;
  if (byte === BACKSLASH) return ESCAPE;
  if (byte < 0x20) return BAD;
  if (byte < 0x80) return PLAIN;
  if (byte < 0xc2) return BAD;
  if (byte < 0xe0) return UTF8_2;
  if (byte < 0xf0) return byte === 0xe0 ? UTF8_3_E0 : byte === 0xed ? UTF8_3_ED : UTF8_3;
  if (byte < 0xf5) return byte === 0xf0 ? UTF8_4_F0 : byte === 0xf4 ? UTF8_4_F4 : UTF8_4;
  return BAD;
});

// Classes of a byte outside strings.
const SPACE = 1;
const DIGIT = 2;
const OUTSIDE = new Uint8Array(256).map((_, byte) => {
  if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) return SPACE;
  return byte >= 0x30 && byte <= 0x39 ? DIGIT : 0;
});

const HEX = new Uint8Array(256).map((_, byte) =>
  (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66) ? 1 : 0
);

const ESCAPED = new Uint8Array(256).map((_, byte) => '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0);

const TRUE = [0x74, 0x72, 0x75, 0x65];
const FALSE = [0x66, 0x61, 0x6c, 0x73, 0x65];
const NULL = [0x6e, 0x75, 0x6c, 0x6c];

/**
 * Checks that `bytes` are one JSON value with nothing but white space around it.
 *
 * @param depthMax How many arrays and objects may nest; a scalar has depth 0.
 */
export function scanDocument(bytes: Uint8Array, depthMax: number = JSON_DEPTH_MAX): ScanResult {
  const scanner = new JsonScanner(bytes, depthMax);
  scanner.skipSpace();
  const start = scanner.offset;
  if (!scanner.skipValue()) return scanner.problem;
  const end = scanner.offset;
  return scanner.skipToEnd() ? { ok: true, start, end } : scanner.problem;
}

/** Where a walk over an object stands: at the name of a member, past the object, or at something that is no JSON. */
export type ObjectStep = "member" | "end" | "failed";

/**
 * A position in bytes that moves over one piece of JSON at a time. A method that answers `false` or `failed` leaves the
 * reason in `problem`; the scanner is of no further use then.
 */
export class JsonScanner {
  /** The next byte to read. */
  offset = 0;
  /** The name of the member that was entered last, quotes included, is `[nameStart, nameEnd)`. */
  nameStart = 0;
  nameEnd = 0;
  readonly #bytes: Uint8Array;
  readonly #depthMax: number;
  #reason = "";
  #code: ScanProblem["code"] = "bad_json";

  constructor(bytes: Uint8Array, depthMax: number = JSON_DEPTH_MAX) {
    this.#bytes = bytes;
    this.#depthMax = depthMax;
  }

  /** Why the last call failed. */
  get problem(): ScanProblem {
    const where = this.#code === "empty" ? "" : ` at byte ${this.offset}`;
    return { ok: false, code: this.#code, reason: `${this.#reason}${where}`, offset: this.offset };
  }

  /** The byte at `offset`; `undefined` at the end. */
  peek(): number | undefined {
    return this.#bytes[this.offset];
  }

  /** Moves over white space. */
  skipSpace(): void {
    this.offset = this.#space(this.offset);
  }

  /** Moves over white space, after which nothing may follow. */
  skipToEnd(): boolean {
    const at = this.#space(this.offset);
    if (at < this.#bytes.length) return this.#fail("unexpected data after the JSON value", at) >= 0;
    this.offset = at;
    return true;
  }

  /** Moves from the `{` of an object to the name of its first member, or past the `}` of an empty one. */
  enterObject(): ObjectStep {
    this.offset = this.#space(this.offset + 1);
    if (this.#bytes[this.offset] !== CLOSE_BRACE) return "member";
    this.offset++;
    return "end";
  }

  /** Moves from the name of a member to its value and leaves where the name was in `nameStart` and `nameEnd`. */
  enterMember(): boolean {
    const start = this.offset;
    const end = this.#name(start);
    if (end < 0) return false;
    this.nameStart = start;
    this.offset = this.#space(end);
    return true;
  }

  /** Moves from the end of a member's value to the name of the next member, or past the `}`. */
  leaveMember(): ObjectStep {
    const at = this.#space(this.offset);
    const byte = this.#bytes[at];
    if (byte === COMMA) {
      this.offset = this.#space(at + 1);
      return "member";
    }
    if (byte === CLOSE_BRACE) {
      this.offset = at + 1;
      return "end";
    }
    this.#expected("',' or '}'", at);
    return "failed";
  }

  /**
   * Moves over the white space before a value and over the value.
   *
   * @param depth How many containers are open around it.
   */
  skipValue(depth = 0): boolean {
    const end = this.#value(this.offset, depth);
    if (end < 0) return false;
    this.offset = end;
    return true;
  }

  /** Where the value that begins at or after `at` ends, or -1. */
  #value(at: number, outerDepth: number): number {
    const bytes = this.#bytes;
    const length = bytes.length;
    // Whether each open container is an object, from the outermost in.
    const objects: boolean[] = [];
    let inObject = false;
    let i = at;
    for (;;) {
      // No byte of JSON outside strings is 0, so it stands for the end as well.
      let byte = i < length ? bytes[i]! : 0;
      if (byte <= 0x20) {
        i = this.#space(i);
        byte = i < length ? bytes[i]! : 0;
      }
      if (byte === QUOTE) {
        i = this.#string(i + 1);
      } else if (OUTSIDE[byte] === DIGIT || byte === MINUS) {
        i = this.#number(i);
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (objects.length + outerDepth >= this.#depthMax) {
          return this.#fail(`arrays and objects nest deeper than ${this.#depthMax} levels`, i);
        }
        objects.push(inObject);
        inObject = byte === OPEN_BRACE;
        i = this.#space(i + 1);
        if (i >= length || bytes[i] !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
          if (inObject) {
            i = this.#name(i);
            if (i < 0) return -1;
          }
          continue;
        }
        inObject = objects.pop()!;
        i++;
      } else if (byte === 0x74) {
        i = this.#literal(i, TRUE);
      } else if (byte === 0x66) {
        i = this.#literal(i, FALSE);
      } else if (byte === 0x6e) {
        i = this.#literal(i, NULL);
      } else {
        return this.#noValue(i);
      }
      if (i < 0) return -1;

      // A value has ended: close what ends with it, up to the comma before the next one.
      for (;;) {
        if (objects.length === 0) return i;
        let next = i < length ? bytes[i]! : 0;
        if (next <= 0x20) {
          i = this.#space(i);
          next = i < length ? bytes[i]! : 0;
        }
        if (next === COMMA) {
          i++;
          if (inObject) {
            i = this.#name(this.#space(i));
            if (i < 0) return -1;
          }
          break;
        }
        if (next !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
          return this.#expected(inObject ? "',' or '}'" : "',' or ']'", i);
        }
        inObject = objects.pop()!;
        i++;
      }
    }
  }

  /** Where the value of a member begins (at the latest) whose name begins at `at`, or -1. */
  #name(at: number): number {
    const bytes = this.#bytes;
    if (bytes[at] !== QUOTE) return this.#expected("a member name in quotes", at);
    let i = this.#string(at + 1);
    if (i < 0) return -1;
    this.nameEnd = i;
    i = this.#space(i);
    return bytes[i] === COLON ? i + 1 : this.#expected("':'", i);
  }

  #space(at: number): number {
    const bytes = this.#bytes;
    let i = at;
    while (i < bytes.length && OUTSIDE[bytes[i]!] === SPACE) i++;
    return i;
  }

  /** Where the string ends whose first character is at `at`: after its closing quote, or -1. */
  #string(at: number): number {
    const bytes = this.#bytes;
    const wide = bytes.length - 3;
    let i = at;
    for (;;) {
      while (
        i < wide &&
        (IN_STRING[bytes[i]!]! | IN_STRING[bytes[i + 1]!]! | IN_STRING[bytes[i + 2]!]! | IN_STRING[bytes[i + 3]!]!) ===
          0
      ) i += 4;
      if (i >= bytes.length) return this.#fail("the JSON ends inside a string", bytes.length);
      let size: number;
      switch (IN_STRING[bytes[i]!]) {
        case PLAIN:
          i++;
          continue;
        case END:
          return i + 1;
        case ESCAPE:
          i = this.#escape(i);
          if (i < 0) return -1;
          continue;
        case UTF8_2:
          size = this.#continuation(i + 1, 0x80, 0xbf) ? 2 : 0;
          break;
        case UTF8_3_E0:
          size = this.#continuation(i + 1, 0xa0, 0xbf) && this.#continuation(i + 2, 0x80, 0xbf) ? 3 : 0;
          break;
        case UTF8_3:
          size = this.#continuation(i + 1, 0x80, 0xbf) && this.#continuation(i + 2, 0x80, 0xbf) ? 3 : 0;
          break;
        case UTF8_3_ED:
          size = this.#continuation(i + 1, 0x80, 0x9f) && this.#continuation(i + 2, 0x80, 0xbf) ? 3 : 0;
          break;
        case UTF8_4_F0:
          size = this.#continuations4(i, 0x90, 0xbf) ? 4 : 0;
          break;
        case UTF8_4:
          size = this.#continuations4(i, 0x80, 0xbf) ? 4 : 0;
          break;
        case UTF8_4_F4:
          size = this.#continuations4(i, 0x80, 0x8f) ? 4 : 0;
          break;
        default:
          return bytes[i]! < 0x20
            ? this.#fail("a control character inside a string must be escaped", i)
            : this.#fail("the text is not valid UTF-8", i);
      }
      if (size === 0) return this.#fail("the text is not valid UTF-8", i);
      i += size;
    }
  }

  #continuation(at: number, min: number, max: number): boolean {
    const byte = at < this.#bytes.length ? this.#bytes[at]! : 0;
    return byte >= min && byte <= max;
  }

  #continuations4(at: number, min: number, max: number): boolean {
    return this.#continuation(at + 1, min, max) && this.#continuation(at + 2, 0x80, 0xbf) &&
      this.#continuation(at + 3, 0x80, 0xbf);
  }

  /** Where the escape ends whose backslash is at `at`, or -1. */
  #escape(at: number): number {
    const bytes = this.#bytes;
    if (at + 1 >= bytes.length) return this.#fail("the JSON ends inside a string", bytes.length);
    const byte = bytes[at + 1]!;
    if (ESCAPED[byte] === 1) return at + 2;
    if (byte !== 0x75) return this.#fail("a string has an unknown escape", at);
    for (let i = at + 2; i < at + 6; i++) {
      if (i >= bytes.length) return this.#fail("the JSON ends inside a string", bytes.length);
      if (HEX[bytes[i]!] === 0) return this.#fail("'\\u' must be followed by four hexadecimal digits", at);
    }
    return at + 6;
  }

  /** Where the number ends that begins at `at`, or -1. */
  #number(at: number): number {
    const bytes = this.#bytes;
    const length = bytes.length;
    let i = bytes[at] === MINUS ? at + 1 : at;
    const first = i;
    let byte = 0;
    while (i < length && OUTSIDE[byte = bytes[i]!] === DIGIT) i++;
    if (i === first) return this.#expected("a digit", i);
    if (bytes[first] === ZERO && i > first + 1) return this.#fail("a number has a leading zero", at);
    if (i === length) return i;
    if (byte === POINT) {
      const end = this.#digits(i + 1);
      if (end === i + 1) return this.#expected("a digit", end);
      i = end;
      byte = i < length ? bytes[i]! : 0;
    }
    if ((byte | 0x20) !== LOWER_E) return i;
    const sign = i + 1 < length ? bytes[i + 1]! : 0;
    const from = sign === PLUS || sign === MINUS ? i + 2 : i + 1;
    const end = this.#digits(from);
    return end === from ? this.#expected("a digit", end) : end;
  }

  #digits(at: number): number {
    const bytes = this.#bytes;
    let i = at;
    while (i < bytes.length && OUTSIDE[bytes[i]!] === DIGIT) i++;
    return i;
  }

  #literal(at: number, literal: readonly number[]): number {
    for (let i = 1; i < literal.length; i++) {
      if (this.#bytes[at + i] !== literal[i]) return this.#expected("a JSON value", at);
    }
    return at + literal.length;
  }

  /** Fails at a place where a value should begin and none does. */
  #noValue(at: number): number {
    const bytes = this.#bytes;
    if (at === bytes.length && this.#space(0) === at) {
      this.#code = "empty";
      return this.#fail("there is no JSON value", at);
    }
    if (at === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      return this.#fail("the text begins with a byte order mark, which JSON does not allow,", 0);
    }
    return this.#expected("a JSON value", at);
  }

  #expected(what: string, at: number): number {
    return this.#fail(at < this.#bytes.length ? `expected ${what}` : `the JSON ends where ${what} is expected,`, at);
  }

  /** Records a failure. @returns -1 */
  #fail(reason: string, at: number): number {
    this.#reason = reason;
    this.offset = Math.min(at, this.#bytes.length);
    return -1;
  }
}
