/** The program that `kill_test.ts` kills: takes all partitions of a store and writes, saying what was acknowledged. */
import { entityName, parseEntityKey, parseSchemaId, type Partition, partitionOf } from "../../names.ts";
import { openTestStore } from "./test_store.ts";

const PARALLEL = 16;

if (import.meta.main) await commitLoop(Deno.args[0]!, Deno.args[1]!);

/** Writes until it is killed. A line is `begin <key> <value>` before a write, and `done <key> <value>` after it. */
async function commitLoop(root: string, round: string): Promise<void> {
  // A small log, so that a kill often meets a checkpoint.
  const bounds = { checkpointBytes: 20_000, checkpointMs: 50 };
  const store = await openTestStore(root, { bounds });
  const entities = await store.openEntities(`round ${round}`);
  for (let partition = 0; partition < store.partitions; partition++) {
    const outcome = await entities.take(partition as Partition);
    if (outcome.kind !== "taken") throw new Error(`partition ${partition}: ${JSON.stringify(outcome)}`);
  }
  const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  await Promise.all(Array.from({ length: PARALLEL }, async (_, writer) => {
    for (let count = 0;; count++) {
      const key = `w${writer}-${count % 20}`;
      const value = `${round}.${count}`;
      const name = entityName(parseSchemaId("loop"), parseEntityKey(key));
      const envelope = new TextEncoder().encode(value.padEnd(300, "."));
      say(`begin ${key} ${value}`);
      await entities.commit({ partition: partitionOf(name, store.partitions), name, envelope, expected: undefined });
      say(`done ${key} ${value}`);
    }
  }));
}
