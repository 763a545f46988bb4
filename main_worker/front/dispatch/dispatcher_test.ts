import assert from "assert";
import {
  BATCH_BYTES_MAX,
  BATCH_OPERATIONS_MAX,
  BATCH_OPERATIONS_MIN,
  BATCHES_IN_FLIGHT_MAX,
  QUEUE_BYTES_MAX,
  QUEUE_OPERATIONS_MAX,
  REQUEST_DEADLINE_MS,
  S3_BATCHES_IN_FLIGHT_MAX,
} from "../../../shared/limits.ts";
import { parseEntityKey } from "../../../shared/names.ts";
import { settled } from "../../../shared/seams/manual_clock.ts";
import type { OperationResult } from "../../../shared/wire/messages.ts";
import type { Answer } from "./dispatcher.ts";
import { dispatching, meta, routes, SCHEMA, stored } from "./testing.ts";

const KIB = 1024;
const found = (version: number): OperationResult => ({
  kind: "found",
  document: new Uint8Array([49]),
  meta: meta(version),
});
const retry = (reason: "not_owner" | "schema_unknown" | "response_full"): OperationResult => ({
  kind: "retry",
  reason,
});
const code = ({ outcome }: Answer) => outcome.kind === "failed" ? outcome.code : outcome.kind;

Deno.test("dispatcher: beside a batch that is under way only another one of a fair size goes", async () => {
  using d = dispatching(routes(1, "a"));
  const answers = [d.get("first")];
  await settled();
  for (let n = 0; n < BATCH_OPERATIONS_MIN - 1; n++) answers.push(d.get(`k${n}`));
  await settled();
  const sizes = () => d.workers.batches.map(({ request }) => request.operations.length);
  assert.deepEqual(sizes(), [1]);
  for (let n = 0; n < 4; n++) answers.push(d.get(`more-${n}`));
  await settled();
  assert.deepEqual(sizes(), [1, BATCH_OPERATIONS_MIN], "3 wait");
  d.workers.next().answer(found(1));
  await settled();
  assert.deepEqual(sizes(), [BATCH_OPERATIONS_MIN], "they are not worth a batch beside another");
  d.workers.next().answer(found(1));
  await settled();
  assert.deepEqual(sizes(), [3], "but alone they are");
  d.workers.next().answer(found(1));
  assert((await Promise.all(answers)).every((answer) => code(answer) === "found"));
});

Deno.test("dispatcher: at a bucket an operation goes at once, by itself, while few are under way, and then with a few others", async () => {
  using d = dispatching(routes(1, "a"), "bucket");
  const answers: Promise<Answer>[] = [];
  for (let n = 0; n < S3_BATCHES_IN_FLIGHT_MAX; n++) {
    answers.push(d.get(`k${n}`));
    if (n % 5 === 0) await settled();
  }
  await settled();
  const sizes = () => d.workers.batches.map(({ request }) => request.operations.length);
  assert.deepEqual(sizes(), Array(S3_BATCHES_IN_FLIGHT_MAX).fill(1));
  for (let n = 0; n < 2 * S3_BATCHES_IN_FLIGHT_MAX; n++) answers.push(d.get(`more-${n}`));
  await settled();
  assert.equal(sizes().length, S3_BATCHES_IN_FLIGHT_MAX);
  // Room for one: it takes its share of what waits.
  d.workers.next().answer(found(1));
  await settled();
  assert.equal(sizes().at(-1), 3);
  while (d.workers.batches.length > 0) {
    d.workers.next().answer(found(1));
    await settled();
  }
  assert((await Promise.all(answers)).every((answer) => code(answer) === "found"));
});

Deno.test("dispatcher: a batch is bounded in operations and bytes, and what is larger travels alone", async () => {
  using d = dispatching(routes(1, "a"));
  const answers = [d.get("x"), d.put("y")];
  await settled();
  d.workers.batches.splice(0).forEach((sent) => sent.answer(found(1)));
  await settled();
  for (let n = 0; n < 10 * BATCH_OPERATIONS_MAX; n++) answers.push(d.get(`k${n}`));
  await settled();
  assert.deepEqual(
    d.workers.batches.map(({ request }) => request.operations.length),
    Array(BATCHES_IN_FLIGHT_MAX).fill(BATCH_OPERATIONS_MAX),
  );
  const sizes = [300, 300, 300, 300, 2_000, 10];
  sizes.forEach((kib, n) => answers.push(d.put(`b${n}`, { payload: new Uint8Array(kib * KIB) })));
  await settled();
  const seen: number[][] = [];
  for (let sent = d.workers.batches.shift(); sent; sent = d.workers.batches.shift()) {
    const { operations } = sent.request;
    assert(operations.length <= BATCH_OPERATIONS_MAX);
    const bytes = operations.reduce((sum, { payload }) => sum + payload.byteLength, 0);
    assert(operations.length === 1 || bytes <= BATCH_BYTES_MAX);
    seen.push(operations.map(({ payload }) => payload.byteLength / KIB).filter((kib) => kib > 0));
    sent.answer((n) => operations[n]!.kind === "get" ? found(1) : stored(1));
    await settled();
  }
  assert.deepEqual(seen.flat(), sizes);
  assert.deepEqual(seen.find((kibs) => kibs.includes(2_000)), [2_000]);
  await Promise.all(answers);
});

Deno.test("dispatcher: templates go along once, count as bytes, and go alone where they don't fit", async () => {
  using d = dispatching(routes(1, "a"));
  const template = (n: number, bytes: number) => ({ hash: String(n).padStart(64, "0"), text: new Uint8Array(bytes) });
  const templates = [template(1, 700 * KIB), template(2, 700 * KIB), template(3, BATCH_BYTES_MAX), template(4, 10)];
  const answers: Promise<Answer>[] = [];
  for (let n = 0; n < 3; n++) {
    for (const t of templates) {
      const op = d.operations.make("put", SCHEMA, parseEntityKey(`k${n}-${t.hash}`), {
        payload: new Uint8Array(100 * KIB),
        schemaHash: t.hash,
      });
      answers.push(d.dispatcher.submit(op, t));
    }
  }
  await settled();
  const attached: string[] = [];
  const known = new Set<string>();
  for (let sent = d.workers.batches.shift(); sent; sent = d.workers.batches.shift()) {
    const { operations, schemas } = sent.request;
    const bytes = operations.reduce((sum, { payload }) => sum + payload.byteLength, 0) +
      [...schemas.values()].reduce((sum, text) => sum + text.byteLength, 0);
    assert(bytes <= BATCH_BYTES_MAX, `${bytes}`);
    for (const hash of schemas.keys()) {
      attached.push(hash);
      known.add(hash);
    }
    sent.answer((n) => known.has(operations[n]!.schemaHash) ? stored(1) : retry("schema_unknown"));
    await settled();
  }
  assert.deepEqual(attached.sort(), templates.map(({ hash }) => hash));
  assert((await Promise.all(answers)).every((answer) => code(answer) === "stored"));
});

Deno.test("dispatcher: a template that the worker lost is sent again", async () => {
  using d = dispatching(routes(1, "a"));
  const template = { hash: "f".repeat(64), text: new Uint8Array([123, 125]) };
  const submit = (name: string) =>
    d.dispatcher.submit(
      d.operations.make("put", SCHEMA, parseEntityKey(name), { schemaHash: template.hash }),
      template,
    );
  const first = submit("a");
  await settled();
  assert.equal(d.workers.batches[0]!.request.schemas.size, 1);
  d.workers.next().answer(stored(1));
  await first;
  const second = submit("b");
  await settled();
  assert.equal(d.workers.batches[0]!.request.schemas.size, 0);
  d.workers.next().answer(retry("schema_unknown"));
  await settled();
  assert.equal(d.workers.batches[0]!.request.schemas.size, 1);
  d.workers.next().answer(stored(1));
  assert.equal(code(await second), "stored");
});

Deno.test("dispatcher: writes on one entity leave one after the other, whatever happens to them; reads don't wait", async () => {
  using d = dispatching(routes(1, "a"));
  const answers = [d.put("k"), d.put("k"), d.put("k")];
  const read = d.get("k");
  await settled();
  assert.deepEqual(d.workers.batches.map(({ request }) => request.operations.map(({ kind }) => kind)), [[
    "put",
    "get",
  ]]);
  d.workers.next().answer((n) => n === 0 ? stored(1) : found(1));
  await read;
  const second = await settled().then(() => d.workers.next());
  assert.equal(second.request.operations.length, 1);
  second.fail("broken");
  await d.clock.advance(50);
  const again = d.workers.next();
  assert.equal(again.request.operations[0]!.opId, second.request.operations[0]!.opId);
  assert.equal(again.request.operations[0]!.attempt, 2);
  again.answer(stored(2));
  await settled();
  d.workers.next().answer(stored(3));
  assert.deepEqual((await Promise.all(answers)).map(code), ["stored", "stored", "stored"]);
});

Deno.test("dispatcher: a write that is given up while it waits behind another one lets nobody pass", async () => {
  using d = dispatching(routes(1, "a"));
  const put = (deadlineMs: number) =>
    d.dispatcher.submit(d.operations.make("put", SCHEMA, parseEntityKey("k"), {}), undefined, deadlineMs);
  const [first, second, third] = [put(60_000), put(1_000), put(60_000)];
  await d.clock.advance(1_200);
  assert.equal(code(await second), "no_worker");
  assert.equal(d.workers.batches.length, 1);
  d.workers.next().answer(stored(1));
  assert.equal(code(await first), "stored");
  await settled();
  d.workers.next().answer(stored(2));
  assert.equal(code(await third), "stored");
});

Deno.test("dispatcher: each call shows the token of the moment, and the connection to a worker that is out is closed", async () => {
  using d = dispatching(routes(1, "a"));
  const renewed = (token: string) => {
    const { workers, ...rest } = routes(1, "a");
    d.control.publish({ routes: { ...rest, workers: new Map([["a", { ...workers.get("a")!, token }]]) } });
  };
  for (const token of ["t", "renewed", "renewed again"]) {
    if (token !== "t") renewed(token);
    const read = d.get("k");
    await settled();
    const sent = d.workers.next();
    assert.equal(sent.token, token);
    sent.answer(found(1));
    await read;
  }
  assert.deepEqual(d.workers.closed, []);
  d.control.publish({ routes: routes(2, "b") });
  assert.deepEqual(d.workers.closed, ["a"]);
});

Deno.test("dispatcher: a partition that moves is waited for; what nobody can take is refused at once", async () => {
  using d = dispatching(routes(1, "moving"));
  const waiting = d.put("k");
  await d.clock.advance(3_000);
  assert.equal(d.dispatcher.parked, 1);
  d.control.publish({ routes: routes(2, "b") });
  await settled();
  const sent = d.workers.next();
  assert.deepEqual([sent.session, sent.request.epoch], ["b", 2]);
  sent.answer(stored(1));
  assert.equal(code(await waiting), "stored");
  d.control.publish({ routes: routes(3, "moving") });
  const parked = d.put("k2");
  d.control.publish({ routes: routes(4, "none") });
  assert.equal(code(await parked), "no_worker");
  assert.equal(code(await d.get("k")), "no_worker");
});

Deno.test("dispatcher: a worker that is out: what it was sent is tried at the next owner", async () => {
  using d = dispatching(routes(1, "a"));
  const write = d.put("k");
  await settled();
  const first = d.workers.next();
  const queued = d.get("other");
  d.control.publish({ routes: routes(2, "b") });
  await settled();
  const sent = d.workers.batches.splice(0);
  assert(sent.every(({ session }) => session === "b"));
  const operations = sent.flatMap(({ request }) => request.operations);
  assert.deepEqual(new Set(operations.map(({ kind, attempt }) => `${kind} ${attempt}`)), new Set(["put 2", "get 1"]));
  first.answer(stored(9));
  for (const batch of sent) batch.answer((n) => batch.request.operations[n]!.kind === "put" ? stored(1) : found(1));
  const { outcome } = await write;
  assert(outcome.kind === "stored" && outcome.meta.version === 1, "the late answer of the first is not taken");
  await queued;
});

Deno.test("dispatcher: an address where nobody listens is told to control, and nothing counts as sent", async () => {
  using d = dispatching(routes(1, "a"));
  const write = d.put("k");
  await settled();
  d.workers.next().fail("refused");
  await settled();
  assert.deepEqual(d.control.refused, ["a"]);
  d.control.publish({ routes: routes(2, "none") });
  assert.equal(code(await write), "no_worker", "it surely had no effect");
});

Deno.test("dispatcher: at its deadline an operation is answered: unsent with no_worker, sent with deadline", async () => {
  using d = dispatching(routes(1, "a"));
  const sent = [d.put("k"), d.get("k")];
  await settled();
  const longer = d.dispatcher.submit(d.operations.make("get", SCHEMA, parseEntityKey("z"), {}), undefined, 60_000);
  const [behind] = [d.put("k")];
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.deepEqual((await Promise.all(sent)).map(code), ["deadline", "deadline"]);
  assert.equal(code(await behind), "no_worker");
  assert.equal(d.dispatcher.depth, 1);
  await d.clock.advance(60_000);
  await longer;
  assert.equal(d.dispatcher.depth, 0);
});

Deno.test("dispatcher: a write without an answer keeps its slot unresolved until the worker says that its batch is over", async () => {
  using d = dispatching(routes(1, "a"));
  const name = d.operations.make("get", SCHEMA, parseEntityKey("k"), {}).name;
  const slot = d.coherence.slotOf(name);
  const write = d.put("k");
  await settled();
  assert.equal(d.coherence.stamp(slot), undefined);
  const sent = d.workers.next();
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.equal(code(await write), "deadline");
  sent.fail("deadline");
  await settled();
  assert.equal(d.dispatcher.unresolved, 1);
  assert.equal(d.coherence.stamp(slot), undefined);
  assert(d.control.floors.some(({ session, floor }) => session === "a" && floor > sent.request.seq), "it is asked for");
  d.control.publish({ finished: new Map([[`a/${d.dispatcher.id}`, sent.request.seq]]) });
  assert.equal(d.dispatcher.unresolved, 1, "the batch itself is not over yet");
  d.control.publish({ finished: new Map([[`a/${d.dispatcher.id}`, sent.request.seq + 1]]) });
  assert.equal(d.dispatcher.unresolved, 0);
  assert.notEqual(d.coherence.stamp(slot), undefined);
});

Deno.test("dispatcher: a write whose batch is over before its loss is known is resolved at once", async () => {
  using d = dispatching(routes(1, "a"));
  const slot = d.coherence.slotOf(d.operations.make("get", SCHEMA, parseEntityKey("k"), {}).name);
  const write = d.put("k");
  await settled();
  const sent = d.workers.next();
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.equal(code(await write), "deadline");
  d.control.publish({ finished: new Map([[`a/${d.dispatcher.id}`, sent.request.seq + 1]]) });
  assert.equal(d.coherence.stamp(slot), undefined);
  sent.fail("deadline");
  await settled();
  assert.equal(d.dispatcher.unresolved, 0);
  assert.notEqual(d.coherence.stamp(slot), undefined);
});

Deno.test("dispatcher: an answer that nobody knows what became of a write keeps its slot unresolved, too", async () => {
  using d = dispatching(routes(1, "a"));
  const slot = d.coherence.slotOf(d.operations.make("get", SCHEMA, parseEntityKey("k"), {}).name);
  const unknown: OperationResult = { kind: "failed", code: "deadline", message: "the disk failed" };
  const isOver = (seq: number) => d.control.publish({ finished: new Map([[`a/${d.dispatcher.id}`, seq + 1]]) });
  const write = d.put("k");
  await settled();
  const first = d.workers.next();
  first.answer(unknown);
  assert.deepEqual((await write).outcome, unknown);
  assert.equal(d.dispatcher.unresolved, 1);
  assert.equal(d.coherence.stamp(slot), undefined);
  assert(
    d.control.floors.some(({ session, floor }) => session === "a" && floor > first.request.seq),
    "it is asked for",
  );
  const next = d.put("k");
  await settled();
  const second = d.workers.next();
  second.answer(stored(2));
  assert.equal(code(await next), "stored", "the next write does not wait");
  assert.equal(d.coherence.stamp(slot), undefined);
  isOver(first.request.seq);
  assert.equal(d.dispatcher.unresolved, 0);
  assert.notEqual(d.coherence.stamp(slot), undefined);

  const late = d.put("k");
  await settled();
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.equal(code(await late), "deadline");
  const third = d.workers.next();
  third.answer(unknown);
  await settled();
  assert.equal(d.coherence.stamp(slot), undefined, "it comes after the client was answered");
  isOver(third.request.seq);
  assert.notEqual(d.coherence.stamp(slot), undefined);

  const read = d.get("k");
  await settled();
  d.workers.next().answer(unknown);
  assert.equal(code(await read), "deadline");
  assert.equal(d.dispatcher.unresolved, 0, "a read changes nothing");
});

Deno.test("dispatcher: a late answer, or a later owner, resolves a write that was answered as unknown", async () => {
  using d = dispatching(routes(1, "a"));
  const name = d.operations.make("get", SCHEMA, parseEntityKey("k"), {}).name;
  const slot = d.coherence.slotOf(name);
  const late = d.put("k");
  await settled();
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.equal(code(await late), "deadline");
  d.workers.next().answer(stored(1));
  await settled();
  assert.notEqual(d.coherence.stamp(slot), undefined);

  const lost = d.put("k");
  await settled();
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  await lost;
  d.control.publish({ routes: { ...routes(5, "moving"), takenEpochs: [1] } });
  assert.equal(d.coherence.stamp(slot), undefined);
  d.control.publish({ routes: routes(6, "b") });
  assert.notEqual(d.coherence.stamp(slot), undefined);
});

Deno.test("dispatcher: a worker that was out and is back is asked what it has finished", async () => {
  using d = dispatching(routes(1, "a"));
  const lost = d.put("k");
  await settled();
  const { seq } = d.workers.next().request;
  d.control.publish({ routes: { ...routes(2, "none"), takenEpochs: [1] } });
  await d.clock.advance(REQUEST_DEADLINE_MS + 200);
  assert.equal(code(await lost), "deadline");
  assert.equal(d.dispatcher.unresolved, 1);
  assert.deepEqual(d.control.floors, []);
  d.control.publish({ routes: { ...routes(3, "a"), takenEpochs: [1] } });
  assert.equal(d.dispatcher.unresolved, 1, "it took nothing from another one");
  assert.deepEqual(d.control.floors, [{ session: "a", floor: seq + 1 }]);
  d.control.publish({ finished: new Map([[`a/${d.dispatcher.id}`, seq + 1]]) });
  assert.equal(d.dispatcher.unresolved, 0);
});

Deno.test("dispatcher: a result may be cached only if no other write of its slot was under way", async () => {
  using d = dispatching(routes(1, "a"));
  const alone = d.put("k");
  await settled();
  d.workers.next().answer(stored(1));
  assert.notEqual((await alone).stamp, undefined);
  const write = d.put("k");
  const read = d.get("k");
  await settled();
  d.workers.next().answer((n) => n === 0 ? stored(2) : found(1));
  assert.equal((await read).stamp, undefined, "a read beside a write");
  await write;
});

Deno.test("dispatcher: too many, or too much, is refused as overloaded, also behind one busy entity", async () => {
  using d = dispatching(routes(1, "a"));
  const answers: Promise<Answer>[] = [];
  for (let n = 0; n < QUEUE_OPERATIONS_MAX; n++) answers.push(d.get(`k${n}`));
  assert.equal(code(await d.get("one-more")), "overloaded");
  d.dispatcher.close();
  await Promise.all(answers);

  using e = dispatching(routes(1, "a"));
  const payload = new Uint8Array(1024 * KIB);
  const writes: Promise<Answer>[] = [];
  let refused = 0;
  for (let n = 0; n < 100; n++) {
    writes.push(e.put("hot", { payload }).then((a) => (refused += code(a) === "overloaded" ? 1 : 0, a)));
  }
  await settled();
  assert(100 - refused <= QUEUE_BYTES_MAX / payload.byteLength, `${refused} refused`);
  assert(refused < 40);
  e.dispatcher.close();
  await Promise.all(writes);
});

Deno.test("dispatcher: not_owner is tried again when routes change or a moment has passed; response_full at once", async () => {
  using d = dispatching(routes(1, "a"));
  const read = d.get("k");
  await settled();
  d.workers.next().answer(retry("not_owner"));
  await settled();
  assert.equal(d.workers.batches.length, 0);
  await d.clock.advance(50);
  d.workers.next().answer(retry("response_full"));
  await settled();
  d.workers.next().answer(found(1));
  assert.equal(code(await read), "found");
});

Deno.test("dispatcher: reads that had no room in an answer go first, as many at a time as had room, and then more", async () => {
  using d = dispatching(routes(1, "a"));
  const reads = ["k1", "k2", "k3", "k4"].map((key) => d.get(key));
  await settled();
  const sent = () => d.workers.batches.map(({ request }) => request.operations.map(({ name }) => name));
  const [first] = sent();
  assert.equal(first!.length, 4);
  const more = Array.from({ length: BATCH_OPERATIONS_MIN - 1 }, (_, n) => d.get(`m${n}`));
  await settled();
  // Of four, the first and the third had room.
  d.workers.next().answer((n) => n % 2 === 0 ? found(1) : retry("response_full"));
  await settled();
  assert.deepEqual(sent(), [[first![1], first![3]]]);
  d.workers.next().answer((n) => n === 0 ? found(1) : retry("response_full"));
  await settled();
  assert.deepEqual(sent()[0], [first![3]]);
  const sizes: number[] = [];
  while (d.workers.batches.length > 0) {
    sizes.push(d.workers.batches[0]!.request.operations.length);
    d.workers.next().answer(found(1));
    await settled();
  }
  assert.equal(sizes[0], 1);
  assert(Math.max(...sizes) > 1);
  assert.equal(sizes.reduce((sum, size) => sum + size), 1 + more.length);
  assert.deepEqual((await Promise.all([...reads, ...more])).map(code), Array(4 + more.length).fill("found"));
});

Deno.test("dispatcher: an answer with the wrong number of results is no answer", async () => {
  using d = dispatching(routes(1, "a"));
  const write = d.put("k");
  await settled();
  const sent = d.workers.next();
  // As from a worker that answers garbage.
  (sent.request.operations as unknown as unknown[]).push({});
  sent.answer(stored(1));
  await d.clock.advance(50);
  const again = d.workers.next();
  assert.equal(again.request.operations[0]!.attempt, 2);
  again.answer(stored(1));
  assert.equal(code(await write), "stored");
});

Deno.test("dispatcher: operations that were twice in a batch without a good answer go alone, so that one of them cannot hold up the others", async () => {
  using d = dispatching(routes(1, "a"));
  const answers = ["x", "poison", "y"].map((key) => d.get(key));
  await settled();
  const late = d.get("late");
  await settled();
  d.workers.next().fail("broken");
  for (let n = 0; n < 20; n++) {
    await d.clock.advance(50);
    await settled();
    while (d.workers.batches.length > 0) {
      const batch = d.workers.next();
      const names = batch.request.operations.map(({ name }) => name);
      // The second time they go together, as after the loss of a worker.
      if (n === 0) assert.equal(batch.request.operations.filter(({ attempt }) => attempt === 2).length % 3, 0);
      else assert(names.length === 1 || !names.some((name) => name.endsWith("poison")), names.join());
      if (names.some((name) => name.endsWith("poison"))) batch.fail("broken");
      else batch.answer(found(1));
      await settled();
    }
  }
  assert.deepEqual((await Promise.all([answers[0]!, answers[2]!, late])).map(code), ["found", "found", "found"]);
  await d.clock.advance(REQUEST_DEADLINE_MS);
  assert.equal(code(await answers[1]!), "deadline");
});

Deno.test("dispatcher: that the second attempt changed nothing does not mean that of the first", async () => {
  for (const refusal of ["storage_unavailable", "overloaded"] as const) {
    using d = dispatching(routes(1, "a"));
    const unchanged: OperationResult = { kind: "failed", code: refusal, message: "" };
    const first = d.put("k");
    await settled();
    d.workers.next().answer(unchanged);
    assert.equal(code(await first), refusal);
    const second = d.put("k");
    await settled();
    d.workers.next().fail("broken");
    await d.clock.advance(50);
    const sent = d.workers.next();
    sent.answer(unchanged);
    assert.equal(code(await second), "deadline");
    assert.equal(d.dispatcher.unresolved, 1);
    d.control.publish({ finished: new Map([[`a/${d.dispatcher.id}`, sent.request.seq + 1]]) });
    assert.equal(d.dispatcher.unresolved, 0);
  }
});

Deno.test("dispatcher: batch numbers never repeat, and the floor is the oldest batch that is waited for", async () => {
  using d = dispatching(routes(1, "a", "b"));
  const answers = [d.get("k0")];
  const batch = async (name: string) => {
    for (let n = 0; n < BATCH_OPERATIONS_MIN; n++) answers.push(d.get(`${name}-${n}`));
    await settled();
  };
  await settled();
  await batch("k1");
  const [first, second] = d.workers.batches.splice(0);
  assert.deepEqual([first!.request.floor, second!.request.floor], [first!.request.seq, first!.request.seq]);
  first!.answer(found(1));
  await settled();
  await batch("k2");
  const third = d.workers.next();
  assert.equal(third.request.floor, second!.request.seq);
  assert(third.request.seq > second!.request.seq);
  second!.answer(found(1));
  third.answer(found(1));
  await Promise.all(answers);
});

Deno.test("dispatcher: closing answers everybody", async () => {
  const d = dispatching(routes(1, "a"));
  const answers = [d.put("k"), d.put("k"), d.get("k")];
  await settled();
  d.dispatcher.close();
  assert.deepEqual((await Promise.all(answers)).map(code), ["deadline", "no_worker", "deadline"]);
  assert.equal(code(await d.get("k")), "no_worker");
  assert.deepEqual(d.workers.closed, ["a"]);
  assert.equal(d.clock.timers, 0);
  // It hears of nothing any more.
  d.control.publish({ routes: routes(2, "b") });
  assert.deepEqual(d.dispatcher.lines(), []);
});
