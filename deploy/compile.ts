/**
 * `deno task compile`: makes `bin/main-worker` and `bin/proc-worker`, each one file with everything in it, and with the
 * permissions of its set in `deno.json` baked in.
 */
import { parseArgs } from "node:util";
import { permissionFlags, type PermissionSet, permissionSets } from "../tests/tools/permission_flags.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** The programs, with the file that each starts from. */
export const PROGRAMS = { "main-worker": "main_worker/main.ts", "proc-worker": "proc_worker/main.ts" } as const;

export type Program = keyof typeof PROGRAMS;

/** Platforms that `deno compile` can make a program for. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
] as const;

const HELP = `Makes bin/main-worker and bin/proc-worker.

  deno task compile [--target=<platform>] [--out=<folder>] [--root=<folder>]…

  --target  ${TARGETS.join(", ")} (default: this platform)
  --out     where the programs go (default: bin)
  --root    a folder, by its full path, that a store may be in besides ./data, /data, /shared and
            /var/lib/deltadatabase; may be given several times

DENORT_BIN=<file> names a Deno runtime to build on, where Deno's own cannot be downloaded.
`;

/** A permission set that lets a store be in these folders too. */
export function withRoots(set: PermissionSet, roots: readonly string[]): PermissionSet {
  if (!Array.isArray(set.write)) throw new TypeError("the permission set should list the folders it may write to");
  return { ...set, write: [...set.write, ...roots] };
}

/** What is asked of `deno compile` for a program. */
export interface CompileOptions {
  readonly target?: string | undefined;
  /** Where to put the program. */
  readonly output: string;
  readonly permissions: PermissionSet;
  /** Files and folders of packages that stay out. */
  readonly exclude: readonly string[];
}

/** The arguments of `deno` that make a program. */
export function compileArguments(program: Program, options: CompileOptions): string[] {
  return [
    "compile",
    "--quiet",
    "--frozen",
    "--exclude-unused-npm",
    ...options.exclude.map((path) => `--exclude=${path}`),
    ...permissionFlags(options.permissions),
    // Code comes from the program's own file and from nowhere else.
    "--deny-import",
    // The runtime's own cache of compiled code would be a file in the temporary folder: nothing is written there.
    "--no-code-cache",
    ...(options.target ? [`--target=${options.target}`] : []),
    `--output=${options.output}`,
    PROGRAMS[program],
  ];
}

/**
 * What of the packages must not be embedded: Deno looks for exports in every file of a package, and a test file of
 * bintrees (a dependency of a dependency of prom-client), one number beside the other for 2 MB, is too much for its parser.
 */
export async function excludedFiles(npmCache: string): Promise<string[]> {
  const found: string[] = [];
  for await (const registry of Deno.readDir(npmCache)) {
    const folder = `${npmCache}/${registry.name}/bintrees`;
    try {
      for await (const version of Deno.readDir(folder)) {
        if (version.isDirectory) found.push(`${folder}/${version.name}/test`);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}

async function deno(args: readonly string[], stdout: "inherit" | "piped"): Promise<string> {
  const output = await new Deno.Command("deno", { args: [...args], cwd: ROOT, stdout, stderr: "inherit" }).output();
  if (!output.success) Deno.exit(output.code);
  return stdout === "piped" ? new TextDecoder().decode(output.stdout) : "";
}

/** Reads the command line. @throws {Error} with one line that says what is wrong. */
export function readArguments(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h" },
      target: { type: "string" },
      out: { type: "string", default: "bin" },
      root: { type: "string", multiple: true, default: [] },
    },
  });
  const { target, root } = values;
  if (target !== undefined && !(TARGETS as readonly string[]).includes(target)) {
    throw new Error(`--target=${target} is none of ${TARGETS.join(", ")}`);
  }
  const bad = root.find((path) => !path.startsWith("/") || path.includes(","));
  if (bad !== undefined) throw new Error(`--root=${bad} should be a full path without a comma`);
  return { help: values.help ?? false, target, out: values.out, roots: root };
}

async function main(): Promise<void> {
  let options: ReturnType<typeof readArguments>;
  try {
    options = readArguments(Deno.args);
  } catch (error) {
    console.error(`compile: ${(error as Error).message}`);
    Deno.exit(2);
  }
  if (options.help) return console.log(HELP);
  const programs = Object.keys(PROGRAMS) as Program[];
  await deno(["cache", "--quiet", "--frozen", ...Object.values(PROGRAMS)], "inherit");
  const { npmCache } = JSON.parse(await deno(["info", "--json"], "piped"));
  const exclude = await excludedFiles(npmCache);
  const sets = await permissionSets();
  const suffix = options.target?.includes("windows") ? ".exe" : "";
  for (const program of programs) {
    const output = `${options.out}/${program}${suffix}`;
    const permissions = withRoots(sets[program]!, options.roots);
    await deno(compileArguments(program, { target: options.target, output, permissions, exclude }), "inherit");
    console.log(output);
  }
}

if (import.meta.main) await main();
