/**
 * What the database's own work does to its clients: latencies of writes alone, and while checkpoints, listings, backups or a
 * re-encryption go on beside them. By hand: `deno run -A bench/background.ts [--connections=16] [--rounds=5] [--seconds=3] [--entities=20000]`.
 */
import { parseArgs } from "node:util";
import { LOG_CHECKPOINT_BYTES } from "../shared/limits.ts";
import { freePort } from "../tests/tools/free_port.ts";
import { type Delta, startDelta } from "./contenders/delta.ts";
import { fill } from "./fill.ts";
import type { Round } from "./load/wrk.ts";
import { median } from "./report.ts";

const SIZE = 1_024;
/** What the store is filled under, and what it is re-encrypted with. */
const OLD_KEY = "ab".repeat(32);
const NEW_KEY = "cd".repeat(32);

const RE_ENCRYPTION = "re-encryption";

const { values } = parseArgs({
  options: {
    connections: { type: "string", default: "16" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    entities: { type: "string", default: "20000" },
  },
});
const entities = Number(values.entities);

/** Asks for something and reads the whole answer. */
async function ask({ url, adminKey }: Delta, path: string, method = "GET"): Promise<string> {
  const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${adminKey}` } });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${text}`);
  return text;
}

/** Does `work` again and again until `round` has ended; answers how often it was done. */
async function beside(work: () => Promise<unknown>, round: () => Promise<Round>): Promise<[Round, number]> {
  let over = false;
  let done = 0;
  const working = (async () => {
    while (!over) {
      await work();
      done++;
    }
  })();
  // A failure of the work ends the round at once.
  const failed = working.then(() => new Promise<never>(() => {}));
  try {
    const figures = await Promise.race([round(), failed]);
    over = true;
    await working;
    return [figures, done];
  } finally {
    over = true;
  }
}

/** Bytes of the worker's log: more than {@linkcode LOG_CHECKPOINT_BYTES} while a checkpoint empties it. */
async function logBytes(metricsPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const value = /^deltadatabase_log_bytes (\d+)$/m.exec(text)?.[1];
  if (value === undefined) throw new Error("the worker does not say how long its log is");
  return Number(value);
}

/**
 * Rounds of a second over all entities, those in which no checkpoint went on and those in which one did. Writes bring them about
 * by themselves.
 */
async function besideCheckpoints(database: Delta, metricsPort: number, count: number): Promise<[Round[], Round[]]> {
  const setting = { connections: Number(values.connections), seconds: 1, keys: entities, size: SIZE };
  const without: Round[] = [];
  const within: Round[] = [];
  let before = await logBytes(metricsPort);
  while (without.length < count || within.length < count) {
    const round = await database.round("put", setting);
    if (round.errors > 0) throw new Error(`${round.errors} writes failed`);
    const after = await logBytes(metricsPort);
    // It began, went on or ended meanwhile.
    const isTouched = Math.max(before, after) >= LOG_CHECKPOINT_BYTES || after < before;
    (isTouched ? within : without).push(round);
    before = after;
  }
  return [without, within];
}

function report(kind: string, rounds: readonly Round[]): void {
  const of = (figure: "perSecond" | "p50Ms" | "p99Ms") => median(rounds.map((one) => one[figure]));
  console.log(
    `${kind.padEnd(34)} ${of("perSecond").toFixed(0).padStart(6)}/s  p50 ${of("p50Ms").toFixed(1)} ms  ` +
      `p99 ${of("p99Ms").toFixed(1)} ms`,
  );
}

/** A store that is filled under the old key, and opened with the new one. */
async function prepare(root: string, metricsPort: number): Promise<Delta> {
  const filling = await startDelta({ workers: 1, root });
  await fill(filling, entities, SIZE);
  await filling.stop();
  return await startDelta({
    workers: 1,
    root,
    mainFlags: [`-master-key=${NEW_KEY}`, "-key-id=main-key-v2", `-old-master-keys=main-key-v1:${OLD_KEY}`],
    workerFlags: [`-metrics-addr=127.0.0.1:${metricsPort}`],
  });
}

async function main(): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "deltadb-bench-" });
  const metricsPort = freePort();
  const database = await prepare(root, metricsPort);
  try {
    const setting = {
      connections: Number(values.connections),
      seconds: Number(values.seconds),
      keys: 1_000,
      size: SIZE,
    };
    const put = () => database.round("put", setting);
    const idle = () => new Promise((resolve) => setTimeout(resolve, 100));
    const kinds: Readonly<Record<string, () => Promise<unknown>>> = {
      "nothing": idle,
      "listings of 1,000 with documents": () => ask(database, "/entities/bench?limit=1000&values=true"),
      "backups": () => ask(database, "/admin/backup"),
      [RE_ENCRYPTION]: async () => {
        await ask(database, "/admin/rewrap", "POST");
        do await idle(); while (JSON.parse(await ask(database, "/admin/rewrap")).status === "running");
      },
    };
    const results = new Map<string, Round[]>(Object.keys(kinds).map((kind) => [kind, []]));
    await put();
    console.log(`${entities} entities of ${SIZE} bytes, writes over ${setting.connections} connections beside`);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [kind, work] of Object.entries(kinds)) {
        // There is something to re-encrypt only once.
        if (kind === RE_ENCRYPTION && round > 0) continue;
        const [figures, done] = await beside(work, put);
        if (figures.errors > 0) throw new Error(`${figures.errors} writes failed beside ${kind}`);
        if (done === 0) throw new Error(`${kind}: nothing was done`);
        results.get(kind)!.push(figures);
      }
    }
    for (const [kind, rounds] of results) report(kind, rounds);
    const [without, within] = await besideCheckpoints(database, metricsPort, 2 * Number(values.rounds));
    report("all entities, no checkpoint", without);
    report("all entities, checkpoints", within);
  } finally {
    await database.stop();
    await Deno.remove(root, { recursive: true });
  }
}

await main();
