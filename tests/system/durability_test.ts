/** What was acknowledged is there after `kill -9`, byte for byte, and nowhere in plain text: on a directory. */
import { killAllUnderWriters, killWorkerAfterWrites, searchPlainText } from "./durability.ts";

const ROUNDS = 50;
const WRITERS = 64;

Deno.test(`kill -9 of the worker right after an acknowledged write, ${ROUNDS} times`, () =>
  killWorkerAfterWrites(ROUNDS));

Deno.test(
  `kill -9 of both programs under ${WRITERS} writers: every acknowledged write is there, and what administrators set`,
  () => killAllUnderWriters({ rounds: 5, writers: WRITERS }),
);

Deno.test("no plain text in the store or in the logs", () => searchPlainText());
