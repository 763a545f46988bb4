/** The REST door of real programs under bytes that no client should send. */
import assert from "assert";
import { Cluster } from "../system/cluster.ts";
import { testWith } from "../tools/needs.ts";
import { assertNoServerError, attack, Dice, KINDS, residentMib } from "./raw_bytes.ts";

const CASES = 600;
/** The heap of an attacked server grows to some 250 MiB and stays there (`raw_bytes.ts` shows it over ten rounds). */
const GROWTH_MIB_MAX = 250;

Deno.test("no bytes over a socket make the main worker fall, answer 500 or grow", () => survives([]));
Deno.test("nor with front threads", () => survives(["-rest-threads=2"]));

async function survives(mainFlags: readonly string[]): Promise<void> {
  await using cluster = await Cluster.start({ mainFlags });
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  console.error(`seed ${seed}`);
  const dice = new Dice(seed);
  assertNoServerError(await attack(cluster.url, CASES, dice));
  const before = await residentMib(cluster.main.pid);
  const tried = await attack(cluster.url, CASES, dice);
  assertNoServerError(tried);
  const growth = await residentMib(cluster.main.pid) - before;
  assert(growth < GROWTH_MIB_MAX, `${growth} MiB`);
  assert.equal(tried.size, Object.keys(KINDS).length);
  for (const [kind, { connections }] of tried) assert(connections > 0, kind);
  assert.doesNotMatch(cluster.output, /request_failed|connection_failed|"level":"error"/);
  await cluster.put("after", "k", "1");
  assert.equal(await cluster.get("after", "k"), "1");
}

Deno.test("requests whose body nobody reads leave no connection behind, with front threads neither", async () => {
  await using cluster = await Cluster.start({ mainFlags: ["-rest-threads=2"] });
  const port = Number(new URL(cluster.url).port);
  const descriptors = () => [...Deno.readDirSync(`/proc/${cluster.main.pid}/fd`)].length;
  const before = descriptors();
  const head = (target: string) => `${target} HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\n`;
  for (const target of ["PUT /schema/s", "PUT /nothing", "GET /health", "TRACE /docs", "PUT /entity/s?key=k"]) {
    for (let i = 0; i < 40; i++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(new TextEncoder().encode(head(target) + "{}"));
      if (i % 2 === 0) await connection.read(new Uint8Array(1_000));
      connection.close();
    }
  }
  for (const end = Date.now() + 30_000; descriptors() >= before + 20;) {
    assert(Date.now() < end, `${descriptors()} file descriptors are open, ${before} were before`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await fetch(`${cluster.url}/health`)).status, 200);
});

Deno.test("hundreds of slow and half-open connections do not keep others from being served", async () => {
  await using cluster = await Cluster.start();
  await cluster.put("slow", "k", "1");
  const port = Number(new URL(cluster.url).port);
  const open: Deno.Conn[] = [];
  const encoder = new TextEncoder();
  try {
    for (let i = 0; i < 300; i++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      open.push(connection);
      const beginning = [
        "",
        "GET /entity/slow?k",
        "PUT /entity/slow?key=x HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\n{",
      ][i % 3]!;
      if (beginning !== "") await connection.write(encoder.encode(beginning));
    }
    for (let round = 0; round < 20; round++) {
      for (const connection of open) await connection.write(encoder.encode("x")).catch(() => {});
      assert.equal(await cluster.get("slow", "k"), "1");
    }
  } finally {
    for (const connection of open) connection.close();
  }
  assert.equal(await cluster.get("slow", "k"), "1");
  assert.doesNotMatch(cluster.output, /request_failed|connection_failed|"level":"error"/);
});

testWith(
  ["prlimit"],
  "connections that never send a request end with the file descriptors, not the server",
  async () => {
    await using cluster = await Cluster.start();
    await cluster.put("slow", "k", "1");
    const { success } = await new Deno.Command("prlimit", {
      args: ["--pid", `${cluster.main.pid}`, "--nofile=200:200"],
    })
      .output();
    assert(success);
    const port = Number(new URL(cluster.url).port);
    const open: Deno.Conn[] = [];
    try {
      // Some are refused while the listener is opened again.
      for (let i = 0; i < 600; i++) {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
        if (connection === undefined) continue;
        open.push(connection);
        await connection.write(new TextEncoder().encode("GET /entity/slow?k")).catch(() => {});
      }
      await cluster.main.event("listener_failed");
      await cluster.ready();
      await cluster.put("slow", "after", "2");
      assert.equal(await cluster.get("slow", "k"), "1");
      assert.equal(await cluster.get("slow", "after"), "2");
      assert.equal(cluster.main.over, false);
    } finally {
      for (const connection of open) connection.close();
    }
  },
);
