/**
 * Key checks: the store remembers the check value of every master key that ever wrote to it, so that a start with
 * another key under the same id is noticed before it can do harm.
 */
import { KEY_CHECKS_MAX } from "../limits.ts";
import type { Shelf } from "../storage/store.ts";
import { GENERATED_KEY_ID_PREFIX, generatedKeyId, isKeyId } from "./master_key.ts";

/** The object on the shelf, a JSON object `{"keys":[{"key_id","check_value"}]}`, oldest key first. */
export const KEY_CHECKS_OBJECT = "key-checks.json";

/** `accepted`: every key held is the one that its id stands for; `recorded` lists the ids that were new to the store. */
export type KeyCheck =
  | { readonly kind: "accepted"; readonly recorded: readonly string[] }
  | { readonly kind: "refused"; readonly message: string };

const CHECK_VALUE = /^[0-9a-f]{32}$/;
/** Far more than {@linkcode KEY_CHECKS_MAX} entries need. */
const OBJECT_BYTES_MAX = KEY_CHECKS_MAX * 256;

/**
 * Compares the check values of the keys held (by key id) with those that the store remembers, and remembers the new
 * ones durably. Called by whoever holds the store's main lock, before anything is written with the keys.
 * @throws {StorageError} when the shelf cannot be read or written.
 */
export async function checkKeys(shelf: Shelf, held: ReadonlyMap<string, string>): Promise<KeyCheck> {
  const bytes = await shelf.get(KEY_CHECKS_OBJECT);
  const known = bytes === undefined ? new Map<string, string>() : parse(bytes);
  if (known === undefined) {
    return refused(
      `_auth/${KEY_CHECKS_OBJECT} in the store is damaged, so it cannot be told whether the master keys are the right ` +
        "ones; bring the file back from a backup, or remove it if you are sure of the keys",
    );
  }
  const recorded: string[] = [];
  for (const [keyId, value] of held) {
    const expected = known.get(keyId);
    if (expected !== undefined && expected !== value) {
      return refused(
        `the master key given as "${keyId}" is not the "${keyId}" that wrote this store's data; start with the right ` +
          "key, or give the new key an id of its own and pass the right one among the old master keys",
      );
    }
    if (keyId.startsWith(GENERATED_KEY_ID_PREFIX) && keyId !== generatedKeyId(value)) {
      return refused(
        `the master key given as "${keyId}" is not the key that was generated under this id; start with the right ` +
          `key, or give it an id that does not begin with "${GENERATED_KEY_ID_PREFIX}"`,
      );
    }
    if (expected === undefined) recorded.push(keyId);
  }
  if (recorded.length === 0) return { kind: "accepted", recorded };
  for (const keyId of recorded) known.set(keyId, held.get(keyId)!);
  forgetOldest(known, held);
  if (known.size > KEY_CHECKS_MAX) {
    return refused(`the store remembers ${KEY_CHECKS_MAX} master keys already and takes no more`);
  }
  await shelf.put(KEY_CHECKS_OBJECT, format(known));
  return { kind: "accepted", recorded };
}

/**
 * A server without a configured key makes one at each start, so these alone can become many. They can be forgotten:
 * the id of a generated key holds the first digits of its check value.
 */
function forgetOldest(known: Map<string, string>, held: ReadonlyMap<string, string>): void {
  for (const keyId of known.keys()) {
    if (known.size <= KEY_CHECKS_MAX) return;
    if (keyId.startsWith(GENERATED_KEY_ID_PREFIX) && !held.has(keyId)) known.delete(keyId);
  }
}

function refused(message: string): KeyCheck {
  return { kind: "refused", message };
}

function format(known: ReadonlyMap<string, string>): Uint8Array {
  const keys = [...known].map(([key_id, check_value]) => ({ key_id, check_value }));
  return new TextEncoder().encode(JSON.stringify({ keys }, null, 2) + "\n");
}

/** Check values by key id, or `undefined` when the bytes are not what {@linkcode format} writes. */
function parse(bytes: Uint8Array): Map<string, string> | undefined {
  if (bytes.length > OBJECT_BYTES_MAX) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const keys = (value as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) return undefined;
  const known = new Map<string, string>();
  for (const entry of keys as (Record<string, unknown> | null)[]) {
    const keyId = entry?.key_id;
    const checkValue = entry?.check_value;
    if (typeof keyId !== "string" || !isKeyId(keyId) || known.has(keyId)) return undefined;
    if (typeof checkValue !== "string" || !CHECK_VALUE.test(checkValue)) return undefined;
    known.set(keyId, checkValue);
  }
  return known;
}
