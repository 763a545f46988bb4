/** Audit lines: who did what to the server, without what was said. */
import type { LogFields } from "../../../shared/logging/logger.ts";
import { auditedCaller } from "../auth.ts";
import { type Call, clientHost, type RestDeps } from "./route.ts";

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
    address: clientHost(call.info),
    ...(principal === undefined ? { client_id: null, source: null } : auditedCaller(principal)),
    result,
    ...fields,
  });
}
