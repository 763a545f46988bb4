/** The server under requests that a tool makes from its description, which nobody here wrote. */
import assert from "assert";
import { Cluster } from "../system/cluster.ts";
import { findProgram } from "../tools/needs.ts";
import { examine, schemathesis } from "./schemathesis.ts";

const SECONDS = 45;
const EXAMPLES = 10;
const name = "schemathesis finds nothing that the description does not say";
const python = findProgram("python3") !== undefined || findProgram("schemathesis") !== undefined;
if (!python) console.error(`left out: ${name}: python3 not found (Debian: apt-get install python3 python3-venv)`);

Deno.test({
  name,
  ignore: !python,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "deltadb-contract-" });
    try {
      const found = await schemathesis(directory);
      if ("missing" in found) return console.error(`left out: ${name}: ${found.missing}`);
      await using cluster = await Cluster.start();
      const { success, cases, output } = await examine(found.program, cluster.url, SECONDS, EXAMPLES);
      assert(success, output);
      assert(cases > 100, output);
      console.error(`schemathesis: ${cases} cases`);
      assert.doesNotMatch(cluster.output, /request_failed|connection_failed|"level":"error"/);
      await cluster.put("after", "k", "1");
      assert.equal(await cluster.get("after", "k"), "1");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
