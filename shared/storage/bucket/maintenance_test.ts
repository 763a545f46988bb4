import assert from "assert";
import { S3_MAINTENANCE_MS, S3_MAINTENANCE_SOON_MS } from "../../limits.ts";
import { ManualClock } from "../../seams/manual_clock.ts";
import { Maintenance } from "./maintenance.ts";
import type { MetaWriter } from "./meta.ts";
import type { ObjectClient, ObjectPage } from "./object_client.ts";
import type { Requests } from "./requests.ts";

/** A maintenance of a bucket without objects: when it walked, and how the listing of a walk is answered. */
function scheduled() {
  const clock = new ManualClock();
  const world = {
    clock,
    figures: { written: 0, dropped: 0 },
    /** Times of the walks. */
    walks: [] as number[],
    answer: (): Promise<ObjectPage> => Promise.resolve({ entries: [], next: undefined }),
  };
  const client = {
    list() {
      world.walks.push(clock.monotonic());
      return world.answer();
    },
  } as unknown as ObjectClient;
  const requests = {
    async run(_kind: string, attempt: (signal: AbortSignal) => Promise<unknown>, options: { signal: AbortSignal }) {
      return { value: await attempt(options.signal) };
    },
  } as unknown as Requests;
  const meta = { figures: world.figures, flush: () => Promise.resolve() } as unknown as MetaWriter;
  return {
    ...world,
    world,
    maintenance: new Maintenance({ client, requests, clock, partitions: 4 }, meta, () => true),
  };
}

Deno.test("the walk comes soon after a partition was taken, and then once in a long while", async () => {
  const { clock, walks, maintenance } = scheduled();
  await clock.advance(10 * S3_MAINTENANCE_SOON_MS);
  assert.deepEqual([walks.length, clock.timers], [0, 0], "nothing is owned yet");
  maintenance.start();
  await clock.advance(S3_MAINTENANCE_SOON_MS - 1);
  assert.equal(walks.length, 0);
  await clock.advance(1);
  assert.equal(walks.length, 1);
  await clock.advance(S3_MAINTENANCE_MS - 1);
  assert.equal(walks.length, 1);
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 2);
  await maintenance.close();
});

Deno.test("another partition that is taken brings the next walk near, and no second timer", async () => {
  const { clock, walks, maintenance } = scheduled();
  maintenance.start();
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 1);
  await clock.advance(S3_MAINTENANCE_SOON_MS / 2);
  maintenance.start();
  maintenance.start();
  assert.equal(clock.timers, 1);
  await clock.advance(S3_MAINTENANCE_SOON_MS - 1);
  assert.equal(walks.length, 1, "what its owner left may still be written");
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 2);
  await clock.advance(10 * S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 2);
  await maintenance.close();
});

Deno.test("metas that were dropped are made up for once no more are, and only once", async () => {
  const { clock, walks, figures, maintenance } = scheduled();
  maintenance.start();
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 1);
  for (let round = 0; round < 5; round++) {
    figures.dropped += 3;
    await clock.advance(S3_MAINTENANCE_SOON_MS);
    assert.equal(walks.length, 1, "the service has better things to do");
  }
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 2);
  await clock.advance(10 * S3_MAINTENANCE_SOON_MS);
  assert.equal(walks.length, 2);
  await maintenance.close();
});

Deno.test("a walk that fails is no error, and the next one comes at its time", async () => {
  const { clock, walks, world, maintenance } = scheduled();
  world.answer = () => Promise.reject(new Error("the service is away"));
  await maintenance.run();
  assert.equal(walks.length, 1);
  maintenance.start();
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  await clock.advance(S3_MAINTENANCE_MS);
  assert.equal(walks.length, 3);
  await maintenance.close();
});

Deno.test("there is one walk at a time; closing ends it and all later ones", async () => {
  const { clock, walks, world, maintenance } = scheduled();
  const { promise, resolve } = Promise.withResolvers<ObjectPage>();
  world.answer = () => promise;
  maintenance.start();
  await clock.advance(S3_MAINTENANCE_SOON_MS);
  const [one, two] = [maintenance.run(), maintenance.run()];
  assert.equal(walks.length, 1, "who asks meanwhile waits for the one that is under way");
  let closed = false;
  const closing = maintenance.close().then(() => closed = true);
  await clock.advance(0);
  assert.equal(closed, false, "what is under way ends first");
  // There would be more pages, but for the closing.
  resolve({ entries: [{ key: "files/s_k.enc", size: 1, etag: "e", modifiedMs: 0 }], next: "more" });
  await Promise.all([one, two, closing]);
  assert.equal(walks.length, 1);
  maintenance.start();
  await clock.advance(2 * S3_MAINTENANCE_MS);
  assert.deepEqual([walks.length, clock.timers], [1, 0]);
});
