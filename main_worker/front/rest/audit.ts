/** Audit lines: who did what to the server, without what was said. */
import { BoundedAudit } from "../../../shared/logging/bounded_audit.ts";
import type { LogFields, Logger } from "../../../shared/logging/logger.ts";
import type { ErrorCode } from "../../../shared/outcome.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import type { Call, RestDeps } from "./route.ts";

/** Writes one line about an administrative action that has ended, and counts it. `result`: `ok`, or why it was not. */
export function auditCall(
  deps: Pick<RestDeps, "log" | "countAction">,
  call: Call,
  action: string,
  result: string,
  fields: LogFields = {},
): void {
  const { principal } = call;
  deps.countAction(action, result);
  deps.log.audit(action, {
    request_id: call.requestId,
    address: call.info.remoteAddr.hostname,
    client_id: principal?.clientId ?? null,
    source: principal?.source ?? null,
    ...(principal?.apiKeyId === undefined ? {} : { api_key_id: principal.apiKeyId }),
    result,
    ...fields,
  });
}

/** What is told of a refused request. */
export interface RefusedRequest {
  /** Of REST. */
  readonly requestId?: string;
  readonly address: string;
  readonly code: ErrorCode;
  /** Template of the route; of REST. */
  readonly route?: string;
  /** Of gRPC. */
  readonly operation?: string;
}

/** Writes a line about each refused request, up to a bound. */
export class RefusalLog {
  readonly #lines: BoundedAudit;

  constructor(log: Logger, clock: Clock) {
    this.#lines = new BoundedAudit(log, clock);
  }

  refused({ requestId, address, code, route, operation }: RefusedRequest): void {
    this.#lines.audit("request_refused", {
      ...(requestId === undefined ? {} : { request_id: requestId }),
      address,
      code,
      ...(route === undefined ? {} : { route }),
      ...(operation === undefined ? {} : { operation }),
    });
  }
}
