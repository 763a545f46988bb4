/** `/api/login` and `/api/me`: a credential exchanged for a session token, and who the caller is. */
import { createNonce, signSession } from "../../../shared/crypto/tokens.ts";
import { ADMIN_BODY_BYTES_MAX, CLIENT_ID_BYTES_MAX, CREDENTIAL_BYTES_MAX } from "../../../shared/limits.ts";
import { failure } from "../../../shared/outcome.ts";
import type { Permission } from "../../control/control.ts";
import { auditedCaller, permits, type Principal } from "../auth.ts";
import { readJsonObject } from "./bodies.ts";
import { jsonContent, NO_CONTROL_PATTERN, ref } from "./components.ts";
import { refuse } from "./errors.ts";
import { onlyMembers, textMember } from "./members.ts";
import { failed, json } from "./reply.ts";
import { ANY_CREDENTIAL, type Call, clientHost, principalOf, PUBLIC, type RestDeps, type Route } from "./route.ts";

/** What a session of dev mode may do. */
const DEV_PERMISSIONS: readonly Permission[] = ["read", "write"];

function tooMany(seconds: number) {
  return failure("too_many_attempts", `Too many failed logins from this address; wait ${seconds} s`, {
    retryAfterS: seconds,
  });
}

/** The routes of sessions. */
export function sessionRoutes(deps: RestDeps): readonly Route[] {
  const { control, authenticator, clock, random, metrics, log } = deps;

  /** Signs a session and answers it. */
  function issue(call: Call, principal: Omit<Principal, "session" | "expiresAtMs">, endMs: number | null): Response {
    const { sessionKeys, adminKeyHash, clientTtlMs } = control.snapshot().credentials;
    const [key] = sessionKeys;
    if (key === undefined) throw new Error("there is no key to sign sessions with");
    const expiresAtMs = Math.min(clock.now() + clientTtlMs, endMs ?? Infinity);
    const { clientId, permissions } = principal;
    const source = principal.source === "api_key"
      ? { kind: "key" as const, apiKeyId: principal.apiKeyId! }
      : { kind: principal.source === "dev" ? "dev" as const : "admin" as const };
    const token = signSession(
      key,
      { clientId, source, permissions, expiresAtMs, nonce: createNonce(random) },
      adminKeyHash,
    );
    metrics.sessionIssued();
    log.audit("login", {
      request_id: call.requestId,
      address: clientHost(call.info),
      ...auditedCaller(principal),
      client_id: clientId,
    });
    return json(call, 200, {
      token,
      client_id: clientId,
      expires_at: new Date(expiresAtMs).toISOString(),
      permissions,
    });
  }

  async function login(call: Call): Promise<Response> {
    const waitS = control.loginBlocked(clientHost(call.info));
    if (waitS > 0) {
      metrics.credentialRefused();
      return failed(call, tooMany(waitS));
    }
    const body = await readJsonObject(call.request, ADMIN_BODY_BYTES_MAX, clock);
    onlyMembers(body, ["key", "client_id"]);
    const key = textMember(body, "key", CREDENTIAL_BYTES_MAX);
    const clientId = textMember(body, "client_id", CLIENT_ID_BYTES_MAX);
    if (key !== undefined) return withKey(call, key);
    if (clientId === undefined) throw refuse("bad_request", "key is missing");
    if (!authenticator.devMode) {
      throw refuse("bad_request", "Without a key one can log in only in dev mode, which is off: send key");
    }
    return issue(call, { clientId, permissions: DEV_PERMISSIONS, source: "dev" }, null);
  }

  function withKey(call: Call, key: string): Response {
    const principal = authenticator.credential(key);
    // A session is not a key: a chain of sessions would outlive the time that each was given.
    if (!("kind" in principal) && !principal.session) return issue(call, principal, principal.expiresAtMs);
    const waitS = control.loginFailed(clientHost(call.info));
    metrics.credentialRefused();
    log.audit("login_refused", {
      request_id: call.requestId,
      address: clientHost(call.info),
      blocked_seconds: waitS,
    });
    return failed(call, failure("unauthorized", "The key is not valid, has expired or was revoked"));
  }

  function me(call: Call): Response {
    const { clientId, permissions, schemas, expiresAtMs } = principalOf(call);
    return json(call, 200, {
      client_id: clientId,
      permissions,
      is_admin: permits(permissions, "admin"),
      schemas: schemas ?? null,
      expires_at: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    });
  }

  return [
    {
      method: "POST",
      path: "/api/login",
      access: PUBLIC,
      operation: "other",
      handle: login,
      describe: {
        operationId: "login",
        tag: "Session",
        summary: "Exchange a key for a session token",
        description:
          "`key` is the admin key or an API key; the session has its permissions and ends with it. Without " +
          "an admin key (dev mode), `client_id` alone gives a session with read and write.",
        requestBody: {
          required: true,
          content: jsonContent({
            type: "object",
            properties: {
              key: { type: "string", minLength: 1, maxLength: CREDENTIAL_BYTES_MAX, pattern: NO_CONTROL_PATTERN },
              client_id: { type: "string", minLength: 1, maxLength: CLIENT_ID_BYTES_MAX, pattern: NO_CONTROL_PATTERN },
            },
            ...(authenticator.devMode
              ? { anyOf: [{ required: ["key"] }, { required: ["client_id"] }] }
              : { required: ["key"] }),
            additionalProperties: false,
          }, { key: "the admin key or an API key" }),
        },
        responses: {
          "200": {
            description: "A session.",
            content: jsonContent(ref("Session"), {
              token: "ds_eyJjbGllbnRfaWQiOiJhZG1pbiJ9.c2lnbmF0dXJl",
              client_id: "admin",
              expires_at: "2026-02-01T12:00:00.000Z",
              permissions: ["read", "write", "admin"],
            }),
          },
        },
        errors: [
          "bad_json",
          "empty",
          "bad_request",
          "unauthorized",
          "too_large",
          "unsupported_media_type",
          "too_many_attempts",
        ],
      },
    },
    {
      method: "GET",
      path: "/api/me",
      access: ANY_CREDENTIAL,
      operation: "other",
      handle: me,
      describe: {
        operationId: "me",
        tag: "Session",
        summary: "Who the credential belongs to",
        responses: {
          "200": {
            description: "The caller.",
            content: jsonContent(ref("Me"), {
              client_id: "chat service",
              permissions: ["read", "write"],
              is_admin: false,
              schemas: ["chat.v1", "user*"],
              expires_at: null,
            }),
          },
        },
      },
    },
  ];
}
