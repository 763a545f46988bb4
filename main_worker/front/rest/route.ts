/** What a route is: method, path, permission, description and handler in one value, from which router and OpenAPI are made. */
import type { Logger } from "../../../shared/logging/logger.ts";
import type { SchemaId } from "../../../shared/names.ts";
import type { ErrorCode } from "../../../shared/outcome.ts";
import { plainHost } from "../../../shared/process/every_address.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import type { Random } from "../../../shared/seams/random.ts";
import type { Control, Permission } from "../../control/control.ts";
import type { Authenticator, Principal } from "../auth.ts";
import type { EntityService } from "../entities.ts";
import type { AdminOperations } from "./admin_operations.ts";
import type { Readiness } from "./health.ts";
import type { Parameter, RequestBody, ResponseObject } from "./openapi_types.ts";
import type { Answering } from "./reply.ts";
import type { RequestStatistics, StatisticsSink } from "./statistics.ts";
import type { OperationName } from "./stats.ts";
import type { UiAssets } from "./ui.ts";

/** What the door counts for Prometheus. */
export interface RestMetrics {
  /** A request was answered. Called once for each. */
  request(operation: OperationName, status: number, seconds: number): void;
  /** A credential was refused (401, 403 or 429). */
  credentialRefused(): void;
  /** A session token was issued. */
  sessionIssued(): void;
  /** Number of open watches. */
  watchers(count: number): void;
}

/** What the REST door is built from. */
export interface RestDeps {
  readonly entities: EntityService;
  readonly control: Control;
  readonly authenticator: Authenticator;
  readonly admin: AdminOperations;
  readonly statistics: RequestStatistics;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: RestMetrics;
  /** Counts an administrative action by what it ended in; both come from sets that the code bounds. */
  readonly countAction: (action: string, result: string) => void;
  /** Largest body of an entity request in bytes (`-rest-max-body-size`). */
  readonly bodyBytesMax: number;
  /** Front threads of the process, which share what bodies and large answers may take of its memory. */
  readonly threads: number;
  readonly version: string;
  readonly ui: UiAssets;
  /** Whether the server can do its work now. */
  readonly ready: () => Promise<Readiness>;
  /** Aborted when the server shuts down: streams that would go on for ever end. */
  readonly stopping: AbortSignal;
}

/** What the routes of entities, and the app around them, are built from: all that a front thread has. */
export type EntityDeps =
  & Pick<
    RestDeps,
    "entities" | "authenticator" | "clock" | "random" | "log" | "metrics" | "bodyBytesMax" | "threads" | "stopping"
  >
  & { readonly control: Pick<Control, "subscribe">; readonly statistics: StatisticsSink };

/**
 * What is looked at of a request, as the client sent it. A `Request` that is made anew would refuse methods such as TRACE and
 * hosts that are none, and change paths.
 */
export type RestRequest = Pick<Request, "method" | "url" | "headers" | "body">;

/** What the server knows of a connection. */
export interface ConnectionInfo {
  /** The client's host, without a port. Looked up when it is asked for. */
  readonly remoteAddr: { readonly hostname: string };
}

/** The client's address. */
export function clientHost({ remoteAddr }: ConnectionInfo): string {
  return plainHost(remoteAddr.hostname);
}

/** One request on its way to its handler. */
export interface Call extends Answering {
  readonly request: RestRequest;
  /** Where the connection came from. */
  readonly info: ConnectionInfo;
  /** Not decoded, without the question mark. */
  readonly query: string;
  /** Path segments that stand for a parameter, not decoded, in the order of the template. */
  readonly segments: readonly string[];
  /** The caller; `undefined` on a public route without a valid credential. */
  readonly principal: Principal | undefined;
  /** Of a route whose path has `{schema_id}`: checked, and the caller may use it. */
  readonly schemaId: SchemaId | undefined;
}

/** Who may call a route. `public_in_dev`: a permission, but nobody is asked for it in dev mode. */
export type Access =
  | { readonly kind: "public" }
  | { readonly kind: "permission"; readonly permission: Permission; readonly publicInDev?: true }
  /** Any valid credential. */
  | { readonly kind: "credential" };

/** A description in the terms of OpenAPI; what all routes share is added by `openapi.ts`. */
export interface Description {
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: RequestBody;
  /** Answers that are no errors, by status. */
  readonly responses: Readonly<Record<string, ResponseObject>>;
  /** Error codes that this route can answer, beside those that any route with its access can. */
  readonly errors?: readonly ErrorCode[];
}

/** A method on a path. */
export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** OpenAPI template: `/entity/{schema_id}`. A parameter is a whole segment. */
  readonly path: string;
  readonly access: Access;
  /** What it is counted under. */
  readonly operation: OperationName | ((call: { readonly query: string }) => OperationName);
  readonly describe: Description;
  readonly handle: (call: Call) => Response | Promise<Response>;
}

export const PUBLIC: Access = { kind: "public" };
export const ANY_CREDENTIAL: Access = { kind: "credential" };
export const READ: Access = { kind: "permission", permission: "read" };
export const READ_OR_DEV: Access = { kind: "permission", permission: "read", publicInDev: true };
export const WRITE: Access = { kind: "permission", permission: "write" };
export const ADMIN: Access = { kind: "permission", permission: "admin" };

/** The schema id of a call on a route that has one. */
export function schemaIdOfCall(call: Call): SchemaId {
  if (call.schemaId === undefined) throw new Error("the route has no schema id");
  return call.schemaId;
}

/** The caller of a route that needs one. */
export function principalOf(call: Call): Principal {
  if (call.principal === undefined) throw new Error("the route is public");
  return call.principal;
}
