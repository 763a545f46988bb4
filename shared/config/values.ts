/**
 * Values of flags: one parser for each kind of text that a person writes into a flag or a variable.
 * A parser's error says what would be right and never repeats the text, which may be a secret.
 */
import {
  CREDENTIAL_BYTES_MAX,
  FLAG_DURATION_MS_MAX,
  FRONT_THREADS_MAX,
  HOST_BYTES_MAX,
  KEY_ID_BYTES_MAX,
  MASTER_KEYS_MAX,
  PATH_BYTES_MAX,
  WORKER_ID_BYTES_MAX,
} from "../limits.ts";

/** A text that is not a value of its kind; `message` completes the sentence "… is not valid: ". */
export class ValueError extends Error {
  override name = "ValueError";
}

/** A kind of value: its name for the help, and its parser. */
export interface Kind<T> {
  /** A word for the help text, such as `duration`. */
  readonly name: string;
  /** @throws {ValueError} when `text` is not a value of this kind. */
  readonly parse: (text: string) => T;
}

// --- durations -----------------------------------------------------------------------------------------------------

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3, // U+00B5, micro sign
  "μs": 1e-3, // U+03BC, Greek mu
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const DURATION = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d))+$/;
const DURATION_PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)/g;

/**
 * Milliseconds of a duration as Go writes it (`90s`, `1h30m`, `1.5h`, `250ms`), or in days (`7d`), or `0`.
 * Rounded to whole milliseconds, but never to 0 unless it is 0. At most 100 years.
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (text.length > 64 || !DURATION.test(text)) {
    throw new ValueError("want a duration such as 90s, 1h30m, 250ms or 7d");
  }
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(DURATION_PART)) ms += Number(amount) * UNIT_MS[unit!]!;
  if (ms > FLAG_DURATION_MS_MAX) throw new ValueError("the longest duration is 36500d");
  return ms === 0 ? 0 : Math.max(1, Math.round(ms));
}

/** The shortest text that {@linkcode parseDuration} reads as `ms` whole milliseconds: `90000` → `1m30s`. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = "";
  for (const unit of ["h", "m", "s", "ms"]) {
    const count = Math.floor(rest / UNIT_MS[unit]!);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * UNIT_MS[unit]!;
  }
  return text === "" ? "0" : text;
}

/** A duration in milliseconds between two bounds, both included. */
export function duration(minMs = 0, maxMs = FLAG_DURATION_MS_MAX): Kind<number> {
  return {
    name: "duration",
    parse(text) {
      const ms = parseDuration(text);
      if (ms < minMs || ms > maxMs) {
        throw new ValueError(`must be between ${formatDuration(minMs)} and ${formatDuration(maxMs)}`);
      }
      return ms;
    },
  };
}

// --- numbers and sizes ---------------------------------------------------------------------------------------------

/** A whole number in decimal digits between two bounds, both included. */
export function count(min: number, max: number): Kind<number> {
  return {
    name: "number",
    parse(text) {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
      if (!(value >= min && value <= max)) throw new ValueError(`want a whole number from ${min} to ${max}`);
      return value;
    },
  };
}

/** A power of two between two bounds, both included. */
export function powerOfTwo(min: number, max: number): Kind<number> {
  return {
    name: "number",
    parse(text) {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
      if (!(value >= min && value <= max) || (value & (value - 1)) !== 0) {
        throw new ValueError(`want a power of two from ${min} to ${max}`);
      }
      return value;
    },
  };
}

const SIZE = /^(\d{1,16})(?:([KMG])iB)?$/;
const SIZE_UNIT: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes of a size: plain digits, or digits with `KiB`, `MiB` or `GiB`. */
export function parseSize(text: string): number {
  const match = SIZE.exec(text);
  const bytes = match === null ? NaN : Number(match[1]) * (match[2] === undefined ? 1 : SIZE_UNIT[match[2]]!);
  if (!Number.isSafeInteger(bytes)) throw new ValueError("want a number of bytes, or a size such as 64MiB");
  return bytes;
}

/** The shortest text that {@linkcode parseSize} reads as `bytes`: `67108864` → `64MiB`. */
export function formatSize(bytes: number): string {
  for (const unit of ["G", "M", "K"]) {
    const size = SIZE_UNIT[unit]!;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}iB`;
  }
  return String(bytes);
}

/** A size in bytes between two bounds, both included. */
export function size(minBytes: number, maxBytes: number): Kind<number> {
  return {
    name: "bytes",
    parse(text) {
      const bytes = parseSize(text);
      if (bytes < minBytes || bytes > maxBytes) {
        throw new ValueError(`must be between ${formatSize(minBytes)} and ${formatSize(maxBytes)}`);
      }
      return bytes;
    },
  };
}

/** A truth value, in the spellings of Go's `strconv.ParseBool`. */
export const bool: Kind<boolean> = {
  name: "bool",
  parse(text) {
    if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
    if (/^(?:0|f|F|FALSE|false|False)$/.test(text)) return false;
    throw new ValueError("want true or false");
  },
};

/** One of a few words. */
export function choice<const Words extends readonly string[]>(words: Words): Kind<Words[number]> {
  return {
    name: words.join("|"),
    parse(text) {
      if (!words.includes(text)) throw new ValueError(`want one of ${words.join(", ")}`);
      return text as Words[number];
    },
  };
}

/** Values of `-log-level`, from most to least. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log level; `warning` is taken for `warn`, and case does not matter. */
export const logLevel: Kind<LogLevel> = {
  name: LOG_LEVELS.join("|"),
  parse(text) {
    const word = text.toLowerCase();
    return choice(LOG_LEVELS).parse(word === "warning" ? "warn" : word);
  },
};

// --- addresses -----------------------------------------------------------------------------------------------------

/** A host and a port. An IPv6 address is without its brackets. An empty host: every address of the machine. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const IPV6 = /^[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?$/;
// Underscores are in no host name of the DNS, but in the service names of Docker Compose.
const HOST = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;

function isIpv6(text: string): boolean {
  return IPV6.test(text) && text.includes(":") && URL.canParse(`http://[${text.replace(/%.*$/, "")}]/`);
}

function isHost(text: string): boolean {
  if (!HOST.test(text) || text.length > HOST_BYTES_MAX || text.includes("..")) return false;
  // Four numbers are an address or a mistake, never a name.
  return !/^[\d.]+$/.test(text) || /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(text);
}

function splitAddress(text: string): { host: string; port: number | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(text);
  const plain = /^([^:[\]]*)(?::(\d{1,5}))?$/.exec(text);
  const [, host, digits] = bracketed ?? plain ?? [];
  if (host === undefined) {
    throw new ValueError(
      isIpv6(text) ? "an IPv6 address goes in brackets: [::1]:8080" : "want host:port, such as 127.0.0.1:8080",
    );
  }
  if (bracketed === null ? host !== "" && !isHost(host) : !isIpv6(host)) {
    throw new ValueError("the host is neither a name nor an address");
  }
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && port > 65_535) throw new ValueError("the port is above 65535");
  return { host, port };
}

/**
 * `host:port`; IPv6 in brackets; `:8080` has an empty host; port 0 stands for any free one.
 *
 * ```ts
 * parseAddress("[::1]:8080"); // { host: "::1", port: 8080 }
 * ```
 */
export function parseAddress(text: string): Address {
  const { host, port } = splitAddress(text);
  if (port === undefined) throw new ValueError("want host:port, such as 127.0.0.1:8080; the port is missing");
  return { host, port };
}

/** The text of an address; what {@linkcode parseAddress} reads. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach a listener on this host. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

/** Whether this host stands for every address of the machine. */
export function isUnspecified(host: string): boolean {
  return host === "" || host === "0.0.0.0" || (host.includes(":") && /^[0:]+$/.test(host));
}

/** An address to listen on. */
export const listenAddress: Kind<Address> = { name: "host:port", parse: parseAddress };

/** An address to dial: host and port are both needed. */
export const dialAddress: Kind<Address> = {
  name: "host:port",
  parse(text) {
    const address = parseAddress(text);
    if (isUnspecified(address.host)) throw new ValueError("want a host that can be dialled before the port");
    if (address.port === 0) throw new ValueError("port 0 cannot be dialled");
    return address;
  },
};

/** The name of a host, or its address without brackets. */
export const hostName: Kind<string> = {
  name: "host",
  parse(text) {
    if (text === "" || !(text.includes(":") ? isIpv6(text) : isHost(text))) {
      throw new ValueError("want the name of a host, or its address, without a port");
    }
    return text;
  },
};

/** An address at which others reach this program; an empty host: the one that they see it come from. */
export const advertiseAddress: Kind<Address> = {
  name: "host:port",
  parse(text) {
    const address = parseAddress(text);
    if (address.port === 0) throw new ValueError("port 0 cannot be dialled");
    return address;
  },
};

/** `host` or `host:port` of an HTTP service, as it is written; the scheme is told by another flag. */
export const endpoint: Kind<string> = {
  name: "host:port",
  parse(text) {
    if (/^[a-z]+:\/\//i.test(text)) {
      throw new ValueError("want host:port without http:// or https://; -s3-use-ssl chooses between them");
    }
    if (text.includes("/")) throw new ValueError("want host:port without a path");
    const { host, port } = splitAddress(text);
    if (isUnspecified(host)) throw new ValueError("want the host of the service");
    if (port === 0) throw new ValueError("port 0 cannot be dialled");
    return text;
  },
};

// --- names, keys and secrets ---------------------------------------------------------------------------------------

/** A path of a file or a directory. */
export const path: Kind<string> = {
  name: "path",
  parse(text) {
    // deno-lint-ignore no-control-regex
    if (/[\u0000-\u001f\u007f]/.test(text)) throw new ValueError("want a path without control characters");
    if (text.length > PATH_BYTES_MAX) throw new ValueError(`the path is longer than ${PATH_BYTES_MAX} bytes`);
    return text;
  },
};

function word(name: string, pattern: RegExp, bytesMax: number, want: string): Kind<string> {
  return {
    name,
    parse(text) {
      if (text.length > bytesMax) throw new ValueError(`longer than ${bytesMax} characters`);
      if (!pattern.test(text)) throw new ValueError(`want ${want}`);
      return text;
    },
  };
}

/** The unique name of a processing worker. */
export const workerId: Kind<string> = word(
  "id",
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/,
  WORKER_ID_BYTES_MAX,
  "letters, digits and . _ - between them",
);

/** `proc-<hostname>` with what a worker id may not have replaced by `-`. */
export function defaultWorkerId(hostname: string): string {
  const safe = hostname.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, WORKER_ID_BYTES_MAX - 5).replace(
    /[^A-Za-z0-9]+$/,
    "",
  );
  return safe === "" ? "proc-1" : `proc-${safe}`;
}

/** The name of a master key. */
export const keyId: Kind<string> = word(
  "id",
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/,
  KEY_ID_BYTES_MAX,
  "letters, digits and . _ - between them",
);

/** A secret that travels in a header: visible ASCII without spaces. */
export const credential: Kind<string> = word(
  "secret",
  /^[\x21-\x7e]+$/,
  CREDENTIAL_BYTES_MAX,
  "visible ASCII characters without spaces",
);

/** A bucket's name, by the rules of S3. */
export const bucketName: Kind<string> = word(
  "name",
  /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
  63,
  "3 to 63 lower-case letters, digits, dots and hyphens",
);

/** A region's name. */
export const region: Kind<string> = word("name", /^[A-Za-z0-9-]+$/, 64, "letters, digits and hyphens");

/** 32 bytes as 64 hex digits. Each call makes a fresh array, which its owner overwrites with zeros. */
export function parseHexKey(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-9A-Fa-f]{64}$/.test(text)) throw new ValueError("want 64 hex digits; openssl rand -hex 32 makes them");
  return Uint8Array.fromHex(text);
}

/** A 256-bit key in hex. */
export const hexKey: Kind<Uint8Array<ArrayBuffer>> = { name: "64 hex digits", parse: parseHexKey };

/** A master key with its name. */
export interface NamedKey {
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array<ArrayBuffer>;
}

/** Master keys with their names, `id:hex,id:hex`; white space around the commas does not matter. */
export const namedKeys: Kind<readonly NamedKey[]> = {
  name: "id:hex,…",
  parse(text) {
    const keys: NamedKey[] = [];
    for (const part of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
      const colon = part.indexOf(":");
      const which = `key ${keys.length + 1} of the list`;
      if (colon < 1) throw new ValueError(`want id:hex,id:hex; ${which} has no id before a colon`);
      try {
        keys.push({ id: keyId.parse(part.slice(0, colon)), key: parseHexKey(part.slice(colon + 1)) });
      } catch (error) {
        throw new ValueError(`${which}: ${(error as Error).message}`);
      }
      if (keys.findIndex((other) => other.id === keys.at(-1)!.id) !== keys.length - 1) {
        throw new ValueError(`${which} has the id of an earlier one`);
      }
    }
    if (keys.length >= MASTER_KEYS_MAX) throw new ValueError(`at most ${MASTER_KEYS_MAX - 1} old keys`);
    return Object.freeze(keys);
  },
};

/** A number of front threads, or `auto`. */
export const threads: Kind<number | "auto"> = {
  name: "number|auto",
  parse(text) {
    if (text === "auto") return text;
    if (!/^\d{1,3}$/.test(text) || Number(text) < 1 || Number(text) > FRONT_THREADS_MAX) {
      throw new ValueError(`want a number from 1 to ${FRONT_THREADS_MAX}, or auto`);
    }
    return Number(text);
  },
};
