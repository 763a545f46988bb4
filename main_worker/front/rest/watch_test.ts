import assert from "assert";
import { WATCHERS_MAX } from "../../../shared/limits.ts";
import { failure } from "../../../shared/outcome.ts";
import { createHarness, type Harness } from "./testing.ts";

/** Reads an event stream piece by piece. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();

  constructor(response: Response) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    this.#reader = response.body!.getReader();
  }

  /** The next piece; `undefined` at the end. */
  async next(): Promise<string | undefined> {
    const { done, value } = await this.#reader.read();
    return done ? undefined : this.#decoder.decode(value);
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

async function open(harness: Harness, path = "/watch/s", key?: string, headers = {}): Promise<Reader> {
  const reader = new Reader(
    await harness.send("GET", path, { ...(key === undefined ? {} : { key }), headers }),
  );
  assert.equal(await reader.next(), ": watching\n\n");
  return reader;
}

/** Nothing of a watch may be left behind. */
function assertClosed({ entities, statistics, control, clock }: Harness): void {
  // The timer of bodies, of the writes before, goes by itself.
  clock.pass(30_000);
  assert.deepEqual(
    [entities.watches.size, statistics.watchers, control.listeners, clock.timers],
    [0, 0, 0, 0],
  );
}

Deno.test("each acknowledged write is an event, with the prefix that was asked for", async () => {
  const harness = await createHarness();
  const reader = await open(harness, "/watch/s?prefix=a");
  await harness.send("PUT", "/entity/s?key=b", { body: "1" });
  await harness.send("PUT", "/entity/other?key=a", { body: "1" });
  const etag = (await harness.send("PUT", "/entity/s?key=a%22", { body: "1" })).headers.get(
    "etag",
  );
  assert.equal(
    await reader.next(),
    `event: put\nid: 3\ndata: {"key":"a\\"","version":1,"etag":${etag}}\n\n`,
  );
  await harness.send("DELETE", "/entity/s?key=a%22");
  assert.equal(
    await reader.next(),
    `event: delete\nid: 4\ndata: {"key":"a\\"","version":1,"etag":${etag}}\n\n`,
  );
  await reader.cancel();
  assertClosed(harness);
});

Deno.test("a watch that resumes from too far back begins with a reset", async () => {
  const harness = await createHarness();
  await harness.send("PUT", "/entity/s?key=a", { body: "1" });
  const resumed = await open(harness, "/watch/s", undefined, { "last-event-id": "1" });
  const lost = await open(harness, "/watch/s", undefined, { "last-event-id": "long-ago" });
  assert.equal(await lost.next(), "event: reset\nid: 1\ndata: {}\n\n");
  await harness.send("PUT", "/entity/s?key=a", { body: "2" });
  assert.match((await resumed.next())!, /^event: put\nid: 2\n/);
  await resumed.cancel();
  await lost.cancel();
  for (const id of ["a b", "x".repeat(129)]) {
    const response = await harness.send("GET", "/watch/s", { headers: { "last-event-id": id } });
    assert.deepEqual([response.status, (await response.json()).code], [400, "bad_request"]);
  }
  assertClosed(harness);
});

Deno.test("a comment comes after 15 s of silence, but none to a client that reads nothing", async () => {
  const harness = await createHarness();
  const reader = await open(harness);
  const comment = reader.next();
  harness.clock.pass(14_999);
  harness.clock.pass(1);
  assert.equal(await comment, ": still here\n\n");
  const another = reader.next();
  harness.clock.pass(15_000);
  assert.equal(await another, ": still here\n\n");
  harness.clock.pass(59_999);
  assert.equal(await reader.next(), ": still here\n\n");
  const late = reader.next();
  await harness.send("PUT", "/entity/s?key=a", { body: "1" });
  assert.match((await late)!, /^event: put/);
  await reader.cancel();
  assertClosed(harness);
});

Deno.test("a comment comes 15 s after the last event, not after the last comment", async () => {
  const harness = await createHarness();
  const reader = await open(harness);
  harness.clock.pass(14_000);
  const put = reader.next();
  await harness.send("PUT", "/entity/s?key=a", { body: "1" });
  assert.match((await put)!, /^event: put/);
  const comment = reader.next();
  harness.clock.pass(14_999);
  assert.equal(await Promise.race([comment, Promise.resolve("nothing")]), "nothing");
  harness.clock.pass(1);
  assert.equal(await comment, ": still here\n\n");
  await reader.cancel();
  assertClosed(harness);
});

Deno.test("a client that takes nothing for 60 s is cut off, however long it was quick before", async () => {
  const harness = await createHarness();
  const reader = await open(harness);
  for (let i = 0; i < 10; i++) {
    const comment = reader.next();
    harness.clock.pass(15_000);
    assert.equal(await comment, ": still here\n\n");
  }
  harness.clock.pass(60_000);
  assert.equal(harness.entities.watches.size, 1);
  harness.clock.pass(15_000);
  assertClosed(harness);
  await assert.rejects(reader.next(), /takes nothing/);
});

Deno.test("what has come together goes out together", async () => {
  const harness = await createHarness();
  const reader = await open(harness);
  await harness.send("PUT", "/entity/s?key=a", { body: "1" });
  for (const key of ["b", "c"]) await harness.send("PUT", `/entity/s?key=${key}`, { body: "1" });
  const keys = (piece: string | undefined) => [...(piece ?? "").matchAll(/"key":"(.)"/g)].map(([, key]) => key);
  assert.deepEqual(keys(await reader.next()), ["a"]);
  assert.deepEqual(keys(await reader.next()), ["b", "c"]);
  await reader.cancel();
  assertClosed(harness);
});

Deno.test("a watch ends at once when its key is revoked, and not when another one is", async () => {
  const harness = await createHarness();
  const mine = await harness.key(["read"]);
  const other = await harness.key(["read"]);
  const [first, second] = harness.control.snapshot().credentials.apiKeys;
  const reader = await open(harness, "/watch/s", mine);
  const login = await harness.send("POST", "/api/login", { key: null, body: JSON.stringify({ key: mine }) });
  const session = await open(harness, "/watch/s", (await login.json()).token);
  const stays = await open(harness, "/watch/s", other);
  await harness.send("DELETE", `/api/keys/${first!.id}`);
  assert.equal(await reader.next(), undefined);
  assert.equal(await session.next(), undefined);
  assert.equal(harness.entities.watches.size, 1);
  await harness.send("DELETE", `/api/keys/${second!.id}`);
  assert.equal(await stays.next(), undefined);
  assertClosed(harness);
});

Deno.test("a watch ends when its session does, however long that takes", async () => {
  const harness = await createHarness();
  const { send, clock } = harness;
  const token = (await (await send("POST", "/api/login", { key: null, body: '{"key":"the-admin-key"}' })).json()).token;
  clock.pass(60_000);
  const reader = await open(harness, "/watch/s", token);
  for (let ms = 60_000; ms < 24 * 3_600_000 - 15_000; ms += 15_000) {
    clock.pass(15_000);
    assert.equal(await reader.next(), ": still here\n\n");
  }
  clock.pass(14_999);
  assert.equal(harness.entities.watches.size, 1);
  clock.pass(1);
  assert.equal(await reader.next(), undefined);
  assertClosed(harness);
});

Deno.test("watches end when the server shuts down, and when the service ends them", async () => {
  const harness = await createHarness();
  const reader = await open(harness);
  [...harness.entities.watches][0]!.close();
  assert.equal(await reader.next(), undefined);
  const another = await open(harness);
  harness.stop.abort();
  assert.equal(await another.next(), undefined);
  assert.equal((await harness.send("GET", "/watch/s")).status, 503);
  assertClosed(harness);
});

Deno.test("there is a most of watches; HEAD leaves none open", async () => {
  const harness = await createHarness();
  for (let i = 0; i < WATCHERS_MAX; i++) harness.statistics.watchOpened();
  const response = await harness.send("GET", "/watch/s");
  assert.deepEqual([response.status, (await response.json()).code], [503, "overloaded"]);
  for (let i = 0; i < WATCHERS_MAX; i++) harness.statistics.watchClosed();
  assert.equal((await harness.send("HEAD", "/watch/s")).status, 200);
  assertClosed(harness);
  harness.entities.fault = () => failure("no_worker", "nobody serves");
  assert.equal((await harness.send("GET", "/watch/s")).status, 503);
  assertClosed(harness);
});
