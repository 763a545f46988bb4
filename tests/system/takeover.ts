/** Measures how long partitions cannot be written after `kill -9` of a worker whose log is as full as it gets. */
import { type EntityKey, entityName, partitionOf, type SchemaId } from "../../shared/names.ts";
import { ADMIN_KEY, Cluster } from "./cluster.ts";
import { probeKeys } from "./nemesis.ts";

/** One `kill -9`. */
export interface Takeover {
  /** Bytes of the dead worker's log. */
  readonly logBytes: number;
  /** For each of its partitions: milliseconds until a write was acknowledged. */
  readonly awayMs: readonly number[];
}

const SCHEMA = "full" as SchemaId;
const DOCUMENT_BYTES = 64 * 1024;
/** A little less than what makes a worker write a checkpoint. */
const LOG_BYTES = 62 * 2 ** 20;
const WRITERS = 16;
const RETRY_MS = 20;

/** Kills one of two workers, `times` times, each time with a log of nearly 64 MiB. */
export async function measureTakeovers(times: number, onTakeover: (takeover: Takeover) => void): Promise<void> {
  for (let n = 0; n < times; n++) {
    await using cluster = await Cluster.start({ workers: 2 });
    const members = await cluster.until(
      "both share",
      (members) => members.length === 2 && members.every(({ partitions }) => partitions.length === 32),
    );
    const owned = new Set(members.find(({ worker_id }) => worker_id === "worker-1")!.partitions);
    // A fresh log: the time until the next checkpoint begins now.
    const logBytes = await fill(cluster, owned);
    cluster.workers.get("worker-1")!.signal("SIGKILL");
    const begun = performance.now();
    const probes = probeKeys(64);
    const awayMs = await Promise.all([...owned].map(async (partition) => {
      while (!await put(cluster, "probe", probes[partition]!, "1")) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      return performance.now() - begun;
    }));
    onTakeover({ logBytes, awayMs });
  }
}

/** Writes into the partitions of one worker until its log is full; answers its size. */
async function fill(cluster: Cluster, owned: ReadonlySet<number>): Promise<number> {
  let bytes = 0;
  let n = 0;
  await Promise.all(Array.from({ length: WRITERS }, async () => {
    while (bytes < LOG_BYTES) {
      const key = `key-${n++}`;
      if (!owned.has(partitionOf(entityName(SCHEMA, key as EntityKey), 64))) continue;
      bytes += DOCUMENT_BYTES;
      await put(cluster, SCHEMA, key, JSON.stringify("x".repeat(DOCUMENT_BYTES - 500)));
    }
  }));
  const logs = [...Deno.readDirSync(`${cluster.root}/db/log`)];
  return Math.max(...logs.map(({ name }) => Deno.statSync(`${cluster.root}/db/log/${name}`).size));
}

async function put(cluster: Cluster, schema: string, key: string, body: string): Promise<boolean> {
  const response = await fetch(`${cluster.url}/entity/${schema}?key=${key}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    body,
  });
  await response.body?.cancel();
  return response.ok;
}
