/** What a person does with a DeltaDatabase that was brought up: waits for it, stores, reads, asks who is there. */
import assert from "assert";
import { until } from "./command.ts";

const SCHEMA = "deploy.v1";
const START_SECONDS_MAX = 240;

export class Client {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  /** What was acknowledged, by key. */
  readonly #stored = new Map<string, string>();

  constructor(url: string, adminKey: string) {
    this.#url = url;
    this.#headers = { authorization: `Bearer ${adminKey}` };
  }

  async #ask(path: string, init: RequestInit = {}): Promise<{ status: number; text: string } | undefined> {
    try {
      const response = await fetch(this.#url + path, { ...init, headers: this.#headers });
      return { status: response.status, text: await response.text() };
    } catch {
      return undefined;
    }
  }

  async #asked(path: string, status: number, init: RequestInit = {}): Promise<string> {
    return await until(`${init.method ?? "GET"} ${path}: ${status}`, START_SECONDS_MAX, async () => {
      const answer = await this.#ask(path, init);
      if (answer?.status === status) return answer.text;
      // Nobody listens yet, nobody owns the partition yet, or whoever did is gone: what the API calls safe to repeat.
      if (answer !== undefined && answer.status !== 503 && answer.status !== 504) {
        assert.fail(`${path}: ${answer.status} ${answer.text}`);
      }
    });
  }

  /** Until documents can be stored. */
  async ready(): Promise<void> {
    await this.#asked("/ready", 200);
  }

  /** Ids of the workers that are available, sorted. */
  async workers(): Promise<string[]> {
    const workers: { worker_id: string; status: string }[] = JSON.parse(await this.#asked("/admin/workers", 200));
    return workers.filter(({ status }) => status === "Available").map((worker) => worker.worker_id).sort();
  }

  /** Until exactly so many workers are available. */
  async workersAre(count: number): Promise<string[]> {
    return await until(`${count} workers`, START_SECONDS_MAX, async () => {
      const ids = await this.workers();
      return ids.length === count ? ids : undefined;
    });
  }

  /** Stores as many documents that were not there before. */
  async store(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      const key = `k${this.#stored.size}`;
      const document = JSON.stringify({ key, at: crypto.randomUUID() });
      await this.#asked(`/entity/${SCHEMA}?key=${key}`, 200, { method: "PUT", body: document });
      this.#stored.set(key, document);
    }
  }

  /** Reads everything that was stored, from the main worker and from the owners, and compares it byte for byte. */
  async check(): Promise<void> {
    assert.ok(this.#stored.size > 0);
    for (const [key, document] of this.#stored) {
      assert.equal(await this.#asked(`/entity/${SCHEMA}?key=${key}`, 200), document);
    }
    // A single document may come from the main worker's cache; a list comes from the processing workers.
    const listed = JSON.parse(await this.#asked(`/entities/${SCHEMA}?limit=1000&values=true`, 200));
    const values = listed.keys.map((
      entry: { key: string; value: unknown },
    ) => [entry.key, JSON.stringify(entry.value)]);
    assert.deepEqual(new Map(values), this.#stored);
  }
}
