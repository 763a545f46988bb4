/**
 * Key wrapping: a processing worker's ephemeral RSA key pair, and master keys encrypted for it on their way there
 * (RSA-OAEP of RFC 8017 with SHA-256, 3,072 bits: 128 bits of security by NIST SP 800-57).
 *
 * Wrapping protects what passes over the wire. It does not say who made the key pair: `join.ts` does. The time that RSA
 * decryption takes may tell something about the private key (RUSTSEC-2023-0071) to who can have thousands of chosen texts
 * decrypted; so the pair lives no longer than its process, and decrypts only what the main worker answers to a join.
 */
import { MASTER_KEY_BYTES } from "./master_key.ts";

const MODULUS_BITS = 3_072;
/** An RSA ciphertext is as long as the modulus. */
const WRAPPED_BYTES = MODULUS_BITS / 8;
const EXPONENT = new Uint8Array([1, 0, 1]);
/**
 * Everything in the SPKI DER of such a key (RFC 3279, 2.3.1) but the modulus, which stands between the two. DER has
 * one spelling for each value, so other bytes are another kind of key, or none.
 */
const SPKI_BEFORE = Uint8Array.fromHex("308201a2300d06092a864886f70d01010105000382018f003082018a0282018100");
const SPKI_AFTER = Uint8Array.fromHex("0203010001");
const SPKI_BYTES = SPKI_BEFORE.length + MODULUS_BITS / 8 + SPKI_AFTER.length;
const OAEP = { name: "RSA-OAEP", hash: "SHA-256" };

/** A key pair for one start of a process; its private half cannot be read out. */
export interface WrapKeyPair {
  /** SPKI DER, 422 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly privateKey: CryptoKey;
}

/** Why a key of somebody else's is not used. `reason` is for a log and for the other side; it holds nothing secret. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
}

/** A public key that passed the checks. */
export interface WrappingKey {
  readonly kind: "imported";
  /** RSA-OAEP of a master key: 384 bytes, different each time. The argument may be overwritten when the call has returned. */
  wrap(raw: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** A new RSA key pair. Takes some hundred milliseconds, beside the event loop. */
export async function createKeyPair(): Promise<WrapKeyPair> {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(
    { ...OAEP, modulusLength: MODULUS_BITS, publicExponent: EXPONENT },
    false,
    ["encrypt", "decrypt"],
  );
  return { publicKey: new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)), privateKey };
}

/** Checks a public key that came from outside: SPKI DER, RSA, 3,072 bits, exponent 65,537. */
export async function importWrappingKey(spki: Uint8Array): Promise<WrappingKey | Refused> {
  if (!isSpki(spki)) return refused(`the public key is not an RSA key of ${MODULUS_BITS} bits with exponent 65537`);
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("spki", spki as Uint8Array<ArrayBuffer>, OAEP, false, ["encrypt"]);
  } catch {
    return refused("the public key cannot be used");
  }
  return { kind: "imported", wrap: async (raw) => new Uint8Array(await crypto.subtle.encrypt(OAEP, key, raw)) };
}

function isSpki(bytes: Uint8Array): boolean {
  if (bytes.length !== SPKI_BYTES) return false;
  const modulusAt = SPKI_BEFORE.length;
  const exponentAt = SPKI_BYTES - SPKI_AFTER.length;
  // A product of two large primes is odd, and one of 3,072 bits has its first bit set.
  return SPKI_BEFORE.every((byte, index) => bytes[index] === byte) &&
    SPKI_AFTER.every((byte, index) => bytes[exponentAt + index] === byte) &&
    bytes[modulusAt]! >= 0x80 && (bytes[exponentAt - 1]! & 1) === 1;
}

function refused(reason: string): Refused {
  return { kind: "refused", reason };
}

/** Encrypts the 32 bytes of a master key for the owner of a public key (SPKI DER). */
export async function wrapKey(
  spki: Uint8Array,
  raw: Uint8Array<ArrayBuffer>,
): Promise<{ readonly kind: "wrapped"; readonly wrapped: Uint8Array<ArrayBuffer> } | Refused> {
  const imported = await importWrappingKey(spki);
  return imported.kind === "refused" ? imported : { kind: "wrapped", wrapped: await imported.wrap(raw) };
}

/** Decrypts what {@linkcode wrapKey} made for this private key: the 32 bytes of a master key. */
export async function unwrapKey(
  privateKey: CryptoKey,
  wrapped: Uint8Array,
): Promise<{ readonly kind: "unwrapped"; readonly raw: Uint8Array<ArrayBuffer> } | Refused> {
  if (wrapped.length !== WRAPPED_BYTES) {
    return refused(`the wrapped key has ${wrapped.length} bytes, not ${WRAPPED_BYTES}`);
  }
  let raw: Uint8Array<ArrayBuffer>;
  try {
    raw = new Uint8Array(await crypto.subtle.decrypt(OAEP, privateKey, wrapped as Uint8Array<ArrayBuffer>));
  } catch {
    return refused("the wrapped key was not made for this process");
  }
  if (raw.length !== MASTER_KEY_BYTES) {
    raw.fill(0);
    return refused("what was wrapped is not a master key");
  }
  return { kind: "unwrapped", raw };
}
