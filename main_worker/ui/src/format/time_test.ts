import assert from "assert";
import { ago, span, until } from "./time.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

Deno.test("how long ago", () => {
  const now = Date.UTC(2026, 0, 31, 12);
  assert.equal(ago(now - 3 * SECOND, now), "just now");
  assert.equal(ago(now + 5 * SECOND, now), "just now");
  assert.equal(ago(now - 42 * SECOND, now), "42 s ago");
  assert.equal(ago(now - 5 * MINUTE, now), "5 min ago");
  assert.equal(ago(now - 3 * HOUR, now), "3 h ago");
  assert.equal(ago(now - 2 * DAY, now), "2 d ago");
  assert.match(ago(now - 60 * DAY, now), /2025/);
});

Deno.test("spans in their two largest units", () => {
  assert.equal(span(0), "0 s");
  assert.equal(span(-5), "0 s");
  assert.equal(span(59 * SECOND), "59 s");
  assert.equal(span(61 * MINUTE), "1 h 1 min");
  assert.equal(span(3 * DAY + 4 * HOUR + 5 * MINUTE), "3 d 4 h");
  assert.equal(span(2 * DAY), "2 d");
});

Deno.test("times to come in their nearest unit", () => {
  assert.equal(until(7 * DAY - 5 * SECOND, 0), "in 7 days");
  assert.equal(until(DAY, 0), "in 24 hours");
  assert.equal(until(61 * MINUTE, 0), "in 61 minutes");
  assert.equal(until(5 * SECOND, 0), "in 1 minute");
});
