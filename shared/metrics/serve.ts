/** Serves `/metrics` to Prometheus, on an address of its own. */
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue, Registry } from "prom-client";
import { type Address, formatAddress } from "../config/values.ts";
import { METRICS_REQUEST_MS } from "../limits.ts";
import type { Logger } from "../logging/logger.ts";
import { listenHost } from "../process/every_address.ts";
import { keepListening } from "../process/listener.ts";

/** The figures of a registry at one moment; survives a structured clone, so that it can come from another thread. */
export type MetricsSnapshot = readonly MetricObjectWithValues<MetricValue<string>>[];

/** The figures of a registry now. */
export async function takeSnapshot(registry: Registry): Promise<MetricsSnapshot> {
  return await registry.getMetricsAsJSON() as unknown as MetricsSnapshot;
}

/** One text of the figures of several threads: equal series are added. */
export async function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return await AggregatorRegistry.aggregate(snapshots as unknown as Parameters<typeof AggregatorRegistry.aggregate>[0])
    .metrics();
}

/** A server of `/metrics`. */
export interface MetricsServer {
  /** Where it listens; the port is a real one also when 0 was asked for. */
  readonly address: Address;
  /** Stops listening and lets answers finish. */
  shutdown(): Promise<void>;
}

/**
 * Serves the text that `metrics` makes at `/metrics`.
 *
 * @throws {Deno.errors.AddrInUse} when the port is taken.
 */
export function serveMetrics(address: Address, metrics: () => Promise<string>, log: Logger): MetricsServer {
  const handler = async (request: Request): Promise<Response> => {
    // No URL can be made of a host that is none.
    if (URL.parse(request.url)?.pathname !== "/metrics") {
      return new Response("not found; metrics are at /metrics\n", { status: 404 });
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response("method not allowed\n", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the figures took too long")), METRICS_REQUEST_MS);
    });
    try {
      const text = await Promise.race([metrics(), late]);
      const headers = { "content-type": Registry.PROMETHEUS_CONTENT_TYPE, "cache-control": "no-store" };
      return new Response(request.method === "HEAD" ? null : text, { headers });
    } catch (error) {
      log.error("metrics_failed", { error });
      return new Response("the figures could not be collected; see the log\n", { status: 500 });
    } finally {
      clearTimeout(timer);
    }
  };
  const open = (port: number, signal: AbortSignal) =>
    Deno.serve({
      hostname: listenHost(address),
      port,
      signal,
      onListen: () => {},
      onError: (error) => {
        log.error("metrics_failed", { error });
        return new Response(null, { status: 500 });
      },
    }, handler);
  const server = keepListening(address.port, open, log);
  const listening = { host: listenHost(address), port: server.port };
  log.info("metrics_listening", { address: formatAddress(listening) });
  return { address: listening, shutdown: () => server.shutdown() };
}
