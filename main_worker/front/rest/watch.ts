/** `GET /watch/{schema_id}`: acknowledged writes as server-sent events, for as long as the credential is good. */
import { concatBytes } from "../../../shared/bytes.ts";
import { EVENT_ID_BYTES_MAX, WATCH_COMMENT_MS, WATCH_STALLED_MS, WATCHERS_MAX } from "../../../shared/limits.ts";
import type { Failure } from "../../../shared/outcome.ts";
import type { Timer } from "../../../shared/seams/clock.ts";
import { authorize, type Principal } from "../auth.ts";
import type { Watch, WatchEvent } from "../entities.ts";
import { PREFIX_PARAMETER, SCHEMA_ID_PARAMETER } from "./components.ts";
import { refuse } from "./errors.ts";
import { queryPrefix } from "./query.ts";
import { failed, reply } from "./reply.ts";
import { type Call, type EntityDeps, principalOf, READ, type Route, schemaIdOfCall } from "./route.ts";

/** An event in the format of server-sent events. */
export function formatEvent(event: WatchEvent): string {
  const data = event.kind === "reset"
    ? "{}"
    : JSON.stringify({ key: event.key, version: event.version, etag: event.etag });
  return `event: ${event.kind}\nid: ${event.sequence}\ndata: ${data}\n\n`;
}

const WATCHING = new TextEncoder().encode(": watching\n\n");
const STILL_HERE = new TextEncoder().encode(": still here\n\n");

/** `Last-Event-ID` as the client sends it; empty counts as absent. @throws {Refusal} `bad_request` */
function lastEventId(call: Call): string | undefined {
  const id = call.request.headers.get("last-event-id");
  if (id === null || id === "") return undefined;
  if (id.length > EVENT_ID_BYTES_MAX || !/^[\x21-\x7e]+$/.test(id)) {
    throw refuse("bad_request", "Last-Event-ID is not the id of an event");
  }
  return id;
}

/** Longest time that a timer is set for; it is set again then. */
const TIMER_MS_MAX = 24 * 60 * 60 * 1000;

/** One open connection: moves events from the watch to the client as fast as the client takes them. */
class EventStream {
  readonly #deps: EntityDeps;
  readonly #call: Call;
  readonly #watch: Watch;
  readonly #events: AsyncIterator<readonly WatchEvent[]>;
  readonly #format: (event: WatchEvent) => Uint8Array;
  readonly #unsubscribe: () => void;
  readonly #onStop = () => this.#end();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #commentTimer: Timer;
  /** When something was sent last, and when the client was last seen to have taken what was sent. */
  #sentMs: number;
  #takenMs: number;
  #expiryTimer: Timer | undefined;
  #ended = false;

  constructor(deps: EntityDeps, call: Call, watch: Watch, format: (event: WatchEvent) => Uint8Array) {
    this.#deps = deps;
    this.#call = call;
    this.#watch = watch;
    this.#format = format;
    this.#events = watch[Symbol.asyncIterator]();
    deps.statistics.watchOpened();
    deps.metrics.watchers(deps.statistics.watchers);
    this.#sentMs = this.#takenMs = deps.clock.monotonic();
    this.#commentTimer = deps.clock.setTimer(() => this.#comment(), WATCH_COMMENT_MS);
    this.#unsubscribe = deps.control.subscribe(() => this.#check());
    deps.stopping.addEventListener("abort", this.#onStop, { once: true });
    this.#expire(principalOf(call));
    // The credential may have been revoked while the watch was being opened.
    this.#check();
  }

  /** The body of the answer. */
  readonly body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      this.#controller = controller;
      // The first bytes make the server send the header at once.
      controller.enqueue(WATCHING);
    },
    pull: (controller) => this.#pull(controller),
    cancel: () => this.#end(),
  }, { highWaterMark: 1 });

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const { clock } = this.#deps;
    this.#takenMs = clock.monotonic();
    try {
      const { done, value } = await this.#events.next();
      if (this.#ended) return;
      if (done) return this.#end();
      controller.enqueue(concatBytes(value.map(this.#format)));
      this.#sentMs = clock.monotonic();
    } catch (error) {
      this.#deps.log.error("watch_broke", { request_id: this.#call.requestId, error });
      this.#end();
    }
  }

  /** Keeps the line open; a client that does not take what was sent before gets no comment, and in the end no more at all. */
  #comment(): void {
    if (this.#ended) return;
    const { clock } = this.#deps;
    const nowMs = clock.monotonic();
    const silentMs = nowMs - this.#sentMs;
    const hasTaken = (this.#controller?.desiredSize ?? 0) > 0;
    if (hasTaken) this.#takenMs = nowMs;
    else if (nowMs - this.#takenMs >= WATCH_STALLED_MS) return this.#end("cut_off");
    if (hasTaken && silentMs >= WATCH_COMMENT_MS) {
      this.#controller!.enqueue(STILL_HERE);
      this.#sentMs = nowMs;
    }
    const nextMs = silentMs < WATCH_COMMENT_MS ? WATCH_COMMENT_MS - silentMs : WATCH_COMMENT_MS;
    this.#commentTimer = clock.setTimer(() => this.#comment(), nextMs);
  }

  /** Ends the stream when the credential is no longer what it was when it was opened. */
  #check(): void {
    const principal = this.#deps.authenticator.authenticate(this.#call.request.headers.get("authorization"));
    if ("kind" in principal || authorize(principal, "read", schemaIdOfCall(this.#call)) !== undefined) this.#end();
  }

  #expire(principal: Principal): void {
    if (principal.expiresAtMs === null || this.#ended) return;
    const leftMs = principal.expiresAtMs - this.#deps.clock.now();
    if (leftMs <= 0) return this.#end();
    this.#expiryTimer = this.#deps.clock.setTimer(() => this.#expire(principal), Math.min(leftMs, TIMER_MS_MAX));
  }

  /** `cut_off`: without what the client has not taken yet. */
  #end(how: "whole" | "cut_off" = "whole"): void {
    if (this.#ended) return;
    this.#ended = true;
    const { clock, statistics, metrics, stopping } = this.#deps;
    clock.clearTimer(this.#commentTimer);
    if (this.#expiryTimer !== undefined) clock.clearTimer(this.#expiryTimer);
    this.#unsubscribe();
    stopping.removeEventListener("abort", this.#onStop);
    this.#watch.close();
    statistics.watchClosed();
    metrics.watchers(statistics.watchers);
    try {
      if (how === "whole") this.#controller?.close();
      else this.#controller?.error(new Error("the client takes nothing"));
    } catch {
      // The client is gone already.
    }
  }
}

/** The route of watches. */
export function watchRoutes(deps: EntityDeps): readonly Route[] {
  const encoder = new TextEncoder();
  // An event is the same for all who watch it.
  const formatted = new WeakMap<WatchEvent, Uint8Array>();
  const format = (event: WatchEvent): Uint8Array => {
    let bytes = formatted.get(event);
    if (bytes === undefined) formatted.set(event, bytes = encoder.encode(formatEvent(event)));
    return bytes;
  };

  async function watch(call: Call): Promise<Response> {
    const prefix = queryPrefix(call.query);
    const after = lastEventId(call);
    if (deps.statistics.watchers >= WATCHERS_MAX) {
      throw refuse("overloaded", `${WATCHERS_MAX} watches are open, which is the most`);
    }
    if (deps.stopping.aborted) throw refuse("overloaded", "The server is shutting down");
    const opened = await deps.entities.watch(schemaIdOfCall(call), {
      prefix,
      ...(after === undefined ? {} : { lastEventId: after }),
    });
    if (isFailure(opened)) return failed(call, opened);
    const stream = new EventStream(deps, call, opened, format);
    return reply(call, 200, stream.body, "text/event-stream", [["x-accel-buffering", "no"]]);
  }

  return [{
    method: "GET",
    path: "/watch/{schema_id}",
    access: READ,
    operation: "watch",
    handle: watch,
    describe: {
      operationId: "watchEntities",
      tag: "Entities",
      summary: "Watch the writes of a schema",
      description: "Server-sent events, one for each acknowledged write after the connection was opened, in version " +
        "order per entity: `event: put` or `event: delete`, `id` a sequence, `data` an object of `key`, `version` and " +
        "`etag`. A comment comes every 15 s. `event: reset` means that events were lost (`Last-Event-ID` too far " +
        "back, or a reader that was too slow): list again. The stream ends when the credential does.",
      parameters: [
        SCHEMA_ID_PARAMETER,
        PREFIX_PARAMETER,
        {
          name: "Last-Event-ID",
          in: "header",
          description: "Resumes after this event.",
          schema: { type: "string", minLength: 1, maxLength: EVENT_ID_BYTES_MAX, pattern: "^[!-~]+$" },
        },
      ],
      responses: {
        "200": {
          description: "The stream; it goes on until either side ends it.",
          content: {
            "text/event-stream": {
              schema: { type: "string" },
              example: 'event: put\nid: 42\ndata: {"key":"chat_1","version":3,"etag":"3-5f2d9c0a71b3e846"}\n\n',
            },
          },
        },
      },
      errors: ["invalid_key"],
    },
  }];
}

function isFailure(opened: Watch | Failure): opened is Failure {
  return "kind" in opened;
}
