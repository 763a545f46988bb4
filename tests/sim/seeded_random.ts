/** Randomness from one seed: the whole of a simulation follows from it. Generator: xoshiro128** (Blackman and Vigna, 2018). */
import type { Random } from "../../shared/seams/random.ts";

export class SeededRandom implements Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    // splitmix32 spreads the seed over the state.
    let x = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ z >>> 16, 0x85ebca6b);
      z = Math.imul(z ^ z >>> 13, 0xc2b2ae35);
      return (z ^ z >>> 16) >>> 0;
    });
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return result;
  }

  unit(): number {
    return this.bits() / 2 ** 32;
  }

  bytes(size: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: size }, () => this.bits() & 255);
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.unit() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.unit() * items.length)]!;
  }

  /** A generator of its own, so that what one part draws does not change what another part gets. */
  fork(): SeededRandom {
    return new SeededRandom(this.bits());
  }
}

function rotate(x: number, k: number): number {
  return (x << k | x >>> (32 - k)) >>> 0;
}
