/** Standard gRPC reflection: clients learn the definition from the running server. */
import type grpc from "@grpc/grpc-js";
import type { Definition } from "./definition.ts";
import { HEALTH_DEFINITION } from "./health.ts";
import { addLazyService } from "./lazy_service.ts";

const METHODS = ["v1", "v1alpha"].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  requestStream: true,
  responseStream: true,
}));

/** Serves the definition, by both versions of the protocol. */
export function serveReflection(server: grpc.Server, definition: Definition): void {
  addLazyService(server, METHODS, async (sink) => {
    const [{ ReflectionService }, { fromJSON }] = await Promise.all([
      import("@grpc/reflection"),
      import("@grpc/proto-loader"),
    ]);
    const published = definition.published().toJSON();
    const pkg = fromJSON({ ...published, nested: { ...published.nested, grpc: HEALTH_DEFINITION } }, {
      keepCase: true,
    });
    const services = ["deltadb.MainWorker", "grpc.health.v1.Health"];
    new ReflectionService(pkg, { services }).addToServer(sink as never);
  });
}
