/** One watch for everything on the documents page: the list of keys and the open document hear of each write once. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { WatchData } from "../api/types.ts";
import { watchSchema } from "../api/watch.ts";

type FeedListener = (kind: "put" | "delete", data: WatchData) => void;

/** The watch of one schema, for several listeners. */
export class Feed {
  readonly #listeners = new Set<FeedListener>();
  readonly #live = signal(false);
  readonly #resets = signal(0);
  readonly #stop: () => void;
  /** Whether changes arrive at the moment. */
  readonly live: ReadonlySignal<boolean> = this.#live;
  /** Grows when changes may have been missed: load again. */
  readonly resets: ReadonlySignal<number> = this.#resets;

  constructor(client: Client, schema: string) {
    this.#stop = watchSchema(client, schema, {
      changed: (kind, data) => this.#listeners.forEach((listener) => listener(kind, data)),
      reset: () => {
        this.#resets.value++;
      },
      live: (connected) => {
        this.#live.value = connected;
      },
    });
  }

  /** Calls `listener` for each write until the returned function is called. */
  listen(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }
}
