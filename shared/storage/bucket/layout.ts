/** Which object of the bucket is what. Everything of a store lies under these names; other objects are left alone. */
import type { EntityName } from "../../names.ts";

/** Format, id and partition count of the store. */
export const MANIFEST_KEY = "manifest.json";
/** The lease of the main worker. */
export const LEASE_KEY = "locks/main";
/** Objects that the probe writes and removes. */
export const PROBE_PREFIX = "locks/probe-";
export const FILES_PREFIX = "files/";
export const TEMPLATES_PREFIX = "templates/";
export const AUTH_PREFIX = "_auth/";

export const ENVELOPE_SUFFIX = ".json.enc";
const META_SUFFIX = ".meta.json";

/** The object that holds an entity's envelope. */
export function envelopeKey(name: string): string {
  return `${FILES_PREFIX}${name}${ENVELOPE_SUFFIX}`;
}

/** The object that describes an entity to people and tools. */
export function metaKey(name: string): string {
  return `${FILES_PREFIX}${name}${META_SUFFIX}`;
}

/** What lies under a key of `files/`; `undefined` for what the product did not put there. */
export function parseFileKey(
  key: string,
): { readonly kind: "envelope" | "meta"; readonly name: EntityName } | undefined {
  if (!key.startsWith(FILES_PREFIX)) return undefined;
  const kind = key.endsWith(ENVELOPE_SUFFIX) ? "envelope" : key.endsWith(META_SUFFIX) ? "meta" : undefined;
  if (kind === undefined) return undefined;
  const suffix = kind === "envelope" ? ENVELOPE_SUFFIX : META_SUFFIX;
  const name = key.slice(FILES_PREFIX.length, -suffix.length);
  return { kind, name: name as EntityName };
}
