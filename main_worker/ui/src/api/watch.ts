/// <reference lib="dom" />
/** A watch on a schema that stays open: it reconnects by itself and resumes after the last event that it has seen. */
import type { Client } from "./client.ts";
import { ApiError } from "./errors.ts";
import { readEvents } from "./event_stream.ts";
import type { WatchData } from "./types.ts";

interface WatchHandlers {
  /** Somebody wrote or deleted a document (this browser included). */
  changed(kind: "put" | "delete", data: WatchData): void;
  /** Events were lost: list again. */
  reset(): void;
  /** Whether changes arrive at the moment. */
  live(connected: boolean): void;
}

const FIRST_RETRY_MS = 500;
const RETRY_MS_MAX = 5_000;

/** A browser opens only a few connections to a server, so a tab that nobody looks at gives its own back. */
const HIDDEN_MS_MAX = 20_000;

/** Watches until the returned function is called. */
export function watchSchema(client: Client, schema: string, handlers: WatchHandlers): () => void {
  const controller = new AbortController();
  run(client, schema, handlers, controller.signal);
  return () => controller.abort();
}

async function run(client: Client, schema: string, handlers: WatchHandlers, stopped: AbortSignal): Promise<void> {
  let lastId: string | null = null;
  let delayMs = FIRST_RETRY_MS;
  let interrupted = false;
  while (!stopped.aborted) {
    const visible = whileVisible(stopped);
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (lastId !== null) headers["Last-Event-ID"] = lastId;
      const path = `/watch/${encodeURIComponent(schema)}`;
      const response = await client.request(path, { headers, signal: visible.signal, timeoutMs: null });
      handlers.live(true);
      // Without an event seen there is nothing to resume after: what happened meanwhile must be listed.
      if (interrupted && lastId === null) handlers.reset();
      delayMs = FIRST_RETRY_MS;
      for await (const { event, id, data } of readEvents(response)) {
        if (id) lastId = id;
        if (event === "reset") handlers.reset();
        else if (event === "put" || event === "delete") handlers.changed(event, JSON.parse(data) as WatchData);
      }
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        handlers.live(false);
        return;
      }
    } finally {
      visible.end();
    }
    if (stopped.aborted) return;
    handlers.live(false);
    await shown(stopped);
    interrupted = true;
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    delayMs = Math.min(delayMs * 2, RETRY_MS_MAX);
  }
}

/** A signal that is aborted when watching stops, or when the tab has been hidden for a while. */
function whileVisible(stopped: AbortSignal): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const changed = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => controller.abort(), HIDDEN_MS_MAX);
  };
  const stop = () => controller.abort();
  document.addEventListener("visibilitychange", changed);
  stopped.addEventListener("abort", stop);
  changed();
  return {
    signal: controller.signal,
    end: () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", changed);
      stopped.removeEventListener("abort", stop);
    },
  };
}

/** Resolves when the tab can be seen, or when watching stops. */
function shown(stopped: AbortSignal): Promise<void> {
  if (!document.hidden || stopped.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      document.removeEventListener("visibilitychange", done);
      stopped.removeEventListener("abort", done);
      resolve();
    };
    document.addEventListener("visibilitychange", done);
    stopped.addEventListener("abort", done);
  });
}
