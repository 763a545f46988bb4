import assert from "assert";
import { JSON_ANSWER_BYTES_MAX, LARGE_ANSWER_STALLED_MS } from "../../../shared/limits.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { LargeAnswers } from "./large_answers.ts";
import { JsonParts } from "./reply.ts";
import { deadlinesOf } from "../../../shared/seams/deadlines.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";

const CALL = { requestId: "r", isHead: false };
const LARGE = JSON_ANSWER_BYTES_MAX + 10;
/** What a streamed answer hands over at a time. */
const PIECE = 256 * 1024;

const bytes = (text: string) => new TextEncoder().encode(text);
const META = { version: 1, etag: "1-a", writtenAtMs: 0 };

/** Documents as they come: as bytes, as text, or one so and one so. */
const FORMS = ["bytes", "text", "both"] as const;

function json(size: number, form: typeof FORMS[number] = "bytes"): JsonParts {
  const parts = new JsonParts().text("[");
  for (let left = size, n = 0; left > 0; left -= 100_000, n++) {
    const document = new Uint8Array(Math.min(left, 100_000)).fill(0x31);
    const isText = form === "text" || form === "both" && n % 2 === 1;
    const text = isText ? new TextDecoder().decode(document) : undefined;
    parts.document({ kind: "found", document, text, meta: { ...META, size: document.length } });
  }
  return parts.text("]");
}

function setup(bytesMax?: number) {
  const clock = new ManualClock();
  const answers = new LargeAnswers(clock, bytesMax);
  const assertHoldsNothing = () => {
    deadlinesOf(clock).rest();
    assert.deepEqual([answers.bytes, clock.timers], [0, 0]);
  };
  return { clock, answers, assertHoldsNothing };
}

Deno.test("answers of any size come whole, and hold nothing afterwards", async () => {
  const { answers, assertHoldsNothing } = setup();
  for (const size of [0, 10, JSON_ANSWER_BYTES_MAX - 2, JSON_ANSWER_BYTES_MAX - 1, LARGE, 5 * JSON_ANSWER_BYTES_MAX]) {
    for (const form of FORMS) {
      const response = answers.answer(CALL, json(size, form));
      const text = await response.text();
      assert.equal(text.length, size + 2);
      assert.match(text.slice(0, 3) + text.slice(-3), /^\[1*\]?\[?1*\]$/);
    }
  }
  assertHoldsNothing();
});

Deno.test("a document goes out as it is, whatever its size: a large one in pieces of the one copy, which counts", async () => {
  const { answers, assertHoldsNothing } = setup();
  for (const size of [1, JSON_ANSWER_BYTES_MAX, LARGE, 10 * JSON_ANSWER_BYTES_MAX]) {
    const document = Uint8Array.from({ length: size }, (_, at) => 32 + at % 90);
    const found = { kind: "found", document, text: undefined, meta: { ...META, size } } as const;
    const response = answers.document(CALL, found);
    const large = size > JSON_ANSWER_BYTES_MAX;
    assert.equal(answers.bytes, large ? size : 0);
    assert.equal(response.headers.get("content-length"), large ? String(size) : null);
    const pieces = await Array.fromAsync(response.body!);
    assert.deepEqual(concatBytes(pieces), document);
    if (large) { for (const piece of pieces) assert(piece.length <= PIECE && piece.buffer === document.buffer); }
  }
  const text = { kind: "found", document: bytes("1"), text: "1", meta: { ...META, size: 1 } } as const;
  assert.equal(await answers.document(CALL, text).text(), "1");
  assertHoldsNothing();
});

Deno.test("a document that many answers share counts once, until the last of them has ended", async () => {
  const { answers } = setup(LARGE + PIECE + 1);
  const document = new Uint8Array(LARGE);
  const found = (document: Uint8Array) =>
    ({ kind: "found", document, text: undefined, meta: { ...META, size: LARGE } }) as const;
  const [first, second] = [answers.document(CALL, found(document)), answers.document(CALL, found(document))];
  assert.equal(answers.bytes, LARGE + PIECE);
  assert.equal(answers.document(CALL, found(document.slice())).status, 503);
  await first.body!.cancel();
  assert.equal(answers.bytes, LARGE + PIECE);
  await second.bytes();
  assert.equal(answers.bytes, 0);
  const other = answers.document(CALL, found(document.slice()));
  assert.deepEqual([other.status, answers.bytes], [200, LARGE]);
  await other.body!.cancel();
});

Deno.test("beyond their bound large answers are refused, small ones are not; one alone always passes", async () => {
  const { answers } = setup(2 * JSON_ANSWER_BYTES_MAX);
  const huge = answers.answer(CALL, json(3 * JSON_ANSWER_BYTES_MAX));
  assert.equal(huge.status, 200);
  const refused = answers.answer(CALL, json(LARGE));
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assert.equal(answers.answer(CALL, json(10)).status, 200);
  await huge.text();
  const next = answers.answer(CALL, json(LARGE));
  assert.equal(next.status, 200);
  await next.body!.cancel();
  assert.equal(answers.bytes, 0);
});

Deno.test("a client that takes nothing of a large answer is cut off, one that is slow is not", async () => {
  const { clock, answers, assertHoldsNothing } = setup();
  const slow = answers.answer(CALL, json(5 * PIECE)).body!.getReader();
  const stalled = answers.answer(CALL, json(LARGE)).body!.getReader();
  await stalled.read();
  for (let read = await slow.read(); !read.done; read = await slow.read()) clock.pass(LARGE_ANSWER_STALLED_MS / 2);
  await assert.rejects(stalled.read(), /takes nothing/);
  assertHoldsNothing();
});

Deno.test("what counts are bytes of UTF-8, also where documents are at hand as text", async () => {
  const { answers } = setup();
  const text = `"${"漢".repeat(JSON_ANSWER_BYTES_MAX / 2)}"`;
  const document = new TextEncoder().encode(text);
  const parts = new JsonParts().text('{"ключ":');
  parts.document({ kind: "found", document, text, meta: { ...META, size: document.length } });
  const size = new TextEncoder().encode('{"ключ":}').length + document.length;
  const response = answers.answer(CALL, parts.text("}"));
  assert.equal(answers.bytes, size);
  assert.equal((await response.bytes()).length, size);
  assert.equal(answers.bytes, 0);
});
