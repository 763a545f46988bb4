/**
 * Starts the programs in a folder as the guide says, stores a document, kills both, and reads it again:
 * `deno run -A tests/deploy/smoke.ts bin`. For programs that `deno task compile` made, on the platform that they are for.
 */
import { freePort } from "../tools/free_port.ts";
import { Client } from "./client.ts";
import { secret } from "./command.ts";

const [bin = "bin"] = Deno.args;
const cwd = await Deno.makeTempDir({ prefix: "deltadb-smoke-" });
const programs = await Deno.realPath(bin);
const [rest, grpc] = [freePort(), freePort()];
const keys = { MASTER_KEY: secret(32), ADMIN_KEY: secret(24) };
const client = new Client(`http://127.0.0.1:${rest}`, keys.ADMIN_KEY);

function start(program: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(`${programs}/${program}`, { args, cwd, env: keys, stdin: "null" }).spawn();
}

function startBoth(): Deno.ChildProcess[] {
  return [
    start("main-worker", `-rest-addr=127.0.0.1:${rest}`, `-grpc-addr=127.0.0.1:${grpc}`),
    start("proc-worker", `-main-addr=127.0.0.1:${grpc}`, "-worker-id=proc-1", "-grpc-addr=127.0.0.1:0"),
  ];
}

async function end(children: readonly Deno.ChildProcess[], signal: Deno.Signal): Promise<number[]> {
  for (const child of children) child.kill(signal);
  return (await Promise.all(children.map((child) => child.status))).map(({ code }) => code);
}

let running = startBoth();
try {
  await client.ready();
  await client.store(20);
  await end(running, "SIGKILL");
  running = startBoth();
  await client.check();
  const outside = await start(
    "main-worker",
    "-shared-fs=/nowhere/db",
    "-rest-addr=127.0.0.1:0",
    "-grpc-addr=127.0.0.1:0",
  ).status;
  if (outside.success) throw new Error("a store outside of the permitted folders was not refused");
} catch (error) {
  await end(running, "SIGKILL");
  throw error;
}
const [main, worker] = running as [Deno.ChildProcess, Deno.ChildProcess];
const codes = [...await end([worker], "SIGTERM"), ...await end([main], "SIGTERM")];
if (codes.some((code) => code !== 0)) throw new Error(`the programs ended with ${codes.join(" and ")}`);
await Deno.remove(cwd, { recursive: true });
console.log("smoke: stored, killed, started, read, stopped");
