/** PostgreSQL with pgcrypto: an upsert of the same document by prepared statement over its own protocol, driven by pgbench. */
import { freePort } from "../../tests/tools/free_port.ts";
import type { Round } from "../load/wrk.ts";
import { Absent, type Contender, eventually, type Setting } from "./contender.ts";

/** Debian's place for a version's programs. */
async function binaries(): Promise<string> {
  const versions: string[] = [];
  try {
    for await (const entry of Deno.readDir("/usr/lib/postgresql")) versions.push(entry.name);
  } catch {
    // Said below.
  }
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Absent("PostgreSQL is not installed (Debian: postgresql)");
  return `/usr/lib/postgresql/${newest}/bin`;
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${command} failed: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

export async function startPostgres(): Promise<Contender> {
  const bin = await binaries();
  const directory = await Deno.makeTempDir({ prefix: "postgres-bench-" });
  await run("chown", ["postgres", directory]);
  const port = freePort();
  // PostgreSQL refuses to run as root.
  const asPostgres = (program: string, args: readonly string[]) =>
    run("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", `${bin}/${program}`, ...args]);
  await asPostgres("initdb", ["-D", `${directory}/data`, "-A", "trust", "-E", "UTF8"]);
  const server = new Deno.Command("setpriv", {
    args: [
      "--reuid=postgres",
      "--regid=postgres",
      "--clear-groups",
      `${bin}/postgres`,
      "-D",
      `${directory}/data`,
      "-p",
      String(port),
      "-k",
      directory,
      "-c",
      "listen_addresses=127.0.0.1",
      "-c",
      "max_connections=200",
      "-c",
      "shared_buffers=256MB",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const sql = (statement: string) =>
    run(`${bin}/psql`, ["-h", "127.0.0.1", "-p", String(port), "-U", "postgres", "-qc", statement]);
  await eventually(() => sql("SELECT 1"));
  await sql("CREATE EXTENSION pgcrypto");
  await sql("CREATE TABLE documents (key text PRIMARY KEY, document bytea NOT NULL)");

  async function script(work: "put" | "get", { keys, size }: Setting): Promise<string> {
    const path = `${directory}/${work}.sql`;
    // A document of the same fields. pgbench would take a colon in its text for a variable.
    const rest = Math.max(0, size - '{"n":1,"name":"somebody","active":true,"text":""}'.length);
    const document = `jsonb_build_object('n', :k::int, 'name', 'somebody', 'active', true, 'text', '${
      "x".repeat(rest)
    }')`;
    const statement = work === "put"
      ? `INSERT INTO documents VALUES ('key-' || :k::text, pgp_sym_encrypt(${document}::text, 'secret', ` +
        `'cipher-algo=aes256, compress-algo=0, s2k-mode=0')) ` +
        `ON CONFLICT (key) DO UPDATE SET document = EXCLUDED.document;`
      : `SELECT pgp_sym_decrypt(document, 'secret') FROM documents WHERE key = 'key-' || :k::text;`;
    await Deno.writeTextFile(path, `\\set k random(0, ${keys - 1})\n${statement}\n`);
    return path;
  }

  return {
    name: "PostgreSQL, pgcrypto",
    about: "prepared upsert of jsonb, AES-256, synchronous_commit=on, binary protocol by pgbench",
    works: ["put"],
    processes: () => ({ postgres: server.pid }),
    async round(work, setting): Promise<Round> {
      const file = await script(work as "put" | "get", setting);
      const logs = await Deno.makeTempDir({ prefix: "pgbench-" });
      const text = await run(`${bin}/pgbench`, [
        "-n",
        "-M",
        "prepared",
        "-c",
        String(setting.connections),
        "-j",
        "1",
        "-T",
        String(setting.seconds),
        "-l",
        `--log-prefix=${logs}/log`,
        "-f",
        file,
        "-h",
        "127.0.0.1",
        "-p",
        String(port),
        "-U",
        "postgres",
        "postgres",
      ]);
      // A line a transaction: client, number, microseconds, …
      const latencies: number[] = [];
      for await (const { name } of Deno.readDir(logs)) {
        for (const line of (await Deno.readTextFile(`${logs}/${name}`)).split("\n")) {
          if (line !== "") latencies.push(Number(line.split(" ")[2]) / 1_000);
        }
      }
      await Deno.remove(logs, { recursive: true });
      latencies.sort((a, b) => a - b);
      const at = (q: number) => latencies[Math.floor(latencies.length * q)] ?? NaN;
      return {
        perSecond: Number(/tps = ([\d.]+)/.exec(text)?.[1]),
        p50Ms: at(0.5),
        p99Ms: at(0.99),
        errors: Number(/failed transactions: (\d+)/.exec(text)?.[1] ?? 0),
        requests: latencies.length,
      };
    },
    async stop() {
      server.kill("SIGINT");
      await server.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}
