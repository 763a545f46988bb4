/** What was acknowledged is there after `kill -9`, byte for byte, and nowhere in plain text; whatever the store. */
import assert from "assert";
import { Cluster, type ClusterOptions } from "./cluster.ts";

/** `kill -9` of the worker right after an acknowledged write, so many times. */
export async function killWorkerAfterWrites(rounds: number, options: ClusterOptions = {}): Promise<void> {
  await using cluster = await Cluster.start(options);
  for (let round = 1; round <= rounds; round++) {
    const document = `{"round":${round},"n":12345678901234567890,"d":1.10}`;
    await cluster.put("kill", `key-${round}`, document);
    const worker = cluster.workers.get("worker-1")!;
    worker.signal("SIGKILL");
    await worker.ended();
    await cluster.startWorker("worker-1").event("joined");
    await cluster.ready();
    assert.equal(await cluster.get("kill", `key-${round}`), document);
  }
  for (let round = 1; round <= rounds; round++) {
    assert.match(await cluster.get("kill", `key-${round}`), new RegExp(`^{"round":${round},`));
  }
}

/** `kill -9` of both programs under load, so many times; then a schema and an API key are there as well. */
export async function killAllUnderWriters(
  { rounds, writers: writersCount }: { readonly rounds: number; readonly writers: number },
  options: ClusterOptions = {},
): Promise<void> {
  await using cluster = await Cluster.start(options);
  const schema = '{"type":"object","required":["n"]}';
  const stored = await cluster.fetch("/schema/kept", { method: "PUT", body: schema });
  assert.equal(stored.status, 201, await stored.text());
  const created = await cluster.fetch("/api/keys", {
    method: "POST",
    body: JSON.stringify({ name: "kept", permissions: ["read", "write"] }),
  });
  const { secret } = await created.json();
  for (let round = 1; round <= rounds; round++) {
    const acknowledged = new Map<string, string>();
    let stop = false;
    const writers = Array.from({ length: writersCount }, async (_, writer) => {
      for (let n = 0; !stop; n++) {
        const key = `w${writer}-${n % 20}`;
        const document = `{"round":${round},"writer":${writer},"n":${n},"pad":"${"x".repeat(n % 300)}"}`;
        try {
          const response = await cluster.fetch(`/entity/load?key=${key}`, { method: "PUT", body: document });
          await response.body?.cancel();
          // A later write of this key without an answer may or may not have taken effect: only the last counts.
          if (response.status === 200) acknowledged.set(key, document);
          else acknowledged.delete(key);
        } catch {
          acknowledged.delete(key);
          return;
        }
      }
    });
    while (acknowledged.size < writersCount * 3) await new Promise((resolve) => setTimeout(resolve, 20));
    await cluster.killAll();
    stop = true;
    await Promise.all(writers);
    assert(acknowledged.size > writersCount, `only ${acknowledged.size} keys were acknowledged`);
    await cluster.restart();
    for (const [key, document] of acknowledged) assert.equal(await cluster.get("load", key), document, key);
  }
  const headers = { authorization: `Bearer ${secret}` };
  assert.equal(await (await cluster.fetch("/schema/kept", { headers })).text(), schema);
  const refused = await cluster.fetch("/entity/kept?key=k", { method: "PUT", body: "{}", headers });
  assert.deepEqual([refused.status, (await refused.json()).code], [400, "schema_violation"]);
}

/** No plain text in the store or in the logs, whatever was done to a document. */
export async function searchPlainText(options: ClusterOptions = {}): Promise<void> {
  const canary = "canary-5f1d9c";
  await using cluster = await Cluster.start(options);
  await cluster.put("secret", "k1", `{"text":"${canary}"}`);
  await cluster.put("secret", "k2", `{"text":"${canary}"}`);
  const patched = await cluster.fetch("/entity/secret?key=k2", {
    method: "PATCH",
    headers: { "content-type": "application/merge-patch+json" },
    body: `{"more":"${canary}"}`,
  });
  assert.equal(patched.status, 200);
  await patched.body?.cancel();
  // A clean stop checkpoints: the log and the tables of a directory are both looked at.
  assert(await contains(cluster, "AES-256-GCM"), "the search itself does not find what is there");
  assert(!await contains(cluster, canary));
  cluster.workers.get("worker-1")!.signal("SIGTERM");
  await cluster.workers.get("worker-1")!.ended();
  assert(await contains(cluster, "AES-256-GCM"), "the search itself does not find what is there");
  assert(!await contains(cluster, canary));
  assert(!cluster.output.includes(canary), cluster.output);
}

/** Whether anything that is stored holds these bytes. */
async function contains(cluster: Cluster, text: string): Promise<boolean> {
  const latin = new TextDecoder("latin1");
  for await (const bytes of cluster.store.contents()) if (latin.decode(bytes).includes(text)) return true;
  return false;
}
