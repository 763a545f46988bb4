/** A bucket as the store of a cluster of real processes. */
import { systemClock } from "../../shared/seams/clock.ts";
import type { ObjectClient } from "../../shared/storage/bucket/object_client.ts";
import { openS3Client } from "../../shared/storage/bucket/s3_client.ts";
import type { ClusterStore } from "../system/stores.ts";
import type { Account } from "./radosgw.ts";

const REQUEST_MS = 10_000;
const DEFAULT_ACCOUNT: Account = { accessKey: "minioadmin", secretKey: "minioadmin" };
const LIST_KEYS = 1_000;

export class BucketUnderTest implements ClusterStore {
  readonly counted = false;
  readonly flags: readonly string[];
  readonly #options;

  /** @param endpoint `host:port` of a service that knows the account, or takes any */
  constructor(endpoint: string, bucket = "deltadatabase", keys: Account = DEFAULT_ACCOUNT) {
    this.#options = { endpoint, bucket, useSsl: false, region: "", ...keys };
    this.flags = [
      `-s3-endpoint=${endpoint}`,
      `-s3-bucket=${bucket}`,
      `-s3-access-key=${keys.accessKey}`,
      `-s3-secret-key=${keys.secretKey}`,
    ];
  }

  async read(name: string): Promise<Uint8Array> {
    return await this.use(async (client) => {
      const found = await client.get(name, AbortSignal.timeout(REQUEST_MS));
      if (found === undefined) throw new Error(`there is no object ${name}`);
      return found.bytes;
    });
  }

  async *contents(): AsyncIterable<Uint8Array> {
    for (const name of await this.names()) yield await this.read(name);
  }

  /** Names of all objects. */
  async names(prefix = ""): Promise<string[]> {
    return await this.use(async (client) => {
      const names: string[] = [];
      for (let continuation: string | undefined, more = true; more; more = continuation !== undefined) {
        const query = { prefix, limit: LIST_KEYS, ...(continuation && { continuation }) };
        const page = await client.list(query, AbortSignal.timeout(REQUEST_MS));
        names.push(...page.entries.map(({ key }) => key));
        continuation = page.next;
      }
      return names;
    });
  }

  /** Changes an object past the database. */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    await this.use((client) => client.put(name, bytes, undefined, AbortSignal.timeout(REQUEST_MS)));
  }

  /** Works with a client of its own. */
  async use<T>(work: (client: ObjectClient) => Promise<T>): Promise<T> {
    const client = await openS3Client(this.#options, systemClock);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }
}
