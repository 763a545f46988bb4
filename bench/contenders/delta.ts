/** DeltaDatabase itself, from source: one main worker and a number of processing workers, on a directory. */
import { freePort } from "../../tests/tools/free_port.ts";
import { wrk } from "../load/wrk.ts";
import { type Contender, eventually, type Setting, type Work } from "./contender.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const ADMIN_KEY = "bench-admin-key-0123456789abcdef";
const SCHEMA = JSON.stringify({
  type: "object",
  required: ["n", "name", "active", "text"],
  properties: {
    n: { type: "integer" },
    name: { type: "string", maxLength: 64 },
    active: { type: "boolean" },
    text: { type: "string" },
  },
});

const SCRIPTS: Readonly<Record<Work, string>> = {
  put: "put.lua",
  get: "get.lua",
  put_many: "put_many.lua",
  get_many: "get_many.lua",
};

/** How it is started. */
export interface DeltaOptions {
  readonly workers: number;
  /** Store root; kept when it is given. Default: a temporary directory. */
  readonly root?: string;
  readonly mainFlags?: readonly string[];
  /** For each processing worker alike. */
  readonly workerFlags?: readonly string[];
}

/** A running database for measurements; `url` and `adminKey` are for who fills it. */
export type Delta = Contender & { readonly url: string; readonly adminKey: string };

export async function startDelta(options: DeltaOptions): Promise<Delta> {
  const directory = options.root ?? await Deno.makeTempDir({ prefix: "deltadb-bench-" });
  const [rest, grpc] = [freePort(), freePort()];
  const url = `http://127.0.0.1:${rest}`;
  const program = (entry: string, flags: readonly string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--no-check", entry, `-shared-fs=${directory}/db`, "-log-level=error", ...flags],
      cwd: ROOT,
      env: { ADMIN_KEY, MASTER_KEY: "ab".repeat(32) },
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
  const main = program("main_worker/main.ts", [
    `-rest-addr=127.0.0.1:${rest}`,
    `-grpc-addr=127.0.0.1:${grpc}`,
    ...(options.mainFlags ?? []),
  ]);
  const workers = Array.from({ length: options.workers }, (_, i) =>
    program("proc_worker/main.ts", [
      `-main-addr=127.0.0.1:${grpc}`,
      "-grpc-addr=127.0.0.1:0",
      `-worker-id=bench-${i + 1}`,
      ...(options.workerFlags ?? []),
    ]));
  const authorization = `Bearer ${ADMIN_KEY}`;
  await eventually(async () => {
    const ready = await fetch(`${url}/ready`);
    await ready.body?.cancel();
    if (!ready.ok) throw new Error("not ready");
    const listed = await (await fetch(`${url}/admin/workers`, { headers: { authorization } })).json();
    if (listed.length < options.workers) throw new Error("not all workers have joined");
  });
  const stored = await fetch(`${url}/schema/bench`, { method: "PUT", headers: { authorization }, body: SCHEMA });
  if (!stored.ok) throw new Error(`the schema was refused: ${await stored.text()}`);
  await stored.body?.cancel();
  return {
    name: `DeltaDatabase, ${options.workers} worker${options.workers === 1 ? "" : "s"}`,
    about: "REST, JSON Schema on every write, AES-256-GCM, fdatasync before the answer",
    works: ["put", "get", "put_many", "get_many"],
    url,
    adminKey: ADMIN_KEY,
    processes: () => ({
      main: main.pid,
      ...Object.fromEntries(workers.map((worker, i) => [`worker ${i + 1}`, worker.pid])),
    }),
    round: (work: Work, { connections, seconds, keys, size }: Setting) =>
      wrk({ url, script: SCRIPTS[work], args: { key: ADMIN_KEY, keys, size, schema: "bench" }, connections, seconds }),
    async stop() {
      for (const child of [...workers, main]) child.kill("SIGTERM");
      await Promise.all([...workers, main].map((child) => child.status));
      if (options.root === undefined) await Deno.remove(directory, { recursive: true });
    },
  };
}
