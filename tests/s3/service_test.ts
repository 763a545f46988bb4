/**
 * The bucket engine and the programs on an S3 service of one's own:
 * `DELTADB_TEST_S3=127.0.0.1:9000 deno test -A tests/s3/service_test.ts`, with the account `minioadmin`/`minioadmin`. It makes
 * buckets `service-…` and leaves them there. Tried so: MinIO, SeaweedFS and Versity's gateway.
 */
import assert from "assert";
import { rotateUnderLoad } from "../contract/rotation.ts";
import { systemClock } from "../../shared/seams/clock.ts";
import { randomHex, systemRandom } from "../../shared/seams/random.ts";
import { ObjectError } from "../../shared/storage/bucket/object_error.ts";
import { openS3Client } from "../../shared/storage/bucket/s3_client.ts";
import { openPatientStore, openStore, optionsFor } from "../../shared/storage/bucket/testing.ts";
import { testConformance } from "../../shared/storage/conformance.ts";
import { killAllUnderWriters, killWorkerAfterWrites, searchPlainText } from "../system/durability.ts";
import { tryRestContract } from "../system/rest.ts";
import { BucketUnderTest } from "./bucket_under_test.ts";
import { bearIncidents } from "./incidents.ts";

const LONG_NAME = "files/" + "x".repeat(900);
const endpoint = Deno.env.get("DELTADB_TEST_S3");
const newBucket = () => `service-${randomHex(systemRandom, 6)}`;

/** Whether the service takes names as long as S3 says. */
async function takesLongNames(endpoint: string): Promise<boolean> {
  const bucket = newBucket();
  await (await openStore(endpoint, {}, { bucket })).close();
  const client = await openS3Client(optionsFor(endpoint, { bucket }), systemClock);
  try {
    await client.put(LONG_NAME, new Uint8Array(1), undefined, AbortSignal.timeout(10_000));
    return true;
  } catch (error) {
    assert.ok(error instanceof ObjectError && error.kind === "unnameable", String(error));
    return false;
  } finally {
    client.close();
  }
}

if (endpoint === undefined) {
  console.log("tests/s3: a service of one's own is left out: DELTADB_TEST_S3 does not name one (host:port)");
} else {
  const traits = {
    exclusive: false,
    conditional: true,
    blindCreate: true,
    longNames: await takesLongNames(endpoint),
  };
  testConformance(`bucket at ${endpoint}`, traits, (partitions) => {
    const bucket = newBucket();
    return Promise.resolve({
      open: () => openPatientStore(endpoint, { leaseMs: 1_500 }, { bucket, create: { partitions } }),
      dispose: () => Promise.resolve(),
    });
  });

  const newStore = () => new BucketUnderTest(endpoint, newBucket());
  const onBucket = () => ({ store: newStore() });

  Deno.test("service: documents, schemas, conditions and errors", (t) => tryRestContract(t, onBucket()));

  Deno.test("service: kill -9 of the worker right after an acknowledged write", () =>
    killWorkerAfterWrites(5, onBucket()));

  Deno.test("service: kill -9 of everything under load: every acknowledged write is there, byte for byte", () =>
    killAllUnderWriters({ rounds: 2, writers: 16 }, onBucket()));

  Deno.test("service: no plain text in the bucket or in the logs", () => searchPlainText(onBucket()));

  Deno.test("service: a key is rotated under load", () =>
    rotateUnderLoad({ cluster: onBucket(), entities: 300, mainEndsBy: "SIGTERM" }));

  Deno.test("service: incidents under load: nothing acknowledged is lost, nothing stale is read", () =>
    bearIncidents(newStore()));
}
