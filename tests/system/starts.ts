/** Programs that are started by themselves, and what they say when they cannot. */
import assert from "assert";
import { Program } from "./cluster.ts";

/** Lines for a person: what a program printed that is not a log line. */
function said(program: Program): string[] {
  return program.output.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
}

/** Waits for the end of a program that cannot start: exit status, and one line that matches. */
export async function fails(program: Program, code: number, line: RegExp): Promise<void> {
  const status = await program.ended();
  assert.equal(status.code, code, program.output);
  // A generated master key is announced by a note of several lines; the last line says why the program ends.
  assert.match(said(program).at(-1)!, line, program.output);
  assert(!/^\s+at /m.test(program.output), program.output);
}

/** The master key of these starts. */
const KEY = "0123456789abcdef".repeat(4);

/** A main worker on free ports. */
export function main(flags: readonly string[], env: Record<string, string> = {}): Program {
  return new Program("main-worker", "main_worker/main.ts", [
    "-rest-addr=127.0.0.1:0",
    "-grpc-addr=127.0.0.1:0",
    ...flags,
  ], {
    MASTER_KEY: KEY,
    ...env,
  });
}

/** A processing worker on a free port. */
export function worker(flags: readonly string[]): Program {
  return new Program("proc-worker", "proc_worker/main.ts", ["-grpc-addr=127.0.0.1:0", ...flags]);
}
