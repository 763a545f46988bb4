/** The two real programs, started as processes on a store of their own, for as long as a test needs them. */
import { freePort } from "../tools/free_port.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 12_000;

export interface DatabaseOptions {
  /** Absent: dev mode. */
  readonly adminKey?: string;
  readonly workers?: number;
  /** Called before the programs start, with the root of the store that they will use. */
  readonly prepare?: (root: string) => Promise<void>;
}

/** The master key of every store here. */
export const MASTER_KEY = "5a".repeat(32);
export const KEY_ID = "main-key-v1";

/** A program that runs. */
interface Program {
  readonly child: Deno.ChildProcess;
  readonly log: string[];
}

function start(entry: string, flags: readonly string[], env: Readonly<Record<string, string>>): Program {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", entry, ...flags],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log.push(text);
  })();
  return { child, log };
}

async function end(program: Program, signal: Deno.Signal): Promise<void> {
  try {
    program.child.kill(signal);
  } catch {
    // It has ended already.
  }
  const timer = setTimeout(() => program.child.kill("SIGKILL"), STOP_MS_MAX);
  await program.child.status;
  clearTimeout(timer);
}

/** A main worker and its processing workers. */
export class Database {
  readonly url: string;
  readonly #folder: string;
  readonly #grpc: string;
  readonly #options: DatabaseOptions;
  #main: Program | undefined;
  readonly #workers = new Map<string, Program>();

  private constructor(folder: string, restPort: number, grpcPort: number, options: DatabaseOptions) {
    this.#folder = folder;
    this.url = `http://127.0.0.1:${restPort}`;
    this.#grpc = `127.0.0.1:${grpcPort}`;
    this.#options = options;
  }

  /** Starts everything and waits until it serves. */
  static async start(options: DatabaseOptions = {}): Promise<Database> {
    const folder = await Deno.makeTempDir({ prefix: "deltadb-ui-test-" });
    const database = new Database(folder, freePort(), freePort(), options);
    try {
      await database.#begin();
    } catch (error) {
      await database.stop();
      throw error;
    }
    return database;
  }

  async #begin(): Promise<void> {
    const { prepare, workers = 1 } = this.#options;
    await prepare?.(`${this.#folder}/db`);
    this.startMain();
    await this.#answers("/health");
    for (let index = 0; index < workers; index++) this.startWorker(`worker-${index + 1}`);
    await this.#answers("/ready");
  }

  startMain(): void {
    const flags = [
      `-rest-addr=${new URL(this.url).host}`,
      `-grpc-addr=${this.#grpc}`,
      `-shared-fs=${this.#folder}/db`,
      `-master-key=${MASTER_KEY}`,
      `-key-id=${KEY_ID}`,
    ];
    const env: Record<string, string> = {};
    if (this.#options.adminKey !== undefined) env.ADMIN_KEY = this.#options.adminKey;
    this.#main = start("main_worker/main.ts", flags, env);
  }

  startWorker(id: string): void {
    const flags = [
      `-main-addr=${this.#grpc}`,
      "-grpc-addr=127.0.0.1:0",
      `-shared-fs=${this.#folder}/db`,
      `-worker-id=${id}`,
    ];
    this.#workers.set(id, start("proc_worker/main.ts", flags, {}));
  }

  /** Ends a worker without a chance to say goodbye. */
  async killWorker(id: string): Promise<void> {
    await end(this.#workers.get(id)!, "SIGKILL");
    this.#workers.delete(id);
  }

  async stopMain(): Promise<void> {
    await end(this.#main!, "SIGTERM");
    this.#main = undefined;
  }

  /** Waits until the database answers that it can serve. */
  async ready(): Promise<void> {
    await this.#answers("/ready");
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => end(worker, "SIGTERM")));
    if (this.#main) await end(this.#main, "SIGTERM");
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #answers(path: string): Promise<void> {
    const deadline = performance.now() + READY_MS_MAX;
    while (performance.now() < deadline) {
      try {
        const response = await fetch(this.url + path);
        await response.body?.cancel();
        if (response.ok) return;
      } catch {
        // Nobody listens yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const logs = [this.#main, ...this.#workers.values()].map((program) => program?.log.join("") ?? "").join("\n");
    throw new Error(`${path} did not answer in ${READY_MS_MAX} ms:\n${logs}`);
  }
}

/** A client of the REST interface with one credential. */
export class Rest {
  readonly #url: string;
  readonly #credential: string;

  constructor(url: string, credential: string) {
    this.#url = url;
    this.#credential = credential;
  }

  async send(method: string, path: string, body?: string): Promise<Response> {
    return await fetch(this.#url + path, {
      method,
      headers: { Authorization: `Bearer ${this.#credential}`, "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body }),
    });
  }

  /** @throws {Error} when the answer is not a success. */
  async must(method: string, path: string, body?: string): Promise<string> {
    const response = await this.send(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  }

  async put(schema: string, key: string, text: string): Promise<void> {
    await this.must("PUT", `/entity/${encodeURIComponent(schema)}?key=${encodeURIComponent(key)}`, text);
  }

  async get(schema: string, key: string): Promise<string> {
    return await this.must("GET", `/entity/${encodeURIComponent(schema)}?key=${encodeURIComponent(key)}`);
  }
}
