import assert from "assert";
import { AbsenceRate } from "./absence_rate.ts";

Deno.test("absence rate: it follows what was seen lately, and one exception does not turn it", () => {
  const rate = new AbsenceRate();
  assert(rate.likely);
  rate.note(false);
  assert(rate.likely);
  for (let n = 0; n < 20; n++) rate.note(false);
  assert(!rate.likely);
  rate.note(true);
  assert(!rate.likely);
  for (let n = 0; n < 20; n++) rate.note(true);
  assert(rate.likely);
});
