import assert from "assert";
import {
  WATCH_BUFFER_EVENTS_MAX,
  WATCH_EVENTS_KEPT,
  WATCH_LINGER_MS,
  WATCHERS_MAX,
  WATCHERS_TOLD_PER_MS,
} from "../../../shared/limits.ts";
import { silentLogger } from "../../../shared/logging/logger.ts";
import { entityName, parseEntityKey, parseSchemaId, type Partition, partitionOf } from "../../../shared/names.ts";
import { ManualClock, settled } from "../../../shared/seams/manual_clock.ts";
import type { EntityEvent } from "../../../shared/wire/messages.ts";
import type { Routes } from "../../control/control.ts";
import type { Watch, WatchEvent } from "../entities.ts";
import { FakeControl, FakeWorkers, routes, SCHEMA, type Streaming } from "./testing.ts";
import { WatchHub } from "./watch_hub.ts";

function watching(first: Routes) {
  const clock = new ManualClock();
  const control = new FakeControl(first);
  const workers = new FakeWorkers();
  const clients = new Map<string, ReturnType<FakeWorkers["connect"]>>();
  const hub = new WatchHub({
    clock,
    log: silentLogger,
    control,
    client: (session) => {
      if (!clients.has(session)) clients.set(session, workers.connect(session));
      return clients.get(session);
    },
    id: "hub",
  });
  return { clock, control, workers, hub, [Symbol.dispose]: () => hub.close() };
}

/** Opens a watch whose streams open at once. */
async function open(
  { hub, workers }: ReturnType<typeof watching>,
  options: { prefix?: string; lastEventId?: string } = {},
): Promise<Reader> {
  const watch = hub.watch(SCHEMA, { prefix: "", ...options });
  await settled();
  for (const stream of workers.streams) stream.open();
  const opened = await watch;
  assert(!("kind" in opened));
  return new Reader(opened);
}

/** Takes what a watch has, without waiting. */
class Reader {
  readonly #events: AsyncIterator<readonly WatchEvent[]>;
  #next: Promise<IteratorResult<readonly WatchEvent[]>> | undefined;

  constructor(readonly watch: Watch) {
    this.#events = watch[Symbol.asyncIterator]();
  }

  async take(): Promise<(WatchEvent | "end")[]> {
    const taken: (WatchEvent | "end")[] = [];
    for (;;) {
      this.#next ??= this.#events.next();
      const result = await Promise.race([this.#next, settled()]);
      if (result === undefined) return taken;
      this.#next = undefined;
      if (result.done) return [...taken, "end"];
      taken.push(...result.value);
    }
  }
}

function event(key: string, version: number, schema = SCHEMA): EntityEvent {
  const name = entityName(schema, parseEntityKey(key));
  return { kind: "put", name, version, etag: `${version}-e`, partition: partitionOf(name, 1), epoch: 1 };
}

const kinds = (events: readonly (WatchEvent | "end")[]) =>
  events.map((e) => e === "end" ? e : e.kind === "reset" ? "reset" : `${e.key}@${e.version}`);
const last = ({ workers }: ReturnType<typeof watching>): Streaming => workers.streams.at(-1)!;

/** The only watcher sees k@1 and goes. @returns the id that it saw. */
async function seenAndGone(w: ReturnType<typeof watching>): Promise<string> {
  const reader = await open(w);
  last(w).emit(event("k", 1));
  const [seen] = await reader.take();
  reader.watch.close();
  return (seen as WatchEvent).sequence;
}

Deno.test("watch: events of all workers, of this schema and prefix only, numbered in one sequence", async () => {
  using w = watching(routes(1, "a", "b"));
  const all = await open(w);
  const some = await open(w, { prefix: "x" });
  const [a, b] = w.workers.streams;
  a!.emit(event("x1", 1));
  b!.emit(event("y1", 1));
  a!.emit(event("x1", 1, parseSchemaId("other")));
  b!.emit({ ...event("x1", 2), kind: "delete" });
  const seen = await all.take();
  assert.deepEqual(kinds(seen), ["x1@1", "y1@1", "x1@2"]);
  assert.equal(new Set(seen.map((e) => e !== "end" && e.sequence)).size, 3);
  assert.deepEqual(kinds(await some.take()), ["x1@1", "x1@2"]);
  assert.equal(w.workers.streams.length, 2, "one stream a worker, however many watch");
});

Deno.test("watch: what an earlier owner of the partition did, told after a later one was heard, is not told: list again", async () => {
  using w = watching(routes(1, "a", "b"));
  const reader = await open(w);
  const [a, b] = w.workers.streams;
  a!.emit(event("k", 1));
  b!.emit({ ...event("k", 3), epoch: 2 });
  assert.deepEqual(kinds(await reader.take()), ["k@1", "k@3"]);
  a!.emit(event("k", 2));
  const [reset] = await reader.take();
  assert.equal((reset as WatchEvent).kind, "reset");
  // Who has listed since then knows whatever else comes late, and the next one is told.
  a!.emit({ ...event("k", 2), kind: "delete" });
  a!.emit({ ...event("x", 1), partition: 1 as Partition });
  b!.emit({ ...event("k", 4), epoch: 2 });
  assert.deepEqual(kinds(await reader.take()), ["x@1", "k@4"]);
  const back = await open(w, { lastEventId: (reset as WatchEvent).sequence });
  assert.deepEqual(kinds(await back.take()), ["x@1", "k@4"]);
});

Deno.test("watch: what comes late is said once for each owner that was heard before it", async () => {
  using w = watching(routes(1, "a", "b", "c"));
  const reader = await open(w);
  const [a, b, c] = w.workers.streams;
  b!.emit({ ...event("k", 2), epoch: 2 });
  a!.emit(event("k", 1));
  c!.emit({ ...event("k", 4), epoch: 3 });
  b!.emit({ ...event("k", 3), epoch: 2 });
  a!.emit(event("k", 1));
  c!.emit({ ...event("k", 5), epoch: 3 });
  assert.deepEqual(kinds(await reader.take()), ["k@2", "reset", "k@4", "reset", "k@5"]);
});

Deno.test("watch: streams are open only while somebody watches, and for a while after that", async () => {
  using w = watching(routes(1, "a"));
  assert.equal(w.workers.streams.length, 0);
  const reader = await open(w);
  reader.watch.close();
  assert.equal(w.hub.watchers, 0);
  await w.clock.advance(WATCH_LINGER_MS - 1);
  assert(!last(w).signal.aborted);
  await w.clock.advance(1);
  assert(last(w).signal.aborted);
});

Deno.test("watch: who comes back gets what was missed, or a reset when that is not known any more", async () => {
  using w = watching(routes(1, "a"));
  const reader = await open(w);
  last(w).emit(event("k", 1));
  const [first] = await reader.take();
  last(w).emit(event("k", 2));
  last(w).emit(event("k", 3));
  const id = (first as WatchEvent).sequence;
  assert.deepEqual(kinds(await (await open(w, { lastEventId: id })).take()), ["k@2", "k@3"]);
  for (const unknown of ["another-1", "hub-99", "hub-x", "nonsense", ""]) {
    assert.deepEqual(kinds(await (await open(w, { lastEventId: unknown })).take()), ["reset"], unknown);
  }
  for (let n = 0; n < 2 * WATCH_EVENTS_KEPT; n++) {
    last(w).emit(event("k", n));
    if (n % 500 === 0) await reader.take();
  }
  assert.deepEqual(kinds(await (await open(w, { lastEventId: id })).take()), ["reset"]);
});

Deno.test("watch: who comes back with the newest id has missed nothing, whatever it names", async () => {
  using w = watching(routes(1, "a"));
  const reader = await open(w);
  const again = async (): Promise<(WatchEvent | "end")[]> => {
    const lastEventId = (await reader.take()).map((e) => e === "end" ? e : e.sequence).at(-1)!;
    return await (await open(w, { lastEventId })).take();
  };
  last(w).emit(event("k", 1));
  last(w).emit(event("k", 2));
  assert.deepEqual(await again(), []);
  last(w).break();
  await w.clock.advance(100);
  last(w).open();
  assert.deepEqual(await again(), [], "the reset itself was told");
  last(w).emit(event("k", 3));
  assert.deepEqual(await again(), []);
  w.hub.close();
  assert.deepEqual([kinds(await reader.take()), w.clock.timers], [["end"], 0]);
});

Deno.test("watch: the only one that watched comes back soon and gets what was missed, or late and lists again", async () => {
  using w = watching(routes(1, "a"));
  const lastEventId = await seenAndGone(w);
  last(w).emit(event("k", 2));
  await w.clock.advance(WATCH_LINGER_MS - 1);
  const again = await open(w, { lastEventId });
  assert.deepEqual(kinds(await again.take()), ["k@2"]);
  // What went on before does not end what is watched now.
  await w.clock.advance(WATCH_LINGER_MS);
  last(w).emit(event("k", 3));
  assert.deepEqual(kinds(await again.take()), ["k@3"]);
  again.watch.close();
  await w.clock.advance(WATCH_LINGER_MS);
  assert.deepEqual(kinds(await (await open(w, { lastEventId })).take()), ["reset"]);
});

Deno.test("watch: what a worker did before its stream was open is a reset, also for who comes back, and while nobody watches", async () => {
  for (const comesBackFirst of [false, true]) {
    using w = watching(routes(1, "a"));
    const lastEventId = await seenAndGone(w);
    w.control.publish({ routes: routes(2, "a", "b") });
    await settled();
    if (!comesBackFirst) last(w).open();
    await settled();
    assert.deepEqual(kinds(await (await open(w, { lastEventId })).take()), ["reset"]);
  }
});

Deno.test("watch: when the only one is cut off, workers that come are followed nevertheless", async () => {
  using w = watching(routes(1, "a"));
  const reader = await open(w);
  for (let n = 0; n <= WATCH_BUFFER_EVENTS_MAX; n++) last(w).emit(event("k", n));
  assert.equal(w.hub.watchers, 0);
  const streams = w.workers.streams.length;
  w.control.publish({ routes: routes(2, "a", "b") });
  await settled();
  assert.equal(w.workers.streams.length, streams + 1);
  reader.watch.close();
  await w.clock.advance(WATCH_LINGER_MS);
  assert(w.workers.streams.every(({ signal }) => signal.aborted));
});

Deno.test("watch: as many as are kept can be caught up with, and what comes meanwhile follows", async () => {
  using w = watching(routes(1, "a"));
  const lastEventId = await seenAndGone(w);
  for (let n = 2; n <= WATCH_EVENTS_KEPT + 1; n++) last(w).emit(event("k", n));
  const again = await open(w, { lastEventId });
  last(w).emit(event("k", WATCH_EVENTS_KEPT + 2));
  const pieces = again.watch[Symbol.asyncIterator]();
  const seen: WatchEvent[] = [];
  while (seen.length <= WATCH_EVENTS_KEPT) {
    const { value } = await pieces.next();
    assert.ok(value.length <= WATCH_BUFFER_EVENTS_MAX, `${value.length} at once`);
    seen.push(...value);
  }
  const expected = Array.from({ length: WATCH_EVENTS_KEPT + 1 }, (_, n) => `k@${n + 2}`);
  assert.deepEqual(kinds(seen), expected);
});

Deno.test("watch: a reader that is too slow is cut off at its bound, the others go on", async () => {
  using w = watching(routes(1, "a"));
  const slow = await open(w);
  const quick = await open(w);
  for (let n = 0; n <= WATCH_BUFFER_EVENTS_MAX; n++) {
    last(w).emit(event("k", n));
    if (n % 100 === 0) await quick.take();
  }
  const seen = await slow.take();
  assert.equal(seen.length, WATCH_BUFFER_EVENTS_MAX + 1);
  assert.equal(seen.at(-1), "end");
  last(w).emit(event("k", 7));
  assert.deepEqual(kinds(await quick.take()).at(-1), "k@7");
});

Deno.test("watch: many are told in turns, each of all that it has by then; who falls far behind is told at once", async () => {
  using w = watching(routes(1, "a"));
  const many = await Promise.all(Array.from({ length: 3 * WATCHERS_TOLD_PER_MS }, () => open(w)));
  const told = async () => {
    const events = await Promise.all(many.map((reader) => reader.take()));
    return events.filter(({ length }) => length > 0).map(({ length }) => length);
  };
  await told();
  last(w).emit(event("k", 1));
  last(w).emit(event("k", 2));
  assert.deepEqual(await told(), []);
  await w.clock.advance(1);
  assert.deepEqual(await told(), Array(WATCHERS_TOLD_PER_MS).fill(2));
  last(w).emit(event("k", 3));
  await w.clock.advance(1);
  assert.deepEqual(await told(), Array(WATCHERS_TOLD_PER_MS).fill(3));
  await w.clock.advance(2);
  assert.deepEqual((await told()).sort(), [
    ...Array(WATCHERS_TOLD_PER_MS).fill(1),
    ...Array(WATCHERS_TOLD_PER_MS).fill(3),
  ]);
  for (let n = 0; n < WATCH_BUFFER_EVENTS_MAX / 2; n++) last(w).emit(event("k", 4 + n));
  assert.deepEqual(await told(), Array(3 * WATCHERS_TOLD_PER_MS).fill(WATCH_BUFFER_EVENTS_MAX / 2));
  await w.clock.advance(3);
  assert.equal(w.clock.timers, 0);
});

Deno.test("watch: a stream that broke is opened again, and everybody lists again", async () => {
  using w = watching(routes(1, "a"));
  const reader = await open(w);
  last(w).emit(event("k", 1));
  const [seen] = await reader.take();
  last(w).break();
  await w.clock.advance(100);
  assert.equal(w.workers.streams.length, 2);
  last(w).open();
  last(w).emit(event("k", 5));
  assert.deepEqual(kinds(await reader.take()), ["reset", "k@5"]);
  assert.deepEqual(kinds(await (await open(w, { lastEventId: (seen as WatchEvent).sequence })).take()), ["reset"]);
});

Deno.test("watch: a worker that is out may have told too little: a reset", async () => {
  using w = watching(routes(1, "a", "b"));
  const reader = await open(w);
  w.control.publish({ routes: routes(2, "b", "b") });
  await w.clock.advance(0);
  assert.deepEqual(kinds(await reader.take()), ["reset"]);
});

Deno.test("watch: a worker that joins is followed; what it may have done before its stream opened is a reset", async () => {
  using w = watching(routes(1, "a", "a"));
  const reader = await open(w);
  const joining = routes(2, "a", "b");
  w.control.publish({ routes: { ...joining, owners: routes(2, "a", "moving").owners } });
  await settled();
  assert.equal(w.workers.streams.length, 2);
  last(w).open();
  assert.deepEqual(kinds(await reader.take()), [], "it owned nothing yet");

  w.control.publish({ routes: routes(3, "a", "c") });
  await w.clock.advance(0);
  await reader.take();
  last(w).break();
  await w.clock.advance(100);
  last(w).open();
  assert.deepEqual(kinds(await reader.take()), ["reset"], "it owned a partition while its first stream failed");
});

Deno.test("watch: a worker whose stream does not open delays a watch only for a while", async () => {
  using w = watching(routes(1, "a"));
  const watch = w.hub.watch(SCHEMA, { prefix: "" });
  await w.clock.advance(1_999);
  await w.clock.advance(1);
  const opened = await watch;
  assert(!("kind" in opened));
  const reader = new Reader(opened);
  last(w).open();
  assert.deepEqual(kinds(await reader.take()), ["reset"]);
});

Deno.test("watch: there are not more watchers than the bound; closing ends them all", async () => {
  using w = watching(routes(1, "a"));
  const readers = await Promise.all(Array.from({ length: WATCHERS_MAX }, () => open(w)));
  const refused = await w.hub.watch(SCHEMA, { prefix: "" });
  assert("kind" in refused && refused.code === "overloaded");
  w.hub.close();
  assert.deepEqual(await readers[0]!.take(), ["end"]);
  assert.equal(w.hub.watchers, 0);
  assert(last(w).signal.aborted);
  w.control.publish({ routes: routes(2, "a", "b") });
  await settled();
  assert.equal(w.workers.streams.length, 1, "it follows nobody any more");
  assert.equal(w.clock.timers, 0);
});
