/** Real processes for tests: the two programs as a user starts them from source, on free ports and a directory of their own. */
import assert from "assert";
import { fileURLToPath } from "node:url";
import { freePort } from "../tools/free_port.ts";
import { type ClusterStore, DirectoryStore } from "./stores.ts";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The admin key of every test cluster. */
export const ADMIN_KEY = "test-admin-key-0123456789abcdef";

/** Start-up on a loaded machine may take long; nothing is measured by this. */
const READY_MS = 90_000;
const POLL_MS = 25;

/** One of the programs, started. */
export class Program {
  readonly name: string;
  readonly #child: Deno.ChildProcess;
  readonly #output: Promise<unknown>;
  #lines = "";
  #over = false;

  constructor(name: string, entry: string, flags: readonly string[], env: Record<string, string> = {}) {
    this.name = name;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--frozen", entry, ...flags],
      cwd: ROOT,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child.status.then(() => this.#over = true);
    this.#output = Promise.all([this.#read(this.#child.stdout), this.#read(this.#child.stderr)]);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.#lines += decoder.decode(bytes, { stream: true });
  }

  /** Everything that it has printed so far. */
  get output(): string {
    return this.#lines;
  }

  get pid(): number {
    return this.#child.pid;
  }

  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  }

  /** Whether it has ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Its exit status, once it has ended and everything that it printed has been read. */
  async ended(): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    await this.#output;
    return status;
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended();
  }

  /**
   * Waits for a log event, and answers its line; `count`: for that many of them, and answers the last.
   * @throws when the program ends without it.
   */
  async event(name: string, count = 1): Promise<Record<string, unknown>> {
    for (const until = Date.now() + READY_MS; Date.now() < until;) {
      const ended = this.#over;
      const line = this.#lines.split("\n").filter((line) => line.includes(`"event":"${name}"`))[count - 1];
      // What is still being written ends without its brace.
      if (line?.endsWith("}")) return JSON.parse(line);
      if (ended) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`${this.name} did not say ${name}; it said:\n${this.#lines}`);
  }
}

/** A worker in `GET /admin/workers`. */
export interface Member {
  readonly worker_id: string;
  readonly status: "Available" | "Unavailable";
  readonly partitions: readonly number[];
  readonly tags: Readonly<Record<string, string>>;
}

/** The owner of each partition. */
export function owners(members: readonly Member[]): Map<number, string> {
  return new Map(members.flatMap(({ worker_id, partitions }) => partitions.map((partition) => [partition, worker_id])));
}

/** The workers that are there, if they serve all 64 partitions and no one has two more than another. */
export function evenlySharing(members: readonly Member[]): readonly Member[] | undefined {
  const present = members.filter(({ status }) => status === "Available");
  const loads = present.map(({ partitions }) => partitions.length);
  const isEven = loads.reduce((a, b) => a + b, 0) === 64 && Math.max(...loads) - Math.min(...loads) <= 1;
  return isEven ? present : undefined;
}

/** How a cluster is started. */
export interface ClusterOptions {
  /** Processing workers. Default: 1. */
  readonly workers?: number;
  /** Directory of everything that the cluster keeps. Default: a new temporary one. */
  readonly root?: string;
  /** Default: a directory below `root`. */
  readonly store?: ClusterStore;
  /** More flags of each program. */
  readonly mainFlags?: readonly string[];
  readonly workerFlags?: readonly string[];
  /** `null`: dev mode. */
  readonly adminKey?: string | null;
  readonly masterKey?: string;
}

export class Cluster {
  readonly root: string;
  readonly store: ClusterStore;
  readonly masterKey: string;
  readonly options: ClusterOptions;
  main!: Program;
  url = "";
  grpc = "";
  readonly workers = new Map<string, Program>();
  readonly #restPort = freePort();
  readonly #grpcPort = freePort();

  private constructor(options: ClusterOptions) {
    this.options = options;
    this.root = options.root ?? Deno.makeTempDirSync({ prefix: "deltadb-test-" });
    this.store = options.store ?? new DirectoryStore(`${this.root}/db`);
    this.masterKey = options.masterKey ?? crypto.getRandomValues(new Uint8Array(32)).toHex();
  }

  /** A cluster whose partitions are all served. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      await cluster.startMain();
      for (let i = 1; i <= (options.workers ?? 1); i++) cluster.startWorker(`worker-${i}`);
      await cluster.ready();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts the main worker: at the same ports each time. */
  async startMain(): Promise<void> {
    const { adminKey = ADMIN_KEY, mainFlags = [] } = this.options;
    this.main = new Program("main-worker", "main_worker/main.ts", [
      `-rest-addr=127.0.0.1:${this.#restPort}`,
      `-grpc-addr=127.0.0.1:${this.#grpcPort}`,
      ...this.store.flags,
      ...mainFlags,
    ], { MASTER_KEY: this.masterKey, ...(adminKey === null ? {} : { ADMIN_KEY: adminKey }) });
    const { rest_addr, grpc_addr } = await this.main.event("started");
    this.url = `http://${rest_addr}`;
    this.grpc = String(grpc_addr);
  }

  /** Starts a worker; `flags` are added to those of the cluster's workers, and win over them. */
  startWorker(id: string, flags: readonly string[] = []): Program {
    const worker = this.#worker(id, flags);
    this.workers.set(id, worker);
    return worker;
  }

  /** Starts a worker that the cluster doesn't count among its own: the caller ends it. */
  startStranger(id: string, flags: readonly string[] = []): Program {
    return this.#worker(id, flags);
  }

  #worker(id: string, flags: readonly string[]): Program {
    const { workerFlags = [] } = this.options;
    return new Program(id, "proc_worker/main.ts", [
      `-worker-id=${id}`,
      `-main-addr=${this.grpc}`,
      "-grpc-addr=127.0.0.1:0",
      ...this.store.flags,
      ...workerFlags,
      ...flags,
    ]);
  }

  /** Waits until every partition has an owner. */
  async ready(): Promise<void> {
    let last = "";
    for (const until = Date.now() + READY_MS; Date.now() < until;) {
      try {
        const response = await fetch(`${this.url}/ready`);
        last = await response.text();
        if (response.ok) return;
      } catch (error) {
        last = String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`the cluster did not become ready: ${last}\n${this.output}`);
  }

  /** What all programs have printed. */
  get output(): string {
    return [this.main, ...this.workers.values()].map(({ name, output }) => `--- ${name}\n${output}`).join("\n");
  }

  /** The workers as the administration sees them. */
  async members(): Promise<Member[]> {
    const response = await this.fetch("/admin/workers");
    return await response.json();
  }

  /** Waits until `holds` of the workers as the administration sees them. */
  async until(what: string, holds: (members: readonly Member[]) => boolean): Promise<Member[]> {
    let members: Member[] = [];
    for (const until = Date.now() + READY_MS; Date.now() < until;) {
      members = await this.members().catch(() => []);
      if (holds(members)) return members;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`not reached: ${what}; it is ${JSON.stringify(members)}\n${this.output}`);
  }

  /** A request with the admin key. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("authorization")) headers.set("authorization", `Bearer ${ADMIN_KEY}`);
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  /** Stores a document and asserts that it was acknowledged. */
  async put(schema: string, key: string, document: BodyInit): Promise<void> {
    const response = await this.fetch(`/entity/${schema}?key=${encodeURIComponent(key)}`, {
      method: "PUT",
      body: document,
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
  }

  /** A document's bytes as text. */
  async get(schema: string, key: string): Promise<string> {
    const response = await this.fetch(`/entity/${schema}?key=${encodeURIComponent(key)}`);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
  }

  /** Kills everything at once, as a crash of the machine's processes would. */
  async killAll(): Promise<void> {
    const programs = [this.main, ...this.workers.values()];
    for (const program of programs) program.signal("SIGKILL");
    await Promise.all(programs.map((program) => program.ended()));
    this.workers.clear();
  }

  /** Starts everything again on the same store. */
  async restart(): Promise<void> {
    await this.startMain();
    for (let i = 1; i <= (this.options.workers ?? 1); i++) this.startWorker(`worker-${i}`);
    await this.ready();
  }

  /** Ends everything and removes the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
    if (this.options.root === undefined) await Deno.remove(this.root, { recursive: true });
  }
}
