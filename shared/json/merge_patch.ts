/**
 * JSON Merge Patch (RFC 7396) by splicing bytes: what a patch does not touch keeps the bytes that it had, numbers,
 * escapes, order, duplicate names and white space included.
 *
 * Where a name appears more than once in an object, its last member counts. So a patch that names it acts on the last
 * one and drops those before it; duplicates that the patch does not name stay as they are.
 *
 * A patch can't make a document nest deeper than the deeper of the two, since each of its levels is a level of the
 * result.
 */
import { JSON_DEPTH_MAX } from "../limits.ts";
import { type Failure, failure } from "../outcome.ts";
import { JsonScanner, scanDocument } from "./scanner.ts";
import { decodeString } from "./text.ts";

/** A patched document in memory of its own; or `bad_json` (the patch), `empty` (likewise), `too_large` (the result). */
export type Patched = { readonly kind: "patched"; readonly document: Uint8Array } | Failure;

const OPEN_BRACE = 0x7b;
const LOWER_N = 0x6e;
const COMMA = new Uint8Array([0x2c]);
const COLON = new Uint8Array([0x3a]);
const EMPTY_OBJECT = new Uint8Array([OPEN_BRACE, 0x7d]);

/**
 * Applies `patch` to `document`. Both are JSON of at most {@linkcode JSON_DEPTH_MAX} levels; the document was checked
 * when it was stored, so one that is not JSON is `internal`.
 *
 * @param bytesMax A result of more bytes is `too_large`.
 */
export function applyMergePatch(document: Uint8Array, patch: Uint8Array, bytesMax: number): Patched {
  const patchScanner = new JsonScanner(patch, JSON_DEPTH_MAX);
  patchScanner.skipSpace();
  const change = readChange(patch, patchScanner, 0);
  if (change === undefined || !patchScanner.skipToEnd()) {
    return failure(patchScanner.problem.code, `the patch: ${patchScanner.problem.reason}`);
  }

  const splice = new Splice(bytesMax);
  if (change.kind !== "object") {
    splice.add(patch, change.start, change.end);
  } else {
    const scanner = new JsonScanner(document, JSON_DEPTH_MAX);
    scanner.skipSpace();
    if (scanner.peek() !== OPEN_BRACE) {
      if (!scanDocument(document).ok) return failure("internal", "the stored document is not JSON");
      splice.addCreated(patch, change);
    } else {
      const target = readTarget(document, scanner, change, 0);
      if (target === undefined || !scanner.skipToEnd()) return failure("internal", "the stored document is not JSON");
      splice.addMerged(document, target, patch);
    }
  }
  const result = splice.join();
  if (result === undefined) {
    return failure("too_large", `the patched document has ${splice.size} bytes; ${bytesMax} are allowed`);
  }
  return { kind: "patched", document: result };
}

/** What a patch asks for one value. `[start, end)` is its text in the patch. */
type Change = ScalarChange | ObjectChange;

/** Remove the member (`remove`), or put the text in its place (`replace`: anything but `null` and objects). */
interface ScalarChange {
  readonly kind: "remove" | "replace";
  readonly start: number;
  readonly end: number;
}

/** Merge the members. */
interface ObjectChange {
  readonly kind: "object";
  readonly start: number;
  readonly end: number;
  /** By decoded name; of a name that appears twice, the last member. */
  readonly members: ReadonlyMap<string, MemberChange>;
  /** Where there is nothing to merge with, the text is the result: no `null` and no name twice on any level. */
  readonly verbatim: boolean;
}

interface MemberChange {
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly change: Change;
}

/** Reads the change that begins at the scanner's offset; `undefined` when it is not JSON. Recurses at most to the depth limit. */
function readChange(patch: Uint8Array, scanner: JsonScanner, depth: number): Change | undefined {
  const start = scanner.offset;
  const first = scanner.peek();
  // At the depth limit an object is left to skipValue, which refuses it.
  if (first !== OPEN_BRACE || depth === JSON_DEPTH_MAX) {
    if (!scanner.skipValue(depth)) return undefined;
    return { kind: first === LOWER_N ? "remove" : "replace", start, end: scanner.offset };
  }
  const members = new Map<string, MemberChange>();
  let verbatim = true;
  let step = scanner.enterObject();
  while (step === "member") {
    if (!scanner.enterMember()) return undefined;
    const { nameStart, nameEnd } = scanner;
    const name = decodeString(patch, nameStart, nameEnd);
    const change = readChange(patch, scanner, depth + 1);
    if (change === undefined) return undefined;
    if (change.kind === "remove" || (change.kind === "object" && !change.verbatim) || members.has(name)) {
      verbatim = false;
    }
    members.set(name, { nameStart, nameEnd, change });
    step = scanner.leaveMember();
  }
  return step === "failed" ? undefined : { kind: "object", start, end: scanner.offset, members, verbatim };
}

/** An object of the document that a change meets. Its text is `[start, end)`. */
interface Target {
  readonly start: number;
  readonly end: number;
  /** After the last value (or the `{`): white space and the `}` follow. */
  readonly contentEnd: number;
  /** The members that the change names, in the order of the document. */
  readonly touched: readonly TouchedMember[];
  /** How a member that is added is laid out: like the last one. Its white space, and what stands before its value. */
  readonly last: MemberPlace | undefined;
  readonly change: ObjectChange;
}

/** Where a member lies. The comma before it, if any, is at `start - 1`; what separates it from the next follows `end`. */
interface MemberPlace {
  readonly start: number;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  /** The comma after it, or the end of the value of the last member. */
  end: number;
}

interface TouchedMember {
  readonly name: string;
  readonly place: MemberPlace;
  readonly change: Change;
  /** When both sides are objects. */
  readonly merged: Target | undefined;
  /** A later member has the same name. */
  shadowed: boolean;
}

/** Reads the object at the scanner's offset; `undefined` when it is not JSON. Descends only where the change does. */
function readTarget(
  document: Uint8Array,
  scanner: JsonScanner,
  change: ObjectChange,
  depth: number,
): Target | undefined {
  const start = scanner.offset;
  const touched: TouchedMember[] = [];
  const byName = new Map<string, TouchedMember>();
  let last: MemberPlace | undefined;
  let memberStart = start + 1;
  let step = scanner.enterObject();
  while (step === "member") {
    if (!scanner.enterMember()) return undefined;
    const { nameStart, nameEnd } = scanner;
    const valueStart = scanner.offset;
    const name = decodeString(document, nameStart, nameEnd);
    const memberChange = change.members.get(name)?.change;
    let merged: Target | undefined;
    if (memberChange?.kind === "object" && scanner.peek() === OPEN_BRACE) {
      merged = readTarget(document, scanner, memberChange, depth + 1);
      if (merged === undefined) return undefined;
    } else if (!scanner.skipValue(depth + 1)) {
      return undefined;
    }
    const valueEnd = scanner.offset;
    scanner.skipSpace();
    const end = scanner.peek() === COMMA[0] ? scanner.offset : valueEnd;
    last = { start: memberStart, nameStart, nameEnd, valueStart, valueEnd, end };
    memberStart = end + 1;
    if (memberChange !== undefined) {
      const member = { name, place: last, change: memberChange, merged, shadowed: false };
      const earlier = byName.get(name);
      if (earlier !== undefined) earlier.shadowed = true;
      byName.set(name, member);
      touched.push(member);
    }
    step = scanner.leaveMember();
  }
  if (step === "failed") return undefined;
  return { start, end: scanner.offset, contentEnd: last?.end ?? start + 1, touched, last, change };
}

/** The pieces of a result: gathered first, so that its size is known before any byte is copied. */
class Splice {
  /** Bytes of the result so far. */
  size = 0;
  readonly #bytesMax: number;
  readonly #pieces: { readonly source: Uint8Array; readonly start: number; end: number }[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(source: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.size += end - start;
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.source === source && last.end === start) last.end = end;
    else this.#pieces.push({ source, start, end });
  }

  /** Adds what a change makes of nothing: its text without what is to be removed. */
  addCreated(patch: Uint8Array, change: Change): void {
    if (change.kind !== "object" || change.verbatim) return this.add(patch, change.start, change.end);
    this.add(EMPTY_OBJECT, 0, 1);
    let first = true;
    for (const member of change.members.values()) {
      if (member.change.kind === "remove") continue;
      if (!first) this.add(COMMA, 0, 1);
      first = false;
      this.add(patch, member.nameStart, member.nameEnd);
      this.add(COLON, 0, 1);
      this.addCreated(patch, member.change);
    }
    this.add(EMPTY_OBJECT, 1, 2);
  }

  /** Adds an object of the document with its change applied. */
  addMerged(document: Uint8Array, target: Target, patch: Uint8Array): void {
    this.add(document, target.start, target.start + 1);
    let first = true;
    // Adds a run of members up to `end`. One that is not the first to be kept brings along the comma before it.
    const keep = (start: number, end: number): void => {
      this.add(document, first ? start : start - 1, end);
      first = false;
    };

    let from = target.start + 1;
    const pending = new Map(target.change.members);
    for (const { name, place, change, merged, shadowed } of target.touched) {
      if (from < place.start) keep(from, place.start - 1);
      from = place.end + 1;
      if (shadowed) continue;
      pending.delete(name);
      if (change.kind === "remove") continue;
      keep(place.start, place.valueStart);
      if (merged === undefined) this.addCreated(patch, change);
      else this.addMerged(document, merged, patch);
      this.add(document, place.valueEnd, place.end);
    }
    if (from < target.contentEnd) keep(from, target.contentEnd);

    for (const { nameStart, nameEnd, change } of pending.values()) {
      if (change.kind === "remove") continue;
      if (!first) this.add(COMMA, 0, 1);
      first = false;
      const like = target.last;
      if (like !== undefined) this.add(document, like.start, like.nameStart);
      this.add(patch, nameStart, nameEnd);
      if (like !== undefined) this.add(document, like.nameEnd, like.valueStart);
      else this.add(COLON, 0, 1);
      this.addCreated(patch, change);
    }
    this.add(document, target.contentEnd, target.end);
  }

  /** The result in memory of its own, or `undefined` when it is too large. */
  join(): Uint8Array | undefined {
    if (this.size > this.#bytesMax) return undefined;
    const result = new Uint8Array(this.size);
    let at = 0;
    for (const { source, start, end } of this.#pieces) {
      result.set(source.subarray(start, end), at);
      at += end - start;
    }
    return result;
  }
}
