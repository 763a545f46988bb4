/** JSON Pointer (RFC 6901) as text. */

/** One reference token with its `~` and `/` escaped. */
export function escapeToken(name: string): string {
  return name.includes("~") || name.includes("/") ? name.replaceAll("~", "~0").replaceAll("/", "~1") : name;
}

/** The reference tokens of a pointer (empty, or beginning with `/`), unescaped. */
export function pointerTokens(pointer: string): string[] {
  return pointer.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}
