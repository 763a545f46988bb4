import assert from "assert";
import { HeldMemory } from "./held_memory.ts";

Deno.test("held memory: those that were begun first are given up, once each, and nothing of them counts afterwards", () => {
  const memory = new HeldMemory(30, false);
  const given: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => memory.begin(() => given.push(name)));
  memory.hold(a!, 10);
  memory.hold(b!, 10);
  memory.hold(a!, 15);
  assert.deepEqual([given, memory.bytes], [[], 25]);
  memory.hold(c!, 10);
  assert.deepEqual([given, memory.bytes], [["a"], 20]);
  memory.hold(a!, 100);
  assert.deepEqual([given, memory.bytes], [["a"], 20]);
  // Who lets go and comes back is behind the others.
  memory.letGo(b!);
  memory.hold(b!, 15);
  memory.hold(b!, 25);
  assert.deepEqual([given, memory.bytes], [["a", "c"], 25]);
  memory.end(b!);
  memory.end(b!);
  assert.deepEqual([given, memory.bytes], [["a", "c"], 0]);
});

Deno.test("held memory: one alone is spared where that is wanted", () => {
  for (const sparesLast of [true, false]) {
    const memory = new HeldMemory(10, sparesLast);
    let given = 0;
    memory.hold(memory.begin(() => given++), 11);
    assert.deepEqual([given, memory.bytes], sparesLast ? [0, 11] : [1, 0]);
  }
});
