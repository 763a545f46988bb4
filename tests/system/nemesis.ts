/**
 * What goes wrong under a load, on real processes: workers are killed, stopped, ended and added, and so is the main worker.
 * After each incident, how long the partitions that it concerned could not be written.
 */
import { type EntityKey, entityName, partitionOf, type SchemaId } from "../../shared/names.ts";
import { ADMIN_KEY, type Cluster, type Member, type Program } from "./cluster.ts";

/** What the nemesis can do. */
export const INCIDENTS = [
  "kill -9 worker",
  "SIGSTOP worker",
  "SIGTERM worker",
  "add worker",
  "kill -9 main",
  "SIGTERM main",
] as const;

export type Incident = typeof INCIDENTS[number];

/** What came of one incident. */
export interface Aftermath {
  readonly incident: Incident;
  /** Milliseconds from the incident until everything was served again. */
  readonly wholeMs: number;
  /** For each partition concerned: milliseconds from the incident until a write to it was acknowledged. */
  readonly awayMs: readonly number[];
}

const SCHEMA = "probe" as SchemaId;
/** Partitions of a victim that are probed. */
const PROBES_MAX = 16;
const PROBE_RETRY_MS = 20;
const PROBE_MS_MAX = 90_000;
/** A stopped worker is continued after at most this. */
const STOPPED_MS_MAX = 10_000;

export class Nemesis {
  readonly #cluster: Cluster;
  readonly #random: () => number;
  readonly #workersMax: number;
  readonly #probes: readonly string[];
  readonly aftermaths: Aftermath[] = [];
  /** Sentences; empty: every program did what it should. */
  readonly violations: string[] = [];
  #started = 100;

  /** @param workersMax Workers that live at the same time; at least two are always left. */
  constructor(cluster: Cluster, random: () => number, workersMax: number, partitions = 64) {
    this.#cluster = cluster;
    this.#random = random;
    this.#workersMax = workersMax;
    this.#probes = probeKeys(partitions);
  }

  /** Lets one thing happen, and waits until everything is served again. */
  async strike(incident: Incident): Promise<Aftermath> {
    // What has not finished its start yet knows no signals.
    for (const worker of this.#cluster.workers.values()) await worker.event("joined");
    const members = await this.#cluster.members();
    const begun = performance.now();
    const awayMs = await this.#do(incident, members);
    await this.#cluster.ready();
    const aftermath = { incident, awayMs, wholeMs: performance.now() - begun };
    this.aftermaths.push(aftermath);
    return aftermath;
  }

  #do(incident: Incident, members: readonly Member[]): Promise<number[]> {
    const { workers } = this.#cluster;
    const ids = [...workers.keys()];
    const id = ids[Math.floor(this.#random() * ids.length)]!;
    const worker = workers.get(id)!;
    const owned = this.#some(members.find((m) => m.worker_id === id && m.status === "Available")?.partitions ?? []);
    switch (incident) {
      case "kill -9 worker":
        return this.#killWorker(id, worker, owned);
      case "SIGSTOP worker":
        return this.#stopWorker(worker, owned);
      case "SIGTERM worker":
        return this.#endWorker(id, worker, owned);
      case "add worker":
        return this.#addWorker(ids);
      case "kill -9 main":
      case "SIGTERM main":
        return this.#restartMain(incident);
    }
  }

  async #killWorker(id: string, worker: Program, owned: readonly number[]): Promise<number[]> {
    worker.signal("SIGKILL");
    const away = this.#away(owned);
    await worker.ended();
    this.#cluster.startWorker(id);
    return await away;
  }

  async #stopWorker(worker: Program, owned: readonly number[]): Promise<number[]> {
    worker.signal("SIGSTOP");
    const away = this.#away(owned);
    await new Promise((resolve) => setTimeout(resolve, this.#random() * STOPPED_MS_MAX));
    worker.signal("SIGCONT");
    return await away;
  }

  async #endWorker(id: string, worker: Program, owned: readonly number[]): Promise<number[]> {
    worker.signal("SIGTERM");
    const away = this.#away(owned);
    this.#endedWell(worker, await worker.ended());
    this.#cluster.startWorker(id);
    return await away;
  }

  /** A new worker; when there are enough, another one leaves for it. */
  async #addWorker(ids: readonly string[]): Promise<number[]> {
    const added = `worker-${this.#started++}`;
    await this.#cluster.startWorker(added).event("joined");
    const away = this.#away(this.#some(Array.from(this.#probes.keys())));
    if (ids.length >= this.#workersMax) {
      const leaver = this.#cluster.workers.get(ids[0]!)!;
      this.#cluster.workers.delete(ids[0]!);
      leaver.signal("SIGTERM");
      this.#endedWell(leaver, await leaver.ended());
    }
    return await away;
  }

  async #restartMain(incident: Incident): Promise<number[]> {
    const { main } = this.#cluster;
    main.signal(incident === "SIGTERM main" ? "SIGTERM" : "SIGKILL");
    const away = this.#away(this.#some(Array.from(this.#probes.keys())));
    const status = await main.ended();
    if (incident === "SIGTERM main") this.#endedWell(main, status);
    await this.#cluster.startMain();
    return await away;
  }

  #endedWell(program: Program, { code, signal }: Deno.CommandStatus): void {
    if (code !== 0 || signal !== null) {
      this.violations.push(`${program.name} ended with ${code} after SIGTERM: ${program.output.slice(-2_000)}`);
    }
  }

  #some(partitions: readonly number[]): number[] {
    return [...partitions].sort(() => this.#random() - 0.5).slice(0, PROBES_MAX);
  }

  /** From now, how long it takes until each partition takes a write. */
  #away(partitions: readonly number[]): Promise<number[]> {
    const begun = performance.now();
    return Promise.all(partitions.map(async (partition) => {
      while (!await this.#takesWrites(partition)) {
        if (performance.now() - begun > PROBE_MS_MAX) {
          this.violations.push(`partition ${partition} took no write for ${PROBE_MS_MAX / 1000} s`);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, PROBE_RETRY_MS));
      }
      return performance.now() - begun;
    }));
  }

  async #takesWrites(partition: number): Promise<boolean> {
    try {
      const response = await fetch(`${this.#cluster.url}/entity/${SCHEMA}?key=${this.#probes[partition]}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${ADMIN_KEY}` },
        body: "1",
      });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}

/** A key in each partition. */
export function probeKeys(partitions: number): string[] {
  const keys = new Array<string>(partitions);
  let found = 0;
  for (let n = 0; found < partitions; n++) {
    const key = `probe-${n}`;
    const partition = partitionOf(entityName(SCHEMA, key as EntityKey), partitions);
    if (keys[partition] === undefined) {
      keys[partition] = key;
      found += 1;
    }
  }
  return keys;
}

/** The middle and the last of some numbers. */
export function medianAndWorst(numbers: readonly number[]): { median: number; worst: number } {
  const sorted = [...numbers].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? NaN, worst: sorted.at(-1) ?? NaN };
}

/** The table of what was done and how long the partitions were away, for people. */
export function table(aftermaths: readonly Aftermath[]): string {
  const row = (cells: readonly unknown[]) =>
    cells.map((cell, i) => i === 0 ? String(cell).padEnd(16) : String(cell).padStart(12)).join("");
  const rows = INCIDENTS.flatMap((incident) => {
    const own = aftermaths.filter((aftermath) => aftermath.incident === incident);
    if (own.length === 0) return [];
    const away = own.flatMap(({ awayMs }) => awayMs);
    const { median, worst } = medianAndWorst(away);
    return [row([incident, own.length, away.length, `${Math.round(median)} ms`, `${Math.round(worst)} ms`])];
  });
  return [row(["incident", "times", "partitions", "median away", "worst away"]), ...rows].join("\n");
}
