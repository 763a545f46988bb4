/** `deno task sim`: whole clusters in simulation, one for each seed. Exit status 1 when a seed fails. */
import { parseArgs } from "node:util";
import { narrow } from "./narrow.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    store: { type: "string", default: "directory" },
    narrow: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`deno task sim [flags]
  --seeds=1000 --from=1  how many clusters, from which seed on
  --seed=S               one of them, told in detail
  --store=directory      or bucket
  --narrow               few kinds of incident in each`);
  Deno.exit(0);
}
const one = values.seed !== undefined;
const first = Number(values.seed ?? values.from);
const count = one ? 1 : Number(values.seeds);
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  console.error("sim: --seed, --seeds and --from are whole numbers");
  Deno.exit(2);
}

const { store } = values;
if (store !== "directory" && store !== "bucket") {
  console.error("sim: --store is directory or bucket");
  Deno.exit(2);
}

let failed = 0;
let operations = 0;
let acknowledged = 0;
let undecided = 0;
const startedMs = performance.now();
for (let seed = first; seed < first + count; seed++) {
  const result = await simulate(values.narrow ? narrow(seed, store) : { seed, store });
  operations += result.operations;
  acknowledged += result.acknowledged;
  undecided += result.undecided;
  if (one) console.log(result.incidents.join("\n"));
  if (result.violations.length > 0) {
    failed += 1;
    const kind = `--store=${store}${values.narrow ? " --narrow" : ""}`;
    console.log(`seed ${seed}:\n${result.violations.join("\n")}\n  replay with: deno task sim ${kind} --seed=${seed}`);
  }
  if (!one && (seed - first + 1) % 500 === 0) {
    console.log(
      `${seed - first + 1} seeds, ${failed} with violations, ${Math.round((performance.now() - startedMs) / 1000)} s`,
    );
  }
}
console.log(
  `${count} seeds, ${failed} with violations; ${operations} operations, ${acknowledged} acknowledged writes, ` +
    `${undecided} histories undecided`,
);
Deno.exit(failed === 0 ? 0 : 1);
