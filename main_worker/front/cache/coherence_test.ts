import assert from "assert";
import fc from "fast-check";
import { COHERENCE_SLOTS } from "../../../shared/limits.ts";
import type { EntityName } from "../../../shared/names.ts";
import { systemClock } from "../../../shared/seams/clock.ts";
import { ManualClock, settled } from "../../../shared/seams/manual_clock.ts";
import { CoherenceTable, type Stamp } from "./coherence.ts";
import { ReadCache } from "./read_cache.ts";

Deno.test("coherence: a stamp is good while nothing in its slot was or is being written", () => {
  const table = new CoherenceTable(CoherenceTable.allocate(), systemClock);
  const slot = table.slotOf("s_k");
  const before = table.stamp(slot)!;
  assert(table.isCurrent(slot, before));
  const begun = table.begin(slot);
  assert.equal(begun, before);
  assert.equal(table.stamp(slot), undefined);
  assert(!table.isCurrent(slot, before));
  const after = table.resolve(slot, begun)!;
  assert.notEqual(after, undefined);
  assert(table.isCurrent(slot, after));
  assert(!table.isCurrent(slot, before));
});

Deno.test("coherence: nothing is current, on any thread, once the right to the store has ended", async () => {
  const memory = CoherenceTable.allocate();
  const clock = new ManualClock();
  const [control, front] = [new CoherenceTable(memory, clock), new CoherenceTable(memory, clock)];
  const cache = new ReadCache(1_000_000, front);
  const name = "s_k" as EntityName;
  const slot = front.slotOf(name);
  const fill = () => cache.fill(name, new Uint8Array(1), { version: 1, etag: "", writtenAtMs: 0, size: 1 }, slot, 0);
  control.holdsUntil(clock.now() + 5_000);
  fill();
  assert.notEqual(cache.get(name), undefined);
  await clock.advance(3_900);
  assert.notEqual(cache.get(name), undefined);
  await clock.advance(1_100);
  assert.equal(cache.get(name), undefined);
  fill();
  assert.equal(cache.get(name), undefined);
  control.holdsUntil(clock.now() + 5_000);
  assert.notEqual(cache.get(name), undefined, "it was only late with its renewal");
});

Deno.test("coherence: of writes that overlap no result may be kept", () => {
  const table = new CoherenceTable(CoherenceTable.allocate(), systemClock);
  const first = table.begin(7);
  const second = table.begin(7);
  assert.equal(second, undefined);
  assert.equal(table.resolve(7, first), undefined);
  assert.equal(table.resolve(7, second), undefined);
  assert.notEqual(table.stamp(7), undefined);
});

Deno.test("coherence: the same memory is the same table, whoever looks", () => {
  const memory = CoherenceTable.allocate();
  const [a, b] = [new CoherenceTable(memory, systemClock), new CoherenceTable(memory, systemClock)];
  const stamp = b.stamp(3)!;
  a.begin(3);
  assert(!b.isCurrent(3, stamp));
});

type Step = { kind: "begin" | "end" | "lose" | "settle" | "read" | "fill" | "get"; key: number };

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step["kind"]>("begin", "end", "lose", "settle", "read", "fill", "get", "get"),
    key: fc.integer({ min: 0, max: 2 }),
  }),
  { maxLength: 80 },
);

Deno.test("coherence: a slot is one front's at a time, and whoever waits is told when it is free", async () => {
  const memory = CoherenceTable.allocate();
  const [one, other] = [new CoherenceTable(memory, systemClock), new CoherenceTable(memory, systemClock)];
  // A wait for memory alone keeps no event loop going.
  const alive = setInterval(() => {}, 1_000);
  assert(one.tryLock(3));
  assert(!other.tryLock(3));
  assert(!one.tryLock(3));
  assert(other.tryLock(4), "another slot");
  let told = false;
  const waiting = other.unlocked(3, 10_000).then(() => told = true);
  await settled();
  assert(!told);
  one.unlock(3);
  await waiting;
  assert(other.tryLock(3));
  await one.unlocked(3, 1);
  assert(!one.tryLock(3), "the time was over, and it is still taken");
  clearInterval(alive);
});

Deno.test("coherence: the slot of a name is that of all its characters", () => {
  const table = new CoherenceTable(CoherenceTable.allocate(), systemClock);
  const names = ["", "s_", "s_a", "s_b", "t_a", "s_aa", "s_ab"];
  assert.equal(new Set(names.map((name) => table.slotOf(name))).size, names.length);
  for (const name of names) assert(table.slotOf(name) >= 0 && table.slotOf(name) < COHERENCE_SLOTS);
});

Deno.test("read cache: whatever writes, reads and lost answers come, it never gives out what is not current", () => {
  fc.assert(
    fc.property(steps, fc.constantFrom(1, 700, 100_000), (steps, bytesMax) => {
      const table = new CoherenceTable(CoherenceTable.allocate(), systemClock);
      const cache = new ReadCache(bytesMax, table);
      const names = ["s_a", "s_b", "s_c"] as EntityName[];
      // The model: what is at the owner, and what clients may have been told is there.
      const stored = [0, 0, 0];
      const acknowledged = [0, 0, 0];
      let version = 0;
      const writes: { key: number; begun: Stamp | undefined; version: number; applied: boolean; lost: boolean }[] = [];
      const reads: { key: number; stamp: Stamp | undefined; version: number }[] = [];
      const fill = (as: "fill" | "fillWritten", key: number, version: number, stamp: Stamp | undefined) => {
        const slot = table.slotOf(names[key]!);
        if (stamp === undefined) return;
        const meta = { version, etag: "", writtenAtMs: 0, size: 1 };
        cache[as](names[key]!, new Uint8Array([version & 255]), meta, slot, stamp);
      };
      for (const { kind, key } of steps) {
        const slot = table.slotOf(names[key]!);
        const write = writes.find((w) => w.key === key && !w.lost);
        const lost = writes.find((w) => w.key === key && w.lost);
        if (kind === "begin" && write === undefined) {
          writes.push({ key, begun: table.begin(slot), version: ++version, applied: false, lost: false });
        } else if (kind === "end" && write !== undefined) {
          stored[key] = acknowledged[key] = write.version;
          writes.splice(writes.indexOf(write), 1);
          fill("fillWritten", key, write.version, table.resolve(slot, write.begun));
        } else if (kind === "lose" && write !== undefined) {
          write.lost = true;
        } else if (kind === "settle" && lost !== undefined) {
          // It took effect after all, at the last moment; then it is known to be over.
          stored[key] = lost.version;
          writes.splice(writes.indexOf(lost), 1);
          table.resolve(slot, undefined);
        } else if (kind === "read") {
          reads.push({ key, stamp: table.stamp(slot), version: stored[key]! });
        } else if (kind === "fill") {
          const read = reads.shift();
          if (read !== undefined) fill("fill", read.key, read.version, read.stamp);
        } else if (kind === "get") {
          const hit = cache.get(names[key]!);
          if (hit === undefined) continue;
          assert.equal(hit.meta.version, stored[key], "not what is at the owner");
          assert.deepEqual([...hit.document], [stored[key]! & 255]);
          assert(!writes.some((w) => w.key === key), "a hit beside a write without an outcome");
        }
      }
      assert(cache.figures().bytes <= Math.max(bytesMax, 0));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("read cache: bounded by bytes, counts what it does, keeps copies, and can be off", () => {
  const table = new CoherenceTable(CoherenceTable.allocate(), systemClock);
  const cache = new ReadCache(3_000, table);
  const put = (name: string, document: Uint8Array) => {
    const slot = table.slotOf(name);
    const meta = { version: 1, etag: "", writtenAtMs: 0, size: 1 };
    cache.fill(name as EntityName, document, meta, slot, table.stamp(slot)!);
  };
  const message = new Uint8Array(1_000_000);
  put("s_view", message.subarray(10, 20));
  assert.equal(cache.get("s_view" as EntityName)!.document.buffer.byteLength, 10);
  put("s_large", new Uint8Array(3_000));
  assert.equal(cache.get("s_large" as EntityName), undefined);
  for (let n = 0; n < 20; n++) put(`s_${n}`, new Uint8Array(200));
  const { entries, bytes, hits, misses, evictions } = cache.figures();
  assert(entries > 1 && bytes <= 3_000);
  assert.deepEqual([hits, misses], [1, 1]);
  assert(evictions >= 14);
  cache.clear();
  assert.equal(cache.figures().entries, 0);

  const off = new ReadCache(0, table);
  const meta = { version: 1, etag: "", writtenAtMs: 0, size: 1 };
  off.fill("s_k" as EntityName, new Uint8Array(1), meta, 0, table.stamp(0)!);
  assert.equal(off.get("s_k" as EntityName), undefined);
});
