/** The randomness seam: ids and jitter come through a {@linkcode Random}; keys and IVs in production come from Web Crypto. */

/** A source of random bytes and numbers, cryptographic in production, seeded in simulation. */
export interface Random {
  /** `size` random bytes. */
  bytes(size: number): Uint8Array<ArrayBuffer>;
  /** A number in `[0, 1)`. */
  unit(): number;
}

/** Web Crypto's generator. */
export const systemRandom: Random = {
  bytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
  unit: () => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32,
};

/** `size` random bytes as lower-case hex digits. */
export function randomHex(random: Random, size: number): string {
  return random.bytes(size).toHex();
}
