import assert from "assert";
import fc from "fast-check";
import { systemClock } from "../seams/clock.ts";
import { ProgramGroup, splitLines } from "./program_group.ts";

const decoder = new TextDecoder();

/** A group of shell scripts and what they have written, and a way to await a line. */
function group(graceMs = 60_000) {
  const lines: string[] = [];
  const waiting: { text: string; resolve: () => void }[] = [];
  const programs = new ProgramGroup({
    clock: systemClock,
    graceMs,
    show(name, line) {
      lines.push(`${name}: ${decoder.decode(line)}`);
      for (const { text, resolve } of waiting) if (lines.at(-1)!.includes(text)) resolve();
    },
  });
  const start = (name: string, script: string, tier = 0) =>
    programs.start({ name, command: "sh", args: ["-c", script], tier });
  const line = (text: string) =>
    new Promise<void>((resolve) => lines.some((l) => l.includes(text)) ? resolve() : waiting.push({ text, resolve }));
  return { programs, lines, start, line };
}

/** Prints `up` and stops on SIGTERM with a line. */
const GOOD = "trap 'echo stopping; exit 0' TERM; echo up; while :; do sleep 0.05; done";

Deno.test("lines of both streams are shown behind the name, and the end is told", async () => {
  const { programs, lines, start } = group();
  start("one", "echo a; echo b >&2; printf 'no line feed'; exit 7");
  assert.deepEqual(await programs.firstEnded, { name: "one", code: 7, signal: null });
  assert.deepEqual(lines.toSorted(), ["one: a\n", "one: b\n", "one: no line feed\n"]);
});

Deno.test("stopping goes tier by tier, the highest first", async () => {
  const { programs, lines, start, line } = group();
  start("main", GOOD, 0);
  start("worker-1", GOOD, 1);
  start("worker-2", GOOD, 1);
  await Promise.all([line("main: up"), line("worker-1: up"), line("worker-2: up")]);
  await programs.stop();
  assert.deepEqual(lines.slice(3, 5).toSorted(), ["worker-1: stopping\n", "worker-2: stopping\n"]);
  assert.equal(lines[5], "main: stopping\n");
  await programs.stop();
});

Deno.test("a program that does not stop in time is ended by force", async () => {
  const { programs, start, line } = group(50);
  start("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done");
  await line("up");
  await programs.stop();
  assert.deepEqual(await programs.firstEnded, { name: "deaf", code: 137, signal: "SIGKILL" });
});

Deno.test("the first to end is told, the others go on until they are stopped", async () => {
  const { programs, lines, start, line } = group();
  start("main", GOOD);
  await line("main: up");
  start("worker", "kill -9 $$");
  assert.deepEqual(await programs.firstEnded, { name: "worker", code: 137, signal: "SIGKILL" });
  await programs.stop();
  assert.equal(lines.at(-1), "main: stopping\n");
});

Deno.test("a program that is not there cannot be started, and harms no other", async () => {
  const { programs, start, line } = group();
  start("main", GOOD);
  await line("main: up");
  assert.throws(
    () => programs.start({ name: "x", command: "/no/such/program", args: [], tier: 0 }),
    Deno.errors.NotFound,
  );
  programs.kill();
  assert.equal((await programs.firstEnded).signal, "SIGKILL");
});

Deno.test("splitLines: whatever the pieces, every byte is there, and each line is whole or at its bound", async () => {
  const text = fc.array(fc.constantFrom("a", "bb", "\n", "x".repeat(9)), { maxLength: 20 }).map((parts) =>
    parts.join("")
  );
  const cuts = fc.array(fc.nat({ max: 60 }), { maxLength: 6 });
  await fc.assert(fc.asyncProperty(text, cuts, async (text, cuts) => {
    const bytes = new TextEncoder().encode(text);
    const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
    const pieces = at.slice(1).map((end, index) => bytes.slice(at[index], end));
    const lines: string[] = [];
    await splitLines(ReadableStream.from(pieces), (line) => lines.push(decoder.decode(line)), 8);
    const expected = text.split("\n").flatMap((line, index, all) => {
      if (line === "") return index === all.length - 1 ? [] : [""];
      // A line of exactly the bound's length, or several of them, is cut with nothing left over.
      return line.match(/.{1,8}/g)!;
    });
    assert.ok(lines.every((line) => line.endsWith("\n") && line.length <= 9 && line.indexOf("\n") === line.length - 1));
    assert.equal(lines.join("").replaceAll("\n", ""), text.replaceAll("\n", ""));
    assert.deepEqual(
      lines.map((line) => line.slice(0, -1)).filter((line) => line !== ""),
      expected.filter((line) => line !== ""),
    );
  }));
});
