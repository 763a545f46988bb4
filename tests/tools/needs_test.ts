import assert from "assert";
import { findProgram, missingPrograms } from "./needs.ts";

Deno.test("programs are found on the PATH, and missing ones are named with their package", () => {
  assert.match(findProgram("sh")!, /\/sh$/);
  assert.equal(findProgram("no-such-program-7c1"), undefined);
  assert.equal(findProgram("../bin/no-such"), undefined);
  assert.equal(missingPrograms("sh", "ls"), undefined);
  assert.equal(
    missingPrograms("sh", "no-such-program-7c1"),
    "no-such-program-7c1 not found (Debian: apt-get install no-such-program-7c1)",
  );
});
