/**
 * Names: schema ids, entity keys, the storage name of an entity, and the partition that it belongs to.
 * Each is a branded string or number with one parser, called at the edge; inside, nothing re-validates.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { ENTITY_KEY_BYTES_MAX, ENTITY_NAME_BYTES_MAX, SCHEMA_ID_BYTES_MAX } from "./limits.ts";

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** The namespace of an entity, and the id of the JSON Schema template that judges it. */
export type SchemaId = Branded<string, "SchemaId">;
/** The name of an entity within its schema, as the client wrote it. */
export type EntityKey = Branded<string, "EntityKey">;
/** The storage name of an entity: `encode(schema_id) + "_" + encode(entity_key)`, ASCII, at most 961 bytes. */
export type EntityName = Branded<string, "EntityName">;
/** An index in `[0, partitions)`. */
export type Partition = Branded<number, "Partition">;

/** A name that breaks a rule; `message` says which, for the client who sent it. */
export class NameError extends Error {
  override name = "NameError";
}

const encoder = new TextEncoder();
// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

function checkName(what: string, value: string, bytesMax: number): void {
  if (value === "") throw new NameError(`${what} is empty`);
  if (!value.isWellFormed()) throw new NameError(`${what} is not valid Unicode (half of a surrogate pair)`);
  if (CONTROL.test(value)) throw new NameError(`${what} has a control character`);
  if (value.includes("/") || value.includes("\\")) throw new NameError(`${what} has a slash or a backslash`);
  if (value.includes("..")) throw new NameError(`${what} has ".."`);
  const size = value.length * 3 <= bytesMax ? 0 : encoder.encode(value).length;
  if (size > bytesMax) throw new NameError(`${what} has ${size} bytes of UTF-8; ${bytesMax} are allowed`);
}

/** Checks a schema id. @throws {NameError} with the rule that it breaks. */
export function parseSchemaId(value: string): SchemaId {
  checkName("the schema id", value, SCHEMA_ID_BYTES_MAX);
  return value as SchemaId;
}

/** Checks an entity key. @throws {NameError} with the rule that it breaks. */
export function parseEntityKey(value: string): EntityKey {
  checkName("the entity key", value, ENTITY_KEY_BYTES_MAX);
  return value as EntityKey;
}

/** Checks the beginning of entity keys in a listing: anything that a key could begin with. @throws {NameError} when it is too long. */
export function checkKeyPrefix(prefix: string): void {
  const size = encoder.encode(prefix).length;
  if (size <= ENTITY_KEY_BYTES_MAX) return;
  throw new NameError(`prefix has ${size} bytes of UTF-8; a key has at most ${ENTITY_KEY_BYTES_MAX}`);
}

const HEX = "0123456789ABCDEF";
const PLAIN_KEY = /^(?!\.)[A-Za-z0-9.\-_]*$/;

/** Percent-encodes every byte outside `A-Z a-z 0-9 . - _`, and a leading dot. */
export function encodeName(value: string): string {
  if (PLAIN_KEY.test(value)) return value;
  let out = "";
  for (const byte of encoder.encode(value)) {
    const plain = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x30 && byte <= 0x39) ||
      (byte === 0x2e && out !== "") || byte === 0x2d || byte === 0x5f;
    out += plain ? String.fromCharCode(byte) : `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return out;
}

/** What {@linkcode encodeName} wrote, or `undefined` when `encoded` is not what it would write. */
export function decodeName(encoded: string): string | undefined {
  let value: string;
  try {
    value = decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
  return encodeName(value) === encoded ? value : undefined;
}

/** The part of a storage name that all entities of a schema share: `encode(schema_id) + "_"`. */
export function schemaPrefix(schemaId: SchemaId): string {
  return encodeName(schemaId).replaceAll("_", "%5F") + "_";
}

/** The storage name of an entity. The first raw `_` separates, so no two entities share a name. */
export function entityName(schemaId: SchemaId, key: EntityKey): EntityName {
  return schemaPrefix(schemaId) + encodeName(key) as EntityName;
}

const STORAGE_NAME = /^[A-Za-z0-9.%-]+_[A-Za-z0-9.%_-]+$/;

/** Whether a text has the form of a storage name. */
export function isStorageName(text: string): text is EntityName {
  return text.length <= ENTITY_NAME_BYTES_MAX && STORAGE_NAME.test(text);
}

/** The two names inside a storage name, or `undefined` when it is not one. */
export function splitEntityName(name: string): { schemaId: SchemaId; key: EntityKey } | undefined {
  const at = name.indexOf("_");
  if (at < 1) return undefined;
  const schemaId = decodeName(name.slice(0, at).replaceAll("%5F", "_"));
  const key = decodeName(name.slice(at + 1));
  if (schemaId === undefined || key === undefined) return undefined;
  try {
    return { schemaId: parseSchemaId(schemaId), key: parseEntityKey(key) };
  } catch {
    return undefined;
  }
}

/** Room for any storage name: each byte of schema id and key may have become three. */
const nameBytes = new Uint8Array(3 * (SCHEMA_ID_BYTES_MAX + ENTITY_KEY_BYTES_MAX) + 1);

/**
 * SHA-256 of a storage name: its first two bytes decide the partition, its first byte the data key. In JavaScript, because
 * for so few bytes the way into the runtime and back takes longer.
 */
export function nameDigest(name: EntityName): Uint8Array {
  const { read, written } = encoder.encodeInto(name, nameBytes);
  return sha256(read === name.length ? nameBytes.subarray(0, written) : encoder.encode(name));
}

/** `first two bytes (big-endian) of SHA-256(name) mod partitions`. */
export function partitionOf(name: EntityName, partitions: number): Partition {
  const digest = nameDigest(name);
  return ((digest[0]! << 8 | digest[1]!) % partitions) as Partition;
}

/** Compares two storage names by their bytes (they are ASCII, so by their UTF-16 units). */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
