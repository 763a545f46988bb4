/** Measures what moves, and what clients notice, while workers join one after the other and leave again, under load. */
import { Cluster, evenlySharing, owners } from "./cluster.ts";
import { Load, type LoadSummary } from "./load.ts";

/** One join or leave. */
export interface Step {
  readonly what: string;
  /** Partitions whose owner is another one now. */
  readonly moved: number;
  /** Partitions that had to move: the new worker's share, or all of the leaving one's. */
  readonly needed: number;
  /** Until everything was served and evenly spread again. */
  readonly tookMs: number;
}

const CLIENTS = 8;

/** From one worker to `workersMax` and back. The load's own history is judged; it honours no `Retry-After`. */
export async function measureScaling(workersMax: number, onStep: (step: Step) => void): Promise<LoadSummary> {
  await using cluster = await Cluster.start({ workers: 1 });
  await cluster.until("one worker has all", (members) => evenlySharing(members)?.length === 1);
  const load = new Load(() => ({ url: cluster.url }), {
    clients: CLIENTS,
    keys: 300,
    random: Math.random,
    pauseMs: 10,
    operationsPerKey: 60,
  });
  for (let count = 2; count <= workersMax; count++) {
    onStep(await step(cluster, `join of worker ${count}`, count, () => void cluster.startWorker(`worker-${count}`)));
  }
  for (let count = workersMax; count > 1; count--) {
    const leaver = cluster.workers.get(`worker-${count}`)!;
    onStep(
      await step(cluster, `leave of worker ${count}`, count - 1, async () => {
        leaver.signal("SIGTERM");
        const { code } = await leaver.ended();
        if (code !== 0) throw new Error(`worker-${count} ended with ${code}: ${leaver.output}`);
        cluster.workers.delete(`worker-${count}`);
      }),
    );
  }
  return await load.stop();
}

/** Does something that leaves `workers` workers, and waits until these share everything. */
async function step(
  cluster: Cluster,
  what: string,
  workers: number,
  change: () => Promise<void> | void,
): Promise<Step> {
  const before = owners(await cluster.until("evenly spread", (members) => evenlySharing(members) !== undefined));
  const begun = performance.now();
  await change();
  const after = owners(await cluster.until(what, (members) => evenlySharing(members)?.length === workers));
  const tookMs = performance.now() - begun;
  const stayed = new Set(before.values()).intersection(new Set(after.values()));
  let moved = 0;
  let needed = 0;
  for (const [partition, owner] of after) {
    if (owner !== before.get(partition)) moved += 1;
    if (!stayed.has(owner) || !stayed.has(before.get(partition)!)) needed += 1;
  }
  return { what, moved, needed, tookMs };
}
