/**
 * Writes and reads of the bucket engine beside the SDK alone, with the same objects against the same gateway in the same run:
 * `deno run -A tests/s3/bench.ts [--entities=N] [--rounds=N] [--fill=N]`. The two take turns, and who begins changes, so that
 * both meet the same machine. `--fill` then commits N entities more and shows the memory on the way.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../shared/seams/clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import { openBucketStore } from "../../shared/storage/bucket/store.ts";
import { envelopeOf, everyPartition, named, optionsFor } from "../../shared/storage/bucket/testing.ts";
import { missingForRadosgw, Radosgw } from "./radosgw.ts";

const PARALLEL = 64;
const DOCUMENT_BYTES = 1_000;
const FILL_STEP = 10_000;

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
  const contests:
    readonly (readonly [string, (key: string) => Promise<void>, string, (key: string) => Promise<void>])[] = [
      ["SDK PUT", (key) => raw.put(key, envelopeOf(key, 1, text)), "engine commit", commit],
      ["SDK GET", raw.get, "engine read", read],
    ];
  const results = contests.map(() => ({ raw: [] as Figures[], engine: [] as Figures[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [at, [, rawWork, , engineWork]] of contests.entries()) {
      const ofRaw = () => measure(entitiesPerRound, (index) => rawWork(`${round}-${index}`));
      const ofEngine = () => measure(entitiesPerRound, (index) => engineWork(`${round}-${index}`));
      if (round % 2 === 0) results[at]!.raw.push(await ofRaw());
      results[at]!.engine.push(await ofEngine());
      if (round % 2 === 1) results[at]!.raw.push(await ofRaw());
    }
  }
  for (const [at, [rawName, , engineName]] of contests.entries()) {
    const { raw: ofRaw, engine } = results[at]!;
    console.log(line(rawName, medians(ofRaw)));
    console.log(line(engineName, medians(engine)));
    const ratio = median(engine.map((figures, round) => figures.perSecond / ofRaw[round]!.perSecond));
    console.log(`  engine/SDK, median of ${rounds} rounds of ${entitiesPerRound}: ${ratio.toFixed(2)}`);
  }
  for (let done = 0; done < fill; done += FILL_STEP) {
    const { perSecond } = await measure(Math.min(FILL_STEP, fill - done), (index) => commit(`fill-${done + index}`));
    const { rss, heapUsed } = Deno.memoryUsage();
    const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    console.log(`${done + FILL_STEP} entities, ${perSecond.toFixed(0)}/s, resident ${mib(rss)}, heap ${mib(heapUsed)}`);
  }
  await store.close();
  raw.close();
}

await main();
