import assert from "assert";
import { Registry } from "prom-client";
import { createMainMetrics } from "../shared/metrics/program.ts";
import { systemClock } from "../shared/seams/clock.ts";
import type { ControlPlane } from "./control/control_plane.ts";
import type { Front } from "./front/front.ts";
import { RequestStatistics } from "./front/rest/statistics.ts";
import { askMetrics } from "./main_metrics.ts";

Deno.test("what Prometheus asks for is read from the parts when it asks", async () => {
  const metrics = createMainMetrics(new Registry(), { version: "1.2.3", clock: systemClock });
  const owners: unknown[] = [{ session: "s", epoch: 1 }, "moving", "none", "none"];
  const workers = [
    { workerId: "a", status: "Available", partitions: [0] },
    { workerId: "b", status: "Unavailable", partitions: [] },
  ];
  const lines = [{ workerId: "a", batches: 2, operations: 7, bytes: 900 }];
  askMetrics(metrics, {
    control: {
      snapshot: () => ({
        routes: { owners },
        credentials: { apiKeys: [1, 2, 3] },
        schemas: { templates: new Map([["x", 1]]) },
      }),
      workers: () => workers,
    } as unknown as ControlPlane,
    front: {
      dispatcher: { lines: () => lines, parked: 5, unresolved: 6 },
      cache: { figures: () => ({ entries: 1, bytes: 2, hits: 3, misses: 4, evictions: 5 }) },
    } as unknown as Front,
    statistics: new RequestStatistics(systemClock),
    cacheBytes: 64,
    partitions: 4,
  });
  try {
    const text = await metrics.registry.metrics();
    const value = (series: string) => {
      const line = text.split("\n").find((one) => one.startsWith(`deltadatabase_${series} `));
      return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ")));
    };
    assert.equal(value("workers_registered"), 2);
    assert.equal(value("workers_available"), 1);
    assert.equal(value("partitions"), 4);
    assert.equal(value('partitions_owned{worker="a"}'), 1);
    assert.equal(value('partitions_unowned{state="none"}'), 2);
    assert.equal(value('partitions_unowned{state="moving"}'), 1);
    assert.equal(value('queue_operations{worker="a"}'), 7);
    assert.equal(value('queue_bytes{worker="a"}'), 900);
    assert.equal(value("operations_parked"), 5);
    assert.equal(value("unresolved_writes"), 6);
    assert.equal(value("api_keys"), 3);
    assert.equal(value("schemas"), 1);
    assert.equal(value("cache_hits_total"), 3);
    assert.equal(value("cache_capacity_bytes"), 64);
    // A worker that is gone is not told of any more.
    lines.length = 0;
    assert.doesNotMatch(await metrics.registry.metrics(), /queue_operations\{/);
  } finally {
    metrics.close();
  }
});
