/** A simulated process: it can be killed, and paused. What would happen in it while it is paused happens when it goes on. */
import type { Clock, Timer } from "../../shared/seams/clock.ts";
import type { Scheduled, Scheduler } from "./scheduler.ts";

export class Process {
  readonly name: string;
  /** Aborted when the process is killed. */
  readonly dead: AbortSignal;
  readonly clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #death = new AbortController();
  #pausedEvents: (() => void)[] | undefined;
  readonly #pausedRequests: (() => void)[] = [];
  readonly #onDeath = new Set<() => void>();
  /** What its wall clock is ahead of virtual time. */
  wallSkewMs = 0;

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
    this.dead = this.#death.signal;
    this.clock = {
      now: () => EPOCH_MS + Math.floor(scheduler.nowMs) + this.wallSkewMs,
      monotonic: () => scheduler.nowMs,
      setTimer: (fn, ms): Timer => this.after(ms, fn),
      clearTimer: (timer) => scheduler.cancel(timer as Scheduled),
    };
  }

  get alive(): boolean {
    return !this.dead.aborted;
  }

  get paused(): boolean {
    return this.#pausedEvents !== undefined;
  }

  /** Lets something happen in this process after a time, if it lives then. */
  after(delayMs: number, run: () => void): Scheduled {
    const event = this.#scheduler.after(delayMs, () => this.happen(() => event.cancelled || run()));
    return event;
  }

  /** Lets the kernel do something for this process after a time: also while it is paused, but not once it is dead. */
  kernelAfter(delayMs: number, run: () => void): void {
    this.#scheduler.after(delayMs, () => {
      if (this.alive) run();
    });
  }

  /** Lets something happen in this process now, or when it goes on, or never. */
  happen(run: () => void): void {
    if (!this.alive) return;
    if (this.#pausedEvents !== undefined) this.#pausedEvents.push(run);
    else run();
  }

  /** Lets a request arrive. Those that came during a pause may be served before the timers that have become due in it. */
  arrive(run: () => void): void {
    if (this.alive && this.paused) this.#pausedRequests.push(run);
    else this.happen(run);
  }

  pause(): void {
    this.#pausedEvents ??= [];
  }

  resume(): void {
    const events = [...this.#pausedRequests.splice(0), ...this.#pausedEvents ?? []];
    this.#pausedEvents = undefined;
    for (const run of events) this.#scheduler.after(0, () => this.happen(run));
  }

  /** Calls `listener` when the process is killed, unless the returned function was called before. */
  onDeath(listener: () => void): () => void {
    this.#onDeath.add(listener);
    return () => this.#onDeath.delete(listener);
  }

  kill(): void {
    if (!this.alive) return;
    this.#pausedEvents = undefined;
    this.#death.abort();
    for (const listener of this.#onDeath) listener();
    this.#onDeath.clear();
  }
}

const EPOCH_MS = Date.UTC(2026, 0, 1);
