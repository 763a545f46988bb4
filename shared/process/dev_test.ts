import assert from "assert";
import { parseAddress } from "../config/values.ts";
import { systemClock } from "../seams/clock.ts";
import { systemRandom } from "../seams/random.ts";
import { type DevParts, runDev } from "./dev.ts";

const FAKE = new URL("testdata/fake_program.ts", import.meta.url).pathname;
const FOLLOW = new URL("follow_parent.ts", import.meta.url).pathname;

interface Started {
  readonly pid: number;
  readonly args: string[];
  readonly key: string | null;
  readonly variables: string[];
}

/** A runner over fake programs, with what was said and written. */
async function runner(
  args: string[],
  env: Record<string, string>,
  use: (run: {
    readonly code: Promise<number>;
    readonly said: string[];
    readonly written: () => string;
    /** What the program of this name was started with, once it is up. */
    readonly started: (name: string) => Promise<Started>;
    /** Resolves once a line with this text was said. */
    readonly line: (text: string) => Promise<string>;
    readonly stop: AbortController;
    readonly kill: AbortController;
    readonly folder: string;
  }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "deltadatabase-dev-" });
  const [stop, kill] = [new AbortController(), new AbortController()];
  const said: string[] = [];
  let written = "";
  const changed: (() => void)[] = [];
  const until = async <T>(find: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => changed.push(resolve));
    }
  };
  const change = () => changed.splice(0).forEach((resolve) => resolve());
  const parts: DevParts = {
    env: new Map(Object.entries(env)),
    clock: systemClock,
    random: systemRandom,
    say(line) {
      said.push(line);
      change();
    },
    write(bytes) {
      written += new TextDecoder().decode(bytes);
      change();
    },
    colour: false,
    stop: stop.signal,
    kill: kill.signal,
    command: (_entry, _permissions, args) => ({
      command: Deno.execPath(),
      args: ["run", "-A", "--no-lock", FAKE, ...args],
    }),
  };
  const code = runDev(["-rest-addr=127.0.0.1:0", "-grpc-addr=127.0.0.1:0", `-data=${folder}`, ...args], parts);
  try {
    await use({
      code,
      said,
      written: () => written,
      started: (name) =>
        until(() => {
          const line = written.split("\n").find((line) => line.startsWith(name) && line.includes('{"pid"'));
          return line && JSON.parse(line.slice(line.indexOf("{")));
        }),
      line: (text) => until(() => said.find((line) => line.includes(text))),
      stop,
      kill,
      folder,
    });
  } finally {
    kill.abort();
    stop.abort();
    await code;
    await Deno.remove(folder, { recursive: true });
  }
}

const isAlive = (pid: number) => {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
};

Deno.test("ready: one line says where to go, and a stop ends everything, workers first", () =>
  runner(["-workers=2"], {}, async ({ code, line, started, written, said, stop }) => {
    const ready = await line("DeltaDatabase is ready");
    const main = await started("main ");
    const workers = [await started("worker-1"), await started("worker-2")];
    const rest = main.args.find((arg) => arg.startsWith("-rest-addr="))!.slice("-rest-addr=".length);
    assert.ok(parseAddress(rest).port > 0);
    assert.equal(
      ready,
      `\nDeltaDatabase is ready: http://${rest}/  no key is needed: sign in as anybody (dev mode). Ctrl-C stops it.\n`,
    );
    const grpc = main.args.find((arg) => arg.startsWith("-grpc-addr="))!.slice("-grpc-addr=".length);
    for (const worker of workers) assert.ok(worker.args.includes(`-main-addr=${grpc}`));
    assert.notEqual(workers[0]!.args.join(), workers[1]!.args.join());
    stop.abort();
    assert.equal(await code, 0);
    assert.equal(said.at(-1), "Stopped.");
    const stopping = written().split("\n").filter((line) => line.endsWith("| stopping")).map((line) =>
      line.slice(0, 8)
    );
    assert.deepEqual(stopping.slice(0, 2).toSorted(), ["worker-1", "worker-2"]);
    assert.deepEqual(stopping.slice(2), ["main    "]);
    for (const { pid } of [main, ...workers]) assert.equal(isAlive(pid), false);
    assert.match(written(), /^main {5}\| and this on standard error$/m);
  }));

Deno.test("keys: kept in dev.env, given to the main worker alone, on no command line", async () => {
  await runner([], {}, async ({ started, folder }) => {
    const main = await started("main ");
    assert.equal(
      await Deno.readTextFile(`${folder}/dev.env`).then((text) => text.includes(`MASTER_KEY=${main.key}\n`)),
      true,
    );
    assert.deepEqual(main.variables, ["MASTER_KEY"]);
    assert.ok(!main.args.join(" ").includes(main.key!));
    const worker = await started("worker-1");
    assert.deepEqual([worker.key, worker.variables], [null, []]);
  });
});

Deno.test("an admin key of the file is used and named, but not shown", () =>
  runner([], {}, async ({ code, folder, kill, stop }) => {
    // The first run has made the file; now a person adds a key.
    stop.abort();
    await code;
    kill.abort();
    await Deno.writeTextFile(`${folder}/dev.env`, "ADMIN_KEY=canary-admin\n", { append: true });
    await runner([`-data=${folder}`], {}, async ({ line, started, written, said }) => {
      const ready = await line("DeltaDatabase is ready");
      assert.ok(ready.includes(`sign in with the ADMIN_KEY of ${folder}/dev.env`), ready);
      assert.deepEqual((await started("main ")).variables, ["MASTER_KEY", "ADMIN_KEY"]);
      assert.deepEqual((await started("worker-1")).variables, []);
      assert.ok(!`${written()}${said}`.includes("canary-admin"));
    });
  }));

Deno.test("a program that ends takes the others with it, and the exit status says so", async () => {
  Deno.env.set("FAKE", "die");
  try {
    await runner([], {}, async ({ code, said, started }) => {
      assert.equal(await code, 1);
      assert.ok(
        said.includes("dev: worker-1 has ended with exit status 3; the other programs are stopped"),
        said.join("\n"),
      );
      assert.equal(isAlive((await started("main ")).pid), false);
    });
  } finally {
    Deno.env.delete("FAKE");
  }
});

Deno.test("a port that is taken is one clear line, and nothing is started", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await runner([`-rest-addr=127.0.0.1:${port}`], {}, async ({ code, said, written }) => {
    assert.equal(await code, 1);
    assert.deepEqual(said, [
      `dev: port ${port} is taken by another program; choose another one: deno task dev -rest-addr=127.0.0.1:8081`,
    ]);
    assert.equal(written(), "");
  });
});

Deno.test("a bad flag is status 2, help is status 0", async () => {
  await runner(["-wrokers=3"], {}, async ({ code, said }) => {
    assert.equal(await code, 2);
    assert.deepEqual(said, ["dev: unknown flag -wrokers; did you mean -workers?"]);
  });
  await runner(["-h"], {}, async ({ code, said }) => {
    assert.equal(await code, 0);
    assert.match(said[0]!, /-workers <number>/);
  });
});

Deno.test("a second stop does not wait for a program that does not listen", async () => {
  Deno.env.set("FAKE", "deaf");
  try {
    await runner([], {}, async ({ code, line, started, stop, kill }) => {
      await line("DeltaDatabase is ready");
      const pids = [(await started("main ")).pid, (await started("worker-1")).pid];
      stop.abort();
      await line("Stopping");
      kill.abort();
      assert.equal(await code, 0);
      for (const pid of pids) assert.equal(isAlive(pid), false);
    });
  } finally {
    Deno.env.delete("FAKE");
  }
});

Deno.test("a runner that is killed leaves no program behind", async () => {
  // The runner of this test: starts a fake program that follows it, says its process id, and waits.
  const source = `
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-lock", "--preload=${FOLLOW}", "${FAKE}"], stdin: "null", stdout: "piped", detached: true,
    }).spawn();
    for await (const chunk of child.stdout) Deno.stdout.writeSync(chunk);
  `;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["eval", source],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) text += (await reader.read()).value ?? "";
  process.kill("SIGKILL");
  await process.status;
  // The pipe ends when the last process that holds it is gone: the fake program, for the runner is gone already.
  while (!(await reader.read()).done);
});
