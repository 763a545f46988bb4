import assert from "assert";
import { StorageError } from "../../shared/storage/store.ts";
import type { Control, Snapshot } from "../control/control.ts";
import { readiness } from "./readiness.ts";
import { ManualClock } from "../../shared/seams/manual_clock.ts";

type Owners = Snapshot["routes"]["owners"];
const OWNED: Owners[number] = { session: "s", epoch: 1 };

function world(owners: Owners, probe: () => Promise<void> = () => Promise.resolve()) {
  const state = { owners, probes: 0 };
  const clock = new ManualClock();
  const control = { snapshot: () => ({ routes: { owners: state.owners } }) } as unknown as Control;
  const ready = readiness(control, {
    probe: () => {
      state.probes += 1;
      return probe();
    },
  }, clock);
  return { state, clock, ready };
}

Deno.test("ready when every partition has an owner and the storage answers; otherwise it says what is missing", async () => {
  const { ready, state } = world([OWNED, OWNED]);
  assert.deepEqual(await ready(), { kind: "ready" });
  state.owners = ["none", "none"];
  assert.deepEqual(await ready(), {
    kind: "failed",
    code: "no_worker",
    message: "No processing worker is available yet",
    retryAfterS: 1,
  });
  state.owners = [OWNED, "moving"];
  const moving = await ready();
  assert(moving.kind === "failed" && moving.message === "1 of 2 partitions have no worker yet");
});

Deno.test("a storage that fails or hangs is not ready, and is not probed for each who asks", async () => {
  const failing = world([OWNED], () => Promise.reject(new StorageError("unavailable", "away")));
  for (let i = 0; i < 10; i++) {
    const answer = await failing.ready();
    assert(answer.kind === "failed" && answer.code === "storage_unavailable");
  }
  assert.equal(failing.state.probes, 1);
  failing.clock.pass(1_500);
  await failing.ready();
  assert.equal(failing.state.probes, 2);

  const hanging = world([OWNED], () => new Promise(() => {}));
  const asked = [hanging.ready(), hanging.ready()];
  hanging.clock.pass(5_000);
  for (const answer of await Promise.all(asked)) assert(answer.kind === "failed");
  assert.equal(hanging.state.probes, 1);
  assert.equal(hanging.clock.timers, 0);
});
