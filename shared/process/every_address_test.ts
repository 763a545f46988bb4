import assert from "assert";
import { listenHost, plainHost } from "./every_address.ts";

/** Whether a connection to this host and port comes about. */
async function reaches(hostname: string, port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch {
    return false;
  }
}

Deno.test("without a host, every address of the machine is listened at", async () => {
  const hasIpv6 = Deno.networkInterfaces().some(({ address }) => address === "::1");
  if (!hasIpv6) console.error("this machine has no ::1: only IPv4 is looked at");
  using listener = Deno.listen({ hostname: listenHost({ host: "" }), port: 0 });
  const { port } = listener.addr;
  assert(await reaches("127.0.0.1", port));
  if (hasIpv6) assert(await reaches("::1", port));
  assert.throws(() => Deno.listen({ hostname: "0.0.0.0", port }), Deno.errors.AddrInUse);
});

Deno.test("a host that is named is listened at, and no other", async () => {
  for (const host of ["127.0.0.1", "0.0.0.0", "::", "localhost"]) assert.equal(listenHost({ host }), host);
  using listener = Deno.listen({ hostname: listenHost({ host: "127.0.0.1" }), port: 0 });
  assert(!await reaches("::1", listener.addr.port));
});

Deno.test("an address of IPv4 is written one way", () => {
  assert.equal(plainHost("::ffff:10.1.2.3"), "10.1.2.3");
  assert.equal(plainHost("::FFFF:10.1.2.3"), "10.1.2.3");
  for (const host of ["10.1.2.3", "::1", "fd00::ffff:1", "::ffff:a:1", "unix"]) assert.equal(plainHost(host), host);
});
