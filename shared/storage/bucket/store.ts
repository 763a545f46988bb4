/** Opens a store in a bucket of an S3-compatible service: `openBucketStore`. */
import { S3_OPERATION_MS } from "../../limits.ts";
import type { Clock } from "../../seams/clock.ts";
import { type Random, randomHex } from "../../seams/random.ts";
import {
  type Entities,
  type Listed,
  type ListQuery,
  type MainLock,
  type Shelf,
  StorageError,
  type Store,
} from "../store.ts";
import { type Conditions, describeMissing, probeConditions } from "./conditions.ts";
import { BucketEntities } from "./entities.ts";
import { AUTH_PREFIX, MANIFEST_KEY, TEMPLATES_PREFIX } from "./layout.ts";
import { type Lease, takeLease } from "./lease.ts";
import { fetchPage } from "./listed.ts";
import type { ObjectBody, ObjectClient } from "./object_client.ts";
import { RequestFailure, type RequestHooks, Requests, storageError } from "./requests.ts";
import { openS3Client, type S3Options } from "./s3_client.ts";
import { BucketShelf } from "./shelf.ts";

/** Where the store is, and whether it may be made. */
export interface BucketOptions extends S3Options {
  /**
   * Makes what is missing (the bucket, the store in it) with this many partitions, a power of two. Absent: a store
   * that is not there is an error.
   */
  readonly create?: { readonly partitions: number };
}

/** The seams, and what the process around the store contributes. */
export interface BucketContext {
  readonly clock: Clock;
  readonly random: Random;
  /** One sentence for the operator, at start-up. Default: nowhere. */
  readonly warn?: (message: string) => void;
  readonly hooks?: RequestHooks;
  /**
   * Whether this process may still act as the owner of its partitions: `false` when its last heartbeat, by its own
   * monotonic clock, is so old that the main worker may have given them to another worker. Asked right before each
   * request that changes an entity. Default: always.
   */
  readonly mayWrite?: () => boolean;
  /** Default: the AWS SDK, by the options. */
  readonly client?: ObjectClient;
}

const FORMAT = 1;

interface Manifest {
  readonly id: string;
  readonly partitions: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Opens the store: finds or makes bucket and manifest, and finds out which conditions the service honours.
 * @throws {StorageError} `configuration` with one line that says what is wrong, `unavailable` when nobody answers
 */
export async function openBucketStore(options: BucketOptions, context: BucketContext): Promise<BucketStore> {
  const { clock, random } = context;
  const client = context.client ?? await openS3Client(options, clock);
  const requests = new Requests(clock, random, context.hooks);
  try {
    let manifest = await readManifest(client, requests, clock, options.create !== undefined);
    if (manifest === undefined && options.create === undefined) {
      throw new StorageError("configuration", `${client.place} holds no store yet: start the main worker first`);
    }
    const conditions = await probeConditions(client, requests, clock, random);
    const missing = describeMissing(conditions, client.place);
    if (missing !== undefined) context.warn?.(missing);
    manifest ??= await makeManifest(client, requests, context, conditions, options.create!.partitions);
    return new BucketStore(client, requests, context, conditions, manifest);
  } catch (error) {
    client.close();
    if (error instanceof RequestFailure && error.last.kind === "denied") {
      throw new StorageError("configuration", error.message, { cause: error });
    }
    throw storageError(error, false);
  }
}

async function readManifest(
  client: ObjectClient,
  requests: Requests,
  clock: Clock,
  create: boolean,
): Promise<Manifest | undefined> {
  const options = () => ({ deadline: clock.monotonic() + S3_OPERATION_MS });
  let found: ObjectBody | undefined;
  try {
    found = (await requests.run("get", (signal) => client.get(MANIFEST_KEY, signal), options())).value;
  } catch (error) {
    if (!create || !(error instanceof RequestFailure) || error.last.code !== "NoSuchBucket") throw error;
    await requests.run("create_bucket", (signal) => client.createBucket(signal), options());
    return undefined;
  }
  return found && parseManifest(found.bytes, client.place);
}

function parseManifest(bytes: Uint8Array, place: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    value = undefined;
  }
  const { format, store_id: id, partitions } = (value ?? {}) as Record<string, unknown>;
  if (typeof id !== "string" || typeof partitions !== "number" || typeof format !== "number") {
    throw new StorageError("corrupt", `${MANIFEST_KEY} of ${place} is damaged`);
  }
  if (format !== FORMAT) {
    throw new StorageError("configuration", `${place} holds a store of format ${format}; this program knows ${FORMAT}`);
  }
  return { id, partitions };
}

async function makeManifest(
  client: ObjectClient,
  requests: Requests,
  { clock, random }: BucketContext,
  conditions: Conditions,
  partitions: number,
): Promise<Manifest> {
  const manifest: Manifest = { id: randomHex(random, 16), partitions };
  const content = {
    format: FORMAT,
    store_id: manifest.id,
    partitions,
    created_at: new Date(clock.now()).toISOString(),
  };
  const bytes = encoder.encode(JSON.stringify(content, null, 2) + "\n");
  const options = () => ({ deadline: clock.monotonic() + S3_OPERATION_MS });
  const condition = conditions.create ? { ifNoneMatch: true } as const : undefined;
  await requests.run("put", (signal) => client.put(MANIFEST_KEY, bytes, condition, signal), options());
  // Whoever was first has made it, and everybody reads what is there.
  const found = (await requests.run("get", (signal) => client.get(MANIFEST_KEY, signal), options())).value;
  if (found === undefined) {
    throw new StorageError("unavailable", `${client.place} does not show what was written to it`);
  }
  return parseManifest(found.bytes, client.place);
}

/** {@linkcode Store} in a bucket. */
export class BucketStore implements Store {
  readonly kind = "bucket";
  readonly listing = "store";
  readonly id: string;
  readonly partitions: number;
  readonly templates: Shelf;
  readonly auth: Shelf;
  /** What the service honours. */
  readonly conditions: Conditions;
  readonly #client: ObjectClient;
  readonly #requests: Requests;
  readonly #context: BucketContext;
  readonly #entities = new Set<Entities>();
  #lease: Lease | undefined;
  #closed = false;

  constructor(
    client: ObjectClient,
    requests: Requests,
    context: BucketContext,
    conditions: Conditions,
    manifest: Manifest,
  ) {
    this.id = manifest.id;
    this.partitions = manifest.partitions;
    this.conditions = conditions;
    this.#client = client;
    this.#requests = requests;
    this.#context = context;
    const parts = { client, requests, clock: context.clock, conditions, fence: () => this.#lease?.assertHeld() };
    this.templates = new BucketShelf(parts, TEMPLATES_PREFIX, ".json");
    this.auth = new BucketShelf(parts, AUTH_PREFIX, "");
  }

  async lockMain(
    holder: string,
  ): Promise<{ kind: "locked"; lock: MainLock } | { kind: "held"; by: string }> {
    this.#checkOpen();
    const { clock, random } = this.#context;
    const taken = await takeLease(
      { client: this.#client, requests: this.#requests, clock, random, conditions: this.conditions },
      holder,
    );
    if (taken.kind === "locked") this.#lease = taken.lock;
    return taken;
  }

  openEntities(_holder: string): Promise<BucketEntities> {
    this.#checkOpen();
    const entities = new BucketEntities({
      client: this.#client,
      requests: this.#requests,
      clock: this.#context.clock,
      conditions: this.conditions,
      partitions: this.partitions,
      mayWrite: this.#context.mayWrite ?? (() => true),
    });
    this.#entities.add(entities);
    return Promise.resolve(entities);
  }

  async list(query: ListQuery): Promise<Listed[]> {
    this.#checkOpen();
    return await fetchPage({ client: this.#client, requests: this.#requests, clock: this.#context.clock }, query);
  }

  async probe(): Promise<void> {
    this.#checkOpen();
    try {
      const found = await this.#requests.run("head", (signal) => this.#client.head(MANIFEST_KEY, signal), {
        deadline: this.#context.clock.monotonic() + S3_OPERATION_MS,
        lane: "aside",
      });
      if (found.value === undefined) throw new StorageError("unavailable", `${this.#client.place} has lost its store`);
    } catch (error) {
      throw storageError(error, false);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#entities].map((entities) => entities.close()));
    await this.#lease?.release();
    this.#client.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new StorageError("unavailable", "the store is closed");
  }
}
