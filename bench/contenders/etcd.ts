/** etcd over HTTP (its JSON gateway): one member, every write synced, nothing encrypted. */
import { freePort } from "../../tests/tools/free_port.ts";
import { wrk } from "../load/wrk.ts";
import { Absent, type Contender, eventually, has } from "./contender.ts";

export async function startEtcd(): Promise<Contender> {
  if (!await has("etcd")) throw new Absent("etcd is not installed (Debian: etcd-server)");
  const directory = await Deno.makeTempDir({ prefix: "etcd-bench-" });
  const [client, peer] = [freePort(), freePort()];
  const url = `http://127.0.0.1:${client}`;
  const server = new Deno.Command("etcd", {
    args: [
      `--data-dir=${directory}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
      "--log-level=error",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await eventually(async () => {
    const response = await fetch(`${url}/health`);
    if (!(await response.json()).health) throw new Error("not healthy");
  });
  return {
    name: "etcd, HTTP",
    about: "JSON gateway, synced, not encrypted, no schema",
    works: ["put"],
    processes: () => ({ etcd: server.pid }),
    round: (_work, { connections, seconds, keys, size }) =>
      wrk({ url, script: "etcd_put.lua", args: { keys, size }, connections, seconds }),
    async stop() {
      server.kill("SIGTERM");
      await server.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}
