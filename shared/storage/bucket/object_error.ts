/** What can go wrong with a request to an S3 service, sorted by what may be done about it, in one line for people. */

/**
 * - `denied`: stays so until somebody changes a setting (keys, bucket, region, TLS, clock); nothing was changed.
 * - `throttled`: the service asks for fewer requests; nothing was changed.
 * - `unsent`: the service did not get the request, or not the whole of it; nothing was changed.
 * - `contended`: the service saw another write at the same moment and asks to repeat; nothing was changed.
 * - `ambiguous`: no answer, or one that does not tell; the request may have been carried out, or still will be.
 * - `unnameable`: the service takes no object of such a name, as a rule because it is too long; there is none.
 * - `unsupported`: the service does not know this kind of request; nothing was changed.
 * - `rejected`: any other refusal; nothing was changed.
 */
export type ObjectErrorKind =
  | "denied"
  | "throttled"
  | "unsent"
  | "contended"
  | "ambiguous"
  | "unnameable"
  | "unsupported"
  | "rejected";

/** A failed request. `message` is one line and holds no secret. */
export class ObjectError extends Error {
  override name = "ObjectError";
  constructor(
    readonly kind: ObjectErrorKind,
    /** The service's own code where it gave one (`NoSuchBucket`), or the network's (`ECONNRESET`), or empty. */
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether another attempt makes sense. */
  get repeatable(): boolean {
    return this.kind === "throttled" || this.kind === "unsent" || this.kind === "contended" ||
      this.kind === "ambiguous";
  }
}

/** Where requests go, for messages. */
export interface Place {
  /** `http://host:port` */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly useSsl: boolean;
}

/** The parts of an error of the SDK or of the network that are looked at. */
interface RawError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  readonly message?: unknown;
  readonly Region?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

const UNSENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "IncompleteBody",
  "BadDigest",
  "XAmzContentSHA256Mismatch",
  "RequestTimeout",
]);
const THROTTLED = new Set([
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "TooManyRequests",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "Throttling",
  "ThrottlingException",
  "BandwidthLimitExceeded",
]);
const WRONG_REGION = new Set([
  "AuthorizationHeaderMalformed",
  "PermanentRedirect",
  "TemporaryRedirect",
  "Redirect",
  "IllegalLocationConstraintException",
  "InvalidRegion",
]);
const CONTENDED = new Set(["ConditionalRequestConflict", "OperationAborted", "ConcurrentModification"]);
/** S3 allows 1,024 bytes; services that keep objects as files often take less, 255 for what stands between two slashes. */
const UNNAMEABLE = new Set(["KeyTooLongError", "KeyTooLong", "InvalidObjectName", "XMinioInvalidObjectName"]);
const NO_TLS = /InvalidContentType|wrong version number|ssl3_get_record|packet length too long|EPROTO|not a tls/i;
const BAD_CERTIFICATE =
  /certificate|UnknownIssuer|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS_CERT_ALTNAME_INVALID|NotValidForName/i;
const NOT_HTTP = /HPE_|Parse Error|invalid HTTP|HTTP request to an HTTPS|HTTP version/i;
const NOT_S3 = /Deserialization error|Unexpected (token|closing tag|end)|Expected (tag|closing)|invalid xml/i;

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** How far the service's clock is from this machine's, in words; empty when it does not say. */
function skew(raw: RawError, nowMs: number): string {
  const served = Date.parse(text(raw.$response?.headers?.["date"]));
  if (Number.isNaN(served)) return "";
  const minutes = Math.round((nowMs - served) / 60_000);
  if (minutes === 0) return "";
  return ` (this machine is about ${Math.abs(minutes)} minutes ${minutes > 0 ? "ahead" : "behind"})`;
}

/**
 * Sorts whatever the SDK threw. `nowMs` is this machine's wall clock, for telling how far it is off. The message is
 * made here from the kind of failure, never copied from the service, which may repeat parts of a signed request.
 */
export function classify(error: unknown, place: Place, nowMs: number): ObjectError {
  if (error instanceof ObjectError) return error;
  const raw = (typeof error === "object" && error !== null ? error : {}) as RawError;
  const status = raw.$metadata?.httpStatusCode ?? raw.$response?.statusCode ?? 0;
  const name = text(raw.name);
  const network = text(raw.code);
  const code = text(raw.Code) || (status > 0 && name !== "Error" && name !== "UnknownError" ? name : network);
  const words = `${network} ${text(raw.message)}`;
  const at = `the S3 service at ${place.endpoint}`;
  const make = (kind: ObjectErrorKind, message: string) =>
    new ObjectError(kind, code || name, message, { cause: error });

  if (name === "NotCapable" || name === "PermissionDenied") {
    return make("denied", `this program is not permitted to reach ${at}: ${text(raw.message).split(",")[0]}`);
  }
  if (code === "InvalidAccessKeyId" || code === "InvalidToken" || code === "ExpiredToken") {
    return make("denied", `${at} does not know the access key: check -s3-access-key`);
  }
  if (code === "SignatureDoesNotMatch") {
    return make("denied", `${at} refuses the signature: check -s3-secret-key`);
  }
  if (code === "RequestTimeTooSkewed" || code === "RequestExpired") {
    return make(
      "denied",
      `${at} refuses requests because the clocks differ too much${skew(raw, nowMs)}: set the clock`,
    );
  }
  if (code === "InvalidLocationConstraint") {
    return make("denied", `${at} does not know region ${place.region}: check -s3-region`);
  }
  if (WRONG_REGION.has(code) || status === 301 || status === 307) {
    const region = text(raw.Region) || text(raw.$response?.headers?.["x-amz-bucket-region"]);
    const other = region === "" || region === place.region ? "another region" : `region ${region}`;
    return make("denied", `${at} serves bucket ${place.bucket} in ${other}, not in ${place.region}: check -s3-region`);
  }
  if (code === "NoSuchBucket") return make("denied", `${at} has no bucket ${place.bucket}: check -s3-bucket`);
  if (code === "InvalidBucketName") {
    return make("denied", `${at} does not accept the bucket name ${place.bucket}: check -s3-bucket`);
  }
  if (code === "BucketAlreadyExists") {
    return make("denied", `bucket ${place.bucket} at ${at} belongs to somebody else: check -s3-bucket`);
  }
  if (UNNAMEABLE.has(code)) return make("unnameable", `${at} takes no object of such a name (${code})`);
  if (THROTTLED.has(code) || status === 429) return make("throttled", `${at} asks to slow down`);
  if (CONTENDED.has(code) || (status === 409 && code === "")) {
    return make("contended", `${at} saw another write to the same object at the same moment`);
  }
  if (status === 401 || status === 403) {
    return make(
      "denied",
      `${at} denies access to bucket ${place.bucket}: check the rights of the access key and -s3-bucket`,
    );
  }
  if (status === 501 || code === "NotImplemented") return make("unsupported", `${at} does not support this request`);
  if (UNSENT.has(code) || UNSENT.has(network)) {
    const what = code === "ENOTFOUND" || code.startsWith("EAI_")
      ? "has a host name that is not known"
      : "cannot be reached";
    return make("unsent", status > 0 ? `${at} did not get the whole request` : `${at} ${what} (${code || network})`);
  }
  if (status === 400 && NOT_HTTP.test(words)) {
    return make("denied", `${at} wants TLS: set -s3-use-ssl=true`);
  }
  if (status >= 500) return make("ambiguous", `${at} failed with status ${status}${code === "" ? "" : ` (${code})`}`);
  if (status >= 400) {
    return make("rejected", `${at} rejected a request with status ${status}${code === "" ? "" : ` (${code})`}`);
  }
  if (place.useSsl && NO_TLS.test(words)) {
    return make("denied", `${at} does not answer with TLS: set -s3-use-ssl=false`);
  }
  if (place.useSsl && BAD_CERTIFICATE.test(words)) {
    return make(
      "denied",
      `the certificate of ${at} is not trusted: add its authority (DENO_CERT) or fix the host name`,
    );
  }
  if (!place.useSsl && NOT_HTTP.test(words)) {
    return make("denied", `${at} does not answer in HTTP: if it wants TLS, set -s3-use-ssl=true`);
  }
  if (NOT_S3.test(words)) return make("ambiguous", `${at} does not answer like an S3 service`);
  if (name === "TimeoutError" && /establish/i.test(words)) {
    return make("unsent", `${at} cannot be reached (connect timeout)`);
  }
  const broken = network === "ECONNRESET" || network === "EPIPE";
  if ((name === "TimeoutError" && !broken) || name === "AbortError" || network === "ETIMEDOUT") {
    return make("ambiguous", `${at} did not answer in time`);
  }
  return make("ambiguous", `${at} broke the connection${network === "" ? "" : ` (${network})`}`);
}
