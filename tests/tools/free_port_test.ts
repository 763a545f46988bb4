import assert from "assert";
import { freePort } from "./free_port.ts";

Deno.test("a free port is none that the system gives away by itself", async () => {
  const range = await Deno.readTextFile("/proc/sys/net/ipv4/ip_local_port_range");
  const first = Number(range.split(/\s+/)[0]);
  for (let i = 0; i < 1_000; i++) {
    const port = freePort();
    assert(port >= 1_024 && port < first, String(port));
  }
});
