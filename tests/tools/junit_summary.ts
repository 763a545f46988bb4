/**
 * Counts the tests of JUnit reports of `deno test`: `deno run --allow-read tests/tools/junit_summary.ts REPORT…` prints
 * what failed and what was left out, and then one line `N passed, N failed`. Steps of a test count with their test.
 */

/** The tests of a report by how they ended. */
export interface Summary {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    return ENTITIES[name] ?? whole;
  });
}

/** Reads a report as `deno test --junit-path` writes it. */
export function summarize(report: string): Summary {
  const passed: string[] = [];
  const failed: string[] = [];
  const skipped: string[] = [];
  for (const [, suite, cases] of report.matchAll(/<testsuite name="([^"]*)"[^>]*>([^]*?)<\/testsuite>/g)) {
    const tests = Array.from(cases!.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([^]*?)<\/testcase>)/g));
    const names = new Set(tests.map(([, name]) => name!));
    for (const [, name, body = ""] of tests) {
      // A step is named "test > step" in the suite of its test.
      const parents = Array.from(name!.matchAll(/ &gt; /g), (match) => name!.slice(0, match.index));
      if (parents.some((parent) => names.has(parent))) continue;
      const list = /<(?:failure|error)\b/.test(body) ? failed : /<skipped\b/.test(body) ? skipped : passed;
      list.push(`${unescape(suite!)}: ${unescape(name!)}`);
    }
  }
  return { passed, failed, skipped };
}

if (import.meta.main) {
  let [passed, failed] = [0, 0];
  for (const path of Deno.args) {
    const summary = summarize(await Deno.readTextFile(path));
    passed += summary.passed.length;
    failed += summary.failed.length;
    for (const name of summary.skipped) console.log(`left out: ${name}`);
    for (const name of summary.failed) console.log(`FAILED: ${name}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
}
