/**
 * `deno task dev`: the whole database in one terminal. Starts the main worker and processing workers from source, shows
 * their logs, says where to go when they are ready, and stops all of them when it is stopped or one of them ends.
 */
import { ConfigError, type Environment, type FlagTable, helpText, parseFlags } from "../config/flags.ts";
import { type Address, count, formatAddress, isUnspecified, listenAddress, logLevel, path } from "../config/values.ts";
import { DEV_WORKERS_MAX, SHUTDOWN_MS_MAX } from "../limits.ts";
import { wantsColour } from "../logging/format.ts";
import { type Clock, sleep, systemClock } from "../seams/clock.ts";
import { type Random, systemRandom } from "../seams/random.ts";
import { devKeys } from "./dev_keys.ts";
import { listenHost } from "./every_address.ts";
import { type Ended, ProgramGroup, type ProgramSpec } from "./program_group.ts";

const flags = {
  "rest-addr": {
    kind: listenAddress,
    default: "127.0.0.1:8080",
    group: "Addresses",
    help: "REST and the management UI; port 0 picks a free one.",
  },
  "grpc-addr": {
    kind: listenAddress,
    default: "127.0.0.1:50051",
    group: "Addresses",
    help: "gRPC of the main worker; port 0 picks a free one.",
  },
  workers: { kind: count(1, DEV_WORKERS_MAX), default: "1", group: "Programs", help: "Number of processing workers." },
  data: {
    kind: path,
    default: "./data",
    group: "Programs",
    help: "Directory of the store (db/) and of the keys (dev.env); below ./data of this checkout.",
  },
  "log-level": { kind: logLevel, default: "info", group: "Programs", help: "Least level that is logged." },
} as const satisfies FlagTable;

/** How a program is started. */
export type Started = Pick<ProgramSpec, "command" | "args" | "cwd">;

/** What the runner needs of the process around it. */
export interface DevParts {
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  /** Writes a line for the person at the terminal. */
  readonly say: (line: string) => void;
  /** Writes bytes of the programs. */
  readonly write: (bytes: Uint8Array) => void;
  readonly colour: boolean;
  /** Aborted when the runner shall stop. */
  readonly stop: AbortSignal;
  /** Aborted when it shall stop at once. */
  readonly kill: AbortSignal;
  /** How a program is started: its entry point relative to this file's tree, its permission set, and its arguments. */
  readonly command: (entry: string, permissions: string, args: readonly string[]) => Started;
}

/** Prefixes of lines in turn: cyan, magenta, green, yellow, blue. */
const COLOURS = [36, 35, 32, 33, 34];
const READY_EVERY_MS = 100;
/** One Ctrl-C arrives twice: from the terminal, and from `deno task`, which passes it on. A later one is for who cannot wait. */
const SAME_SIGNAL_MS = 1_000;
const REMIND_EVERY_MS = 15_000;

/** Runs until it is stopped or a program ends. The exit status: 0 after a stop, 1 when something failed, 2 for a bad flag. */
export async function runDev(args: readonly string[], parts: DevParts): Promise<number> {
  const { say } = parts;
  try {
    const parsed = parseFlags(flags, args, parts.env);
    if (parsed.kind === "help") {
      say(helpText("deno task dev", "The whole database in one terminal, for development.", flags).trimEnd());
      return 0;
    }
    return await new DevRun(parsed.values, parts).run();
  } catch (error) {
    if (error instanceof ConfigError) {
      say(`dev: ${error.message}`);
      return 2;
    }
    if (error instanceof StartProblem) {
      say(`dev: ${error.message}`);
      return 1;
    }
    throw error;
  }
}

/** Why nothing could be started, in one line. */
class StartProblem extends Error {
  override name = "StartProblem";
}

type DevFlags = Extract<ReturnType<typeof parseFlags<typeof flags>>, { kind: "values" }>["values"];

class DevRun {
  readonly #flags: DevFlags;
  readonly #parts: DevParts;
  readonly #names: readonly string[];

  constructor(values: DevFlags, parts: DevParts) {
    this.#flags = values;
    this.#parts = parts;
    const workers = Array.from({ length: values.workers }, (_, index) => `worker-${index + 1}`);
    this.#names = ["main", ...workers];
  }

  async run(): Promise<number> {
    const { clock, say, stop, kill } = this.#parts;
    const rest = usableAddress("rest-addr", this.#flags.restAddr, 8_081);
    const grpc = usableAddress("grpc-addr", this.#flags.grpcAddr, 50_061);
    const { env, adminKey } = await this.#keys();
    const group = new ProgramGroup({ clock, graceMs: SHUTDOWN_MS_MAX + 1_000, show: this.#prefixed() });
    const killAll = () => group.kill();
    kill.addEventListener("abort", killAll);
    say(
      `Starting the main worker and ${this.#flags.workers} processing worker${this.#flags.workers === 1 ? "" : "s"} …`,
    );
    try {
      for (const spec of this.#programs(rest, grpc, env)) group.start(spec);
      const over = new AbortController();
      const url = `http://${
        formatAddress({ host: isUnspecified(rest.host) ? "127.0.0.1" : rest.host, port: rest.port })
      }`;
      const ended = group.firstEnded;
      this.#announce(url, adminKey, AbortSignal.any([stop, over.signal]));
      const first = await Promise.race([ended, aborted(stop)]);
      over.abort();
      if (first === "stopped") say("\nStopping …");
      else say(`dev: ${endedSentence(first)}; the other programs are stopped`);
      await group.stop();
      if (first === "stopped") say("Stopped.");
      return first === "stopped" ? 0 : 1;
    } finally {
      kill.removeEventListener("abort", killAll);
      // Also when a program could not be started: nothing that was started stays behind.
      group.kill();
    }
  }

  /** The keys as variables for the programs; what is in the environment already is left to it. */
  async #keys(): Promise<{ env: Record<string, string>; adminKey: "environment" | "file" | "none" }> {
    const { env, random } = this.#parts;
    const { data } = this.#flags;
    const file = `${data}/dev.env`;
    let keys: { masterKey?: string; adminKey?: string | undefined } = {};
    try {
      await Deno.mkdir(data, { recursive: true, mode: 0o700 });
      keys = await devKeys(file, random);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) {
        throw new StartProblem(
          `-data=${data} is not below ./data of this checkout, the only place that may be written to`,
        );
      }
      if (error instanceof Error && "code" in error) throw new StartProblem(`${file} cannot be used: ${error.message}`);
      throw error;
    }
    const adminKey = env.get("ADMIN_KEY") ? "environment" : keys.adminKey === undefined ? "none" : "file";
    return {
      adminKey,
      env: {
        ...(env.get("MASTER_KEY") ? {} : { MASTER_KEY: keys.masterKey! }),
        ...(adminKey === "file" ? { ADMIN_KEY: keys.adminKey! } : {}),
        ...(this.#parts.colour ? { FORCE_COLOR: "1" } : {}),
      },
    };
  }

  *#programs(rest: Address, grpc: Address, env: Record<string, string>): Iterable<ProgramSpec> {
    const { data, logLevel } = this.#flags;
    const common = [`-shared-fs=${data}/db`, `-log-level=${logLevel}`, "-log-format=text"];
    const dialled = { host: isUnspecified(grpc.host) ? "127.0.0.1" : grpc.host, port: grpc.port };
    const main = [`-rest-addr=${formatAddress(rest)}`, `-grpc-addr=${formatAddress(grpc)}`, "-tls-cert=", "-tls-key="];
    yield {
      name: "main",
      env,
      tier: 0,
      ...this.#parts.command("main_worker/main.ts", "main-worker", [...main, ...common]),
    };
    // The keys are the main worker's: a processing worker gets them from it when it joins.
    const { MASTER_KEY: _master, ADMIN_KEY: _admin, ...workerEnv } = env;
    for (const name of this.#names.slice(1)) {
      const worker = [
        `-main-addr=${formatAddress(dialled)}`,
        `-worker-id=dev-${name}`,
        "-grpc-addr=127.0.0.1:0",
        // Variables that are meant for the main worker, or for one worker only.
        "-advertise-addr=",
        "-metrics-addr=",
      ];
      yield {
        name,
        env: workerEnv,
        tier: 1,
        ...this.#parts.command("proc_worker/main.ts", "proc-worker", [...worker, ...common]),
      };
    }
  }

  /** Says once where to go, as soon as the database is ready; reminds while it isn't. */
  async #announce(url: string, adminKey: "environment" | "file" | "none", signal: AbortSignal): Promise<void> {
    const { clock, say } = this.#parts;
    let reason = "the main worker does not answer yet";
    let remindAt = clock.monotonic() + REMIND_EVERY_MS;
    try {
      for (;;) {
        try {
          const answer = await fetch(`${url}/ready`, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) });
          const text = (await answer.text()).slice(0, 300);
          if (answer.ok) break;
          reason = text.replace(/\s+/g, " ");
        } catch {
          if (signal.aborted) return;
        }
        if (clock.monotonic() >= remindAt) {
          say(`dev: not ready yet: ${reason}`);
          remindAt += REMIND_EVERY_MS;
        }
        await sleep(clock, READY_EVERY_MS, signal);
      }
    } catch {
      return;
    }
    const how = {
      none: "no key is needed: sign in as anybody (dev mode)",
      file: `sign in with the ADMIN_KEY of ${this.#flags.data}/dev.env`,
      environment: "sign in with the ADMIN_KEY of your environment",
    }[adminKey];
    const shown = this.#parts.colour
      ? `\x1b[1;32mDeltaDatabase is ready: ${url}/\x1b[0m`
      : `DeltaDatabase is ready: ${url}/`;
    say(`\n${shown}  ${how}. Ctrl-C stops it.\n`);
  }

  /** Puts the program's name in front of each line. */
  #prefixed(): (name: string, line: Uint8Array) => void {
    const { colour, write } = this.#parts;
    const width = Math.max(...this.#names.map((name) => name.length));
    const prefixes = new Map(this.#names.map((name, index) => {
      const text = `${name.padEnd(width)} | `;
      const shown = colour ? `\x1b[${COLOURS[index % COLOURS.length]}m${text}\x1b[0m` : text;
      return [name, new TextEncoder().encode(shown)];
    }));
    return (name, line) => {
      const prefix = prefixes.get(name)!;
      const bytes = new Uint8Array(prefix.length + line.length);
      bytes.set(prefix);
      bytes.set(line, prefix.length);
      write(bytes);
    };
  }
}

/** The address with a port that is free at this moment. @throws {StartProblem} when it can't be listened on. */
function usableAddress(flag: string, address: Address, other: number): Address {
  try {
    using listener = Deno.listen({ hostname: listenHost(address), port: address.port });
    return { host: address.host, port: listener.addr.port };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw new StartProblem(
        `port ${address.port} is taken by another program; choose another one: deno task dev ` +
          `-${flag}=${formatAddress({ host: address.host, port: other })}`,
      );
    }
    const why = error instanceof Error ? error.message : String(error);
    throw new StartProblem(`-${flag}=${formatAddress(address)} cannot be listened on: ${why}`);
  }
}

function endedSentence({ name, code, signal }: Ended): string {
  return signal === null ? `${name} has ended with exit status ${code}` : `${name} was ended by ${signal}`;
}

function aborted(signal: AbortSignal): Promise<"stopped"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("stopped");
    else signal.addEventListener("abort", () => resolve("stopped"), { once: true });
  });
}

/** A program of this tree, run from source with its permission set. It ends when this process is gone. */
function fromSource(entry: string, permissions: string, args: readonly string[]): Started {
  const root = new URL("../../", import.meta.url);
  return {
    command: Deno.execPath(),
    cwd: decodeURIComponent(root.pathname),
    args: [
      "run",
      "-q",
      `-P=${permissions}`,
      "--no-prompt",
      "--no-remote",
      "--preload=shared/process/follow_parent.ts",
      entry,
      ...args,
    ],
  };
}

/** Writes all bytes; what a closed terminal does not take is lost. */
function writeAll(file: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  try {
    while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
  } catch {
    // Nobody reads any more.
  }
}

if (import.meta.main) {
  const [stop, kill] = [new AbortController(), new AbortController()];
  let stoppedAtMs = 0;
  const onSignal = () => {
    if (!stop.signal.aborted) {
      stoppedAtMs = performance.now();
      stop.abort();
    } else if (performance.now() - stoppedAtMs > SAME_SIGNAL_MS) kill.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, onSignal);
  const code = await runDev(Deno.args, {
    env: Deno.env,
    clock: systemClock,
    random: systemRandom,
    say: (line) => writeAll(Deno.stdout, new TextEncoder().encode(`${line}\n`)),
    write: (bytes) => writeAll(Deno.stdout, bytes),
    colour: wantsColour(Deno.stdout.isTerminal(), Deno.env),
    stop: stop.signal,
    kill: kill.signal,
    command: fromSource,
  });
  Deno.exit(code);
}
