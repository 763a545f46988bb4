/** Standard gRPC health checking (`grpc.health.v1`), for load balancers, Kubernetes probes and `grpcurl`. */
import type grpc from "@grpc/grpc-js";

/** What a server says of its health. */
export interface Health {
  /** Of the server as a whole (the empty service name) and of the services that it was made with. */
  set(serving: boolean): void;
}

/** Paths of the health service: they need no credential. */
export const HEALTH_PATHS: readonly string[] = ["Check", "Watch", "List"].map((name) =>
  `/grpc.health.v1.Health/${name}`
);

/** Serves health; `NOT_SERVING` until it is set. The library is loaded only here: not every program serves this. */
export async function serveHealth(server: grpc.Server, services: readonly string[]): Promise<Health> {
  const { HealthImplementation } = await import("grpc-health-check");
  const names = ["", ...services];
  const implementation = new HealthImplementation(Object.fromEntries(names.map((name) => [name, "NOT_SERVING"])));
  implementation.addToServer(server as never);
  return {
    set: (serving) => {
      for (const name of names) implementation.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
    },
  };
}
