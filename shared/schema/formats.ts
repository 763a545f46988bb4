/**
 * What `format` checks. Every check takes time in proportion to the text: the expressions of ajv-formats are applied
 * only to texts that are short by the rules of their format, and formats without such a bound are checked by hand.
 * A format that is not listed here is an annotation, as the specification has it.
 */
import { fullFormats } from "ajv-formats/dist/formats.js";
import { isIPv4, isIPv6 } from "node:net";

/** A check of text, or of numbers. */
export type Format =
  | ((text: string) => boolean)
  | { readonly type: "number"; readonly validate: (value: number) => boolean };

/** Texts up to this length are given to the expressions of ajv-formats for dates and times. */
const DATE_CHARS_MAX = 100;
const DURATION_CHARS_MAX = 200;
/** RFC 5321: 64 for the local part, 255 for the domain, and the `@`. */
const EMAIL_CHARS_MAX = 320;
/** RFC 1035, with the dot of the root. */
const HOSTNAME_CHARS_MAX = 254;
const UUID_CHARS_MAX = 45;
const REGEX_CHARS_MAX = 65_536;

function bounded(name: keyof typeof fullFormats, charsMax: number): (text: string) => boolean {
  const format = fullFormats[name];
  const check = format instanceof RegExp
    ? (text: string) => format.test(text)
    : typeof format === "function"
    ? format
    : (format as { validate: (text: string) => boolean }).validate;
  return (text) => text.length <= charsMax && check(text);
}

/** Characters of RFC 3986 beside letters and digits; `%` is looked at by itself. */
const NOT_URI = /[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]/;
/** The characters of RFC 3987 that RFC 3986 does not have, taken as anything beyond ASCII that is not a control or half a pair. */
// deno-lint-ignore no-control-regex
const NOT_IRI = /[\u0000-\u0020"<>\\^`{|}\u007f-\u009f]/;
const BAD_PERCENT = /%(?![0-9A-Fa-f]{2})/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+\-.]*$/;
const BRACKET = /[[\]]/;

/** RFC 3986, section 3 (or 3987): its parts by their separators, and the characters of each. */
function isUri(text: string, relative: boolean, foreign: RegExp): boolean {
  if (foreign.test(text) || BAD_PERCENT.test(text) || !text.isWellFormed()) return false;
  const hash = text.indexOf("#");
  if (hash >= 0 && text.indexOf("#", hash + 1) >= 0) return false;
  const beforeFragment = hash < 0 ? text : text.slice(0, hash);
  const query = beforeFragment.indexOf("?");
  const hierarchy = query < 0 ? beforeFragment : beforeFragment.slice(0, query);
  if (BRACKET.test(text.slice(hierarchy.length))) return false;

  const colon = hierarchy.indexOf(":");
  const slash = hierarchy.indexOf("/");
  const hasScheme = colon > 0 && (slash < 0 || colon < slash);
  if (hasScheme ? !SCHEME.test(hierarchy.slice(0, colon)) : !relative || colon === 0) return false;
  const rest = hasScheme ? hierarchy.slice(colon + 1) : hierarchy;
  if (!rest.startsWith("//")) return !BRACKET.test(rest);

  const pathStart = rest.indexOf("/", 2);
  const authority = pathStart < 0 ? rest.slice(2) : rest.slice(2, pathStart);
  if (pathStart >= 0 && BRACKET.test(rest.slice(pathStart))) return false;
  const at = authority.lastIndexOf("@");
  if (BRACKET.test(authority.slice(0, Math.max(at, 0))) || authority.indexOf("@") !== at) return false;
  const host = authority.slice(at + 1);
  const literal = /^\[([^\]]*)\](:[0-9]*)?$/.exec(host);
  if (literal !== null) return isIPv6(literal[1]!) || /^v[0-9a-f]+\.[a-z0-9\-._~!$&'()*+,;=:]+$/i.test(literal[1]!);
  return !BRACKET.test(host) && /^[^:]*(:[0-9]*)?$/.test(host);
}

/** RFC 6570: literals and expressions in braces. */
function isUriTemplate(text: string): boolean {
  let from = 0;
  for (;;) {
    const open = text.indexOf("{", from);
    const literal = open < 0 ? text.slice(from) : text.slice(from, open);
    // deno-lint-ignore no-control-regex
    if (/[\u0000-\u0020"'<>\\^`|}]/.test(literal) || BAD_PERCENT.test(literal)) return false;
    if (open < 0) return true;
    const close = text.indexOf("}", open);
    if (close < 0) return false;
    const variables = text.slice(open + 1, close).replace(/^[+#./;?&=,!@|]/, "").split(",");
    const isVariable = /^(?:[A-Za-z0-9_.]|%[0-9A-Fa-f]{2})+(?::[1-9][0-9]{0,3}|\*)?$/;
    if (!variables.every((variable) => variable.length <= 1_024 && isVariable.test(variable))) return false;
    from = close + 1;
  }
}

/** RFC 6901. */
function isJsonPointer(text: string): boolean {
  return text === "" || (text.startsWith("/") && !/~(?![01])/.test(text));
}

function isRelativeJsonPointer(text: string): boolean {
  const digits = /^(?:0|[1-9][0-9]{0,15})(?![0-9])/.exec(text);
  if (digits === null) return false;
  const rest = text.slice(digits[0].length);
  return rest === "#" || isJsonPointer(rest);
}

function isRegex(text: string): boolean {
  if (text.length > REGEX_CHARS_MAX) return false;
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}

/** RFC 4648, section 4. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && !/[^A-Za-z0-9+/=]/.test(text) && !/=[^=]|===|^=/.test(text);
}

const isEmail = bounded("email", EMAIL_CHARS_MAX);
const isHostname = bounded("hostname", HOSTNAME_CHARS_MAX);

/** Beyond ASCII, a host is judged by its Punycode form. */
function asciiHost(host: string): string {
  if (host.length > HOSTNAME_CHARS_MAX || /[\s/?#@:\\[\]%]/.test(host)) return "";
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return "";
  }
}

function isIdnEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at < 1 || text.length > EMAIL_CHARS_MAX) return false;
  // What RFC 6531 adds to the local part is everything beyond ASCII: judged as if it were a letter.
  // deno-lint-ignore no-control-regex
  return isEmail(`${text.slice(0, at).replace(/[^\u0000-\u007f]/g, "x")}@${asciiHost(text.slice(at + 1))}`);
}

const INT32_MAX = 2 ** 31 - 1;

/** The checks by the names of their formats. */
export const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["date", bounded("date", DATE_CHARS_MAX)],
  ["time", bounded("time", DATE_CHARS_MAX)],
  ["date-time", bounded("date-time", DATE_CHARS_MAX)],
  ["iso-time", bounded("iso-time", DATE_CHARS_MAX)],
  ["iso-date-time", bounded("iso-date-time", DATE_CHARS_MAX)],
  ["duration", bounded("duration", DURATION_CHARS_MAX)],
  ["email", isEmail],
  ["idn-email", isIdnEmail],
  ["hostname", isHostname],
  ["idn-hostname", (text) => isHostname(asciiHost(text))],
  ["ipv4", isIPv4],
  ["ipv6", (text) => !text.includes("%") && isIPv6(text)],
  ["uuid", bounded("uuid", UUID_CHARS_MAX)],
  ["uri", (text) => isUri(text, false, NOT_URI)],
  ["uri-reference", (text) => isUri(text, true, NOT_URI)],
  ["iri", (text) => isUri(text, false, NOT_IRI)],
  ["iri-reference", (text) => isUri(text, true, NOT_IRI)],
  ["url", (text) => /^(?:https?|ftp):\/\/[^/?#]/i.test(text) && isUri(text, false, NOT_IRI) && URL.canParse(text)],
  ["uri-template", isUriTemplate],
  ["json-pointer", isJsonPointer],
  [
    "json-pointer-uri-fragment",
    (text) => text.startsWith("#") && isUri(text, true, NOT_URI) && isFragmentPointer(text),
  ],
  ["relative-json-pointer", isRelativeJsonPointer],
  ["regex", isRegex],
  ["byte", isBase64],
  ["int32", {
    type: "number",
    validate: (value) => Number.isInteger(value) && Math.abs(value + 0.5) <= INT32_MAX + 0.5,
  }],
  ["int64", {
    type: "number",
    validate: (value) => Number.isInteger(value) && value >= -(2 ** 63) && value <= 2 ** 63,
  }],
]);

/** Steps for one class of characters by a property of Unicode, of which a regular expression is made anew each time. */
const UNICODE_CLASS_STEPS = 4_000;
const REGEX_STEPS = 200;
const URL_STEPS = 50;

/** What the meter counts for a check: making regular expressions and parsing URLs costs far more than reading the text. */
export function formatSteps(name: string, text: string): number {
  const reading = 1 + (text.length >> 3);
  if (name === "regex") {
    // Escapes in pairs: a backslash may be escaped itself.
    const classes = text.match(/\\[^]/g)?.filter((escape) => escape === "\\p" || escape === "\\P").length ?? 0;
    return reading + REGEX_STEPS + text.length + UNICODE_CLASS_STEPS * classes;
  }
  return name.startsWith("idn-") || name === "url" ? reading + URL_STEPS : reading;
}

function isFragmentPointer(text: string): boolean {
  try {
    return isJsonPointer(decodeURIComponent(text.slice(1)));
  } catch {
    return false;
  }
}
