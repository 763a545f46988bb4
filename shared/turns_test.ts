import assert from "assert";
import { ManualClock, settled } from "./seams/manual_clock.ts";
import { Turns } from "./turns.ts";

/** Work that is done when it is told to. */
function setUp() {
  const clock = new ManualClock();
  const turns = new Turns(clock, { atOnce: 2, waitingMax: 2, waitMs: 100 });
  const done = new Map<string, PromiseWithResolvers<string>>();
  const begun: string[] = [];
  const results: string[] = [];
  function begin(name: string): void {
    const end = Promise.withResolvers<string>();
    done.set(name, end);
    const work = () => (begun.push(name), end.promise);
    turns.run(work, "refused").then((how) => results.push(`${name} ${how}`), () => results.push(`${name} failed`));
  }
  return { clock, done, begun, results, begin };
}

Deno.test("turns: so many at once, the others in order as turns come free, also after a failure", async () => {
  const { clock, done, begun, results, begin } = setUp();
  for (const name of ["a", "b", "c", "d", "e"]) begin(name);
  await settled();
  assert.deepEqual([begun, results], [["a", "b"], ["e refused"]]);
  done.get("b")!.reject(new Error("failed"));
  await settled();
  assert.deepEqual([begun, results], [["a", "b", "c"], ["e refused", "b failed"]]);
  begin("f");
  for (const name of ["a", "c", "d", "f"]) done.get(name)!.resolve("done");
  await settled();
  assert.deepEqual(begun, ["a", "b", "c", "d", "f"]);
  assert.deepEqual(results.slice(2).sort(), ["a done", "c done", "d done", "f done"]);
  // No turn got lost: two begin at once again, and no timer is left.
  for (const name of ["g", "h", "i"]) begin(name);
  await settled();
  assert.deepEqual(begun.slice(5), ["g", "h"]);
  for (const name of ["g", "h", "i"]) done.get(name)!.resolve("done");
  await settled();
  await clock.advance(1_000);
  assert.deepEqual(results.filter((result) => result.endsWith("refused")), ["e refused"]);
});

Deno.test("turns: whose turn does not come in time is refused, and leaves its place to others", async () => {
  const { clock, done, begun, results, begin } = setUp();
  for (const name of ["a", "b", "c", "d"]) begin(name);
  await settled();
  await clock.advance(100);
  assert.deepEqual(results, ["c refused", "d refused"]);
  begin("e");
  done.get("a")!.resolve("done");
  await settled();
  assert.deepEqual(begun, ["a", "b", "e"]);
});

Deno.test("turns: by weight, what is heavier than all may be alone, and the light does not pass the heavy", async () => {
  const clock = new ManualClock();
  const turns = new Turns(clock, { atOnce: 10, waitingMax: 20, waitMs: 100 });
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const refused: string[] = [];
  const begin = (name: string, weight: number) => {
    const work = () => (begun.push(name), new Promise<void>((resolve) => ends.push(resolve)));
    void turns.run(work, name, weight).then((how) => how === undefined || refused.push(how));
  };
  begin("six", 6);
  begin("eight", 8);
  begin("one", 1);
  begin("twelve", 12);
  begin("two", 2);
  await settled();
  // Nine wait already.
  assert.deepEqual([begun, refused], [["six"], ["twelve"]]);
  ends[0]!();
  await settled();
  assert.deepEqual(begun, ["six", "eight", "one"]);
  ends[1]!();
  await settled();
  assert.deepEqual(begun, ["six", "eight", "one", "two"]);
  begin("thirty", 30);
  await settled();
  ends[2]!();
  ends[3]!();
  await settled();
  assert.deepEqual(begun.at(-1), "thirty");
  begin("five", 5);
  await settled();
  assert.equal(begun.at(-1), "thirty");
  ends[4]!();
  await settled();
  assert.equal(begun.at(-1), "five");
});

Deno.test("turns: when one that is heavy gives up waiting, the light ones behind it begin", async () => {
  const clock = new ManualClock();
  const turns = new Turns(clock, { atOnce: 10, waitingMax: 20, waitMs: 100 });
  const begun: string[] = [];
  const begin = (name: string, weight: number) =>
    turns.run(() => (begun.push(name), new Promise<never>(() => {})), undefined, weight);
  void begin("six", 6);
  void begin("eight", 8);
  await clock.advance(50);
  void begin("one", 1);
  await clock.advance(50);
  assert.deepEqual(begun, ["six", "one"]);
});
