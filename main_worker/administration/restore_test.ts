import assert from "assert";
import fc from "fast-check";
import { createHash } from "node:crypto";
import {
  BACKUP_LINE_BYTES_MAX,
  RESTORE_BYTES_MAX,
  RESTORE_PARALLEL_MAX,
  RESTORE_REFUSED_MAX,
} from "../../shared/limits.ts";
import { parseSchemaId } from "../../shared/names.ts";
import { failure } from "../../shared/outcome.ts";
import type { ExistingPolicy, RestoreProgress } from "../front/rest/admin_operations.ts";
import { backup } from "./backup.ts";
import { restore } from "./restore.ts";
import { splitLines } from "./restore_lines.ts";
import { bodyOf, collect, keys, MemoryDatabase } from "./testing.ts";

const never = new AbortController().signal;
const SECRET = "canary-93b1";

async function source(entities = 20): Promise<MemoryDatabase> {
  const database = new MemoryDatabase(keys(["k1", 1]));
  for (let i = 0; i < entities; i++) await database.put("chat", `key-${i}`, `{"i":${i},"s":"${SECRET}"}`, i + 1);
  database.templates.set(parseSchemaId("chat"), { hash: "", text: new TextEncoder().encode('{"type":"object"}') });
  database.apiKeys.push({
    id: "a",
    name: "n",
    hash: "0".repeat(64),
    permissions: ["read"],
    createdAtMs: 0,
    expiresAtMs: null,
  });
  return database;
}

async function bytesOf(database: MemoryDatabase): Promise<Uint8Array> {
  return await collect(backup(database.backupParts(), never));
}

async function restored(
  database: MemoryDatabase,
  bytes: Uint8Array | ReadableStream<Uint8Array>,
  existing: ExistingPolicy = "skip",
): Promise<RestoreProgress> {
  const body = bytes instanceof Uint8Array ? bodyOf(bytes) : bytes;
  let last: RestoreProgress | undefined;
  for await (const progress of restore(database.restoreParts(), body, existing, never)) last = progress;
  return last!;
}

function why(progress: RestoreProgress): string {
  assert.equal(progress.status, "failed", JSON.stringify(progress));
  const { code, message } = (progress as RestoreProgress & { status: "failed" }).failure;
  assert(!message.includes(SECRET), message);
  return `${code}: ${message}`;
}

/** A backup of these lines, with the last one that belongs to it. */
function made(lines: readonly unknown[], end: Record<string, unknown> = {}): Uint8Array {
  const header = { kind: "header", format: 1, store_id: "x", partitions: 4, created_at: "", version: "" };
  const text = [header, ...lines].map((line) => typeof line === "string" ? line : JSON.stringify(line)).join("\n") +
    "\n";
  const count = (kind: string) => lines.filter((line) => (line as { kind: string }).kind === kind).length;
  const last = {
    kind: "end",
    entities: count("entity"),
    templates: count("template"),
    api_keys: count("api_key"),
    sha256: createHash("sha256").update(text).digest("hex"),
    ...end,
  };
  return new TextEncoder().encode(text + JSON.stringify(last) + "\n");
}

Deno.test("what comes back is what was there: bytes, versions, ETags, templates, keys", async () => {
  const from = await source(300);
  const to = new MemoryDatabase(keys(["k1", 1]));
  assert.deepEqual(await restored(to, await bytesOf(from)), {
    status: "done",
    entities: 300,
    entities_skipped: 0,
    templates: 1,
    templates_skipped: 0,
    api_keys: 1,
    api_keys_skipped: 0,
  });
  assert.deepEqual(new Map([...to.envelopes].sort()), new Map([...from.envelopes].sort()));
  assert.deepEqual(to.templates, from.templates);
  assert.deepEqual(to.apiKeys, from.apiKeys);
});

Deno.test("what is there stays or is overwritten, as asked", async () => {
  const from = await source(3);
  const bytes = await bytesOf(from);
  const to = new MemoryDatabase(keys(["k1", 1]));
  const name = await to.put("chat", "key-1", '"mine"');
  const mine = { hash: "", text: new TextEncoder().encode("true") };
  to.templates.set(parseSchemaId("chat"), mine);
  const skipped = await restored(to, bytes);
  assert.deepEqual([skipped.status, skipped.entities, skipped.entities_skipped], ["done", 2, 1]);
  assert.deepEqual([skipped.templates, skipped.templates_skipped], [0, 1]);
  assert.equal((await to.get(name)).document, '"mine"');
  assert.equal(to.templates.get(parseSchemaId("chat")), mine);
  const again = await restored(to, bytes, "overwrite");
  assert.deepEqual([again.status, again.entities, again.templates, again.api_keys_skipped], ["done", 3, 1, 1]);
  assert.deepEqual(await to.get(name), await from.get(name));
  assert.deepEqual(to.templates, from.templates);
});

Deno.test("a backup that is cut anywhere is refused as truncated, and nothing that is damaged gets in", async () => {
  const from = await source(4);
  const bytes = await bytesOf(from);
  for (let length = 0; length < bytes.length; length++) {
    const to = new MemoryDatabase(keys(["k1", 1]));
    assert.match(
      why(await restored(to, bytes.subarray(0, length))),
      /bad_request: the backup is truncated/,
      `${length}`,
    );
    for (const [name, envelope] of to.envelopes) assert.deepEqual(envelope, from.envelopes.get(name));
  }
});

Deno.test("a byte that was changed anywhere is noticed", async () => {
  const from = await source(4);
  const bytes = await bytesOf(from);
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const changed = bytes.slice();
      changed[at]! ^= change;
      const to = new MemoryDatabase(keys(["k1", 1]));
      why(await restored(to, changed));
      for (const [name, envelope] of to.envelopes) {
        const opened = await from.keyring.open(name, envelope);
        assert.equal(opened.kind, "opened");
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("lines that were left out, doubled or exchanged are noticed", async () => {
  const bytes = await bytesOf(await source(6));
  const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
  const text = (changed: string[]) => new TextEncoder().encode(changed.join("\n") + "\n");
  const to = () => new MemoryDatabase(keys(["k1", 1]));
  for (let i = 1; i < lines.length - 1; i++) {
    why(await restored(to(), text(lines.toSpliced(i, 1))));
    why(await restored(to(), text(lines.toSpliced(i, 0, lines[i]!))));
    if (i > 1) why(await restored(to(), text(lines.toSpliced(i - 1, 2, lines[i]!, lines[i - 1]!))));
  }
  assert.match(why(await restored(to(), text([...lines, lines.at(-1)!]))), /after the last line/);
  assert.match(why(await restored(to(), text(lines.slice(1)))), /first line is not the header/);
});

Deno.test("chunks of any size make no difference", async () => {
  const bytes = await bytesOf(await source(5));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
      const last = await restored(new MemoryDatabase(keys(["k1", 1])), bodyOf(bytes, ...sizes));
      assert.deepEqual([last.status, last.entities], ["done", 5]);
    }),
    { numRuns: 50 },
  );
});

Deno.test("the counts of the last line are compared once everything was written", async () => {
  const from = await source(2);
  const entities = [...from.envelopes].map(([name, envelope]) => ({
    kind: "entity",
    name,
    envelope: envelope.toBase64(),
  }));
  const to = () => new MemoryDatabase(keys(["k1", 1]));
  assert.equal((await restored(to(), made(entities))).status, "done");
  for (
    const end of [{ entities: 1 }, { entities: "2" }, { templates: 1 }, { api_keys: 1 }, { sha256: "0" }, {
      entities: null,
    }]
  ) {
    assert.match(why(await restored(to(), made(entities, end))), /checksum or its counts do not match/);
  }
});

Deno.test("a key that is not held is named, with the number of the line", async () => {
  const bytes = await bytesOf(await source());
  const to = new MemoryDatabase(keys(["k2", 2]));
  assert.match(why(await restored(to, bytes)), /^key_unavailable: line \d+: the key "k1" is not held$/);
  assert.equal(to.envelopes.size, 0);
  const impostor = new MemoryDatabase(keys(["k1", 9]));
  assert.match(why(await restored(impostor, bytes)), /^tampered: \d+ lines were left out, the first is line 2/);
  assert.equal(impostor.envelopes.size, 0);
});

Deno.test("one damaged entity does not keep the others out, and is told", async () => {
  const from = await source(10);
  const [victim, other] = [...from.envelopes.keys()];
  from.envelopes.get(victim!)![150]! ^= 1;
  from.envelopes.set(other!, [...from.envelopes.values()][5]!);
  const to = new MemoryDatabase(keys(["k1", 1]));
  const last = await restored(to, await bytesOf(from));
  assert.match(why(last), /^tampered: 2 lines were left out, the first is line \d+: .*; everything else was restored$/);
  assert.deepEqual([last.entities, to.envelopes.size], [8, 8]);
});

Deno.test("hostile lines: a clear sentence with the number of the line, and nothing of the line", async () => {
  const from = await source(1);
  const [name, envelope] = [...from.envelopes][0]!;
  const entity = { kind: "entity", name, envelope: envelope.toBase64() };
  const cases: [unknown, RegExp][] = [
    [{ ...entity, envelope: `%%${SECRET}` }, /line 2: it is not an entity/],
    [{ ...entity, envelope: undefined }, /line 2: it is not an entity/],
    [{ ...entity, envelope: 7 }, /line 2: it is not an entity/],
    [{ ...entity, envelope: "" }, /^tampered: .*line 2/],
    [{ ...entity, name: `../${SECRET}` }, /line 2: it is not an entity/],
    [{ ...entity, name: `${SECRET}_%2E%2E` }, /line 2: it is not an entity/],
    [{ ...entity, name: "chat_key%2D0" }, /line 2: it is not an entity/],
    [{ ...entity, name: undefined }, /line 2: it is not an entity/],
    [{ ...entity, name: `chat_${SECRET}` }, /^tampered: .*line 2/],
    [{ ...entity, envelope: new Uint8Array(2 << 20).toBase64() }, /^too_large: line 2/],
    [{ kind: SECRET }, /line 2 is of no known kind/],
    [{ kind: "header", format: 1 }, /line 2 is of no known kind/],
    [{ kind: "template", id: "../x", text: "" }, /line 2: it is no template/],
    [{ kind: "template", id: "x", text: `!${SECRET}` }, /line 2: it is no template/],
    [
      { kind: "template", id: "x", text: btoa(`invalid ${SECRET}`) },
      /^invalid_schema: .*line 2: the template is not a schema/,
    ],
    [{ kind: "api_key", key: { id: SECRET } }, /line 2: it is no API key/],
    [{ kind: "api_key" }, /line 2: it is no API key/],
    [`{"kind":"${SECRET}`, /line 2 is damaged/],
    [`[${SECRET}]`, /line 2 is damaged/],
    ["[]", /line 2 is damaged/],
    ["null", /line 2 is damaged/],
    ["", /line 2 is damaged/],
    ["[".repeat(100_000), /line 2 is damaged/],
  ];
  for (const [line, expected] of cases) {
    const to = new MemoryDatabase(keys(["k1", 1]));
    assert.match(why(await restored(to, made([line]))), expected);
    assert.equal(to.envelopes.size, 0);
  }
});

Deno.test("any bytes whatever end in a sentence, never in an exception", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (noise, header) => {
      const bytes = header ? new Uint8Array([...made([]).subarray(0, 90), ...noise]) : noise;
      why(await restored(new MemoryDatabase(keys(["k1", 1])), bytes));
    }),
    { numRuns: 300 },
  );
});

Deno.test("another version's backup is refused, and what is no backup at all", async () => {
  const to = new MemoryDatabase(keys(["k1", 1]));
  const newer = new TextEncoder().encode('{"kind":"header","format":2}\n');
  assert.match(why(await restored(to, newer)), /not of format 1/);
  assert.match(why(await restored(to, new TextEncoder().encode("<html>\n"))), /this is not a backup/);
  assert.match(why(await restored(to, new Uint8Array())), /truncated/);
});

Deno.test("a line without an end does not fill the memory", async () => {
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1 << 20;
      controller.enqueue(new Uint8Array(1 << 20).fill(0x61));
    },
  });
  assert.match(why(await restored(new MemoryDatabase(keys(["k1", 1])), endless)), /line 1 is longer than/);
  assert(sent <= BACKUP_LINE_BYTES_MAX + (3 << 20), `${sent}`);
  const one = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("abcdef\n"));
      controller.close();
    },
  });
  await assert.rejects(collect(splitLines(one, 5)), /line 1 is longer than 5 bytes/);
});

Deno.test("so many damaged lines end it", async () => {
  const lines = Array.from(
    { length: 10 * RESTORE_REFUSED_MAX },
    () => ({ kind: "entity", name: "a_b", envelope: "AAAA" }),
  );
  const to = new MemoryDatabase(keys(["k1", 1]));
  let tried = 0;
  to.before = () => void tried++;
  assert.match(why(await restored(to, made(lines))), /so many lines are damaged that it was given up/);
  assert(tried <= RESTORE_REFUSED_MAX + RESTORE_PARALLEL_MAX + 1, `${tried}`);
});

/** The most that was under way together while `from` was restored; something ends only when nothing more is begun. */
async function mostUnderWay(from: MemoryDatabase): Promise<MemoryDatabase["most"]> {
  const bytes = await bytesOf(from);
  const to = new MemoryDatabase(keys(["k1", 1]));
  const underWay: (() => void)[] = [];
  to.before = () => new Promise((resolve) => underWay.push(() => resolve(undefined)));
  let over = false;
  const outcome = restored(to, bytes).finally(() => over = true);
  for (let [before, quiet] = [0, 0]; !over; before = underWay.length) {
    quiet = underWay.length === before ? quiet + 1 : 0;
    if (quiet > 10) underWay.shift()?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.equal((await outcome).status, "done");
  assert.equal(to.envelopes.size, from.envelopes.size);
  return to.most;
}

Deno.test("only so many entities, and bytes, are under way together", async () => {
  const many = new MemoryDatabase(keys(["k1", 1]));
  for (let i = 0; i < RESTORE_PARALLEL_MAX + 20; i++) await many.put("small", `k${i}`, "1");
  assert.equal((await mostUnderWay(many)).operations, RESTORE_PARALLEL_MAX);
  const large = new MemoryDatabase(keys(["k1", 1]));
  for (let i = 0; i < 42; i++) await large.put("large", `k${i}`, `"${"x".repeat(900_000)}"`);
  const { bytes } = await mostUnderWay(large);
  assert(bytes > RESTORE_BYTES_MAX - 1_000_000 && bytes <= RESTORE_BYTES_MAX, `${bytes}`);
});

Deno.test("what passes is waited for; what does not ends it", async () => {
  const bytes = await bytesOf(await source(5));
  const to = new MemoryDatabase(keys(["k1", 1]));
  let tries = 0;
  to.before = () => ++tries % 3 === 0 ? undefined : failure(tries % 2 ? "no_worker" : "overloaded", "not now");
  const putSchema = to.putSchema.bind(to);
  to.putSchema = (...options) =>
    ++tries % 3 === 0 ? putSchema(...options) : Promise.resolve(failure("overloaded", "not now"));
  const restoreApiKeys = to.restoreApiKeys.bind(to);
  to.restoreApiKeys = (...options) =>
    ++tries % 3 === 0 ? restoreApiKeys(...options) : Promise.resolve(failure("storage_unavailable", "not now"));
  const last = await restored(to, bytes);
  assert.deepEqual([last.status, last.entities, last.templates, last.api_keys], ["done", 5, 1, 1]);
  to.before = () => failure("storage_unavailable", "the disk is full");
  assert.match(why(await restored(to, bytes)), /^storage_unavailable: line \d+: the disk is full$/);
  for (const step of ["putSchema", "restoreApiKeys"] as const) {
    const other = new MemoryDatabase(keys(["k1", 1]));
    other[step] = () => Promise.resolve(failure("storage_unavailable", "the disk is full"));
    assert.match(why(await restored(other, bytes)), /^storage_unavailable: line \d+: the disk is full$/);
  }
});

Deno.test("progress comes on the way; whoever goes is not written for any more", async () => {
  const bytes = await bytesOf(await source(2_500));
  const to = new MemoryDatabase(keys(["k1", 1]));
  const seen: string[] = [];
  for await (const { status } of restore(to.restoreParts(), bodyOf(bytes, 64 << 10), "skip", never)) seen.push(status);
  assert.deepEqual(seen, ["running", "running", "done"]);

  const stop = new AbortController();
  const other = new MemoryDatabase(keys(["k1", 1]));
  const rest = restore(other.restoreParts(), bodyOf(bytes, 4 << 10), "skip", stop.signal);
  assert.equal((await rest.next()).value!.status, "running");
  stop.abort(new Error("gone"));
  await assert.rejects(rest.next(), /gone/);
  const written = other.envelopes.size;
  assert(written >= 500 && written < 1_500, `${written}`);
});

Deno.test("a name that the store cannot take does not keep the others out, and is told", async () => {
  const from = await source(10);
  const [victim] = [...from.envelopes.keys()];
  const to = new MemoryDatabase(keys(["k1", 1]));
  to.before = ({ name }) => name === victim ? failure("invalid_key", "it is too long") : undefined;
  const last = await restored(to, await bytesOf(from));
  assert.match(why(last), /^invalid_key: 1 line was left out, the first is line \d+: it is too long; everything else /);
  assert.deepEqual([last.entities, to.envelopes.size], [9, 9]);
});
