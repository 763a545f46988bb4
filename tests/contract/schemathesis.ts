/**
 * Runs `schemathesis` (PyPI) against a server that it starts: requests made from `/openapi.json` alone, with every check.
 *
 * ```sh
 * deno run -A tests/contract/schemathesis.ts --seconds=1800 --examples=500
 * ```
 *
 * What cannot be told by a description is in `main_worker/front/rest/schemathesis.toml`.
 */
import { parseArgs } from "node:util";
import { ADMIN_KEY, Cluster, ROOT } from "../system/cluster.ts";
import { findProgram } from "../tools/needs.ts";

/** The version that the settings were written for. */
const VERSION = "4.32.5";

/** The tool, or why it cannot be had; `directory` is where it may be put. */
export async function schemathesis(directory: string): Promise<{ program: string } | { missing: string }> {
  const installed = findProgram("schemathesis");
  if (installed !== undefined) return { program: installed };
  const python = findProgram("python3");
  if (python === undefined) return { missing: "python3 not found (Debian: apt-get install python3 python3-venv)" };
  const venv = `${directory}/venv`;
  const made = await run(python, ["-m", "venv", venv]);
  if (!made.success) {
    return { missing: `python3 makes no environment (Debian: apt-get install python3-venv): ${made.output}` };
  }
  const got = await run(`${venv}/bin/pip`, ["install", "--quiet", "--no-input", `schemathesis==${VERSION}`]);
  if (!got.success) return { missing: `pip could not install schemathesis: ${got.output.slice(-500)}` };
  return { program: `${venv}/bin/schemathesis` };
}

/** What a run ended with. */
export interface Verdict {
  readonly success: boolean;
  /** Requests that were made. */
  readonly cases: number;
  readonly output: string;
}

/** Examines a server for about so many seconds. */
export async function examine(program: string, url: string, seconds: number, examples: number): Promise<Verdict> {
  const { success, output } = await run(program, [
    `--config-file=${ROOT}main_worker/front/rest/schemathesis.toml`,
    "run",
    `${url}/openapi.json`,
    `--header=Authorization: Bearer ${ADMIN_KEY}`,
    "--workers=2",
    `--max-examples=${examples}`,
    `--max-time=${seconds}`,
    // Those are about how fast data is generated, not about the server.
    "--suppress-health-check=all",
    "--continue-on-failure",
    "--no-color",
  ]);
  return { success, output, cases: Number(/(\d+) generated/.exec(output)?.[1] ?? 0) };
}

async function run(program: string, args: readonly string[]): Promise<{ success: boolean; output: string }> {
  // Its database of examples would be left in the current directory.
  const directory = await Deno.makeTempDir({ prefix: "deltadb-schemathesis-" });
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd: directory }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: { seconds: { type: "string", default: "600" }, examples: { type: "string", default: "200" } },
  });
  const directory = await Deno.makeTempDir({ prefix: "deltadb-schemathesis-" });
  try {
    const found = await schemathesis(directory);
    if ("missing" in found) throw new Error(found.missing);
    await using cluster = await Cluster.start();
    const verdict = await examine(found.program, cluster.url, Number(values.seconds), Number(values.examples));
    console.log(verdict.output);
    if (!verdict.success) Deno.exitCode = 1;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
