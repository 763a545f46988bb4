/**
 * Whether the server answers. Every call tells it; while the server is away it is asked again by itself, and whoever shows
 * data learns from `generation` that it is back.
 */
import { computed, type ReadonlySignal, signal } from "@preact/signals";

const FIRST_RETRY_MS = 500;
const RETRY_MS_MAX = 3_000;

/** Knows whether the server answers, and finds out when it does again. */
export class Connection {
  readonly #lostAtMs = signal<number | null>(null);
  readonly #generation = signal(0);
  #waiting = false;
  /** When the server stopped answering; `null` while it answers. */
  readonly lostAtMs: ReadonlySignal<number | null> = this.#lostAtMs;
  /** Grows each time the server came back, or a session began anew: load again. */
  readonly generation: ReadonlySignal<number> = this.#generation;
  readonly online: ReadonlySignal<boolean> = computed(() => this.#lostAtMs.value === null);

  reached(): void {
    if (this.#lostAtMs.value === null) return;
    this.#lostAtMs.value = null;
    this.#generation.value++;
  }

  /** Something else made everything worth loading again: a new session. */
  renew(): void {
    this.#generation.value++;
  }

  lost(): void {
    if (this.#lostAtMs.value === null) this.#lostAtMs.value = Date.now();
    if (!this.#waiting) this.#probe(FIRST_RETRY_MS);
  }

  #probe(delayMs: number): void {
    this.#waiting = true;
    setTimeout(async () => {
      try {
        const response = await fetch("/health", { cache: "no-store", credentials: "omit" });
        await response.body?.cancel();
        this.#waiting = false;
        if (response.ok) this.reached();
        else this.#probe(RETRY_MS_MAX);
      } catch {
        this.#probe(Math.min(delayMs * 2, RETRY_MS_MAX));
      }
    }, delayMs);
  }
}
