/** The master keys that this process was given: unwrapped with its own RSA key, kept in memory only, overwritten when replaced. */
import { unwrapKey } from "../../shared/crypto/key_wrap.ts";
import { Keyring } from "../../shared/crypto/keyring.ts";
import { MasterKey } from "../../shared/crypto/master_key.ts";
import { REQUEST_DEADLINE_MS } from "../../shared/limits.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { Random } from "../../shared/seams/random.ts";
import type { WrappedKey } from "../../shared/wire/messages.ts";
import { TransportError } from "../../shared/wire/transport.ts";

export class KeyStore {
  readonly #privateKey: CryptoKey;
  readonly #random: Random;
  readonly #clock: Clock;
  #keyring: Keyring | undefined;

  constructor(privateKey: CryptoKey, random: Random, clock: Clock) {
    this.#privateKey = privateKey;
    this.#random = random;
    this.#clock = clock;
  }

  /** The keys of a join, the current one first. @throws {TransportError} when they were not wrapped for this process. */
  async unwrap(keys: readonly WrappedKey[]): Promise<Keyring> {
    const masters: MasterKey[] = [];
    for (const { keyId, wrapped } of keys) {
      const unwrapped = await unwrapKey(this.#privateKey, wrapped);
      if (unwrapped.kind === "refused") throw new TransportError("broken", unwrapped.reason);
      masters.push(new MasterKey(keyId, unwrapped.raw));
    }
    const [current, ...old] = masters;
    if (current === undefined) throw new TransportError("broken", "the main worker gave no key");
    const next = new Keyring({ current, old, random: this.#random });
    const before = this.#keyring;
    if (before !== undefined && sameKeys(before, next)) {
      next.destroy();
      return before;
    }
    this.#keyring = next;
    // Operations under way may still use the earlier keys; none lives longer than its deadline.
    if (before !== undefined) this.#clock.setTimer(() => before.destroy(), REQUEST_DEADLINE_MS);
    return next;
  }

  /** Overwrites the keys with zeros. */
  destroy(): void {
    this.#keyring?.destroy();
  }
}

function sameKeys(a: Keyring, b: Keyring): boolean {
  return JSON.stringify([...a.checkValues()]) === JSON.stringify([...b.checkValues()]);
}
