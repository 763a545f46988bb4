/** Membership (subscribe, heartbeat, unsubscribe) between the plain types and their messages. */
import {
  CREDENTIAL_BYTES_MAX,
  HEARTBEAT_BYTES_MAX,
  HEARTBEAT_DISPATCHERS_MAX,
  JOIN_PROOF_BYTES_MAX,
  KEY_ID_BYTES_MAX,
  MASTER_KEYS_MAX,
  PARTITIONS_MAX,
  SUBSCRIBE_BYTES_MAX,
  WIRE_ID_BYTES_MAX,
  WIRE_PUBLIC_KEY_BYTES_MAX,
  WIRE_TEXT_BYTES_MAX,
  WORKER_ID_BYTES_MAX,
  WORKER_TAG_BYTES_MAX,
  WORKER_TAGS_MAX,
  WRAPPED_KEY_BYTES_MAX,
} from "../../limits.ts";
import type { Partition } from "../../names.ts";
import type {
  CacheFigures,
  HeartbeatRequest,
  HeartbeatResponse,
  StorageFigures,
  SubscribeRequest,
  SubscribeResponse,
  UnsubscribeRequest,
  WrappedKey,
} from "../messages.ts";
import { partition } from "./codec_batch.ts";
import { partitions } from "./codec_list.ts";
import type { Definition } from "./definition.ts";
import { WireError } from "./errors.ts";
import {
  bytes,
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

/** Codec of `SubscribeRequest`. */
export function subscribeRequestCodec(definition: Definition): MessageCodec<SubscribeRequest> {
  return messageCodec<SubscribeRequest>(definition, {
    name: "SubscribeRequest",
    bytesMax: SUBSCRIBE_BYTES_MAX,
    counts: { tags: WORKER_TAGS_MAX },
    toMessage: (request) => ({
      workerId: request.workerId,
      pubkey: request.publicKey,
      tags: request.tags,
      session: request.session,
      timestampMs: outMs(request.timestampMs, "timestampMs"),
      proof: request.proof,
      storeId: request.storeId,
      partitions: outWhole(request.partitions, "partitions"),
      owned: request.owned,
    }),
    fromMessage: (message) => ({
      workerId: text(message.workerId, "worker_id", WORKER_ID_BYTES_MAX),
      session: text(message.session, "session", WIRE_ID_BYTES_MAX),
      publicKey: bytes(message.pubkey, "pubkey", WIRE_PUBLIC_KEY_BYTES_MAX),
      tags: Object.fromEntries(
        (Object.entries(message.tags) as [string, string][]).map(([key, value]) => [
          text(key, "tags", WORKER_TAG_BYTES_MAX),
          text(value, "tags", WORKER_TAG_BYTES_MAX),
        ]),
      ),
      timestampMs: whole(message.timestampMs, "timestamp_ms"),
      proof: bytes(message.proof, "proof", JOIN_PROOF_BYTES_MAX),
      storeId: text(message.storeId, "store_id", WIRE_ID_BYTES_MAX),
      partitions: whole(message.partitions, "partitions", PARTITIONS_MAX),
      owned: partitions(message.owned, "owned"),
    }),
  });
}

/** Codec of `SubscribeResponse`. */
export function subscribeResponseCodec(definition: Definition): MessageCodec<SubscribeResponse> {
  const key = (message: Message): WrappedKey => ({
    keyId: text(message.keyId, "key_id", KEY_ID_BYTES_MAX),
    wrapped: bytes(message.wrapped, "wrapped", WRAPPED_KEY_BYTES_MAX),
  });
  return messageCodec<SubscribeResponse>(definition, {
    name: "SubscribeResponse",
    counts: { oldKeys: MASTER_KEYS_MAX - 1 },
    toMessage: (response) => {
      const [current, ...oldKeys] = response.keys;
      if (current === undefined) throw new RangeError("keys is empty; the first one is the current key");
      return {
        token: response.token,
        wrappedKey: current.wrapped,
        keyId: current.keyId,
        tokenExpiresAtMs: outMs(response.tokenExpiresAtMs, "tokenExpiresAtMs"),
        oldKeys,
        heartbeatMs: outMs(response.heartbeatMs, "heartbeatMs"),
        term: outWhole(response.term, "term"),
        documentBytesMax: outWhole(response.documentBytesMax, "documentBytesMax"),
      };
    },
    fromMessage: (message) => ({
      token: text(message.token, "token", CREDENTIAL_BYTES_MAX),
      tokenExpiresAtMs: whole(message.tokenExpiresAtMs, "token_expires_at_ms"),
      keys: [key({ keyId: message.keyId, wrapped: message.wrappedKey }), ...message.oldKeys.map(key)],
      heartbeatMs: whole(message.heartbeatMs, "heartbeat_ms"),
      term: whole(message.term, "term"),
      documentBytesMax: whole(message.documentBytesMax, "document_bytes_max"),
    }),
  });
}

type Owned = HeartbeatRequest["owned"];
type Floors = HeartbeatRequest["finished"];

function ownedToMessage(owned: Owned): Message[] {
  return owned.map((one) => ({ partition: one.partition, epoch: outWhole(one.epoch, "epoch") }));
}

function ownedFromMessage(messages: readonly Message[], field: string): Owned {
  return messages.map((one): { partition: Partition; epoch: number } => ({
    partition: partition(one.partition, `${field}.partition`),
    epoch: whole(one.epoch, `${field}.epoch`),
  }));
}

function floorsToMessage(floors: Floors): Message[] {
  return floors.map((one) => ({ dispatcher: one.dispatcher, floor: outWhole(one.floor, "floor") }));
}

function floorsFromMessage(messages: readonly Message[], field: string): Floors {
  return messages.map((one) => ({
    dispatcher: text(one.dispatcher, `${field}.dispatcher`, WIRE_ID_BYTES_MAX),
    floor: whole(one.floor, `${field}.floor`),
  }));
}

function cacheToMessage(cache: CacheFigures): Message {
  return {
    entries: outWhole(cache.entries, "cache.entries"),
    bytes: outWhole(cache.bytes, "cache.bytes"),
    hits: outWhole(cache.hits, "cache.hits"),
    misses: outWhole(cache.misses, "cache.misses"),
    evictions: outWhole(cache.evictions, "cache.evictions"),
  };
}

function cacheFromMessage(message: Message | null | undefined): CacheFigures {
  if (!message) throw new WireError("INVALID_ARGUMENT", "cache is missing");
  return {
    entries: whole(message.entries, "cache.entries"),
    bytes: whole(message.bytes, "cache.bytes"),
    hits: whole(message.hits, "cache.hits"),
    misses: whole(message.misses, "cache.misses"),
    evictions: whole(message.evictions, "cache.evictions"),
  };
}

function storageToMessage(storage: StorageFigures): Message {
  return {
    syncs: outWhole(storage.syncs, "storage.syncs"),
    syncMicroseconds: outWhole(storage.syncMicroseconds, "storage.syncMicroseconds"),
    logBytes: outWhole(storage.logBytes, "storage.logBytes"),
    dirtyEntities: outWhole(storage.dirtyEntities, "storage.dirtyEntities"),
    dirtyBytes: outWhole(storage.dirtyBytes, "storage.dirtyBytes"),
    checkpoints: outWhole(storage.checkpoints, "storage.checkpoints"),
  };
}

function storageFromMessage(message: Message): StorageFigures {
  return {
    syncs: whole(message.syncs, "storage.syncs"),
    syncMicroseconds: whole(message.syncMicroseconds, "storage.sync_microseconds"),
    logBytes: whole(message.logBytes, "storage.log_bytes"),
    dirtyEntities: whole(message.dirtyEntities, "storage.dirty_entities"),
    dirtyBytes: whole(message.dirtyBytes, "storage.dirty_bytes"),
    checkpoints: whole(message.checkpoints, "storage.checkpoints"),
  };
}

/** Codec of `HeartbeatRequest`. */
export function heartbeatRequestCodec(definition: Definition): MessageCodec<HeartbeatRequest> {
  const reasons = enumTable<HeartbeatRequest["failing"][number]["reason"]>(definition, "FailingPartition.Reason", {
    held: "HELD",
    corrupt: "CORRUPT",
    unavailable: "UNAVAILABLE",
  });
  return messageCodec<HeartbeatRequest>(definition, {
    name: "HeartbeatRequest",
    bytesMax: HEARTBEAT_BYTES_MAX,
    counts: { owned: PARTITIONS_MAX, failing: PARTITIONS_MAX, finished: HEARTBEAT_DISPATCHERS_MAX },
    toMessage: (request) => ({
      workerId: request.workerId,
      session: request.session,
      token: request.token,
      seq: outWhole(request.seq, "seq"),
      owned: ownedToMessage(request.owned),
      releasing: request.releasing,
      failing: request.failing.map((one) => ({
        partition: one.partition,
        reason: reasons.numbers[one.reason],
        detail: one.detail.slice(0, FAILING_DETAIL_MAX),
      })),
      finished: floorsToMessage(request.finished),
      epoch: outWhole(request.epoch, "epoch"),
      leaving: request.leaving,
      activeRequests: outWhole(request.activeRequests, "activeRequests"),
      cache: cacheToMessage(request.cache),
      storage: request.storage && storageToMessage(request.storage),
      immediate: request.immediate,
    }),
    fromMessage: (message) => ({
      workerId: text(message.workerId, "worker_id", WORKER_ID_BYTES_MAX),
      session: text(message.session, "session", WIRE_ID_BYTES_MAX),
      token: text(message.token, "token", CREDENTIAL_BYTES_MAX),
      seq: whole(message.seq, "seq"),
      owned: ownedFromMessage(message.owned, "owned"),
      releasing: partitions(message.releasing, "releasing"),
      failing: message.failing.map((one: Message) => ({
        partition: partition(one.partition, "failing.partition"),
        reason: enumValue(reasons.names, one.reason, "failing.reason"),
        detail: text(one.detail, "failing.detail", WIRE_TEXT_BYTES_MAX),
      })),
      finished: floorsFromMessage(message.finished, "finished"),
      epoch: whole(message.epoch, "epoch"),
      leaving: message.leaving,
      activeRequests: whole(message.activeRequests, "active_requests"),
      cache: cacheFromMessage(message.cache),
      ...(message.storage && { storage: storageFromMessage(message.storage) }),
      immediate: message.immediate,
    }),
  });
}

/** Characters of a failing partition's detail that travel: all partitions together fit into a heartbeat. */
const FAILING_DETAIL_MAX = 128;

/** Codec of `HeartbeatResponse`. */
export function heartbeatResponseCodec(definition: Definition): MessageCodec<HeartbeatResponse> {
  return messageCodec<HeartbeatResponse>(definition, {
    name: "HeartbeatResponse",
    counts: { assigned: PARTITIONS_MAX, floors: HEARTBEAT_DISPATCHERS_MAX },
    toMessage: (response) => ({
      epoch: outWhole(response.epoch, "epoch"),
      assigned: ownedToMessage(response.assigned),
      floors: floorsToMessage(response.floors),
      token: response.token,
      tokenExpiresAtMs: response.tokenExpiresAtMs === undefined
        ? undefined
        : outMs(response.tokenExpiresAtMs, "tokenExpiresAtMs"),
    }),
    fromMessage: (message) => ({
      epoch: whole(message.epoch, "epoch"),
      assigned: ownedFromMessage(message.assigned, "assigned"),
      floors: floorsFromMessage(message.floors, "floors"),
      ...(Object.hasOwn(message, "token") && { token: text(message.token, "token", CREDENTIAL_BYTES_MAX) }),
      ...(Object.hasOwn(message, "tokenExpiresAtMs") && {
        tokenExpiresAtMs: whole(message.tokenExpiresAtMs, "token_expires_at_ms"),
      }),
    }),
  });
}

/** Codec of `UnsubscribeRequest`. */
export function unsubscribeRequestCodec(definition: Definition): MessageCodec<UnsubscribeRequest> {
  return messageCodec<UnsubscribeRequest>(definition, {
    name: "UnsubscribeRequest",
    bytesMax: SUBSCRIBE_BYTES_MAX,
    toMessage: ({ workerId, session, token }) => ({ workerId, session, token }),
    fromMessage: (message) => ({
      workerId: text(message.workerId, "worker_id", WORKER_ID_BYTES_MAX),
      session: text(message.session, "session", WIRE_ID_BYTES_MAX),
      token: text(message.token, "token", CREDENTIAL_BYTES_MAX),
    }),
  });
}

/** Codec of `UnsubscribeResponse`, which says nothing. */
export function unsubscribeResponseCodec(definition: Definition): MessageCodec<void> {
  return messageCodec<void>(definition, {
    name: "UnsubscribeResponse",
    toMessage: () => ({}),
    fromMessage: () => undefined,
  });
}
