import assert from "assert";
import { QUEUE_OPERATIONS_MAX } from "../../../shared/limits.ts";
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
