/** The clock seam: every part that reads the time or sets a timer takes a {@linkcode Clock}. */

/** A timer that was set; hand it to {@linkcode Clock.clearTimer}. */
export type Timer = unknown;

/** Time and timers, real or simulated. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. May jump. */
  now(): number;
  /** Milliseconds from an arbitrary origin; never goes back. For deadlines and intervals. */
  monotonic(): number;
  /** Calls `fn` once after `ms` milliseconds. */
  setTimer(fn: () => void, ms: number): Timer;
  clearTimer(timer: Timer): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (fn, ms) => setTimeout(fn, ms),
  clearTimer: (timer) => clearTimeout(timer as number),
};

/**
 * A moment on both clocks. What somebody may do for a time since then ends when either says so: the monotonic clock of a machine
 * that was suspended may have stood still, and the wall clock may be set back.
 */
export class Instant {
  readonly #monotonicMs: number;
  /** Milliseconds since the epoch. */
  readonly wallMs: number;

  private constructor(clock: Clock) {
    this.#monotonicMs = clock.monotonic();
    this.wallMs = clock.now();
  }

  static now(clock: Clock): Instant {
    return new Instant(clock);
  }

  /** Milliseconds since then, by the clock that ran further. */
  elapsed(clock: Clock): number {
    return Math.max(clock.monotonic() - this.#monotonicMs, clock.now() - this.wallMs);
  }

  /** The later of two moments of one process, one of which may be none. */
  static later(a: Instant | undefined, b: Instant): Instant {
    return a !== undefined && a.#monotonicMs > b.#monotonicMs ? a : b;
  }
}

/** Resolves after `ms`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clock.clearTimer(timer);
      reject(signal!.reason);
    };
    const timer = clock.setTimer(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
