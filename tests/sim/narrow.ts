/**
 * Simulations in which only a few kinds of incident happen, on a network that is mostly worse than usual. What takes many
 * incidents of one kind in a row, and no restart in between that would wipe its traces, comes to light here.
 */
import { SeededRandom } from "./seeded_random.ts";
import { type Incident, INCIDENTS, type SimulationOptions, type StoreKind } from "./simulation.ts";

const KINDS_MAX = 4;

/** What a seed stands for. */
export function narrow(seed: number, store: StoreKind): SimulationOptions {
  const random = new SeededRandom(seed);
  const incidents = new Set<Incident>();
  for (let left = random.between(1, KINDS_MAX); left > 0; left--) incidents.add(random.pick(INCIDENTS[store]));
  const network = {
    ...random.chance(0.5) &&
      { lateRequest: random.pick([0.03, 0.1, 0.2]), lateMsMax: random.pick([200, 1_000, 15_000]) },
    ...random.chance(0.3) && { lostAnswer: random.pick([0.05, 0.15]) },
    ...random.chance(0.3) && { delayMsMax: random.pick([1, 30, 200]) },
  };
  const failingSync = random.pick([0.05, 0.3, 0.9]);
  return { seed, store, incidents: [...incidents], network, failingSync };
}
