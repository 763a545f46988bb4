/** The REST door: finds the route of a request, checks who calls, runs the handler and answers, whatever happens. */
import { RegExpRouter } from "hono/router/reg-exp-router";
import { BODIES_ARRIVING_BYTES_MAX, REQUEST_ID_BYTES_MAX } from "../../../shared/limits.ts";
import { BoundedAudit } from "../../../shared/logging/bounded_audit.ts";
import type { SchemaId } from "../../../shared/names.ts";
import { type Failure, failure } from "../../../shared/outcome.ts";
import { type Random, randomHex } from "../../../shared/seams/random.ts";
import { authorize, type Principal } from "../auth.ts";
import { boundArrivingBodies } from "./arriving_bodies.ts";
import { INTERNAL, Refusal } from "./errors.ts";
import { schemaIdIn, splitTarget, type Target } from "./query.ts";
import { type Answering, failed, reply } from "./reply.ts";
import { RefusedBodies } from "./refused_bodies.ts";
import {
  clientHost,
  type ConnectionInfo,
  type EntityDeps,
  type RestDeps,
  type RestRequest,
  type Route,
} from "./route.ts";
import { createEntityRoutes, createRoutes } from "./routes.ts";
import { uiResponse } from "./ui.ts";

/** The door. */
export interface RestApp {
  /** Answers a request; never rejects. `request.url` is taken as the client sent it, not normalised. */
  fetch(request: RestRequest, info: ConnectionInfo): Response | Promise<Response>;
  /** Everything that it answers, for tests and for the description. */
  readonly routes: readonly Route[];
}

/** What travels through the router. */
interface Passing extends Answering {
  readonly info: ConnectionInfo;
  readonly target: Target;
  readonly startedMs: number;
}

/** Ids for requests: unique to a start of the process by their first half, within it by the second. */
class RequestIds {
  readonly #prefix: string;
  #last = 0;

  constructor(random: Random) {
    this.#prefix = randomHex(random, 6);
  }

  /** The client's own id when it is well-formed, otherwise a new one. */
  of(request: RestRequest): string {
    const given = request.headers.get("x-request-id");
    return given !== null && WELL_FORMED_ID.test(given) ? given : `${this.#prefix}-${(++this.#last).toString(36)}`;
  }
}

const WELL_FORMED_ID = new RegExp(`^[A-Za-z0-9._-]{1,${REQUEST_ID_BYTES_MAX}}$`);

/** Which segments of a template stand for a parameter. */
function parameterIndexes(template: string): readonly number[] {
  return template.split("/").flatMap((segment, index) => segment.startsWith("{") ? [index] : []);
}

/** A route with what is worked out once. */
interface Prepared {
  readonly route: Route;
  readonly indexes: readonly number[];
  readonly hasSchemaId: boolean;
}

/** What becomes of a request that no route is for. */
type Elsewhere = (request: RestRequest, info: ConnectionInfo) => Promise<Response>;

/** Builds the door. */
export function createRestApp(deps: RestDeps): RestApp {
  return createApp(
    deps,
    createRoutes(deps),
    (request, passing) => uiResponse(deps.ui, passing, request, passing.target.path),
  );
}

/** Builds the door of a front thread: it answers requests for entities, and hands the others on. */
export function createEntityApp(
  deps: EntityDeps,
  { listings, elsewhere }: { readonly listings: boolean; readonly elsewhere: Elsewhere },
): RestApp {
  const routes = createEntityRoutes(deps, listings);
  const app = createApp(deps, routes, () => undefined);
  const own = new RegExpRouter<true>();
  for (const { path } of routes) own.add("ALL", routerPath(path), true);
  return {
    routes,
    fetch(request, info) {
      const { path } = splitTarget(request.url);
      return own.match("ALL", path)[0].length > 0 ? app.fetch(request, info) : elsewhere(request, info);
    },
  };
}

function createApp(
  deps: EntityDeps,
  routes: readonly Route[],
  page: (request: RestRequest, passing: Passing) => Response | undefined,
): RestApp {
  const { authenticator, statistics, metrics, clock, log } = deps;
  boundArrivingBodies(clock, BODIES_ARRIVING_BYTES_MAX / deps.threads);
  const ids = new RequestIds(deps.random);
  const refusals = new BoundedAudit(log, clock);
  const refusedBodies = new RefusedBodies(clock);

  /** Who calls; a refusal when the route needs somebody else. */
  function admit(route: Route, request: RestRequest): Principal | Failure | undefined {
    const { access } = route;
    if (access.kind === "public") return undefined;
    const principal = authenticator.authenticate(request.headers.get("authorization"));
    if (access.kind === "permission" && access.publicInDev && "kind" in principal && authenticator.devMode) {
      return undefined;
    }
    return principal;
  }

  function respond(prepared: Prepared, request: RestRequest, passing: Passing): Response | Promise<Response> {
    const { route, indexes, hasSchemaId } = prepared;
    const { info, requestId, isHead, target: { path, query } } = passing;
    const refused = (refusal: Failure): Response => {
      metrics.credentialRefused();
      refusals.audit("request_refused", {
        request_id: requestId,
        address: clientHost(info),
        code: refusal.code,
        route: route.path,
      });
      return failed(passing, refusal);
    };

    const principal = admit(route, request);
    if (principal !== undefined && "kind" in principal) return refused(principal);
    const segments = indexes.length === 0 ? NO_SEGMENTS : pick(path, indexes);
    let schemaId: SchemaId | undefined;
    if (hasSchemaId) schemaId = schemaIdIn(segments[0]!);
    if (route.access.kind === "permission" && principal !== undefined) {
      const forbidden = authorize(principal, route.access.permission, schemaId);
      if (forbidden !== undefined) return refused(forbidden);
    }
    return route.handle({ request, info, requestId, isHead, query, segments, principal, schemaId });
  }

  /** The answer to what was thrown. */
  function answerError(error: unknown, passing: Passing, route: string): Response {
    if (error instanceof Refusal) return failed(passing, error.failure, error.details, error.headers);
    log.error("request_failed", { request_id: passing.requestId, route, error });
    return failed(passing, INTERNAL);
  }

  /** Counts an answer; a refusal waits for the end of its request. */
  function finish(
    prepared: Prepared,
    request: RestRequest,
    passing: Passing,
    response: Response,
  ): Response | Promise<Response> {
    const { route: { operation } } = prepared;
    const name = typeof operation === "string" ? operation : operation(passing.target);
    const tookMs = statistics.record(name, response.status, passing.startedMs);
    metrics.request(name, response.status, tookMs / 1000);
    return response.status < 400 ? response : refusedBodies.take(request)?.then(() => response) ?? response;
  }

  /** Runs a route. Answers without a promise when the handler does. */
  function run(prepared: Prepared, request: RestRequest, passing: Passing): Response | Promise<Response> {
    const { route } = prepared;
    let response: Response | Promise<Response>;
    try {
      response = respond(prepared, request, passing);
    } catch (error) {
      response = answerError(error, passing, route.path);
    }
    if (response instanceof Response) return finish(prepared, request, passing, response);
    return response.then(
      (settled) => finish(prepared, request, passing, settled),
      (error) => finish(prepared, request, passing, answerError(error, passing, route.path)),
    );
  }

  const router = new RegExpRouter<Methods>();
  const byPath = Map.groupBy(routes.map(prepare), ({ route }) => route.path);
  for (const [path, prepared] of byPath) {
    router.add("ALL", routerPath(path), methodsOf(prepared));
  }

  /** Answers a request for anything but the hot routes. */
  function route(request: RestRequest, passing: Passing): Response | Promise<Response> {
    const [[match]] = router.match("ALL", passing.target.path);
    const methods = match?.[0];
    if (methods === undefined) return finish(OTHER, request, passing, withoutRoute(request, passing));
    const one = methods.byName.get(passing.isHead ? "GET" : request.method);
    if (one !== undefined) return run(one, request, passing);
    return finish(
      OTHER,
      request,
      passing,
      request.method === "OPTIONS"
        ? reply(passing, 204, null, undefined, [["allow", methods.allow]])
        : wrongMethod(passing, request.method, methods.allow),
    );
  }

  /** At every path that no route has: a file of the UI, or nothing. */
  function withoutRoute(request: RestRequest, passing: Passing): Response {
    const reads = request.method === "GET" || passing.isHead;
    try {
      return (reads ? page(request, passing) : undefined) ?? failed(passing, NO_ROUTE);
    } catch (error) {
      return answerError(error, passing, "none");
    }
  }

  // The two hot routes are answered in front of the router, by the very handlers that it would have found.
  const entityMethods = methodsOf(byPath.get(ENTITY_PATH) ?? []).byName;

  return {
    routes,
    fetch(request, info) {
      const target = splitTarget(request.url);
      const passing: Passing = {
        info,
        target,
        requestId: ids.of(request),
        isHead: request.method === "HEAD",
        startedMs: statistics.begin(),
      };
      if (target.path.startsWith(ENTITY_PREFIX) && target.path.indexOf("/", ENTITY_PREFIX.length) < 0) {
        const one = target.path.length > ENTITY_PREFIX.length ? entityMethods.get(request.method) : undefined;
        if (one !== undefined) return run(one, request, passing);
      }
      const response = route(request, passing);
      if (!passing.isHead) return response;
      return response instanceof Response ? withoutBody(response) : response.then(withoutBody);
    },
  };
}

const ENTITY_PATH = "/entity/{schema_id}";
const ENTITY_PREFIX = "/entity/";
const NO_SEGMENTS: readonly string[] = [];
const NO_ROUTE = failure("not_found", "There is nothing at this path; /docs has what there is");

/** What requests are counted under that no route has answered. */
const OTHER = { route: { operation: "other" } } as Prepared;

/** A template as the router spells it. */
function routerPath(template: string): string {
  return template.replace(/\{([^}]+)\}/g, ":$1");
}

function prepare(route: Route): Prepared {
  const indexes = parameterIndexes(route.path);
  return { route, indexes, hasSchemaId: route.path.includes("{schema_id}") };
}

function pick(path: string, indexes: readonly number[]): readonly string[] {
  return indexes.map((index) => segmentAt(path, index));
}

/** What stands behind the `index`-th slash of a path, up to the next one. */
function segmentAt(path: string, index: number): string {
  let start = 0;
  for (let slash = 0; slash < index; slash++) {
    start = path.indexOf("/", start) + 1;
    if (start === 0) return "";
  }
  const end = path.indexOf("/", start);
  return end < 0 ? path.slice(start) : path.slice(start, end);
}

/** The methods of a path, and the value of `Allow` that names them. */
interface Methods {
  readonly byName: ReadonlyMap<string, Prepared>;
  readonly allow: string;
}

function methodsOf(prepared: readonly Prepared[]): Methods {
  const byName = new Map(prepared.map((one) => [one.route.method as string, one]));
  const names = [...byName.keys(), ...(byName.has("GET") ? ["HEAD"] : []), "OPTIONS"];
  return { byName, allow: names.sort().join(", ") };
}

function wrongMethod(call: Passing, method: string, allow: string): Response {
  const problem = failure("method_not_allowed", `This path has no ${method}; it has ${allow}`);
  return failed(call, problem, undefined, [["allow", allow]]);
}

/**
 * The same answer to HEAD. What it would have streamed is not even begun; where its length is not known, an empty stream
 * keeps the server from claiming that it is 0.
 */
function withoutBody(response: Response): Response {
  if (response.body === null) return response;
  response.body.cancel().catch(() => {});
  const { status, headers } = response;
  const body = headers.has("content-length") ? null : new ReadableStream({ start: (controller) => controller.close() });
  return new Response(body, { status, headers });
}
