import assert from "assert";
import { REFUSALS_LOGGED_PER_S } from "../limits.ts";
import { ManualClock } from "../seams/manual_clock.ts";
import { BoundedAudit } from "./bounded_audit.ts";
import { recordingLogger } from "./logger.ts";

Deno.test("a flood leaves a bounded number of lines a second, and how many were left out", async () => {
  const clock = new ManualClock();
  const log = recordingLogger();
  const audit = new BoundedAudit(log, clock);
  for (let i = 0; i < 1_000; i++) audit.audit("refused", { address: "192.0.2.1" });
  assert.equal(log.of("refused").length, REFUSALS_LOGGED_PER_S);
  await clock.advance(1_000);
  for (let i = 0; i < 2; i++) audit.audit("refused", { address: "192.0.2.1" });
  const [first, second] = log.of("refused").slice(REFUSALS_LOGGED_PER_S);
  assert.deepEqual(first!.fields, {
    address: "192.0.2.1",
    not_logged_before_count: 1_000 - REFUSALS_LOGGED_PER_S,
    audit: true,
  });
  assert.deepEqual(second!.fields, { address: "192.0.2.1", audit: true });
});
