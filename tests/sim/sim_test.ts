import assert from "assert";
import { simulate } from "./simulation.ts";

const SEEDS = 200;

for (const store of ["directory", "bucket"] as const) {
  Deno.test(`simulation: ${SEEDS} seeds without a violation, in a ${store}`, async () => {
    let acknowledged = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await simulate({ seed, store });
      assert.deepEqual(result.violations, [], `replay with: deno task sim --store=${store} --seed=${seed}`);
      acknowledged += result.acknowledged;
    }
    assert(acknowledged > SEEDS * 10, `only ${acknowledged} writes were acknowledged: the simulation does too little`);
  });

  Deno.test(`simulation: a seed replays exactly, in a ${store}`, async () => {
    const first = await simulate({ seed: 4_711, store });
    assert.deepEqual(await simulate({ seed: 4_711, store }), first);
  });
}
