/**
 * Load and incidents for as long as one likes, on real processes, judged by the history checker. Ends with the table of what was
 * done and how long partitions were away; exit status 1 when anything was lost, stale or wrong.
 *
 * ```sh
 * deno task soak --minutes=60 --workers=4
 * deno task soak --kills=1000 --threads=4
 * deno task soak --takeovers=20
 * deno task soak --scale=10
 * ```
 */
import { parseArgs } from "node:util";
import { runFailover } from "./failover.ts";
import { INCIDENTS, medianAndWorst, table } from "./nemesis.ts";
import { measureScaling } from "./scaling.ts";
import { measureTakeovers } from "./takeover.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    workers: { type: "string", default: "3" },
    clients: { type: "string", default: "8" },
    keys: { type: "string", default: "300" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    /** Nothing but `kill -9`, so many times, however long that takes. */
    kills: { type: "string" },
    /** Front threads of the main worker. */
    threads: { type: "string", default: "1" },
    /** Measures, instead, how long partitions are away after `kill -9` of a worker with a full log, so many times. */
    takeovers: { type: "string" },
    /** Measures, instead, what moves while workers join until there are so many, and leave again. */
    scale: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`deno task soak [flags]
  --minutes=10 --workers=3 --clients=8 --keys=300 --seed=S --threads=1
  --kills=N              nothing but kill -9 of programs, so many times
  --takeovers=N          measures how long partitions are away after kill -9 of a worker
  --scale=N              measures what moves while workers join, up to N, and leave`);
  Deno.exit(0);
}

if (values.takeovers !== undefined) {
  const away: number[] = [];
  await measureTakeovers(Number(values.takeovers), ({ logBytes, awayMs }) => {
    away.push(...awayMs);
    const { median, worst } = medianAndWorst(awayMs);
    console.log(
      `log of ${(logBytes / 2 ** 20).toFixed(1)} MiB, ${awayMs.length} partitions: median ${Math.round(median)} ms, ` +
        `worst ${Math.round(worst)} ms`,
    );
  });
  const { median, worst } = medianAndWorst(away);
  console.log(`all: median ${Math.round(median)} ms, worst ${Math.round(worst)} ms`);
  Deno.exit(0);
}

if (values.scale !== undefined) {
  const summary = await measureScaling(Number(values.scale), ({ what, moved, needed, tookMs }) => {
    console.log(`${what}: ${moved} partitions moved, ${needed} had to, even again after ${Math.round(tookMs)} ms`);
  });
  const { operations, acknowledged, refused, unknown, violations } = summary;
  console.log(
    `${operations} operations, ${acknowledged} acknowledged writes, ${refused} refused, ${unknown} with an unknown outcome, ` +
      `${violations.length} violations`,
  );
  for (const violation of violations) console.log(violation);
  Deno.exit(violations.length + refused + unknown > 0 ? 1 : 0);
}

const end = Date.now() + Number(values.minutes) * 60_000;
const kills = values.kills === undefined ? undefined : Number(values.kills);
console.log(
  `seed ${values.seed}, ${kills === undefined ? `${values.minutes} minutes` : `${kills} kills`}, ` +
    `${values.workers} workers, ${values.clients} clients, ${values.threads} front threads`,
);
let strikes = 0;
const result = await runFailover({
  cluster: { mainFlags: [`-rest-threads=${values.threads}`] },
  workers: Number(values.workers),
  clients: Number(values.clients),
  keys: Number(values.keys),
  seed: Number(values.seed),
  next(random) {
    if (kills !== undefined) {
      if (strikes >= kills) return undefined;
      return random() < 0.1 ? "kill -9 main" : "kill -9 worker";
    }
    if (Date.now() >= end) return undefined;
    // Workers die more often than they do anything else.
    return random() < 0.4 ? "kill -9 worker" : INCIDENTS[Math.floor(random() * INCIDENTS.length)]!;
  },
  onAftermath({ incident, awayMs }, operations) {
    strikes += 1;
    const away = awayMs.length === 0
      ? "it had no partitions"
      : `away ${Math.round(medianAndWorst(awayMs).worst)} ms at worst`;
    console.log(`${new Date().toISOString()} ${strikes} ${incident}: ${away}; ${operations} operations`);
  },
});
const { operations, acknowledged, refused, unknown, keysJudged, undecided, violations, aftermaths, output } = result;
console.log(table(aftermaths));
console.log(
  `${operations} operations, ${acknowledged} acknowledged writes, ${refused} refused, ${unknown} with an unknown outcome; ` +
    `${keysJudged} keys judged, ${undecided} undecided, ${violations.length} violations`,
);
for (const violation of violations) console.log(violation);
if (violations.length > 0) {
  await Deno.mkdir("tests/.out", { recursive: true });
  await Deno.writeTextFile("tests/.out/soak.log", output);
  console.log("what the programs printed is in tests/.out/soak.log");
}
Deno.exit(violations.length > 0 ? 1 : 0);
