/**
 * A shelf of small objects under one prefix of the bucket.
 *
 * A write replaces exactly the state that was there when it was decided (`If-Match`), and asks the fence before each
 * request and after the answer: a main worker that was paused past its lease neither overwrites what its successor
 * wrote nor reports a write as done that its successor has not seen.
 */
import { sameBytes } from "../../bytes.ts";
import { S3_LIST_KEYS_MAX, S3_OPERATION_MS } from "../../limits.ts";
import { compareNames, decodeName, encodeName } from "../../names.ts";
import type { Clock } from "../../seams/clock.ts";
import { type Shelf, StorageError } from "../store.ts";
import { conditionOn, type Conditions, spell } from "./conditions.ts";
import type { ETag, ObjectClient } from "./object_client.ts";
import { RequestFailure, type Requests, storageError } from "./requests.ts";

/** What a shelf needs of its store. */
export interface ShelfParts {
  readonly client: ObjectClient;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly conditions: Conditions;
  /** Throws when this process must not write any more. */
  readonly fence: () => void;
}

const SHELF_OBJECTS_MAX = 100_000;

/** {@linkcode Shelf} in a bucket: object `name` is `<prefix><encodeName(name)><suffix>`. */
export class BucketShelf implements Shelf {
  readonly #parts: ShelfParts;
  readonly #prefix: string;
  readonly #suffix: string;

  constructor(parts: ShelfParts, prefix: string, suffix: string) {
    this.#parts = parts;
    this.#prefix = prefix;
    this.#suffix = suffix;
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const { client, requests } = this.#parts;
    const key = this.#key(name);
    try {
      return (await requests.run("get", (signal) => client.get(key, signal), this.#options())).value?.bytes;
    } catch (error) {
      throw storageError(error, false);
    }
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const { client, requests, conditions, fence } = this.#parts;
    const key = this.#key(name);
    const options = { ...this.#options(), guard: fence };
    try {
      for (;;) {
        const condition = conditionOn(await this.#etag(key), conditions);
        const answer = await requests.run("put", (signal) => client.put(key, bytes, condition, signal), options);
        this.#confirm();
        if (answer.value.kind === "stored") return;
        // Somebody else wrote it since, or an attempt of ours did, whose answer was lost.
        const now = await requests.run("get", (signal) => client.get(key, signal), options);
        if (now.value !== undefined && sameBytes(now.value.bytes, bytes)) return this.#confirm();
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async delete(name: string): Promise<boolean> {
    const { client, requests, conditions, fence } = this.#parts;
    const key = this.#key(name);
    const options = { ...this.#options(), guard: fence };
    try {
      fence();
      for (let attempted = false;; attempted = true) {
        const etag = await this.#etag(key);
        if (etag === undefined) return attempted;
        const ifMatch = conditions.remove && conditions.replace !== "none"
          ? spell(etag, conditions.replace)
          : undefined;
        const answer = await requests.run("delete", (signal) => client.delete(key, ifMatch, signal), options);
        this.#confirm();
        if (answer.value === "deleted") return true;
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async list(): Promise<{ readonly name: string; readonly revision: string }[]> {
    const { client, requests } = this.#parts;
    const found: { name: string; revision: string }[] = [];
    try {
      let continuation: string | undefined;
      for (;;) {
        const query = { prefix: this.#prefix, limit: S3_LIST_KEYS_MAX, ...(continuation && { continuation }) };
        const page = (await requests.run("list", (signal) => client.list(query, signal), this.#options())).value;
        for (const entry of page.entries) {
          const name = this.#name(entry.key);
          if (name !== undefined) found.push({ name, revision: entry.etag });
        }
        if (found.length > SHELF_OBJECTS_MAX) {
          throw new StorageError("unavailable", `${this.#prefix} of ${client.place} holds too many objects`);
        }
        continuation = page.next;
        if (continuation === undefined) return found.sort((a, b) => compareNames(a.name, b.name));
      }
    } catch (error) {
      throw storageError(error, false);
    }
  }

  #options() {
    return { deadline: this.#parts.clock.monotonic() + S3_OPERATION_MS };
  }

  #key(name: string): string {
    return `${this.#prefix}${encodeName(name)}${this.#suffix}`;
  }

  /** `undefined` for an object that this program did not put there and could not reach by a name. */
  #name(key: string): string | undefined {
    if (!key.endsWith(this.#suffix) || key.length <= this.#prefix.length + this.#suffix.length) return undefined;
    return decodeName(key.slice(this.#prefix.length, key.length - this.#suffix.length));
  }

  async #etag(key: string): Promise<ETag | undefined> {
    const { client, requests } = this.#parts;
    return (await requests.run("head", (signal) => client.head(key, signal), this.#options())).value?.etag;
  }

  /** The answer to a write counts only while nobody else is the main worker. @throws {StorageError} `unknown` */
  #confirm(): void {
    try {
      this.#parts.fence();
    } catch (error) {
      throw new StorageError("unknown", (error as Error).message, { cause: error });
    }
  }

  #failure(error: unknown): StorageError {
    if (error instanceof RequestFailure || error instanceof StorageError) return storageError(error, true);
    throw error;
  }
}
