/** Tells watchers of the main worker what was committed here, in the order in which it was; costs nothing while nobody watches. */
import type { EntityEvent } from "../shared/wire/messages.ts";

export class CommitEvents {
  readonly #listeners = new Set<(event: EntityEvent) => void>();

  /** Whether anybody listens: an event need not be made otherwise. */
  get wanted(): boolean {
    return this.#listeners.size > 0;
  }

  emit(event: EntityEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Sends every event from now on, until `signal` is aborted or `send` asks to stop. */
  stream(send: (event: EntityEvent) => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const stop = () => {
        this.#listeners.delete(listener);
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const listener = (event: EntityEvent) => {
        if (!send(event)) stop();
      };
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", stop, { once: true });
      this.#listeners.add(listener);
    });
  }
}
