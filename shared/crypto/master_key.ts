/** Master keys: what they are called, and the keys that are derived from them. */
import { Buffer } from "node:buffer";
import { hkdfSync } from "node:crypto";
import { KEY_ID_BYTES_MAX } from "../limits.ts";
import type { Random } from "../seams/random.ts";

/** A master key has 256 bits. */
export const MASTER_KEY_BYTES = 32;
/** Ids that begin with this belong to generated keys; the rest of such an id is taken from the key's own check value. */
export const GENERATED_KEY_ID_PREFIX = "generated-";

/** A key or a key id that breaks a rule; `message` says which, for the operator, and never repeats key material. */
export class KeyFormatError extends Error {
  override name = "KeyFormatError";
}

/** A key was used after it had been destroyed. */
export class KeyDestroyedError extends Error {
  override name = "KeyDestroyedError";
}

// Printable ASCII but for what separates ids where they are written in lists (`:` and `,`) or in paths (`/`).
const KEY_ID = /^[!-+\-.0-9;-~]+$/;
const NO_SALT = new Uint8Array(0);

/** Whether `value` may name a master key: 1 to 64 printable ASCII characters without space, `:`, `,` and `/`. */
export function isKeyId(value: string): boolean {
  return value.length <= KEY_ID_BYTES_MAX && KEY_ID.test(value);
}

/** Checks the id of a master key. @throws {KeyFormatError} with the rule that it breaks. */
export function parseKeyId(value: string): string {
  if (isKeyId(value)) return value;
  if (value === "") throw new KeyFormatError("the key id is empty");
  if (value.length > KEY_ID_BYTES_MAX) {
    throw new KeyFormatError(`the key id has ${value.length} characters; ${KEY_ID_BYTES_MAX} are allowed`);
  }
  // The value is not repeated: a key that was written in the place of its id would end up in a log.
  throw new KeyFormatError(
    "the key id has a character that is not allowed: printable ASCII without space, ':', ',' or '/'",
  );
}

/**
 * A master key and its id. The bytes are private to the object, so neither logging nor serializing it shows them, and
 * {@linkcode MasterKey.destroy} overwrites them.
 */
export class MasterKey {
  readonly id: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #destroyed = false;

  /**
   * Takes over `bytes` (32 of them): the caller must not use them afterwards.
   * @throws {KeyFormatError} when the id or the number of bytes is wrong.
   */
  constructor(id: string, bytes: Uint8Array<ArrayBuffer>) {
    this.id = parseKeyId(id);
    if (bytes.length !== MASTER_KEY_BYTES) {
      throw new KeyFormatError(`a master key has ${MASTER_KEY_BYTES} bytes, not ${bytes.length}`);
    }
    this.#bytes = bytes;
  }

  /** Whether {@linkcode MasterKey.destroy} was called. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /**
   * HKDF-SHA-256 (RFC 5869) of the key with an empty salt: `size` bytes that tell nothing about the key or about what
   * is derived with another `info`. @throws {KeyDestroyedError}
   */
  derive(info: string, size: number): Uint8Array<ArrayBuffer> {
    return this.use((bytes) => new Uint8Array(hkdfSync("sha256", bytes, NO_SALT, info, size)));
  }

  /** Calls `fn` with the key itself, which must not outlive the call. @throws {KeyDestroyedError} */
  use<T>(fn: (bytes: Uint8Array<ArrayBuffer>) => T): T {
    if (this.#destroyed) throw new KeyDestroyedError(`the master key "${this.id}" was destroyed`);
    return fn(this.#bytes);
  }

  /**
   * The key as 64 hex digits, for the one place that shows a generated key to its operator. The string cannot be
   * overwritten afterwards. @throws {KeyDestroyedError}
   */
  revealHex(): string {
    return this.use((bytes) => bytes.toHex());
  }

  /** Overwrites the key with zeros; every use after it throws. Repeating it does nothing. */
  destroy(): void {
    this.#bytes.fill(0);
    this.#destroyed = true;
  }
}

/** A new random master key, called `generated-<first 8 hex digits of its check value>`. */
export function generateMasterKey(random: Random): MasterKey {
  const bytes = random.bytes(MASTER_KEY_BYTES);
  const id = generatedKeyId(checkValueOf(bytes));
  return new MasterKey(id, bytes);
}

/** The id of a generated key with this check value. */
export function generatedKeyId(checkValue: string): string {
  return GENERATED_KEY_ID_PREFIX + checkValue.slice(0, 8);
}

/**
 * Key check value: 32 hex digits that are the same for the same key and tell nothing about it. It may be stored in
 * the open: guessing the key from it is as hard as guessing it from an envelope. @throws {KeyDestroyedError}
 */
export function keyCheckValue(key: MasterKey): string {
  return key.use(checkValueOf);
}

function checkValueOf(bytes: Uint8Array): string {
  return Buffer.from(hkdfSync("sha256", bytes, NO_SALT, "deltadb/check/v1", 16)).toString("hex");
}

/** The 32 bytes that sign session tokens under this master key. @throws {KeyDestroyedError} */
export function sessionTokenKey(key: MasterKey): Uint8Array<ArrayBuffer> {
  return key.derive("deltadb/session/v1", 32);
}
