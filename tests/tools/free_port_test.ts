import assert from "assert";
import { freePort } from "./free_port.ts";

/** Where the ports begin that the system gives away by itself: as Linux says, and as IANA has it elsewhere. */
async function firstOfSystem(): Promise<number> {
  if (Deno.build.os !== "linux") return 49_152;
  return Number((await Deno.readTextFile("/proc/sys/net/ipv4/ip_local_port_range")).split(/\s+/)[0]);
}

Deno.test("a free port is none that the system gives away by itself", async () => {
  const first = await firstOfSystem();
  for (let i = 0; i < 1_000; i++) {
    const port = freePort();
    assert(port >= 1_024 && port < first, String(port));
  }
});
