/** A listing over several owners is the one that a single owner of everything would give, whatever part each answers. */
import assert from "assert";
import fc from "fast-check";
import { REQUEST_DEADLINE_MS } from "../../../shared/limits.ts";
import { compareNames, entityName, parseEntityKey, type Partition } from "../../../shared/names.ts";
import { ManualClock, settled } from "../../../shared/seams/manual_clock.ts";
import type { ListItem, ListRequest, ListResponse } from "../../../shared/wire/messages.ts";
import { TransportError, type WorkerClient } from "../../../shared/wire/transport.ts";
import { type ListedPage, type Listing, OwnerLister } from "./lister.ts";
import { meta, routes, SCHEMA } from "./testing.ts";

const itemOf = (key: string): ListItem => ({ name: entityName(SCHEMA, parseEntityKey(key)), ...meta(1), keyId: "k" });
const EMPTY: ListResponse = { items: [], more: false, notOwned: [] };
const META: Listing = { prefix: "", after: "", limit: 10, want: "meta" };

type List = (request: ListRequest) => ListResponse | Promise<ListResponse>;

/** A lister of the owners `lists`, by their sessions; each owns the partitions that `owners` says. */
function listerOf(lists: Readonly<Record<string, List>>, ...owners: string[]) {
  const clock = new ManualClock();
  const state = { routes: routes(1, ...owners) };
  const asked: { session: string; request: ListRequest }[] = [];
  const lister = new OwnerLister({
    clock,
    routes: () => state.routes,
    client: (session) => {
      const list = lists[session];
      if (list === undefined) return undefined;
      return {
        list: async (request: ListRequest) => {
          asked.push({ session, request });
          return await list(request);
        },
      } as unknown as WorkerClient;
    },
  });
  return { clock, state, asked, lister };
}

/** Answers as much of its entities as it likes, but something while there is something. */
function owner(items: readonly ListItem[], sizes: readonly number[]): List {
  let call = 0;
  return ({ after, limit }) => {
    const left = items.filter(({ name }) => name > after);
    const some = left.slice(0, Math.min(limit, sizes[call++ % sizes.length]!));
    return { ...EMPTY, items: some, more: some.length < left.length };
  };
}

async function allOf(lister: OwnerLister, limit: number): Promise<{ names: string[]; pages: number }> {
  const names: string[] = [];
  for (let [after, pages] = ["", 1];; pages++) {
    const page = await lister.page({ ...META, after, limit });
    assert(page.kind === "page");
    assert.ok(page.items.length <= limit);
    names.push(...page.items.map(({ name }) => name));
    if (!page.more) return { names, pages };
    assert.ok(page.items.length > 0, "a page that is not the last has something");
    after = page.items.at(-1)!.name;
  }
}

Deno.test("owner lister: page after page, each entity once, in the order of names, and then the end", async () => {
  const keys = fc.uniqueArray(
    fc.string({ unit: fc.constantFrom("a", "b", "-", "é", "_"), minLength: 1, maxLength: 4 }),
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.tuple(keys, keys, keys), sizes, fc.integer({ min: 1, max: 6 }), async (owned, sizes, limit) => {
      const seen = new Set<string>();
      const byOwner = owned.map((keys) =>
        keys.filter((key) => !seen.has(key) && seen.add(key)).map(itemOf).sort((a, b) => compareNames(a.name, b.name))
      );
      const [a, b, c] = byOwner as [ListItem[], ListItem[], ListItem[]];
      const { lister } = listerOf({ a: owner(a, sizes), b: owner(b, sizes), c: owner(c, [1000]) }, "a", "b", "c", "a");
      const { names, pages } = await allOf(lister, limit);
      const all = byOwner.flat().map(({ name }) => name).sort(compareNames);
      assert.deepEqual(names, all);
      // Nobody asks for a page that is not there.
      assert.ok(pages <= Math.max(1, all.length), `${pages} pages of ${all.length}`);
    }),
  );
});

Deno.test("owner lister: a page that is full, and a page that just holds everything", async () => {
  const [one, two, three] = ["a", "b", "c"].map(itemOf) as [ListItem, ListItem, ListItem];
  const page = async (limit: number) => {
    const { lister } = listerOf({ a: owner([one, three], [9]), b: owner([two], [9]) }, "a", "b");
    const page = await lister.page({ ...META, limit });
    assert(page.kind === "page");
    return [page.items.map(({ name }) => name), page.more];
  };
  assert.deepEqual(await page(2), [[one.name, two.name], true]);
  assert.deepEqual(await page(3), [[one.name, two.name, three.name], false]);
});

Deno.test("owner lister: counts are summed, or absent where an owner cannot tell", async () => {
  const counting = (counts: Record<string, number>): List => () => ({
    ...EMPTY,
    counts: new Map(Object.entries(counts)),
  });
  const sum = await listerOf({ a: counting({ x: 2, y: 1 }), b: counting({ x: 3, z: 7 }) }, "a", "b").lister.page({
    ...META,
    want: "counts",
  });
  assert(sum.kind === "page");
  assert.deepEqual(sum.counts, new Map([["x", 5], ["y", 1], ["z", 7]]));
  const none = await listerOf({ a: counting({ x: 2 }), b: () => EMPTY }, "a", "b").lister.page({
    ...META,
    want: "counts",
  });
  assert(none.kind === "page");
  assert.equal(none.counts, undefined);
});

Deno.test("owner lister: each owner is asked once, for what it owns, within what is left of the time", async () => {
  const { lister, asked } = listerOf({ a: () => EMPTY, b: () => EMPTY }, "a", "b", "a", "b");
  const listing: Listing = { ...META, prefix: "s_k", after: "s_k1", limit: 7, want: "documents" };
  await lister.page(listing);
  assert.deepEqual(asked.map(({ session, request: { partitions } }) => [session, partitions]), [["a", [0, 2]], ["b", [
    1,
    3,
  ]]]);
  for (const { request } of asked) {
    const { prefix, after, limit, want, epoch } = request;
    assert.deepEqual({ prefix, after, limit, want, epoch }, { ...listing, epoch: 1 });
  }
  asked.length = 0;
  await lister.page({ ...listing, partitions: [3 as Partition] });
  assert.deepEqual(asked.map(({ session, request: { partitions } }) => [session, partitions]), [["b", [3]]]);
});

async function pageOf(page: Promise<ListedPage>): Promise<string> {
  const answer = await page;
  return answer.kind === "failed" ? answer.code : answer.kind;
}

Deno.test("owner lister: a partition that moves is waited for, one that nobody has is not", async () => {
  const moving = listerOf({ a: () => EMPTY }, "a", "moving");
  const waiting = pageOf(moving.lister.page(META));
  await moving.clock.advance(200);
  assert.equal(moving.asked.length, 0, "half a page is none");
  moving.state.routes = routes(2, "a", "a");
  await moving.clock.advance(50);
  assert.equal(await waiting, "page");
  assert.deepEqual(moving.asked.map(({ request }) => request.epoch), [2]);
  assert.equal(await pageOf(listerOf({ a: () => EMPTY }, "a", "none").lister.page(META)), "no_worker");
  assert.equal(
    await pageOf(listerOf({ a: () => EMPTY }, "a").lister.page({ ...META, partitions: [1 as Partition] })),
    "no_worker",
  );
  const never = listerOf({}, "moving");
  const late = pageOf(never.lister.page(META));
  await never.clock.advance(REQUEST_DEADLINE_MS + 100);
  assert.equal(await late, "deadline");
});

Deno.test("owner lister: an owner that has gone, answers nothing or has given a partition away is asked again", async () => {
  const failures: List[] = [
    () => Promise.reject(new TransportError("broken", "it has gone")),
    () => ({ ...EMPTY, notOwned: [1 as Partition] }),
  ];
  let call = 0;
  const item = itemOf("a");
  const { lister, clock, asked } = listerOf(
    {
      a: () => ({ ...EMPTY, items: [item] }),
      b: (request) => failures[call++]?.(request) ?? EMPTY,
    },
    "a",
    "b",
  );
  const page = lister.page(META);
  await settled();
  assert.equal(asked.length, 2);
  await clock.advance(100);
  const answer = await page;
  assert(answer.kind === "page");
  assert.deepEqual([answer.items, asked.length], [[item], 6]);

  const gone = listerOf({ a: () => EMPTY }, "a", "b");
  const waiting = pageOf(gone.lister.page(META));
  await gone.clock.advance(200);
  gone.state.routes = routes(2, "a", "a");
  await gone.clock.advance(50);
  assert.equal(await waiting, "page");

  const bug = listerOf({ a: () => Promise.reject(new RangeError("a bug")) }, "a");
  await assert.rejects(bug.lister.page(META), RangeError);
});
