/** Audit lines: who did what to the server, without what was said. */
import type { LogFields } from "../../../shared/logging/logger.ts";
import type { Call, RestDeps } from "./route.ts";

/** Writes one line about an administrative action. */
export function auditCall(deps: Pick<RestDeps, "log">, call: Call, action: string, fields: LogFields = {}): void {
  const { principal } = call;
  deps.log.audit(action, {
    request_id: call.requestId,
    address: call.remoteAddr,
    client_id: principal?.clientId ?? null,
    source: principal?.source ?? null,
    ...(principal?.apiKeyId === undefined ? {} : { api_key_id: principal.apiKeyId }),
    ...fields,
  });
}
