/**
 * Many clients that watch one main worker over sockets, beside a load: `deno run -A tests/contract/watchers.ts
 * [--watchers=N] [--writes=N]` prints what each phase of it cost. The test beside it does the same with fewer of them.
 */
import assert from "assert";
import { parseArgs } from "node:util";
import { ADMIN_KEY, Cluster } from "../system/cluster.ts";

/** A client of `GET /watch/{schema_id}`. It checks that of each key every version comes, once and in order. */
export class Watcher {
  readonly #connection: Deno.Conn;
  readonly #decoder = new TextDecoder();
  readonly #versions = new Map<string, number>();
  #carry = "";
  #gate: Promise<void> = Promise.resolve();
  /** Resolves when the server has answered the header. */
  readonly open: Promise<void>;
  /** Resolves when the server has ended the stream; `true`: as HTTP wants it, `false`: the connection broke. */
  readonly ended: Promise<boolean>;
  events = 0;
  resets = 0;
  /** Events that must not come: out of their turn, or for a second time. */
  readonly wrong: string[] = [];

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.open = promise;
    this.ended = this.#read(resolve, reject);
  }

  /** `paused`: reads nothing of the stream until {@linkcode resume}. */
  static async start(url: string, schema: string, key: string, lastEventId = "", paused = false): Promise<Watcher> {
    const { hostname, port } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const watcher = new Watcher(connection);
    if (paused) watcher.pause();
    const resume = lastEventId === "" ? "" : `Last-Event-ID: ${lastEventId}\r\n`;
    const request = `GET /watch/${schema} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${resume}\r\n`;
    await connection.write(new TextEncoder().encode(request));
    return watcher;
  }

  #resume = () => {};

  pause(): void {
    this.#gate = new Promise((resolve) => this.#resume = resolve);
  }

  resume(): void {
    this.#resume();
  }

  close(): void {
    this.#resume();
    try {
      this.#connection.close();
    } catch {
      // The server was faster.
    }
  }

  /** Id of the last event. */
  lastId = "";

  version(key: string): number | undefined {
    return this.#versions.get(key);
  }

  async #read(opened: () => void, failed: (error: Error) => void): Promise<boolean> {
    const buffer = new Uint8Array(64 * 1024);
    // Everything that is sent is ASCII; so sizes in characters are sizes in bytes.
    let text = "";
    const more = async () => {
      await this.#gate;
      const size = await this.#connection.read(buffer);
      if (size === null) throw new Error("the connection is closed");
      text += this.#decoder.decode(buffer.subarray(0, size));
    };
    try {
      while (!text.includes("\r\n\r\n")) await more();
      if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(text.slice(0, 500));
      text = text.slice(text.indexOf("\r\n\r\n") + 4);
      opened();
      for (;;) {
        let end = text.indexOf("\r\n");
        for (; end < 0; end = text.indexOf("\r\n")) await more();
        const size = parseInt(text.slice(0, end), 16);
        while (text.length < end + 2 + size + 2) await more();
        if (size === 0) return true;
        this.#take(text.slice(end + 2, end + 2 + size));
        text = text.slice(end + 2 + size + 2);
      }
    } catch (error) {
      failed(error as Error);
      return false;
    } finally {
      this.close();
    }
  }

  #take(text: string): void {
    const lines = (this.#carry + text).split("\n");
    this.#carry = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith("id: ")) this.lastId = line.slice(4);
      else if (line === "event: reset") this.resets++;
      else if (line.startsWith('data: {"key')) this.#event(line);
    }
  }

  #event(line: string): void {
    const { key, version } = JSON.parse(line.slice(6));
    this.events++;
    const last = this.#versions.get(key);
    if (last !== undefined && version !== last + 1) this.wrong.push(`${key} ${version} after ${last}`);
    this.#versions.set(key, version);
  }
}

/** The versions of every key after a load. */
export type Versions = Map<string, number>;

/** Writes to keys of their own from several clients at once; answers the time that each took, in milliseconds. */
export async function write(
  cluster: Pick<Cluster, "fetch">,
  { schema, writes, versions, clients = 4 }: {
    readonly schema: string;
    readonly writes: number;
    readonly versions: Versions;
    readonly clients?: number;
  },
): Promise<number[]> {
  const took: number[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    while (next < writes) {
      const key = `w${client}-${next++ % 10}`;
      const began = performance.now();
      const response = await cluster.fetch(`/entity/${schema}?key=${key}`, { method: "PUT", body: `{"n":${next}}` });
      const text = await response.text();
      took.push(performance.now() - began);
      assert.equal(response.status, 200, text);
      versions.set(key, JSON.parse(text).version);
    }
  }));
  return took;
}

/** Waits until a watcher has the last version of every key. */
export async function caughtUp(watcher: Watcher, versions: Versions): Promise<void> {
  for (const [key, version] of versions) {
    for (let tries = 0; (watcher.version(key) ?? 0) < version; tries++) {
      if (tries > 1_200) throw new Error(`${key} is at ${watcher.version(key)} and not at ${version}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** An API key that may read, and how it is revoked. */
export async function readKey(cluster: Cluster): Promise<{ secret: string; revoke(): Promise<void> }> {
  const body = JSON.stringify({ name: "watcher", permissions: ["read"] });
  const created = await cluster.fetch("/api/keys", { method: "POST", body });
  assert.equal(created.status, 201);
  const { id, secret } = await created.json();
  return {
    secret,
    async revoke() {
      const revoked = await cluster.fetch(`/api/keys/${id}`, { method: "DELETE" });
      assert.equal(revoked.status, 200);
      await revoked.body!.cancel();
    },
  };
}

/** Memory of a process, in MiB. */
export function residentMib(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))!;
  return Math.round(Number(kib) / 1024);
}

/** Processor time that a process has taken, in seconds. */
function cpuSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function percentiles(took: readonly number[]): string {
  const sorted = [...took].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

/** The same from a process of its own, so that reading what the watchers get takes no time from what is measured. */
async function writeElsewhere(url: string, writes: number, versions: Versions): Promise<number[]> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", import.meta.url, `--write-to=${url}`, `--writes=${writes}`],
    stderr: "inherit",
  }).output();
  assert(success);
  const written = JSON.parse(new TextDecoder().decode(stdout));
  for (const [key, version] of Object.entries<number>(written.versions)) versions.set(key, version);
  return written.took;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      watchers: { type: "string", default: "1000" },
      writes: { type: "string", default: "2000" },
      "write-to": { type: "string" },
    },
  });
  const count = Number(values.watchers);
  const writes = Number(values.writes);
  const versions: Versions = new Map();
  const url = values["write-to"];
  if (url !== undefined) {
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const server = { fetch: (path: string, init: RequestInit = {}) => fetch(url + path, { ...init, headers }) };
    const took = await write(server, { schema: "w", writes, versions });
    console.log(JSON.stringify({ took, versions: Object.fromEntries(versions) }));
    return;
  }
  await using cluster = await Cluster.start();
  const memory = () => `${residentMib(cluster.main.pid)} MiB`;
  const cpu = () => cpuSeconds(cluster.main.pid);
  await writeElsewhere(cluster.url, writes, versions);
  const idle = cpu();
  const before = await writeElsewhere(cluster.url, writes, versions);
  console.log(`no watchers      ${percentiles(before)}, ${(cpu() - idle).toFixed(1)} s of processor, ${memory()}`);

  const key = await readKey(cluster);
  const opening = performance.now();
  const watchers = await Promise.all(
    Array.from({ length: count }, () => Watcher.start(cluster.url, "w", key.secret)),
  );
  await Promise.all(watchers.map(({ open }) => open));
  console.log(`${count} opened      in ${(performance.now() - opening).toFixed(0)} ms, ${memory()}`);
  const beside = cpu();
  const took = await writeElsewhere(cluster.url, writes, versions);
  const written = performance.now();
  await Promise.all(watchers.map((watcher) => caughtUp(watcher, versions)));
  const late = performance.now() - written;
  const all = watchers.filter(({ events, wrong, resets }) => events === writes && wrong.length === 0 && resets === 0);
  console.log(`${count} watchers    ${percentiles(took)}, ${(cpu() - beside).toFixed(1)} s of processor, ${memory()}`);
  console.log(`${all.length} of ${count} have all ${writes} events at most ${late.toFixed(0)} ms after the last write`);

  const revoking = performance.now();
  await key.revoke();
  const answered = performance.now() - revoking;
  const ends = await Promise.all(watchers.map(({ ended }) => ended));
  console.log(
    `revoked in ${answered.toFixed(0)} ms; ${ends.filter(Boolean).length} of ${count} streams had ended after ` +
      `${(performance.now() - revoking).toFixed(0)} ms, ${memory()}`,
  );
}

if (import.meta.main) await main();
