/** Clients that write and read all the time, and remember what was acknowledged, so that it can be asked for afterwards. */
import assert from "assert";
import type { Cluster } from "../system/cluster.ts";

/** What a client was told of the last write of a key. */
export interface Acknowledged {
  readonly document: string;
  readonly etag: string;
  readonly version: number;
}

export interface LoadOptions {
  readonly writers: number;
  readonly keysPerWriter: number;
  readonly schema?: string;
}

/**
 * Writers that have keys of their own. Of a key whose last write was not acknowledged nothing is known, and it is not in
 * {@linkcode Load.acknowledged}.
 */
export class Load {
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Every document that was ever sent, by key. */
  readonly sent = new Map<string, Set<string>>();
  /** Latencies of reads and writes that succeeded, in milliseconds. */
  latencies: number[] = [];
  writes = 0;
  /** Answers that a client must not get: what was acknowledged and could not be read, or read otherwise. */
  readonly wrong: string[] = [];
  readonly schema: string;
  readonly #cluster: () => Cluster;
  readonly #stop = new AbortController();
  readonly #clients: Promise<void>[];

  constructor(cluster: () => Cluster, { writers, keysPerWriter, schema = "load" }: LoadOptions) {
    this.#cluster = cluster;
    this.schema = schema;
    this.#clients = Array.from({ length: writers }, (_, writer) => this.#run(writer, keysPerWriter));
  }

  async #run(writer: number, keys: number): Promise<void> {
    for (let n = 0; !this.#stop.signal.aborted; n++) {
      const key = `w${writer}-${n % keys}`;
      const document = `{"writer":${writer},"n":${n},"d":1.10,"pad":"${"x".repeat((n * 37) % 700)}"}`;
      try {
        await this.#write(key, document);
        if (n % 3 === 0) await this.#read(`w${writer}-${(n * 7) % keys}`);
      } catch {
        // Nobody listens at the moment.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async #write(key: string, document: string): Promise<void> {
    this.acknowledged.delete(key);
    this.sent.set(key, (this.sent.get(key) ?? new Set()).add(document));
    const began = performance.now();
    const response = await this.#cluster().fetch(`/entity/${this.schema}?key=${key}`, {
      method: "PUT",
      body: document,
    });
    const answer = await response.json();
    if (response.status !== 200) {
      if (response.status < 500) this.wrong.push(`PUT ${key}: ${response.status} ${JSON.stringify(answer)}`);
      return;
    }
    this.latencies.push(performance.now() - began);
    this.writes += 1;
    this.acknowledged.set(key, { document, etag: response.headers.get("etag")!, version: answer.version });
  }

  async #read(key: string): Promise<void> {
    const expected = this.acknowledged.get(key);
    if (expected === undefined) return;
    const began = performance.now();
    const response = await this.#cluster().fetch(`/entity/${this.schema}?key=${key}`);
    const text = await response.text();
    if (response.status === 200) this.latencies.push(performance.now() - began);
    const fine = response.status === 200 ? text === expected.document : [503, 504].includes(response.status);
    if (!fine) this.wrong.push(`GET ${key}: ${response.status} ${text}`);
  }

  /** Waits until so many more writes were acknowledged. */
  async progress(writes: number): Promise<void> {
    const until = this.writes + writes;
    while (this.writes < until) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Ends the clients. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#clients);
  }
}

/** Asserts that a cluster answers exactly what was acknowledged, with its versions and ETags. */
export async function assertHolds(
  cluster: Cluster,
  schema: string,
  acknowledged: ReadonlyMap<string, Acknowledged>,
): Promise<void> {
  const waiting = acknowledged.entries();
  await Promise.all(Array.from({ length: 16 }, async () => {
    for (const [key, { document, etag, version }] of waiting) {
      const response = await cluster.fetch(`/entity/${schema}?key=${key}`);
      const text = await response.text();
      assert.equal(response.status, 200, `${key}: ${text}`);
      assert.deepEqual(
        [text, response.headers.get("etag"), response.headers.get("x-entity-version")],
        [document, etag, String(version)],
        key,
      );
    }
  }));
}

/** The value below which this part of all values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}
