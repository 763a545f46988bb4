import assert from "assert";
import { MULTI_GET_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_OPERATIONS_MAX } from "../../../shared/limits.ts";
import { parseEntityKey } from "../../../shared/names.ts";
import { settled } from "../../../shared/seams/manual_clock.ts";
import type { OperationResult } from "../../../shared/wire/messages.ts";
import type { Template } from "../../control/control.ts";
import { ReadCache } from "../cache/read_cache.ts";
import { createEntityService } from "./entity_service.ts";
import type { ListedPage, Lister, Listing } from "./lister.ts";
import { dispatching, meta, routes, SCHEMA, stored } from "./testing.ts";
import type { WatchHub } from "./watch_hub.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const key = parseEntityKey;

function serving(page: ListedPage = { kind: "page", items: [], more: false, counts: undefined }) {
  const d = dispatching(routes(1, "a"));
  const cache = new ReadCache(1 << 20, d.coherence);
  const listings: Listing[] = [];
  const lister: Lister = { page: (listing) => (listings.push(listing), Promise.resolve(page)) };
  const { control, dispatcher, operations, coherence } = d;
  const watches = {} as WatchHub;
  const service = createEntityService({ control, dispatcher, operations, lister, cache, coherence, watches });
  const template = (template: Template) =>
    control.publish({ schemas: { revision: 1, templates: new Map([[SCHEMA, template]]) } });
  return { ...d, cache, service, listings, template };
}

const found = (text: string, version: number): OperationResult => ({
  kind: "found",
  document: bytes(text),
  meta: meta(version),
});

Deno.test("entities: a read fills the cache, a write replaces what is there, a change of any kind ends it", async () => {
  const s = serving();
  const read = s.service.get(SCHEMA, key("k"), {});
  assert(read instanceof Promise);
  await settled();
  s.workers.next().answer(found("1", 1));
  await read;
  const hit = s.service.get(SCHEMA, key("k"), {});
  assert(!(hit instanceof Promise) && hit.kind === "found" && hit.meta.version === 1);
  const unchanged = s.service.get(SCHEMA, key("k"), { ifNoneMatch: ["1-x"] });
  assert(!(unchanged instanceof Promise) && unchanged.kind === "not_modified");

  const write = s.service.put(SCHEMA, key("k"), bytes("2"), {});
  assert(s.service.get(SCHEMA, key("k"), {}) instanceof Promise, "while a write is under way");
  await settled();
  for (const sent of s.workers.batches.splice(0)) {
    sent.answer((n) => sent.request.operations[n]!.kind === "put" ? stored(2) : found("1", 1));
  }
  await write;
  for (const change of ["patch", "delete"] as const) {
    const put = s.service.put(SCHEMA, key("k"), bytes("3"), {});
    await settled();
    s.workers.next().answer(stored(3));
    await put;
    assert(!(s.service.get(SCHEMA, key("k"), {}) instanceof Promise));
    const done = change === "patch"
      ? s.service.patch(SCHEMA, key("k"), bytes("{}"), {})
      : s.service.delete(SCHEMA, key("k"), {});
    await settled();
    s.workers.next().answer(change === "patch" ? stored(4) : { kind: "deleted", existed: true });
    await done;
    const after = s.service.get(SCHEMA, key("k"), {});
    assert(after instanceof Promise, change);
    await settled();
    s.workers.next().answer(found("4", 4));
    await after;
  }
  s.dispatcher.close();
});

Deno.test("entities: a PUT of many is validated before any of it is written", async () => {
  const s = serving();
  s.template({ hash: "f".repeat(64), text: bytes("{}") });
  const documents = new Map([[key("a"), bytes("1")], [key("b"), bytes("2")]]);
  const refused = s.service.putMany(SCHEMA, documents, {});
  await settled();
  const asked = s.workers.next();
  assert.deepEqual(asked.request.operations.map(({ kind }) => kind), ["validate", "validate"]);
  const violation = { key: "b", path: "/x", message: "is wrong" };
  asked.answer((n) =>
    n === 0 ? { kind: "valid" } : { kind: "failed", code: "schema_violation", message: "no", violations: [violation] }
  );
  const outcome = await refused;
  assert(outcome.kind === "failed" && outcome.code === "schema_violation");
  assert.deepEqual(outcome.violations, [violation]);
  assert.equal(s.workers.batches.length, 0, "nothing is written");

  const accepted = s.service.putMany(SCHEMA, documents, {});
  await settled();
  s.workers.next().answer({ kind: "valid" });
  await settled();
  const writes = s.workers.next();
  assert.deepEqual(writes.request.operations.map(({ kind, validated }) => [kind, validated]), [["put", true], [
    "put",
    true,
  ]]);
  writes.answer((n) => n === 0 ? stored(1) : { kind: "failed", code: "storage_unavailable", message: "full" });
  const part = await accepted;
  assert(part.kind === "done");
  assert.deepEqual([...part.outcomes].map(([k, o]) => [k, o.kind]), [["a", "stored"], ["b", "failed"]]);
  s.dispatcher.close();
});

Deno.test("entities: a template that is not valid lets nothing be written, and reads go on", async () => {
  const s = serving();
  s.template({ hash: "f".repeat(64), text: bytes("{"), invalid: "it is not JSON" });
  for (
    const outcome of [
      await s.service.put(SCHEMA, key("k"), bytes("1"), {}),
      await s.service.patch(SCHEMA, key("k"), bytes("1"), {}),
      await s.service.putMany(SCHEMA, new Map([[key("k"), bytes("1")]]), {}),
    ]
  ) assert(outcome.kind === "failed" && outcome.code === "invalid_schema");
  const read = s.service.get(SCHEMA, key("k"), {});
  await settled();
  s.workers.next().answer(found("1", 1));
  assert.equal((await read).kind, "found");
  s.dispatcher.close();
});

Deno.test("entities: a listing is within the schema, and says where it goes on", async () => {
  const item = { ...meta(3), name: "s_a%2Fb" as never, keyId: "k", writtenAtMs: 0 };
  const s = serving({ kind: "page", items: [{ ...item, name: "s_a_b" as never }], more: true, counts: undefined });
  const page = await s.service.list(SCHEMA, { prefix: "a ", after: "", limit: 1, values: true });
  assert.deepEqual(s.listings, [{ prefix: "s_a%20", after: "", limit: 1, want: "documents" }]);
  assert(page.kind === "page");
  assert.deepEqual([page.entries[0]!.key, page.entries[0]!.meta?.version, page.next], ["a_b", 3, "s_a_b"]);
  s.dispatcher.close();
});

Deno.test("entities: requests of many get in whole or not at all, and those that have begun before new ones", async () => {
  const s = serving();
  const template: Template = { hash: "ab".repeat(32), text: bytes("{}"), invalid: undefined };
  const documents = new Map(Array.from({ length: 100 }, (_, n) => [key(`k${n}`), bytes("1")]));
  const put = s.service.put(SCHEMA, key("hot"), bytes("1"), {});
  await settled();
  s.workers.next().answer(stored(1));
  await put;
  const waiting = Array.from({ length: 0.75 * QUEUE_OPERATIONS_MAX - 50 }, (_, n) => s.get(`w${n}`));
  const before = s.dispatcher.depth;
  s.template(template);
  const refused = await s.service.putMany(SCHEMA, documents, {});
  assert.equal(refused.kind === "failed" && refused.code, "overloaded");
  assert.equal(s.dispatcher.depth, before, "a part of it got in");
  s.control.publish({ schemas: { revision: 2, templates: new Map() } });
  const accepted = s.service.putMany(SCHEMA, documents, {});
  assert.equal(s.dispatcher.depth, before + documents.size);
  while (s.dispatcher.depth < QUEUE_OPERATIONS_MAX - 50) waiting.push(s.get(`w${waiting.length}`));
  assert.equal((await s.service.putMany(SCHEMA, documents, {})).kind, "failed");
  const read = await s.service.getMany(SCHEMA, [key("hot"), ...documents.keys()]);
  assert.equal(read.get(key("hot"))!.kind, "found");
  const other = read.get(key("k1"))!;
  assert.equal(other.kind === "failed" && other.code, "overloaded");
  s.dispatcher.close();
  await Promise.all([accepted, ...waiting]);
});

Deno.test("entities: what many documents weigh with their names must have room before any of them gets in", async () => {
  const s = serving();
  const mib = new Uint8Array(1 << 20);
  const documents = (count: number) => new Map(Array.from({ length: count }, (_, n) => [key(`k${n}`), mib]));
  const room = QUEUE_BYTES_MAX / mib.byteLength;
  const refused = await s.service.putMany(SCHEMA, documents(room), {});
  assert.equal(refused.kind === "failed" && refused.code, "overloaded");
  assert.equal(s.dispatcher.depth, 0);
  const accepted = s.service.putMany(SCHEMA, documents(room - 1), {});
  assert.equal(s.dispatcher.depth, room - 1);
  s.dispatcher.close();
  await accepted;
  // Names may grow to nine times what they have in characters.
  const long = serving();
  const named = new Map(Array.from({ length: 1_000 }, (_, n) => [key("€".repeat(80) + n), mib.subarray(0, 66_800)]));
  const outcome = await long.service.putMany(SCHEMA, named, {});
  assert.equal(outcome.kind === "failed" && outcome.code, "overloaded");
  long.dispatcher.close();
});

Deno.test("entities: documents that were judged for nothing are not said to be wrong", async () => {
  const s = serving();
  s.template({ hash: "f".repeat(64), text: bytes("{}") });
  const refused = s.service.putMany(SCHEMA, new Map([[key("a"), bytes("1")], [key("b"), bytes("2")]]), {});
  await settled();
  s.workers.next().answer((n) =>
    n === 0
      ? { kind: "failed", code: "schema_violation", message: "no", violations: [] }
      : { kind: "failed", code: "overloaded", message: "busy" }
  );
  const outcome = await refused;
  assert.equal(outcome.kind === "failed" && outcome.code, "overloaded");
  s.dispatcher.close();
});

Deno.test("entities: a write may be forced, and only what is asked for is sent along", async () => {
  const s = serving();
  for (const force of [true, false]) {
    const write = s.service.put(SCHEMA, key("k"), bytes("1"), force ? { force } : {});
    await settled();
    const sent = s.workers.next();
    const [op] = sent.request.operations;
    assert.deepEqual([op!.force ?? false, op!.validated ?? false, op!.schemaHash], [force, false, ""]);
    sent.answer(stored(1));
    await write;
  }
  s.dispatcher.close();
});

Deno.test("entities: of many documents those are answered that fit into an answer, from the cache or not", async () => {
  const s = serving();
  const third = MULTI_GET_BYTES_MAX / 3;
  const large = (size: number): OperationResult => ({
    kind: "found",
    document: bytes("1"),
    meta: { ...meta(1), size },
  });
  const hot = s.service.get(SCHEMA, key("hot"), {});
  await settled();
  s.workers.next().answer(large(third));
  await hot;
  const keys = ["hot", "a", "b", "c", "absent"].map(key);
  const many = s.service.getMany(SCHEMA, keys);
  await settled();
  const sent = s.workers.next();
  assert.equal(sent.request.operations.length, 4, "what is cached is not asked for");
  const absent: OperationResult = { kind: "failed", code: "not_found", message: "" };
  sent.answer((n) => n === 3 ? absent : large(third));
  const outcomes = await many;
  const codes = keys.map((key) => {
    const outcome = outcomes.get(key)!;
    return outcome.kind === "failed" ? outcome.code : outcome.kind;
  });
  assert.deepEqual(codes, ["found", "found", "found", "too_large", "too_large"]);
  s.dispatcher.close();
});

Deno.test("entities: a listing tells what could not be opened, has documents where there are some, and ends", async () => {
  const item = { etag: "3-x", writtenAtMs: 5, keyId: "k" };
  const items = [
    { ...item, name: "s_a" as never, version: 3, size: 1, bytes: bytes("1") },
    { ...item, name: "s_b" as never, version: 2, size: 7, problem: "tampered" as const },
    { ...item, name: "s_c" as never, version: 0, size: 9 },
  ];
  const s = serving({ kind: "page", items, more: false, counts: undefined });
  const page = await s.service.list(SCHEMA, { prefix: "", after: "s_0", limit: 9, values: false });
  assert.deepEqual(s.listings, [{ prefix: "s_", after: "s_0", limit: 9, want: "meta" }]);
  const meta = { etag: "3-x", writtenAtMs: 5 };
  assert.deepEqual(page, {
    kind: "page",
    entries: [
      { key: "a", meta: { ...meta, version: 3, size: 1 }, size: 1, value: bytes("1") },
      { key: "b", meta: { ...meta, version: 2, size: 7 }, size: 7, problem: "tampered" },
      { key: "c", meta: undefined, size: 9 },
    ],
    next: null,
  });
  s.dispatcher.close();
});

Deno.test("entities: schemas are counted under their ids; none of a schema is no schema, and unknown is unknown", async () => {
  const counts = new Map([["a_", 2], ["b%5Fc_", 1], ["empty_", 0], ["many_", NaN]]);
  const s = serving({ kind: "page", items: [], more: false, counts });
  assert.deepEqual(await s.service.counts(), {
    kind: "counts",
    counts: new Map([["a", 2], ["b_c", 1], ["many", null]]),
  });
  assert.deepEqual(s.listings, [{ prefix: "", after: "", limit: 0, want: "counts" }]);
  s.dispatcher.close();
  const failing = serving({ kind: "failed", code: "no_worker", message: "" });
  const failed = await failing.service.counts();
  assert.equal(failed.kind === "failed" && failed.code, "no_worker");
  const page = await failing.service.list(SCHEMA, { prefix: "", after: "", limit: 1, values: false });
  assert.equal(page.kind === "failed" && page.code, "no_worker");
  failing.dispatcher.close();
});
