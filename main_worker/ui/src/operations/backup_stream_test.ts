import assert from "assert";
import fc from "fast-check";
import { BackupWatcher } from "./backup_stream.ts";

const encoder = new TextEncoder();

Deno.test("the last line is found however the stream is cut", () => {
  const trailer = { entities: 2, sha256: "ab".repeat(32) };
  const bytes = encoder.encode(`{"format":1}\n${"x".repeat(6_000)}\n${JSON.stringify(trailer)}\n`);
  fc.assert(fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
    const watcher = new BackupWatcher();
    const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
    edges.slice(1).forEach((end, index) => watcher.push(bytes.subarray(edges[index], end)));
    assert.equal(watcher.bytes, bytes.length);
    assert.deepEqual(watcher.trailer, trailer);
  }));
});

Deno.test("a backup that broke off has none", () => {
  for (const text of ["", '{"format":1}\n', '{"format":1}\n{"sha25']) {
    const watcher = new BackupWatcher();
    watcher.push(encoder.encode(text));
    assert.equal(watcher.trailer, null);
  }
});
