/** `deno bench`: checksums, groups that are appended and synced, commits of many writers, and reads. */
import { type EntityName, type Partition, partitionOf } from "../../names.ts";
import { systemClock } from "../../seams/clock.ts";
import { systemRandom } from "../../seams/random.ts";
import { nameOf } from "../conformance.ts";
import { crc32c } from "./crc32c.ts";
import { encodeRecords } from "./record.ts";
import { systemDisk } from "./system_disk.ts";
import { openTestStore } from "./test_store.ts";
import { WriterLog } from "./writer_log.ts";

const ENVELOPE_BYTES = 500;
const PARTITIONS = 64;
const directory = await Deno.makeTempDir({ prefix: "deltadb-bench-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

const megabyte = systemRandom.bytes(65_536);
Deno.bench("crc32c of 64 KiB", () => void crc32c(megabyte));

const log = await WriterLog.open("0".repeat(32), {
  disk: systemDisk,
  clock: systemClock,
  random: systemRandom,
  directory,
  store: "0".repeat(32),
});
for (const count of [1, 64]) {
  const records = Array.from({ length: count }, (_, index) => ({
    partition: index,
    sequence: index,
    name: `bench_${index}`,
    envelope: new Uint8Array(ENVELOPE_BYTES),
  }));
  Deno.bench(`append and sync a group of ${count} writes of ${ENVELOPE_BYTES} bytes`, async () => {
    await log.append(encodeRecords(records), () => {});
  });
}
const file = await systemDisk.createFile(`${directory}/bare`);
Deno.bench("the same bytes without the engine: write and fdatasync 32 KiB", { baseline: true }, async () => {
  await file.append(megabyte.subarray(0, 64 * ENVELOPE_BYTES));
  await file.sync();
});

const store = await openTestStore(`${directory}/db`, { partitions: PARTITIONS });
const entities = await store.openEntities("bench");
for (let partition = 0; partition < PARTITIONS; partition++) await entities.take(partition as Partition);
const names: EntityName[] = Array.from({ length: 10_000 }, (_, index) => nameOf("bench", `${index}`));
let next = 0;
for (const writers of [1, 64, 512]) {
  Deno.bench(`${writers} commits at once, to random ones of ${PARTITIONS} partitions`, async () => {
    await Promise.all(Array.from({ length: writers }, () => {
      const name = names[next++ % names.length]!;
      const envelope = new Uint8Array(ENVELOPE_BYTES);
      return entities.commit({ partition: partitionOf(name, PARTITIONS), name, envelope, expected: undefined });
    }));
  });
}
const placed = names.map((name) => ({ name, partition: partitionOf(name, PARTITIONS) }));
Deno.bench("read one entity", async () => {
  const { name, partition } = placed[next++ % placed.length]!;
  await entities.read(partition, name);
});
