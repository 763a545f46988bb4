/** One simulation from one seed: clients under load, a nemesis that breaks things, the end in peace, and the verdict. */
import type { EntityService } from "../../main_worker/front/entities.ts";
import { type EntityKey, parseEntityKey, parseSchemaId } from "../../shared/names.ts";
import { failure, type Outcome } from "../../shared/outcome.ts";
import { sleep } from "../../shared/seams/clock.ts";
import { type Call, History, type Told } from "../history/history.ts";
import { check, normalized, type Verdict } from "../history/linearizable.ts";
import { Cluster, type Mutation } from "./cluster.ts";
import type { NetworkFaults } from "./network.ts";
import { Process } from "./process.ts";
import { SeededRandom } from "./seeded_random.ts";

/** What the nemesis can do to every cluster. */
const ALWAYS = [
  "kill worker",
  "pause worker",
  "stop worker",
  "kill main",
  "pause main",
  "power failure",
  "clock jump",
] as const;

/** What it can do, by the kind of store. */
export const INCIDENTS = {
  directory: [...ALWAYS, "disk full", "failing syncs"],
  bucket: [...ALWAYS, "replace main", "cut main off", "outage", "slow down"],
} as const;

export type StoreKind = keyof typeof INCIDENTS;
export type Incident = typeof INCIDENTS[StoreKind][number];

export interface SimulationOptions {
  readonly seed: number;
  /** Default: a directory. */
  readonly store?: StoreKind;
  readonly mutation?: Mutation;
  /** The only incidents that happen. Default: all. */
  readonly incidents?: readonly Incident[];
  /** Network faults that are not drawn from the seed. */
  readonly network?: Partial<NetworkFaults>;
  /** Probability that a sync fails while syncs fail. */
  readonly failingSync?: number;
}

/** What a simulation came to. */
export interface SimulationResult {
  readonly seed: number;
  /** Sentences, each naming a key; empty: everything was as it must be. */
  readonly violations: readonly string[];
  /** Keys whose history was too entangled to be decided. */
  readonly undecided: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly events: number;
  /** What the nemesis did, and when. */
  readonly incidents: readonly string[];
}

const SCHEMA = parseSchemaId("sim");
const EVENTS_MAX = 3_000_000;
const LOAD_MS = 40_000;
const INCIDENT_MS_MAX = 3_000;
/** In peace, everything must be served again within this. */
const RECOVERY_MS = 60_000;

/** Runs one simulation. The same options always give the same result. */
export async function simulate(
  { seed, store = "directory", mutation, incidents: kinds = INCIDENTS[store], network, failingSync = 0.3 }:
    SimulationOptions,
): Promise<SimulationResult> {
  const random = new SeededRandom(seed);
  const networkFaults = {
    delayMsMax: random.pick([1, 5, 30]),
    lostRequest: random.pick([0, 0.01, 0.05]),
    lostAnswer: random.pick([0, 0.01, 0.05]),
    lateRequest: random.pick([0, 0.01, 0.03]),
    lateMsMax: random.pick([50, 1_000, 15_000]),
    garbage: random.pick([0, 0.005]),
    ...network,
  };
  const diskFaults = {
    latencyMsMax: random.pick([0.2, 2, 10]),
    slow: random.pick([0, 0.01]),
    full: false,
    failingSync: 0,
  };
  const bucket = store === "bucket" ? drawBucket(random) : undefined;
  const cluster = new Cluster({
    seed: random.bits(),
    partitions: random.pick([1, 4, 8]),
    network: networkFaults,
    disk: diskFaults,
    bucket,
    cacheBytes: random.pick([0, 4_096, 1 << 20]),
    fronts: random.pick([1, 1, 3]),
    mutation,
  });
  const { scheduler } = cluster;
  const workerIds = Array.from({ length: random.between(1, 4) }, (_, i) => `worker-${i}`);
  const keys = Array.from({ length: random.between(1, 4) }, (_, i) => parseEntityKey(`key-${i}`));
  const history = new History();
  const incidents: string[] = [];
  const faults: string[] = [];
  const outside = new Process("clients", scheduler);

  const note = (incident: string) => incidents.push(`${Math.round(scheduler.nowMs)} ms: ${incident}`);
  cluster.startMain();
  for (const id of workerIds) cluster.startWorker(id);

  let loading = true;
  const clients = Array.from(
    { length: random.between(2, 5) },
    (_, client) => runClient(cluster, outside, client, keys, random.fork(), history, faults, () => loading),
  );
  runNemesis(cluster, outside, workerIds, { incidents: kinds, failingSync }, random.fork(), note, () => loading);

  const work = (async () => {
    await sleep(outside.clock, LOAD_MS);
    loading = false;
    note("peace");
    makePeace(cluster, workerIds);
    await Promise.all(clients);
    // In peace everything is served again, and every key can be read.
    const until = outside.clock.monotonic() + RECOVERY_MS;
    for (const key of keys) {
      for (;;) {
        const told = await perform(cluster, outside, history, 1_000, key, { kind: "get" }, faults);
        if (told.kind === "found" || told.kind === "absent") break;
        if (outside.clock.monotonic() > until) {
          faults.push(`${key}: cannot be read ${RECOVERY_MS / 1000} s after the last incident; ${state(cluster)}`);
          break;
        }
        await sleep(outside.clock, 100);
      }
    }
  })();
  let ended = false;
  work.then(() => ended = true, (error) => {
    faults.push(`the simulation broke: ${error instanceof Error ? error.stack : error}`);
    ended = true;
  });
  try {
    await scheduler.run(() => ended, EVENTS_MAX);
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error));
  }
  faults.push(...cluster.violations);
  return judge(seed, history, faults, incidents, scheduler.events);
}

function drawBucket(random: SeededRandom) {
  const faults = {
    latencyMsMax: random.pick([5, 30]),
    throttled: random.pick([0, 0.02]),
    unsent: random.pick([0, 0.02]),
    lostAnswer: random.pick([0, 0.01, 0.05]),
    lateRequest: random.pick([0, 0.01, 0.05]),
    lateMsMax: random.pick([50, 1_000, 15_000]),
    outage: "nothing" as const,
  };
  return { faults, leaseMs: random.pick([3_000, 15_000]) };
}

/** What an operator would look at when something is not served. */
function state({ main, workers }: Cluster): string {
  const programs = [...workers.values()].map(({ id, process, worker }) =>
    `${id} ${process.alive ? process.paused ? "paused" : worker?.membership.member ? "member" : "no member" : "dead"}`
  );
  const unserved = main?.control.unserved().map(({ partition, reason }) => `${partition} (${reason ?? "no reason"})`);
  return `main ${main ? main.process.paused ? "paused" : "up" : "down"}, ${programs.join(", ")}; unserved: ${
    unserved?.join(", ")
  }`;
}

function judge(
  seed: number,
  history: History,
  faults: readonly string[],
  incidents: readonly string[],
  events: number,
): SimulationResult {
  const violations = [...faults];
  let undecided = 0;
  for (const [key, operations] of history.byKey()) {
    const verdict = check(operations);
    if (verdict.kind === "undecided") undecided += 1;
    if (verdict.kind === "violation") violations.push(`${key}: not linearizable\n${explain(verdict)}`);
  }
  const told = (kind: Told["kind"]) => history.operations.filter((operation) => operation.told.kind === kind).length;
  return {
    seed,
    violations,
    undecided,
    operations: history.operations.length,
    acknowledged: told("stored") + told("deleted"),
    unknown: told("unknown"),
    events,
    incidents,
  };
}

function explain(verdict: Extract<Verdict, { kind: "violation" }>): string {
  const line = (o: (typeof verdict.placed)[number]) =>
    `    client ${o.client} [${o.called}, ${o.answered}] ${JSON.stringify(o.call)} → ${JSON.stringify(o.told)}`;
  return [
    `  a register would be at ${verdict.state} after`,
    ...verdict.placed.slice(-6).map(line),
    "  and then could not have answered any of",
    ...verdict.stuck.slice(0, 8).map(line),
  ].join("\n");
}

async function runClient(
  cluster: Cluster,
  outside: Process,
  client: number,
  keys: readonly EntityKey[],
  random: SeededRandom,
  history: History,
  faults: string[],
  loading: () => boolean,
): Promise<void> {
  const seen = new Map<EntityKey, string>();
  for (let n = 0; loading(); n++) {
    await sleep(outside.clock, random.unit() ** 2 * 1_500);
    const key = random.pick(keys);
    const told = await perform(cluster, outside, history, client, key, draw(random, client, n, seen.get(key)), faults);
    if (told.kind === "found" || told.kind === "stored") seen.set(key, told.etag);
  }
}

function draw(random: SeededRandom, client: number, n: number, etag: string | undefined): Call {
  const dice = random.unit();
  const unique = `${client}.${n}`;
  const conditional = etag !== undefined && random.chance(0.25) ? { ifMatch: etag } : {};
  if (dice < 0.4) return { kind: "get", listed: random.chance(0.2) };
  if (dice < 0.75) {
    const condition = random.chance(0.1) ? { ifAbsent: true } : conditional;
    return { kind: "put", value: JSON.stringify({ w: unique }), ...condition };
  }
  if (dice < 0.9) return { kind: "patch", field: `c${client}`, value: unique };
  return { kind: "delete", ...conditional };
}

/** One call through the main worker's front, as its REST door makes it. */
async function perform(
  cluster: Cluster,
  outside: Process,
  history: History,
  client: number,
  key: EntityKey,
  call: Call,
  faults: string[],
): Promise<Told> {
  // Of two main workers, which only a bucket may have, some clients have the older one's address.
  const hasOlder = cluster.service !== undefined && client % 2 === 1;
  const main = cluster.mains.at(hasOlder ? 0 : -1);
  if (main === undefined) return { kind: "refused" };
  const answer = history.call(client, key, call);
  const told = await new Promise<Told>((resolve) => {
    // The client's connection breaks when the main worker dies. Its own patience ends later than the server's; only where two
    // main workers may be up, one that has the older one's address gives up early and asks again while that one is paused.
    const forget = main.process.onDeath(() => outside.after(1, () => resolve({ kind: "unknown" })));
    const timer = outside.after(hasOlder ? 2_000 : 30_000, () => resolve({ kind: "unknown" }));
    main.process.arrive(() => {
      // A client's connection belongs to one front for as long as the main worker lives.
      const front = main.fronts[client % main.fronts.length]!;
      const outcome = execute(front.entities, key, call);
      Promise.resolve(outcome).then((outcome) => {
        main.process.happen(() => {
          forget();
          cluster.scheduler.cancel(timer);
          resolve(translate(key, call, outcome, faults));
        });
      });
    });
  });
  answer(told);
  return told;
}

function execute(
  entities: EntityService,
  key: EntityKey,
  call: Call,
): Outcome | Promise<Outcome> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  if (call.kind === "get" && call.listed) return readByListing(entities, key);
  const ifMatch = "ifMatch" in call && call.ifMatch !== undefined ? { ifMatch: [call.ifMatch] } : {};
  switch (call.kind) {
    case "get":
      return entities.get(SCHEMA, key, {});
    case "put":
      return entities.put(SCHEMA, key, bytes(call.value), call.ifAbsent ? { ifNoneMatch: ["*"] } : ifMatch);
    case "patch":
      return entities.patch(SCHEMA, key, bytes(JSON.stringify({ [call.field]: call.value })), {});
    case "delete":
      return entities.delete(SCHEMA, key, ifMatch);
  }
}

/** A read that goes past the read cache: a listing with the documents in it. */
async function readByListing(entities: EntityService, key: EntityKey): Promise<Outcome> {
  const page = await entities.list(SCHEMA, { prefix: key, after: "", limit: 1, values: true });
  if (page.kind === "failed") return page;
  const entry = page.entries.find((entry) => entry.key === key);
  if (entry === undefined) return failure("not_found", "not in the listing");
  return { kind: "found", document: entry.value!, meta: entry.meta! };
}

function translate(key: EntityKey, call: Call, outcome: Outcome, faults: string[]): Told {
  switch (outcome.kind) {
    case "found": {
      const { version, etag } = outcome.meta;
      return { kind: "found", value: normalized(new TextDecoder().decode(outcome.document)), version, etag };
    }
    case "stored":
      return { kind: "stored", version: outcome.meta.version, etag: outcome.meta.etag };
    case "deleted":
      // Of a repeated delete it is not known which one removed it.
      return { kind: "deleted", existed: undefined };
    case "failed":
      if (outcome.code === "not_found") return { kind: "absent" };
      if (outcome.code === "version_mismatch") return { kind: "mismatch" };
      if (outcome.code === "deadline") return { kind: "unknown" };
      if (["no_worker", "overloaded", "storage_unavailable"].includes(outcome.code)) return { kind: "refused" };
      faults.push(`${key}: ${call.kind} was answered with ${outcome.code}: ${outcome.message}`);
      return { kind: "unknown" };
    default:
      faults.push(`${key}: ${call.kind} was answered with ${outcome.kind}`);
      return { kind: "unknown" };
  }
}

/** Breaks something every now and then, and repairs it some time later. */
function runNemesis(
  cluster: Cluster,
  outside: Process,
  workerIds: readonly string[],
  { incidents: only, failingSync }: Required<Pick<SimulationOptions, "incidents" | "failingSync">>,
  random: SeededRandom,
  note: (incident: string) => void,
  loading: () => boolean,
): void {
  const later = (msMax: number, run: () => void) =>
    outside.after(random.unit() * msMax, () => {
      if (loading()) run();
    });
  const restart = (id: string) => {
    if (!cluster.workers.get(id)?.process.alive) cluster.startWorker(id);
  };
  const { service, machine: { faults: disk } } = cluster;
  const incidents: Readonly<Record<Incident, (id: string) => void>> = {
    "kill worker": (id) => {
      note(`kill ${id}`);
      cluster.workers.get(id)?.process.kill();
      later(5_000, () => restart(id));
    },
    "pause worker": (id) => {
      note(`pause ${id}`);
      const paused = cluster.workers.get(id)?.process;
      paused?.pause();
      later(12_000, () => paused?.resume());
    },
    "stop worker": (id) => {
      note(`stop ${id}`);
      const worker = cluster.workers.get(id);
      if (worker?.process.alive) worker.process.happen(() => void cluster.stopWorker(worker).then(() => restart(id)));
    },
    "kill main": () => {
      note("kill main");
      cluster.killMain();
      later(3_000, () => cluster.startMain());
    },
    "pause main": () => {
      note("pause main");
      const paused = cluster.main?.process;
      paused?.pause();
      later(8_000, () => paused?.resume());
    },
    "replace main": () => {
      note("another main worker in place of one that is paused");
      const paused = cluster.main?.process;
      paused?.pause();
      cluster.startMain();
      later(25_000, () => paused?.resume());
    },
    "cut main off": () => {
      note("the main worker hears nothing of the S3 service, but for a moment, while another one waits for its place");
      const main = cluster.main?.process;
      if (main === undefined) return;
      const { cutOff } = service!;
      const cut = () => cutOff.set(main, random.pick(["requests", "answers", "broken"]));
      cluster.startMain();
      cut();
      later(10_000, () => {
        cutOff.delete(main);
        later(1_500, () => {
          cut();
          later(25_000, () => cutOff.delete(main));
        });
      });
    },
    "power failure": () => {
      note("power failure");
      cluster.crashMachine();
      later(2_000, () => {
        cluster.startMain();
        for (const id of workerIds) restart(id);
      });
    },
    "clock jump": (id) => {
      const worker = cluster.workers.get(id)?.process;
      const skewMs = random.between(-60_000, 60_000);
      note(`clock of ${id} jumps by ${skewMs} ms`);
      if (worker) worker.wallSkewMs = skewMs;
    },
    "disk full": () => {
      note("disk full");
      disk.full = true;
      later(6_000, () => disk.full = false);
    },
    "outage": () => {
      const outage = random.pick(["requests", "answers", "broken"] as const);
      note(`outage between the cluster and the S3 service: ${outage}`);
      service!.faults.outage = outage;
      later(6_000, () => service!.faults.outage = "nothing");
    },
    "slow down": () => {
      note("the S3 service asks to slow down");
      service!.faults.throttled = 0.7;
      later(6_000, () => service!.faults.throttled = 0);
    },
    "failing syncs": () => {
      note("syncs fail");
      disk.failingSync = failingSync;
      later(3_000, () => disk.failingSync = 0);
    },
  };
  const next = () => {
    if (!loading()) return;
    incidents[random.pick(only)](random.pick(workerIds));
    outside.after(200 + random.unit() * INCIDENT_MS_MAX, next);
  };
  outside.after(1_000 + random.unit() * INCIDENT_MS_MAX, next);
}

/** Repairs everything. */
function makePeace(cluster: Cluster, workerIds: readonly string[]): void {
  Object.assign(cluster.machine.faults, { full: false, failingSync: 0, slow: 0 });
  Object.assign(cluster.network.faults, { lostRequest: 0, lostAnswer: 0, lateRequest: 0, garbage: 0 });
  const quiet = { outage: "nothing" as const, throttled: 0, unsent: 0, lostAnswer: 0, lateRequest: 0 };
  if (cluster.service) Object.assign(cluster.service.faults, quiet);
  cluster.service?.cutOff.clear();
  for (const { process } of cluster.mains) process.resume();
  if (cluster.main === undefined) {
    cluster.killMain();
    cluster.startMain();
  }
  for (const id of workerIds) {
    const worker = cluster.workers.get(id);
    worker?.process.resume();
    if (!worker?.process.alive) cluster.startWorker(id);
  }
}
