/** What the tests of the bucket engine share: a store at an endpoint, names, envelopes. */
import { encodeEnvelope, IV_BYTES } from "../../crypto/envelope.ts";
import {
  type EntityKey,
  type EntityName,
  entityName,
  parseEntityKey,
  parseSchemaId,
  type Partition,
  partitionOf,
} from "../../names.ts";
import { type Clock, systemClock } from "../../seams/clock.ts";
import { randomHex, systemRandom } from "../../seams/random.ts";
import { openS3Client } from "./s3_client.ts";
import { type BucketContext, type BucketOptions, type BucketStore, openBucketStore } from "./store.ts";

/** Partitions of the stores that the tests make. */
export const PARTITIONS = 16;

const SCHEMA = parseSchemaId("test");
const PATIENCE = 8;
const STARTED_MS = Date.now();

/** Options for a bucket at `endpoint` (`host:port`). */
export function optionsFor(endpoint: string, more: Partial<BucketOptions> = {}): BucketOptions {
  return {
    endpoint,
    bucket: "deltadatabase",
    useSsl: false,
    region: "",
    accessKey: "minioadmin",
    secretKey: "minioadmin",
    create: { partitions: PARTITIONS },
    ...more,
  };
}

/** A store with the real clock, unless told otherwise. */
export function openStore(
  endpoint: string,
  context: Partial<BucketContext> = {},
  more: Partial<BucketOptions> = {},
): Promise<BucketStore> {
  return openBucketStore(optionsFor(endpoint, more), { clock: systemClock, random: systemRandom, ...context });
}

/** A clock on which time passes slowly, so that a machine that is busy with other things does not count as an outage. */
const patientClock: Clock = {
  now: () => STARTED_MS + (Date.now() - STARTED_MS) / PATIENCE,
  monotonic: () => performance.now() / PATIENCE,
  setTimer: (fn, ms) => setTimeout(fn, ms * PATIENCE),
  clearTimer: (timer) => clearTimeout(timer as number),
};

/** A store on a clock that is patient; requests are signed by the real one. */
export async function openPatientStore(
  endpoint: string,
  context: Partial<BucketContext> = {},
  more: Partial<BucketOptions> = {},
): Promise<BucketStore> {
  const client = await openS3Client(optionsFor(endpoint, more), systemClock);
  return await openStore(endpoint, { clock: patientClock, client, ...context }, more);
}

/** The storage name of `key` in the schema `test`, and its partition. */
export function named(key: string): { readonly name: EntityName; readonly partition: Partition } {
  const name = entityName(SCHEMA, parseEntityKey(key));
  return { name, partition: partitionOf(name, PARTITIONS) };
}

/** An envelope with a fresh IV and operation id. Its content is `text`, as it is: nothing here looks into it. */
export function envelopeOf(key: string, version: number, text = ""): Uint8Array<ArrayBuffer> {
  const content = new TextEncoder().encode(text);
  const { envelope, aad } = encodeEnvelope(
    {
      keyId: "main-key-v1",
      schemaId: SCHEMA,
      entityKey: key as EntityKey,
      version,
      opId: randomHex(systemRandom, 16),
      writtenAtMs: 1_700_000_000_000,
    },
    systemRandom.bytes(IV_BYTES),
    content.length,
  );
  envelope.set(content, aad.length);
  return envelope;
}

/** All partitions of a store. */
export function everyPartition(): Partition[] {
  return Array.from({ length: PARTITIONS }, (_, index) => index as Partition);
}
