/** For tests: an {@linkcode ObjectClient} in memory. */
import type {
  Condition,
  ETag,
  KeyQuery,
  ObjectBody,
  ObjectClient,
  ObjectHead,
  ObjectPage,
  PutAnswer,
} from "./object_client.ts";
import { ObjectError } from "./object_error.ts";

/** A service that honours every condition, in either spelling. */
export class MemoryClient implements ObjectClient {
  readonly place = "bucket test in memory";
  readonly objects = new Map<string, { readonly bytes: Uint8Array; readonly etag: ETag }>();
  /** Called before a request is carried out; may throw or wait instead. */
  before: (method: string, key: string) => Promise<void> | void = () => {};
  /** Called after it was carried out, before its answer. */
  after: (method: string, key: string) => Promise<void> | void = () => {};
  #writes = 0;

  async get(key: string, _signal: AbortSignal): Promise<ObjectBody | undefined> {
    await this.before("GET", key);
    return this.objects.get(key);
  }

  async head(key: string, _signal: AbortSignal): Promise<ObjectHead | undefined> {
    await this.before("HEAD", key);
    const found = this.objects.get(key);
    return found && { size: found.bytes.length, etag: found.etag };
  }

  async put(
    key: string,
    bytes: Uint8Array,
    condition: Condition | undefined,
    _signal: AbortSignal,
  ): Promise<PutAnswer> {
    await this.before("PUT", key);
    const etag = this.objects.get(key)?.etag;
    if (condition !== undefined) {
      const holds = "ifMatch" in condition ? etag === condition.ifMatch : etag === undefined;
      if (!holds) return { kind: "refused" };
    }
    const stored = { bytes: bytes.slice(), etag: `"${++this.#writes}"` };
    this.objects.set(key, stored);
    await this.after("PUT", key);
    return { kind: "stored", etag: stored.etag };
  }

  async delete(key: string, ifMatch: ETag | undefined, _signal: AbortSignal): Promise<"deleted" | "refused"> {
    await this.before("DELETE", key);
    if (ifMatch !== undefined && this.objects.get(key)?.etag !== ifMatch) return "refused";
    this.objects.delete(key);
    await this.after("DELETE", key);
    return "deleted";
  }

  list(_query: KeyQuery, _signal: AbortSignal): Promise<ObjectPage> {
    return Promise.reject(new ObjectError("unsupported", "", "not needed here"));
  }

  createBucket(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}
