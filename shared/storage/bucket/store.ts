/** Opens a store in a bucket of an S3-compatible service: `openBucketStore`. */
import { PARTITIONS_MAX, S3_LEASE_MS, S3_OPERATION_MS } from "../../limits.ts";
import type { Partition } from "../../names.ts";
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
import { fetchPage, fetchSchemaPrefixes } from "./listed.ts";
import type { ObjectBody, ObjectClient } from "./object_client.ts";
import { RequestFailure, type RequestHooks, Requests, storageError } from "./requests.ts";
import { openS3Client, type S3Options } from "./s3_client.ts";
import { BucketShelf } from "./shelf.ts";

/** Where the store is, and whether it may be made. */
export interface BucketOptions extends S3Options {
  /**
   * Makes what is missing (the bucket, the store in it) with this many partitions, a power of two. With `asked`, a store
   * that is there with another number is an error. Absent: a store that is not there is an error (`missing`).
   */
  readonly create?: { readonly partitions: number; readonly asked?: boolean };
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
   * monotonic clock, is so old that the main worker may have given them to another worker, and of a partition also as long
   * as operations are under way in it that began before such a gap. Asked right before each request that changes an entity.
   * Default: always.
   */
  readonly mayWrite?: (partition?: Partition) => boolean;
  /** Default: the AWS SDK, by the options. */
  readonly client?: ObjectClient;
  /** How long the main worker's lease lasts after each renewal. Default: `S3_LEASE_MS`. */
  readonly leaseMs?: number;
}

const FORMAT = 1;

/** Whether a store may have so many partitions. */
function isPartitionCount(count: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= PARTITIONS_MAX && (count & (count - 1)) === 0;
}

interface Manifest {
  readonly id: string;
  readonly partitions: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Opens the store: finds or makes bucket and manifest, and finds out which conditions the service honours.
 * @throws {StorageError} `configuration` with one line that says what is wrong, `missing` when there is no store and none
 * may be made, `unavailable` when nobody answers
 */
export async function openBucketStore(options: BucketOptions, context: BucketContext): Promise<BucketStore> {
  const { clock, random } = context;
  const asked = options.create?.partitions;
  if (asked !== undefined && !isPartitionCount(asked)) {
    throw new StorageError("configuration", `-partitions=${asked} is not a power of two from 1 to ${PARTITIONS_MAX}`);
  }
  const client = context.client ?? await openS3Client(options, clock);
  const requests = new Requests(clock, random, context.hooks);
  try {
    let manifest = await readManifest(client, requests, clock, options.create !== undefined);
    if (manifest === undefined && options.create === undefined) {
      throw new StorageError("missing", `${client.place} holds no store yet: the main worker makes it`);
    }
    if (manifest !== undefined && options.create?.asked === true && manifest.partitions !== options.create.partitions) {
      throw new StorageError(
        "configuration",
        `the store in ${client.place} was made with ${manifest.partitions} partitions, which never change; ` +
          `-partitions=${options.create.partitions} is another number`,
      );
    }
    const conditions = await probeConditions(client, requests, clock, random);
    const missing = describeMissing(conditions, client.place);
    if (missing !== undefined) context.warn?.(missing);
    manifest ??= await makeManifest(client, requests, context, conditions, options.create!.partitions);
    return new BucketStore(client, requests, context, conditions, manifest);
  } catch (error) {
    client.close();
    if (error instanceof RequestFailure && error.last.kind === "denied") {
      const missing = error.last.code === "NoSuchBucket" && options.create === undefined;
      throw new StorageError(missing ? "missing" : "configuration", error.message, { cause: error });
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
  const { format, store, partitions } = (value ?? {}) as Record<string, unknown>;
  if (typeof format === "number" && format > FORMAT) {
    throw new StorageError("configuration", `${place} holds a store of format ${format}; this version knows ${FORMAT}`);
  }
  if (
    format !== FORMAT || typeof store !== "string" || !/^[0-9a-f]{32}$/.test(store) ||
    typeof partitions !== "number" || !isPartitionCount(partitions)
  ) throw new StorageError("corrupt", `${MANIFEST_KEY} in ${place} is not a manifest of a store`);
  return { id: store, partitions };
}

async function makeManifest(
  client: ObjectClient,
  requests: Requests,
  { clock, random }: BucketContext,
  conditions: Conditions,
  partitions: number,
): Promise<Manifest> {
  const manifest: Manifest = { id: randomHex(random, 16), partitions };
  const bytes = encoder.encode(JSON.stringify({ format: FORMAT, store: manifest.id, partitions }) + "\n");
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
    holds: (untilMs: number) => void = () => {},
  ): Promise<{ kind: "locked"; lock: MainLock } | { kind: "held"; by: string }> {
    this.#checkOpen();
    const { clock, random, leaseMs = S3_LEASE_MS } = this.#context;
    const taken = await takeLease(
      { client: this.#client, requests: this.#requests, clock, random, conditions: this.conditions, leaseMs },
      holder,
      holds,
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
    return await fetchPage(this.#listingParts, query);
  }

  async schemaPrefixes(): Promise<string[]> {
    this.#checkOpen();
    return await fetchSchemaPrefixes(this.#listingParts);
  }

  async probe(): Promise<void> {
    this.#checkOpen();
    try {
      // Unlike the answer to a HEAD, the one to a GET says why it is refused.
      const found = await this.#requests.run("get", (signal) => this.#client.get(MANIFEST_KEY, signal), {
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

  get #listingParts() {
    return { client: this.#client, requests: this.#requests, clock: this.#context.clock };
  }

  #checkOpen(): void {
    if (this.#closed) throw new StorageError("unavailable", "the store is closed");
  }
}
