/**
 * Formats of a log record: one JSON object in a line for machines, or one coloured line for people.
 * Whatever a field holds, a record is one line of bounded length, so that no field can forge another line.
 */
import { getAnsiColorFormatter, getTextFormatter, type LogRecord, type TextFormatter } from "@logtape/logtape";
import type { Environment } from "../config/flags.ts";
import { LOG_LINE_BYTES_MAX } from "../limits.ts";
import type { SafeValue } from "./fields.ts";

/** What every line says of itself; fields of these names get a prefix. */
const OWN_NAMES = new Set(["ts", "level", "component", "event"]);

// Controls (C0 beyond what JSON escapes itself, DEL, C1), separators that some viewers take for line ends, and the
// marks that reorder or hide text on a terminal.
// deno-lint-ignore no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function escape(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function json(value: SafeValue): string {
  return escape(JSON.stringify(value));
}

/** Names of levels in lines; LogTape says `warning`, everybody else `warn`. */
export function levelName(record: LogRecord): string {
  return record.level === "warning" ? "warn" : record.level;
}

const encoder = new TextEncoder();

/** Joins parts as long as the line stays within its bound; then says how many are missing. */
function joinBounded(
  head: string,
  parts: readonly string[],
  separator: string,
  more: (left: number) => string,
): string {
  let line = head;
  // UTF-8 takes at most three bytes for a UTF-16 unit: an exact count is needed only near the bound.
  let bytes = encoder.encode(head).length;
  for (const [index, part] of parts.entries()) {
    bytes += separator.length + encoder.encode(part).length;
    if (bytes > LOG_LINE_BYTES_MAX - 64) return line + separator + more(parts.length - index);
    line += separator + part;
  }
  return line;
}

function fieldsOf(record: LogRecord): [string, SafeValue][] {
  return Object.entries(record.properties as Record<string, SafeValue>);
}

/**
 * A record as a JSON line: `{"ts":"…","level":"info","component":"control","event":"worker_joined","worker_id":"proc-1"}`,
 * with a line feed at its end.
 */
export const formatJson: TextFormatter = (record) => {
  const head = `{"ts":"${new Date(record.timestamp).toISOString()}","level":"${levelName(record)}",` +
    `"component":${json(record.category.join("."))},"event":${json(String(record.message[0]))}`;
  const parts = fieldsOf(record).map(([name, value]) =>
    `${json(OWN_NAMES.has(name) ? `field_${name}` : name)}:${json(value)}`
  );
  return joinBounded(head, parts, ",", (left) => `"truncated_fields":${left}`) + "}\n";
};

function plain(value: SafeValue): string {
  return typeof value === "string" && /^[\w.:/@%+,[\]~-]+$/.test(value) ? value : json(value);
}

/** A formatter for people: local time, level, component, event, `name=value`. */
export function textFormatter(colour: boolean): TextFormatter {
  const options = {
    timestamp: "time",
    timeZone: null,
    level: (level: string) => (level === "warning" ? "WARN" : level.toUpperCase()).padEnd(5),
    category: (category: readonly string[]) => category.join(".").padEnd(10),
  } as const;
  const dim = (text: string) => colour ? `\x1b[2m${text}\x1b[22m` : text;
  const strong = (text: string) => colour ? `\x1b[1m${text}\x1b[22m` : text;
  const format = ({ timestamp, level, category, record }: {
    timestamp: string | null;
    level: string;
    category: string;
    record: LogRecord;
  }) => {
    const head = `${timestamp} ${level} ${category} ${strong(escape(String(record.message[0])))}`;
    const parts = fieldsOf(record).map(([name, value]) => `${dim(`${escape(name)}=`)}${plain(value)}`);
    return joinBounded(head, parts, " ", (left) => `(and ${left} more fields)`);
  };
  return colour ? getAnsiColorFormatter({ ...options, format }) : getTextFormatter({ ...options, format });
}

/** Whether lines for people are coloured: on a terminal, unless `NO_COLOR` is set; elsewhere only with `FORCE_COLOR`. */
export function wantsColour(isTerminal: boolean, env: Environment): boolean {
  if (env.get("NO_COLOR")) return false;
  const force = env.get("FORCE_COLOR");
  return force ? force !== "0" : isTerminal && env.get("TERM") !== "dumb";
}
