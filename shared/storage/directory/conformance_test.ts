/** The directory engine passes the suite of all engines. */
import { testConformance } from "../conformance.ts";
import { openTestStore } from "./test_store.ts";

testConformance(
  "directory",
  { exclusive: true, conditional: false, blindCreate: false, longNames: true },
  async (partitions) => {
    const directory = await Deno.makeTempDir({ prefix: "deltadb-test-" });
    return {
      open: () => openTestStore(`${directory}/db`, { partitions }),
      dispose: () => Deno.remove(directory, { recursive: true }),
    };
  },
);
