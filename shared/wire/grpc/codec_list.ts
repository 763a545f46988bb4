/** Listings and events between the plain types and their messages. */
import {
  ENTITY_NAME_BYTES_MAX,
  ETAG_BYTES_MAX,
  KEY_ID_BYTES_MAX,
  PARTITIONS_MAX,
  WIRE_COUNTS_MAX,
  WIRE_LIST_ITEMS_MAX,
} from "../../limits.ts";
import type { Partition } from "../../names.ts";
import type { EntityEvent, EventsRequest, ListItem, ListRequest, ListResponse } from "../messages.ts";
import { partition, storageName } from "./codec_batch.ts";
import type { Definition } from "./definition.ts";
import { WireError } from "./errors.ts";
import {
  enumTable,
  enumValue,
  type Message,
  type MessageCodec,
  messageCodec,
  outMs,
  outWhole,
  text,
  whole,
} from "./message_codec.ts";

/** Partition indexes of a message; each at most once as often as there can be partitions. */
export function partitions(values: readonly number[], field: string): Partition[] {
  if (values.length > PARTITIONS_MAX) {
    throw new WireError("INVALID_ARGUMENT", `${field} has more than ${PARTITIONS_MAX} elements`);
  }
  return values.map((value) => partition(value, field));
}

/** Codec of `ListRequest`. */
export function listRequestCodec(definition: Definition): MessageCodec<ListRequest> {
  const wants = enumTable<ListRequest["want"]>(definition, "ListRequest.Want", {
    meta: "META",
    documents: "DOCUMENTS",
    envelopes: "ENVELOPES",
    counts: "COUNTS",
  });
  return messageCodec<ListRequest>(definition, {
    name: "ListRequest",
    toMessage: (request) => ({
      epoch: outWhole(request.epoch, "epoch"),
      partitions: request.partitions,
      prefix: request.prefix,
      after: request.after,
      limit: outWhole(request.limit, "limit"),
      want: wants.numbers[request.want],
      bytesMax: outWhole(request.bytesMax, "bytesMax"),
    }),
    fromMessage: (message) => ({
      epoch: whole(message.epoch, "epoch"),
      partitions: partitions(message.partitions, "partitions"),
      prefix: text(message.prefix, "prefix", ENTITY_NAME_BYTES_MAX),
      after: text(message.after, "after", ENTITY_NAME_BYTES_MAX),
      limit: whole(message.limit, "limit", WIRE_LIST_ITEMS_MAX),
      want: enumValue(wants.names, message.want, "want"),
      bytesMax: whole(message.bytesMax, "bytes_max"),
    }),
  });
}

/** Codec of `ListResponse`. */
export function listResponseCodec(definition: Definition): MessageCodec<ListResponse> {
  const problems = enumTable<NonNullable<ListItem["problem"]> | "none">(definition, "ListItem.Problem", {
    none: "NONE",
    tampered: "TAMPERED",
    key_unavailable: "KEY_UNAVAILABLE",
  });

  function itemFromMessage(message: Message): ListItem {
    const problem = enumValue(problems.names, message.problem, "item.problem");
    return {
      name: storageName(message.name, "item.name"),
      version: whole(message.version, "item.version"),
      etag: text(message.etag, "item.etag", ETAG_BYTES_MAX),
      writtenAtMs: whole(message.writtenAtMs, "item.written_at_ms"),
      size: whole(message.size, "item.size"),
      keyId: text(message.keyId, "item.key_id", KEY_ID_BYTES_MAX),
      ...(Object.hasOwn(message, "content") && { bytes: message.content }),
      ...(problem !== "none" && { problem }),
    };
  }

  return messageCodec<ListResponse>(definition, {
    name: "ListResponse",
    counts: { items: WIRE_LIST_ITEMS_MAX },
    toMessage: (response) => ({
      items: response.items.map((item) => ({
        name: item.name,
        version: outWhole(item.version, "version"),
        etag: item.etag,
        writtenAtMs: outMs(item.writtenAtMs, "writtenAtMs"),
        size: outWhole(item.size, "size"),
        keyId: item.keyId,
        content: item.bytes,
        problem: item.problem && problems.numbers[item.problem],
      })),
      more: response.more,
      notOwned: response.notOwned,
      unreadable: response.unreadable,
      overloaded: response.overloaded,
      counts: response.counts && {
        counts: Array.from(response.counts, ([prefix, entities]) => ({
          prefix,
          entities: outWhole(entities, "counts"),
        })),
      },
    }),
    fromMessage: (message) => ({
      items: message.items.map(itemFromMessage),
      more: message.more,
      notOwned: partitions(message.notOwned, "not_owned"),
      ...(message.unreadable && { unreadable: true }),
      ...(message.overloaded && { overloaded: true }),
      ...(message.counts && { counts: countsFromMessage(message.counts) }),
    }),
  });
}

function countsFromMessage(message: Message): ReadonlyMap<string, number> {
  if (message.counts.length > WIRE_COUNTS_MAX) {
    throw new WireError("INVALID_ARGUMENT", `counts has more than ${WIRE_COUNTS_MAX} elements`);
  }
  return new Map(message.counts.map((count: Message) => [
    text(count.prefix, "counts.prefix", ENTITY_NAME_BYTES_MAX),
    whole(count.entities, "counts.entities"),
  ]));
}

/** Codec of `EventsRequest`. */
export function eventsRequestCodec(definition: Definition): MessageCodec<EventsRequest> {
  return messageCodec<EventsRequest>(definition, {
    name: "EventsRequest",
    toMessage: (request) => ({ epoch: outWhole(request.epoch, "epoch") }),
    fromMessage: (message) => ({ epoch: whole(message.epoch, "epoch") }),
  });
}

/** Codec of `EntityEvent`. */
export function entityEventCodec(definition: Definition): MessageCodec<EntityEvent> {
  const kinds = enumTable<EntityEvent["kind"]>(definition, "EntityEvent.Kind", { put: "PUT", delete: "DELETE" });
  return messageCodec<EntityEvent>(definition, {
    name: "EntityEvent",
    toMessage: (event) => ({
      kind: kinds.numbers[event.kind],
      name: event.name,
      version: outWhole(event.version, "version"),
      etag: event.etag,
      partition: event.partition,
      epoch: outWhole(event.epoch, "epoch"),
    }),
    fromMessage: (message) => ({
      kind: enumValue(kinds.names, message.kind, "kind"),
      name: storageName(message.name, "name"),
      version: whole(message.version, "version"),
      etag: text(message.etag, "etag", ETAG_BYTES_MAX),
      partition: partition(message.partition, "partition"),
      epoch: whole(message.epoch, "epoch"),
    }),
  });
}
