/** What real programs tell an operator who gave no master key. */
import assert from "assert";
import { Cluster } from "../system/cluster.ts";

Deno.test("a generated master key is shown once, works afterwards, and what it cannot read is counted", async () => {
  const root = await Deno.makeTempDir({ prefix: "deltadb-notes-" });
  try {
    let keyId: string | undefined;
    let generated: string | undefined;
    {
      await using cluster = await Cluster.start({ root, masterKey: "", mainFlags: ["-partitions=16"] });
      await cluster.put("a", "k", '"one"');
      await cluster.put("a", "l", '"two"');
      [, keyId, generated] = /KEY_ID=(\S+) MASTER_KEY=([0-9a-f]{64})/.exec(cluster.main.output) as unknown as string[];
      assert(generated !== undefined);
      assert.equal(cluster.main.output.split(generated).length - 1, 1);
      assert(!cluster.workers.get("worker-1")!.output.includes(generated));
      assert.match(cluster.main.output, /"event":"generated_master_key"/);
      assert.doesNotMatch(cluster.main.output, /unreadable_entities/);
      const stats = await (await cluster.fetch("/admin/stats")).json();
      assert.match(stats.key_id, /^generated-[0-9a-f]{8}$/);
      assert.equal(stats.key_id, keyId);
      assert(stats.warnings.some(({ code }: { code: string }) => code === "generated_master_key"));
      assert(!JSON.stringify(stats).includes(generated));
    }
    {
      await using cluster = await Cluster.start({ root, masterKey: "" });
      const { count, message } = await cluster.main.event("unreadable_entities");
      assert.equal(count, 2);
      assert.match(String(message), /^2 entities of this store cannot be read/);
      const unreadable = await cluster.fetch("/entity/a?key=k");
      assert.deepEqual([unreadable.status, (await unreadable.json()).code], [409, "key_unavailable"]);
      const overwritten = await cluster.fetch("/entity/a?key=k", { method: "PUT", body: "1" });
      assert.deepEqual([overwritten.status, (await overwritten.json()).code], [409, "key_unavailable"]);
      await cluster.put("a", "new", "3");
      assert.equal(await cluster.get("a", "new"), "3");
    }
    {
      await using cluster = await Cluster.start({ root, masterKey: generated, mainFlags: [`-key-id=${keyId}`] });
      assert.equal(await cluster.get("a", "k"), '"one"');
      assert.equal(await cluster.get("a", "l"), '"two"');
      const stats = await (await cluster.fetch("/admin/stats")).json();
      assert(!stats.warnings.some(({ code }: { code: string }) => code === "generated_master_key"));
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
