/** Commands that do in a terminal what the UI does. The credential is left as a variable of the shell. */

/** A word of a POSIX shell. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const CREDENTIAL = `-H "Authorization: Bearer $DELTADB_KEY"`;

/** Reads a document. */
export function curlGet(url: string): string {
  return `curl -sS ${CREDENTIAL} ${shellWord(url)}`;
}

/** Writes a document, under the version that was read when there is one. */
export function curlPut(url: string, text: string, etag: string | null): string {
  const condition = etag === null ? "" : ` \\\n  -H ${shellWord(`If-Match: "${etag}"`)}`;
  return `curl -sS -X PUT ${CREDENTIAL} \\\n  -H 'Content-Type: application/json'${condition} \\\n  --data-binary ${
    shellWord(text)
  } \\\n  ${shellWord(url)}`;
}
