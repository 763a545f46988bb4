/** The ceiling: a bare `Deno.serve` that checks the same header and answers the same number of bytes. It stores nothing. */
import { freePort } from "../../tests/tools/free_port.ts";
import { wrk } from "../load/wrk.ts";
import { type Contender, eventually } from "./contender.ts";

const KEY = "bench-admin-key-0123456789abcdef";

export async function startBare(size: number): Promise<Contender> {
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", new URL("./bare_server.ts", import.meta.url).pathname, String(port), KEY, String(size)],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  await eventually(async () => {
    const response = await fetch(url);
    await response.body?.cancel();
  });
  return {
    name: "bare Deno.serve",
    about: "the same header checked, the same bytes answered, nothing stored",
    works: ["get", "put"],
    processes: () => ({ server: server.pid }),
    round: (work, { connections, seconds, keys, size }) =>
      wrk({
        url,
        script: work === "put" ? "put.lua" : "get.lua",
        args: { key: KEY, keys, size },
        connections,
        seconds,
      }),
    async stop() {
      server.kill("SIGTERM");
      await server.status;
    },
  };
}
