import assert from "assert";
import fc from "fast-check";
import { classify, ObjectError, type ObjectErrorKind, type Place } from "./object_error.ts";

const PLACE: Place = { endpoint: "http://minio:9000", bucket: "b", region: "us-east-1", useSsl: false };
const NOW = Date.parse("2026-01-01T12:00:00Z");

/** An error as the SDK throws it for an answer of the service. */
function answered(status: number, Code?: string, headers: Record<string, string> = {}) {
  return {
    name: Code ?? "UnknownError",
    message: "secret text of the service",
    ...(Code && { Code }),
    $metadata: { httpStatusCode: status },
    $response: { statusCode: status, headers },
  };
}

/** An error of the network. */
function network(code: string, message = "", name = "Error") {
  return { name, code, message };
}

const CASES: readonly (readonly [raw: unknown, kind: ObjectErrorKind, message: RegExp, place?: Partial<Place>])[] = [
  [answered(403, "InvalidAccessKeyId"), "denied", /-s3-access-key/],
  [answered(403, "SignatureDoesNotMatch"), "denied", /-s3-secret-key/],
  [answered(403, "AccessDenied"), "denied", /denies access to bucket b/],
  [answered(403), "denied", /denies access to bucket b/],
  [answered(404, "NoSuchBucket"), "denied", /no bucket b: check -s3-bucket/],
  [answered(400, "InvalidBucketName"), "denied", /-s3-bucket/],
  [answered(409, "BucketAlreadyExists"), "denied", /belongs to somebody else/],
  [answered(403, "RequestTimeTooSkewed", { date: "Thu, 01 Jan 2026 13:00:00 GMT" }), "denied", /60 minutes behind/],
  [answered(403, "RequestTimeTooSkewed", { date: "Thu, 01 Jan 2026 10:30:00 GMT" }), "denied", /90 minutes ahead/],
  [answered(403, "RequestTimeTooSkewed"), "denied", /clocks differ too much: set the clock/],
  [
    { ...answered(400, "AuthorizationHeaderMalformed"), Region: "eu-west-1" },
    "denied",
    /in region eu-west-1.*-s3-region/,
  ],
  [answered(301, "PermanentRedirect", { "x-amz-bucket-region": "eu-west-2" }), "denied", /in region eu-west-2/],
  [answered(301), "denied", /in another region, not in us-east-1/],
  [answered(400, "InvalidLocationConstraint"), "denied", /does not know region us-east-1/],
  [answered(503, "SlowDown"), "throttled", /slow down/],
  [answered(429), "throttled", /slow down/],
  [answered(409, "ConditionalRequestConflict"), "contended", /same moment/],
  [answered(409, "OperationAborted"), "contended", /same moment/],
  [answered(501, "NotImplemented"), "unsupported", /does not support/],
  [answered(500, "InternalError"), "ambiguous", /status 500 \(InternalError\)/],
  [answered(500), "ambiguous", /status 500/],
  [answered(503), "ambiguous", /status 503/],
  [answered(502), "ambiguous", /status 502/],
  [answered(400, "IncompleteBody"), "unsent", /whole request/],
  [answered(400, "KeyTooLongError"), "unnameable", /takes no object of such a name \(KeyTooLongError\)/],
  [answered(400, "XMinioInvalidObjectName"), "unnameable", /takes no object of such a name/],
  [answered(400, "EntityTooLarge"), "rejected", /status 400 \(EntityTooLarge\)/],
  [network("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:9000"), "unsent", /cannot be reached \(ECONNREFUSED\)/],
  [network("ENOTFOUND", "getaddrinfo ENOTFOUND minio"), "unsent", /host name that is not known/],
  [network("EHOSTUNREACH"), "unsent", /cannot be reached/],
  [network("ECONNRESET", "socket hang up", "TimeoutError"), "ambiguous", /broke the connection \(ECONNRESET\)/],
  [network("EPIPE"), "ambiguous", /broke the connection/],
  [network("", "Request aborted", "AbortError"), "ambiguous", /did not answer in time/],
  [
    network("", "Connection timed out after 2000 ms without establishing", "TimeoutError"),
    "unsent",
    /cannot be reached/,
  ],
  [network("", "received corrupt message of type InvalidContentType"), "denied", /-s3-use-ssl=false/, { useSsl: true }],
  [network("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "denied", /not trusted.*DENO_CERT/, { useSsl: true }],
  [network("HPE_INVALID_CONSTANT", "Parse Error: Expected HTTP/"), "denied", /-s3-use-ssl=true/],
  [
    { name: "NotCapable", message: 'Requires net access to "minio:9000", run again' },
    "denied",
    /not permitted.*net access/,
  ],
  [new TypeError("what is this"), "ambiguous", /broke the connection/],
  ["a string", "ambiguous", /broke the connection/],
  [undefined, "ambiguous", /broke the connection/],
];

Deno.test("each failure has its kind and its one line", () => {
  for (const [raw, kind, message, place] of CASES) {
    const error = classify(raw, { ...PLACE, ...place }, NOW);
    assert.equal(error.kind, kind, JSON.stringify(raw));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n|secret text/);
  }
});

Deno.test("what was classified stays as it is", () => {
  const error = new ObjectError("rejected", "TooLarge", "large");
  assert.equal(classify(error, PLACE, NOW), error);
});

Deno.test("no text of a service gets into a message, whatever it sends", () => {
  fc.assert(fc.property(fc.integer({ min: 200, max: 599 }), fc.string(), (status, text) => {
    const marker = `<<${text.replaceAll(/[^a-z]/gi, "")}>>`;
    const raw = { ...answered(status), message: `AWSAccessKeyId=${marker}`, $response: { body: marker } };
    assert.ok(!classify(raw, PLACE, NOW).message.includes(marker));
  }));
});

Deno.test("only a write that cannot be in doubt counts as not carried out", () => {
  const certain = CASES.map(([raw, , , place]) => classify(raw, { ...PLACE, ...place }, NOW))
    .filter((error) => error.repeatable && error.kind !== "ambiguous");
  for (const error of certain) assert.match(error.kind, /^(throttled|unsent|contended)$/);
});
