import assert from "assert";
import { narrow } from "./narrow.ts";
import { simulate } from "./simulation.ts";

const SEEDS = 200;
const NARROW_SEEDS = 50;
/** Writes that a seed acknowledges at least, on average. A bucket has fewer: it waits for leases to end. */
const ACKNOWLEDGED_MIN = { directory: 20, bucket: 10 };

for (const store of ["directory", "bucket"] as const) {
  Deno.test(`simulation: ${SEEDS} seeds without a violation, in a ${store}`, async () => {
    let acknowledged = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await simulate({ seed, store });
      assert.deepEqual(result.violations, [], `replay with: deno task sim --store=${store} --seed=${seed}`);
      acknowledged += result.acknowledged;
    }
    const least = SEEDS * ACKNOWLEDGED_MIN[store];
    assert(acknowledged > least, `only ${acknowledged} writes were acknowledged: the simulation does too little`);
  });

  Deno.test(`simulation: ${NARROW_SEEDS} seeds with few kinds of incident without a violation, in a ${store}`, async () => {
    for (let seed = 1; seed <= NARROW_SEEDS; seed++) {
      const { violations } = await simulate(narrow(seed, store));
      assert.deepEqual(violations, [], `replay with: deno task sim --store=${store} --narrow --seed=${seed}`);
    }
  });

  Deno.test(`simulation: a seed replays exactly, in a ${store}`, async () => {
    const first = await simulate({ seed: 4_711, store });
    assert.deepEqual(await simulate({ seed: 4_711, store }), first);
  });
}
