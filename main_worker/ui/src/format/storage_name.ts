/** The order of listings: keys sort by the bytes of their storage names (see `shared/names.ts`, which is for Deno only). */

/** Percent-encodes every byte outside `A-Z a-z 0-9 . - _`, and a leading dot. */
export function encodeName(value: string): string {
  return encodeURIComponent(value)
    .replace(/[!~*'()]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/^\./, "%2E");
}

/** Whether `a` is listed before `b` (negative), after it (positive), or is the same. */
export function compareKeys(a: string, b: string): number {
  const [left, right] = [encodeName(a), encodeName(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
