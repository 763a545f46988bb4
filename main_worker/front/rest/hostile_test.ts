import assert from "assert";
import fc from "fast-check";
import { ETAG_BYTES_MAX, JSON_DEPTH_MAX } from "../../../shared/limits.ts";
import { entityName, parseEntityKey, parseSchemaId, type SchemaId } from "../../../shared/names.ts";
import { arrivingBodiesOf } from "./arriving_bodies.ts";
import { readBody, streamBody } from "./bodies.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import { Refusal } from "./errors.ts";
import { parseTags, putConditions, readConditions } from "./etags.ts";
import { queryKey, queryValue, splitTarget } from "./query.ts";
import { ManualClock } from "../../../shared/seams/manual_clock.ts";
import { ADMIN_KEY, createHarness } from "./testing.ts";

function isName(text: string): boolean {
  try {
    parseEntityKey(text);
    parseSchemaId(text);
    return true;
  } catch {
    return false;
  }
}

/** Names that both parsers take. */
const name = fc.string({ unit: "binary", minLength: 1, maxLength: 16 }).filter(isName);

/** The code of the refusal that `fn` throws, or what it returns. */
function attempt<T>(fn: () => T): T | string {
  try {
    return fn();
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error.failure.code;
  }
}

Deno.test("any request ends in an answer that its description allows, and never in 500", async () => {
  const { send, app, entities, statistics, log } = await createHarness({ bodyBytesMax: 4096 });
  await send("PUT", "/entity/s", { body: '{"a":1,"b":{"c":[]}}' });
  const raw = fc.string({
    unit: fc.constantFrom(...'ab%2F%00%ff%c3%a9+&=?;/\\.."\'<>* ,W/"1-0000000000000001"{}[]:-_~é'.split("")),
    maxLength: 40,
  }).map((text) => text.replace(/[\s#]/g, "_"));
  const word = fc.oneof(raw, fc.constantFrom("s", "a", "b", "true", "1", "1000", "*", "%2e%2e"));
  const parameter = fc.tuple(
    fc.constantFrom("key", "limit", "cursor", "values", "prefix", "counts", "existing", "force", "%6bey", ""),
    word,
  ).map(([key, value]) => `${key}=${value}`);
  const headerText = fc.string({ unit: fc.constantFrom(...'*",W/ab-01 \t=;'.split("")), maxLength: 30 });
  const request = fc.record({
    route: fc.constantFrom(...app.routes.filter(({ path }) => path !== "/" && path !== "/docs")),
    method: fc.constantFrom("", "", "", "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"),
    segment: word,
    query: fc.array(parameter, { maxLength: 3 }).map((all) => all.join("&")),
    ifMatch: fc.option(headerText, { nil: undefined }),
    ifNoneMatch: fc.option(headerText, { nil: undefined }),
    lastEventId: fc.option(headerText, { nil: undefined }),
    type: fc.constantFrom("application/merge-patch+json", "application/json", ""),
    body: fc.oneof(
      fc.uint8Array({ maxLength: 64 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>,
      fc.json({ maxDepth: 3 }),
      fc.constantFrom(
        '{"keys":["a"]}',
        '{"name":"n","permissions":["read"]}',
        "[".repeat(JSON_DEPTH_MAX + 1),
        "x".repeat(5000),
      ),
    ),
  });
  await fc.assert(
    fc.asyncProperty(request, async (input) => {
      const method = input.method === "" ? input.route.method : input.method;
      const headers: Record<string, string> = { "content-type": input.type };
      if (input.ifMatch !== undefined) headers["if-match"] = input.ifMatch;
      if (input.ifNoneMatch !== undefined) headers["if-none-match"] = input.ifNoneMatch;
      if (input.lastEventId !== undefined) headers["last-event-id"] = input.lastEventId;
      const path = input.route.path.replace(/\{[^}]+\}/, () => input.segment);
      const response = await send(method, `${path}?${input.query}`, {
        headers,
        body: method === "GET" || method === "HEAD" ? null : input.body,
      });
      await response.body?.cancel();
      assert.ok(response.status < 500, `${method} ${path}?${input.query} → ${response.status}`);
    }),
    { numRuns: 3_000 },
  );
  assert.deepEqual(log.of("request_failed"), []);
  assert.deepEqual([statistics.series().active, statistics.watchers, entities.watches.size], [0, 0, 0]);
});

Deno.test("whatever is stored under a name is read under it, and under no other", async () => {
  const { send } = await createHarness();
  await fc.assert(
    fc.asyncProperty(name, name, fc.json(), async (id, key, document) => {
      const path = `/entity/${encodeURIComponent(id)}?key=${encodeURIComponent(key)}`;
      assert.equal((await send("PUT", path, { body: document })).status, 200);
      assert.equal(await (await send("GET", path)).text(), document.trim());
      const neighbour = `/entity/${encodeURIComponent(id)}?key=${encodeURIComponent(key)}x`;
      assert.equal((await send("DELETE", path)).status, 200);
      assert.equal((await send("GET", neighbour)).status, 404);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a cursor gives back the name that it was made of, for its schema only", () => {
  fc.assert(fc.property(name, name, name, (id, other, key) => {
    const schemaId = parseSchemaId(id);
    const next = entityName(schemaId, parseEntityKey(key));
    const cursor = encodeCursor(schemaId, next);
    assert.match(cursor, /^[A-Za-z0-9_-]+$/);
    assert.equal(decodeCursor(schemaId, cursor), next);
    const elsewhere = decodeCursor(parseSchemaId(other), cursor);
    assert.equal(elsewhere, entityName(parseSchemaId(other), parseEntityKey(key)));
  }));
});

Deno.test("any other cursor is refused", () => {
  const schemaId = "s" as SchemaId;
  const base64 = (text: string) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const bad = ["", "=", "A", "1", "é", base64("1"), base64("2a"), base64("1a/b"), base64("1%61"), base64("1a\u0000")];
  bad.push(base64("1a") + "=", base64("1a") + "AA", "x".repeat(10_000), base64("1..x"), base64("1%ff"), base64("1%2e"));
  for (const cursor of bad) {
    assert.equal(attempt(() => decodeCursor(schemaId, cursor)), "bad_request", cursor.slice(0, 20));
  }
  fc.assert(fc.property(fc.oneof(fc.string(), fc.base64String()), (cursor) => {
    const name = attempt(() => decodeCursor(schemaId, cursor));
    if (name !== "bad_request") assert.equal(encodeCursor(schemaId, name), cursor);
  }));
});

const opaque = fc.string({ unit: fc.constantFrom(..."!#abyz019-.*/\u00ff".split("")), maxLength: 12 });

Deno.test("lists of entity tags are read as they were written", () => {
  const tag = fc.record({ weak: fc.boolean(), opaque }, { noNullPrototype: true });
  const space = fc.constantFrom("", " ", "\t", "  ");
  fc.assert(fc.property(fc.array(fc.tuple(tag, space, space), { minLength: 1, maxLength: 100 }), (parts) => {
    const text = parts.map(([{ weak, opaque }, before, after]) => `${before}${weak ? "W/" : ""}"${opaque}"${after}`)
      .join(",");
    assert.deepEqual(parseTags("If-Match", text), parts.map(([one]) => one));
  }));
  assert.equal(parseTags("If-Match", " * "), "*");
  const bad = ["", ",", "a", '"a', 'a"', '"a" "b"', '"a""b"', "W/a", 'w/"a"', '*,"a"', '"a",*', '"a b"', '"\u007f"'];
  for (const text of [...bad, Array.from({ length: 101 }, () => '"a"').join(",")]) {
    assert.equal(attempt(() => parseTags("If-Match", text)), "bad_request", text.slice(0, 20));
  }
});

Deno.test("a weak tag never fulfils If-Match, and no quoted tag stands for any version", () => {
  fc.assert(fc.property(opaque, (text) => {
    const conditions = (value: string) =>
      putConditions(new Headers([["if-match", encodeURI(value).replaceAll("%22", '"')]])).ifMatch!;
    // What is in quotes here cannot be in an entity's tag.
    const [weak] = conditions(`W/"${text}"`);
    assert.equal(weak, '""');
    assert.ok(!conditions(`"${text}"`).includes("*"));
    assert.ok(!conditions(`"${text}"`).includes(""));
  }));
  // Tags that none of ours can be do not travel: they are longer, or not ASCII.
  const long = ["a".repeat(ETAG_BYTES_MAX), "a".repeat(ETAG_BYTES_MAX + 1), "\u00ff"];
  const header = new Headers([["if-match", long.map((tag) => `"${tag}"`).join(",")]]);
  assert.deepEqual(putConditions(header).ifMatch, [long[0], '""', '""']);
  assert.deepEqual(readConditions(new Headers([["if-none-match", 'W/"a", "b"']])), { ifNoneMatch: ["a", "b"] });
  assert.deepEqual(readConditions(new Headers()), {});
});

Deno.test("a query gives what URLSearchParams gives, or is refused", () => {
  const piece = fc.string({ unit: fc.constantFrom(..."key=&+%20%C3%A9%zzab".split("")), maxLength: 24 });
  fc.assert(fc.property(fc.oneof(piece, fc.webQueryParameters()), (query) => {
    const all = new URLSearchParams(query).getAll("key");
    const found = attempt(() => ({ value: queryValue(query, "key") }));
    if (typeof found !== "string") {
      assert.ok(all.length <= 1 || found.value !== undefined);
      if (found.value !== undefined) assert.ok(all.includes(found.value));
      else assert.ok(all.length === 0 || all.some((text) => text.includes("\ufffd") || /%/.test(query)));
    } else {
      assert.ok(all.length > 1 || /%/.test(query), query);
    }
  }));
});

Deno.test("a target is split where it must be", () => {
  assert.deepEqual(splitTarget("http://h"), { path: "/", query: "" });
  assert.deepEqual(splitTarget("http://h/a?b?c#d"), { path: "/a", query: "b?c" });
  assert.deepEqual(splitTarget("http://h/a#b?c"), { path: "/a", query: "" });
  assert.deepEqual(splitTarget("https://h:1//a//?"), { path: "//a//", query: "" });
  assert.equal(queryKey(""), undefined);
  assert.equal(attempt(() => queryKey("key=a&key=a")), "bad_request");
});

/** A body in pieces; counts what was asked for. */
function pieces(...chunks: (Uint8Array | Error | "stall")[]) {
  const asked = { count: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks[asked.count++];
      if (chunk === undefined) controller.close();
      else if (chunk === "stall") return new Promise(() => {});
      else if (chunk instanceof Error) controller.error(chunk);
      else controller.enqueue(chunk);
    },
    cancel() {
      asked.cancelled = true;
    },
  }, { highWaterMark: 0 });
  return { stream, asked };
}

function post(stream: ReadableStream<Uint8Array> | null, headers: Record<string, string> = {}): Request {
  return new Request("http://h/", { method: "POST", body: stream, headers: { host: "h", ...headers } });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error.failure.code;
  }
  return "none";
}

const KIB = new Uint8Array(1024);

Deno.test("a body is put together from its pieces, up to the very limit", async () => {
  const clock = new ManualClock();
  await fc.assert(fc.asyncProperty(
    fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }),
    fc.constantFrom((size: number) => size, (size: number) => size >> 1, () => "nonsense", undefined),
    async (chunks, declared) => {
      const whole = chunks.flatMap((chunk) => [...chunk]);
      const headers: Record<string, string> = declared ? { "content-length": String(declared(whole.length)) } : {};
      const read = await readBody(post(pieces(...chunks).stream, headers), whole.length, clock);
      assert.deepEqual([...read], whole);
      assert.equal(read.buffer.byteLength, read.length, "it keeps more than itself in memory");
      if (whole.length > 0) {
        assert.equal(await codeOf(readBody(post(pieces(...chunks).stream), whole.length - 1, clock)), "too_large");
      }
    },
  ));
  assert.equal((await readBody(post(null), 10, clock)).length, 0);
  clock.pass(30_000);
  assert.equal(clock.timers, 0);
});

Deno.test("a body over its limit is given up at once, whatever its Content-Length says", async () => {
  const clock = new ManualClock();
  for (const headers of [{}, { "content-length": "nonsense" }]) {
    const { stream, asked } = pieces(...Array.from({ length: 100 }, () => KIB));
    assert.equal(await codeOf(readBody(post(stream, headers as Record<string, string>), 3 * 1024, clock)), "too_large");
    assert.deepEqual([asked.count, asked.cancelled], [4, true]);
  }
  // The server lets no more through than was declared; if it did, the limit would still hold.
  const { stream: liar } = pieces(KIB, KIB, KIB, KIB);
  assert.equal(await codeOf(readBody(post(liar, { "content-length": "1" }), 3 * 1024, clock)), "too_large");
  const { stream, asked } = pieces(KIB);
  assert.equal(await codeOf(readBody(post(stream, { "content-length": "99999" }), 3 * 1024, clock)), "too_large");
  assert.equal(asked.count, 0);
  clock.pass(30_000);
  assert.equal(clock.timers, 0);
});

Deno.test("a body that stalls or breaks off is the client's fault", async () => {
  const clock = new ManualClock();
  for (const headers of [{}, { "content-length": "2048" }] as Record<string, string>[]) {
    const { stream, asked } = pieces(KIB, "stall");
    const reading = codeOf(readBody(post(stream, headers), 1 << 20, clock));
    while (asked.count < 2) await new Promise((resolve) => setTimeout(resolve, 0));
    clock.pass(30_000);
    assert.equal(await reading, "bad_request");
  }
  const { stream, asked } = pieces(KIB, "stall");
  const reading = codeOf(readBody(post(stream), 1 << 20, clock));
  while (asked.count < 2) await new Promise((resolve) => setTimeout(resolve, 0));
  clock.pass(30_000);
  assert.equal(await reading, "bad_request");
  assert.equal(asked.cancelled, true);
  assert.equal(await codeOf(readBody(post(pieces(KIB, new Error("reset")).stream), 1 << 20, clock)), "bad_request");
  clock.pass(30_000);
  assert.equal(clock.timers, 0);
});

Deno.test("a streamed body is read no faster than it is consumed", async () => {
  const clock = new ManualClock();
  const { stream, asked } = pieces(KIB, KIB, KIB);
  const reader = streamBody(post(stream), clock).getReader();
  assert.equal(asked.count, 0);
  await reader.read();
  assert.equal(asked.count, 1);
  await reader.cancel();
  assert.equal(asked.cancelled, true);
  assert.throws(() => streamBody(post(pieces().stream, { "content-encoding": "br" }), clock), Refusal);
  assert.equal(clock.timers, 0);
});

Deno.test("the front threads of a process share its room for answers and bodies", async () => {
  const { app, entities, clock } = await createHarness({ threads: 1_000 });
  const encode = (text: string) => new TextEncoder().encode(text);
  for (const key of ["a", "b"]) {
    await entities.put(parseSchemaId("s"), parseEntityKey(key), encode(JSON.stringify(key.repeat(400_000))), {});
  }
  const send = (method: string, key: string, body: BodyInit | null = null) => {
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const request = new Request(`http://localhost/entity/s?key=${key}`, { method, headers, body });
    return app.fetch(request, { remoteAddr: { hostname: "192.0.2.1" } });
  };
  const first = await send("GET", "a");
  assert.deepEqual([first.status, (await send("GET", "b")).status], [200, 503]);
  assert.equal((await first.text()).length, 400_002);
  assert.equal((await (await send("GET", "b")).text()).length, 400_002);

  const begin = () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const answer = send("PUT", "c", readable);
    return { writer: writable.getWriter(), answer };
  };
  const left = begin();
  await left.writer.write(new Uint8Array(200_000).fill(0x20));
  assert.equal(arrivingBodiesOf(clock).bytes, 200_000);
  const other = begin();
  await other.writer.write(new Uint8Array(200_000).fill(0x20));
  assert.equal((await left.answer).status, 503);
  await other.writer.write(encode("{}"));
  await other.writer.close();
  assert.equal((await other.answer).status, 200);
});
