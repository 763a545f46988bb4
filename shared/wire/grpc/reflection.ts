/** Standard gRPC reflection: clients learn the definition from the running server. */
import type grpc from "@grpc/grpc-js";
import type { Definition } from "./definition.ts";
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
    const pkg = fromJSON(definition.published().toJSON(), { keepCase: true });
    new ReflectionService(pkg, { services: ["deltadb.MainWorker"] }).addToServer(sink as never);
  });
}
