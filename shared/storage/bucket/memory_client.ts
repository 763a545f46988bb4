/** For tests and simulations: a bucket in memory, and an {@linkcode ObjectClient} for it. */
import { compareNames } from "../../names.ts";
import type {
  Condition,
  ETag,
  KeyQuery,
  ObjectBody,
  ObjectClient,
  ObjectEntry,
  ObjectHead,
  ObjectPage,
  PutAnswer,
} from "./object_client.ts";

/** The objects of a service that honours every condition, in either spelling. Each method is one step. */
export class MemoryBucket {
  readonly objects = new Map<string, ObjectBody>();
  #writes = 0;

  get(key: string): ObjectBody | undefined {
    return this.objects.get(key);
  }

  head(key: string): ObjectHead | undefined {
    const found = this.objects.get(key);
    return found && { size: found.bytes.length, etag: found.etag };
  }

  put(key: string, bytes: Uint8Array, condition: Condition | undefined): PutAnswer {
    const etag = this.objects.get(key)?.etag;
    if (condition !== undefined) {
      const holds = "ifMatch" in condition ? etag === condition.ifMatch : etag === undefined;
      if (!holds) return { kind: "refused" };
    }
    const stored = { bytes: bytes.slice(), etag: `"${++this.#writes}"` };
    this.objects.set(key, stored);
    return { kind: "stored", etag: stored.etag };
  }

  delete(key: string, ifMatch: ETag | undefined): "deleted" | "refused" {
    if (ifMatch !== undefined && this.objects.get(key)?.etag !== ifMatch) return "refused";
    this.objects.delete(key);
    return "deleted";
  }

  /** A continuation is the last key, or common beginning of keys, of the page before. */
  list({ prefix, startAfter, continuation, delimiter, limit }: KeyQuery): ObjectPage {
    const after = continuation ?? startAfter ?? "";
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after);
    const [entries, prefixes]: [ObjectEntry[], string[]] = [[], []];
    let last: string | undefined;
    for (const key of keys.sort(compareNames)) {
      const end = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
      const item = end < 0 ? key : key.slice(0, end + delimiter!.length);
      if (item === last || item <= after) continue;
      if (entries.length + prefixes.length === limit) return { entries, prefixes, next: last! };
      if (end < 0) entries.push({ key, ...this.head(key)!, modifiedMs: 0 });
      else prefixes.push(item);
      last = item;
    }
    return { entries, prefixes };
  }
}

/** A client whose requests are carried out at once, unless a hook holds them up. */
export class MemoryClient implements ObjectClient {
  readonly place = "bucket test in memory";
  readonly #bucket = new MemoryBucket();
  readonly objects = this.#bucket.objects;
  /** Called before a request is carried out; may throw or wait instead. */
  before: (method: string, key: string) => Promise<void> | void = () => {};
  /** Called after it was carried out, before its answer. */
  after: (method: string, key: string) => Promise<void> | void = () => {};

  async get(key: string, _signal: AbortSignal): Promise<ObjectBody | undefined> {
    await this.before("GET", key);
    return this.#bucket.get(key);
  }

  async head(key: string, _signal: AbortSignal): Promise<ObjectHead | undefined> {
    await this.before("HEAD", key);
    return this.#bucket.head(key);
  }

  async put(
    key: string,
    bytes: Uint8Array,
    condition: Condition | undefined,
    _signal: AbortSignal,
  ): Promise<PutAnswer> {
    await this.before("PUT", key);
    const answer = this.#bucket.put(key, bytes, condition);
    if (answer.kind === "stored") await this.after("PUT", key);
    return answer;
  }

  async delete(key: string, ifMatch: ETag | undefined, _signal: AbortSignal): Promise<"deleted" | "refused"> {
    await this.before("DELETE", key);
    const answer = this.#bucket.delete(key, ifMatch);
    if (answer === "deleted") await this.after("DELETE", key);
    return answer;
  }

  async list(query: KeyQuery, _signal: AbortSignal): Promise<ObjectPage> {
    await this.before("LIST", query.prefix);
    return this.#bucket.list(query);
  }

  createBucket(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}
