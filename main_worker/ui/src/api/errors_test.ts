import assert from "assert";
import { ApiError, bareEtag, errorOf, explain, mayPass, Unreachable } from "./errors.ts";

Deno.test("an answer of the contract becomes an error with its code, its details and its version", async () => {
  const body = {
    error: "the version is another one",
    code: "version_mismatch",
    details: [{ path: "/a", message: "m" }],
  };
  const error = await errorOf(Response.json(body, { status: 412, headers: { ETag: '"2-ab"' } }));
  assert.equal(error.code, "version_mismatch");
  assert.equal(error.etag, "2-ab");
  assert.deepEqual(error.details, body.details);
});

Deno.test("an answer of something else on the way is an error too", async () => {
  const error = await errorOf(new Response("<h1>Bad Gateway</h1>", { status: 502 }));
  assert.equal(error.status, 502);
  assert.match(explain(error), /502/);
});

Deno.test("errors say what to do", () => {
  assert.match(explain(new Unreachable("x")), /by itself/);
  assert.match(explain(new ApiError(401, "unauthorized", "no", [], null, null)), /Sign in again/);
  assert.match(explain(new ApiError(429, "too_many_attempts", "no", [], null, 42)), /42 seconds/);
  assert.equal(
    explain(new ApiError(400, "invalid_key", "the entity key is empty", [], null, null)),
    "The entity key is empty.",
  );
  assert.equal(
    explain(new ApiError(413, "too_large", "the body is larger than 1048576 bytes", [], null, null)),
    "The body is larger than 1 MiB.",
  );
  assert.doesNotMatch(
    explain(new ApiError(503, "no_worker", "some partitions have no worker", [], null, 1)),
    /partition/,
  );
});

Deno.test("trying again is offered where it may help", () => {
  const of = (status: number, code: string) => mayPass(new ApiError(status, code, "no", [], null, null));
  assert(mayPass(new Unreachable("x")) && of(503, "no_worker") && of(500, "internal") && of(429, "too_many_attempts"));
  assert(!of(400, "invalid_key") && !of(403, "forbidden") && !of(404, "not_found") && !of(409, "key_unavailable"));
});

Deno.test("etags lose quotes and weakness", () => {
  assert.equal(bareEtag('"a"'), "a");
  assert.equal(bareEtag('W/"a"'), "a");
  assert.equal(bareEtag(null), null);
});
