/** Standard gRPC reflection: clients learn the definition from the running server. */
import type grpc from "@grpc/grpc-js";
import type protobuf from "protobufjs";
import type { Definition } from "./definition.ts";
import { addLazyService } from "./lazy_service.ts";

const METHODS = ["v1", "v1alpha"].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  requestStream: true,
  responseStream: true,
}));

/** `grpc.health.v1` as it is published, so that clients which learn from reflection can ask for health, too. */
const HEALTH: protobuf.INamespace = {
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

/** Serves the definition, by both versions of the protocol. */
export function serveReflection(server: grpc.Server, definition: Definition): void {
  addLazyService(server, METHODS, async (sink) => {
    const [{ ReflectionService }, { fromJSON }] = await Promise.all([
      import("@grpc/reflection"),
      import("@grpc/proto-loader"),
    ]);
    const published = definition.published().toJSON();
    const pkg = fromJSON({ ...published, nested: { ...published.nested, grpc: HEALTH } }, { keepCase: true });
    const services = ["deltadb.MainWorker", "grpc.health.v1.Health"];
    new ReflectionService(pkg, { services }).addToServer(sink as never);
  });
}
