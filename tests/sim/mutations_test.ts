import assert from "assert";
import { MUTATIONS } from "./mutations.ts";
import { simulate } from "./simulation.ts";

/** Seeds until a mutation must have been noticed. */
const SEEDS_MAX = 400;

for (const { name, parts, apply, under } of MUTATIONS) {
  Deno.test(`simulation notices when ${name}`, async () => {
    const undo = apply?.();
    try {
      for (let seed = 1; seed <= SEEDS_MAX; seed++) {
        const { violations } = await simulate({ seed, ...under, ...(parts ? { mutation: parts } : {}) });
        if (violations.length === 0) continue;
        console.log(`    noticed by seed ${seed}: ${violations[0]!.split("\n")[0]}`);
        return;
      }
      assert.fail(`not noticed by ${SEEDS_MAX} seeds`);
    } finally {
      undo?.();
    }
  });
}
