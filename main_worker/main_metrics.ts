/** Connects the parts of a main worker to its metrics: what Prometheus asks for is read from them when it asks. */
import type { Sample } from "../shared/metrics/instruments.ts";
import type { MainMetrics } from "../shared/metrics/program.ts";
import type { ControlPlane } from "./control/control_plane.ts";
import type { Front } from "./front/front.ts";
import type { RequestStatistics } from "./front/rest/statistics.ts";

export interface MeasuredParts {
  readonly control: ControlPlane;
  readonly front: Front;
  readonly statistics: RequestStatistics;
  /** Of the read cache of `front`. */
  readonly cacheBytes: number;
  readonly partitions: number;
}

export function askMetrics(metrics: MainMetrics, parts: MeasuredParts): void {
  const { control, front, statistics } = parts;
  const { dispatcher } = front;
  const owners = () => control.snapshot().routes.owners;
  const inState = (state: "moving" | "none") => owners().filter((owner) => owner === state).length;
  const lines = (figure: (line: ReturnType<typeof dispatcher.lines>[number]) => number) => (): Sample[] =>
    dispatcher.lines().map((line) => [figure(line), line.workerId]);
  metrics.askCache(() => front.cache.figures(), parts.cacheBytes);
  metrics.ask({
    active_requests: () => statistics.active,
    batches_in_flight: lines((line) => line.batches),
    queue_operations: lines((line) => line.operations),
    queue_bytes: lines((line) => line.bytes),
    operations_parked: () => dispatcher.parked,
    unresolved_writes: () => dispatcher.unresolved,
    workers_registered: () => control.workers().length,
    workers_available: () => control.workers().filter(({ status }) => status === "Available").length,
    partitions: () => parts.partitions,
    partitions_owned: (): Sample[] => control.workers().map((worker) => [worker.partitions.length, worker.workerId]),
    partitions_unowned: (): Sample[] => [[inState("moving"), "moving"], [inState("none"), "none"]],
    api_keys: () => control.snapshot().credentials.apiKeys.length,
    schemas: () => control.snapshot().schemas.templates.size,
  });
}
