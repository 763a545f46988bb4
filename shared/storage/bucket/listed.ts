/** A page of entities for the store's callers, with their envelopes where wanted, fetched by bounded parallelism. */
import { S3_LIST_KEYS_MAX, S3_OPERATION_MS } from "../../limits.ts";
import type { EntityName } from "../../names.ts";
import type { Clock } from "../../seams/clock.ts";
import { withinBytes } from "../page.ts";
import type { Listed, ListQuery } from "../store.ts";
import { envelopeKey, FILES_PREFIX } from "./layout.ts";
import { type Listing, type ListingSource, OrderedListing } from "./listing.ts";
import type { ObjectClient } from "./object_client.ts";
import { type Requests, storageError } from "./requests.ts";

/** What a listing needs of a store. */
export interface ListingParts {
  readonly client: ObjectClient;
  readonly requests: Requests;
  readonly clock: Clock;
}

/** Each request of a listing has an operation's time; a listing has as many as it needs. */
function sourceOf({ client, requests, clock }: ListingParts): ListingSource {
  const options = () => ({ deadline: clock.monotonic() + S3_OPERATION_MS });
  return {
    page: async (query) => (await requests.run("list", (signal) => client.list(query, signal), options())).value,
    size: async (name) => {
      const head = await requests.run("head", (signal) => client.head(envelopeKey(name), signal), options());
      return head.value?.size;
    },
  };
}

/** Answers a query of the whole store, or of the accepted names. @throws {StorageError} */
export async function fetchPage(
  parts: ListingParts,
  query: ListQuery,
  accept?: (name: EntityName) => boolean,
): Promise<Listed[]> {
  // A page of the service holds two keys for each entity, of which half are not listed.
  const keysMax = Math.min(S3_LIST_KEYS_MAX, 2 * query.limit + 16);
  try {
    for (let after = query.after;;) {
      const listing = new OrderedListing(
        sourceOf(parts),
        after === undefined ? { prefix: query.prefix } : { prefix: query.prefix, after },
        accept === undefined ? keysMax : S3_LIST_KEYS_MAX,
        accept,
      );
      const found = await listing.next(query.limit);
      if (!query.envelopes) return found.map(({ name, size }) => ({ name, size, envelope: new Uint8Array() }));
      const some = withinBytes(found, query.bytesMax);
      const page = await fetchEnvelopes(parts, some);
      // Everything on this page was deleted since it was listed: an empty answer would mean the end.
      if (page.length > 0 || some.length === 0) return page;
      after = some.at(-1)!.name;
    }
  } catch (error) {
    throw storageError(error, false);
  }
}

/** What names of objects that may be entities begin with, up to their separator and with it. @throws {StorageError} */
export async function fetchSchemaPrefixes({ client, requests, clock }: ListingParts): Promise<string[]> {
  const found: string[] = [];
  try {
    let continuation: string | undefined;
    for (;;) {
      const query = {
        prefix: FILES_PREFIX,
        delimiter: "_",
        limit: S3_LIST_KEYS_MAX,
        ...(continuation === undefined ? {} : { continuation }),
      };
      const page = await requests.run("list", (signal) => client.list(query, signal), {
        deadline: clock.monotonic() + S3_OPERATION_MS,
      });
      for (const prefix of page.value.prefixes ?? []) found.push(prefix.slice(FILES_PREFIX.length));
      continuation = page.value.next;
      if (continuation === undefined) return found;
    }
  } catch (error) {
    throw storageError(error, false);
  }
}

/** The envelopes of a page; entities that were deleted since it was listed are left out. */
async function fetchEnvelopes({ client, requests, clock }: ListingParts, page: readonly Listing[]): Promise<Listed[]> {
  const stop = new AbortController();
  const bodies = await Promise.all(page.map(async ({ name }) => {
    const found = await requests.run("get", (signal) => client.get(envelopeKey(name), signal), {
      deadline: clock.monotonic() + S3_OPERATION_MS,
      signal: stop.signal,
    });
    return found.value && { name, size: found.value.bytes.length, envelope: found.value.bytes };
  })).catch((error) => {
    stop.abort();
    throw error;
  });
  return bodies.filter((body) => body !== undefined);
}
