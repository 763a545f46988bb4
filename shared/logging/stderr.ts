/** The logger of a program: lines on standard error, in the form that its configuration asks for. */
import type { LogLevel } from "../config/values.ts";
import { systemClock } from "../seams/clock.ts";
import { wantsColour } from "./format.ts";
import { createLogger, lineSink, type Logger } from "./logger.ts";

/** A logger of the program `component` on standard error. `env` reads a variable of the environment. */
export function stderrLogger(
  component: string,
  config: { readonly level: LogLevel; readonly format: "json" | "text" },
  env: (name: string) => string | undefined,
): Logger {
  const colour = wantsColour(Deno.stderr.isTerminal(), env);
  const sink = lineSink(config.format, colour, (bytes) => Deno.stderr.writeSync(bytes));
  return createLogger({ sink, level: config.level, clock: systemClock, component });
}
