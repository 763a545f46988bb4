import assert from "assert";
import type { Partition } from "../../../shared/names.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import type { ListResponse } from "../../../shared/wire/messages.ts";
import type { WorkerClient } from "../../../shared/wire/transport.ts";
import { OwnerLister } from "./lister.ts";
import { routes } from "./testing.ts";

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
