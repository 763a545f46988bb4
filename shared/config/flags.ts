/**
 * Flags in the style of Go: a typed table declares them, and the command line and the environment fill it.
 * A flag beats its variable; an empty value counts as absent; the last of repeated flags wins.
 */
import { type Kind, ValueError } from "./values.ts";

/** A command line or a variable that cannot be used: one line for a person, with no secret in it. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** One flag of a program. Its name is its key in the table, without the dash. */
export interface Flag {
  readonly kind: Kind<unknown>;
  /** The text that stands for an absent flag; parsed like any other. Without it the value is `undefined`. */
  readonly default?: string;
  /** What the help says of an absent flag that has no default text, such as `off`. */
  readonly absent?: string;
  /** Heading under which the help lists it. */
  readonly group: string;
  readonly help: string;
  /** The value is shown nowhere. */
  readonly secret?: boolean;
}

/** The flags of a program by name. Declare it `as const satisfies FlagTable`, so that its values are typed. */
export type FlagTable = Readonly<Record<string, Flag>>;

type CamelCase<Name> = Name extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name & string;

/** The values of a table: `grpc-addr` becomes `grpcAddr`, with the type of its kind. */
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table as CamelCase<Name>]: Table[Name] extends { kind: Kind<infer Value> }
    ? Table[Name] extends { default: string } ? Value : Value | undefined
    : never;
};

/** Where a value came from. */
export type FlagSource = "flag" | "environment" | "default";

/** A flag as it is in force, for people: the administration's page and the start-up log. */
export interface EffectiveFlag {
  readonly name: string;
  /** The text; for a secret `set` or the table's word for an absent one. */
  readonly value: string;
  readonly source: FlagSource;
}

/** What a command line asks for. */
export type Parsed<Table extends FlagTable> =
  | { readonly kind: "help" }
  | {
    readonly kind: "values";
    readonly values: FlagValues<Table>;
    /** In the order of the table. */
    readonly effective: readonly EffectiveFlag[];
  };

/** The environment: `Deno.env`, or a map in a test. */
export interface Environment {
  get(name: string): string | undefined;
}

/** The variable of a flag: `grpc-addr` → `GRPC_ADDR`. */
export function variableName(flag: string): string {
  return flag.toUpperCase().replaceAll("-", "_");
}

function camelCase(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Levenshtein distance, for short words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

const SHOWN_NAME_MAX = 40;

function unknownFlag(table: FlagTable, name: string): ConfigError {
  // Only what looks like the name of a flag is repeated: anything else may be a secret that slipped out of its place.
  if (!/^[a-z][a-z0-9_-]*$/i.test(name) || name.length > SHOWN_NAME_MAX) {
    return new ConfigError("an argument that starts with a dash is not a flag; -h lists the flags");
  }
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const known of Object.keys(table)) {
    const changes = distance(name.toLowerCase().replaceAll("_", "-"), known);
    if (changes < bestDistance) [best, bestDistance] = [known, changes];
  }
  return new ConfigError(
    `unknown flag -${name}; ${best === undefined ? "-h lists the flags" : `did you mean -${best}?`}`,
  );
}

/** The text of each flag on the command line, or `help`. */
function readArguments(table: FlagTable, args: readonly string[]): Map<string, string> | "help" {
  const texts = new Map<string, string>();
  let before = "";
  for (let index = 0; index < args.length; index++) {
    const argument = args[index]!;
    const match = /^--?([^=-][^=]*)(?:=([\s\S]*))?$/.exec(argument);
    if (match === null) {
      const after = before === "" ? "" : ` after -${before}`;
      const hint = before !== "" && table[before]!.kind.name === "bool"
        ? `; write -${before}=true or -${before}=false`
        : "; flags start with a dash";
      throw new ConfigError(`argument ${index + 1}${after} is not a flag${hint}`);
    }
    const name = match[1]!;
    if (name === "h" || name === "help") return "help";
    if (!Object.hasOwn(table, name)) throw unknownFlag(table, name);
    const flag = table[name]!;
    let text = match[2];
    if (text === undefined && flag.kind.name === "bool") text = "true";
    if (text === undefined) {
      const next = args[index + 1];
      const nextName = next === undefined ? undefined : /^--?([^=]*)/.exec(next)?.[1];
      if (next === undefined || (nextName !== undefined && Object.hasOwn(table, nextName))) {
        throw new ConfigError(`-${name} needs a value: -${name}=<${flag.kind.name}>`);
      }
      text = next;
      index++;
    }
    texts.set(name, text);
    before = name;
  }
  return texts;
}

function parseValue(label: string, flag: Flag, text: string): unknown {
  try {
    return flag.kind.parse(text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    // A value is repeated for the eye that looks for a typing error: short, in one line, and never a secret.
    const shown = flag.secret ? "" : ` ${JSON.stringify(text.length > 80 ? text.slice(0, 80) + "…" : text)}`;
    throw new ConfigError(`${label}${shown} is not valid: ${error.message}`);
  }
}

/**
 * Reads the values of a table from a command line (`-name=value`, `-name value`, both also with two dashes) and from
 * the environment.
 *
 * ```ts
 * const table = { port: { kind: count(0, 65535), default: "80", group: "Network", help: "where to listen" } } as const;
 * parseFlags(table, ["-port=81"], Deno.env); // { kind: "values", values: { port: 81 }, … }
 * ```
 *
 * @throws {ConfigError} for an unknown flag, a missing or bad value, or anything that is not a flag.
 */
export function parseFlags<const Table extends FlagTable>(
  table: Table,
  args: readonly string[],
  env: Environment,
): Parsed<Table> {
  const given = readArguments(table, args);
  if (given === "help") return { kind: "help" };
  const values: Record<string, unknown> = {};
  const effective: EffectiveFlag[] = [];
  for (const [name, flag] of Object.entries(table)) {
    const onLine = given.get(name);
    const variable = variableName(name);
    // White space around a variable is an accident of files and shells. A flag that is there but empty asks for the default.
    const inEnvironment = onLine === undefined ? env.get(variable)?.trim() : undefined;
    const source: FlagSource = onLine ? "flag" : inEnvironment ? "environment" : "default";
    const text = onLine || inEnvironment || flag.default;
    const label = source === "environment" ? variable : `-${name}`;
    values[camelCase(name)] = text === undefined ? undefined : parseValue(label, flag, text);
    const shown = text === undefined ? flag.absent ?? "none" : flag.secret ? "set" : text;
    effective.push(Object.freeze({ name, value: shown, source }));
  }
  return { kind: "values", values: Object.freeze(values) as FlagValues<Table>, effective: Object.freeze(effective) };
}

function wrap(text: string, indent: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(indent + line);
  return lines.join("\n");
}

/** The help of a program: every flag under its heading with its variable, what it does and its default. */
export function helpText(program: string, summary: string, table: FlagTable): string {
  const groups = Map.groupBy(Object.entries(table), ([, flag]) => flag.group);
  const parts = [
    wrap(summary, "", 100),
    "",
    `Usage: ${program} [flags]`,
    "",
    wrap(
      "Flags are -name=value or -name value. Each can also come from the environment, under the name beside it; a flag " +
        "beats the environment, and an empty value counts as absent.",
      "",
      100,
    ),
  ];
  for (const [group, flags] of groups) {
    parts.push("", `${group}:`);
    for (const [name, flag] of flags) {
      const head = flag.kind.name === "bool" ? `  -${name}` : `  -${name} <${flag.kind.name}>`;
      const fallback = flag.default !== undefined ? `default ${flag.default}` : flag.absent ?? "none by default";
      parts.push(`${head.padEnd(44)} ${variableName(name)}`, wrap(`${flag.help} (${fallback})`, "        ", 100));
    }
  }
  return parts.join("\n") + "\n";
}
