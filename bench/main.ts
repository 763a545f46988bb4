/**
 * `deno task bench`: this database and others on one machine in one run. Rounds are interleaved, so that whatever else the machine
 * does meets all alike. Prints a table; writes JSON and plots below `--out`. Any error in a round fails the run.
 */
import { parseArgs } from "node:util";
import { startBare } from "./contenders/bare.ts";
import { Absent, type Contender, has, type Setting, type Work } from "./contenders/contender.ts";
import { type Delta, startDelta } from "./contenders/delta.ts";
import { startEtcd } from "./contenders/etcd.ts";
import { startPostgres } from "./contenders/postgres.ts";
import { fill } from "./fill.ts";
import type { Round } from "./load/wrk.ts";
import { cpuSeconds, memoryMib } from "./process_usage.ts";
import { describe, type Entry, median, plot } from "./report.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    connections: { type: "string", default: "64" },
    keys: { type: "string", default: "10000" },
    size: { type: "string", default: "1024" },
    workers: { type: "string", default: "1,2,4" },
    entities: { type: "string", default: "" },
    sizes: { type: "string", default: "" },
    out: { type: "string", default: "bench/.out" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`deno task bench [flags]
  --rounds=3 --seconds=5 --connections=64 --keys=10000 --size=1024
  --workers=1,2,4        processing workers of each configuration
  --entities=1e3,1e5     throughput against the number of entities (fills a store for each)
  --sizes=1024,16384     throughput against the size of documents
  --out=bench/.out       where JSON and plots go`);
  Deno.exit(0);
}
if (!await has("wrk")) {
  console.error("bench: wrk is needed as the load generator (Debian: wrk)");
  Deno.exit(1);
}

const rounds = Number(values.rounds);
const setting: Setting = {
  connections: Number(values.connections),
  seconds: Number(values.seconds),
  keys: Number(values.keys),
  size: Number(values.size),
};
const numbers = (text: string) => text.split(",").filter((part) => part !== "").map(Number);

/** Starts what can be started here, and says what cannot. */
async function started(starts: readonly (() => Promise<Contender>)[]): Promise<Contender[]> {
  const contenders: Contender[] = [];
  for (const start of starts) {
    try {
      contenders.push(await start());
    } catch (error) {
      if (!(error instanceof Absent)) throw error;
      console.log(`left out: ${error.message}`);
    }
  }
  return contenders;
}

/** Interleaved rounds of one kind of work over contenders that are all running. */
async function compare(contenders: readonly Contender[], work: Work, at: Setting): Promise<Entry[]> {
  const taking = contenders.filter((contender) => contender.works.includes(work));
  const results = new Map<Contender, Round[]>(taking.map((contender) => [contender, []]));
  const cpu = new Map<Contender, Record<string, number>>(taking.map((contender) => [contender, {}]));
  for (let round = 0; round < rounds; round++) {
    for (const contender of taking) {
      const before = await usage(contender, cpuSeconds);
      results.get(contender)!.push(await contender.round(work, at));
      const after = await usage(contender, cpuSeconds);
      const sum = cpu.get(contender)!;
      for (const [name, seconds] of Object.entries(after)) sum[name] = (sum[name] ?? 0) + seconds - before[name]!;
    }
  }
  return await Promise.all(taking.map(async (contender): Promise<Entry> => {
    const own = results.get(contender)!;
    const requests = own.reduce((sum, round) => sum + round.requests, 0);
    return {
      contender: contender.name,
      about: contender.about,
      work,
      rounds: own,
      cpuUs: Object.fromEntries(Object.entries(cpu.get(contender)!).map(([name, s]) => [name, s * 1e6 / requests])),
      memoryMib: await usage(contender, memoryMib),
    };
  }));
}

async function usage(contender: Contender, of: (pid: number) => Promise<number>): Promise<Record<string, number>> {
  const entries = Object.entries(contender.processes()).map(async ([name, pid]) => [name, await of(pid)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** PUT and GET of one database at one point of a plot. */
async function point(delta: Delta, at: Setting): Promise<{ put: number; get: number }> {
  const [put] = await compare([delta], "put", at);
  const [get] = await compare([delta], "get", at);
  return { put: median(put!.rounds.map((r) => r.perSecond)), get: median(get!.rounds.map((r) => r.perSecond)) };
}

async function curve(xs: readonly number[], measure: (x: number) => Promise<{ put: number; get: number }>) {
  const puts: { x: number; y: number }[] = [];
  const gets: { x: number; y: number }[] = [];
  for (const x of xs) {
    const { put, get } = await measure(x);
    puts.push({ x, y: put });
    gets.push({ x, y: get });
    console.log(`${x.toLocaleString("en")}: ${Math.round(put)} PUT/s, ${Math.round(get)} GET/s`);
  }
  return [{ name: "PUT", points: puts }, { name: "GET", points: gets }];
}

await Deno.mkdir(values.out, { recursive: true });
const entries: Entry[] = [];
for (const work of ["put", "get"] as const) {
  const contenders = await started([
    ...numbers(values.workers).map((workers) => () => startDelta({ workers })),
    ...(work === "put" ? [startPostgres, startEtcd] : []),
    () => startBare(setting.size),
  ]);
  try {
    // Every key is there, and the code is compiled, before anything counts.
    for (const contender of contenders) {
      if ("adminKey" in contender) await fill(contender as Delta, setting.keys, setting.size);
      if (contender.works.includes(work)) await contender.round(work, { ...setting, seconds: 3 });
    }
    entries.push(...await compare(contenders, work, setting));
    if (work === "get") {
      const delta = contenders.slice(0, 1);
      entries.push(...await compare(delta, "put_many", setting), ...await compare(delta, "get_many", setting));
    }
  } finally {
    for (const contender of contenders) await contender.stop();
  }
}
console.log(
  `\n${setting.connections} connections, ${setting.size} bytes, ${setting.keys} keys, ` +
    `${rounds} rounds of ${setting.seconds} s, medians; many: 100 documents a request\n`,
);
console.log(describe(entries));

if (values.entities !== "") {
  console.log("\nagainst the number of entities:");
  const series = await curve(numbers(values.entities), async (entities) => {
    const delta = await startDelta({ workers: 1 });
    try {
      await fill(delta, entities, setting.size);
      return await point(delta, { ...setting, keys: entities });
    } finally {
      await delta.stop();
    }
  });
  await Deno.writeTextFile(
    `${values.out}/entities.svg`,
    plot("Throughput against entities", "entities", "per second", series),
  );
}
if (values.sizes !== "") {
  console.log("\nagainst the size of a document:");
  const delta = await startDelta({ workers: 1 });
  try {
    const series = await curve(numbers(values.sizes), async (size) => {
      await delta.round("put", { ...setting, size, seconds: 2 });
      return await point(delta, { ...setting, size });
    });
    await Deno.writeTextFile(`${values.out}/sizes.svg`, plot("Throughput against size", "bytes", "per second", series));
  } finally {
    await delta.stop();
  }
}
await Deno.writeTextFile(`${values.out}/bench.json`, JSON.stringify({ setting, rounds, entries }, null, 1) + "\n");
const errors = entries.flatMap((entry) => entry.rounds).reduce((sum, round) => sum + round.errors, 0);
if (errors > 0) {
  console.error(`bench: ${errors} requests failed; the figures do not count`);
  Deno.exit(1);
}
