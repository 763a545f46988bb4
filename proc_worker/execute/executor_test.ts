import assert from "assert";
import { BATCH_BYTES_MAX, BATCH_VIOLATIONS_CHARS_MAX, PATCH_TURNS, VIOLATIONS_CHARS_MAX } from "../../shared/limits.ts";
import { templateHash } from "../../shared/schema/compiled_schemas.ts";
import type { Validator } from "../../shared/schema/validator.ts";
import { settled } from "../../shared/seams/manual_clock.ts";
import { StorageError } from "../../shared/storage/store.ts";
import type { OperationResult } from "../../shared/wire/messages.ts";
import { bytes, executing, executingOn, keyring, MemoryEntities, nameOf, P0, text } from "./testing.ts";

function summary(result: OperationResult): string {
  switch (result.kind) {
    case "found":
      return `found ${text(result.document)} v${result.meta.version}`;
    case "stored":
    case "not_modified":
      return `${result.kind} v${result.meta.version}`;
    case "deleted":
      return `deleted ${result.existed}`;
    case "failed":
      return result.code;
    case "retry":
      return `retry ${result.reason}`;
    case "valid":
      return "valid";
  }
}

function etag(result: OperationResult): string {
  assert("meta" in result, summary(result));
  return result.meta.etag;
}

Deno.test("executor: put, get, patch, delete, and what a watcher is told", async () => {
  const e = await executing();
  const seen = e.watch();
  assert.equal(summary(await e.get("k")), "not_found");
  assert.equal(summary(await e.put("k", '{"n":1.10}')), "stored v1");
  assert.equal(summary(await e.get("k")), 'found {"n":1.10} v1');
  assert.equal(summary(await e.run(e.op("patch", "k", { payload: bytes('{"m":2}') }))), "stored v2");
  assert.equal(summary(await e.get("k")), 'found {"n":1.10,"m":2} v2');
  assert.equal(summary(await e.run(e.op("delete", "k"))), "deleted true");
  assert.equal(summary(await e.get("k")), "not_found");
  assert.equal(summary(await e.run(e.op("delete", "k"))), "deleted false");
  assert.equal(summary(await e.run(e.op("patch", "k", { payload: bytes("{}") }))), "not_found");
  assert.equal(summary(await e.get("k")), "not_found");
  assert.deepEqual(seen.map(({ kind, version }) => `${kind} ${version}`), ["put 1", "put 2", "delete 2"]);
  assert.equal(summary(await e.put("k", "1")), "stored v1");
});

Deno.test("executor: an event names the epoch under which its operation began, also when the next one is granted meanwhile", async () => {
  const e = await executing();
  const seen = e.watch();
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  e.entities.beforeCommit = () => goOn;
  const first = e.put("k", "1");
  await e.clock.advance(0);
  e.ownership.assign(7, [{ partition: P0, epoch: 7 }]);
  resolve();
  assert.equal(summary(await first), "stored v1");
  await e.clock.advance(0);
  assert.equal(summary(await e.run(e.op("delete", "k"))), "retry not_owner");
  const [result] = await e.batch([e.op("delete", "k")], { epoch: 7 });
  assert.equal(summary(result!), "deleted true");
  assert.deepEqual(seen.map(({ kind, partition, epoch }) => [kind, partition, epoch]), [["put", P0, 1], [
    "delete",
    P0,
    7,
  ]]);
});

Deno.test("executor: what is stored is an envelope, and nothing else", async () => {
  const e = await executing();
  await e.put("k", '{"secret":"canary"}');
  const { envelope } = e.entities.stored.get(nameOf("k"))!;
  assert(text(envelope).startsWith("DDB1"));
  assert(!text(envelope).includes("canary"));
});

Deno.test("executor: conditions", async () => {
  const e = await executing();
  const first = await e.put("k", "1", { ifNoneMatch: ["*"] });
  assert.equal(summary(first), "stored v1");
  const again = await e.put("k", "2", { ifNoneMatch: ["*"] });
  assert.equal(summary(again), "version_mismatch");
  assert.equal(again.kind === "failed" && again.current?.etag, etag(first));
  const second = await e.put("k", "2", { ifMatch: ["nope", etag(first)] });
  assert.equal(summary(second), "stored v2");
  for (const kind of ["put", "patch", "delete"] as const) {
    assert.equal(
      summary(await e.run(e.op(kind, "k", { payload: bytes("{}"), ifMatch: [etag(first)] }))),
      "version_mismatch",
    );
    assert.equal(
      summary(await e.run(e.op(kind, "absent", { payload: bytes("{}"), ifMatch: ["*"] }))),
      "version_mismatch",
    );
  }
  assert.equal(summary(await e.get("k", { ifNoneMatch: [etag(second)] })), "not_modified v2");
  assert.equal(summary(await e.get("k", { ifNoneMatch: [etag(first)] })), "found 2 v2");
  assert.equal(summary(await e.run(e.op("delete", "k", { ifMatch: ["*"] }))), "deleted true");
});

Deno.test("executor: an operation that comes again is answered and not redone", async () => {
  const e = await executing();
  for (const cached of [true, false]) {
    await e.run(e.op("delete", "k"));
    const put = e.op("put", "k", { payload: bytes("{}"), ifNoneMatch: ["*"] });
    const first = await e.run(put);
    if (!cached) e.cache.clear();
    const commits = e.entities.commits.length;
    assert.deepEqual(await e.run({ ...put, attempt: 2 }), first);
    const patch = e.op("patch", "k", { payload: bytes('{"a":1}'), ifMatch: [etag(first)] });
    const patched = await e.run(patch);
    if (!cached) e.cache.clear();
    assert.deepEqual(await e.run({ ...patch, attempt: 2 }), patched);
    assert.equal(e.entities.commits.length, commits + 1);
    const remove = e.op("delete", "k", { ifMatch: [etag(patched)] });
    assert.equal(summary(await e.run(remove)), "deleted true");
    assert.equal(summary(await e.run({ ...remove, attempt: 2 })), "deadline", "it cannot know whether it was itself");
    assert.equal(summary(await e.run(e.op("delete", "k", { attempt: 2 }))), "deleted false");
  }
});

Deno.test("executor: a template judges puts and patches; one that is not known is asked for", async () => {
  const e = await executing();
  const schema = bytes('{"type":"object","properties":{"n":{"type":"integer"}}}');
  const schemaHash = templateHash(schema);
  assert.equal(summary(await e.put("k", "{}", { schemaHash })), "retry schema_unknown");
  assert.equal(e.entities.commits.length, 0);
  e.schemas.add(schemaHash, schema);
  const refused = await e.put("k", '{"n":"x"}', { schemaHash });
  assert(refused.kind === "failed");
  assert.deepEqual(refused.violations?.map(({ key, path }) => [key, path]), [["k", "/n"]]);
  assert.equal(summary(await e.put("k", '{"n":1}', { schemaHash })), "stored v1");
  assert.equal(
    summary(await e.run(e.op("patch", "k", { payload: bytes('{"n":1.5}'), schemaHash }))),
    "schema_violation",
  );
  assert.equal(summary(await e.put("k", '{"n":"x"}', { schemaHash, validated: true })), "stored v2");
  assert.equal(
    summary(await e.run(e.op("validate", "k", { payload: bytes('{"n":"x"}'), schemaHash }))),
    "schema_violation",
  );
  assert.equal(summary(await e.run(e.op("validate", "k", { payload: bytes('{"n":1}'), schemaHash }))), "valid");
  assert.equal(summary(await e.run(e.op("validate", "k", { payload: bytes("1"), partition: 7 as never }))), "valid");
});

Deno.test("executor: the answer to a batch has room for some violations, and for one of each document", async () => {
  const e = await executing();
  const schema = bytes('{"additionalProperties":{"type":"string"}}');
  const schemaHash = templateHash(schema);
  e.schemas.add(schemaHash, schema);
  const names = Array.from("abcdefghij", (letter) => letter.repeat(0.09 * VIOLATIONS_CHARS_MAX));
  const payload = bytes(JSON.stringify(Object.fromEntries(names.map((name) => [name, 1]))));
  const documents = 2 + BATCH_VIOLATIONS_CHARS_MAX / VIOLATIONS_CHARS_MAX;
  const keys = Array.from({ length: documents }, (_, n) => `k${n}`);
  const results = await e.batch(keys.map((key) => e.op("put", key, { payload, schemaHash })));
  const counts = results.map((result) => result.kind === "failed" && result.violations!.length);
  assert.equal(counts[0], names.length);
  assert.equal(counts.at(-1), 1);
});

Deno.test("executor: a patch whose result is too large is refused", async () => {
  const e = await executing({ documentBytesMax: 20 });
  await e.put("k", "{}");
  assert.equal(summary(await e.run(e.op("patch", "k", { payload: bytes('{"a":"0123456789abcdef"}') }))), "too_large");
});

Deno.test("executor: only so many bytes of documents are patched at a time, the others wait or are refused", async () => {
  const e = await executing({ documentBytesMax: 1 << 24 });
  const large = JSON.stringify({ x: "x".repeat(PATCH_TURNS.atOnce / 2 - 100) });
  const waiting = Math.floor(PATCH_TURNS.waitingMax / large.length);
  const keys = Array.from({ length: 2 + waiting + 1 }, (_, n) => `k${n}`);
  for (const key of keys) await e.put(key, large);
  const smallKeys = Array.from({ length: 200 }, (_, n) => `small${n}`);
  for (const key of smallKeys) await e.put(key, "{}");
  const hold = Promise.withResolvers<void>();
  const committing: string[] = [];
  e.entities.beforeCommit = ({ name }) => (committing.push(name), hold.promise);
  const patch = (key: string) => e.run(e.op("patch", key, { payload: bytes('{"a":1}') })).then(summary);
  const answers = keys.map(patch);
  assert.equal(await Promise.race(answers), "overloaded");
  while (committing.length < 2) await settled();
  assert.equal(committing.length, 2);
  hold.resolve();
  const outcomes = await Promise.all(answers);
  assert.deepEqual(outcomes.filter((outcome) => outcome !== "stored v2"), ["overloaded"]);
  // Small documents wait for nobody, also where nothing is known of them yet.
  const fresh = await executingOn(e.entities);
  fresh.state.opIds = 1_000;
  const smalls = await Promise.all(
    smallKeys.map((key) => fresh.run(fresh.op("patch", key, { payload: bytes('{"a":1}') })).then(summary)),
  );
  assert.deepEqual(new Set(smalls), new Set(["stored v2"]));
});

Deno.test("executor: only the owner executes, and only for routes that know it", async () => {
  const e = await executing();
  assert.equal(summary(await e.put("k", "1", { partition: 5 as never })), "retry not_owner");
  assert.equal(summary((await e.batch([e.op("get", "k")], { epoch: 0 }))[0]!), "retry not_owner");
  e.floors.raise("d", 10);
  assert.deepEqual((await e.batch([e.op("put", "k"), e.op("get", "k")], { seq: 9 })).map(summary), [
    "retry not_owner",
    "retry not_owner",
  ]);
  assert.equal(e.entities.commits.length, 0);
});

Deno.test("executor: an attempt that turns up after a later one, and after what was written since, changes nothing", async () => {
  const e = await executing();
  const put = e.op("put", "k", { payload: bytes("1") });
  // Batch 1 is under way all the time.
  const again = await e.batch([{ ...put, attempt: 2 }], { floor: 1, seq: 3 });
  const next = await e.batch([e.op("put", "k", { payload: bytes("2") })], { floor: 1, seq: 4 });
  assert.deepEqual([...again, ...next].map(summary), ["stored v1", "stored v2"]);
  const late = await e.batch([put, e.op("put", "other", { payload: bytes("3") })], { floor: 1, seq: 2 });
  assert.deepEqual(late.map(summary), ["retry not_owner", "stored v1"]);
  assert.equal(summary(await e.get("k")), "found 2 v2");
});

Deno.test("executor: operations on one entity run in order, those on others don't wait for them", async () => {
  const e = await executing();
  const hold = Promise.withResolvers<void>();
  e.entities.beforeCommit = ({ name }) => name === nameOf("slow") ? hold.promise : undefined;
  const answers = e.batch([
    e.op("put", "slow", { payload: bytes("1") }),
    e.op("patch", "slow", { payload: bytes('{"a":1}') }),
    e.op("get", "slow"),
    e.op("put", "other", { payload: bytes("2") }),
  ]);
  while (e.metrics.operations.length === 0) await settled();
  assert.deepEqual(e.metrics.operations, ["put stored"]);
  hold.resolve();
  assert.deepEqual((await answers).map(summary), ["stored v1", "stored v2", 'found {"a":1} v2', "stored v1"]);
});

Deno.test("executor: an entity that somebody else changed is read again and decided again, a few times", async () => {
  const e = await executing();
  await e.put("k", '{"a":1}');
  const other = await executing();
  await other.put("k", '{"b":2}');
  const theirs = [...other.entities.stored.values()][0]!.envelope;
  let times = 1;
  e.entities.beforeCommit = () => {
    if (times-- > 0) e.entities.put(nameOf("k"), theirs);
  };
  assert.equal(summary(await e.run(e.op("patch", "k", { payload: bytes('{"c":3}') }))), "stored v2");
  assert.equal(summary(await e.get("k")), 'found {"b":2,"c":3} v2');
  times = 1;
  assert.equal(summary(await e.run(e.op("restore", "k", { payload: theirs, force: true }))), "stored v1");
  assert.equal(summary(await e.get("k")), 'found {"b":2} v1');
  e.executor.renew(keyring("k2", 2, ["k1", 1]), 1 << 20);
  times = 1;
  assert.equal(summary(await e.run(e.op("rewrap", "k"))), "stored v1");
  assert.equal(summary(await e.run(e.op("rewrap", "k"))), "not_modified v1");
  times = 1;
  assert.equal(summary(await e.run(e.op("delete", "k"))), "deleted true");
  assert.equal(summary(await e.get("k")), "not_found");
  times = Infinity;
  assert.equal(summary(await e.put("k", "1")), "storage_unavailable");
});

Deno.test("executor: storage that fails: nothing was changed, or nobody knows; the cache keeps neither", async () => {
  const e = await executing();
  await e.put("k", "1");
  e.entities.beforeCommit = () => {
    throw new StorageError("unavailable", "the disk is full");
  };
  assert.equal(summary(await e.put("k", "2")), "storage_unavailable");
  assert.equal(summary(await e.get("k")), "found 1 v1");
  e.entities.beforeCommit = () => {
    throw new StorageError("unnameable", "the service takes no such name");
  };
  assert.equal(summary(await e.put("k", "2")), "invalid_key");
  assert.equal(e.log.of("storage_failed").length, 1);
  e.entities.beforeCommit = ({ name, envelope }) => {
    e.entities.put(name, envelope);
    throw new StorageError("unknown", "no answer");
  };
  assert.equal(summary(await e.put("k", "3")), "deadline");
  e.entities.beforeCommit = () => {};
  assert.equal(summary(await e.get("k")), "found 3 v2");
  e.entities.beforeRead = () => {
    throw new Error("a bug");
  };
  assert.equal(summary(await e.get("another")), "internal");
  assert(e.log.of("operation_failed").length === 1);
});

Deno.test("executor: what was tampered with is never given out, never built upon, and can be overwritten", async () => {
  const e = await executing({ cacheEntries: 0 });
  await e.put("a", '{"of":"a"}');
  await e.put("b", '{"of":"b"}');
  const envelope = e.entities.stored.get(nameOf("b"))!.envelope;
  for (const damaged of [envelope, envelope.subarray(0, 40), bytes("garbage"), new Uint8Array(0)]) {
    e.entities.put(nameOf("a"), damaged);
    assert.equal(summary(await e.get("a")), "tampered");
    assert.equal(summary(await e.run(e.op("patch", "a", { payload: bytes("{}") }))), "tampered");
    assert.equal(summary(await e.put("a", "1", { ifMatch: ["*"] })), "tampered");
    assert.equal(summary(await e.put("a", "1")), "tampered");
  }
  assert.equal(e.metrics.tampered, e.log.of("tamper_detected").length);
  assert(!JSON.stringify(e.log.lines).includes('"of"'));
  assert.equal(summary(await e.put("a", "1", { force: true })), "stored v1");
  assert.equal(summary(await e.get("a")), "found 1 v1");
});

Deno.test("executor: an entity under a key that is not held is refused, and lost only by force", async () => {
  const e = await executing({ cacheEntries: 0 });
  await e.put("k", "1");
  e.executor.renew(keyring("k2", 2), 1 << 20);
  for (const kind of ["get", "put", "patch", "delete", "rewrap"] as const) {
    assert.equal(summary(await e.run(e.op(kind, "k", { payload: bytes("{}") }))), "key_unavailable", kind);
  }
  assert.equal(summary(await e.put("k", "2", { force: true })), "stored v2");
  assert.equal(summary(await e.get("k")), "found 2 v2");
});

Deno.test("executor: rewrap seals anew under the current key, and changes nothing that a client sees", async () => {
  const e = await executing();
  const before = await e.put("k", '{"n":1}');
  assert.equal(summary(await e.run(e.op("rewrap", "k"))), "not_modified v1");
  e.executor.renew(keyring("k2", 2, ["k1", 1]), 1 << 20);
  assert.equal(summary(await e.run(e.op("rewrap", "k"))), "stored v1");
  assert.equal(summary(await e.run(e.op("rewrap", "absent"))), "not_found");
  e.executor.renew(keyring("k2", 2), 1 << 20);
  const after = await e.get("k");
  assert.equal(summary(after), 'found {"n":1} v1');
  assert.equal(etag(after), etag(before));
});

Deno.test("executor: restore takes what is authentic, and overwrites only when it shall", async () => {
  const source = await executing();
  await source.put("k", '"from the backup"');
  await source.put("other", '"another"');
  const envelope = source.entities.stored.get(nameOf("k"))!.envelope;
  const e = await executing();
  const restore = (payload: Uint8Array, force = false) => e.run(e.op("restore", "k", { payload, force }));
  assert.equal(summary(await restore(source.entities.stored.get(nameOf("other"))!.envelope)), "tampered");
  assert.equal(summary(await restore(bytes("garbage"))), "tampered");
  assert.equal(summary(await restore(envelope)), "stored v1");
  await e.put("k", '"newer"');
  const seen = e.watch();
  assert.equal(summary(await restore(envelope)), "not_modified v1");
  assert.equal(summary(await e.get("k")), 'found "newer" v2');
  assert.equal(summary(await restore(envelope, true)), "stored v1");
  assert.equal(summary(await e.get("k")), 'found "from the backup" v1');
  assert.deepEqual(seen.map(({ kind, version }) => `${kind} ${version}`), ["put 1"]);
});

Deno.test("executor: where that saves a read, what is not cached is created blindly, and read when it is there", async () => {
  const e = await executing({ cacheEntries: 0 });
  e.entities.blindCreate = true;
  assert.equal(summary(await e.put("a", "1")), "stored v1");
  assert.equal(summary(await e.put("b", "1", { ifNoneMatch: ["*"] })), "stored v1");
  assert.equal(e.entities.reads, 0);
  assert.deepEqual(e.entities.commits.map(({ blind }) => blind), [true, true]);
  assert.equal(summary(await e.put("a", "2")), "stored v2");
  assert.equal(summary(await e.put("b", "2", { ifNoneMatch: ["*"] })), "version_mismatch");
  assert.equal(e.entities.reads, 2);
  assert.equal(summary(await e.get("a")), "found 2 v2");
});

Deno.test("executor: what is cached, conditional on a version or repeated is not written blindly", async () => {
  const e = await executing();
  e.entities.blindCreate = true;
  const tries: (boolean | undefined)[] = [];
  e.entities.beforeCommit = ({ blind }) => void tries.push(blind);
  const first = await e.put("k", "1");
  const second = await e.put("k", "2");
  e.cache.clear();
  await e.put("k", "3", { ifMatch: [etag(second)] });
  e.cache.clear();
  assert.equal(summary(await e.put("k", "4", { attempt: 2 })), "stored v4");
  assert.equal(summary(await e.put("new", "1", { attempt: 2 })), "stored v1");
  assert.equal(summary(first), "stored v1");
  assert.deepEqual(tries, [true, false, false, false, false]);
});

Deno.test("executor: an answer does not depend on whether the write was tried blindly", async () => {
  const schema = bytes('{"type":"object"}');
  const schemaHash = templateHash(schema);
  const answers = await Promise.all([true, false].map(async (blindCreate) => {
    const e = await executing({ cacheEntries: 0 });
    e.entities.blindCreate = blindCreate;
    e.schemas.add(schemaHash, schema);
    const seen: string[] = [];
    const note = async (result: Promise<OperationResult>) => void seen.push(summary(await result));
    await note(e.put("k", "[]", { schemaHash }));
    await note(e.put("k", "{}", { schemaHash }));
    await note(e.put("k", "[]", { schemaHash, ifNoneMatch: ["*"] }));
    await note(e.put("k", "{}", { schemaHash: "unknown" }));
    await note(e.put("k", "{}", { ifNoneMatch: ["*"] }));
    await note(e.put("k", "{}"));
    await note(e.put("k", "{}", { force: true }));
    e.entities.put(nameOf("k"), bytes("garbage"));
    await note(e.put("k", "{}"));
    await note(e.put("k", "[]", { schemaHash }));
    await note(e.put("k", "{}", { force: true }));
    e.executor.renew(keyring("k2", 2), 1 << 20);
    await note(e.put("k", "{}"));
    await note(e.put("other", "{}"));
    return [seen, e.metrics.tampered];
  }));
  assert.deepEqual(answers[0], answers[1]);
  assert.deepEqual(answers[0]![0], [
    "schema_violation",
    "stored v1",
    "version_mismatch",
    "retry schema_unknown",
    "version_mismatch",
    "stored v2",
    "stored v3",
    "tampered",
    "tampered",
    "stored v1",
    "key_unavailable",
    "stored v1",
  ]);
});

Deno.test("executor: a blind write that finds itself is answered once, and told to watchers once", async () => {
  const e = await executing();
  e.entities.blindCreate = true;
  const seen = e.watch();
  let refused = false;
  e.entities.beforeCommit = ({ name, envelope }) => {
    // The service repeats the request by itself: the answer is that of the repetition.
    if (!refused) e.entities.put(name, envelope);
    refused = true;
  };
  const put = e.op("put", "k", { payload: bytes("1") });
  assert.equal(summary(await e.run(put)), "stored v1");
  assert.equal(summary(await e.run({ ...put, attempt: 2 })), "stored v1");
  assert.equal(e.entities.commits.length, 0);
  assert.deepEqual(seen.map(({ kind, version }) => `${kind} ${version}`), ["put 1"]);
});

Deno.test("executor: it stops writing blindly where most is there already, and begins again where most is new", async () => {
  const e = await executing({ cacheEntries: 0 });
  e.entities.blindCreate = true;
  for (let n = 0; n < 50; n++) await e.put("k", "1");
  let blindly = 0;
  e.entities.beforeCommit = ({ blind }) => void (blindly += blind ? 1 : 0);
  for (let n = 0; n < 50; n++) await e.put("k", "1");
  assert.equal(blindly, 0);
  for (let n = 0; n < 50; n++) await e.put(`new-${n}`, "1");
  assert(blindly > 30, `${blindly}`);
});

Deno.test("executor: an answer holds about as many bytes as a batch; the other documents are asked for again", async () => {
  const e = await executing();
  const large = JSON.stringify("x".repeat(BATCH_BYTES_MAX / 2));
  for (const key of ["a", "b", "c"]) await e.put(key, large);
  const results = await e.batch(["a", "b", "c"].map((key) => e.op("get", key)));
  assert.equal(results.filter((result) => result.kind === "found").length, 1);
  assert.equal(results.filter((result) => summary(result) === "retry response_full").length, 2);
});

Deno.test("executor: finished batches are reported at once only to a dispatcher that waits for them", async () => {
  const e = await executing();
  for (let seq = 1; seq <= 20; seq++) await e.batch([e.op("get", "k")], { seq, floor: seq });
  assert.equal(e.state.pokes, 0);
  assert.deepEqual(e.floors.report(), [{ dispatcher: "d", floor: 20 }]);
  const hold = Promise.withResolvers<void>();
  e.entities.beforeCommit = () => hold.promise;
  const running = e.batch([e.op("put", "k", { payload: bytes("1") })], { seq: 21, floor: 21 });
  e.floors.raise("d", 22);
  assert.deepEqual(e.floors.report(), [{ dispatcher: "d", floor: 21 }]);
  assert(!e.floors.pending());
  hold.resolve();
  await running;
  assert.equal(e.state.pokes, 1);
  assert(e.floors.pending());
  assert.deepEqual(e.floors.report(), [{ dispatcher: "d", floor: 22 }]);
});

Deno.test("executor: a batch has finished only when none of its writes can take effect any more", async () => {
  const e = await executing();
  await e.put("k", "1");
  const seq = ++e.state.seq;
  const decided = Promise.withResolvers<void>();
  e.entities.beforeCommit = ({ name }) => {
    if (name === nameOf("k")) throw new StorageError("unknown", "no answer", { decided: decided.promise });
  };
  const writes = ["k", "other"].map((key) => e.op("put", key, { payload: bytes("2") }));
  assert.deepEqual((await e.batch(writes, { seq })).map(summary), ["deadline", "stored v1"]);
  e.floors.raise("d", seq + 1);
  const after = await e.batch([e.op("get", "k")], { floor: seq + 1 });
  assert.equal(summary(after[0]!), "found 1 v1", "others don't wait for it");
  assert.deepEqual(e.floors.report(), [{ dispatcher: "d", floor: seq }]);
  const other = e.entities.stored.get(nameOf("other"))!;
  e.entities.put(nameOf("k"), other.envelope);
  decided.resolve();
  await settled();
  assert(e.floors.pending());
  assert.deepEqual(e.floors.report(), [{ dispatcher: "d", floor: seq + 1 }]);
  assert.equal(e.cache.get(nameOf("k")), undefined, "it may have taken effect after it was read");
});

Deno.test("executor: a partition is given up only when its operations have ended", async () => {
  const e = await executing();
  const hold = Promise.withResolvers<void>();
  e.entities.beforeCommit = () => hold.promise;
  let released = false;
  e.entities.releases = () => void (released = true);
  const running = e.put("k", "1");
  await settled();
  e.ownership.assign(2, []);
  await settled();
  assert.equal(summary(await e.get("k")), "retry not_owner");
  assert(!released);
  hold.resolve();
  assert.equal(summary(await running), "stored v1");
  while (!released) await settled();
  assert.equal(e.cache.get(nameOf("k")), undefined);
  assert.deepEqual(e.ownership.holding().filter((partition) => partition === P0), []);
});

Deno.test("executor: documents that are costly to judge give way to others, and are all judged", async () => {
  const e = await executing();
  const JUDGING_MS = 6;
  e.schemas.get = () =>
    ({
      validate: () => {
        e.clock.freeze(JUDGING_MS);
        return [];
      },
    }) as unknown as Validator;
  let done = 0;
  for (const kind of ["validate", "put"] as const) {
    const operations = Array.from(
      { length: 9 },
      (_, n) => e.op(kind, `k${n}`, { payload: bytes("1"), schemaHash: "h" }),
    );
    const startedMs = e.clock.monotonic();
    const answers = e.batch(operations).then((results) => done += results.length);
    await settled();
    const judgedMs = e.clock.monotonic() - startedMs;
    assert(judgedMs > 0 && judgedMs <= 4 * JUDGING_MS, `${judgedMs} ms without a turn for others`);
    for (let n = 0; n < 10; n++) await e.clock.advance(0);
    await answers;
    assert.equal(e.clock.monotonic() - startedMs, 9 * JUDGING_MS);
  }
  assert.equal(done, 18);
});

Deno.test("executor: without locks, what another owner wrote meanwhile is read, not what was cached before", async () => {
  const entities = new MemoryEntities();
  entities.exclusive = false;
  const [first, second] = [await executingOn(entities), await executingOn(entities)];
  await first.put("changed", "1");
  await first.put("deleted", "1");
  // A new main worker hears of the second worker first and gives it everything; then the first one is back.
  assert.equal(summary(await second.put("changed", "2", { opId: "e".repeat(32) })), "stored v2");
  assert.equal(summary(await second.run(second.op("delete", "deleted"))), "deleted true");
  first.ownership.assign(5, [{ partition: P0, epoch: 5 }]);
  await first.clock.advance(0);
  const answers = await first.batch([first.op("get", "changed"), first.op("get", "deleted")], { epoch: 5 });
  assert.deepEqual(answers.map(summary), ["found 2 v2", "not_found"]);
});
