/**
 * A whole cluster in one process: the real control, front, workers and storage engine on a simulated clock, network and disk or
 * S3 service.
 * What the product gets from outside (keys, templates) is the smallest thing that serves.
 */
import { type ControlOptions, ControlPlane } from "../../main_worker/control/control_plane.ts";
import { CoherenceTable } from "../../main_worker/front/cache/coherence.ts";
import { createFront, type Front } from "../../main_worker/front/front.ts";
import { Worker } from "../../proc_worker/worker.ts";
import { joinProof } from "../../shared/crypto/join.ts";
import type { Sealer } from "../../shared/crypto/sealer.ts";
import { silentLogger } from "../../shared/logging/logger.ts";
import { CompiledSchemas } from "../../shared/schema/compiled_schemas.ts";
import { sleep } from "../../shared/seams/clock.ts";
import { randomHex } from "../../shared/seams/random.ts";
import type { Disk } from "../../shared/storage/directory/disk.ts";
import type { ObjectClient } from "../../shared/storage/bucket/object_client.ts";
import { type BucketContext, openBucketStore } from "../../shared/storage/bucket/store.ts";
import { openDirectoryStore } from "../../shared/storage/directory/store.ts";
import { type Entities, type MainLock, StorageError, type Store } from "../../shared/storage/store.ts";
import { type BucketFaults, simClient, SimService } from "./sim_bucket.ts";
import { type DiskFaults, simDisk, SimMachine } from "./sim_disk.ts";
import { Network, type NetworkFaults } from "./network.ts";
import { Process } from "./process.ts";
import { Scheduler } from "./scheduler.ts";
import { SeededRandom } from "./seeded_random.ts";
import { simSealer } from "./sim_sealer.ts";

/** Ways to break the product on purpose; each gets a part before it is used and may change it. */
export interface Mutation {
  disk?(disk: Disk): Disk;
  bucket?(client: ObjectClient): ObjectClient;
  entities?(entities: Entities): Entities;
  sealer?(sealer: Sealer): Sealer;
  worker?(worker: Worker): void;
  front?(front: Front): void;
}

export interface ClusterOptions {
  readonly seed: number;
  readonly partitions: number;
  readonly network: NetworkFaults;
  readonly disk: DiskFaults;
  /** A bucket, that is. Absent: the store is a directory. */
  readonly bucket: { readonly faults: BucketFaults; readonly leaseMs: number } | undefined;
  readonly cacheBytes: number;
  /** Fronts of the main worker. */
  readonly fronts: number;
  readonly mutation: Mutation | undefined;
}

/** The running main worker. */
export interface Main {
  readonly process: Process;
  /** One, or several that share the coherence table as threads do. */
  readonly fronts: readonly Front[];
  readonly control: ControlPlane;
}

/** A running processing worker. */
export interface SimWorker {
  readonly id: string;
  readonly process: Process;
  worker: Worker | undefined;
}

const ROOT = "/store";
/** Where the client that is given would connect to. */
const ENDPOINT = { endpoint: "", bucket: "", useSsl: false, region: "", accessKey: "", secretKey: "" };
const WORKER_KEY = "the worker key of the simulation";
const KEYS: ControlOptions["keys"] = {
  keyId: "sim",
  sessionTokenKeys: () => [new Uint8Array(32)],
  wrapFor: () => Promise.resolve({ kind: "wrapped", keys: [] }),
};
const NO_METRICS = {
  batch() {},
  retry() {},
  operation() {},
  encryption() {},
  tampered() {},
  heartbeatFailed() {},
  workerJoined() {},
  workerGone() {},
  workerTokenIssued() {},
  partitionsMoved() {},
};
const RETRY_MS = 50;

export class Cluster {
  readonly scheduler = new Scheduler();
  readonly random: SeededRandom;
  readonly machine: SimMachine;
  readonly service: SimService | undefined;
  readonly network: Network;
  readonly workers = new Map<string, SimWorker>();
  /** Main workers that are up, the newest last: two for a moment, when one was thought to be gone. */
  readonly mains: Main[] = [];
  /** What must never be, whatever clients see of it. */
  readonly violations: string[] = [];
  /** Of all main workers that there were. */
  readonly #locks: { readonly process: Process; readonly lock: MainLock }[] = [];
  readonly #options: ClusterOptions;
  readonly #starting = new Set<Process>();
  #ports = 1;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
    this.machine = new SimMachine(this.random.fork(), options.disk);
    this.service = options.bucket && new SimService(this.scheduler, this.random.fork(), options.bucket.faults);
    this.network = new Network(this.scheduler, this.random.fork(), options.network);
  }

  /** Starts the main worker; it comes up when it has got the store's lock. */
  startMain(): void {
    const process = new Process("main", this.scheduler);
    this.#starting.add(process);
    process.after(0, () => void this.#runMain(process));
  }

  async #runMain(process: Process): Promise<void> {
    const random = this.random.fork();
    const store = await this.#open(process, random, { create: true });
    const coherence = CoherenceTable.allocate();
    const lock = await takeStore(process, store, coherence);
    this.#checkAlone();
    this.#locks.push({ process, lock });
    lock.lost.addEventListener("abort", () => this.#replaceMain(process));
    const control = await retried(process, () =>
      ControlPlane.open({
        store,
        keys: KEYS,
        clock: process.clock,
        random,
        log: silentLogger,
        metrics: NO_METRICS,
        adminKey: undefined,
        workerKey: WORKER_KEY,
        workerTtlMs: 3_600_000,
        clientTtlMs: 3_600_000,
        documentBytesMax: 1 << 20,
        // Where the network lets a call through, it lets an answer through; a partition may come at any later moment as well.
        probe: () => Promise.resolve(undefined),
      }));
    const { fronts: count } = this.#options;
    const fronts = Array.from({ length: count }, () =>
      createFront({
        control,
        connect: this.network.connectWorkers(process),
        clock: process.clock,
        random,
        log: silentLogger,
        metrics: NO_METRICS,
        store,
        cacheBytes: this.#options.cacheBytes,
        coherence,
        // Atomics wake a waiter when the machine pleases; here it looks again after a while of virtual time.
        ...(count > 1 ? { turn: () => sleep(process.clock, 1) } : {}),
      }));
    for (const front of fronts) this.#options.mutation?.front?.(front);
    this.network.listenMain({ process, handler: control.handler });
    this.#starting.delete(process);
    this.mains.push({ process, fronts, control });
  }

  /** Somebody has just become the main worker: nobody else that can act may believe to be it. */
  #checkAlone(): void {
    for (const { process, lock } of this.#locks) {
      if (!process.alive || process.paused || lock.lost.aborted) continue;
      this.violations.push(
        `two main workers hold the store ${Math.round(this.scheduler.nowMs)} ms after the beginning`,
      );
    }
  }

  /** The main worker that came last. */
  get main(): Main | undefined {
    return this.mains.at(-1);
  }

  /** Kills the main workers, also those that are starting. */
  killMain(): void {
    for (const process of this.#starting) process.kill();
    this.#starting.clear();
    for (const { process } of this.mains.splice(0)) process.kill();
  }

  /** A main worker has ended by itself: another one is started, unless there is one. */
  #replaceMain(process: Process): void {
    process.kill();
    this.#starting.delete(process);
    const at = this.mains.findIndex((main) => main.process === process);
    if (at >= 0) this.mains.splice(at, 1);
    if (this.mains.length === 0 && this.#starting.size === 0) this.startMain();
  }

  /** Starts a worker under an id; an earlier process of that id may still live. */
  startWorker(id: string): SimWorker {
    const process = new Process(id, this.scheduler);
    const started: SimWorker = { id, process, worker: undefined };
    this.workers.set(id, started);
    process.after(0, () => void this.#runWorker(started));
    return started;
  }

  async #runWorker(started: SimWorker): Promise<void> {
    const { id, process } = started;
    const { mutation } = this.#options;
    const random = this.random.fork();
    const store = await this.#open(process, random, {
      create: false,
      mayWrite: (partition) => started.worker?.mayWrite(partition) ?? false,
    });
    const opened = await retried(process, () => store.openEntities(id));
    const entities = mutation?.entities?.(opened) ?? opened;
    const sealer = mutation?.sealer?.(simSealer("sim")) ?? simSealer("sim");
    const address = `10.0.0.2:${this.#ports++}`;
    const session = randomHex(random, 16);
    const publicKey = random.bytes(16);
    const secret = new TextEncoder().encode(WORKER_KEY);
    const worker = new Worker({
      entities,
      client: this.network.connectMain(process),
      identity: {
        workerId: id,
        session,
        publicKey,
        tags: { grpc_addr: address },
        storeId: store.id,
        partitions: store.partitions,
        prove: (timestampMs) =>
          Promise.resolve(joinProof({ secret, workerId: id, session, publicKey, timestampMs, storeId: store.id })),
      },
      schemas: new CompiledSchemas(),
      cache: { entriesMax: 16, bytesMax: 1 << 20, ttlMs: 0 },
      messageBytesMax: 4 << 20,
      clock: process.clock,
      random,
      log: silentLogger,
      metrics: NO_METRICS,
      store,
      unwrap: () => Promise.resolve(sealer),
    });
    mutation?.worker?.(worker);
    this.network.listenWorker(address, {
      process,
      handler: worker.handler,
      authorize: (token) => worker.membership.authorize(token, (a, b) => a === b),
    });
    started.worker = worker;
    await worker.membership.run().catch(() => {
      // It was refused for too long: it ends, and is started again as an operator's restart policy would.
      process.kill();
      if (this.workers.get(id) === started) this.startWorker(id);
    });
  }

  /** Ends a worker in good order. */
  async stopWorker(stopping: SimWorker): Promise<void> {
    await stopping.worker?.leave();
    stopping.process.kill();
  }

  /** Power failure: everything stops, and the disk forgets what was not synced. */
  crashMachine(): void {
    this.killMain();
    for (const { process } of this.workers.values()) process.kill();
    this.machine.crash();
  }

  async #open(
    process: Process,
    random: SeededRandom,
    { create, mayWrite }: { readonly create: boolean; readonly mayWrite?: BucketContext["mayWrite"] },
  ): Promise<Store> {
    const { clock } = process;
    const made = create ? { create: { partitions: this.#options.partitions } } : {};
    if (this.service !== undefined) {
      const plain = simClient(this.service, process);
      const client = this.#options.mutation?.bucket?.(plain) ?? plain;
      const { leaseMs } = this.#options.bucket!;
      const context = { clock, random, client, leaseMs, ...(mayWrite ? { mayWrite } : {}) };
      return await retried(process, () => openBucketStore({ ...ENDPOINT, ...made }, context));
    }
    const plain = simDisk(this.machine, process);
    const disk = this.#options.mutation?.disk?.(plain) ?? plain;
    return await retried(process, () => openDirectoryStore({ root: ROOT, ...made }, { disk, clock, random }));
  }
}

/** Waits until nobody else is the store's main worker. */
async function takeStore(process: Process, store: Store, coherence: SharedArrayBuffer): Promise<MainLock> {
  const table = new CoherenceTable(coherence, process.clock);
  const holds = (untilMs: number) => table.holdsUntil(untilMs);
  for (;;) {
    const outcome = await retried(process, () => store.lockMain("main", holds));
    if (outcome.kind === "locked") return outcome.lock;
    await sleep(process.clock, RETRY_MS);
  }
}

/** Repeats what the store refuses for now, as an operator's restart policy would. */
async function retried<T>(process: Process, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      await sleep(process.clock, RETRY_MS);
    }
  }
}
