import assert from "assert";
import { ManualClock } from "../../seams/manual_clock.ts";
import { S3_META_PARALLEL_MAX, S3_META_WAITING_MAX } from "../../limits.ts";
import type { Partition } from "../../names.ts";
import { systemRandom } from "../../seams/random.ts";
import { metaKey } from "./layout.ts";
import { MemoryClient } from "./memory_client.ts";
import { metaOfEnvelope, MetaWriter } from "./meta.ts";
import { Requests } from "./requests.ts";
import { envelopeOf, named } from "./testing.ts";

/** A writer on a service whose requests wait until the gate is opened. */
function setUp(mayWrite = true) {
  const clock = new ManualClock();
  const client = new MemoryClient();
  const gate = Promise.withResolvers<void>();
  client.before = () => gate.promise;
  let running = 0;
  let runningMax = 0;
  const put = client.put.bind(client);
  client.put = async (...request) => {
    runningMax = Math.max(runningMax, ++running);
    const answer = await put(...request);
    running--;
    return answer;
  };
  const writer = new MetaWriter(client, new Requests(clock, systemRandom), clock, () => mayWrite);
  const changed = (key: string, version: number | undefined) => {
    const { partition, name } = named(key);
    writer.changed(partition, name, version === undefined ? undefined : envelopeOf(key, version));
  };
  const versionOf = (key: string): number | undefined => {
    const found = client.objects.get(metaKey(named(key).name));
    return found && JSON.parse(new TextDecoder().decode(found.bytes)).version;
  };
  return { clock, client, writer, changed, versionOf, open: () => gate.resolve(), runningMax: () => runningMax };
}

Deno.test("only the newest is written, few at once, and never two of one entity", async () => {
  const { clock, client, writer, changed, versionOf, open, runningMax } = setUp();
  const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
  for (let version = 1; version <= 3; version++) for (const key of keys) changed(key, version);
  changed("k3", undefined);
  open();
  await clock.runUntil(writer.flush(1_000));
  assert.equal(versionOf("k3"), undefined);
  for (const key of keys.filter((key) => key !== "k3")) assert.equal(versionOf(key), 3);
  assert.equal(client.objects.size, keys.length - 1);
  assert.ok(runningMax() <= S3_META_PARALLEL_MAX);
  // The first two were under way when their next versions came.
  assert.equal(writer.figures.written, keys.length + S3_META_PARALLEL_MAX);
  assert.equal(clock.timers, 0);
});

Deno.test("what is too much is dropped and counted", async () => {
  const { clock, writer, changed, open } = setUp();
  for (let index = 0; index < S3_META_WAITING_MAX + S3_META_PARALLEL_MAX + 5; index++) changed(`k${index}`, 1);
  assert.equal(writer.figures.dropped, 5);
  open();
  await clock.runUntil(writer.close());
  const { written, dropped } = writer.figures;
  assert.equal(written + dropped, S3_META_WAITING_MAX + S3_META_PARALLEL_MAX + 5);
  changed("late", 1);
  assert.equal(writer.figures.dropped, dropped);
});

Deno.test("a partition that is handed over goes first, and keeps nobody waiting for long", async () => {
  const keys = Array.from({ length: 200 }, (_, index) => `k${index}`);
  const partition = named(keys[150]!).partition;
  const own = keys.filter((key) => named(key).partition === partition);
  const quick = setUp();
  for (const key of keys) quick.changed(key, 1);
  quick.open();
  await quick.clock.runUntil(quick.writer.handOver(partition, 200));
  for (const key of own) assert.equal(quick.versionOf(key), 1);
  const stuck = setUp();
  for (const key of keys) stuck.changed(key, 1);
  await stuck.clock.runUntil(stuck.writer.handOver(partition, 200));
  assert.ok(stuck.writer.figures.dropped >= own.length - S3_META_PARALLEL_MAX);
  stuck.open();
  await stuck.clock.runUntil(stuck.writer.flush(1_000));
  for (const key of own.slice(S3_META_PARALLEL_MAX)) assert.equal(stuck.versionOf(key), undefined);
});

Deno.test("a rebuilt meta never replaces a newer one", async () => {
  const { clock, writer, changed, versionOf, open } = setUp();
  open();
  const at = named("k");
  await clock.runUntil(writer.rebuild(at.partition, at.name, () => {
    changed("k", 5);
    return Promise.resolve(envelopeOf("k", 4));
  }));
  await clock.runUntil(writer.flush(1_000));
  assert.equal(versionOf("k"), 5);
  await clock.runUntil(writer.rebuild(at.partition, at.name, () => Promise.resolve(envelopeOf("k", 6))));
  await clock.runUntil(writer.flush(1_000));
  assert.equal(versionOf("k"), 6);
});

Deno.test("a worker that may not write, writes none; what is no envelope has none", async () => {
  const { clock, client, writer, changed, open } = setUp(false);
  open();
  changed("k", 1);
  await clock.runUntil(writer.flush(1_000));
  assert.equal(client.objects.size, 0);
  assert.equal(metaOfEnvelope(new TextEncoder().encode("no envelope")), undefined);
  writer.changed(0 as Partition, named("x").name, new Uint8Array(3));
  assert.equal(writer.figures.written, 0);
});
