import assert from "assert";
import { type RecordedLine, recordingLogger } from "../shared/logging/logger.ts";
import { failure } from "../shared/outcome.ts";
import { HastyClock, keys, MemoryDatabase } from "./administration/testing.ts";
import type { Lister } from "./front/dispatch/lister.ts";
import { tellUnreadable } from "./start_notes.ts";

async function told(
  lister: Lister,
  held: readonly string[],
  stopping = new AbortController(),
): Promise<RecordedLine[]> {
  const log = recordingLogger();
  await tellUnreadable({
    lister,
    holds: (id) => held.includes(id),
    clock: new HastyClock(),
    log,
    stopping: stopping.signal,
  });
  return [...log.lines];
}

async function database(): Promise<MemoryDatabase> {
  const database = new MemoryDatabase(keys(["old", 1]));
  for (let i = 0; i < 1_500; i++) await database.put("a", `k${i}`, "1");
  database.keyring = keys(["new", 2]);
  for (let i = 0; i < 10; i++) await database.put("b", `k${i}`, "1");
  return database;
}

Deno.test("entities under keys that are not held are counted, those under older ones that are held are not", async () => {
  const store = await database();
  let away = 3;
  store.beforePage = () => away-- > 0 ? failure("no_worker", "nobody yet") : undefined;
  const [line] = await told(store, ["new"]);
  assert.equal(line?.event, "unreadable_entities");
  assert.equal(line?.fields.count, 1_500);
  assert.match(String(line?.fields.message), /^1500 entities of this store cannot be read/);
  assert.deepEqual(await told(store, ["new", "old"]), []);
});

Deno.test("where a listing does not tell the keys, it is a number at most", async () => {
  const store = await database();
  const bucket: Lister = {
    async page(listing) {
      const page = await store.page(listing);
      return page.kind === "page" ? { ...page, items: page.items.map((item) => ({ ...item, keyId: "" })) } : page;
    },
  };
  const [line] = await told(bucket, ["new"]);
  assert.match(String(line?.fields.message), /^up to 1510 entities/);
});

Deno.test("a main worker that stops says nothing", async () => {
  const stopping = new AbortController();
  const store = await database();
  store.beforePage = () => {
    stopping.abort();
    return failure("no_worker", "nobody yet");
  };
  assert.deepEqual(await told(store, [], stopping), []);
});
