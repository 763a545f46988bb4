/**
 * Session tokens, and the secrets that they are exchanged for. Everything here is synchronous: it runs for each request.
 *
 * A token is `ds_<payload>.<mac>`: the payload is JSON in base64url, the MAC is HMAC-SHA-256 over those very base64url
 * characters. The server keeps no list of sessions. A session ends by its time, with the API key that it came from, or
 * when the admin key that it came from is replaced.
 */
import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { CLIENT_ID_BYTES_MAX, CREDENTIAL_BYTES_MAX } from "../limits.ts";
import { type Random, randomHex } from "../seams/random.ts";

/** Session tokens begin with it. */
export const SESSION_TOKEN_PREFIX = "ds_";
/** Secrets of API keys begin with it. */
export const API_KEY_PREFIX = "dk_";

/** What a session may be allowed; see the REST contract. */
export type SessionPermission = "read" | "write" | "admin";

/** Which credential a session was exchanged for. */
export type SessionSource =
  | { readonly kind: "admin" }
  | { readonly kind: "dev" }
  | { readonly kind: "key"; readonly apiKeyId: string };

/** What a session token says. */
export interface SessionClaims {
  readonly clientId: string;
  readonly source: SessionSource;
  readonly permissions: readonly SessionPermission[];
  /** Milliseconds since the epoch; from then on the token is no longer good. */
  readonly expiresAtMs: number;
  /** Random, so that no two sessions share a token. */
  readonly nonce: string;
}

/** Claims that do not fit into a token. */
export class SessionError extends Error {
  override name = "SessionError";
}

/**
 * What became of a token. `malformed`: not one of ours by its form. `forged`: not signed with any of the keys.
 * `expired`: its time is over. `revoked`: the admin key was replaced, or dev mode is off, or on, since it was issued.
 */
export type VerifiedSession =
  | { readonly kind: "valid"; readonly claims: SessionClaims }
  | { readonly kind: "refused"; readonly reason: "malformed" | "forged" | "expired" | "revoked" };

/** The payload as it travels. */
interface Payload {
  readonly client_id: string;
  readonly source: SessionSource["kind"];
  /** With source `key`: id of the API key. */
  readonly key_id?: string;
  /** With source `admin`: fingerprint of the admin key. */
  readonly admin_key?: string;
  readonly permissions: readonly SessionPermission[];
  readonly expires_at: number;
  readonly nonce: string;
}

const TOKEN = /^ds_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/;
const NONCE_BYTES = 16;
const FINGERPRINT_BYTES = 8;
const PERMISSIONS: ReadonlySet<unknown> = new Set<SessionPermission>(["read", "write", "admin"]);

/** A nonce for {@linkcode SessionClaims}: 32 hex digits. */
export function createNonce(random: Random): string {
  return randomHex(random, NONCE_BYTES);
}

/** The secret of a new API key: `dk_` and 64 hex digits. */
export function createApiKeySecret(random: Random): string {
  return API_KEY_PREFIX + randomHex(random, 32);
}

/** Hex SHA-256 of a secret's UTF-8: the form in which secrets are stored, compared and looked up. */
export function secretHash(secret: string): string {
  return createHash("sha256").update(secret, "utf8").digest("hex");
}

/** Whether two values of {@linkcode secretHash} are the same, in a time that does not depend on where they differ. */
export function sameSecret(aHash: string, bHash: string): boolean {
  const a = Buffer.from(aHash, "utf8");
  const b = Buffer.from(bHash, "utf8");
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * A session token, signed with a key of `sessionTokenKey`. `adminKeyHash` is that of the admin key in force, `null` in
 * dev mode: a session of source `admin` dies when it changes, one of source `dev` when there is one.
 * @throws {SessionError} when the claims break a bound, or their source is not possible with this admin key.
 */
export function signSession(key: Uint8Array, claims: SessionClaims, adminKeyHash: string | null): string {
  const clientBytes = Buffer.byteLength(claims.clientId, "utf8");
  if (clientBytes > CLIENT_ID_BYTES_MAX) {
    throw new SessionError(`the client id has ${clientBytes} bytes; ${CLIENT_ID_BYTES_MAX} are allowed`);
  }
  const payload: Payload = {
    client_id: claims.clientId,
    source: claims.source.kind,
    ...(claims.source.kind === "key" ? { key_id: claims.source.apiKeyId } : {}),
    ...(claims.source.kind === "admin" ? { admin_key: fingerprint(key, adminKeyHash) } : {}),
    permissions: claims.permissions,
    expires_at: claims.expiresAtMs,
    nonce: claims.nonce,
  };
  if (isRevoked(payload, key, adminKeyHash)) {
    throw new SessionError(`no session of source "${payload.source}" can be issued with this admin key`);
  }
  if (parsePayload(payload) === undefined) throw new SessionError("the claims of the session are not valid");
  const text = Buffer.from(JSON.stringify(payload), "utf8").toString("base64url");
  const token = `${SESSION_TOKEN_PREFIX}${text}.${mac(key, text)}`;
  if (token.length > CREDENTIAL_BYTES_MAX) {
    throw new SessionError(`the session token has ${token.length} bytes; ${CREDENTIAL_BYTES_MAX} are allowed`);
  }
  return token;
}

/**
 * Checks a token at `nowMs`, against the keys in force and the admin key in force (`null`: dev mode). Whether the API
 * key behind a session of source `key` still exists is the caller's to look up. Never throws, whatever the token is.
 */
export function verifySession(
  keys: readonly Uint8Array[],
  token: string,
  nowMs: number,
  adminKeyHash: string | null,
): VerifiedSession {
  const match = token.length <= CREDENTIAL_BYTES_MAX ? TOKEN.exec(token) : null;
  if (match === null) return { kind: "refused", reason: "malformed" };
  const [, text, given] = match as unknown as [string, string, string];
  const key = keys.find((candidate) => sameSecret(mac(candidate, text), given));
  if (key === undefined) return { kind: "refused", reason: "forged" };
  let payload: unknown;
  try {
    payload = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    return { kind: "refused", reason: "malformed" };
  }
  const claims = parsePayload(payload);
  if (claims === undefined) return { kind: "refused", reason: "malformed" };
  if (nowMs >= claims.expiresAtMs) return { kind: "refused", reason: "expired" };
  if (isRevoked(payload as Payload, key, adminKeyHash)) return { kind: "refused", reason: "revoked" };
  return { kind: "valid", claims };
}

function mac(key: Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text, "ascii").digest("base64url");
}

/**
 * A mark of the admin key that only the holder of the session key can compute: it travels inside the token, and a
 * plain hash there would let whoever sees one try out admin keys at leisure. The colon, which base64url does not have,
 * keeps it from being the MAC of any token.
 */
function fingerprint(key: Uint8Array, adminKeyHash: string | null): string {
  return createHmac("sha256", key).update(`admin-key:${adminKeyHash}`, "utf8").digest("hex")
    .slice(0, FINGERPRINT_BYTES * 2);
}

function isRevoked({ source, admin_key }: Payload, key: Uint8Array, adminKeyHash: string | null): boolean {
  if (source === "dev") return adminKeyHash !== null;
  if (source === "admin") return adminKeyHash === null || !sameSecret(admin_key ?? "", fingerprint(key, adminKeyHash));
  return false;
}

/** The claims of a payload, or `undefined` when it is not one. */
function parsePayload(value: unknown): SessionClaims | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { client_id, source, key_id, permissions, expires_at, nonce } = value as Record<string, unknown>;
  if (typeof client_id !== "string" || typeof nonce !== "string" || !Number.isSafeInteger(expires_at)) return undefined;
  if (!Array.isArray(permissions) || !permissions.every((permission) => PERMISSIONS.has(permission))) return undefined;
  const parsed = parseSource(source, key_id);
  return parsed && { clientId: client_id, source: parsed, permissions, expiresAtMs: expires_at as number, nonce };
}

function parseSource(source: unknown, keyId: unknown): SessionSource | undefined {
  if (source === "admin" || source === "dev") return { kind: source };
  return source === "key" && typeof keyId === "string" && keyId !== "" ? { kind: "key", apiKeyId: keyId } : undefined;
}
