/** Names as people read them: what cannot be seen in one, or moves what stands around it, is shown by a mark. */

/** A piece of a name; `marked`: it stands for letters that cannot be seen. */
export interface Piece {
  readonly text: string;
  readonly marked: boolean;
}

/** Spaces at an edge or beside another one, other white space, and letters of formatting: zero width, direction, joining. */
const UNSEEN = /^ +| +$| {2,}|(?! )[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\u115f\u1160\u3164\uffa0]/gu;
const SPACE = "␣";

/** The pieces of a name in their order; one that is not marked can be read as it is. */
export function pieces(name: string): Piece[] {
  const result: Piece[] = [];
  let at = 0;
  for (const { 0: unseen, index } of name.matchAll(UNSEEN)) {
    if (index > at) result.push({ text: name.slice(at, index), marked: false });
    result.push({ text: mark(unseen), marked: true });
    at = index + unseen.length;
  }
  if (at < name.length) result.push({ text: name.slice(at), marked: false });
  return result;
}

/** The name for a sentence or a title. */
export function visible(name: string): string {
  return pieces(name).map(({ text }) => text).join("");
}

/** Whether a name has anything that cannot be seen. */
export function hasUnseen(name: string): boolean {
  return name.search(UNSEEN) >= 0;
}

function mark(unseen: string): string {
  if (unseen.startsWith(" ")) return SPACE.repeat(unseen.length);
  return `‹U+${unseen.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}›`;
}
