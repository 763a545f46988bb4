import assert from "assert";
import { SCHEMA_BYTES_MAX, SCHEMA_TURNS, TEMPLATE_POLL_MS } from "../../shared/limits.ts";
import { recordingLogger } from "../../shared/logging/logger.ts";
import { parseSchemaId } from "../../shared/names.ts";
import { StorageError } from "../../shared/storage/store.ts";
import { ManualClock, settled } from "../../shared/seams/manual_clock.ts";
import { memoryShelf } from "../front/rest/testing.ts";
import type { Schemas } from "./control.ts";
import { SchemaStore } from "./schemas.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const id = parseSchemaId;

async function setup(shelf = memoryShelf()) {
  const clock = new ManualClock();
  const log = recordingLogger();
  const published: Schemas[] = [];
  const store = await SchemaStore.open({
    shelf,
    clock,
    log,
    publish: (schemas) => {
      published.push(schemas);
      return Promise.resolve();
    },
  });
  published.length = 0;
  const summary = () =>
    Object.fromEntries(
      [...store.current.templates].map(([key, { text, invalid }]) => [key, invalid ?? new TextDecoder().decode(text)]),
    );
  return { shelf, clock, log, published, store, summary };
}

Deno.test("a template is durable and published before it is answered, and there after a restart", async () => {
  const { store, shelf, published, summary } = await setup();
  assert.deepEqual(await store.put(id("a"), bytes('{"type":"object"}')), { kind: "done", value: { created: true } });
  assert.deepEqual(await store.put(id("a"), bytes("true")), { kind: "done", value: { created: false } });
  assert.deepEqual(published.map(({ templates }) => templates.size), [1, 1]);
  assert.ok(published[0]!.revision < published[1]!.revision);
  assert.equal(published[1], store.current);
  const restarted = await setup(shelf);
  assert.deepEqual(restarted.summary(), { a: "true" });
  assert.equal(restarted.store.current.templates.get(id("a"))!.hash, store.current.templates.get(id("a"))!.hash);
  assert.deepEqual(await store.delete(id("a")), { kind: "done", value: { existed: true } });
  assert.deepEqual(await store.delete(id("a")), { kind: "done", value: { existed: false } });
  assert.deepEqual(summary(), {});
  assert.equal(shelf.objects.size, 0);
  store.close();
  restarted.store.close();
});

Deno.test("what is no schema is refused with the place, and changes nothing", async () => {
  const { store, shelf, published } = await setup();
  const refused = await store.put(id("a"), bytes('{"properties":{"x":{"type":"text"}}}'));
  assert.equal(refused.kind === "failed" && refused.code, "invalid_schema");
  assert.match((refused as { message: string }).message, /\/properties\/x\/type/);
  const large = await store.put(id("a"), bytes(`"${"x".repeat(SCHEMA_BYTES_MAX)}"`));
  assert.equal(large.kind === "failed" && large.code, "too_large");
  assert.deepEqual([shelf.objects.size, published.length], [0, 0]);
  store.close();
});

Deno.test("a store that fails changes nothing", async () => {
  const { store, shelf, published, summary } = await setup();
  await store.put(id("a"), bytes("true"));
  for (const [reason, code] of [["unavailable", "storage_unavailable"], ["unknown", "deadline"]] as const) {
    const failing = (): Promise<never> => Promise.reject(new StorageError(reason, "full"));
    shelf.put = failing;
    shelf.delete = failing;
    for (const changed of [await store.put(id("b"), bytes("true")), await store.delete(id("a"))]) {
      assert.equal(changed.kind === "failed" && changed.code, code);
    }
  }
  assert.deepEqual([summary(), published.length], [{ a: "true" }, 1]);
  store.close();
});

Deno.test("schemas wait for those before them, by their bytes; small changes and the look at the shelf go on", async () => {
  const { store, shelf, summary } = await setup();
  const hold = Promise.withResolvers<void>();
  const { put } = shelf;
  shelf.put = async (name, text) => {
    await hold.promise;
    await put(name, text);
  };
  const codes: string[] = [];
  const large = bytes(JSON.stringify({ description: "x".repeat(SCHEMA_BYTES_MAX - 100) }));
  const waiting = Math.floor(SCHEMA_TURNS.waitingMax / large.length);
  const begin = (name: string, text: Uint8Array) =>
    store.put(id(name), text).then((made) => codes.push(made.kind === "failed" ? made.code : made.kind));
  const changes = Array.from({ length: waiting + 3 }, () => begin("a", large));
  await settled();
  assert.deepEqual(codes, ["overloaded", "overloaded"]);
  changes.push(begin("b", bytes("true")));
  const look = store.poll();
  hold.resolve();
  await Promise.all([...changes, look]);
  assert.deepEqual(codes.filter((code) => code === "done").length, waiting + 2);
  assert.deepEqual(Object.keys(summary()), ["a", "b"]);
  store.close();
});

Deno.test("a file that is dropped in, changed or removed is noticed within the poll", async () => {
  const { store, shelf, clock, published, summary, log } = await setup();
  const poll = async () => {
    clock.pass(TEMPLATE_POLL_MS);
    await store.poll();
  };
  await shelf.put("dropped", bytes('{"type":"object"}'));
  await poll();
  assert.deepEqual(summary(), { dropped: '{"type":"object"}' });
  const revisions = published.length;
  await poll();
  assert.equal(published.length, revisions);
  await shelf.put("dropped", bytes("false"));
  await poll();
  assert.deepEqual(summary(), { dropped: "false" });
  await shelf.delete("dropped");
  await poll();
  assert.deepEqual(summary(), {});
  assert.deepEqual(log.lines.map(({ event }) => event), ["template_loaded", "template_loaded", "template_gone"]);
  store.close();
  assert.equal(clock.timers, 0);
});

Deno.test("what is there at the start is read several at a time, and is one line of the log", async () => {
  const shelf = memoryShelf();
  const names = Array.from({ length: 100 }, (_, i) => `s${String(i).padStart(2, "0")}`);
  for (const name of names) await shelf.put(name, bytes(JSON.stringify({ title: name })));
  await shelf.put("broken", bytes("{"));
  const { get } = shelf;
  let [reading, readingMax] = [0, 0];
  shelf.get = async (name) => {
    readingMax = Math.max(readingMax, ++reading);
    await new Promise((resolve) => setTimeout(resolve, 0));
    reading -= 1;
    return await get.call(shelf, name);
  };
  const { store, summary, log } = await setup(shelf);
  assert.deepEqual(Object.keys(summary()), ["broken", ...names]);
  for (const name of names) assert.deepEqual(JSON.parse(summary()[name]!), { title: name });
  assert.ok(readingMax > 4 && readingMax <= 32, `${readingMax}`);
  assert.deepEqual(log.lines.map(({ event, fields }) => [event, fields.count]), [
    ["template_invalid", undefined],
    ["templates_loaded", 100],
  ]);
  store.close();
});

Deno.test("our own put is no news at the next poll", async () => {
  const { store, published, log } = await setup();
  await store.put(id("a"), bytes("true"));
  assert.equal(await store.poll(), false);
  assert.equal(await store.poll(), false);
  assert.deepEqual([published.length, log.lines], [1, []]);
  store.close();
});

Deno.test("a file that cannot judge is kept with the reason and refuses, until it is put right", async () => {
  const { store, shelf, log, summary } = await setup();
  await shelf.put("broken", bytes("{"));
  await shelf.put("wrong", bytes('{"type":"text"}'));
  await shelf.put("large", bytes(`"${"x".repeat(SCHEMA_BYTES_MAX)}"`));
  await shelf.put("..", bytes("true"));
  await store.poll();
  const { templates } = store.current;
  assert.deepEqual([...templates.keys()], ["broken", "large", "wrong"]);
  for (const template of templates.values()) assert.ok(template.invalid);
  assert.deepEqual([...templates.values()].map(({ text }) => text.length), [0, 0, 15]);
  assert.deepEqual(log.lines.map(({ event, level }) => `${level} ${event}`), [
    "warn template_ignored",
    "warn template_invalid",
    "warn template_invalid",
    "warn template_invalid",
  ]);
  await store.poll();
  assert.equal(log.lines.length, 4);
  await store.put(id("broken"), bytes("true"));
  assert.equal(summary().broken, "true");
  store.close();
});

Deno.test("a shelf that cannot be read is said once, and what was known stays in force", async () => {
  const { store, shelf, clock, log, summary } = await setup();
  await store.put(id("a"), bytes("true"));
  const { list } = shelf;
  shelf.list = () => Promise.reject(new StorageError("unavailable", "gone"));
  for (let i = 0; i < 3; i++) {
    clock.pass(TEMPLATE_POLL_MS);
    await store.poll().catch(() => {});
    while (clock.timers === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.deepEqual(log.lines.map(({ event }) => event), ["templates_unreadable"]);
  assert.deepEqual(summary(), { a: "true" });
  shelf.list = list;
  await shelf.put("b", bytes("true"));
  clock.pass(TEMPLATE_POLL_MS);
  await store.poll();
  assert.deepEqual(summary(), { a: "true", b: "true" });
  store.close();
});
