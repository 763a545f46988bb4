/** The master keys of a starting main worker: configured or made, and compared with what the store remembers of its keys. */
import { checkKeys } from "../../shared/crypto/key_check.ts";
import { Keyring } from "../../shared/crypto/keyring.ts";
import { generateMasterKey, MasterKey } from "../../shared/crypto/master_key.ts";
import type { Random } from "../../shared/seams/random.ts";
import { type Shelf, StorageError } from "../../shared/storage/store.ts";

/** What is configured; see the flags `-master-key`, `-key-id` and `-old-master-keys`. */
export interface MasterKeyOptions {
  /** 32 bytes, taken over; `undefined`: a key is made. */
  readonly key: Uint8Array<ArrayBuffer> | undefined;
  readonly keyId: string;
  readonly old: readonly { readonly id: string; readonly key: Uint8Array<ArrayBuffer> }[];
}

/** The keys, and, if one was made at this start, its 64 hex digits for the operator. */
export interface OpenedKeys {
  readonly keyring: Keyring;
  readonly generatedHex: string | undefined;
}

/**
 * Takes the configured keys, or makes one. The caller holds the store's main lock.
 * @throws {StorageError} `configuration` when a key is not the one that wrote the store's data under its id.
 */
export async function openMasterKeys(options: MasterKeyOptions, shelf: Shelf, random: Random): Promise<OpenedKeys> {
  const current = options.key === undefined ? generateMasterKey(random) : new MasterKey(options.keyId, options.key);
  const generatedHex = options.key === undefined ? current.revealHex() : undefined;
  const old = options.old.map(({ id, key }) => new MasterKey(id, key));
  const keyring = new Keyring({ current, old, random });
  const check = await checkKeys(shelf, keyring.checkValues());
  if (check.kind === "accepted") return { keyring, generatedHex };
  keyring.destroy();
  throw new StorageError("configuration", check.message);
}
