/**
 * Load that goes on for long, and what becomes of memory, rates and latencies. Prints a line each minute of work and what was
 * the most at the end. By hand: `deno run -A bench/endurance.ts [--minutes=60] [--connections=16] [--keys=100000]`.
 */
import { parseArgs } from "node:util";
import { startDelta } from "./contenders/delta.ts";
import type { Work } from "./contenders/contender.ts";
import { fill } from "./fill.ts";
import { memoryMib } from "./process_usage.ts";

const SIZE = 1_024;

/** A minute of work: for how many seconds what is asked for. */
const MINUTE: readonly (readonly [Work, number])[] = [["put", 25], ["get", 20], ["put_many", 8], ["get_many", 7]];

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    connections: { type: "string", default: "16" },
    keys: { type: "string", default: "100000" },
  },
});
const connections = Number(values.connections);
const keys = Number(values.keys);

const database = await startDelta({ workers: 1 });
/** Memory of each process in MiB: after the last round, and at most. */
const now = new Map<string, number>();
const most = new Map<string, number>();
const inWords = (memory: ReadonlyMap<string, number>) =>
  [...memory].map(([name, mib]) => `${name} ${Math.round(mib)} MiB`).join(", ");
let errors = 0;
try {
  await fill(database, keys, SIZE);
  for (let minute = 1; minute <= Number(values.minutes); minute++) {
    const figures: string[] = [];
    for (const [work, seconds] of MINUTE) {
      const round = await database.round(work, { connections, seconds, keys, size: SIZE });
      errors += round.errors;
      figures.push(`${work} ${Math.round(round.perSecond)}/s p99 ${round.p99Ms.toFixed(0)} ms`);
      for (const [name, pid] of Object.entries(database.processes())) {
        const mib = await memoryMib(pid);
        now.set(name, mib);
        most.set(name, Math.max(most.get(name) ?? 0, mib));
      }
    }
    console.log(`minute ${minute}: ${figures.join(", ")}, ${inWords(now)}`);
  }
} finally {
  await database.stop();
}
console.log(`at most: ${inWords(most)}; ${errors} errors`);
if (errors > 0) Deno.exit(1);
