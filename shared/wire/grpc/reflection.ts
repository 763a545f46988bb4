/** Standard gRPC reflection: clients learn the definition from the running server. */
import type grpc from "@grpc/grpc-js";
import type { Definition } from "./definition.ts";

/** Serves the definition, both versions of the protocol. The libraries are loaded only here. */
export async function serveReflection(server: grpc.Server, definition: Definition): Promise<void> {
  const [{ ReflectionService }, { fromJSON }] = await Promise.all([
    import("@grpc/reflection"),
    import("@grpc/proto-loader"),
  ]);
  const pkg = fromJSON(definition.published().toJSON(), { keepCase: true });
  new ReflectionService(pkg, { services: ["deltadb.MainWorker"] }).addToServer(server as never);
}
