/**
 * Tests that need a program which not every machine has: where it is missing the test is left out, and says so.
 *
 * ```ts
 * testWith(["promtool"], "metrics pass promtool", async () => { … });
 * ```
 */

/** Debian's package of a program, where the name differs. */
const PACKAGES: Readonly<Record<string, string>> = { promtool: "prometheus", prlimit: "util-linux" };

/** The full path of a program on the PATH, or `undefined`. */
export function findProgram(name: string): string | undefined {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${name}`;
    try {
      const { isFile, mode } = Deno.statSync(path);
      if (isFile && ((mode ?? 0o111) & 0o111) !== 0) return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** A sentence that says which of these programs are missing and how to get them; `undefined` when all are there. */
export function missingPrograms(...names: readonly string[]): string | undefined {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return undefined;
  const packages = missing.map((name) => PACKAGES[name] ?? name);
  return `${missing.join(", ")} not found (Debian: apt-get install ${packages.join(" ")})`;
}

/** `Deno.test` for a test that needs these programs; otherwise it is ignored, with the reason on standard error. */
export function testWith(
  programs: readonly string[],
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const reason = missingPrograms(...programs);
  if (reason !== undefined) console.error(`left out: ${name}: ${reason}`);
  Deno.test({ name, ignore: reason !== undefined, fn });
}
