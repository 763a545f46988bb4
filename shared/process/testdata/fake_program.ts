/**
 * Stands for a program in tests of the development runner: tells what it was started with as a line of JSON, answers
 * `/ready` where it has a `-rest-addr`, and does what the variable `FAKE` says (`die`, `unready`, `deaf` to SIGTERM).
 */
const flags = new Map(Deno.args.map((arg) => arg.replace(/^-/, "").split("=") as [string, string]));
const fake = Deno.env.get("FAKE") ?? "";
const variables = ["MASTER_KEY", "ADMIN_KEY", "FORCE_COLOR"].filter((name) => Deno.env.get(name));

// Before it says that it is up: from then on it may be stopped.
Deno.addSignalListener("SIGTERM", () => {
  if (fake === "deaf") return;
  console.log("stopping");
  Deno.exit(0);
});

console.log(JSON.stringify({ pid: Deno.pid, args: Deno.args, key: Deno.env.get("MASTER_KEY") ?? null, variables }));
console.error("and this on standard error");

const rest = flags.get("rest-addr");
if (rest !== undefined) {
  const [hostname, port] = rest.split(":");
  const status = fake === "unready" ? 503 : 200;
  const [grpcHost, grpcPort] = flags.get("grpc-addr")!.split(":");
  Deno.listen({ hostname: grpcHost!, port: Number(grpcPort) });
  Deno.serve(
    { hostname, port: Number(port), onListen() {} },
    () => new Response(status === 200 ? "{}" : '{"reason":\n"no worker"}', { status }),
  );
}
if (fake === "die" && rest === undefined) {
  const [hostname, port] = flags.get("main-addr")!.split(":");
  // Not before the other program is up.
  while (!await Deno.connect({ hostname: hostname!, port: Number(port) }).catch(() => undefined));
  Deno.exit(3);
}
setInterval(() => {}, 1_000);
