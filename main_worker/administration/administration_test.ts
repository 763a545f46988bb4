import assert from "assert";
import { readMainWorkerCommand } from "../../shared/config/main_worker.ts";
import { silentLogger } from "../../shared/logging/logger.ts";
import { parseSchemaId } from "../../shared/names.ts";
import { StorageError, type Store } from "../../shared/storage/store.ts";
import type { Snapshot, WorkerView } from "../control/control.ts";
import type { ControlPlane } from "../control/control_plane.ts";
import type { Front } from "../front/front.ts";
import { isFailure } from "../front/rest/admin_operations.ts";
import { type Administration, createAdministration } from "./administration.ts";
import { bodyOf, collect, keys, MemoryDatabase, MemoryShelf, PARTITIONS } from "./testing.ts";

const never = new AbortController().signal;
const WORKER: WorkerView = {
  workerId: "w",
  status: "Available",
  keyId: "k1",
  lastSeenMs: 0,
  tags: {},
  activeRequests: 0,
  partitions: [],
  cache: { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 },
  storage: { syncs: 4, syncMicroseconds: 8_000, logBytes: 0, dirtyEntities: 0, dirtyBytes: 0, checkpoints: 0 },
};

interface World {
  readonly administration: Administration;
  readonly database: MemoryDatabase;
  readonly shelf: MemoryShelf;
  workers: WorkerView[];
  unserved: { partition: number; sinceMs: number; reason?: string }[];
  owners: Snapshot["routes"]["owners"];
}

function world(flags: string[] = [], kind: "directory" | "bucket" = "directory", generatedKey = false): World {
  const command = readMainWorkerCommand(flags, { get: () => undefined });
  assert(command.kind === "config");
  const database = new MemoryDatabase(keys(["k1", 1]));
  const shelf = new MemoryShelf();
  const control = {
    snapshot: () => ({ ...database.snapshot(), routes: { owners: made.owners } }),
    workers: () => made.workers,
    unserved: () => made.unserved,
    putSchema: database.putSchema.bind(database),
    restoreApiKeys: database.restoreApiKeys.bind(database),
  } as unknown as ControlPlane;
  const front = {
    dispatcher: database,
    operations: database.operations,
    lister: database,
  } as unknown as Front;
  const listing = kind === "directory" ? "owners" : "store";
  const made: World = {
    database,
    shelf,
    workers: [WORKER],
    unserved: [],
    owners: Array.from({ length: PARTITIONS }, () => ({ session: "s", epoch: 1 })),
    administration: createAdministration({
      control,
      front,
      store: { kind, id: "0".repeat(32), partitions: PARTITIONS, listing, auth: shelf } as unknown as Store,
      config: command.config,
      keyId: "k1",
      generatedKey,
      clock: database.clock,
      log: silentLogger,
      countAction() {},
      cacheFigures: () => ({ entries: 1, bytes: 10, hits: 3, misses: 1, evictions: 0 }),
      version: "1.2.3",
    }),
  };
  return made;
}

async function codes({ administration }: World): Promise<string[]> {
  return (await administration.stats()).warnings.map(({ code }) => code);
}

Deno.test("statistics: where, under which key, how the cache does, how long syncs take, and no secret", async () => {
  const stats = await world(["-admin-key=hidden-1234567890", `-master-key=${"ab".repeat(32)}`]).administration.stats();
  assert.deepEqual([stats.storage.kind, stats.storage.location, stats.key_id], ["directory", "./data/db", "k1"]);
  assert.equal(stats.cache.hit_ratio, 0.75);
  assert.deepEqual(stats.sync, { mean_ms: 2, syncs: 4 });
  assert.doesNotMatch(JSON.stringify(stats), /hidden|abab/);
  const bucket = await world(["-s3-endpoint=h:1", "-s3-access-key=a", "-s3-secret-key=hidden"], "bucket").administration
    .stats();
  assert.deepEqual([bucket.storage.location, bucket.sync], ["h:1/deltadatabase", { mean_ms: null, syncs: null }]);
  assert.doesNotMatch(JSON.stringify(bucket), /hidden/);
});

Deno.test("warnings say what an operator should know", async () => {
  const quiet = world(["-admin-key=a-long-enough-key"]);
  assert.deepEqual(await codes(quiet), []);
  assert.deepEqual(await codes(world([], "directory", true)), ["dev_mode", "generated_master_key"]);
  quiet.unserved = Array.from(
    { length: 10 },
    (_, partition) => ({ partition, sinceMs: 1_700_000_000_000, reason: "held" }),
  );
  const [unserved] = (await quiet.administration.stats()).warnings;
  assert.match(unserved!.message, /^10 of 4 partitions have no owner \(0, 1, 2, 3, 4, 5, 6, 7, …\): held\.$/);
  assert.equal(unserved!.since, new Date(1_700_000_000_000).toISOString());
  quiet.workers = [{ ...WORKER, status: "Unavailable" }];
  assert.deepEqual(await codes(quiet), ["no_worker"]);
  quiet.workers = [WORKER];
  quiet.unserved = [];
  for (let i = 0; i < 50; i++) {
    quiet.database.templates.set(parseSchemaId(`s${i}`), { hash: "", text: new Uint8Array(), invalid: "it is none" });
  }
  const many = (await quiet.administration.stats()).warnings;
  assert.equal(many.length, 21);
  assert.match(many.at(-1)!.message, /^30 more templates/);
});

Deno.test("a backup needs a worker where owners list, and none where the store does", async () => {
  const directory = world();
  directory.owners = Array.from({ length: PARTITIONS }, () => "none" as const);
  const refused = await directory.administration.backup(never);
  assert(isFailure(refused) && refused.code === "no_worker");
  const bucket = world(["-s3-endpoint=h:1", "-s3-access-key=a", "-s3-secret-key=b"], "bucket");
  await bucket.database.put("a", "k", "1");
  bucket.owners = directory.owners;
  const chunks = await bucket.administration.backup(never);
  assert(!isFailure(chunks));
  assert.match(new TextDecoder().decode(await collect(chunks)), /"kind":"end","entities":1/);
});

Deno.test("from one database into another, and a store that takes no mark", async () => {
  const from = world();
  await from.database.put("a", "k", "1");
  const chunks = await from.administration.backup(never);
  assert(!isFailure(chunks));
  const to = world();
  const lines = await Array.fromAsync(to.administration.restore(bodyOf(await collect(chunks)), "skip", never));
  assert.deepEqual([lines.at(-1)!.status, to.database.envelopes.size], ["done", 1]);
  to.shelf.put = () => Promise.reject(new StorageError("unavailable", "full"));
  const failed = await to.administration.startRewrap();
  assert(isFailure(failed) && failed.code === "storage_unavailable");
  assert.equal((await to.administration.rewrapProgress()).status, "failed");
});
