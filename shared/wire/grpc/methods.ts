/** The methods of both services, each with the codecs of what it takes and what it answers. */
import type { Codec } from "./codec.ts";
import type { MessageCodec } from "./message_codec.ts";

/** A method of `deltadb.proto`. */
export interface Method<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly request: MessageCodec<Request>;
  readonly response: MessageCodec<Response>;
}

/** The methods of `deltadb.MainWorker`. */
export function mainMethods(codec: Codec) {
  return {
    subscribe: method("MainWorker/Subscribe", codec.subscribeRequest, codec.subscribeResponse),
    heartbeat: method("MainWorker/Heartbeat", codec.heartbeatRequest, codec.heartbeatResponse),
    unsubscribe: method("MainWorker/Unsubscribe", codec.unsubscribeRequest, codec.unsubscribeResponse),
    process: method("MainWorker/Process", codec.clientRequest, codec.clientResponse),
  };
}

/** The methods of `deltadb.ProcWorker`. */
export function workerMethods(codec: Codec) {
  return {
    processBatch: method("ProcWorker/ProcessBatch", codec.batchRequest, codec.batchResponse),
    processBatches: method("ProcWorker/ProcessBatches", codec.batchRequest, codec.batchResponse),
    list: method("ProcWorker/List", codec.listRequest, codec.listResponse),
    events: method("ProcWorker/Events", codec.eventsRequest, codec.entityEvent),
  };
}

function method<Request, Response>(
  name: string,
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): Method<Request, Response> {
  return { path: `/deltadb.${name}`, request, response };
}
