/**
 * Structured logs: the face that every part of the product writes them through, and its construction. Records and
 * formats are LogTape's; its global registry is not used, so that a program, a test and a simulation each have their own.
 */
import { compareLogLevel, type LogLevel as TapeLevel, type LogRecord, type Sink } from "@logtape/logtape";
import type { LogLevel } from "../config/values.ts";
import type { Clock } from "../seams/clock.ts";
import { safeFields } from "./fields.ts";
import { formatJson, textFormatter } from "./format.ts";

/** What is known of an event beside its name. Names in snake case; units at their end (`_ms`, `_bytes`). */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes events. No method ever throws. Events are named in snake case, as what happened: `worker_joined`. */
export interface Logger {
  /** For who looks for a fault; may name entities. */
  debug(event: string, fields?: LogFields): void;
  /** Something happened that an operator wants to find later. */
  info(event: string, fields?: LogFields): void;
  /** Something is wrong, and the program goes on by itself. */
  warn(event: string, fields?: LogFields): void;
  /** Something is wrong that needs a person. */
  error(event: string, fields?: LogFields): void;
  /** An administrative action or a refused credential. Written at every log level, marked `"audit":true`. */
  audit(action: string, fields?: LogFields): void;
  /** A logger of a part: `control` under `main` writes as `main.control`. `fields` go into each of its lines. */
  child(component: string, fields?: LogFields): Logger;
}

const TAPE_LEVEL: Readonly<Record<LogLevel, TapeLevel>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
};

/** What a logger is made of. */
export interface LoggerOptions {
  /** Takes each record; its properties are safe and bounded. What it throws is dropped. */
  readonly sink: Sink;
  /** Least level that is written. */
  readonly level: LogLevel;
  readonly clock: Pick<Clock, "now">;
  /** Name of the program or part; may be empty. */
  readonly component: string;
  readonly fields?: LogFields;
}

class TapeLogger implements Logger {
  readonly #options: LoggerOptions;
  readonly #category: readonly string[];

  constructor(options: LoggerOptions) {
    this.#options = options;
    this.#category = options.component === "" ? [] : [options.component];
  }

  debug(event: string, fields?: LogFields): void {
    this.#write("debug", event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#write("info", event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#write("warn", event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#write("error", event, fields);
  }

  audit(action: string, fields?: LogFields): void {
    this.#write("info", action, fields, true);
  }

  child(component: string, fields?: LogFields): Logger {
    const parent = this.#options.component;
    return new TapeLogger({
      ...this.#options,
      component: parent === "" ? component : `${parent}.${component}`,
      fields: { ...this.#options.fields, ...fields },
    });
  }

  #write(level: LogLevel, event: string, fields: LogFields = {}, audit = false): void {
    const { sink, level: least, clock, fields: own } = this.#options;
    if (!audit && compareLogLevel(TAPE_LEVEL[level], TAPE_LEVEL[least]) < 0) return;
    try {
      const name = event.slice(0, 128);
      sink({
        category: this.#category,
        level: TAPE_LEVEL[level],
        message: [name],
        rawMessage: name,
        timestamp: clock.now(),
        properties: {
          ...(own && safeFields(own, level)),
          ...safeFields(fields, level),
          ...(audit && { audit: true }),
        },
      });
    } catch {
      // A line that cannot be written must not stop the work that it tells of.
    }
  }
}

/** A logger that hands its records to a LogTape sink. */
export function createLogger(options: LoggerOptions): Logger {
  return new TapeLogger(options);
}

/** Writes the bytes of one line, such as `Deno.stderr.writeSync`. */
export type WriteBytes = (bytes: Uint8Array) => number;

/**
 * A sink that writes lines as they come, so that none is lost when the process ends. A line that the other side does not
 * take (a closed pipe, a full non-blocking one) is dropped.
 */
export function lineSink(format: "json" | "text", colour: boolean, write: WriteBytes): Sink {
  const encoder = new TextEncoder();
  const formatter = format === "json" ? formatJson : textFormatter(colour);
  return (record: LogRecord) => {
    let bytes = encoder.encode(formatter(record));
    // A pipe may take a line in pieces.
    while (bytes.length > 0) {
      const taken = write(bytes);
      if (taken <= 0) return;
      bytes = bytes.subarray(taken);
    }
  };
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  audit() {},
  child: () => silentLogger,
};

/** A line as a {@linkcode RecordingLogger} keeps it. */
export interface RecordedLine {
  readonly level: LogLevel;
  readonly component: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger for tests: keeps what the real one would have written, guards included, at every level. */
export interface RecordingLogger extends Logger {
  readonly lines: readonly RecordedLine[];
  /** The lines of this event. */
  of(event: string): readonly RecordedLine[];
}

/** A {@linkcode RecordingLogger}; its children record into it too. */
export function recordingLogger(): RecordingLogger {
  const lines: RecordedLine[] = [];
  const logger = createLogger({
    level: "debug",
    clock: { now: () => 0 },
    component: "",
    sink: (record) =>
      lines.push({
        level: record.level === "warning" ? "warn" : record.level as LogLevel,
        component: record.category.join("."),
        event: String(record.message[0]),
        fields: record.properties,
      }),
  });
  return {
    debug: (event, fields) => logger.debug(event, fields),
    info: (event, fields) => logger.info(event, fields),
    warn: (event, fields) => logger.warn(event, fields),
    error: (event, fields) => logger.error(event, fields),
    audit: (action, fields) => logger.audit(action, fields),
    child: (component, fields) => logger.child(component, fields),
    lines,
    of: (event) => lines.filter((line) => line.event === event),
  };
}
