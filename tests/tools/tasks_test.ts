/** The tasks of `deno.json`. */
import assert from "assert";

const ROOT = new URL("../../", import.meta.url);

interface Task {
  readonly description: string;
  readonly command: string;
}

const config: { tasks: Record<string, Task>; permissions: Record<string, unknown>; imports: Record<string, string> } =
  JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );

Deno.test("what a task names is there: its files and its permission set", async () => {
  for (const [name, { description, command }] of Object.entries(config.tasks)) {
    assert.match(description, /^[A-Z]/, name);
    for (const [path] of command.matchAll(/\b(?:main_worker|proc_worker|shared|tests|bench|deploy)(?:\/[\w.-]+)*/g)) {
      await assert.doesNotReject(Deno.stat(new URL(path, ROOT)), `${name}: ${path}`);
    }
    for (const [, set] of command.matchAll(/-P=([\w-]+)/g)) assert.ok(set! in config.permissions, `${name}: ${set}`);
  }
});

Deno.test("the programs' tasks show no warning, ask for nothing and fetch no code", () => {
  for (const program of ["main-worker", "proc-worker"]) {
    assert.match(config.tasks[program]!.command, new RegExp(`^deno run -q -P=${program} --no-prompt --no-remote `));
  }
});

Deno.test("dependencies have exact versions, from npm or built in", () => {
  for (const [name, specifier] of Object.entries(config.imports)) {
    assert.match(
      specifier,
      /^(?:npm:(?:@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+(?:-[\w.]+)?(?:\/[\w./-]+)?|node:[\w/]+)$/,
      name,
    );
  }
});
