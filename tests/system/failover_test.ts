/** Every kind of incident, on real processes under load: what clients are told is the history of linearizable registers. */
import assert from "assert";
import { runFailover } from "./failover.ts";
import { type Incident, table } from "./nemesis.ts";

const INCIDENTS: readonly Incident[] = [
  "kill -9 worker",
  "SIGTERM worker",
  "kill -9 main",
  "SIGSTOP worker",
  "kill -9 worker",
  "add worker",
  "SIGTERM main",
  "kill -9 worker",
  "add worker",
];

Deno.test("incidents under load: nothing acknowledged is lost, nothing stale is read", async () => {
  const plan = [...INCIDENTS];
  const result = await runFailover({
    workers: 3,
    clients: 6,
    keys: 200,
    seed: 1,
    next: () => plan.shift(),
    onAftermath: (a, n) => console.log(n, Date.now(), a),
  });
  console.log(table(result.aftermaths));
  const { operations, acknowledged, refused, unknown, keysJudged, undecided } = result;
  console.log(
    `${operations} operations, ${acknowledged} acknowledged writes, ${refused} refused, ${unknown} with an unknown ` +
      `outcome; ${keysJudged} keys judged, ${undecided} undecided`,
  );
  assert.deepEqual(result.violations, [], result.output);
  assert.equal(undecided, 0);
  assert(acknowledged > 0);
});
