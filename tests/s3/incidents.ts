/** What may happen to the programs of a cluster on a bucket while clients write and read. */
import assert from "assert";
import { runFailover } from "../system/failover.ts";
import type { Incident } from "../system/nemesis.ts";
import type { BucketUnderTest } from "./bucket_under_test.ts";

const INCIDENTS: readonly Incident[] = [
  "kill -9 worker",
  "SIGSTOP worker",
  "SIGTERM worker",
  "kill -9 main",
  "add worker",
  "kill -9 worker",
];

/** Nothing acknowledged is lost, nothing stale is read, and no secret is in the logs. */
export async function bearIncidents(store: BucketUnderTest): Promise<void> {
  const plan = [...INCIDENTS];
  const { violations, output, undecided, acknowledged } = await runFailover({
    cluster: { store },
    workers: 2,
    clients: 6,
    keys: 100,
    seed: 7,
    next: () => plan.shift(),
  });
  assert.deepEqual(violations, [], output);
  assert.equal(undecided, 0);
  assert.ok(acknowledged > 100, `${acknowledged} writes were acknowledged`);
  assert.doesNotMatch(output, /minioadmin/);
}
