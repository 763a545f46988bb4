/** `/health` and `/ready`: whether the process serves, and whether it can do its work. */
import type { Failure } from "../../../shared/outcome.ts";
import { jsonContent, ref } from "./components.ts";
import { failed, json } from "./reply.ts";
import { type Call, PUBLIC, type RestDeps, type Route } from "./route.ts";

/** Ready, or why not: `no_worker` or `storage_unavailable`. */
export type Readiness = { readonly kind: "ready" } | Failure;

/** The routes of probes. */
export function healthRoutes({ ready }: RestDeps): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/health",
      access: PUBLIC,
      operation: "other",
      handle: (call: Call) => json(call, 200, { status: "ok" }),
      describe: {
        operationId: "health",
        tag: "Server",
        summary: "Whether the process serves",
        responses: { "200": { description: "It does.", content: jsonContent(ref("Ok"), { status: "ok" }) } },
      },
    },
    {
      method: "GET",
      path: "/ready",
      access: PUBLIC,
      operation: "other",
      handle: async (call: Call) => {
        const readiness = await ready();
        return readiness.kind === "ready" ? json(call, 200, { status: "ready" }) : failed(call, readiness);
      },
      describe: {
        operationId: "ready",
        tag: "Server",
        summary: "Whether the server can do its work",
        description: "200 once a worker is available and storage answers.",
        responses: {
          "200": {
            description: "It can.",
            content: jsonContent({
              type: "object",
              required: ["status"],
              properties: { status: { const: "ready" } },
              additionalProperties: false,
            }, { status: "ready" }),
          },
        },
        errors: ["no_worker", "storage_unavailable"],
      },
    },
  ];
}
