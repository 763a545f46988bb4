/**
 * Fields of a log line, made safe: bounded in size and depth, free of secrets and documents, and never able to throw.
 * Callers do not log secrets in the first place; the guard here is the second lock on that door.
 */
import { LOG_FIELD_DEPTH_MAX, LOG_LIST_ITEMS_MAX, LOG_STRING_CHARACTERS_MAX } from "../limits.ts";
import type { LogLevel } from "../config/values.ts";

/** What stands in a line in the place of something that must not be there. */
export const REDACTED = "[redacted]";

/** A value that `JSON.stringify` writes as it is. */
export type SafeValue = string | number | boolean | null | readonly SafeValue[] | {
  readonly [name: string]: SafeValue;
};

// Compared with a field's name in lower case without separators.
const SECRET_NAME =
  /token|secret|passw|authorization|credential|cookie|bearer|proof|(?:master|admin|worker|api|access|private|wrapped|session|join|data|old|hmac|raw)keys?$|^(?:key|keys)?(?:material|bytes|hex)$|plaintext|ciphertext|document|payload|envelope|^body$|^value$/;
// Names of entities: of no use to a thief of keys, but they are the client's data.
const ENTITY_NAME = /entitykeys?$|entitynames?$|^keys?$|^storagenames?$/;
// What belongs to a secret and is none: its id, its kind, its times.
const HARMLESS_NAME = /(?:id|ids|name|kind|count|state|source|total|at|until|ms|seconds|permissions)$/;

const BEARER = /\b(bearer\s+)[^\s"',]+/gi;
const API_KEY = /\bdk_[0-9a-f]{8,}/gi;
const HEX_KEY = /\b[0-9a-f]{64}\b/gi;

/** Whether text under this name is kept out of the log. At `debug`, names of entities are let through. */
export function isGuarded(name: string, level: LogLevel): boolean {
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, "");
  if (ENTITY_NAME.test(plain)) return level !== "debug";
  return SECRET_NAME.test(plain) && !HARMLESS_NAME.test(plain);
}

/** Replaces what has the form of a credential or a key, and keeps the beginning of a long text. */
function safeText(text: string, allowHash: boolean): string {
  const readMax = LOG_STRING_CHARACTERS_MAX * 4;
  // Where the reading ends inside a word, the word goes: it may be the first half of a key.
  let safe = text.length > readMax ? text.slice(0, readMax).replace(/[\w+/=-]*$/, "") : text;
  safe = safe.replace(BEARER, `$1${REDACTED}`).replace(API_KEY, REDACTED);
  if (!allowHash) safe = safe.replace(HEX_KEY, REDACTED);
  const kept = safe.slice(0, LOG_STRING_CHARACTERS_MAX);
  return kept.length < safe.length || text.length > readMax ? `${kept}…` : kept;
}

function safeError(error: Error, level: LogLevel, depth: number): SafeValue {
  const out: Record<string, SafeValue> = { name: safeText(error.name, false), message: safeText(error.message, false) };
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string" || typeof code === "number") out.code = safeValue("code", code, level, depth + 1);
  // For what nobody expected, where it came from: the few innermost calls, without the message, which is above.
  const calls = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)).slice(0, 6);
  if (calls.length > 0 && (level === "error" || level === "debug")) {
    out.stack = safeText(calls.map((line) => line.trim()).join(" < "), false);
  }
  if (error.cause !== undefined && depth < LOG_FIELD_DEPTH_MAX) {
    out.cause = safeValue("cause", error.cause, level, depth + 1);
  }
  return out;
}

/** A value as a log line may show it. Reads every property at most once; throws only what a getter throws. */
export function safeValue(name: string, value: unknown, level: LogLevel, depth = 0): SafeValue {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "undefined":
      return null;
    case "bigint":
      return String(value);
    case "function":
    case "symbol":
      return `[${typeof value}]`;
    case "string":
      return isGuarded(name, level) ? REDACTED : safeText(value, /hash|sha256|digest|etag/i.test(name));
  }
  if (value === null) return null;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Error) return safeError(value, level, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (isGuarded(name, level)) return REDACTED;
  if (depth >= LOG_FIELD_DEPTH_MAX) return "[deeper]";
  if (value instanceof Map) return safeEntries(value.entries(), level, depth);
  if (Array.isArray(value) || value instanceof Set) {
    const out: SafeValue[] = [];
    for (const item of value) {
      if (out.length === LOG_LIST_ITEMS_MAX) {
        const size = Array.isArray(value) ? value.length : value.size;
        out.push(`… ${size - LOG_LIST_ITEMS_MAX} more`);
        break;
      }
      out.push(safeValue(name, item, level, depth + 1));
    }
    return out;
  }
  return safeEntries(Object.entries(value as object), level, depth);
}

function safeEntries(entries: Iterable<readonly [unknown, unknown]>, level: LogLevel, depth: number): SafeValue {
  const out: Record<string, SafeValue> = Object.create(null);
  let left = LOG_LIST_ITEMS_MAX;
  for (const [key, value] of entries) {
    if (value === undefined) continue;
    if (left-- === 0) {
      out["…"] = "more";
      break;
    }
    const name = String(key).slice(0, 64);
    out[name] = safeValue(name, value, level, depth + 1);
  }
  return out;
}

/** All fields of a line, made safe. A field that cannot be read says so in its place. */
export function safeFields(fields: Readonly<Record<string, unknown>>, level: LogLevel): Record<string, SafeValue> {
  const out: Record<string, SafeValue> = Object.create(null);
  let names: string[];
  try {
    names = Object.keys(fields);
  } catch {
    return { fields: "[unreadable]" };
  }
  let left = LOG_LIST_ITEMS_MAX;
  for (const name of names) {
    if (left-- === 0) {
      out["…"] = "more";
      break;
    }
    try {
      const value = fields[name];
      if (value !== undefined) out[name.slice(0, 64)] = safeValue(name, value, level);
    } catch {
      out[name.slice(0, 64)] = "[unreadable]";
    }
  }
  return out;
}
