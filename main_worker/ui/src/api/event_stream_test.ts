import assert from "assert";
import fc from "fast-check";
import { EventParser, type StreamEvent } from "./event_stream.ts";

const STREAM =
  ': hello\n\nevent: put\nid: 7\ndata: {"key":"a"}\n\n:\n\nevent: delete\r\nid: 8\r\ndata: one\r\ndata: two\r\n\r\n' +
  "data: plain\n\nevent: reset\ndata: {}\n\n";
const EVENTS: StreamEvent[] = [
  { event: "put", id: "7", data: '{"key":"a"}' },
  { event: "delete", id: "8", data: "one\ntwo" },
  { event: "message", id: "8", data: "plain" },
  { event: "reset", id: "8", data: "{}" },
];

Deno.test("events are the same however the stream is cut", () => {
  fc.assert(fc.property(fc.array(fc.nat(STREAM.length)), (cuts) => {
    const parser = new EventParser();
    const edges = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
    const events = edges.slice(1).flatMap((end, index) => parser.push(STREAM.slice(edges[index], end)));
    assert.deepEqual(events, EVENTS);
  }));
});

Deno.test("an event that has not ended is not told", () => {
  assert.deepEqual(new EventParser().push("event: put\ndata: x\n"), []);
});
