import assert from "assert";
import fc from "fast-check";
import { serveRest } from "./server.ts";
import { createHarness, type Harness } from "./testing.ts";

const encoder = new TextEncoder();
const AUTHORIZED = "Host: server\r\nAuthorization: Bearer the-admin-key\r\n";

/** A door that listens on a free port, as long as `use` runs. */
async function listening(use: (port: number, harness: Harness) => Promise<void>): Promise<void> {
  const harness = await createHarness({ bodyBytesMax: 64 * 1024 });
  const server = serveRest(harness.app, { host: "127.0.0.1", port: 0 }, undefined, harness.log);
  try {
    await use(server.address.port, harness);
  } finally {
    harness.stop.abort();
    await server.stop(5_000);
  }
}

/** What the server answers to these bytes until it closes the connection, or `enough` has come. */
async function exchange(port: number, bytes: Uint8Array | string, enough?: RegExp): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    let rest = typeof bytes === "string" ? encoder.encode(bytes) : bytes;
    const writing = (async () => {
      while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
    })().catch(() => {});
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(16 * 1024);
    let text = "";
    for (;;) {
      const size = await connection.read(buffer).catch(() => null);
      if (size === null) break;
      text += decoder.decode(buffer.subarray(0, size), { stream: true });
      if (enough?.test(text)) break;
    }
    await writing;
    return text;
  } finally {
    connection.close();
  }
}

const close = "Connection: close\r\n\r\n";

Deno.test("over a socket: Deno refuses an upgrade to HTTP/2 with a body, as deploy/README.md warns", async () => {
  const upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
  await listening(async (port) => {
    // When this fails, Deno has learned it, and the warning can go.
    const put = `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}${upgrade}Content-Length: 2\r\n\r\n{}`;
    assert.match(await exchange(port, put), /^HTTP\/1\.1 400 [^]*content-length: 0\r\n/);
    // Without a body the wish is ignored, as it should be.
    const get = `GET /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}${upgrade}\r\n`;
    assert.match(await exchange(port, get, /"not_found"/), /^HTTP\/1\.1 404 /);
  });
});

Deno.test("over a socket: the target is taken as it was sent", async () => {
  await listening(async (port) => {
    const get = (target: string) => exchange(port, `GET ${target} HTTP/1.1\r\n${AUTHORIZED}${close}`);
    assert.match(await get("/entity/..?key=k"), /^HTTP\/1\.1 400 [^]*invalid_schema_id/);
    assert.match(await get("/entity/a%2f..%2fb?key=k"), /^HTTP\/1\.1 400 [^]*invalid_schema_id/);
    assert.match(await get("/entity/a\\b?key=k"), /^HTTP\/1\.1 400 [^]*invalid_schema_id/);
    assert.match(await get("/entity/s?key=a%00b"), /^HTTP\/1\.1 400 [^]*invalid_key/);
    assert.match(await get("/x/../entity/s?key=k"), /^HTTP\/1\.1 404 [^]*nothing at this path/);
    assert.match(await get("http://elsewhere/entity/s?key=k"), /^HTTP\/1\.1 404 [^]*no entity/);
    assert.match(await exchange(port, `OPTIONS * HTTP/1.1\r\n${AUTHORIZED}${close}`), /^HTTP\/1\.1 404 /);
    assert.match(
      await exchange(port, `TRACE /health HTTP/1.1\r\n${AUTHORIZED}${close}`),
      /^HTTP\/1\.1 405 [^]*allow: GET/,
    );
  });
});

Deno.test("over a socket: HEAD says how long the document is, and 304 has no body", async () => {
  await listening(async (port) => {
    const document = JSON.stringify("é".repeat(100));
    const size = encoder.encode(document).length;
    const put = await exchange(
      port,
      `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Content-Length: ${size}\r\n${close}${document}`,
    );
    const etag = /etag: ("[^"]+")/.exec(put)![1];
    const head = await exchange(port, `HEAD /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}${close}`);
    assert.match(head, new RegExp(`^HTTP/1\\.1 200 [^]*content-length: ${size}\r\n`));
    assert.ok(head.endsWith("\r\n\r\n"));
    const same = await exchange(
      port,
      `GET /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}If-None-Match: ${etag}\r\n${close}`,
    );
    assert.match(same, /^HTTP\/1\.1 304 /);
    assert.ok(same.endsWith("\r\n\r\n"));
    const stream = await exchange(port, `HEAD /watch/s HTTP/1.1\r\n${AUTHORIZED}${close}`);
    assert.doesNotMatch(stream, /content-length/);
  });
});

Deno.test("over a socket: a client that accepts compression still gets a strong ETag", async () => {
  await listening(async (port, { send }) => {
    await send("PUT", "/entity/s?key=k", { body: JSON.stringify("x".repeat(5000)) });
    const answer = await exchange(
      port,
      `GET /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Accept-Encoding: gzip, br\r\n${close}`,
    );
    assert.match(answer, /\r\netag: "1-/);
    assert.doesNotMatch(answer, /content-encoding/);
  });
});

Deno.test("over a socket: a body over the limit is refused before it has come", async () => {
  await listening(async (port) => {
    const put = `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}`;
    assert.match(await exchange(port, `${put}Content-Length: 99999999\r\n\r\n1`, /too_large/), /^HTTP\/1\.1 413 /);
    const piece = `8000\r\n${"1".repeat(0x8000)}\r\n`;
    const chunked = `${put}Transfer-Encoding: chunked\r\n\r\n${piece.repeat(3)}`;
    assert.match(await exchange(port, chunked, /too_large/), /^HTTP\/1\.1 413 /);
  });
});

Deno.test("over a socket: a body that stalls is given up, one that breaks off does no harm", async () => {
  await listening(async (port, { clock, log, statistics }) => {
    const half = `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Content-Length: 10\r\n\r\n12345`;
    const answer = exchange(port, half, /did not arrive/);
    while (clock.timers === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    clock.pass(30_000);
    assert.match(await answer, /^HTTP\/1\.1 400 [^]*did not arrive within 30 s/);
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(encoder.encode(half));
    while (clock.timers === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    connection.close();
    while (statistics.active > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.deepEqual(log.of("request_failed"), []);
  });
});

Deno.test("over a socket: pipelined requests are answered in their order", async () => {
  await listening(async (port) => {
    const requests = Array.from(
      { length: 50 },
      (_, i) =>
        i % 2 === 0
          ? `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Content-Length: 4\r\n\r\n${1000 + i}`
          : `GET /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}${i === 49 ? close : "\r\n"}`,
    );
    const bodies = (await exchange(port, requests.join(""))).split("\r\n\r\n").slice(1).map((text) =>
      text.split("HTTP/1.1")[0]
    );
    assert.deepEqual(
      bodies,
      Array.from({ length: 50 }, (_, i) => i % 2 === 0 ? `{"status":"ok","version":${i / 2 + 1}}` : String(999 + i)),
    );
  });
});

Deno.test("over a socket: a watcher that hangs up is forgotten", async () => {
  await listening(async (port, { send, entities, statistics }) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(encoder.encode(`GET /watch/s HTTP/1.1\r\n${AUTHORIZED}\r\n`));
    const buffer = new Uint8Array(4096);
    const decoder = new TextDecoder();
    let text = "";
    const read = async () => text += decoder.decode(buffer.subarray(0, (await connection.read(buffer)) ?? 0));
    while (!text.includes(": watching")) await read();
    await send("PUT", "/entity/s?key=k", { body: "1" });
    while (!text.includes("event: put")) await read();
    connection.close();
    while (statistics.watchers > 0) {
      await send("PUT", "/entity/s?key=k", { body: "1" });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.equal(entities.watches.size, 0);
  });
});

Deno.test("over a socket: no bytes make it fall", async () => {
  await listening(async (port, { log }) => {
    const valid = [
      `GET /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}${close}`,
      `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Content-Length: 2\r\n${close}{}`,
      `PUT /entity/s HTTP/1.1\r\n${AUTHORIZED}Transfer-Encoding: chunked\r\n${close}7\r\n{"a":1}\r\n0\r\n\r\n`,
      `POST /api/login HTTP/1.1\r\nHost: s\r\nContent-Length: 11\r\n${close}{"key":"x"}`,
      `GET /entities/s?limit=1 HTTP/1.1\r\n${AUTHORIZED}If-None-Match: "x"\r\n${close}`,
    ];
    const mutation = fc.record({
      base: fc.constantFrom(...valid),
      at: fc.nat(200),
      remove: fc.nat(8),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 8 }),
        fc.constantFrom("\r\n", "\0", "%", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n", "\xff\xfe", ": ")
          .map((text) => encoder.encode(text)),
      ),
      cut: fc.option(fc.nat(200), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(mutation, async ({ base, at, remove, insert, cut }) => {
        const bytes = [...encoder.encode(base)];
        bytes.splice(at % bytes.length, remove, ...insert);
        const connection = await Deno.connect({ hostname: "127.0.0.1", port });
        const whole = new Uint8Array(cut === undefined ? bytes : bytes.slice(0, cut));
        await connection.write(whole).catch(() => {});
        connection.closeWrite().catch(() => {});
        const answer = await new Response(connection.readable).text().catch(() => "");
        assert.doesNotMatch(answer, /HTTP\/1\.1 5\d\d/);
      }),
      { numRuns: 400 },
    );
    assert.match(await exchange(port, `GET /health HTTP/1.1\r\nHost: s\r\n${close}`), /"ok"/);
    assert.deepEqual(log.lines.filter(({ level }) => level === "error"), []);
  });
});

Deno.test("over a socket: a body that comes in tiny pieces takes no more memory than it has bytes, about", async () => {
  await listening(async (port) => {
    const PIECES = 1_500;
    const MIB = 1024 * 1024;
    for (const chunked of [true, false]) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      connection.setNoDelay(true);
      const send = (text: string) => connection.write(encoder.encode(text));
      const length = chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${PIECES}`;
      await send(`PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}${length}\r\n\r\n`);
      const before = Deno.memoryUsage().external;
      for (let i = 0; i < PIECES - 1; i++) {
        await send(chunked ? "1\r\n1\r\n" : "1");
        // Each is read before the next one comes.
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      // Deno reads into 64 KiB at a time. Those may wait for the collector, which comes when they get many.
      const more = Deno.memoryUsage().external - before;
      assert(more < 64 * MIB, `${more} bytes for ${PIECES}`);
      await send(chunked ? "1\r\n1\r\n0\r\n\r\n" : "1");
      const answer = new Uint8Array(16);
      await connection.read(answer);
      assert.equal(new TextDecoder().decode(answer), "HTTP/1.1 200 OK\r");
      connection.close();
    }
  });
});
