import assert from "assert";
import { LIST_PAGE_BYTES_MAX, LISTING_TURNS } from "../../../shared/limits.ts";
import {
  type EntityName,
  entityName,
  parseEntityKey,
  parseSchemaId,
  type Partition,
  schemaPrefix,
} from "../../../shared/names.ts";
import type { ErrorCode } from "../../../shared/outcome.ts";
import { ManualClock, settled } from "../../../shared/seams/manual_clock.ts";
import { type ListQuery, StorageError } from "../../../shared/storage/store.ts";
import type { ListResponse, OperationResult } from "../../../shared/wire/messages.ts";
import type { WorkerClient } from "../../../shared/wire/transport.ts";
import { type ListedPage, OwnerLister } from "./lister.ts";
import { StoreLister, type StoreListerParts } from "./store_lister.ts";
import { dispatching, meta, routes, SCHEMA } from "./testing.ts";

const LISTING = { prefix: "", after: "", limit: 10, want: "meta" } as const;
const EMPTY: ListResponse = { items: [], more: false, notOwned: [] };

function listing(answer: () => ListResponse): OwnerLister {
  const client = { list: () => Promise.resolve(answer()) } as unknown as WorkerClient;
  return new OwnerLister({ clock: new ManualClock(), routes: () => routes(1, "a"), client: () => client });
}

Deno.test("lister: what an owner cannot read is said at once, and is no page", async () => {
  let asked = 0;
  const lister = listing(() => (asked++, { ...EMPTY, unreadable: true }));
  const page = await lister.page({ ...LISTING, partitions: [0 as Partition] });
  assert(page.kind === "failed" && page.code === "storage_unavailable");
  assert.equal(asked, 1);
  assert.equal((await listing(() => EMPTY).page(LISTING)).kind, "page");
});

Deno.test("lister: so many pages are asked for at a time; those that wait for too long, or that a worker refuses, are refused", async () => {
  const clock = new ManualClock();
  const answers: (() => void)[] = [];
  const list = () => new Promise<ListResponse>((resolve) => answers.push(() => resolve(EMPTY)));
  const client = { list } as unknown as WorkerClient;
  const lister = new OwnerLister({ clock, routes: () => routes(1, "a"), client: () => client });
  const pages: string[] = [];
  const tell = (page: ListedPage) => pages.push(page.kind === "failed" ? page.code : page.kind);
  for (let n = 0; n < LISTING_TURNS.atOnce + LISTING_TURNS.waitingMax + 1; n++) void lister.page(LISTING).then(tell);
  await settled();
  assert.deepEqual([answers.length, pages], [LISTING_TURNS.atOnce, ["overloaded"]]);
  answers[0]!();
  await settled();
  assert.deepEqual([answers.length, pages.at(-1)], [LISTING_TURNS.atOnce + 1, "page"]);
  await clock.advance(LISTING_TURNS.waitMs);
  assert.equal(pages.filter((page) => page === "overloaded").length, LISTING_TURNS.waitingMax);
  const refused = await listing(() => ({ ...EMPTY, overloaded: true })).page(LISTING);
  assert(refused.kind === "failed" && refused.code === "overloaded" && refused.retryAfterS === 1);
});

const nameOf = (key: string): EntityName => entityName(SCHEMA, parseEntityKey(key));

type ReadAnswer = (name: EntityName) => OperationResult;

/** Lists a bucket that holds no schema. */
function storeLister(
  { dispatcher, operations, clock }: ReturnType<typeof dispatching>,
  list: StoreListerParts["list"],
): StoreLister {
  return new StoreLister({ list, schemaPrefixes: () => Promise.resolve([]), dispatcher, operations, clock });
}

/** A bucket that lists entities of these sizes, each of which is read as `answer` says. */
function storeListing(sizes: Readonly<Record<string, number>>, answer: ReadAnswer = () => FOUND) {
  const d = dispatching(routes(1, "a"), "bucket");
  const all = Object.entries(sizes).map(([key, size]) => ({ name: nameOf(key), size, envelope: new Uint8Array() }));
  const list = ({ after = "", limit }: ListQuery) =>
    Promise.resolve(all.filter(({ name }) => name > after).slice(0, limit));
  const lister = storeLister(d, list);
  return {
    [Symbol.dispose]: d[Symbol.dispose],
    /** The names of a page, with what is wrong with them, and whether there are more; or the code of the failure. */
    async documents(limit: number, after = ""): Promise<string[]> {
      let page: ListedPage | undefined;
      const listed = lister.page({ prefix: "", after, limit, want: "documents" }).then((answer) => page = answer);
      while (page === undefined) {
        for (const batch of d.workers.batches.splice(0)) {
          batch.answer((n) => answer(batch.request.operations[n]!.name));
        }
        await settled();
      }
      await listed;
      if (page.kind === "failed") return [page.code];
      const names = page.items.map(({ name, problem }) => problem === undefined ? name : `${name} ${problem}`);
      return [...names, ...page.more ? ["more"] : []];
    },
  };
}

const FOUND: OperationResult = { kind: "found", document: new Uint8Array([49]), meta: meta(1) };
const failing = (code: ErrorCode, ...keys: string[]): ReadAnswer => (name) =>
  keys.map(nameOf).includes(name) ? { kind: "failed", code, message: "" } : FOUND;

Deno.test("lister: a page of documents that were all deleted meanwhile is not the end of a bucket's list", async () => {
  using s = storeListing({ a: 1, b: 1, c: 1, d: 1 }, failing("not_found", "a", "b", "d"));
  assert.deepEqual(await s.documents(1), [nameOf("c"), "more"]);
  assert.deepEqual(await s.documents(2), [nameOf("c")]);
  assert.deepEqual(await s.documents(1, nameOf("c")), []);
});

Deno.test("lister: a page of a bucket's documents ends by their bytes, and holds one at least", async () => {
  const half = LIST_PAGE_BYTES_MAX / 2;
  using s = storeListing({ a: half, b: half, c: 1, d: 3 * half, e: 1 });
  assert.deepEqual(await s.documents(10), [nameOf("a"), nameOf("b"), "more"]);
  assert.deepEqual(await s.documents(10, nameOf("b")), [nameOf("c"), "more"]);
  assert.deepEqual(await s.documents(10, nameOf("c")), [nameOf("d"), "more"]);
  assert.deepEqual(await s.documents(10, nameOf("d")), [nameOf("e")]);
});

Deno.test("lister: what cannot be opened is listed as that; what cannot be read fails the page", async () => {
  using tampered = storeListing({ a: 1, b: 1 }, failing("tampered", "a"));
  assert.deepEqual(await tampered.documents(10), [`${nameOf("a")} tampered`, nameOf("b")]);
  using keyless = storeListing({ a: 1, b: 1 }, failing("key_unavailable", "b"));
  assert.deepEqual(await keyless.documents(10), [nameOf("a"), `${nameOf("b")} key_unavailable`]);
  using unreadable = storeListing({ a: 1, b: 1 }, failing("storage_unavailable", "b"));
  assert.deepEqual(await unreadable.documents(10), ["storage_unavailable"]);
});

Deno.test("lister: a bucket that does not answer fails the page; a bug is no page", async () => {
  using d = dispatching(routes(1, "a"), "bucket");
  const listing = (error: Error) =>
    storeLister(d, () => Promise.reject(error))
      .page(LISTING);
  const page = await listing(new StorageError("unavailable", "the service is away"));
  assert(page.kind === "failed" && page.code === "storage_unavailable");
  await assert.rejects(() => listing(new RangeError("a bug")), RangeError);
});

Deno.test("lister: pages of a bucket with documents have turns, pages of names need none", async () => {
  using d = dispatching(routes(1, "a"), "bucket");
  let asked = 0;
  const list = () => (asked++, new Promise<never>(() => {}));
  const lister = storeLister(d, list);
  const refused: string[] = [];
  const tell = (page: ListedPage) => refused.push(page.kind === "failed" ? page.code : page.kind);
  for (let n = 0; n < LISTING_TURNS.atOnce + 1; n++) void lister.page({ ...LISTING, want: "documents" }).then(tell);
  await settled();
  assert.equal(asked, LISTING_TURNS.atOnce);
  void lister.page(LISTING);
  assert.equal(asked, LISTING_TURNS.atOnce + 1);
  await d.clock.advance(LISTING_TURNS.waitMs);
  assert.deepEqual(refused, ["overloaded"]);
});

Deno.test("lister: the schemas of a bucket are those of which a listing finds an entity, some looked at together", async () => {
  using d = dispatching(routes(1, "a"), "bucket");
  const ids = Array.from({ length: 100 }, (_, n) => `schema-${String(n).padStart(2, "0")}`);
  const prefixes = ids.map((id) => schemaPrefix(parseSchemaId(id)));
  let [listed, together, mostTogether] = [0, 0, 0];
  const list = async ({ prefix, limit }: ListQuery) => {
    listed += limit;
    mostTogether = Math.max(mostTogether, ++together);
    await settled();
    together -= 1;
    const name = `${prefix}k` as EntityName;
    return prefixes.includes(prefix) ? [{ name, size: 1, envelope: new Uint8Array() }] : [];
  };
  const schemaPrefixes = () => Promise.resolve([...prefixes.slice(0, 50), "gone_", "%ZZ_", ...prefixes.slice(50)]);
  const { dispatcher, operations, clock } = d;
  const lister = new StoreLister({ list, schemaPrefixes, dispatcher, operations, clock });
  const page = await lister.page({ ...LISTING, want: "counts" });
  assert(page.kind === "page");
  assert.deepEqual([...page.counts!.keys()], prefixes);
  assert.equal(listed, 102);
  assert(mostTogether > 1 && mostTogether <= 16, `${mostTogether}`);
});
