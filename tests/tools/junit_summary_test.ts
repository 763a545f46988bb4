import assert from "assert";
import { summarize } from "./junit_summary.ts";

Deno.test("a report of deno test: tests by how they ended, steps with their test", async () => {
  const folder = await Deno.makeTempDir({ prefix: "deltadatabase-junit-" });
  try {
    const source = `
      Deno.test("good", async (t) => { await t.step("a", () => {}); await t.step("b > c", () => {}); });
      Deno.test("bad <&> \\"quoted\\"", () => { throw new Error("</testcase><testcase name='x'>"); });
      Deno.test("bad step", async (t) => { await t.step("inner", () => { throw new Error("no"); }); });
      Deno.test("a > b is no step", () => {});
      Deno.test({ name: "left", ignore: true, fn() {} });
    `;
    await Deno.writeTextFile(`${folder}/some_test.ts`, source);
    const report = `${folder}/report.xml`;
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-config", "--no-check", `--junit-path=${report}`, `${folder}/some_test.ts`],
      cwd: folder,
      stdout: "null",
      stderr: "null",
    }).output();
    assert.equal(code, 1);
    const { passed, failed, skipped } = summarize(await Deno.readTextFile(report));
    const named = (list: readonly string[]) => list.map((name) => name.replace(/^\.\/some_test\.ts: /, ""));
    assert.deepEqual(named(passed).toSorted(), ["a > b is no step", "good"]);
    assert.deepEqual(named(failed).toSorted(), ['bad <&> "quoted"', "bad step"]);
    assert.deepEqual(named(skipped), ["left"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a report that is empty or cut counts nothing", () => {
  const nothing = { passed: [], failed: [], skipped: [] };
  assert.deepEqual(summarize(""), nothing);
  assert.deepEqual(summarize('<testsuites tests="0">'), nothing);
  assert.deepEqual(summarize('<testsuite name="x" tests="9"><testcase name="a">'), nothing);
});
