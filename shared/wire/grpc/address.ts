/** Addresses of gRPC servers: `host:port`, with the host of an IPv6 address in brackets. */
import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import { GRPC_PROBE_MS, HOST_BYTES_MAX } from "../../limits.ts";
import { plainHost } from "../../process/every_address.ts";

/** An address taken apart. */
export interface Address {
  /** A name or an IP address, without brackets. Empty where the address had none. */
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/;

/** Takes `host:port` apart. @throws {TypeError} for anything else. */
export function parseAddress(address: string): Address {
  const match = address.length <= HOST_BYTES_MAX + 8 ? ADDRESS.exec(address) : null;
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new TypeError(`"${address.slice(0, 300)}" is not host:port`);
  return { host: match[1] ?? match[2]!, port };
}

/** Puts an address together. */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Whether an IP address stands for every interface. */
export function isUnspecified(host: string): boolean {
  return host === "" || host === "0.0.0.0" || host === "::";
}

/** The host of a peer as gRPC names it (`ip:port`), an IPv4 address inside an IPv6 one taken out; empty: unknown. */
export function peerHost(peer: string): string {
  const at = peer.lastIndexOf(":");
  if (at < 0) return "";
  return plainHost(peer.slice(0, at).replace(/^\[|\]$/g, ""));
}

/** Whether a connection to every address of the host is refused right now: nobody listens there. */
export async function nobodyListens({ host, port }: Address): Promise<boolean> {
  try {
    const addresses = await lookup(host, { all: true });
    const refused = await Promise.all(addresses.map((one) => isRefused(one.address, port)));
    return refused.length > 0 && refused.every(Boolean);
  } catch {
    return false;
  }
}

function isRefused(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => finish(false), GRPC_PROBE_MS);
    const finish = (refused: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(refused);
    };
    socket.once("connect", () => finish(false));
    socket.once("error", (error: NodeJS.ErrnoException) => finish(error.code === "ECONNREFUSED"));
  });
}
