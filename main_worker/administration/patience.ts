/** What administrators ask for is no client's request: what passes by itself is waited for. */
import { ADMINISTRATION_WAIT_MS } from "../../shared/limits.ts";
import type { ErrorCode } from "../../shared/outcome.ts";
import { type Clock, sleep } from "../../shared/seams/clock.ts";
import { isFailure } from "../front/rest/admin_operations.ts";

const RETRY_MS = 500;

/** What comes again by itself: an operation or a listing that ended so is repeated. */
export function passes(code: ErrorCode | undefined): boolean {
  return code === "no_worker" || code === "overloaded" || code === "storage_unavailable" || code === "deadline";
}

/** Repeats an attempt while its failure is one that passes, for {@linkcode ADMINISTRATION_WAIT_MS}, or until `signal` is aborted. */
export async function patiently<Result extends object>(
  clock: Clock,
  signal: AbortSignal,
  attempt: () => Promise<Result>,
): Promise<Result> {
  const until = clock.monotonic() + ADMINISTRATION_WAIT_MS;
  for (;;) {
    const outcome = await attempt();
    const again = isFailure(outcome) && passes(outcome.code) && clock.monotonic() < until;
    if (!again || signal.aborted) return outcome;
    await sleep(clock, RETRY_MS, signal).catch(() => {});
  }
}
