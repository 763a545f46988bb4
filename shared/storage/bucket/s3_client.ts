/**
 * {@linkcode ObjectClient} over the AWS SDK, which is loaded here, and only when a bucket is configured.
 *
 * The SDK gets every setting from here: its own search through environment variables, `~/.aws` and the metadata
 * service of a cloud never runs. Its retries, its correction of clock skew and its following of redirects are off:
 * `requests.ts` repeats, and a wrong clock or region is a line for the operator, not something to work around.
 */
import type { Agent as HttpAgent, ClientRequest } from "node:http";
import type { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { S3_CONNECT_MS, S3_IDLE_MS, S3_META_PARALLEL_MAX, S3_OBJECT_BYTES_MAX, S3_PARALLEL_MAX } from "../../limits.ts";
import type { Clock } from "../../seams/clock.ts";
import { StorageError } from "../store.ts";
import type {
  Condition,
  KeyQuery,
  ObjectBody,
  ObjectClient,
  ObjectHead,
  ObjectPage,
  PutAnswer,
} from "./object_client.ts";
import { classify, ObjectError, type Place } from "./object_error.ts";

/** How to reach a bucket: the `-s3-…` flags. */
export interface S3Options {
  /** `host:port`, without a scheme. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly useSsl: boolean;
  /** Empty: `us-east-1`. */
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

const AWS_HOST = /(^|\.)amazonaws\.com(\.cn)?$/;
const HOST_PORT = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/;

/** Connections beyond those for entities: the lease, probes and `meta.json` never queue behind them. */
const SPARE_SOCKETS = 8 + S3_META_PARALLEL_MAX;

/** Checks the flags. @throws {StorageError} `configuration`, naming the flag. */
export function parsePlace(options: S3Options): Place & { readonly aws: boolean } {
  const bad = (message: string) => new StorageError("configuration", message);
  if (options.endpoint.includes("://")) {
    throw bad(`-s3-endpoint is host:port without a scheme (TLS: -s3-use-ssl), not ${JSON.stringify(options.endpoint)}`);
  }
  if (!HOST_PORT.test(options.endpoint)) {
    throw bad(`-s3-endpoint must be host:port, not ${JSON.stringify(options.endpoint)}`);
  }
  if (options.bucket === "") throw bad("-s3-bucket is empty");
  if (options.accessKey === "" || options.secretKey === "") {
    throw bad("a bucket needs -s3-access-key and -s3-secret-key (or S3_ACCESS_KEY and S3_SECRET_KEY)");
  }
  return {
    endpoint: `${options.useSsl ? "https" : "http"}://${options.endpoint}`,
    bucket: options.bucket,
    region: options.region === "" ? "us-east-1" : options.region,
    useSsl: options.useSsl,
    aws: AWS_HOST.test(options.endpoint.replace(/:\d+$/, "")),
  };
}

type Agents = { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent };

/**
 * Connection pools that send a request once. Deno's own agents send it again, unasked, when a reused connection breaks
 * before the answer, even when it broke because the caller gave up: a write could be carried out twice without
 * anybody knowing (denoland/deno#36786). They do so for requests that are marked as being on a reused connection.
 */
async function agents(): Promise<Agents> {
  const [http, https, tls] = await Promise.all([import("node:http"), import("node:https"), import("node:tls")]);
  class OnceAgent extends http.Agent {
    override reuseSocket(socket: Socket, request: ClientRequest): void {
      super.reuseSocket(socket, request);
      request.reusedSocket = false;
    }
  }
  class OnceTlsAgent extends https.Agent {
    // The one of node:https knows nothing of the authorities that Deno was given (DENO_CERT, DENO_TLS_CA_STORE), and asks
    // for a permission that cannot be given by a flag.
    override createConnection(options: ConnectionOptions): Socket {
      return tls.connect(options);
    }
    override reuseSocket(socket: Socket, request: ClientRequest): void {
      super.reuseSocket(socket, request);
      request.reusedSocket = false;
    }
  }
  // Idle connections end before the service's side does it: a request on one that just ended gets no answer.
  const options = { keepAlive: true, maxSockets: S3_PARALLEL_MAX + SPARE_SOCKETS, timeout: S3_IDLE_MS };
  return { httpAgent: new OnceAgent(options), httpsAgent: new OnceTlsAgent(options) };
}

/** The settings that the SDK would otherwise look for in the environment and in files, all of them. */
function configOf(
  options: S3Options,
  place: Place & { readonly aws: boolean },
  pools: Agents,
): S3ClientConfig {
  // The global endpoint of AWS only redirects for most regions: without an endpoint the SDK derives the region's own.
  const global = place.aws && /^s3\.amazonaws\.com(:443)?$/.test(options.endpoint);
  return {
    ...(global ? { tls: options.useSsl } : { endpoint: place.endpoint }),
    region: place.region,
    credentials: { accessKeyId: options.accessKey, secretAccessKey: options.secretKey },
    forcePathStyle: !place.aws,
    maxAttempts: 1,
    retryMode: "standard",
    disableClockSkewCorrection: false,
    // Services other than AWS reject the checksum trailers that are the default.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { ...pools, connectionTimeout: S3_CONNECT_MS, socketAcquisitionWarningTimeout: 2 ** 30 },
    expectContinueHeader: false,
    defaultsMode: "standard",
    useArnRegion: false,
    disableS3ExpressSessionAuth: true,
    disableMultiregionAccessPoints: true,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    sigv4aSigningRegionSet: [],
    authSchemePreference: ["sigv4"],
    userAgentAppId: "deltadatabase",
    defaultUserAgentProvider: () => Promise.resolve([["deltadatabase", "1"]]),
  };
}

/** Opens a client; sends nothing yet. @throws {StorageError} `configuration` when a flag is bad. */
export async function openS3Client(options: S3Options, clock: Clock): Promise<ObjectClient> {
  const place = parsePlace(options);
  const [sdk, pools] = await Promise.all([import("@aws-sdk/client-s3"), agents()]);
  const client = new sdk.S3Client(configOf(options, place, pools));
  // The signature's date is the clock seam's, which in production is the machine's own. The SDK would set the offset by
  // itself to what the service's clock says, and so hide a clock that is wrong.
  Object.defineProperty(client.config, "systemClockOffset", { get: () => clock.now() - Date.now(), set: () => {} });
  // It reads an environment variable of AWS Lambda, for which the program has no permission.
  client.middlewareStack.remove("recursionDetectionMiddleware");
  return new SdkClient(sdk, client, place, clock);
}

type Sdk = typeof import("@aws-sdk/client-s3");

/** Status codes of a condition that did not hold. 404: the object of an `If-Match` is not there. */
function isRefusal(error: ObjectError): boolean {
  return error.code === "PreconditionFailed" || error.code === "NoSuchKey" || error.code === "NotFound" ||
    error.code === "412";
}

class SdkClient implements ObjectClient {
  readonly place: string;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #at: Place;
  readonly #clock: Clock;

  constructor(sdk: Sdk, client: S3Client, at: Place, clock: Clock) {
    this.#sdk = sdk;
    this.#client = client;
    this.#at = at;
    this.#clock = clock;
    this.place = `bucket ${at.bucket} at ${at.endpoint}`;
  }

  async #try<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      throw classify(error, this.#at, this.#clock.now());
    }
  }

  /** Like `#try`, with `undefined` where the service says that there is no such object, or can be none. */
  async #tryPresent<T>(request: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#try(request);
    } catch (error) {
      const isAbsent = error instanceof ObjectError &&
        (error.code === "NoSuchKey" || error.code === "NotFound" || error.kind === "unnameable");
      if (isAbsent) return undefined;
      throw error;
    }
  }

  get(key: string, signal: AbortSignal): Promise<ObjectBody | undefined> {
    return this.#tryPresent(async () => {
      const answer = await this.#client.send(new this.#sdk.GetObjectCommand({ Bucket: this.#at.bucket, Key: key }), {
        abortSignal: signal,
      });
      const body = answer.Body;
      if (body === undefined) return { bytes: new Uint8Array(), etag: answer.ETag ?? "" };
      const stream = body as unknown as { destroy(error?: Error): void };
      const size = answer.ContentLength;
      if (size !== undefined && size > S3_OBJECT_BYTES_MAX) {
        stream.destroy();
        throw new ObjectError(
          "rejected",
          "TooLarge",
          `object ${key} has ${size} bytes; ${S3_OBJECT_BYTES_MAX} are allowed`,
        );
      }
      const cut = () => stream.destroy(new DOMException("The body took too long", "AbortError"));
      signal.addEventListener("abort", cut, { once: true });
      try {
        const bytes = await body.transformToByteArray();
        if (size !== undefined && bytes.length !== size) {
          throw new ObjectError("ambiguous", "IncompleteBody", `${this.place} sent ${bytes.length} of ${size} bytes`);
        }
        return { bytes, etag: answer.ETag ?? "" };
      } finally {
        signal.removeEventListener("abort", cut);
      }
    });
  }

  head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined> {
    return this.#tryPresent(async () => {
      const answer = await this.#client.send(new this.#sdk.HeadObjectCommand({ Bucket: this.#at.bucket, Key: key }), {
        abortSignal: signal,
      });
      return { size: answer.ContentLength ?? 0, etag: answer.ETag ?? "" };
    });
  }

  async put(
    key: string,
    bytes: Uint8Array,
    condition: Condition | undefined,
    signal: AbortSignal,
  ): Promise<PutAnswer> {
    try {
      const answer = await this.#client.send(
        new this.#sdk.PutObjectCommand({
          Bucket: this.#at.bucket,
          Key: key,
          Body: bytes,
          ContentLength: bytes.length,
          ContentType: key.endsWith(".json") ? "application/json" : "application/octet-stream",
          ...(condition === undefined
            ? {}
            : "ifMatch" in condition
            ? { IfMatch: condition.ifMatch }
            : { IfNoneMatch: "*" }),
        }),
        { abortSignal: signal },
      );
      return { kind: "stored", etag: answer.ETag ?? "" };
    } catch (raw) {
      const error = classify(raw, this.#at, this.#clock.now());
      if (condition !== undefined && isRefusal(error)) return { kind: "refused" };
      throw error;
    }
  }

  async delete(key: string, ifMatch: string | undefined, signal: AbortSignal): Promise<"deleted" | "refused"> {
    try {
      await this.#client.send(
        new this.#sdk.DeleteObjectCommand({
          Bucket: this.#at.bucket,
          Key: key,
          ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
        }),
        { abortSignal: signal },
      );
      return "deleted";
    } catch (raw) {
      const error = classify(raw, this.#at, this.#clock.now());
      if (ifMatch !== undefined && isRefusal(error)) return "refused";
      if (ifMatch === undefined && (error.code === "NoSuchKey" || error.code === "NotFound")) return "deleted";
      throw error;
    }
  }

  list(query: KeyQuery, signal: AbortSignal): Promise<ObjectPage> {
    return this.#try(async () => {
      const answer = await this.#client.send(
        new this.#sdk.ListObjectsV2Command({
          Bucket: this.#at.bucket,
          Prefix: query.prefix,
          MaxKeys: query.limit,
          ...(query.delimiter === undefined ? {} : { Delimiter: query.delimiter }),
          ...(query.continuation !== undefined
            ? { ContinuationToken: query.continuation }
            : query.startAfter !== undefined
            ? { StartAfter: query.startAfter }
            : {}),
        }),
        { abortSignal: signal },
      );
      const entries = (answer.Contents ?? []).map((object) => ({
        key: object.Key ?? "",
        size: object.Size ?? 0,
        etag: object.ETag ?? "",
        modifiedMs: object.LastModified?.getTime() ?? 0,
      }));
      const prefixes = (answer.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? "");
      if (answer.IsTruncated !== true) return { entries, prefixes };
      const next = answer.NextContinuationToken;
      if (next === undefined || next === "") {
        throw new ObjectError("rejected", "NoToken", `${this.place} cut a listing short without saying how to go on`);
      }
      return { entries, prefixes, next };
    });
  }

  async createBucket(signal: AbortSignal): Promise<void> {
    try {
      await this.#client.send(
        new this.#sdk.CreateBucketCommand({
          Bucket: this.#at.bucket,
          // us-east-1 must not be named; other services than AWS have no regions to choose from.
          ...(AWS_HOST.test(new URL(this.#at.endpoint).hostname) && this.#at.region !== "us-east-1"
            ? { CreateBucketConfiguration: { LocationConstraint: this.#at.region as never } }
            : {}),
        }),
        { abortSignal: signal },
      );
    } catch (raw) {
      const error = classify(raw, this.#at, this.#clock.now());
      if (error.code !== "BucketAlreadyOwnedByYou") throw error;
    }
  }

  close(): void {
    this.#client.destroy();
  }
}
