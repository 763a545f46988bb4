/** Conditions of a request (RFC 9110, section 13.1) as the entity service takes them: ETags without their quotes. */
import { possibleTag, UNMATCHABLE_TAG } from "../../../shared/conditions.ts";
import { ENTITY_TAGS_MAX } from "../../../shared/limits.ts";
import type { Conditions } from "../entities.ts";
import { refuse } from "./errors.ts";

interface Tag {
  readonly weak: boolean;
  readonly opaque: string;
}

/**
 * Parses `*` or a list of entity tags.
 * @throws {Refusal} `bad_request` when the field is neither.
 */
export function parseTags(name: string, value: string): "*" | readonly Tag[] {
  const text = value.trim();
  if (text === "*") return "*";
  const tags: Tag[] = [];
  let at = 0;
  for (;;) {
    while (text[at] === " " || text[at] === "\t" || text[at] === ",") at++;
    if (at >= text.length) break;
    const weak = text.startsWith("W/", at);
    if (weak) at += 2;
    const end = text[at] === '"' ? text.indexOf('"', at + 1) : -1;
    if (end < 0) throw refuse("bad_request", `${name} is not a list of quoted entity tags`);
    const opaque = text.slice(at + 1, end);
    if (!OPAQUE.test(opaque)) throw refuse("bad_request", `${name} has a character that an entity tag cannot hold`);
    tags.push({ weak, opaque });
    if (tags.length > ENTITY_TAGS_MAX) {
      throw refuse("bad_request", `${name} names more than ${ENTITY_TAGS_MAX} entity tags`);
    }
    at = end + 1;
    while (text[at] === " " || text[at] === "\t") at++;
    if (at < text.length && text[at] !== ",") {
      throw refuse("bad_request", `${name} is not a list of quoted entity tags`);
    }
  }
  if (tags.length === 0) throw refuse("bad_request", `${name} names no entity tag`);
  return tags;
}

const OPAQUE = /^[\x21\x23-\x7e\x80-\uffff]*$/;

/** `If-Match` takes strong tags only. */
function strong(tag: Tag): string {
  return tag.weak ? UNMATCHABLE_TAG : weak(tag);
}

/** `If-None-Match` of a read compares weakly. */
function weak({ opaque }: Tag): string {
  return opaque === "*" ? UNMATCHABLE_TAG : possibleTag(opaque);
}

const NONE: Conditions = {};

/** Whether a request has any condition that a write honours or must refuse. (`Headers.has` reads all fields, `get` only one.) */
export function isConditional(headers: Headers): boolean {
  return headers.get("if-match") !== null || headers.get("if-none-match") !== null;
}

/** Conditions of a GET: `If-Match`, and `If-None-Match` with any tags. */
export function readConditions(headers: Headers): Conditions {
  const ifMatch = headers.get("if-match");
  const ifNoneMatch = headers.get("if-none-match");
  if (ifMatch === null && ifNoneMatch === null) return NONE;
  const none = ifNoneMatch === null ? undefined : parseTags("If-None-Match", ifNoneMatch);
  return {
    ...(ifMatch === null ? {} : { ifMatch: matchList(ifMatch) }),
    ...(none === undefined ? {} : { ifNoneMatch: none === "*" ? ["*"] : none.map(weak) }),
  };
}

/** Conditions of a PUT: `If-Match`, and `If-None-Match: *`. */
export function putConditions(headers: Headers): Conditions {
  refuseDate(headers);
  const ifMatch = headers.get("if-match");
  const ifNoneMatch = headers.get("if-none-match");
  if (ifMatch === null && ifNoneMatch === null) return NONE;
  if (ifNoneMatch !== null && parseTags("If-None-Match", ifNoneMatch) !== "*") {
    throw refuse("bad_request", "If-None-Match of a PUT takes only *; for anything else there is If-Match");
  }
  return {
    ...(ifMatch === null ? {} : { ifMatch: matchList(ifMatch) }),
    ...(ifNoneMatch === null ? {} : { ifNoneMatch: ["*"] }),
  };
}

/** Conditions of a PATCH or DELETE: `If-Match` only. */
export function changeConditions(method: string, headers: Headers): Conditions {
  refuseDate(headers);
  if (headers.get("if-none-match") !== null) {
    throw refuse("bad_request", `If-None-Match has no meaning for ${method}; there is If-Match`);
  }
  const ifMatch = headers.get("if-match");
  return ifMatch === null ? NONE : { ifMatch: matchList(ifMatch) };
}

function matchList(value: string): readonly string[] {
  const tags = parseTags("If-Match", value);
  return tags === "*" ? ["*"] : tags.map(strong);
}

/** A date has whole seconds, in which many writes can fall: whoever relies on it would not be protected. */
function refuseDate(headers: Headers): void {
  if (headers.get("if-unmodified-since") !== null) {
    throw refuse("bad_request", "If-Unmodified-Since is too coarse to protect a write; use If-Match");
  }
}
