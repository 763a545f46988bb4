import assert from "assert";
import fc from "fast-check";
import { LOG_LINE_BYTES_MAX } from "../limits.ts";
import { isGuarded, REDACTED } from "./fields.ts";
import { wantsColour } from "./format.ts";
import { createLogger, lineSink, type Logger, type LoggerOptions, recordingLogger, silentLogger } from "./logger.ts";

const decoder = new TextDecoder();

// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/;

/** A logger over a buffer, and what it has written, line by line. */
function buffered(format: "json" | "text" = "json", options: Partial<LoggerOptions> = {}, colour = false) {
  let written = "";
  const sink = lineSink(format, colour, (bytes) => {
    written += decoder.decode(bytes);
    return bytes.length;
  });
  const clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) };
  const logger: Logger = createLogger({ sink, level: "info", clock, component: "main", ...options });
  return { logger, text: () => written, lines: () => written.split("\n").slice(0, -1) };
}

Deno.test("a line is a JSON object with time, level, component, event and fields", () => {
  const { logger, text } = buffered();
  logger.info("worker_joined", { worker_id: "proc-1", partitions: 64, generated: true, note: undefined });
  assert.equal(
    text(),
    '{"ts":"2026-01-02T03:04:05.006Z","level":"info","component":"main","event":"worker_joined",' +
      '"worker_id":"proc-1","partitions":64,"generated":true}\n',
  );
});

Deno.test("levels: lesser ones are not written, audit lines always are", () => {
  const { logger, lines } = buffered("json", { level: "error" });
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  logger.audit("key_revoked", { id: "k1" });
  assert.deepEqual(lines().map((line) => JSON.parse(line)).map(({ level, event, audit }) => [level, event, audit]), [
    ["error", "d", undefined],
    ["info", "key_revoked", true],
  ]);
});

Deno.test("children name their part and keep their fields", () => {
  const { logger, lines } = buffered();
  logger.child("control", { worker_id: "proc-1" }).child("lease").warn("late", { by_ms: 5 });
  const line = JSON.parse(lines()[0]!);
  assert.deepEqual([line.level, line.component, line.worker_id, line.by_ms], [
    "warn",
    "main.control.lease",
    "proc-1",
    5,
  ]);
});

Deno.test("fields cannot take the place of what a line says of itself", () => {
  const { logger, lines } = buffered();
  logger.info("real", { event: "forged", level: "error", ts: 0, component: "x", audit: "no" });
  logger.audit("real", { audit: false });
  const [line, audit] = lines().map((text) => JSON.parse(text));
  assert.deepEqual([line.event, line.level, line.component], ["real", "info", "main"]);
  assert.deepEqual([line.field_event, line.field_level, line.field_ts], ["forged", "error", 0]);
  assert.equal(audit.audit, true);
});

Deno.test("guard: secrets and documents are replaced at every level, entity names above debug", () => {
  const { logger, text, lines } = buffered("json", { level: "debug" });
  const canary = "canary-7731";
  for (
    const name of [
      "token",
      "sessionToken",
      "session_token",
      "admin_key",
      "ADMIN-KEY",
      "masterKey",
      "s3_secret_key",
      "password",
      "Authorization",
      "document",
      "payload",
      "key_material",
      "wrapped_key",
      "api_keys",
    ]
  ) {
    logger.debug("x", { [name]: canary });
    logger.error("x", { nested: { [name]: [canary] }, map: new Map([[name, canary]]) });
  }
  logger.info("x", { entity_key: canary, key: canary, entity_name: canary });
  assert.ok(!text().includes(canary));
  assert.ok(text().includes(REDACTED));
  logger.debug("x", { entity_key: canary });
  assert.equal(JSON.parse(lines().at(-1)!).entity_key, canary);
});

Deno.test("guard: what only belongs to a secret, or is no text, passes", () => {
  for (
    const name of ["key_id", "api_key_id", "token_expires_at", "token_kind", "worker_id", "event_name", "partition"]
  ) {
    assert.equal(isGuarded(name, "info"), false, name);
  }
  const { lines, logger } = buffered();
  logger.info("x", { tokens_issued: 3, admin_key: true, token: null, token_ttl_ms: 5 });
  const line = JSON.parse(lines()[0]!);
  assert.deepEqual([line.tokens_issued, line.admin_key, line.token, line.token_ttl_ms], [3, true, null, 5]);
});

Deno.test("guard: the form of a credential is seen in any text", () => {
  const { logger, text } = buffered();
  const hex = "c0ffee00".repeat(8);
  logger.error("x", {
    header: `authorization: Bearer ${hex.slice(0, 20)}.canary`,
    reason: `key dk_${hex} is unknown`,
    error: new Error(`cannot use ${hex}`, { cause: `also ${hex}` }),
    long: " ".repeat(4_096 - 60) + hex,
    cut: "x".repeat(1_000) + ` ${hex}`,
  });
  assert.ok(!/c0ffee00/.test(text()), text());
  const passes = buffered();
  passes.logger.info("x", { schema_hash: hex });
  assert.ok(passes.text().includes(hex));
});

Deno.test("errors are written with their cause, and with their calls only where nobody expected them", () => {
  const { logger, lines } = buffered();
  const error = new TypeError("outer", { cause: new RangeError("inner") });
  logger.warn("x", { error });
  logger.error("x", { error });
  const [warn, unexpected] = lines().map((line) => JSON.parse(line).error);
  assert.deepEqual(warn, { name: "TypeError", message: "outer", cause: { name: "RangeError", message: "inner" } });
  assert.match(unexpected.stack, /^at /);
});

Deno.test("values of every kind are written, bytes only as their number", () => {
  const { logger, lines } = buffered();
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  logger.info("x", {
    bytes: new Uint8Array(32).fill(7),
    big: 2n ** 64n,
    nan: NaN,
    date: new Date(0),
    bad_date: new Date(NaN),
    set: new Set([1, 2]),
    map: new Map([["a", 1]]),
    fn: () => 1,
    nothing: null,
    list: Array.from({ length: 100 }, (_, index) => index),
    cyclic,
  });
  const line = JSON.parse(lines()[0]!);
  assert.deepEqual(
    [line.bytes, line.big, line.nan, line.date, line.bad_date, line.set, line.map, line.fn, line.nothing],
    [
      "[32 bytes]",
      "18446744073709551616",
      "NaN",
      "1970-01-01T00:00:00.000Z",
      null,
      [1, 2],
      { a: 1 },
      "[function]",
      null,
    ],
  );
  assert.equal(line.list.length, 33);
  assert.equal(line.list[32], "… 68 more");
  assert.equal(line.cyclic.self.self.self.self, "[deeper]");
});

Deno.test("nothing that a caller hands over makes a logger throw", () => {
  const { logger, lines } = buffered();
  const trap = new Proxy({}, {
    get() {
      throw new Error("no");
    },
    ownKeys() {
      throw new Error("no");
    },
  });
  logger.info("getter", {
    get bad() {
      throw new Error("no");
    },
    fine: 1,
  });
  logger.audit("audit", {
    get bad() {
      throw new Error("no");
    },
  });
  logger.info("proxy", { trap, fine: 1 });
  logger.info("whole", trap);
  logger.info("proto", JSON.parse('{"__proto__": 1, "constructor": 2}'));
  const [getter, audit, proxy, whole, proto] = lines().map((line) => JSON.parse(line));
  assert.deepEqual([getter.bad, getter.fine], ["[unreadable]", 1]);
  assert.deepEqual([proxy.trap, proxy.fine], ["[unreadable]", 1]);
  assert.deepEqual([audit.bad, audit.audit], ["[unreadable]", true]);
  assert.equal(whole.fields, "[unreadable]");
  assert.deepEqual([Object.hasOwn(proto, "__proto__"), proto.constructor], [true, 2]);
});

Deno.test("a writer that fails or takes nothing loses the line and stops nobody", () => {
  const fails = createLogger({
    sink: lineSink("json", false, () => {
      throw new Error("closed");
    }),
    level: "info",
    clock: { now: () => 0 },
    component: "",
  });
  fails.info("x");
  let calls = 0;
  const full = createLogger({
    sink: lineSink("json", false, () => calls++ * 0),
    level: "info",
    clock: { now: () => 0 },
    component: "",
  });
  full.info("x");
  assert.equal(calls, 1);
});

Deno.test("a writer that takes a line in pieces gets all of it", () => {
  let written = "";
  const logger = createLogger({
    sink: lineSink("json", false, (bytes) => {
      written += decoder.decode(bytes.subarray(0, 7));
      return Math.min(7, bytes.length);
    }),
    level: "info",
    clock: { now: () => 0 },
    component: "main",
  });
  logger.info("started", { a: 1 });
  assert.equal(JSON.parse(written).event, "started");
});

Deno.test("whatever the fields hold, a record is one line of bounded length without control characters", () => {
  const strings = fc.oneof(
    fc.string({ unit: "binary", maxLength: 3_000 }),
    fc.constantFrom(
      '\n{"event":"forged"}',
      "\r",
      "\x1b[2J",
      "\u2028",
      "\u202e",
      "\x9b1m",
      "\ud800",
      "x".repeat(100_000),
    ),
  );
  const value = fc.oneof(
    strings,
    fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true }),
  );
  const fields = fc.dictionary(strings, value, { maxKeys: 40 });
  fc.assert(
    fc.property(fc.constantFrom("json" as const, "text" as const), strings, fields, (format, event, fields) => {
      const { logger, text, lines } = buffered(format);
      logger.error(event, fields);
      assert.equal(lines().length, 1);
      assert.ok(!CONTROL.test(text()), JSON.stringify(text()));
      assert.ok(new TextEncoder().encode(text()).length <= LOG_LINE_BYTES_MAX);
      if (format === "json") JSON.parse(lines()[0]!);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a long line says how many fields it has lost", () => {
  const { logger, lines } = buffered();
  logger.info("x", Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, "y".repeat(1_000)])));
  const line = JSON.parse(lines()[0]!);
  assert.ok(line.truncated_fields >= 10);
  assert.equal(line.f0.length, 1_000);
});

Deno.test("text for people: time, level, component, event, fields", () => {
  const { logger, text } = buffered("text");
  logger.warn("worker_lost", { worker_id: "proc-1", reason: "missed 3 heartbeats", partitions: [1, 2] });
  assert.match(
    text(),
    /^\d\d:\d\d:05\.006 WARN {2}main +worker_lost worker_id=proc-1 reason="missed 3 heartbeats" partitions=\[1,2\]\n$/,
  );
  const coloured = buffered("text", {}, true);
  coloured.logger.warn("worker_lost");
  assert.ok(coloured.text().includes("\x1b[33m"));
});

Deno.test("colour: on a terminal, unless NO_COLOR is set; elsewhere on demand", () => {
  const env = (values: Record<string, string>) => new Map(Object.entries(values));
  assert.equal(wantsColour(true, env({})), true);
  assert.equal(wantsColour(false, env({})), false);
  assert.equal(wantsColour(true, env({ NO_COLOR: "1", FORCE_COLOR: "1" })), false);
  assert.equal(wantsColour(true, env({ NO_COLOR: "" })), true);
  assert.equal(wantsColour(false, env({ FORCE_COLOR: "1" })), true);
  assert.equal(wantsColour(true, env({ FORCE_COLOR: "0" })), false);
  assert.equal(wantsColour(true, env({ TERM: "dumb" })), false);
});

Deno.test("the recording logger keeps lines of all its children, the silent one nothing", () => {
  const logger = recordingLogger();
  logger.child("control").warn("worker_lost", { worker_id: "p", token: "t" });
  logger.audit("login_refused", { reason: "bad_key" });
  assert.deepEqual(logger.of("worker_lost").map(({ level, component, fields }) => ({ level, component, ...fields })), [
    { level: "warn", component: "control", worker_id: "p", token: REDACTED },
  ]);
  assert.equal(logger.of("login_refused")[0]?.fields.audit, true);
  assert.equal(logger.lines.length, 2);
  silentLogger.child("x").error("y", { z: 1 });
});
