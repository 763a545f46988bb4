import assert from "assert";
import { HEARTBEAT_MS } from "../../shared/limits.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import { SyncFigures } from "./sync_figures.ts";

function worker(workerId: string, syncs: number, syncMicroseconds: number) {
  return {
    workerId,
    storage: { syncs, syncMicroseconds, logBytes: 0, dirtyEntities: 0, dirtyBytes: 0, checkpoints: 0 },
  };
}

Deno.test("the mean of the syncs between two looks, over all workers; restarts and silence do not spoil it", () => {
  let now = 0;
  const figures = new SyncFigures({ monotonic: () => now } as Clock);
  const later = () => now += HEARTBEAT_MS;
  assert.deepEqual(figures.figures([{ workerId: "a" }]), { mean_ms: null, syncs: null });
  assert.deepEqual(figures.figures([worker("a", 0, 0)]), { mean_ms: null, syncs: 0 });
  later();
  assert.deepEqual(figures.figures([worker("a", 10, 20_000)]), { mean_ms: 2, syncs: 10 });
  assert.deepEqual(figures.figures([worker("a", 20, 90_000)]), { mean_ms: 2, syncs: 20 });
  later();
  assert.deepEqual(figures.figures([worker("a", 20, 60_000), worker("b", 10, 60_000)]), { mean_ms: 5, syncs: 30 });
  later();
  assert.deepEqual(figures.figures([worker("a", 20, 60_000), worker("b", 10, 60_000)]), { mean_ms: 5, syncs: 30 });
  later();
  assert.deepEqual(figures.figures([worker("a", 2, 2_000), { workerId: "b" }]), { mean_ms: 1, syncs: 2 });
});
