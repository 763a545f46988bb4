/**
 * Writes and reads of the bucket engine beside the SDK alone, with the same objects against the same gateway in the same run:
 * `deno run -A tests/s3/bench.ts [--entities=N] [--rounds=N]`. The two take turns, so that both meet the same machine.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../shared/seams/clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import { openBucketStore } from "../../shared/storage/bucket/store.ts";
import { envelopeOf, everyPartition, named, optionsFor } from "../../shared/storage/bucket/testing.ts";
import { missingForRadosgw, Radosgw } from "./radosgw.ts";

const PARALLEL = 64;
const DOCUMENT_BYTES = 1_000;

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
    options: { entities: { type: "string", default: "2000" }, rounds: { type: "string", default: "5" } },
  });
  const [entitiesPerRound, rounds] = [Number(values.entities), Number(values.rounds)];
  const missing = await missingForRadosgw();
  if (missing !== undefined) return console.log(`left out: ${missing}`);
  await using gateway = await Radosgw.start();
  const raw = await rawClient(gateway.endpoint);
  await raw.makeBucket();
  const store = await openBucketStore(optionsFor(gateway.endpoint), { clock: systemClock, random: systemRandom });
  const entities = await store.openEntities("bench");
  for (const partition of everyPartition()) await entities.take(partition);
  const text = "x".repeat(DOCUMENT_BYTES);
  const ratios = { put: [] as number[], get: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const key = (index: number) => `${round}-${index}`;
    const [rawPut, enginePut] = [
      await measure(entitiesPerRound, (index) => raw.put(key(index), envelopeOf(key(index), 1, text))),
      await measure(entitiesPerRound, async (index) => {
        const envelope = envelopeOf(key(index), 1, text);
        const outcome = await entities.commit({ ...named(key(index)), envelope, expected: undefined });
        if (outcome.kind !== "committed") throw new Error(outcome.kind);
      }),
    ];
    const [rawGet, engineGet] = [
      await measure(entitiesPerRound, (index) => raw.get(key(index))),
      await measure(entitiesPerRound, async (index) => {
        const { partition, name } = named(key(index));
        if (await entities.read(partition, name) === undefined) throw new Error(`${name} is gone`);
      }),
    ];
    ratios.put.push(enginePut.perSecond / rawPut.perSecond);
    ratios.get.push(engineGet.perSecond / rawGet.perSecond);
    console.log(
      [
        `round ${round + 1}, memory ${(Deno.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB`,
        line("SDK PUT", rawPut),
        line("engine commit", enginePut),
        line("SDK GET", rawGet),
        line("engine read", engineGet),
      ].join("\n"),
    );
  }
  console.log(`median ratio engine/SDK: PUT ${median(ratios.put).toFixed(2)}, GET ${median(ratios.get).toFixed(2)}`);
  await store.close();
  raw.close();
}

await main();
