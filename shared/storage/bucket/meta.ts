/**
 * `files/<entityID>.meta.json`: what an envelope says of itself, for people and tools. Nothing in the product reads
 * it, so it is written behind the envelope's back: in the background, newest only, by few requests at once, and not
 * at all when too many wait. What is left out is made up for by `maintenance.ts`.
 */
import { decodeEnvelope, ENVELOPE_ALG } from "../../crypto/envelope.ts";
import { S3_ATTEMPT_MS, S3_META_PARALLEL_MAX, S3_META_WAITING_MAX } from "../../limits.ts";
import type { EntityName, Partition } from "../../names.ts";
import { type Clock, sleep } from "../../seams/clock.ts";
import { metaKey } from "./layout.ts";
import type { ObjectClient } from "./object_client.ts";
import type { Requests } from "./requests.ts";

const encoder = new TextEncoder();

/** The content of the object, or `undefined` when the bytes are not an envelope. */
export function metaOfEnvelope(envelope: Uint8Array): Uint8Array | undefined {
  const decoded = decodeEnvelope(envelope);
  if (decoded.kind === "malformed") return undefined;
  const { header, iv, tag } = decoded.parts;
  return encoder.encode(
    JSON.stringify(
      {
        key_id: header.keyId,
        alg: ENVELOPE_ALG,
        schema_id: header.schemaId,
        entity_key: header.entityKey,
        version: header.version,
        op_id: header.opId,
        written_at: new Date(header.writtenAtMs).toISOString(),
        iv: iv.toBase64(),
        tag: tag.toBase64(),
        size: envelope.length,
      },
      null,
      2,
    ) + "\n",
  );
}

/** Figures of a {@linkcode MetaWriter}; they only grow. */
export interface MetaFigures {
  readonly written: number;
  /** Not written: too many waited, or the request failed. */
  readonly dropped: number;
}

/** What is to be written. */
interface Job {
  readonly partition: Partition;
  /** `undefined`: the entity is gone. */
  readonly content: Uint8Array | undefined;
}

/** Writes and removes `meta.json` objects in the background. */
export class MetaWriter {
  readonly #client: ObjectClient;
  readonly #requests: Requests;
  readonly #clock: Clock;
  readonly #mayWrite: () => boolean;
  /** The newest by name, in the order of the last change. */
  readonly #waiting = new Map<EntityName, Job>();
  readonly #running = new Map<EntityName, { readonly partition: Partition; readonly ended: Promise<void> }>();
  readonly #rebuilding = new Map<EntityName, "current" | "changed">();
  #closed = false;
  #written = 0;
  #dropped = 0;

  constructor(client: ObjectClient, requests: Requests, clock: Clock, mayWrite: () => boolean) {
    this.#client = client;
    this.#requests = requests;
    this.#clock = clock;
    this.#mayWrite = mayWrite;
  }

  get figures(): MetaFigures {
    return { written: this.#written, dropped: this.#dropped };
  }

  /** The entity has this envelope now, or none. Never waits, never throws. */
  changed(partition: Partition, name: EntityName, envelope: Uint8Array | undefined): void {
    if (this.#closed) return;
    if (this.#rebuilding.has(name)) this.#rebuilding.set(name, "changed");
    if (this.#waiting.size >= S3_META_WAITING_MAX && !this.#waiting.has(name)) {
      this.#dropped++;
      return;
    }
    // The content is made now: the envelope itself, which is large, is not kept.
    const content = envelope && metaOfEnvelope(envelope);
    if (envelope !== undefined && content === undefined) return;
    this.#waiting.delete(name);
    this.#waiting.set(name, { partition, content });
    this.#start();
  }

  /**
   * Like {@linkcode changed}, with what `read` finds in the store: for a meta that is missing or wrong. Does nothing when
   * the entity changes meanwhile, because then its own meta is on its way.
   */
  async rebuild(partition: Partition, name: EntityName, read: () => Promise<Uint8Array | undefined>): Promise<void> {
    if (this.#waiting.has(name) || this.#running.has(name) || this.#rebuilding.has(name)) return;
    this.#rebuilding.set(name, "current");
    try {
      const envelope = await read();
      if (this.#rebuilding.get(name) === "current") this.changed(partition, name, envelope);
    } finally {
      this.#rebuilding.delete(name);
    }
  }

  /** Resolves when nothing waits any more, at the latest after `ms`. */
  async flush(ms: number): Promise<void> {
    await this.#within(ms, () => this.#running.size > 0);
  }

  /**
   * Writes what waits of a partition before all else, for at most `ms`, and drops the rest of it: from then on somebody
   * else writes its metas, and an older one must not come after a newer one.
   */
  async handOver(partition: Partition, ms: number): Promise<void> {
    const jobs = [...this.#waiting];
    const own = jobs.filter(([, job]) => job.partition === partition);
    if (own.length > 0) {
      this.#waiting.clear();
      for (const [name, job] of own) this.#waiting.set(name, job);
      for (const [name, job] of jobs) if (job.partition !== partition) this.#waiting.set(name, job);
    }
    await this.#within(ms, () =>
      own.some(([name]) => this.#waiting.has(name)) ||
      this.#running.values().some((running) => running.partition === partition));
    for (const [name] of own) if (this.#waiting.delete(name)) this.#dropped++;
  }

  /** Takes no more; what waits is dropped. Resolves when the requests under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#dropped += this.#waiting.size;
    this.#waiting.clear();
    await Promise.all(this.#running.values().map(({ ended }) => ended));
  }

  /** Lets requests end as long as `condition` holds, for at most `ms`. */
  async #within(ms: number, condition: () => boolean): Promise<void> {
    if (!condition()) return;
    const late = new AbortController();
    const timeout = sleep(this.#clock, ms, late.signal).then(() => "late", () => "done");
    try {
      while (this.#running.size > 0 && condition()) {
        if (await Promise.race([timeout, ...this.#running.values().map(({ ended }) => ended)]) === "late") return;
      }
    } finally {
      late.abort();
      await timeout;
    }
  }

  #start(): void {
    for (const [name, { partition, content }] of this.#waiting) {
      if (this.#running.size >= S3_META_PARALLEL_MAX) return;
      // Two requests for one object could be carried out in the wrong order.
      if (this.#running.has(name)) continue;
      this.#waiting.delete(name);
      const ended = this.#write(name, content).then((done) => {
        if (done) this.#written++;
        else this.#dropped++;
        this.#running.delete(name);
        this.#start();
      });
      this.#running.set(name, { partition, ended });
    }
  }

  async #write(name: EntityName, content: Uint8Array | undefined): Promise<boolean> {
    if (!this.#mayWrite()) return false;
    const key = metaKey(name);
    const options = { deadline: this.#clock.monotonic() + S3_ATTEMPT_MS, attemptsMax: 1, lane: "aside" } as const;
    try {
      if (content === undefined) {
        await this.#requests.run("delete", (signal) => this.#client.delete(key, undefined, signal), options);
      } else await this.#requests.run("put", (signal) => this.#client.put(key, content, undefined, signal), options);
      return true;
    } catch {
      return false;
    }
  }
}
