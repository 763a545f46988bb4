/** Standard gRPC health checking (`grpc.health.v1`), for load balancers, Kubernetes probes and `grpcurl`. */
import type grpc from "@grpc/grpc-js";
import type protobuf from "protobufjs";
import { addLazyService } from "./lazy_service.ts";

/** What a server says of its health. */
export interface Health {
  /** Of the server as a whole (the empty service name) and of the services that it was made with. */
  set(serving: boolean): void;
}

/** The call that asks once. */
export const HEALTH_CHECK_PATH = "/grpc.health.v1.Health/Check";

const METHODS = [
  { path: HEALTH_CHECK_PATH, requestStream: false, responseStream: false },
  { path: "/grpc.health.v1.Health/List", requestStream: false, responseStream: false },
  { path: "/grpc.health.v1.Health/Watch", requestStream: false, responseStream: true },
];

/** Paths of the health service: they need no credential. */
export const HEALTH_PATHS: readonly string[] = METHODS.map(({ path }) => path);

/** `grpc.health.v1` as it is published, so that clients which learn from reflection can ask for health, too. */
export const HEALTH_DEFINITION: protobuf.INamespace = {
  nested: {
    health: {
      nested: {
        v1: {
          nested: {
            HealthCheckRequest: { fields: { service: { type: "string", id: 1 } } },
            HealthCheckResponse: {
              fields: { status: { type: "ServingStatus", id: 1 } },
              nested: { ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } } },
            },
            Health: {
              methods: {
                Check: { requestType: "HealthCheckRequest", responseType: "HealthCheckResponse", comment: "" },
                Watch: {
                  requestType: "HealthCheckRequest",
                  responseType: "HealthCheckResponse",
                  responseStream: true,
                  comment: "",
                },
              },
            },
          },
        },
      },
    },
  },
};

/** Serves health; `NOT_SERVING` until it is set. */
export function serveHealth(server: grpc.Server, services: readonly string[]): Health {
  const names = ["", ...services];
  let current: "SERVING" | "NOT_SERVING" = "NOT_SERVING";
  let publish = () => {};
  addLazyService(server, METHODS, async (sink) => {
    const { HealthImplementation } = await import("grpc-health-check");
    const implementation = new HealthImplementation();
    implementation.addToServer(sink as never);
    publish = () => names.forEach((name) => implementation.setStatus(name, current));
    publish();
  });
  return {
    set: (serving) => {
      const next = serving ? "SERVING" : "NOT_SERVING";
      // Whoever watches is told of changes only.
      if (next === current) return;
      current = next;
      publish();
    },
  };
}
