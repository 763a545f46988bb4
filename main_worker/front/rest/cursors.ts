/** Listing cursors: where a page ended, in a form that clients hand back without looking inside. */
import { ENTITY_KEY_BYTES_MAX } from "../../../shared/limits.ts";
import { type SchemaId, schemaPrefix, splitEntityName } from "../../../shared/names.ts";
import { refuse } from "./errors.ts";

/** First character inside every cursor; another one would mean another layout. */
const LAYOUT = "1";
/** Every byte of a key takes up to three characters in a storage name, and three of those four in base64. */
const CURSOR_CHARS_MAX = Math.ceil((1 + ENTITY_KEY_BYTES_MAX * 3) / 3) * 4;

/** The cursor that continues after the storage name `next` of this schema. */
export function encodeCursor(schemaId: SchemaId, next: string): string {
  return new TextEncoder().encode(LAYOUT + next.slice(schemaPrefix(schemaId).length)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
}

/**
 * The storage name of this schema that a cursor continues after. Its entity need not exist any more.
 * @throws {Refusal} `bad_request` for anything that {@linkcode encodeCursor} would not have written.
 */
export function decodeCursor(schemaId: SchemaId, cursor: string): string {
  const bad = () => refuse("bad_request", "cursor is not one that a listing answered");
  if (cursor.length > CURSOR_CHARS_MAX || !/^[A-Za-z0-9_-]+$/.test(cursor)) throw bad();
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.fromBase64(cursor, { alphabet: "base64url", lastChunkHandling: "loose" }),
    );
  } catch {
    throw bad();
  }
  if (!text.startsWith(LAYOUT)) throw bad();
  const name = schemaPrefix(schemaId) + text.slice(LAYOUT.length);
  const split = splitEntityName(name);
  if (split === undefined || split.schemaId !== schemaId || encodeCursor(schemaId, name) !== cursor) throw bad();
  return name;
}
