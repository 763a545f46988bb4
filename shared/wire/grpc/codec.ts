/** All codecs of the wire, made from one definition. */
import { batchRequestCodec, batchResponseCodec } from "./codec_batch.ts";
import { clientRequestCodec, clientResponseCodec } from "./codec_client.ts";
import {
  heartbeatRequestCodec,
  heartbeatResponseCodec,
  subscribeRequestCodec,
  subscribeResponseCodec,
  unsubscribeRequestCodec,
  unsubscribeResponseCodec,
} from "./codec_join.ts";
import { entityEventCodec, eventsRequestCodec, listRequestCodec, listResponseCodec } from "./codec_list.ts";
import { Definition } from "./definition.ts";

/**
 * Between every plain message and its bytes. Documents, envelopes, templates and keys of decoded messages are views of
 * the buffer that the message came in: whoever keeps one beyond the call (a cache) copies it, or it pins the batch.
 */
export type Codec = ReturnType<typeof createCodec>;

/** Makes the codecs. Takes some milliseconds: a program makes one and hands it to its clients and servers. */
export function createCodec(definition: Definition = new Definition()) {
  return {
    definition,
    batchRequest: batchRequestCodec(definition),
    batchResponse: batchResponseCodec(definition),
    listRequest: listRequestCodec(definition),
    listResponse: listResponseCodec(definition),
    eventsRequest: eventsRequestCodec(definition),
    entityEvent: entityEventCodec(definition),
    subscribeRequest: subscribeRequestCodec(definition),
    subscribeResponse: subscribeResponseCodec(definition),
    heartbeatRequest: heartbeatRequestCodec(definition),
    heartbeatResponse: heartbeatResponseCodec(definition),
    unsubscribeRequest: unsubscribeRequestCodec(definition),
    unsubscribeResponse: unsubscribeResponseCodec(definition),
    clientRequest: clientRequestCodec(definition),
    clientResponse: clientResponseCodec(definition),
  };
}
