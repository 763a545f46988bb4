/** Conditional requests (RFC 9110, section 13) against the current version of an entity, as values. */
import { ETAG_BYTES_MAX } from "./limits.ts";

/** What no entity's ETag equals: a tag that cannot match stays in its list as this, and does not. */
export const UNMATCHABLE_TAG = '""';

/** Tags that an entity could have. */
const POSSIBLE_TAG = new RegExp(`^[\\x21-\\x7e]{1,${ETAG_BYTES_MAX}}$`);

/** A client's tag as it goes further: one that no entity can have goes as one that none has, because its form is relied on. */
export function possibleTag(tag: string): string {
  return POSSIBLE_TAG.test(tag) ? tag : UNMATCHABLE_TAG;
}

/** Whether `If-Match` holds: one of the ETags is the current one, or `*` and there is one. Absent conditions hold. */
export function ifMatchHolds(ifMatch: readonly string[] | undefined, etag: string | undefined): boolean {
  if (ifMatch === undefined) return true;
  return etag !== undefined && (ifMatch.includes(etag) || ifMatch.includes("*"));
}

/** Whether `If-None-Match` holds: none of the ETags is the current one, and with `*` there is none at all. */
export function ifNoneMatchHolds(ifNoneMatch: readonly string[] | undefined, etag: string | undefined): boolean {
  if (ifNoneMatch === undefined || etag === undefined) return true;
  return !ifNoneMatch.includes(etag) && !ifNoneMatch.includes("*");
}
