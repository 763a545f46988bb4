/** Whether this server can do its work: a worker is available, partitions have owners, and storage answers. */
import { failure } from "../../shared/outcome.ts";
import { type Clock, sleep } from "../../shared/seams/clock.ts";
import type { Store } from "../../shared/storage/store.ts";
import type { Control } from "../control/control.ts";
import type { Readiness } from "./rest/health.ts";

/** A probe of the storage is good for this long, so that probes of us do not become load on it. */
const FRESH_MS = 1_000;
const PROBE_MS_MAX = 3_000;
const RETRY_AFTER_S = 1;

/** The function behind `/ready`. */
export function readiness(control: Control, store: Pick<Store, "probe">, clock: Clock): () => Promise<Readiness> {
  let probed: { atMs: number; answers: Promise<boolean> } | undefined;

  function storageAnswers(): Promise<boolean> {
    const now = clock.monotonic();
    if (probed === undefined || now - probed.atMs > FRESH_MS) {
      const stop = new AbortController();
      const late = sleep(clock, PROBE_MS_MAX, stop.signal).then(() => false, () => false);
      const answers = Promise.race([store.probe().then(() => true, () => false), late]);
      answers.finally(() => stop.abort());
      probed = { atMs: now, answers };
    }
    return probed.answers;
  }

  return async () => {
    const { owners } = control.snapshot().routes;
    const unowned = owners.filter((owner) => typeof owner === "string").length;
    if (unowned === owners.length) {
      return failure("no_worker", "No processing worker is available yet", { retryAfterS: RETRY_AFTER_S });
    }
    if (unowned > 0) {
      const message = `${unowned} of ${owners.length} partitions have no worker yet`;
      return failure("no_worker", message, { retryAfterS: RETRY_AFTER_S });
    }
    if (await storageAnswers()) return { kind: "ready" };
    return failure("storage_unavailable", "The storage does not answer", { retryAfterS: RETRY_AFTER_S });
  };
}
