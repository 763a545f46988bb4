/** Strict reading of a request's path and query: what cannot be decoded exactly is refused, never repaired. */
import {
  checkKeyPrefix,
  type EntityKey,
  NameError,
  parseEntityKey,
  parseSchemaId,
  type SchemaId,
} from "../../../shared/names.ts";
import type { ErrorCode } from "../../../shared/outcome.ts";
import { refuse } from "./errors.ts";

/** A request target, split but not decoded. `query` is without its question mark. */
export interface Target {
  readonly path: string;
  readonly query: string;
}

/** Splits an absolute URL as the server received it; nothing is normalised or decoded. */
export function splitTarget(url: string): Target {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return { path: "/", query: "" };
  const hash = url.indexOf("#", start);
  const end = hash < 0 ? url.length : hash;
  const mark = url.indexOf("?", start);
  if (mark < 0 || mark >= end) return { path: url.slice(start, end), query: "" };
  return { path: url.slice(start, mark), query: url.slice(mark + 1, end) };
}

/** Decodes percent-encoded UTF-8; `undefined` when it is not. */
function decodePercent(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The schema id in a path segment. @throws {Refusal} `invalid_schema_id` */
export function schemaIdIn(segment: string): SchemaId {
  const text = decodePercent(segment);
  if (text === undefined) throw refuse("invalid_schema_id", "the schema id is not percent-encoded UTF-8");
  return schemaIdOf(text);
}

/** What `parse` makes of a name. @throws {Refusal} `code` with the rule that the name breaks. */
function named<Name>(code: ErrorCode, parse: () => Name): Name {
  try {
    return parse();
  } catch (error) {
    if (error instanceof NameError) throw refuse(code, error.message);
    throw error;
  }
}

/** A schema id from a request. @throws {Refusal} `invalid_schema_id` */
export function schemaIdOf(text: string): SchemaId {
  return named("invalid_schema_id", () => parseSchemaId(text));
}

/** An entity key from a request. @throws {Refusal} `invalid_key` */
export function entityKeyOf(text: string): EntityKey {
  return named("invalid_key", () => parseEntityKey(text));
}

/**
 * The values of a query parameter by name, one at most. As in HTML forms, `+` is a space; a plus sign is `%2B`.
 * @throws {Refusal} `bad_request` when it is given twice; `code` when it cannot be decoded.
 */
export function queryValue(query: string, name: string, code: ErrorCode = "bad_request"): string | undefined {
  if (query === "") return undefined;
  let found: string | undefined;
  for (let at = 0; at <= query.length;) {
    let end = query.indexOf("&", at);
    if (end < 0) end = query.length;
    let equals = query.indexOf("=", at);
    if (equals < 0 || equals > end) equals = end;
    if (formDecode(query.slice(at, equals)) === name) {
      if (found !== undefined) throw refuse("bad_request", `the query parameter ${name} is given more than once`);
      found = formDecode(query.slice(equals + 1, Math.max(end, equals + 1)));
      if (found === undefined) throw refuse(code, `the query parameter ${name} is not percent-encoded UTF-8`);
    }
    at = end + 1;
  }
  return found;
}

function formDecode(text: string): string | undefined {
  return decodePercent(text.includes("+") ? text.replaceAll("+", " ") : text);
}

/** The entity key in `?key=`, or `undefined` without that parameter. @throws {Refusal} `invalid_key`, `bad_request` */
export function queryKey(query: string): EntityKey | undefined {
  const text = queryValue(query, "key", "invalid_key");
  return text === undefined ? undefined : entityKeyOf(text);
}

/** As {@linkcode queryKey}, but required. @throws {Refusal} `missing_key`, `invalid_key`, `bad_request` */
export function requiredKey(query: string): EntityKey {
  const key = queryKey(query);
  if (key === undefined) throw refuse("missing_key", "the query parameter key is missing");
  return key;
}

/** The key prefix in `?prefix=`, empty without it. @throws {Refusal} `invalid_key`, `bad_request` */
export function queryPrefix(query: string): string {
  const prefix = queryValue(query, "prefix", "invalid_key") ?? "";
  named("invalid_key", () => checkKeyPrefix(prefix));
  return prefix;
}

/** A whole number in a query parameter. @throws {Refusal} `bad_request` */
export function queryInteger(query: string, name: string, min: number, max: number, otherwise: number): number {
  const text = queryValue(query, name);
  if (text === undefined) return otherwise;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw refuse("bad_request", `the query parameter ${name} must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/** `true` or `false` in a query parameter, `false` without it. @throws {Refusal} `bad_request` */
export function queryFlag(query: string, name: string): boolean {
  const text = queryValue(query, name);
  if (text === undefined || text === "false") return false;
  if (text === "true") return true;
  throw refuse("bad_request", `the query parameter ${name} must be true or false`);
}

/** One of several words in a query parameter. @throws {Refusal} `bad_request` */
export function queryChoice<T extends string>(query: string, name: string, choices: readonly T[], otherwise: T): T {
  const text = queryValue(query, name);
  if (text === undefined) return otherwise;
  const choice = choices.find((one) => one === text);
  if (choice === undefined) {
    throw refuse("bad_request", `the query parameter ${name} must be one of ${choices.join(", ")}`);
  }
  return choice;
}
