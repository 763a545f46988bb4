/**
 * Repeats requests inside an operation's time: backoff with full jitter, bounded parallelism, slowing down when the
 * service asks for it, and exact knowledge of whether an earlier attempt may have been carried out.
 */
import {
  S3_ATTEMPT_MS,
  S3_ATTEMPTS_MAX,
  S3_BACKOFF_MS_MAX,
  S3_BACKOFF_MS_MIN,
  S3_PARALLEL_MAX,
  S3_WAITING_MAX,
} from "../../limits.ts";
import { type Clock, sleep } from "../../seams/clock.ts";
import type { Random } from "../../seams/random.ts";
import { StorageError } from "../store.ts";
import { ObjectError } from "./object_error.ts";
import { Throttle, type Turn } from "./throttle.ts";

/** Kinds of request, for metrics. */
export type RequestKind = "get" | "head" | "put" | "delete" | "list" | "create_bucket";

/** Called for what metrics count. */
export interface RequestHooks {
  /** An attempt ended. `seconds` without the wait for a turn. */
  request?(kind: RequestKind, outcome: "ok" | ObjectError["kind"], seconds: number): void;
  /** Another attempt follows. */
  retry?(kind: RequestKind, reason: ObjectError["kind"]): void;
}

/** How one operation's requests are made. */
export interface RequestOptions {
  /** On the clock's monotonic scale: no attempt lasts longer. */
  readonly deadline: number;
  /** Default: `S3_ATTEMPTS_MAX`. Attempts that were throttled do not count. */
  readonly attemptsMax?: number;
  /** No attempt follows one that may have been carried out. */
  readonly stopWhenDoubtful?: boolean;
  /** Called right before each attempt; throws when it must not be made any more. */
  readonly guard?: () => void;
  /** `aside`: takes no turn from the operations (the lease, probes). Default: `turn`. */
  readonly lane?: "turn" | "aside";
  /** Ends the operation early. */
  readonly signal?: AbortSignal;
}

/** What a request answered, and how many attempts before that may have been carried out too, or may still be. */
export interface Answer<T> {
  readonly value: T;
  readonly doubts: number;
}

/** An operation that got no answer. */
export class RequestFailure extends Error {
  override name = "RequestFailure";
  constructor(
    /** The last attempt's error. */
    readonly last: ObjectError,
    /** How many attempts may have been carried out, or may still be. */
    readonly doubts: number,
  ) {
    super(last.message, { cause: last });
  }
}

const LATE = new DOMException("The operation's time is up", "TimeoutError");

/** The attempt's result, or an `ambiguous` error as soon as its time is up, whether it heeds the signal or not. */
function endingWith<T>(signal: AbortSignal, attempt: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new ObjectError("ambiguous", "Timeout", "the S3 service did not answer in time"));
    signal.addEventListener("abort", late, { once: true });
    attempt.then(resolve, reject).finally(() => signal.removeEventListener("abort", late));
  });
}

/** Makes the requests of one store. */
export class Requests {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hooks: RequestHooks;
  readonly throttle = new Throttle(S3_PARALLEL_MAX, S3_WAITING_MAX);
  #requests = 0;
  #retries = 0;

  constructor(clock: Clock, random: Random, hooks: RequestHooks = {}) {
    this.#clock = clock;
    this.#random = random;
    this.#hooks = hooks;
  }

  /** Attempts made so far. */
  get requests(): number {
    return this.#requests;
  }

  /** How many of them were repetitions. */
  get retries(): number {
    return this.#retries;
  }

  /**
   * Runs `attempt` until it answers, fails for good, or time or attempts are used up.
   * @throws {RequestFailure} no answer, or none that the guard let it wait for after an attempt that is in doubt
   * @throws what the guard or the queue throws, when no attempt is in doubt
   */
  async run<T>(
    kind: RequestKind,
    attempt: (signal: AbortSignal) => Promise<T>,
    options: RequestOptions,
  ): Promise<Answer<T>> {
    const attemptsMax = options.attemptsMax ?? S3_ATTEMPTS_MAX;
    let doubts = 0;
    let counted = 0;
    let last = new ObjectError("unsent", "Busy", "the S3 service is busy: the request's turn did not come in time");
    for (let round = 0;; round++) {
      const left = options.deadline - this.#clock.monotonic();
      if (left <= 0 || options.signal?.aborted) throw new RequestFailure(last, doubts);
      try {
        options.guard?.();
        const value = await this.#attempt(kind, attempt, options, left);
        return { value, doubts };
      } catch (error) {
        if (error === LATE) throw new RequestFailure(last, doubts);
        if (!(error instanceof ObjectError)) {
          if (doubts > 0) throw new RequestFailure(last, doubts);
          throw error;
        }
        last = error;
        if (error.kind === "ambiguous") doubts++;
        // What is refused for its name can't have been carried out before either.
        if (error.kind === "unnameable") doubts = 0;
        if (error.kind !== "throttled") counted++;
        const enough = counted >= attemptsMax || (doubts > 0 && options.stopWhenDoubtful === true);
        if (!error.repeatable || enough) throw new RequestFailure(last, doubts);
      }
      const pause = this.backoffMs(round);
      if (this.#clock.monotonic() + pause >= options.deadline) throw new RequestFailure(last, doubts);
      await sleep(this.#clock, pause, options.signal).catch(() => undefined);
      this.#retries++;
      this.#hooks.retry?.(kind, last.kind);
    }
  }

  /** How long to wait before the next attempt, after `round` others: longer each time, and not the same for all who wait. */
  backoffMs(round: number): number {
    const most = Math.min(S3_BACKOFF_MS_MAX, S3_BACKOFF_MS_MIN * 2 ** Math.min(round, 16));
    return S3_BACKOFF_MS_MIN / 2 + this.#random.unit() * most;
  }

  async #attempt<T>(
    kind: RequestKind,
    attempt: (signal: AbortSignal) => Promise<T>,
    options: RequestOptions,
    leftMs: number,
  ): Promise<T> {
    const controller = new AbortController();
    const onAbort = () => controller.abort(LATE);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    let timer = this.#clock.setTimer(onAbort, leftMs);
    let turn: Turn | undefined;
    let outcome: "ok" | "failed" | "throttled" = "failed";
    try {
      if (options.lane !== "aside") {
        turn = this.throttle.tryTake();
        if (turn === undefined) {
          turn = await this.throttle.wait(controller.signal);
          // The wait may have been long enough for the guard's answer to change.
          options.guard?.();
        }
      }
      this.#requests++;
      const started = this.#clock.monotonic();
      this.#clock.clearTimer(timer);
      timer = this.#clock.setTimer(onAbort, Math.min(S3_ATTEMPT_MS, options.deadline - started));
      try {
        const value = await endingWith(controller.signal, attempt(controller.signal));
        outcome = "ok";
        this.#hooks.request?.(kind, "ok", (this.#clock.monotonic() - started) / 1000);
        return value;
      } catch (error) {
        if (!(error instanceof ObjectError)) throw error;
        if (error.kind === "throttled") outcome = "throttled";
        this.#hooks.request?.(kind, error.kind, (this.#clock.monotonic() - started) / 1000);
        throw error;
      }
    } finally {
      this.#clock.clearTimer(timer);
      options.signal?.removeEventListener("abort", onAbort);
      if (turn !== undefined) this.throttle.done(turn, outcome);
    }
  }
}

/** A failed operation as the store's callers know it. `write`: whether it would have changed something. */
export function storageError(error: unknown, write: boolean): StorageError {
  if (error instanceof StorageError) return error;
  if (error instanceof RequestFailure) {
    return new StorageError(reasonOf(error, write), error.message, { cause: error });
  }
  throw error;
}

function reasonOf({ last, doubts }: RequestFailure, write: boolean): StorageError["reason"] {
  if (last.kind === "unnameable") return "unnameable";
  if (write && doubts > 0) return "unknown";
  return last.code === "TooLarge" ? "corrupt" : "unavailable";
}
