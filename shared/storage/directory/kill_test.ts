/** `kill -9` of a real process that writes: what it acknowledged is there, and its locks are free. */
import assert from "assert";
import { type Partition, partitionOf } from "../../names.ts";
import { systemRandom } from "../../seams/random.ts";
import { nameOf } from "../conformance.ts";
import { WriteHistory, type Written } from "../faults/write_history.ts";
import { openTestStore, withDirectory } from "./test_store.ts";

const ROUNDS = Number(Deno.env.get("STORAGE_KILLS") ?? 8);
const LINES_MAX = 3_000;

/** Runs the program until it has said this many lines, kills it, and notes what it said. */
async function runAndKill(root: string, round: number, lines: number, history: WriteHistory): Promise<void> {
  const program = new URL("./commit_loop.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", program, root, `${round}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const open = new Map<string, Written>();
  let said = 0;
  let rest = "";
  let killed = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + chunk).split("\n");
    rest = whole.pop()!;
    for (const line of whole) {
      const [what, key, value] = line.split(" ") as [string, string, string];
      if (what === "begin") open.set(key, history.begin(key, value));
      else open.get(key)!.answer = "committed";
    }
    said += whole.length;
    if (said >= lines && !killed) {
      killed = true;
      child.kill("SIGKILL");
    }
  }
  const { signal } = await child.status;
  assert.equal(signal, "SIGKILL", await new Response(child.stderr).text());
  await child.stderr.cancel().catch(() => {});
}

Deno.test(`kill -9: ${ROUNDS} times, at any moment, and every acknowledged write is there`, () =>
  withDirectory(async (root) => {
    await (await openTestStore(root)).close();
    const history = new WriteHistory();
    for (let round = 0; round < ROUNDS; round++) {
      await runAndKill(root, round, 1 + Math.floor(systemRandom.unit() * LINES_MAX), history);
      // Every other round the next writer finds the logs as they are; otherwise this process is the one that looks.
      if (round % 2 === 0 && round < ROUNDS - 1) continue;
      const store = await openTestStore(root);
      const entities = await store.openEntities("parent");
      let count = 0;
      for (let partition = 0; partition < store.partitions; partition++) {
        assert.equal((await entities.take(partition as Partition)).kind, "taken");
      }
      for (const key of history.names()) {
        const name = nameOf("loop", key);
        const stored = await entities.read(partitionOf(name, store.partitions), name);
        const value = stored && new TextDecoder().decode(stored.envelope).replace(/\.*$/, "");
        if (value !== undefined) count++;
        history.found(key, value, true, `round ${round}`);
      }
      let counted = 0;
      for (let partition = 0; partition < store.partitions; partition++) {
        for (const entities_ of (await entities.counts(partition as Partition)).values()) counted += entities_;
      }
      assert.equal(counted, count);
      await store.close();
    }
  }));
