import assert from "assert";
import { bytes, count, counted, latency, percent, rate, shortCount } from "./numbers.ts";

Deno.test("sizes come in units", () => {
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1_023), "1023 B");
  assert.equal(bytes(1_024), "1 KiB");
  assert.equal(bytes(1_536), "1.5 KiB");
  assert.equal(bytes(64 * 1_024 * 1_024), "64 MiB");
  assert.equal(bytes(1_024 ** 5), "1024 TiB");
});

Deno.test("counts", () => {
  assert.equal(count(1_204), "1,204");
  assert.equal(shortCount(1_204), "1,204");
  assert.equal(shortCount(1_000_000), "1M");
  assert.equal(counted(1, "document"), "1 document");
  assert.equal(counted(2_000, "document"), "2,000 documents");
});

Deno.test("latencies from microseconds to seconds", () => {
  assert.equal(latency(null), "–");
  assert.equal(latency(0), "0");
  assert.equal(latency(0.42), "420 µs");
  assert.equal(latency(1.25), "1.3 ms");
  assert.equal(latency(250), "250 ms");
  assert.equal(latency(1_500), "1.5 s");
});

Deno.test("rates and ratios", () => {
  assert.equal(rate(0), "0");
  assert.equal(rate(0.004), "<0.01");
  assert.equal(rate(0.25), "0.25");
  assert.equal(rate(0.5), "0.5");
  assert.equal(rate(3.14), "3.1");
  assert.equal(rate(12_345), "12.3K");
  assert.equal(percent(1), "100%");
  assert.equal(percent(0.967), "96.7%");
  assert.equal(percent(0), "0%");
});
