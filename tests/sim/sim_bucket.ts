/**
 * The simulated S3 service of a cluster: requests take time, are turned away, get lost on the way or on the way back, and are
 * carried out late, after the client has given them up. It outlives processes, also when the machine fails.
 */
import { MemoryBucket } from "../../shared/storage/bucket/memory_client.ts";
import type { ObjectClient } from "../../shared/storage/bucket/object_client.ts";
import { ObjectError } from "../../shared/storage/bucket/object_error.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** How bad the service is; probabilities per request. */
export interface BucketFaults {
  latencyMsMax: number;
  /** The service asks to slow down. */
  throttled: number;
  /** The request does not arrive, and the client knows it. */
  unsent: number;
  /** The request is carried out, its answer is lost. */
  lostAnswer: number;
  /** The client sees a broken connection; the request is carried out later. */
  lateRequest: number;
  lateMsMax: number;
  /** What does not get through. */
  outage: Outage;
}

/**
 * What does not get through between processes and the service, without a word; `broken`: requests may, but whoever is in between
 * answers with an error of its own.
 */
export type Outage = "nothing" | "requests" | "answers" | "broken";

/** The service, which all processes reach. */
export class SimService {
  readonly bucket = new MemoryBucket();
  readonly faults: BucketFaults;
  /** Outages of single processes. */
  readonly cutOff = new Map<Process, Outage>();
  readonly random: SeededRandom;
  readonly scheduler: Scheduler;

  constructor(scheduler: Scheduler, random: SeededRandom, faults: BucketFaults) {
    this.scheduler = scheduler;
    this.random = random;
    this.faults = faults;
  }
}

/**
 * The service as one process sees it.
 *
 * A creation is never late, and arrives before its process is dead or never: that a creation which is stuck for longer than the
 * handover of its partition can bring back what was deleted is a limit of the engine that it states (`bucket/entities.ts`).
 */
export function simClient({ bucket, faults, cutOff, random, scheduler }: SimService, process: Process): ObjectClient {
  const isLost = (what: Outage) => faults.outage === what || cutOff.get(process) === what;
  const delay = () => 0.05 + random.unit() ** 3 * faults.latencyMsMax;

  function request<T>(run: () => T, signal: AbortSignal, creates = false): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (kind: ObjectError["kind"]) =>
        process.after(delay(), () => reject(new ObjectError(kind, "Simulated", `simulated: ${kind}`)));
      signal.addEventListener("abort", () => fail("ambiguous"), { once: true });
      if (random.chance(faults.throttled)) return void fail("throttled");
      if (random.chance(faults.unsent)) return void fail("unsent");
      if (isLost("requests")) return;
      if (isLost("broken") && random.chance(0.5)) return void fail("ambiguous");
      const late = !creates && random.chance(faults.lateRequest);
      if (late) fail("ambiguous");
      let underway = true;
      const arrive = () => {
        if (!underway) return;
        underway = false;
        forget();
        const value = run();
        if (late || !process.alive || isLost("answers")) return;
        if (isLost("broken") || random.chance(faults.lostAnswer)) fail("ambiguous");
        else process.after(delay(), () => resolve(value));
      };
      const die = () => {
        if (random.chance(0.5)) arrive();
        underway = false;
      };
      const forget = creates ? process.onDeath(die) : () => {};
      // Once it has left, it does not depend on the process any more.
      scheduler.after(late ? random.unit() * faults.lateMsMax : delay(), arrive);
    });
  }

  return {
    place: "the simulated bucket",
    get: (key, signal) => request(() => bucket.get(key), signal),
    head: (key, signal) => request(() => bucket.head(key), signal),
    put: (key, bytes, condition, signal) => {
      const sent = bytes.slice();
      const creates = condition !== undefined && "ifNoneMatch" in condition;
      return request(() => bucket.put(key, sent, condition), signal, creates);
    },
    delete: (key, ifMatch, signal) => request(() => bucket.delete(key, ifMatch), signal),
    list: (query, signal) => request(() => bucket.list(query), signal),
    createBucket: () => Promise.resolve(),
    close() {},
  };
}
