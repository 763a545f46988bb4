/** Listening at every address of the machine, and the addresses of those who come. */
import type { Address } from "../config/values.ts";

/** Found out once. */
let everyHost: string | undefined;

/** The host to listen on, for interfaces that want one: every address of the machine where the address names none. */
export function listenHost({ host }: Pick<Address, "host">): string {
  return host === "" ? everyHost ??= probeEveryHost() : host;
}

/** A listener of IPv6 takes connections of IPv4 too, unless the system has no IPv6 or keeps them apart (`bindv6only`). */
function probeEveryHost(): string {
  try {
    using both = Deno.listen({ hostname: "::", port: 0 });
    try {
      Deno.listen({ hostname: "0.0.0.0", port: both.addr.port }).close();
    } catch {
      return "::";
    }
  } catch {
    // There is no IPv6.
  }
  return "0.0.0.0";
}

/** An address of IPv4 that came in the notation of IPv6, as it is written otherwise; any other as it is. */
export function plainHost(host: string): string {
  return host.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}
