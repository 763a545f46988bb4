/** Slows down whoever guesses credentials: failed logins are counted by address. */
import { LOGIN_ADDRESSES_MAX, LOGIN_FAILURES_PER_MINUTE } from "../../shared/limits.ts";
import type { Clock } from "../../shared/seams/clock.ts";

const WINDOW_MS = 60_000;

/** Counts failures within the last minute. Remembers a bounded number of addresses: the longest quiet one is forgotten first. */
export class LoginLimiter {
  readonly #clock: Clock;
  readonly #addressesMax: number;
  /** Monotonic times of the latest failures, oldest first, by address; the address that failed last is the last entry. */
  readonly #failures = new Map<string, number[]>();

  /** @param addressesMax addresses to remember. Default: {@linkcode LOGIN_ADDRESSES_MAX} */
  constructor(clock: Clock, addressesMax: number = LOGIN_ADDRESSES_MAX) {
    this.#clock = clock;
    this.#addressesMax = addressesMax;
  }

  /** Counts a failure; the answer is what {@linkcode LoginLimiter.blocked} would say now. */
  failed(address: string): number {
    const network = networkOf(address);
    const times = this.#recent(network);
    times.push(this.#clock.monotonic());
    while (times.length > LOGIN_FAILURES_PER_MINUTE) times.shift();
    this.#failures.delete(network);
    if (this.#failures.size >= this.#addressesMax) {
      const quietest = this.#failures.keys().next();
      if (!quietest.done) this.#failures.delete(quietest.value);
    }
    this.#failures.set(network, times);
    return this.#waitS(times);
  }

  /** Whole seconds until this address may try again; 0: now. */
  blocked(address: string): number {
    return this.#waitS(this.#recent(networkOf(address)));
  }

  #recent(network: string): number[] {
    const since = this.#clock.monotonic() - WINDOW_MS;
    return (this.#failures.get(network) ?? []).filter((time) => time > since);
  }

  #waitS(times: readonly number[]): number {
    if (times.length < LOGIN_FAILURES_PER_MINUTE) return 0;
    return Math.max(1, Math.ceil((times[0]! + WINDOW_MS - this.#clock.monotonic()) / 1000));
  }
}

/**
 * What counts as one address: an IPv4 address, or the /64 of an IPv6 address, since whoever has one address of it has
 * all of them. An IPv4 address in IPv6 notation is the IPv4 address.
 */
export function networkOf(address: string): string {
  const plain = address.toLowerCase().replace(/%.*$/, "");
  const mapped = /^(?:0*:)*:?ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  if (mapped !== null) return mapped[1]!;
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::", 2);
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...new Array<string>(gap).fill("0"), ...after];
  return groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":") + "::/64";
}
