/** `/api/keys`: creating, listing and revoking API keys. */
import { parseDuration, ValueError } from "../../../shared/config/values.ts";
import { ADMIN_BODY_BYTES_MAX, API_KEY_NAME_BYTES_MAX, API_KEY_SCHEMAS_MAX } from "../../../shared/limits.ts";
import { NameError, parseSchemaId } from "../../../shared/names.ts";
import { failure } from "../../../shared/outcome.ts";
import type { ApiKey, NewApiKey, Permission } from "../../control/control.ts";
import { auditCall } from "./audit.ts";
import { readJsonObject } from "./bodies.ts";
import { jsonContent, ref } from "./components.ts";
import { refuse } from "./errors.ts";
import { onlyMembers, textMember } from "./members.ts";
import { failed, json } from "./reply.ts";
import { ADMIN, type Call, type RestDeps, type Route } from "./route.ts";

const PERMISSIONS: readonly Permission[] = ["read", "write", "admin"];

/** What a client asks for. @throws {Refusal} `bad_request` */
export function parseNewKey(body: Readonly<Record<string, unknown>>): NewApiKey {
  onlyMembers(body, ["name", "permissions", "schemas", "expires_in"]);
  const name = textMember(body, "name", API_KEY_NAME_BYTES_MAX);
  if (name === undefined) throw refuse("bad_request", "name is missing");
  const schemas = parsePatterns(body.schemas);
  const expiresInMs = parseExpiry(body.expires_in);
  return {
    name,
    permissions: parsePermissions(body.permissions),
    ...(schemas === undefined ? {} : { schemas }),
    ...(expiresInMs === undefined ? {} : { expiresInMs }),
  };
}

function parsePermissions(value: unknown): readonly Permission[] {
  if (!Array.isArray(value) || value.length === 0 || value.some((item) => !PERMISSIONS.includes(item))) {
    throw refuse("bad_request", `permissions must be an array of one or more of ${PERMISSIONS.join(", ")}`);
  }
  if (new Set(value).size !== value.length) throw refuse("bad_request", "permissions names one twice");
  return PERMISSIONS.filter((permission) => value.includes(permission));
}

function parsePatterns(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length === 0 || value.length > API_KEY_SCHEMAS_MAX) {
    throw refuse("bad_request", `schemas must be an array of 1 to ${API_KEY_SCHEMAS_MAX} schema ids`);
  }
  return value.map((pattern: unknown) => {
    if (typeof pattern !== "string") throw refuse("bad_request", "schemas must be an array of texts");
    if (/\*./s.test(pattern)) throw refuse("bad_request", "a * in schemas stands only at the end of an entry");
    try {
      parseSchemaId(pattern);
    } catch (error) {
      if (!(error instanceof NameError)) throw error;
      throw refuse("bad_request", `schemas has an entry that is no schema id: ${error.message}`);
    }
    return pattern;
  });
}

function parseExpiry(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  try {
    const ms = typeof value === "string" ? parseDuration(value) : 0;
    if (ms > 0) return ms;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
  }
  throw refuse("bad_request", "expires_in must be a duration such as 90s, 1h30m, 24h or 7d, longer than 0");
}

function rfc3339(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : new Date(ms).toISOString();
}

/** The routes of API keys. */
export function keyRoutes(deps: RestDeps): readonly Route[] {
  const { control, clock, authenticator } = deps;

  async function create(call: Call): Promise<Response> {
    const wanted = parseNewKey(await readJsonObject(call.request, ADMIN_BODY_BYTES_MAX, clock));
    const changed = await control.createApiKey(wanted);
    if (changed.kind === "failed") {
      auditCall(deps, call, "api_key_create", changed.code);
      return failed(call, changed);
    }
    const { key, secret } = changed.value;
    auditCall(deps, call, "api_key_create", "ok", {
      created_id: key.id,
      permissions: key.permissions,
      schemas: key.schemas ?? null,
      expires_at: rfc3339(key.expiresAtMs),
    });
    return json(call, 201, {
      id: key.id,
      name: key.name,
      secret,
      permissions: key.permissions,
      schemas: key.schemas ?? null,
      expires_at: rfc3339(key.expiresAtMs),
      created_at: rfc3339(key.createdAtMs),
    });
  }

  function list(call: Call): Response {
    const view = (key: ApiKey) => ({
      id: key.id,
      name: key.name,
      permissions: key.permissions,
      schemas: key.schemas ?? null,
      created_at: rfc3339(key.createdAtMs),
      expires_at: rfc3339(key.expiresAtMs),
      last_used_at: rfc3339(authenticator.lastUsedMs(key.id)),
    });
    return json(call, 200, control.snapshot().credentials.apiKeys.map(view));
  }

  async function revoke(call: Call): Promise<Response> {
    let id: string;
    try {
      id = decodeURIComponent(call.segments[0] ?? "");
    } catch {
      return failed(call, NO_KEY);
    }
    const changed = await control.revokeApiKey(id);
    if (changed.kind === "failed") {
      auditCall(deps, call, "api_key_revoke", changed.code);
      return failed(call, changed);
    }
    if (!changed.value.existed) return failed(call, NO_KEY);
    auditCall(deps, call, "api_key_revoke", "ok", { revoked_id: id });
    return json(call, 200, { status: "ok" });
  }

  return [
    {
      method: "POST",
      path: "/api/keys",
      access: ADMIN,
      operation: "admin",
      handle: create,
      describe: {
        operationId: "createKey",
        tag: "Keys",
        summary: "Create an API key",
        description: "The secret is in this answer and cannot be read again. `admin` includes `read` and `write`. A " +
          "key with `schemas` may do nothing that concerns the whole server, whatever its permissions.",
        requestBody: {
          required: true,
          content: jsonContent(ref("ApiKeyRequest"), {
            name: "chat service",
            permissions: ["read", "write"],
            schemas: ["chat.v1", "user*"],
            expires_in: "7d",
          }),
        },
        responses: {
          "201": {
            description: "Created and durable.",
            content: jsonContent(ref("CreatedApiKey"), {
              id: "6f1d2c3b4a596877",
              name: "chat service",
              secret: `dk_${"0123456789abcdef".repeat(4)}`,
              permissions: ["read", "write"],
              schemas: ["chat.v1", "user*"],
              expires_at: "2026-02-07T12:00:00.000Z",
              created_at: "2026-01-31T12:00:00.000Z",
            }),
          },
        },
        errors: ["bad_json", "empty", "too_large", "unsupported_media_type"],
      },
    },
    {
      method: "GET",
      path: "/api/keys",
      access: ADMIN,
      operation: "admin",
      handle: list,
      describe: {
        operationId: "listKeys",
        tag: "Keys",
        summary: "List the API keys",
        description: "Without their secrets, which the server does not have.",
        responses: {
          "200": { description: "All keys.", content: jsonContent({ type: "array", items: ref("ApiKey") }) },
        },
      },
    },
    {
      method: "DELETE",
      path: "/api/keys/{key_id}",
      access: ADMIN,
      operation: "admin",
      handle: revoke,
      describe: {
        operationId: "revokeKey",
        tag: "Keys",
        summary: "Revoke an API key",
        description: "When this has answered, the key and every session and watch of it are over.",
        parameters: [{
          name: "key_id",
          in: "path",
          required: true,
          description: "The `id` of the key.",
          schema: { type: "string", minLength: 1 },
          example: "6f1d2c3b4a596877",
        }],
        responses: { "200": { description: "Revoked.", content: jsonContent(ref("Ok"), { status: "ok" }) } },
        errors: ["not_found"],
      },
    },
  ];
}

const NO_KEY = failure("not_found", "There is no API key with this id");
