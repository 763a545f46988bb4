/** Lists entities across the owners of all partitions: each gives its own in order, and they are merged here. */
import { LIST_PAGE_BYTES_MAX, LISTING_TURNS, REQUEST_DEADLINE_MS, RETRY_AFTER_S } from "../../../shared/limits.ts";
import { compareNames, type Partition } from "../../../shared/names.ts";
import { type Failure, failure } from "../../../shared/outcome.ts";
import { type Clock, sleep } from "../../../shared/seams/clock.ts";
import { Turns } from "../../../shared/turns.ts";
import type { ListItem, ListRequest, ListResponse } from "../../../shared/wire/messages.ts";
import { TransportError, type WorkerClient } from "../../../shared/wire/transport.ts";
import type { Routes } from "../../control/control.ts";

/** Lists entities of a store. */
export interface Lister {
  /** One page; a page is whole or it is a failure. */
  page(listing: Listing, deadlineMs?: number): Promise<ListedPage>;
}

/** Where an owner lister finds the owners and how to call them. */
export interface OwnerListerParts {
  readonly clock: Clock;
  routes(): Routes;
  client(session: string): WorkerClient | undefined;
}

/** What to list; see `ListRequest`. */
export type Listing = Pick<ListRequest, "prefix" | "after" | "limit" | "want"> & {
  /** Only these partitions, of a store that owners list; absent: all. */
  readonly partitions?: readonly Partition[];
};

/** Items in byte order of names; `more`: there may be others after the last. */
export type ListedPage =
  | {
    readonly kind: "page";
    readonly items: readonly ListItem[];
    readonly more: boolean;
    readonly counts: ReadonlyMap<string, number> | undefined;
  }
  | Failure;

const RETRY_MS = 50;

/** The {@linkcode Lister} of a store that only owners can list. */
export class OwnerLister implements Lister {
  readonly #parts: OwnerListerParts;
  readonly #turns: Turns;

  constructor(parts: OwnerListerParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.clock, LISTING_TURNS);
  }

  /** Waits within the deadline for partitions that are moving. */
  async page(listing: Listing, deadlineMs = REQUEST_DEADLINE_MS): Promise<ListedPage> {
    const { clock } = this.#parts;
    const until = clock.monotonic() + deadlineMs;
    for (;;) {
      if (clock.monotonic() >= until) return failure("deadline", "the owners of the partitions did not answer in time");
      const routes = this.#parts.routes();
      const partitions = listing.partitions ?? routes.owners.map((_, partition) => partition as Partition);
      const bySession = new Map<string, Partition[]>();
      let moving = false;
      for (const partition of partitions) {
        const owner = routes.owners[partition];
        if (owner === "none" || owner === undefined) {
          return failure("no_worker", "some partitions have no worker now", { retryAfterS: RETRY_AFTER_S });
        }
        if (owner === "moving") moving = true;
        else bySession.set(owner.session, [...(bySession.get(owner.session) ?? []), partition]);
      }
      if (!moving) {
        const ask = () => this.#ask(routes, bySession, listing, until - clock.monotonic());
        const answers = await this.#turns.run(ask, "refused");
        if (answers === "refused" || answers?.some(({ overloaded }) => overloaded)) return OVERLOADED_LISTING;
        if (answers?.some(({ unreadable }) => unreadable)) return UNREADABLE;
        if (answers !== undefined) return merge(answers, listing.limit);
      }
      await sleep(clock, RETRY_MS);
    }
  }

  /** All owners' answers, or `undefined` when one of them is not the owner any more. */
  async #ask(
    routes: Routes,
    bySession: ReadonlyMap<string, readonly Partition[]>,
    listing: Listing,
    leftMs: number,
  ): Promise<ListResponse[] | undefined> {
    const { prefix, after, limit, want } = listing;
    const bytesMax = Math.floor(LIST_PAGE_BYTES_MAX / Math.max(1, bySession.size));
    try {
      const answers = await Promise.all([...bySession].map(([session, partitions]) => {
        const client = this.#parts.client(session);
        if (client === undefined) throw new TransportError("broken", "the worker has gone");
        return client.list({ epoch: routes.epoch, partitions, prefix, after, limit, want, bytesMax }, leftMs);
      }));
      return answers.every((answer) => answer.notOwned.length === 0) ? answers : undefined;
    } catch (error) {
      if (error instanceof TransportError) return undefined;
      throw error;
    }
  }
}

/** The answer where no turn came. */
export const OVERLOADED_LISTING: Failure = failure("overloaded", "too many listings are under way; ask again soon", {
  retryAfterS: RETRY_AFTER_S,
});

const UNREADABLE: Failure = failure(
  "storage_unavailable",
  "the storage cannot be read, or is damaged, somewhere in what was to be listed; the log of a worker has it",
  { retryAfterS: RETRY_AFTER_S },
);

/** Merges sorted answers; beyond the end of an answer that has more, nothing is known, so the page ends there. */
function merge(answers: readonly ListResponse[], limit: number): ListedPage {
  let frontier: string | undefined;
  for (const { items, more } of answers) {
    const last = items.at(-1)?.name;
    if (more && last !== undefined && (frontier === undefined || last < frontier)) frontier = last;
  }
  const known = answers.flatMap((answer) => answer.items)
    .filter((item) => frontier === undefined || item.name <= frontier)
    .sort((a, b) => compareNames(a.name, b.name));
  const counts = answers.some((answer) => answer.counts === undefined) ? undefined : new Map<string, number>();
  for (const answer of answers) {
    for (const [prefix, n] of answer.counts ?? []) counts?.set(prefix, (counts.get(prefix) ?? 0) + n);
  }
  return { kind: "page", items: known.slice(0, limit), more: frontier !== undefined || known.length > limit, counts };
}
