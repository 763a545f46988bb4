/** Runs the programs that the tests of the deployment need, and finds the files that they are about. */

/** The root of the checkout, with a slash at its end. */
export const ROOT = new URL("../../", import.meta.url).pathname;

/** What a program left behind. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Text for its standard input. */
  readonly input?: string;
}

/** Runs a program to its end, whatever that is. */
export async function attempt(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { cwd = ROOT, env = {}, input } = options;
  const stdin = input === undefined ? "null" : "piped";
  const child = new Deno.Command(program, { args: [...args], cwd, env, stdin, stdout: "piped", stderr: "piped" })
    .spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs a program that has to succeed, and answers its output. @throws {Error} with what it said. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** Awaits what `ask` answers, until it answers something. @throws {Error} after `seconds` without an answer. */
export async function until<T>(what: string, seconds: number, ask: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + seconds * 1_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A secret of as many random bytes, in hex. */
export function secret(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
