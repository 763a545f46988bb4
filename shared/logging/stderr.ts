/** The logger of a program: lines on standard error, in the form that its configuration asks for. */
import type { LogConfig } from "../config/common.ts";
import type { Environment } from "../config/flags.ts";
import type { Clock } from "../seams/clock.ts";
import { wantsColour } from "./format.ts";
import { createLogger, lineSink, type Logger } from "./logger.ts";

/** A logger of the program `component` on standard error. `env` says whether colours are wanted. */
export function stderrLogger(
  component: string,
  config: LogConfig,
  clock: Pick<Clock, "now">,
  env: Environment = Deno.env,
): Logger {
  const colour = wantsColour(Deno.stderr.isTerminal(), env);
  const sink = lineSink(config.format, colour, (bytes) => Deno.stderr.writeSync(bytes));
  return createLogger({ sink, level: config.level, clock, component });
}
