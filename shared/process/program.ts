/**
 * The process around a program: reads its arguments, turns what goes wrong at start-up into one clear line and an exit status,
 * stops it in good order on SIGTERM and SIGINT, and ends it when something happens that nobody expected.
 */
import { ConfigError } from "../config/flags.ts";
import { SHUTDOWN_MS_MAX, SHUTDOWN_WHILE_STARTING_MS } from "../limits.ts";
import { StorageError } from "../storage/store.ts";

/** A program that could not start, for a reason that its message tells in one line. */
export class StartError extends Error {
  override name = "StartError";
}

/** A program at work. */
export interface Running {
  /** Stops in good order. Called once. */
  stop(): Promise<void>;
  /** Resolves, with a line for the operator, when the program cannot go on. */
  readonly failed: Promise<string>;
}

/** Exit statuses: configuration is wrong; it could not start, or could not go on. */
const EXIT_CONFIGURATION = 2;
const EXIT_FAILURE = 1;

/** The message of an error that a person can do something about, in one line; `undefined` for every other one. */
function sentence(error: unknown): string | undefined {
  if (error instanceof Deno.errors.AddrInUse) return "the port is taken by another program";
  if (error instanceof Deno.errors.NotCapable) {
    return `${error.message.split("\n")[0]}; a store must be under ./data, /data, /shared or /var/lib/deltadatabase ` +
      "unless the program is run from source with other permissions";
  }
  const known = error instanceof ConfigError || error instanceof StartError || error instanceof StorageError;
  return known ? error.message.replace(/\s*\n\s*/g, " ") : undefined;
}

/**
 * Runs a program to its end and exits. `start` answers help to print, or the program at work; it rejects with a
 * {@linkcode ConfigError} (exit status 2), or a {@linkcode StartError} or {@linkcode StorageError} (1).
 */
export async function runProgram(
  name: string,
  start: (args: readonly string[]) => Promise<Running | { readonly help: string }>,
): Promise<never> {
  const say = (line: string) => console.error(`${name}: ${line}`);
  const stopped = Promise.withResolvers<"signal">();
  let isStarting = true;
  const onSignal = () => {
    stopped.resolve("signal");
    // What is waited for at the start, a store or a lease, may never come. Nobody is served yet, so nothing can be lost.
    if (isStarting) setTimeout(() => isStarting && Deno.exit(0), SHUTDOWN_WHILE_STARTING_MS);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, onSignal);
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    const { reason } = event;
    say(`unexpected: ${reason instanceof Error ? reason.stack ?? reason.message : reason}`);
    Deno.exit(EXIT_FAILURE);
  });
  let running: Running | { readonly help: string };
  try {
    running = await start(Deno.args);
  } catch (error) {
    const line = sentence(error);
    say(line ?? `unexpected: ${error instanceof Error ? error.stack : error}`);
    Deno.exit(error instanceof ConfigError ? EXIT_CONFIGURATION : EXIT_FAILURE);
  }
  isStarting = false;
  if ("help" in running) {
    console.log(running.help);
    Deno.exit(0);
  }
  const why = await Promise.race([stopped.promise, running.failed]);
  if (why !== "signal") say(why);
  const late = setTimeout(() => {
    say(`it did not stop within ${SHUTDOWN_MS_MAX / 1000} s and is ended; nothing that was acknowledged is lost`);
    Deno.exit(EXIT_FAILURE);
  }, SHUTDOWN_MS_MAX);
  try {
    await running.stop();
  } catch (error) {
    say(sentence(error) ?? `unexpected: ${error instanceof Error ? error.stack : error}`);
    Deno.exit(EXIT_FAILURE);
  }
  clearTimeout(late);
  Deno.exit(why === "signal" ? 0 : EXIT_FAILURE);
}
