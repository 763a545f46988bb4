import assert from "assert";
import fc from "fast-check";
import { ManualClock } from "../../shared/seams/manual_clock.ts";
import { LoginLimiter, networkOf } from "./login_limiter.ts";

Deno.test("ten failures within a minute block an address until the oldest is a minute old", () => {
  const clock = new ManualClock();
  const limiter = new LoginLimiter(clock);
  for (let i = 0; i < 9; i++) {
    assert.equal(limiter.failed("a"), 0);
    clock.pass(1_000);
  }
  assert.equal(limiter.failed("a"), 51);
  assert.equal(limiter.blocked("a"), 51);
  assert.equal(limiter.blocked("b"), 0);
  clock.pass(50_500);
  assert.equal(limiter.blocked("a"), 1);
  clock.pass(500);
  assert.equal(limiter.blocked("a"), 0);
  assert.equal(limiter.failed("a"), 1);
});

Deno.test("a bounded number of addresses is remembered, the quiet ones least", () => {
  const clock = new ManualClock();
  const limiter = new LoginLimiter(clock, 3);
  for (let i = 0; i < 10; i++) limiter.failed("guesser");
  limiter.failed("b");
  limiter.failed("c");
  limiter.failed("guesser");
  limiter.failed("d");
  assert.ok(limiter.blocked("guesser") > 0);
  limiter.failed("e");
  limiter.failed("f");
  limiter.failed("g");
  assert.equal(limiter.blocked("guesser"), 0);
});

Deno.test("an address in another notation is the same address; a /64 counts as one", () => {
  assert.equal(networkOf("192.0.2.1"), "192.0.2.1");
  assert.equal(networkOf("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(networkOf("::FFFF:192.0.2.1"), "192.0.2.1");
  assert.equal(networkOf("0:0:0:0:0:ffff:192.0.2.1"), "192.0.2.1");
  const same = ["2001:db8::1", "2001:0DB8:0:0:1:2:3:4", "2001:db8:0:0::ffff", "2001:db8::%eth0"];
  for (const address of same) assert.equal(networkOf(address), "2001:db8:0:0::/64", address);
  assert.equal(networkOf("2001:db8:0:1::1"), "2001:db8:0:1::/64");
  assert.equal(networkOf("::1"), "0:0:0:0::/64");
  assert.equal(networkOf("fe80::1%eth0"), "fe80:0:0:0::/64");
  fc.assert(fc.property(fc.oneof(fc.ipV6(), fc.ipV4(), fc.string()), (text) => {
    assert.equal(typeof networkOf(text), "string");
  }));
});
