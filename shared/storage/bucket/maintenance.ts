/**
 * Rebuilds `meta.json` objects that are missing or older than their envelopes, and removes those without one: after
 * a crash, or when too many had to be dropped. One slow walk over the keys, for the partitions of this process alone.
 */
import {
  S3_ATTEMPT_MS,
  S3_LIST_KEYS_MAX,
  S3_MAINTENANCE_MS,
  S3_MAINTENANCE_SOON_MS,
  S3_OPERATION_MS,
} from "../../limits.ts";
import { type EntityName, type Partition, partitionOf } from "../../names.ts";
import type { Clock, Timer } from "../../seams/clock.ts";
import { envelopeKey, FILES_PREFIX, metaKey, parseFileKey } from "./layout.ts";
import type { MetaWriter } from "./meta.ts";
import type { ObjectClient, ObjectEntry } from "./object_client.ts";
import type { Requests } from "./requests.ts";

/** What the maintenance needs of a store. */
export interface MaintenanceParts {
  readonly client: ObjectClient;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly partitions: number;
}

/** Runs the walk by itself: soon when metas were dropped, and once in a long while anyway. */
export class Maintenance {
  readonly #parts: MaintenanceParts;
  readonly #meta: MetaWriter;
  readonly #owns: (partition: Partition) => boolean;
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #droppedBefore = 0;
  /** Metas were dropped and not made up for. */
  #missed = false;
  #due = 0;

  constructor(parts: MaintenanceParts, meta: MetaWriter, owns: (partition: Partition) => boolean) {
    this.#parts = parts;
    this.#meta = meta;
    this.#owns = owns;
  }

  /** A partition was taken, and its earlier owner may have left metas unwritten: a walk comes soon. */
  start(): void {
    if (this.#stop.signal.aborted) return;
    this.#due = this.#parts.clock.monotonic() + S3_MAINTENANCE_SOON_MS;
    if (this.#timer === undefined) this.#arm();
  }

  /** One walk, now; joins the one that is under way. Never throws: what it could not do, the next one does. */
  run(): Promise<void> {
    this.#running ??= this.#walk().then(() => this.#meta.flush(S3_OPERATION_MS)).catch(() => undefined).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Ends the walk that is under way, and all later ones. */
  async close(): Promise<void> {
    this.#stop.abort();
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  #arm(): void {
    this.#timer = this.#parts.clock.setTimer(() => this.#tick(), S3_MAINTENANCE_SOON_MS);
  }

  async #tick(): Promise<void> {
    const dropped = this.#meta.figures.dropped;
    // While metas are still being dropped, the service has better things to do.
    const settled = dropped === this.#droppedBefore;
    const wanted = this.#parts.clock.monotonic() >= this.#due || (this.#missed && settled);
    if (dropped > this.#droppedBefore) this.#missed = true;
    this.#droppedBefore = dropped;
    if (wanted) {
      this.#missed = false;
      this.#due = this.#parts.clock.monotonic() + S3_MAINTENANCE_MS;
      await this.run();
    }
    if (!this.#stop.signal.aborted) this.#arm();
  }

  /**
   * Keys come in byte order, and an envelope's before its meta's, with other names' in between. An envelope whose meta
   * has not come waits for it; when too many wait, the oldest are looked up.
   */
  async #walk(): Promise<void> {
    const { client, requests, clock } = this.#parts;
    const waiting = new Map<EntityName, ObjectEntry>();
    const signal = this.#stop.signal;
    let continuation: string | undefined;
    for (;;) {
      const query = { prefix: FILES_PREFIX, limit: S3_LIST_KEYS_MAX, ...(continuation && { continuation }) };
      const page = await requests.run("list", (cut) => client.list(query, cut), {
        deadline: clock.monotonic() + S3_OPERATION_MS,
        lane: "aside",
        signal,
      });
      for (const entry of page.value.entries) {
        if (signal.aborted) return;
        const file = parseFileKey(entry.key);
        if (file === undefined || !this.#owns(this.#partition(file.name))) continue;
        if (file.kind === "envelope") {
          waiting.set(file.name, entry);
          continue;
        }
        const envelope = waiting.get(file.name);
        waiting.delete(file.name);
        if (envelope === undefined || envelope.modifiedMs > entry.modifiedMs) await this.#rebuild(file.name);
      }
      // A meta that still comes has a greater key than the last one read.
      const position = page.value.entries.at(-1)?.key ?? "";
      for (const [name] of waiting) {
        if (signal.aborted) return;
        if (metaKey(name) > position && page.value.next !== undefined && waiting.size <= S3_LIST_KEYS_MAX) continue;
        waiting.delete(name);
        if (metaKey(name) <= position || page.value.next === undefined || !await this.#exists(metaKey(name))) {
          await this.#rebuild(name);
        }
      }
      continuation = page.value.next;
      if (continuation === undefined) return;
    }
  }

  #partition(name: EntityName): Partition {
    return partitionOf(name, this.#parts.partitions);
  }

  async #exists(key: string): Promise<boolean> {
    const { client, requests, clock } = this.#parts;
    const head = await requests.run("head", (signal) => client.head(key, signal), {
      deadline: clock.monotonic() + S3_ATTEMPT_MS,
      lane: "aside",
      signal: this.#stop.signal,
    });
    return head.value !== undefined;
  }

  /** Writes a meta from the envelope as it is now, or removes it when that is gone. */
  async #rebuild(name: EntityName): Promise<void> {
    const { client, requests, clock } = this.#parts;
    await this.#meta.rebuild(this.#partition(name), name, async () => {
      const envelope = await requests.run("get", (signal) => client.get(envelopeKey(name), signal), {
        deadline: clock.monotonic() + S3_ATTEMPT_MS,
        lane: "aside",
        signal: this.#stop.signal,
      });
      return envelope.value?.bytes;
    });
    await this.#meta.flush(S3_OPERATION_MS);
  }
}
