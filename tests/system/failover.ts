/** A cluster of real processes under load, with incidents for as long as is asked, and the verdict on what its clients were told. */
import { SeededRandom } from "../../shared/storage/faults/seeded_random.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { Load, type LoadSummary } from "./load.ts";
import { type Aftermath, type Incident, Nemesis } from "./nemesis.ts";

export interface FailoverOptions {
  /** How the cluster is started, beside its workers. Default: on a directory. */
  readonly cluster?: ClusterOptions;
  readonly workers: number;
  readonly clients: number;
  readonly keys: number;
  readonly seed: number;
  /** The next incident, or `undefined` at the end. */
  next(random: () => number): Incident | undefined;
  /** Told after each incident, for whoever watches. */
  onAftermath?(aftermath: Aftermath, operations: number): void;
}

export interface FailoverResult extends LoadSummary {
  readonly aftermaths: readonly Aftermath[];
  /** What the programs have printed, when there were violations. */
  readonly output: string;
}

/** Milliseconds between two incidents, at most. */
const CALM_MS_MAX = 1_500;

export async function runFailover(options: FailoverOptions): Promise<FailoverResult> {
  const random = seeded(options.seed);
  await using cluster = await Cluster.start({ ...options.cluster, workers: options.workers });
  const load = new Load(() => ({ url: cluster.url }), {
    clients: options.clients,
    keys: options.keys,
    random,
    pauseMs: 20,
    operationsPerKey: 600,
  });
  const nemesis = new Nemesis(cluster, random, options.workers + 1);
  const faults: string[] = [];
  try {
    for (let incident = options.next(random); incident !== undefined; incident = options.next(random)) {
      const aftermath = await nemesis.strike(incident);
      options.onAftermath?.(aftermath, load.operations);
      await new Promise((resolve) => setTimeout(resolve, random() * CALM_MS_MAX));
    }
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error));
  }
  const summary = await load.stop();
  const unexpected = [cluster.main, ...cluster.workers.values()].flatMap(({ name, output }) =>
    output.split("\n").filter((line) =>
      /unexpected|"event":"(?:operation_failed|call_failed|tamper_detected)"/.test(line)
    )
      .map((line) => `${name} said: ${line}`)
  );
  const violations = [...faults, ...nemesis.violations, ...summary.violations, ...unexpected];
  return {
    ...summary,
    violations,
    aftermaths: nemesis.aftermaths,
    output: violations.length > 0 ? cluster.output : "",
  };
}

/** Repeatable random numbers in `[0, 1)`. What real processes make of them is not repeatable. */
export function seeded(seed: number): () => number {
  const random = new SeededRandom(seed);
  return () => random.unit();
}
