/** What both programs tell Prometheus, as its own checker sees it. */
import assert from "assert";
import { Cluster } from "../system/cluster.ts";
import { findProgram, testWith } from "../tools/needs.ts";

/** A free port, as far as one can tell. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

testWith(["promtool"], "promtool accepts the metrics of both programs", async () => {
  const [main, worker] = [freePort(), freePort()];
  await using cluster = await Cluster.start({
    mainFlags: [`-metrics-addr=127.0.0.1:${main}`],
    workerFlags: [`-metrics-addr=127.0.0.1:${worker}`],
  });
  await cluster.put("m", "k", "1");
  await cluster.get("m", "k");
  for (const path of ["/entity/m?key=none", "/entities/m", "/admin/stats", "/api/schemas?counts=true", "/nowhere"]) {
    await (await cluster.fetch(path)).body?.cancel();
  }
  for (const port of [main, worker]) {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    const text = await response.text();
    assert.equal(response.status, 200);
    const promtool = new Deno.Command(findProgram("promtool")!, {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = promtool.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    const { code, stderr, stdout } = await promtool.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.deepEqual([code, said], [0, ""]);
    assert.match(text, /^deltadatabase_build_info\{/m);
  }
  const stats = await (await cluster.fetch("/admin/stats")).json();
  const syncs: Record<string, unknown> = stats.sync;
  assert(Object.hasOwn(syncs, "mean_ms"));
});
