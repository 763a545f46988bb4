import assert from "assert";
import { simulate } from "./simulation.ts";

const SEEDS = 200;

Deno.test(`simulation: ${SEEDS} seeds without a violation`, async () => {
  let acknowledged = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await simulate({ seed });
    assert.deepEqual(result.violations, [], `replay with: deno task sim --seed=${seed}`);
    acknowledged += result.acknowledged;
  }
  assert(acknowledged > SEEDS * 20, `only ${acknowledged} writes were acknowledged: the simulation does too little`);
});

Deno.test("simulation: a seed replays exactly", async () => {
  const first = await simulate({ seed: 4_711 });
  assert.deepEqual(await simulate({ seed: 4_711 }), first);
});
