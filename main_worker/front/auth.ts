/** Who calls, and what they may do: credentials are verified against control's snapshot, and permissions checked here only. */
import { LRUCache } from "lru-cache";
import { sameSecret, secretHash, verifySession } from "../../shared/crypto/tokens.ts";
import { CREDENTIAL_BYTES_MAX, VERIFIED_TOKENS_MAX } from "../../shared/limits.ts";
import type { LogFields } from "../../shared/logging/logger.ts";
import type { SchemaId } from "../../shared/names.ts";
import { type Failure, failure } from "../../shared/outcome.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { ApiKey, Credentials, Permission } from "../control/control.ts";

/** A caller whose credential was verified. */
export interface Principal {
  /** `admin`, the name of the API key, or what the client called itself in dev mode. */
  readonly clientId: string;
  readonly permissions: readonly Permission[];
  /** Patterns of schema ids that it is confined to, `*` at the end matches any rest; absent: all schemas. */
  readonly schemas?: readonly string[];
  /** What the credential goes back to. */
  readonly source: "admin_key" | "api_key" | "dev";
  /** Id of the API key, with source `api_key`. */
  readonly apiKeyId?: string;
  /** Whether it came with a session token. */
  readonly session: boolean;
  /** Milliseconds since the epoch from which the credential is no longer good; `null`: never. */
  readonly expiresAtMs: number | null;
}

/** Permissions of the admin key. */
const EVERYTHING: readonly Permission[] = Object.freeze(["read", "write", "admin"] as const);

const MISSING = failure("unauthorized", "A credential is needed: Authorization: Bearer <credential>");
const MALFORMED = failure("unauthorized", "The Authorization header is not of the form: Bearer <credential>");
const UNKNOWN = failure("unauthorized", "The credential is not valid, has expired or was revoked");

/** What the audit log says of a caller. */
export function auditedCaller(
  { clientId, source, apiKeyId }: Pick<Principal, "clientId" | "source" | "apiKeyId">,
): LogFields {
  return { client_id: clientId, source, ...(apiKeyId === undefined ? {} : { api_key_id: apiKeyId }) };
}

/** Whether these permissions include one; `admin` includes all. */
export function permits(permissions: readonly Permission[], permission: Permission): boolean {
  return permissions.includes(permission) || permissions.includes("admin");
}

/** Whether a caller may see anything of a schema. */
export function allowsSchema(principal: Principal, schemaId: string): boolean {
  return principal.schemas === undefined || principal.schemas.some((pattern) => matchesPattern(pattern, schemaId));
}

/** Whether a pattern names a schema id: it is that id, or ends in `*` and begins it. */
export function matchesPattern(pattern: string, schemaId: string): boolean {
  return pattern.endsWith("*") ? schemaId.startsWith(pattern.slice(0, -1)) : pattern === schemaId;
}

/**
 * Whether a caller may do something that needs `permission`, on a schema where one is concerned. `undefined`: yes.
 * What needs `admin` and concerns no schema concerns all of them, so a confined caller may not do it.
 */
export function authorize(principal: Principal, permission: Permission, schemaId?: SchemaId): Failure | undefined {
  if (!permits(principal.permissions, permission)) {
    return failure("forbidden", `This needs the permission ${permission}, which the credential does not have`);
  }
  if (schemaId !== undefined && !allowsSchema(principal, schemaId)) {
    return failure("forbidden", "The credential is confined to other schemas");
  }
  if (schemaId === undefined && permission === "admin" && principal.schemas !== undefined) {
    return failure("forbidden", "This concerns the whole server, and the credential is confined to some schemas");
  }
  return undefined;
}

/** A verified caller, and where the last use of its API key is noted. */
interface Verified {
  readonly principal: Principal;
  readonly use: { lastMs: number } | undefined;
}

/** Verifies credentials. Remembers the good ones until control's credentials change; bad ones are never remembered. */
export class Authenticator {
  readonly #clock: Clock;
  readonly #credentials: () => Credentials;
  /**
   * By the whole header field. Looking a secret up in a hash table compares it only with one whose (seeded) hash is the
   * same, so that the time of a miss says nothing about how much of it was right.
   */
  readonly #verified = new LRUCache<string, Verified>({ max: VERIFIED_TOKENS_MAX });
  #known: Credentials | undefined;
  #keysByHash: ReadonlyMap<string, ApiKey> = new Map();
  #keysById: ReadonlyMap<string, ApiKey> = new Map();
  #uses = new Map<string, { lastMs: number }>();

  /** @param credentials the credentials in force; asked at each call, cheap. */
  constructor(clock: Clock, credentials: () => Credentials) {
    this.#clock = clock;
    this.#credentials = credentials;
  }

  /** The caller that an `Authorization` header field names. */
  authenticate(header: string | null): Principal | Failure {
    if (header === null) return MISSING;
    const credentials = this.#refresh();
    const nowMs = this.#clock.now();
    let verified = this.#verified.get(header);
    if (verified === undefined || isOver(verified.principal, nowMs)) {
      const token = bearerToken(header);
      if (token === undefined) return MALFORMED;
      verified = this.#verify(credentials, token, nowMs);
      if (verified === undefined) return UNKNOWN;
      this.#verified.set(header, verified);
    }
    if (verified.use !== undefined) verified.use.lastMs = nowMs;
    return verified.principal;
  }

  /** The caller that a credential belongs to, without the header around it (gRPC, login). Empty: there is none. */
  credential(token: string): Principal | Failure {
    return this.authenticate(token === "" ? null : `Bearer ${token}`);
  }

  /** Whether the server runs without an admin key. */
  get devMode(): boolean {
    return this.#credentials().adminKeyHash === null;
  }

  /** When an API key, or a session of it, was last used here, in milliseconds since the epoch; `undefined`: not since the start. */
  lastUsedMs(apiKeyId: string): number | undefined {
    const lastMs = this.#uses.get(apiKeyId)?.lastMs;
    return lastMs === undefined || lastMs < 0 ? undefined : lastMs;
  }

  /** Notes a use of an API key that a front thread has seen. */
  noteUse(apiKeyId: string, lastMs: number): void {
    this.#refresh();
    const use = this.#uses.get(apiKeyId);
    if (use !== undefined && use.lastMs < lastMs) use.lastMs = lastMs;
  }

  #refresh(): Credentials {
    const credentials = this.#credentials();
    if (credentials !== this.#known) {
      this.#verified.clear();
      this.#keysByHash = new Map(credentials.apiKeys.map((key) => [key.hash, key]));
      this.#keysById = new Map(credentials.apiKeys.map((key) => [key.id, key]));
      const uses = new Map<string, { lastMs: number }>();
      for (const { id } of credentials.apiKeys) uses.set(id, this.#uses.get(id) ?? { lastMs: -1 });
      this.#uses = uses;
      this.#known = credentials;
    }
    return credentials;
  }

  #verify(credentials: Credentials, token: string, nowMs: number): Verified | undefined {
    const hash = secretHash(token);
    if (credentials.adminKeyHash !== null && sameSecret(hash, credentials.adminKeyHash)) {
      return { principal: adminPrincipal(false, null), use: undefined };
    }
    const key = this.#keysByHash.get(hash);
    if (key !== undefined) return this.#ofKey(key, false, key.expiresAtMs, nowMs);

    const session = verifySession(credentials.sessionKeys, token, nowMs, credentials.adminKeyHash);
    if (session.kind !== "valid") return undefined;
    const { claims } = session;
    switch (claims.source.kind) {
      case "admin":
        return { principal: adminPrincipal(true, claims.expiresAtMs), use: undefined };
      case "dev":
        return {
          principal: {
            clientId: claims.clientId,
            permissions: claims.permissions,
            source: "dev",
            session: true,
            expiresAtMs: claims.expiresAtMs,
          },
          use: undefined,
        };
      case "key": {
        const from = this.#keysById.get(claims.source.apiKeyId);
        if (from === undefined) return undefined;
        return this.#ofKey(from, true, Math.min(claims.expiresAtMs, from.expiresAtMs ?? Infinity), nowMs);
      }
    }
  }

  #ofKey(key: ApiKey, session: boolean, expiresAtMs: number | null, nowMs: number): Verified | undefined {
    const principal: Principal = {
      clientId: key.name,
      permissions: key.permissions,
      ...(key.schemas === undefined ? {} : { schemas: key.schemas }),
      source: "api_key",
      apiKeyId: key.id,
      session,
      expiresAtMs,
    };
    return isOver(principal, nowMs) ? undefined : { principal, use: this.#uses.get(key.id) };
  }
}

function adminPrincipal(session: boolean, expiresAtMs: number | null): Principal {
  return { clientId: "admin", permissions: EVERYTHING, source: "admin_key", session, expiresAtMs };
}

function isOver(principal: Principal, nowMs: number): boolean {
  return principal.expiresAtMs !== null && nowMs >= principal.expiresAtMs;
}

/** The credential of a header field, `undefined` when it is not a Bearer one (RFC 6750, any visible ASCII). */
function bearerToken(header: string): string | undefined {
  if (header.length > CREDENTIAL_BYTES_MAX + 16) return undefined;
  const match = /^bearer +([\x21-\x7e]+) *$/i.exec(header);
  return match === null || match[1]!.length > CREDENTIAL_BYTES_MAX ? undefined : match[1];
}
