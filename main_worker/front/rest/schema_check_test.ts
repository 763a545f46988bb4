import assert from "assert";
import { SCHEMA_BYTES_MAX, SCHEMA_CHECK_EXAMPLES_MAX, SCHEMA_CHECK_TURNS } from "../../../shared/limits.ts";
import { failure } from "../../../shared/outcome.ts";
import { createHarness, type Harness } from "./testing.ts";

const NUMBER = '{"type":"number"}';

/** Checks while time goes on. */
async function check(harness: Harness, body: string, path = "/admin/schemas/s/check"): Promise<Response> {
  const answer = harness.send("POST", path, { body });
  let done = false;
  answer.finally(() => done = true).catch(() => {});
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    harness.clock.pass(0);
  }
  return await answer;
}

Deno.test("a candidate is held against every stored document, and nothing changes", async () => {
  const harness = await createHarness();
  const documents = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`k${i}`, i % 10 === 0 ? "text" : i]));
  await harness.send("PUT", "/entity/s", { body: JSON.stringify(documents) });
  await harness.send("PUT", "/entity/other?key=x", { body: '"text"' });
  const { examples, ...counts } = await (await check(harness, NUMBER)).json();
  assert.deepEqual(counts, { checked: 250, failing: 25, unreadable: 0, complete: true });
  assert.equal(examples.length, SCHEMA_CHECK_EXAMPLES_MAX);
  assert.deepEqual(examples[0], { key: "k0", violations: [{ key: "k0", path: "", message: "must be number" }] });
  assert.deepEqual(await (await harness.send("GET", "/admin/schemas")).json(), []);
  const none = await (await check(harness, NUMBER, "/admin/schemas/empty/check")).json();
  assert.deepEqual(none, { checked: 0, failing: 0, unreadable: 0, complete: true, examples: [] });
});

Deno.test("documents that cannot be opened are counted apart", async () => {
  const harness = await createHarness();
  await harness.send("PUT", "/entity/s", { body: '{"a":1,"b":"x"}' });
  harness.entities.fault = (operation, key) =>
    operation === "open" && key === "b" ? failure("tampered", "not what was written") : undefined;
  const { examples: _, ...counts } = await (await check(harness, NUMBER)).json();
  assert.deepEqual(counts, { checked: 1, failing: 0, unreadable: 1, complete: true });
});

Deno.test("a check gives way to others, and ends when its time is up", async () => {
  const harness = await createHarness();
  const documents = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, i]));
  await harness.send("PUT", "/entity/s", { body: JSON.stringify(documents) });
  // Each look at the clock takes a millisecond here, and each pause two seconds.
  const { monotonic, setTimer } = harness.clock;
  let extraMs = 0;
  let pauses = 0;
  harness.clock.monotonic = () => monotonic.call(harness.clock) + extraMs++;
  harness.clock.setTimer = (fn, ms) => {
    if (ms === 0) {
      pauses++;
      extraMs += 2_000;
    }
    return setTimer.call(harness.clock, fn, ms);
  };
  const { checked, complete } = await (await check(harness, NUMBER)).json();
  assert.deepEqual([checked % 100, complete], [0, false]);
  assert.ok(pauses > 10);
});

Deno.test("a candidate that is no schema is refused, and a failing store is reported", async () => {
  const harness = await createHarness();
  const cases: [string, number, string][] = [
    ["", 400, "invalid_schema"],
    ["{", 400, "invalid_schema"],
    ["[]", 400, "invalid_schema"],
    ['{"type":"text"}', 400, "invalid_schema"],
    [" ".repeat((1 << 20) + 1), 413, "too_large"],
  ];
  for (const [body, status, code] of cases) {
    const response = await check(harness, body);
    assert.deepEqual([response.status, (await response.json()).code], [status, code]);
  }
  assert.match(
    (await (await check(harness, '{"properties":{"a":{"type":"text"}}}')).json()).error,
    /\/properties\/a\/type/,
  );
  harness.entities.fault = () => failure("no_worker", "nobody serves");
  assert.equal((await check(harness, NUMBER)).status, 503);
});

Deno.test("a new check ends the one before it", async () => {
  const harness = await createHarness();
  const { entities } = harness;
  const documents = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`k${i}`, i]));
  await harness.send("PUT", "/entity/s", { body: JSON.stringify(documents) });
  const waiting = Promise.withResolvers<void>();
  const list = entities.list.bind(entities);
  entities.list = async (...options) => {
    entities.list = list;
    await waiting.promise;
    return list(...options);
  };
  const first = check(harness, NUMBER);
  while (entities.list !== list) await new Promise((resolve) => setTimeout(resolve, 0));
  const second = await (await check(harness, NUMBER)).json();
  assert.deepEqual([second.checked, second.complete], [150, true]);
  waiting.resolve();
  const ended = await (await first).json();
  assert.deepEqual([ended.checked, ended.complete], [100, false]);
});

Deno.test("of many checks at a time few are compiled, the latest goes through, and others wait or are refused", async () => {
  const harness = await createHarness();
  const { entities } = harness;
  await harness.send("PUT", "/entity/s", { body: '{"a":1,"b":"text"}' });
  const waiting = Promise.withResolvers<void>();
  const list = entities.list.bind(entities);
  let running = 0;
  entities.list = async (...options) => {
    running++;
    await waiting.promise;
    return list(...options);
  };
  const { atOnce, waitingMax } = SCHEMA_CHECK_TURNS;
  const large = JSON.stringify({ type: "number", description: "x".repeat(SCHEMA_BYTES_MAX - 100) });
  const fits = Math.floor(waitingMax / large.length);
  const answers = Array.from({ length: atOnce / SCHEMA_BYTES_MAX + fits + 1 }, () => check(harness, large));
  const refused = await answers.pop()!;
  assert.deepEqual([refused.status, running], [503, atOnce / SCHEMA_BYTES_MAX]);
  const latest = check(harness, NUMBER);
  waiting.resolve();
  const found = await (await latest).json();
  assert.deepEqual([found.checked, found.failing, found.complete], [2, 1, true]);
  for (const answer of answers) assert.equal((await answer).status, 200);
  assert.ok(running <= atOnce / SCHEMA_BYTES_MAX + 1, `${running}`);
});
