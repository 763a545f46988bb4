/**
 * Regular expressions of schemas, matched in linear time.
 *
 * JSON Schema's patterns are ECMAScript's. They are read here by that grammar and run by RE2, written out in its
 * syntax so that they mean the same: `\s` and `.` cover what they cover in ECMAScript, `$` is the end of the text, a
 * character is a code point. What no linear-time engine can do (backreferences, lookaround) is refused. Patterns of a
 * simple shape, on which a backtracking engine can't go astray, stay with the engine of the platform: it answers in a
 * tenth of the time.
 */
import { RE2JS } from "re2js";
import { PATTERN_CHARS_MAX, PATTERN_SIZE_MAX } from "../limits.ts";
import type { Meter } from "./meter.ts";

/** A compiled pattern. `test` finds it anywhere in a text and charges the meter for its work. */
export interface Pattern {
  readonly source: string;
  /** Characters and classes, repetitions written out: what compiling it costs. */
  readonly size: number;
  /** Bytes that it may hold, at most. */
  readonly weight: number;
  test(text: string): boolean;
}

/** A pattern that cannot be used; the message says why and quotes at most the piece in question. */
export class PatternError extends Error {
  override name = "PatternError";
}

/** RE2 keeps the states of its automaton; beyond this it forgets them, or goes on without. */
const AUTOMATON_BYTES_MAX = 128 * 1024;
const GROUPS_DEEP_MAX = 50;
const CODE_POINT_MAX = 0x10ffff;
/** RE2's own bound on the number of a counted repetition. */
const REPEAT_MAX = 1_000;
/** A class of Unicode has hundreds of ranges, each of which RE2 copies into every repetition. */
const UNICODE_CLASS_SIZE = 20;
/** A simple pattern may hold this many characters, since a search tries all of them at each place. */
const SIMPLE_SIZE_MAX = 64;

/** @throws {PatternError} */
export function compilePattern(source: string, meter: Meter): Pattern {
  if (source.length > PATTERN_CHARS_MAX) {
    throw new PatternError(`the pattern has ${source.length} characters; ${PATTERN_CHARS_MAX} are allowed`);
  }
  const native = platformRegExp(source, "u");
  if (native === undefined && platformRegExp(source, "") === undefined) {
    throw new PatternError("the pattern is not a regular expression");
  }
  const translation = new Translator(source, native !== undefined).translate();
  if (native !== undefined && translation.simple) {
    return {
      source,
      size: translation.size,
      weight: 1_024,
      test(text) {
        meter.charge(1 + ((text.length * translation.size) >> 5));
        return native.test(text);
      },
    };
  }
  let engine: RE2JS;
  try {
    engine = RE2JS.compile(translation.re2);
  } catch {
    throw new PatternError("the pattern uses a class of characters that is not supported");
  }
  const programSize = engine.programSize();
  // For unambiguous patterns RE2 has an engine that finds groups, which nobody asks for here; the automaton is faster.
  Object.assign(engine.re2(), { onepass: null });
  meterAutomaton(engine.re2().dfa, programSize, meter);
  return {
    source,
    size: translation.size,
    weight: AUTOMATON_BYTES_MAX + 512 * programSize,
    test(text) {
      meter.charge(16 + text.length);
      return engine.test(text);
    },
  };
}

/** The part of RE2's lazy automaton whose work depends on more than the length of the text. */
interface Automaton {
  stateBudget: number;
  memBudget: number;
  /** Makes a transition that is not known yet. */
  step(state: { readonly nfaStates: readonly number[] }, ...rest: unknown[]): unknown;
  /** Whether the text matches; `null` when the states are too many, and the instructions are run one by one. */
  match(input: { endPos(): number }, ...rest: unknown[]): boolean | null;
}

/** Bounds what an automaton keeps, and charges for the work that is done again and again when it can't keep enough. */
function meterAutomaton(automaton: Automaton, programSize: number, meter: Meter): void {
  automaton.stateBudget = Math.min(automaton.stateBudget, AUTOMATON_BYTES_MAX);
  automaton.memBudget = Math.min(automaton.memBudget, AUTOMATON_BYTES_MAX);
  const step = automaton.step.bind(automaton);
  automaton.step = (state, ...rest) => {
    meter.charge(1 + state.nfaStates.length);
    return step(state, ...rest);
  };
  const match = automaton.match.bind(automaton);
  automaton.match = (input, ...rest) => {
    const found = match(input, ...rest);
    if (found === null) meter.charge(input.endPos() * programSize);
    return found;
  };
}

function platformRegExp(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, flags);
  } catch {
    return undefined;
  }
}

type Range = readonly [low: number, high: number];

const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORD: readonly Range[] = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACE: readonly Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly Range[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]];
const ANY: readonly Range[] = [[0, CODE_POINT_MAX]];

const CONTROL_ESCAPES: Readonly<Record<string, number>> = { t: 0x09, n: 0x0a, v: 0x0b, f: 0x0c, r: 0x0d };
const CLASS_ESCAPES: Readonly<Record<string, readonly Range[]>> = { d: DIGITS, w: WORD, s: SPACE };

/** General categories by the long names that ECMAScript allows and RE2 does not know. */
const CATEGORIES: ReadonlyMap<string, string> = new Map(
  ("Letter L, Uppercase_Letter Lu, Lowercase_Letter Ll, Titlecase_Letter Lt, Modifier_Letter Lm, Other_Letter Lo, " +
    "Mark M, Combining_Mark M, Nonspacing_Mark Mn, Spacing_Mark Mc, Enclosing_Mark Me, " +
    "Number N, Decimal_Number Nd, digit Nd, Letter_Number Nl, Other_Number No, " +
    "Punctuation P, punct P, Connector_Punctuation Pc, Dash_Punctuation Pd, Open_Punctuation Ps, " +
    "Close_Punctuation Pe, Initial_Punctuation Pi, Final_Punctuation Pf, Other_Punctuation Po, " +
    "Symbol S, Math_Symbol Sm, Currency_Symbol Sc, Modifier_Symbol Sk, Other_Symbol So, " +
    "Separator Z, Space_Separator Zs, Line_Separator Zl, Paragraph_Separator Zp, " +
    "Other C, Control Cc, cntrl Cc, Format Cf, Surrogate Cs, Private_Use Co")
    .split(", ").map((pair) => pair.split(" ") as [string, string]),
);

/** The ranges outside `ranges`, which are in order. */
function complement(ranges: readonly Range[]): Range[] {
  const rest: Range[] = [];
  let from = 0;
  for (const [low, high] of ranges) {
    if (low > from) rest.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= CODE_POINT_MAX) rest.push([from, CODE_POINT_MAX]);
  return rest;
}

function re2Char(codePoint: number): string {
  const char = String.fromCodePoint(codePoint);
  return /^[A-Za-z0-9]$/.test(char) ? char : `\\x{${codePoint.toString(16)}}`;
}

function re2Ranges(ranges: readonly Range[]): string {
  return ranges.map(([low, high]) => low === high ? re2Char(low) : `${re2Char(low)}-${re2Char(high)}`).join("");
}

function re2Class(ranges: readonly Range[], properties: string, negated: boolean): string {
  const inside = re2Ranges(ranges) + properties;
  // An empty class is no syntax of RE2.
  if (inside === "") return `[${negated ? "" : "^"}${re2Ranges(ANY)}]`;
  return `[${negated ? "^" : ""}${inside}]`;
}

/** A piece of a pattern in RE2's syntax. `size` counts characters and classes, repetitions written out. */
interface Piece {
  readonly text: string;
  readonly size: number;
}

/** Reads a pattern that the platform has accepted, by recursive descent. */
class Translator {
  readonly #source: string;
  readonly #unicode: boolean;
  #at = 0;
  #depth = 0;
  /** Whether all is one sequence of characters and classes. */
  #flat = true;
  /** Repetitions whose count is not fixed. */
  #variable = 0;
  #anchored = false;

  constructor(source: string, unicode: boolean) {
    this.#source = source;
    this.#unicode = unicode;
  }

  translate(): { re2: string; size: number; simple: boolean } {
    this.#anchored = this.#source.startsWith("^");
    const { text, size } = this.#disjunction();
    // With the beginning fixed and one repetition to give back from, a failed match costs one look per character.
    const simple = this.#flat && size <= SIMPLE_SIZE_MAX && this.#variable <= (this.#anchored ? 1 : 0);
    return { re2: text, size, simple };
  }

  #disjunction(): Piece {
    let { text, size } = this.#sequence();
    while (this.#skip("|")) {
      this.#flat = false;
      const alternative = this.#sequence();
      text += `|${alternative.text}`;
      size += alternative.size + 1;
      if (size > PATTERN_SIZE_MAX) tooLarge();
    }
    return { text, size };
  }

  #sequence(): Piece {
    let text = "";
    let size = 0;
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) {
      const term = this.#term();
      text += term.text;
      size += term.size;
      if (size > PATTERN_SIZE_MAX) tooLarge();
    }
    return { text, size };
  }

  #term(): Piece {
    for (const assertion of ["^", "$", "\\b", "\\B"]) {
      if (!this.#skip(assertion)) continue;
      if ("*+?{".includes(this.#peek())) throw new PatternError(`"${assertion}" cannot be repeated`);
      return { text: assertion, size: 0 };
    }
    const piece = this.#atom();
    return this.#quantified(piece);
  }

  #atom(): Piece {
    if (this.#skip("(")) return this.#group();
    if (this.#skip("[")) return this.#class();
    if (this.#skip(".")) return { text: re2Class(LINE_ENDS, "", true), size: 1 };
    if (this.#skip("\\")) {
      const escape = this.#escape(false);
      if (typeof escape === "number") return { text: re2Char(escape), size: 1 };
      return {
        text: re2Class(escape.ranges, escape.property, false),
        size: escape.property === "" ? 1 : UNICODE_CLASS_SIZE,
      };
    }
    return { text: re2Char(this.#codePoint()), size: 1 };
  }

  #group(): Piece {
    this.#flat = false;
    if (this.#skip("?")) {
      if (this.#skip("=") || this.#skip("!") || this.#skip("<=") || this.#skip("<!")) {
        throw new PatternError("the pattern looks ahead or behind, which cannot be matched in linear time");
      }
      if (this.#skip("<")) this.#at = this.#source.indexOf(">", this.#at) + 1;
      else if (!this.#skip(":")) throw new PatternError("the pattern switches flags, which is not supported");
    }
    if (++this.#depth > GROUPS_DEEP_MAX) {
      throw new PatternError(`the groups of the pattern nest deeper than ${GROUPS_DEEP_MAX} levels`);
    }
    const { text, size } = this.#disjunction();
    this.#depth--;
    this.#at++;
    return { text: `(?:${text})`, size: size + 1 };
  }

  #quantified(piece: Piece): Piece {
    let min: number;
    let max: number;
    if (this.#skip("*")) [min, max] = [0, Infinity];
    else if (this.#skip("+")) [min, max] = [1, Infinity];
    else if (this.#skip("?")) [min, max] = [0, 1];
    else {
      const counts = /\{(\d+)(?:(,)(\d*))?\}/y;
      counts.lastIndex = this.#at;
      const counted = counts.exec(this.#source);
      if (counted === null) return piece;
      this.#at += counted[0].length;
      min = Number(counted[1]);
      max = counted[2] === undefined ? min : counted[3] === "" ? Infinity : Number(counted[3]);
      if (min > REPEAT_MAX || (max > REPEAT_MAX && max !== Infinity)) {
        throw new PatternError(`the pattern repeats more than ${REPEAT_MAX} times`);
      }
    }
    // Whether it takes as much or as little as it can makes no difference to whether it matches.
    this.#skip("?");
    if (min !== max) this.#variable++;
    const times = max === Infinity ? min + 1 : max;
    const size = Math.max(1, piece.size) * Math.max(1, times);
    if (size > PATTERN_SIZE_MAX) tooLarge();
    const count = max === Infinity ? `{${min},}` : `{${min},${max}}`;
    return { text: `(?:${piece.text})${count}`, size };
  }

  /** Reads a class, whose `[` is read. */
  #class(): Piece {
    const negated = this.#skip("^");
    const ranges: Range[] = [];
    let properties = "";
    while (!this.#skip("]")) {
      const low = this.#classAtom();
      if (typeof low !== "number") {
        ranges.push(...low.ranges);
        properties += low.property;
        continue;
      }
      if (this.#peek() !== "-" || this.#source[this.#at + 1] === "]") {
        ranges.push([low, low]);
        continue;
      }
      this.#at++;
      const high = this.#classAtom();
      if (typeof high === "number") {
        ranges.push([low, high]);
      } else {
        // Without the u flag, "a-\d" is three members.
        ranges.push([low, low], [0x2d, 0x2d], ...high.ranges);
        properties += high.property;
      }
    }
    return { text: re2Class(ranges, properties, negated), size: properties === "" ? 1 : UNICODE_CLASS_SIZE };
  }

  #classAtom(): number | { ranges: readonly Range[]; property: string } {
    return this.#skip("\\") ? this.#escape(true) : this.#codePoint();
  }

  /** Reads what follows a backslash: a code point, or a class. */
  #escape(inClass: boolean): number | { ranges: readonly Range[]; property: string } {
    const char = this.#source[this.#at]!;
    this.#at++;
    if (Object.hasOwn(CONTROL_ESCAPES, char)) return CONTROL_ESCAPES[char]!;
    const lower = char.toLowerCase();
    if (Object.hasOwn(CLASS_ESCAPES, lower)) {
      const ranges = CLASS_ESCAPES[lower]!;
      return { ranges: char === lower ? ranges : complement(ranges), property: "" };
    }
    if (inClass && char === "b") return 0x08;
    if (char === "p" || char === "P") return { ranges: [], property: this.#property(char) };
    if (char === "k" || (char >= "1" && char <= "9")) {
      throw new PatternError("the pattern refers back to a group, which cannot be matched in linear time");
    }
    if (char === "0") {
      if (/^[0-9]/.test(this.#peek())) {
        throw new PatternError("the pattern has an octal escape; write \\x and two hex digits");
      }
      return 0;
    }
    if (char === "c") {
      const letter = /^[A-Za-z]/.exec(this.#peek());
      if (letter === null) return this.#literalBackslash();
      this.#at++;
      return letter[0].charCodeAt(0) % 32;
    }
    if (char === "x") return this.#hex(/^[0-9A-Fa-f]{2}/) ?? 0x78;
    if (char === "u") return this.#unicodeEscape();
    this.#at--;
    return this.#codePoint();
  }

  /** Without the u flag, a backslash before a `c` that names no control character is itself. */
  #literalBackslash(): number {
    this.#at--;
    return 0x5c;
  }

  #unicodeEscape(): number {
    if (this.#unicode && this.#peek() === "{") {
      const end = this.#source.indexOf("}", this.#at);
      const codePoint = parseInt(this.#source.slice(this.#at + 1, end), 16);
      this.#at = end + 1;
      return codePoint;
    }
    const high = this.#hex(/^[0-9A-Fa-f]{4}/);
    if (high === undefined) return 0x75;
    if (high < 0xd800 || high > 0xdbff || this.#source.slice(this.#at, this.#at + 2) !== "\\u") return high;
    const mark = this.#at;
    this.#at += 2;
    const low = this.#hex(/^[Dd][C-Fc-f][0-9A-Fa-f]{2}/);
    if (low === undefined) {
      this.#at = mark;
      return high;
    }
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  }

  #hex(digits: RegExp): number | undefined {
    const found = digits.exec(this.#source.slice(this.#at, this.#at + 4));
    if (found === null) return undefined;
    this.#at += found[0].length;
    return parseInt(found[0], 16);
  }

  /** Reads `{…}` after `\p` and writes it in RE2's syntax. */
  #property(letter: string): string {
    if (!this.#unicode) {
      throw new PatternError(`"\\${letter}" needs a pattern that is valid with the u flag of ECMAScript`);
    }
    const end = this.#source.indexOf("}", this.#at);
    const [name, value] = this.#source.slice(this.#at + 1, end).split("=") as [string, string?];
    this.#at = end + 1;
    const wanted = value ?? name;
    const known = value === undefined || ["gc", "General_Category", "sc", "Script"].includes(name);
    if (!known) throw new PatternError(`the pattern uses the Unicode property ${name}, which is not supported`);
    if (wanted === "Any") return letter === "p" ? re2Ranges(ANY) : "";
    if (wanted === "ASCII") return re2Ranges(letter === "p" ? [[0, 0x7f]] : [[0x80, CODE_POINT_MAX]]);
    return `\\${letter}{${CATEGORIES.get(wanted) ?? wanted}}`;
  }

  #codePoint(): number {
    const codePoint = this.#source.codePointAt(this.#at)!;
    this.#at += codePoint > 0xffff ? 2 : 1;
    return codePoint;
  }

  #peek(): string {
    return this.#source[this.#at] ?? "\u0000";
  }

  #skip(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
}

function tooLarge(): never {
  throw new PatternError(`the pattern has more than ${PATTERN_SIZE_MAX} characters with its repetitions written out`);
}
