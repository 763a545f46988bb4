/** HTTP listeners that outlive a shortage of file descriptors. */
import { LISTENER_RETRY_MS } from "../limits.ts";
import type { Logger } from "../logging/logger.ts";

/** A listener that listens until it is shut down. */
export interface KeptListener {
  /** The port that it listens on. */
  readonly port: number;
  /** Accepts nothing new and lets requests finish. */
  shutdown(): Promise<void>;
}

/**
 * Listens with what `open` opens on a port. Deno ends a listener whose accepting fails, which it does as soon as the
 * process has no file descriptor left, and nothing tells it to close a connection on which no request ever comes. So
 * all connections are cut then, which gives their descriptors back, and it listens again; clients come back.
 *
 * @throws what `open` throws the first time.
 */
export function keepListening(
  port: number,
  open: (port: number, signal: AbortSignal) => Deno.HttpServer<Deno.NetAddr>,
  log: Logger,
): KeptListener {
  let cut = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  let server = follow(open(port, cut.signal));
  const bound = server.addr.port;

  function follow(opened: Deno.HttpServer<Deno.NetAddr>): Deno.HttpServer<Deno.NetAddr> {
    opened.finished.catch((error) => {
      if (closed) return;
      log.error("listener_failed", { port: bound, connections: "cut", error });
      cut.abort();
      reopen();
    });
    return opened;
  }

  function reopen(): void {
    timer = setTimeout(() => {
      cut = new AbortController();
      try {
        server = follow(open(bound, cut.signal));
      } catch {
        // Still none left, or the old listener is not gone yet.
        reopen();
      }
    }, LISTENER_RETRY_MS);
  }

  return {
    port: bound,
    async shutdown() {
      closed = true;
      clearTimeout(timer);
      await server.shutdown();
    },
  };
}
