/**
 * The keyring: the master keys that a process holds, the data keys under them, and the one place where documents
 * become envelopes and envelopes documents.
 *
 * Each master key has 256 data keys, HKDF-SHA-256 with info `deltadb/entity/v1/<first byte of SHA-256(name), in hex>`.
 * They are derived when they are first needed and kept as `CryptoKey`s whose bytes cannot be read back.
 *
 * The bounds are those of NIST SP 800-38D. IVs are 96 random bits (its 8.2.2), so a data key may seal 2^32 times before
 * the chance that two of its IVs were the same passes 2^-32 (its 8.3). Spread evenly over 256 data keys that is 2^40
 * writes per master key, three and a half years at 10,000 a second; but a single entity that is rewritten 1,000 times a
 * second spends the share of its data key in 50 days. Changing the master key starts all counts anew. They go over all
 * processes that ever sealed with the key, so they are the operator's to watch, not this object's. A document may have
 * 2^36 - 32 bytes (its 5.2.1.1), far more than a body may. Tags are never shortened (its appendix C). Which byte of a
 * tag is wrong does not show in the time that opening takes: Web Crypto compares, and everything that is decided before
 * is decided by the header, which is no secret.
 */
import type { Random } from "../seams/random.ts";
import { MASTER_KEYS_MAX } from "../limits.ts";
import { type EntityName, entityName, nameDigest } from "../names.ts";
import { decodeEnvelope, encodeEnvelope, EnvelopeError, IV_BYTES, TAG_BYTES } from "./envelope.ts";
import { importWrappingKey, type Refused } from "./key_wrap.ts";
import { keyCheckValue, KeyDestroyedError, KeyFormatError, type MasterKey, sessionTokenKey } from "./master_key.ts";
import type { EnvelopeHeader, Opened, Sealer } from "./sealer.ts";

const DATA_KEYS_PER_MASTER_KEY = 256;
const DATA_KEY_BYTES = 32;
const GCM = "AES-GCM";

/** What a {@linkcode Keyring} is made of. */
export interface KeyringOptions {
  /** New envelopes are sealed with it. */
  readonly current: MasterKey;
  /** They only open what was sealed with them earlier. Default: none. */
  readonly old?: readonly MasterKey[];
  /** Source of IVs; in production Web Crypto's generator. IVs that repeat destroy the secrecy of AES-GCM. */
  readonly random: Random;
}

/** A master key, encrypted for one receiver. */
export interface WrappedMasterKey {
  readonly keyId: string;
  readonly wrapped: Uint8Array<ArrayBuffer>;
}

/** A master key with those of its data keys that were needed so far. */
interface Slot {
  readonly master: MasterKey;
  readonly dataKeys: (CryptoKey | Promise<CryptoKey> | undefined)[];
}

/** Seals and opens with the master keys given to it, which it owns from then on. */
export class Keyring implements Sealer {
  readonly keyId: string;
  readonly #current: Slot;
  /** By key id, the current one first. */
  readonly #slots = new Map<string, Slot>();
  readonly #random: Random;
  #destroyed = false;

  /** @throws {KeyFormatError} when two keys have one id or there are more than {@linkcode MASTER_KEYS_MAX}. */
  constructor({ current, old = [], random }: KeyringOptions) {
    if (old.length >= MASTER_KEYS_MAX) {
      throw new KeyFormatError(`there are ${old.length + 1} master keys; ${MASTER_KEYS_MAX} are allowed`);
    }
    for (const master of [current, ...old]) {
      if (this.#slots.has(master.id)) throw new KeyFormatError(`two master keys have the id "${master.id}"`);
      this.#slots.set(master.id, { master, dataKeys: new Array(DATA_KEYS_PER_MASTER_KEY) });
    }
    this.keyId = current.id;
    this.#current = this.#slots.get(current.id)!;
    this.#random = random;
  }

  /** Ids of the keys held, the current one first; empty after {@linkcode Keyring.destroy}. */
  get keyIds(): readonly string[] {
    return [...this.#slots.keys()];
  }

  holds(keyId: string): boolean {
    return this.#slots.has(keyId);
  }

  /**
   * Seals with the current key. `document` must not change until the promise is settled.
   * @throws {EnvelopeError} when the header is not one of this name. @throws {KeyDestroyedError}
   */
  async seal(
    name: EntityName,
    header: Omit<EnvelopeHeader, "keyId">,
    document: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#assertUsable();
    if (entityName(header.schemaId, header.entityKey) !== name) {
      throw new EnvelopeError("the header names another entity than the one to seal");
    }
    const found = this.#dataKey(this.#current, name);
    const key = found instanceof Promise ? await found : found;
    // Taken only now, so that a key that could not be derived costs no IV.
    const iv = this.#random.bytes(IV_BYTES);
    const { envelope, aad } = encodeEnvelope({ ...header, keyId: this.keyId }, iv, document.length);
    // What else is to be sealed in this turn is prepared first, so that the calls follow on each other: each wakes a thread of
    // the pool that encrypts, unless the one before is still awake (a tenth of the worker's time for a write).
    await undefined;
    const sealed = await crypto.subtle.encrypt(
      { name: GCM, iv, additionalData: aad, tagLength: TAG_BYTES * 8 },
      key,
      document as Uint8Array<ArrayBuffer>,
    );
    envelope.set(new Uint8Array(sealed), aad.length);
    return envelope;
  }

  /** Opens with the key that the header names. `envelope` must not change until then. @throws {KeyDestroyedError} */
  async open(name: EntityName, envelope: Uint8Array): Promise<Opened> {
    this.#assertUsable();
    const decoded = decodeEnvelope(envelope);
    if (decoded.kind === "malformed") return { kind: "tampered", reason: decoded.reason };
    const { header, aad, iv, sealed } = decoded.parts;
    if (entityName(header.schemaId, header.entityKey) !== name) {
      return { kind: "tampered", reason: "it belongs to another entity" };
    }
    const slot = this.#slots.get(header.keyId);
    if (slot === undefined) return { kind: "key_unavailable", keyId: header.keyId };
    const found = this.#dataKey(slot, name);
    const key = found instanceof Promise ? await found : found;
    let document: ArrayBuffer;
    // As in `seal`.
    await undefined;
    try {
      document = await crypto.subtle.decrypt(
        {
          name: GCM,
          iv: iv as Uint8Array<ArrayBuffer>,
          additionalData: aad as Uint8Array<ArrayBuffer>,
          tagLength: TAG_BYTES * 8,
        },
        key,
        sealed as Uint8Array<ArrayBuffer>,
      );
    } catch (error) {
      if (error instanceof DOMException && error.name === "OperationError") {
        return { kind: "tampered", reason: "its tag does not match its content" };
      }
      throw error;
    }
    return { kind: "opened", header, document: new Uint8Array(document) };
  }

  /** The key check value of each key held, by key id, the current one first. @throws {KeyDestroyedError} */
  checkValues(): Map<string, string> {
    this.#assertUsable();
    return new Map([...this.#slots].map(([id, { master }]) => [id, keyCheckValue(master)]));
  }

  /** The keys of session tokens: the first signs, the others (of old master keys) verify only. @throws {KeyDestroyedError} */
  sessionTokenKeys(): Uint8Array<ArrayBuffer>[] {
    this.#assertUsable();
    return [...this.#slots.values()].map(({ master }) => sessionTokenKey(master));
  }

  /**
   * All master keys, the current one first, each encrypted for the owner of a public key (SPKI DER). The caller has
   * made sure who that is. `refused`: the public key is not one that may be used. @throws {KeyDestroyedError}
   */
  async wrapFor(
    publicKey: Uint8Array,
  ): Promise<{ readonly kind: "wrapped"; readonly keys: readonly WrappedMasterKey[] } | Refused> {
    this.#assertUsable();
    const imported = await importWrappingKey(publicKey);
    if (imported.kind === "refused") return imported;
    const keys = await Promise.all(
      [...this.#slots].map(async ([keyId, { master }]) => ({
        keyId,
        wrapped: await master.use((bytes) => imported.wrap(bytes)),
      })),
    );
    this.#assertUsable();
    return { kind: "wrapped", keys };
  }

  /**
   * Overwrites the master keys with zeros and lets go of the data keys; whatever is called afterwards throws. What was
   * started before still ends well. Repeating it does nothing.
   */
  destroy(): void {
    this.#destroyed = true;
    for (const { master, dataKeys } of this.#slots.values()) {
      master.destroy();
      dataKeys.fill(undefined);
    }
    this.#slots.clear();
  }

  #assertUsable(): void {
    if (this.#destroyed) throw new KeyDestroyedError("the keyring was destroyed");
  }

  /** The data key of an entity; a promise only the first time, so that the usual case costs no turn of the event loop. */
  #dataKey({ master, dataKeys }: Slot, name: EntityName): CryptoKey | Promise<CryptoKey> {
    const index = nameDigest(name)[0]!;
    const found = dataKeys[index];
    if (found !== undefined) return found;
    const pending = importDataKey(master, index);
    dataKeys[index] = pending;
    pending.then(
      (key) => dataKeys[index] = this.#destroyed ? undefined : key,
      () => dataKeys[index] = undefined,
    );
    return pending;
  }
}

async function importDataKey(master: MasterKey, index: number): Promise<CryptoKey> {
  const bytes = master.derive(`deltadb/entity/v1/${index.toString(16).padStart(2, "0")}`, DATA_KEY_BYTES);
  try {
    return await crypto.subtle.importKey("raw", bytes, GCM, false, ["encrypt", "decrypt"]);
  } finally {
    bytes.fill(0);
  }
}
