import assert from "assert";
import { EventEmitter, once } from "node:events";
import http2 from "node:http2";
import { JSON_ANSWER_BYTES_MAX } from "../../limits.ts";
import { UntakenAnswers } from "./untaken_answers.ts";

const LARGE = JSON_ANSWER_BYTES_MAX + 1;

/** The stream of a call as far as it is needed. */
class Stream extends EventEmitter {
  destroyed = false;
  closedWith: number | undefined;

  close(code?: number): void {
    this.closedWith = code;
    this.destroyed = true;
    this.emit("close");
  }
}

const streams = (count: number) => Array.from({ length: count }, () => new Stream());
const holds = (answers: UntakenAnswers, stream: Stream, bytes: number) =>
  answers.hold(stream as unknown as Parameters<UntakenAnswers["hold"]>[0], bytes);

Deno.test("untaken answers: large ones have room until it is used up, and make room when their calls are over", () => {
  const answers = new UntakenAnswers(2 * LARGE);
  const [first, second, third] = streams(3) as [Stream, Stream, Stream];
  assert.deepEqual([first, second, third].map((stream) => holds(answers, stream, LARGE)), [true, true, false]);
  assert.equal(holds(answers, third, JSON_ANSWER_BYTES_MAX), true);
  first.close(0);
  assert.equal(holds(answers, third, LARGE), true);
  for (const stream of [second, third]) stream.close(0);
  assert.equal(answers.bytes, 0);
  const [alone, gone] = streams(2) as [Stream, Stream];
  assert.equal(holds(answers, alone, 10 * LARGE), true);
  alone.close(0);
  gone.close(0);
  assert.equal(holds(answers, gone, LARGE), true);
  assert.equal(answers.bytes, 0);
});

Deno.test("untaken answers: a caller who takes too long is cut off", async () => {
  const answers = new UntakenAnswers(LARGE, 1);
  const [stream] = streams(1) as [Stream];
  assert.equal(holds(answers, stream, LARGE), true);
  await once(stream, "close");
  assert.deepEqual([stream.closedWith, answers.bytes], [http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 0]);
});
