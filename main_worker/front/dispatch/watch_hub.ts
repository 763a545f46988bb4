/**
 * Watchers: the events of all owners become one numbered sequence, of which the last ones are kept for those who come back.
 * The streams to the workers are open only while somebody watches, and for a while after that. Whenever an event may have been
 * lost (a worker died, a stream broke), or comes when a later owner of its partition has already been heard, everybody is told
 * to list again.
 */
import {
  RETRY_AFTER_S,
  WATCH_BUFFER_EVENTS_MAX,
  WATCH_EVENTS_KEPT,
  WATCH_LINGER_MS,
  WATCHERS_MAX,
  WATCHERS_TOLD_PER_MS,
} from "../../../shared/limits.ts";
import type { Logger } from "../../../shared/logging/logger.ts";
import { encodeName, type Partition, type SchemaId, schemaPrefix, splitEntityName } from "../../../shared/names.ts";
import { type Failure, failure } from "../../../shared/outcome.ts";
import { type Clock, sleep, type Timer } from "../../../shared/seams/clock.ts";
import type { EntityEvent, Epoch } from "../../../shared/wire/messages.ts";
import type { WorkerClient } from "../../../shared/wire/transport.ts";
import type { Control, Routes } from "../../control/control.ts";
import type { Watch, WatchEvent, WatchOptions } from "../entities.ts";

export interface WatchHubParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly control: Pick<Control, "snapshot" | "subscribe">;
  client(session: string): WorkerClient | undefined;
  /** Makes event ids of this start distinguishable from those of another. */
  readonly id: string;
}

/** The last owner of a partition that was heard, by its epoch. */
interface Teller {
  readonly epoch: Epoch;
  /** Something of an earlier owner came afterwards: who has listed since knows that, and all else from before this epoch. */
  overtook: boolean;
}

type Numbered = EntityEvent & { readonly sequence: number };

interface Watcher {
  readonly prefix: string;
  /** What it missed, told first. */
  missed: Iterable<readonly WatchEvent[]>;
  buffer: WatchEvent[];
  wake: (() => void) | undefined;
  ended: boolean;
  /** Its client relies on being told everything: it was told so, or goes on from an earlier event. */
  relies: boolean;
}

interface Stream {
  readonly abort: AbortController;
  readonly opened: Promise<void>;
  /** Whether its worker has owned a partition, and so may have committed something, since it was to be open. */
  owned: boolean;
}

const REOPEN_MS = 100;
/** A new watcher waits this long for the streams; a worker that does not answer will bring a reset later. */
const OPEN_MS = 2_000;

export class WatchHub {
  readonly #parts: WatchHubParts;
  readonly #watchers = new Set<Watcher>();
  readonly #streams = new Map<string, Stream>();
  readonly #tellers = new Map<Partition, Teller>();
  readonly #unsubscribe: () => void;
  #kept: Numbered[] = [];
  /** Events up to this number are not known any more. */
  #forgotten = 0;
  #sequence = 0;
  #closed = false;
  /** Watchers that have events and wait for their turn to be told of them. */
  readonly #due = new Set<Watcher>();
  #turnTimer: Timer | undefined;
  /** Runs while nobody watches and events are kept nevertheless. */
  #lingering: Timer | undefined;

  constructor(parts: WatchHubParts) {
    this.#parts = parts;
    this.#unsubscribe = parts.control.subscribe((snapshot) => {
      if (this.#isListening) this.#follow(snapshot.routes);
    });
  }

  get #isListening(): boolean {
    return this.#watchers.size > 0 || this.#lingering !== undefined;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Opens a watch; from when it resolves, no event is missed without a `reset`. */
  async watch(schemaId: SchemaId, options: WatchOptions): Promise<Watch | Failure> {
    if (this.#watchers.size >= WATCHERS_MAX) {
      return failure("overloaded", `there are ${WATCHERS_MAX} watchers already`, { retryAfterS: RETRY_AFTER_S });
    }
    const watcher: Watcher = {
      prefix: schemaPrefix(schemaId) + (options.prefix === "" ? "" : encodeName(options.prefix)),
      missed: [],
      buffer: [],
      wake: undefined,
      ended: false,
      relies: false,
    };
    this.#replay(watcher, options.lastEventId);
    this.#stopLingering();
    this.#watchers.add(watcher);
    this.#follow(this.#parts.control.snapshot().routes);
    const timeout = new AbortController();
    await Promise.race([
      Promise.all([...this.#streams.values()].map((stream) => stream.opened)),
      sleep(this.#parts.clock, OPEN_MS, timeout.signal).catch(() => {}),
    ]);
    timeout.abort();
    watcher.relies = true;
    return this.#watch(watcher);
  }

  /** Events may not have been told. Who is only about to watch has missed nothing. */
  #gap(): void {
    this.#forgetEvents();
    const reset = { kind: "reset", sequence: this.#name(this.#sequence) } as const;
    for (const watcher of this.#watchers) if (watcher.relies) this.#deliver(watcher, reset);
  }

  /** What has happened so far cannot be told to anybody who comes back. */
  #forgetEvents(): void {
    this.#kept = [];
    this.#sequence += 1;
    this.#forgotten = this.#sequence;
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    if (this.#turnTimer !== undefined) this.#parts.clock.clearTimer(this.#turnTimer);
    for (const watcher of [...this.#watchers]) this.#end(watcher);
    this.#forget();
  }

  #name(sequence: number): string {
    return `${this.#parts.id}-${sequence}`;
  }

  #replay(watcher: Watcher, lastEventId: string | undefined): void {
    if (lastEventId === undefined) return;
    const [id, number] = lastEventId.split("-");
    const last = Number(number);
    const known = id === this.#parts.id && Number.isSafeInteger(last) && last >= this.#forgotten &&
      last <= this.#sequence;
    watcher.relies = known;
    if (known) watcher.missed = this.#since(last, watcher.prefix);
    else watcher.buffer.push({ kind: "reset", sequence: this.#name(this.#sequence) });
  }

  /** Events after `last` and up to now, made piece by piece, because many may come back at once and have missed much. */
  #since(last: number, prefix: string): Iterable<readonly WatchEvent[]> {
    const [kept, end] = [this.#kept, this.#kept.length];
    const toWatch = (event: Numbered) => this.#toWatch(event);
    return {
      *[Symbol.iterator]() {
        let piece: WatchEvent[] = [];
        for (let at = 0; at < end; at++) {
          const event = kept[at]!;
          if (event.sequence <= last || !event.name.startsWith(prefix)) continue;
          piece.push(toWatch(event));
          if (piece.length < WATCH_BUFFER_EVENTS_MAX) continue;
          yield piece;
          piece = [];
        }
        if (piece.length > 0) yield piece;
      },
    };
  }

  #toWatch(event: Numbered): WatchEvent {
    return {
      kind: event.kind,
      sequence: this.#name(event.sequence),
      key: splitEntityName(event.name)!.key,
      version: event.version,
      etag: event.etag,
    };
  }

  #watch(watcher: Watcher): Watch {
    const end = () => this.#end(watcher);
    return {
      close: end,
      async *[Symbol.asyncIterator]() {
        try {
          yield* watcher.missed;
          watcher.missed = [];
          for (;;) {
            const events = watcher.buffer;
            watcher.buffer = [];
            if (events.length > 0) yield events;
            else if (watcher.ended) return;
            else {
              await new Promise<void>((resolve) => {
                watcher.wake = resolve;
              });
            }
          }
        } finally {
          end();
        }
      },
    };
  }

  #end(watcher: Watcher): void {
    watcher.ended = true;
    watcher.wake?.();
    this.#due.delete(watcher);
    if (!this.#watchers.delete(watcher) || this.#watchers.size > 0 || this.#closed) return;
    this.#lingering = this.#parts.clock.setTimer(() => this.#forget(), WATCH_LINGER_MS);
  }

  #stopLingering(): void {
    if (this.#lingering !== undefined) this.#parts.clock.clearTimer(this.#lingering);
    this.#lingering = undefined;
  }

  /** Nobody listens any more: what happens until somebody does is not known. */
  #forget(): void {
    this.#stopLingering();
    for (const { abort } of this.#streams.values()) abort.abort();
    this.#streams.clear();
    this.#forgetEvents();
  }

  #deliver(watcher: Watcher, event: WatchEvent): void {
    if (watcher.buffer.length >= WATCH_BUFFER_EVENTS_MAX) {
      // Too slow. Its connection ends when it has read what is there; it comes back with its last id, or lists again.
      this.#end(watcher);
      return;
    }
    watcher.buffer.push(event);
    if (this.#watchers.size <= WATCHERS_TOLD_PER_MS || 2 * watcher.buffer.length >= WATCH_BUFFER_EVENTS_MAX) {
      watcher.wake?.();
    } else {
      this.#due.add(watcher);
      this.#turnTimer ??= this.#parts.clock.setTimer(() => this.#turn(), 1);
    }
  }

  /** Wakes the next few: where many watch, telling each of each write at once would leave no time for the writes. */
  #turn(): void {
    this.#turnTimer = undefined;
    let told = 0;
    for (const watcher of this.#due) {
      if (told++ === WATCHERS_TOLD_PER_MS) break;
      this.#due.delete(watcher);
      watcher.wake?.();
    }
    if (this.#due.size > 0) this.#turnTimer = this.#parts.clock.setTimer(() => this.#turn(), 1);
  }

  #publish(event: EntityEvent): void {
    if (this.#isLate(event)) return;
    const numbered = { ...event, sequence: ++this.#sequence };
    this.#kept.push(numbered);
    if (this.#kept.length >= 2 * WATCH_EVENTS_KEPT) {
      this.#kept = this.#kept.slice(-WATCH_EVENTS_KEPT);
      this.#forgotten = this.#kept[0]!.sequence - 1;
    }
    let told: WatchEvent | undefined;
    for (const watcher of this.#watchers) {
      if (event.name.startsWith(watcher.prefix)) this.#deliver(watcher, told ??= this.#toWatch(numbered));
    }
  }

  /** Whether a later owner was heard before: told now, the event would be the last word on its entity. */
  #isLate({ partition, epoch }: EntityEvent): boolean {
    const teller = this.#tellers.get(partition);
    if (teller === undefined || epoch > teller.epoch) this.#tellers.set(partition, { epoch, overtook: false });
    if (teller === undefined || epoch >= teller.epoch) return false;
    if (!teller.overtook) this.#gap();
    teller.overtook = true;
    return true;
  }

  /** Has a stream open to every worker. */
  #follow(routes: Routes): void {
    if (this.#closed) return;
    for (const [session, stream] of this.#streams) {
      if (!routes.workers.has(session)) stream.abort.abort();
    }
    for (const session of routes.workers.keys()) if (!this.#streams.has(session)) this.#open(session);
    for (const owner of routes.owners) {
      const stream = typeof owner === "object" ? this.#streams.get(owner.session) : undefined;
      if (stream !== undefined) stream.owned = true;
    }
  }

  #open(session: string): void {
    const abort = new AbortController();
    const { promise: opened, resolve } = Promise.withResolvers<void>();
    const stream: Stream = { abort, opened, owned: false };
    this.#streams.set(session, stream);
    this.#read(session, stream, resolve).finally(() => {
      resolve();
      if (this.#streams.get(session) === stream) this.#streams.delete(session);
      if (this.#isListening) this.#follow(this.#parts.control.snapshot().routes);
    });
  }

  async #read(session: string, stream: Stream, onOpen: () => void): Promise<void> {
    const { clock, log, control, client } = this.#parts;
    const { signal } = stream.abort;
    // What its worker committed before, or since the stream broke, was told to nobody.
    let opened = false;
    const missed = () => opened || stream.owned;
    while (!signal.aborted) {
      try {
        const epoch = control.snapshot().routes.epoch;
        await client(session)?.events(
          { epoch },
          () => {
            if (missed()) this.#gap();
            opened = true;
            onOpen();
          },
          (event) => this.#publish(event),
          signal,
        );
      } catch (error) {
        log.warn("watch_stream_failed", { error });
      }
      if (signal.aborted) break;
      await sleep(clock, REOPEN_MS, signal).catch(() => {});
    }
    // The worker is out. What it committed last may never have been told.
    if (this.#streams.get(session) === stream && missed()) this.#gap();
  }
}
