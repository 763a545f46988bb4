/** The listener of the REST door: HTTP, or HTTPS whose certificate is renewed without a restart. */
import { type Address, formatAddress } from "../../../shared/config/values.ts";
import type { Logger } from "../../../shared/logging/logger.ts";
import { listenHost } from "../../../shared/process/every_address.ts";
import { keepListening } from "../../../shared/process/listener.ts";
import type { TlsMaterial } from "../../../shared/wire/grpc/tls.ts";
import type { RestApp } from "./app.ts";

/** A door that listens. */
export interface RestServer {
  /** Where; the port is a real one also when 0 was asked for. */
  readonly address: Address;
  /** New connections get this certificate; open ones keep theirs. @throws {Error} when it cannot be used; nothing changes then. */
  renew(tls: TlsMaterial): void;
  /** Accepts nothing new and lets requests finish; those that have not after `graceMs` are cut off. */
  stop(graceMs: number): Promise<void>;
}

/** @throws {Deno.errors.AddrInUse} when the port is taken, and what Deno throws for a certificate that is no good. */
export function serveRest(
  app: Pick<RestApp, "fetch">,
  address: Address,
  tls: TlsMaterial | undefined,
  log: Logger,
  /** Other threads listen at the same address. */
  shared = false,
): RestServer {
  const handler = (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => app.fetch(request, info);
  const open = (certificate: TlsMaterial | undefined) => (port: number, signal: AbortSignal) =>
    Deno.serve({
      hostname: listenHost(address),
      port,
      signal,
      // With TLS a second listener takes over when the certificate is renewed.
      ...(certificate ? { cert: certificate.certificate!, key: certificate.privateKey! } : {}),
      reusePort: shared || certificate !== undefined,
      onListen: () => {},
      onError: (error) => {
        log.error("connection_failed", { error });
        return new Response(null, { status: 500 });
      },
    }, handler);
  let server = keepListening(address.port, open(tls), log);
  const bound: Address = { host: address.host, port: server.port };
  log.debug("rest_listens", { address: formatAddress(bound), tls: tls !== undefined });
  return {
    address: bound,
    renew(next) {
      const before = server;
      server = keepListening(bound.port, open(next), log);
      // Long answers go on under the certificate that they began with.
      before.shutdown().catch((error) => log.warn("listener_not_closed", { error }));
    },
    async stop(graceMs) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, graceMs);
      });
      await Promise.race([server.shutdown(), late]);
      clearTimeout(timer);
    },
  };
}
