import assert from "assert";
import { type EmulatorOptions, S3Emulator } from "../../../tests/s3/emulator.ts";
import { ALL_CONDITIONS, type Conditions, describeMissing, spell } from "./conditions.ts";
import { openStore } from "./testing.ts";

const CASES: readonly { options: EmulatorOptions; found: Conditions; warning: RegExp | undefined }[] = [
  { options: {}, found: ALL_CONDITIONS, warning: undefined },
  { options: { spelling: "quoted" }, found: ALL_CONDITIONS, warning: undefined },
  { options: { spelling: "plain" }, found: { ...ALL_CONDITIONS, replace: "plain" }, warning: undefined },
  { options: { remove: "ignored" }, found: { ...ALL_CONDITIONS, remove: false }, warning: /conditions on DELETE/ },
  { options: { remove: "unsupported" }, found: { ...ALL_CONDITIONS, remove: false }, warning: /conditions on DELETE/ },
  {
    options: { replaceCreates: true },
    found: { ...ALL_CONDITIONS, replaceNeedsObject: false },
    warning: /bring back an entity/,
  },
  {
    options: { create: "racy" },
    found: { ...ALL_CONDITIONS, create: false },
    warning: /reliably honour If-None-Match/,
  },
  { options: { create: "ignored" }, found: { ...ALL_CONDITIONS, create: false }, warning: /If-None-Match/ },
  {
    options: { replace: "racy" },
    found: { create: true, replace: "none", replaceNeedsObject: true, remove: false },
    warning: /ignores If-Match/,
  },
  {
    options: { create: "ignored", replace: "ignored", remove: "ignored" },
    found: { create: false, replace: "none", replaceNeedsObject: true, remove: false },
    warning: /two main workers/,
  },
];

for (const { options, found, warning } of CASES) {
  Deno.test(`the probe finds out what a service honours: ${JSON.stringify(options)}`, async () => {
    await using emulator = await S3Emulator.start(options);
    const warnings: string[] = [];
    const store = await openStore(emulator.endpoint, { warn: (message) => warnings.push(message) });
    await store.close();
    assert.deepEqual(store.conditions, found);
    if (warning === undefined) assert.deepEqual(warnings, []);
    else {
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, warning);
      assert.doesNotMatch(warnings[0]!, /\n|\. /);
    }
    assert.deepEqual([...emulator.objects().keys()], ["manifest.json"]);
  });
}

Deno.test("a disturbed probe is repeated, not believed", async () => {
  for (const effect of [{ kind: "lost" }, { kind: "status", status: 500, code: "InternalError" }] as const) {
    for (let skip = 0; skip < 24; skip += 4) {
      await using emulator = await S3Emulator.start();
      emulator.fault({ key: "locks/probe", skip, effect });
      const store = await openStore(emulator.endpoint);
      await store.close();
      assert.deepEqual(store.conditions, ALL_CONDITIONS);
    }
  }
});

Deno.test("an ETag is spelled as the service wants it, however it was returned", () => {
  for (const etag of ['"abc"', "abc", 'W/"abc"']) {
    assert.equal(spell(etag, "quoted"), '"abc"');
    assert.equal(spell(etag, "plain"), "abc");
  }
});

Deno.test("nothing is missing where everything is honoured", () => {
  assert.equal(describeMissing(ALL_CONDITIONS, "bucket b"), undefined);
});
