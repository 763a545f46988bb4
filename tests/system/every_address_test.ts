/** Programs whose addresses name no host, reached over both families of addresses. */
import assert from "assert";
import { ADMIN_KEY, Program } from "./cluster.ts";

const hasIpv6 = Deno.networkInterfaces().some(({ address }) => address === "::1");
if (!hasIpv6) console.error("tests/system: this machine has no ::1, so that only IPv4 is tried");
const HOSTS = ["127.0.0.1", ...(hasIpv6 ? ["[::1]"] : [])];

for (const threads of [1, 2]) {
  Deno.test(`addresses without a host are reached over IPv4 and IPv6, front threads: ${threads}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "deltadb-address-" });
    const store = `-shared-fs=${directory}/db`;
    const programs: Program[] = [];
    const start = (name: string, entry: string, flags: readonly string[], env: Record<string, string> = {}) => {
      const program = new Program(name, entry, [store, "-metrics-addr=:0", ...flags], env);
      programs.push(program);
      return program;
    };
    try {
      const main = start(
        "main",
        "main_worker/main.ts",
        ["-rest-addr=:0", "-grpc-addr=:0", `-rest-threads=${threads}`],
        { ADMIN_KEY, MASTER_KEY: "ab".repeat(32) },
      );
      const { rest_addr, grpc_addr } = await main.event("started");
      const port = (address: unknown) => String(address).slice(String(address).lastIndexOf(":") + 1);
      const metrics = port((await main.event("metrics_listening")).address);
      const urls = HOSTS.map((host) => `http://${host}:${port(rest_addr)}`);
      for (const [index, host] of HOSTS.entries()) {
        const worker = start(
          `worker-${index}`,
          "proc_worker/main.ts",
          [`-worker-id=worker-${index}`, "-grpc-addr=:0", `-main-addr=${host}:${port(grpc_addr)}`],
        );
        const { address } = await main.event("worker_joined", index + 1);
        assert.equal(String(address).replace(/:\d+$/, ""), host, "it is called where it came from");
        await worker.event("joined");
        assert.equal((await fetch(`http://${host}:${metrics}/metrics`)).status, 200);
        assert.equal(
          (await fetch(`http://${host}:${port((await worker.event("metrics_listening")).address)}/metrics`)).status,
          200,
        );
      }
      const headers = { authorization: `Bearer ${ADMIN_KEY}` };
      for (const url of urls) {
        for (;;) {
          const stored = await fetch(`${url}/entity/s?key=k`, { method: "PUT", body: JSON.stringify(url), headers });
          const text = await stored.text();
          if (stored.status === 200) break;
          assert.equal(stored.status, 503, text);
        }
        for (const other of urls) {
          assert.equal(await (await fetch(`${other}/entity/s?key=k`, { headers })).json(), url);
        }
        assert.equal((await fetch(`${url}/schema/s`, { method: "DELETE" })).status, 401);
      }
      await main.event("request_refused", urls.length);
      const refused = [...main.output.matchAll(/"request_refused",.*"address":"([^"]*)"/g)].map(([, address]) =>
        address
      );
      assert.deepEqual(refused, HOSTS.map((host) => host.replace(/[[\]]/g, "")));
    } finally {
      for (const program of programs) await program.kill();
      await Deno.remove(directory, { recursive: true });
    }
  });
}
