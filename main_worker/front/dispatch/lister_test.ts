import assert from "assert";
import { LIST_PAGE_BYTES_MAX } from "../../../shared/limits.ts";
import { type EntityName, entityName, parseEntityKey, type Partition } from "../../../shared/names.ts";
import { ManualClock, settled } from "../../../shared/seams/manual_clock.ts";
import type { ListQuery } from "../../../shared/storage/store.ts";
import type { ListResponse } from "../../../shared/wire/messages.ts";
import type { WorkerClient } from "../../../shared/wire/transport.ts";
import { type ListedPage, OwnerLister } from "./lister.ts";
import { StoreLister } from "./store_lister.ts";
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

const nameOf = (key: string): EntityName => entityName(SCHEMA, parseEntityKey(key));

/** A store that lists entities of these sizes, of which some are gone when they are read. */
function storeListing(sizes: Readonly<Record<string, number>>, gone: readonly string[]) {
  const d = dispatching(routes(1, "a"), "bucket");
  const all = Object.entries(sizes).map(([key, size]) => ({ name: nameOf(key), size, envelope: new Uint8Array() }));
  const list = ({ after = "", limit }: ListQuery) =>
    Promise.resolve(all.filter(({ name }) => name > after).slice(0, limit));
  const lister = new StoreLister({ list, dispatcher: d.dispatcher, operations: d.operations });
  const isGone = new Set(gone.map(nameOf));
  return {
    [Symbol.dispose]: () => d.dispatcher.close(),
    async documents(limit: number, after = ""): Promise<string[] | undefined> {
      let page: ListedPage | undefined;
      const listed = lister.page({ prefix: "", after, limit, want: "documents" }).then((answer) => page = answer);
      while (page === undefined) {
        for (const { request, answer } of d.workers.batches.splice(0)) {
          answer((n) =>
            isGone.has(request.operations[n]!.name)
              ? { kind: "failed", code: "not_found", message: "" }
              : { kind: "found", document: new Uint8Array([49]), meta: meta(1) }
          );
        }
        await settled();
      }
      await listed;
      if (page.kind === "failed") return undefined;
      return [...page.items.map(({ name }) => name), ...page.more ? ["more"] : []];
    },
  };
}

Deno.test("lister: a page of documents that were all deleted meanwhile is not the end of a bucket's list", async () => {
  using s = storeListing({ a: 1, b: 1, c: 1, d: 1 }, ["a", "b", "d"]);
  assert.deepEqual(await s.documents(1), [nameOf("c"), "more"]);
  assert.deepEqual(await s.documents(2), [nameOf("c")]);
  assert.deepEqual(await s.documents(1, nameOf("c")), []);
});

Deno.test("lister: a page of a bucket's documents ends by their bytes, and holds one at least", async () => {
  const half = LIST_PAGE_BYTES_MAX / 2;
  using s = storeListing({ a: half, b: half, c: 1, d: 3 * half, e: 1 }, []);
  assert.deepEqual(await s.documents(10), [nameOf("a"), nameOf("b"), "more"]);
  assert.deepEqual(await s.documents(10, nameOf("b")), [nameOf("c"), "more"]);
  assert.deepEqual(await s.documents(10, nameOf("c")), [nameOf("d"), "more"]);
  assert.deepEqual(await s.documents(10, nameOf("d")), [nameOf("e")]);
});
