/** Conditional requests (RFC 9110, section 13) against the current version of an entity, as values. */

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
