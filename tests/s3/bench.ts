/**
 * Writes and reads of the bucket engine, and of the whole database, beside the SDK alone, with objects of the same size at the
 * same gateway in the same run: `deno run -A tests/s3/bench.ts [--entities=N] [--rounds=N] [--fill=N]`. They take turns, and who
 * begins changes, so that all meet the same machine. The database is asked by `wrk` on as many connections, for
 * keys that nothing has cached. `--fill` then puts N entities more into the database and shows its memory on the way.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../shared/seams/clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import { openBucketStore } from "../../shared/storage/bucket/store.ts";
import { envelopeOf, everyPartition, named, optionsFor } from "../../shared/storage/bucket/testing.ts";
import { wrk } from "../../bench/load/wrk.ts";
import { ADMIN_KEY, Cluster, type Program } from "../system/cluster.ts";
import { BucketUnderTest } from "./bucket_under_test.ts";
import { missingForRadosgw, Radosgw } from "./radosgw.ts";

const PARALLEL = 64;
const DOCUMENT_BYTES = 1_000;
const FILL_STEP = 10_000;
const ROUND_SECONDS = 2;
/** The round that does not count. */
const WARM_UP = -1;
/** More than are written in a round: each is written once. */
const KEYS_WRITTEN = 1_000_000;
const KEYS_READ = 4_000;

interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Runs `work(0 … count - 1)`, so many at once. */
async function measure(count: number, work: (index: number) => Promise<void>): Promise<Figures> {
  const took: number[] = [];
  let next = 0;
  const started = performance.now();
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    while (next < count) {
      const index = next++;
      const begun = performance.now();
      await work(index);
      took.push(performance.now() - begun);
    }
  }));
  const seconds = (performance.now() - started) / 1000;
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0;
  return { perSecond: count / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

function line(what: string, { perSecond, p50Ms, p99Ms }: Figures): string {
  return `${what.padEnd(14)} ${perSecond.toFixed(0).padStart(6)}/s  p50 ${p50Ms.toFixed(1).padStart(6)} ms  ` +
    `p99 ${p99Ms.toFixed(1).padStart(6)} ms`;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function medians(rounds: readonly Figures[]): Figures {
  const of = (figure: keyof Figures) => median(rounds.map((figures) => figures[figure]));
  return { perSecond: of("perSecond"), p50Ms: of("p50Ms"), p99Ms: of("p99Ms") };
}

/** Contenders for one kind of request: each does a round of it. */
interface Contest {
  readonly what: string;
  readonly contenders: Readonly<Record<string, (round: number) => Promise<Figures>>>;
}

async function rawClient(endpoint: string) {
  const sdk = await import("@aws-sdk/client-s3");
  const client = new sdk.S3Client({
    endpoint: `http://${endpoint}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "minioadmin", secretAccessKey: "minioadmin" },
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: PARALLEL } },
  });
  return {
    put: async (Key: string, Body: Uint8Array) => {
      await client.send(new sdk.PutObjectCommand({ Bucket: "raw", Key, Body }));
    },
    get: async (Key: string) => {
      await (await client.send(new sdk.GetObjectCommand({ Bucket: "raw", Key }))).Body?.transformToByteArray();
    },
    makeBucket: () => client.send(new sdk.CreateBucketCommand({ Bucket: "raw" })),
    close: () => client.destroy(),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      entities: { type: "string", default: "400" },
      rounds: { type: "string", default: "20" },
      fill: { type: "string", default: "0" },
    },
  });
  const [entitiesPerRound, rounds, fill] = [Number(values.entities), Number(values.rounds), Number(values.fill)];
  const missing = await missingForRadosgw();
  if (missing !== undefined) return console.log(`left out: ${missing}`);
  await using gateway = await Radosgw.start();
  const raw = await rawClient(gateway.endpoint);
  await raw.makeBucket();
  const store = await openBucketStore(optionsFor(gateway.endpoint), { clock: systemClock, random: systemRandom });
  const entities = await store.openEntities("bench");
  for (const partition of everyPartition()) await entities.take(partition);
  const text = "x".repeat(DOCUMENT_BYTES);
  const commit = async (key: string) => {
    const outcome = await entities.commit({ ...named(key), envelope: envelopeOf(key, 1, text), expected: undefined });
    if (outcome.kind !== "committed") throw new Error(outcome.kind);
  };
  const read = async (key: string) => {
    const { partition, name } = named(key);
    if (await entities.read(partition, name) === undefined) throw new Error(`${name} is gone`);
  };
  // Without caches, so that reads are reads of the bucket as well.
  await using cluster = await Cluster.start({
    store: new BucketUnderTest(gateway.endpoint, "whole"),
    mainFlags: ["-cache-bytes=0"],
    workerFlags: ["-cache-size=0"],
  });
  const request = async (script: string, schema: string, keys: number) => {
    const args = { keys, size: DOCUMENT_BYTES, key: ADMIN_KEY, schema };
    const round = await wrk({ url: cluster.url, script, args, connections: PARALLEL, seconds: ROUND_SECONDS });
    if (round.errors > 0) throw new Error(`${round.errors} requests failed\n${cluster.output}`);
    return round;
  };
  await measure(KEYS_READ, (index) => cluster.put("read", `key-${index}`, `"${text}"`));
  const many = (work: (key: string) => Promise<void>) => (round: number) =>
    measure(entitiesPerRound, (index) => work(`${round}-${index}`));
  const contests: readonly Contest[] = [
    {
      what: "PUT",
      contenders: {
        SDK: many((key) => raw.put(key, envelopeOf(key, 1, text))),
        engine: many(commit),
        database: (round) => request("put.lua", `round-${round}`, KEYS_WRITTEN),
      },
    },
    {
      what: "GET",
      contenders: {
        SDK: many(raw.get),
        engine: many(read),
        database: () => request("get.lua", "read", KEYS_READ),
      },
    },
  ];
  for (const { what, contenders } of contests) {
    const names = Object.keys(contenders);
    const results = new Map<string, Figures[]>(names.map((name) => [name, []]));
    // Programs that have just started are not what is compared.
    for (const name of names) await contenders[name]!(WARM_UP);
    for (let round = 0; round < rounds; round++) {
      const turn = names.map((_, index) => names[(index + round) % names.length]!);
      for (const name of turn) results.get(name)!.push(await contenders[name]!(round));
    }
    const ofSdk = results.get("SDK")!;
    for (const [name, figures] of results) {
      const ratio = median(figures.map(({ perSecond }, round) => perSecond / ofSdk[round]!.perSecond));
      console.log(`${line(`${what} ${name}`, medians(figures))}  ${ratio.toFixed(2)} of the SDK's rate`);
    }
  }
  for (let done = 0; done < fill; done += FILL_STEP) {
    const count = Math.min(FILL_STEP, fill - done);
    const { perSecond } = await measure(count, (index) => cluster.put("fill", `k${done + index}`, `"${text}"`));
    const sizes = await Promise.all([cluster.main, cluster.workers.get("worker-1")!].map(residentMib));
    console.log(
      `${done + count} entities, ${perSecond.toFixed(0)}/s, resident: main ${sizes[0]} MiB, worker ${sizes[1]} MiB`,
    );
  }
  await store.close();
  raw.close();
}

async function residentMib({ pid }: Program): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024);
}

await main();
