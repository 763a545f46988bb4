import assert from "assert";
import { S3Emulator } from "../../../tests/s3/emulator.ts";
import { systemClock } from "../../seams/clock.ts";
import { StorageError } from "../store.ts";
import type { ObjectClient } from "./object_client.ts";
import { ObjectError } from "./object_error.ts";
import { openS3Client, parsePlace, type S3Options } from "./s3_client.ts";
import { openStore, optionsFor } from "./testing.ts";

const BODY = new TextEncoder().encode("body");
const signal = () => AbortSignal.timeout(5_000);

async function withClient(work: (client: ObjectClient, emulator: S3Emulator) => Promise<void>): Promise<void> {
  await using emulator = await S3Emulator.start();
  const client = await openS3Client(optionsFor(emulator.endpoint), systemClock);
  try {
    await work(client, emulator);
  } finally {
    client.close();
  }
}

async function errorOf(promise: Promise<unknown>): Promise<ObjectError> {
  const error = await promise.then(() => assert.fail("it succeeded"), (reason) => reason);
  assert.ok(error instanceof ObjectError, String(error));
  return error;
}

Deno.test("each kind of request, and its answer", async () => {
  await withClient(async (client) => {
    assert.equal(await client.get("k", signal()), undefined);
    assert.equal(await client.head("k", signal()), undefined);
    const stored = await client.put("k", BODY, { ifNoneMatch: true }, signal());
    assert.ok(stored.kind === "stored");
    assert.deepEqual(await client.get("k", signal()), { bytes: BODY, etag: stored.etag });
    assert.deepEqual(await client.head("k", signal()), { size: BODY.length, etag: stored.etag });
    assert.deepEqual(await client.put("k", BODY, { ifNoneMatch: true }, signal()), { kind: "refused" });
    assert.deepEqual(await client.put("k", BODY, { ifMatch: '"x"' }, signal()), { kind: "refused" });
    assert.deepEqual(await client.put("none", BODY, { ifMatch: '"x"' }, signal()), { kind: "refused" });
    assert.equal(await client.delete("k", '"x"', signal()), "refused");
    assert.equal(await client.delete("k", stored.etag, signal()), "deleted");
    assert.equal(await client.delete("k", stored.etag, signal()), "refused");
    assert.equal(await client.delete("k", undefined, signal()), "deleted");
    await client.createBucket(signal());
  });
});

Deno.test("keys with every character that a storage name may have arrive as they are, and are listed in pages", async () => {
  await withClient(async (client, emulator) => {
    const keys = ["files/a%5Fb_c%20d.json.enc", "files/s_%C3%A9+x.json.enc", "files/s_-.json.enc", "files/s_..x"];
    for (const key of keys) {
      await client.put(key, BODY, undefined, signal());
      assert.notEqual(emulator.bytes(key), undefined);
      assert.deepEqual((await client.get(key, signal()))?.bytes, BODY);
    }
    const listed: string[] = [];
    for (let continuation: string | undefined, more = true; more;) {
      const page = await client.list({ prefix: "files/", limit: 1, ...(continuation && { continuation }) }, signal());
      listed.push(...page.entries.map((entry) => entry.key));
      continuation = page.next;
      more = continuation !== undefined;
    }
    assert.deepEqual(listed, [...keys].sort());
    const rest = await client.list({ prefix: "files/", startAfter: listed[1]!, limit: 10 }, signal());
    assert.deepEqual(rest.entries.map((entry) => entry.key), listed.slice(2));
    assert.ok(rest.entries.every((entry) => entry.size === BODY.length && entry.modifiedMs > 0 && entry.etag !== ""));
  });
});

Deno.test("keys that begin alike up to a delimiter are one item, over pages of any size", async () => {
  await withClient(async (client) => {
    const keys = ["files/a%5Fb_1", "files/a%5Fb_2_3", "files/alone", "files/b_1", "files/b_2", "files/b+_1", "other_1"];
    for (const key of keys) await client.put(key, BODY, undefined, signal());
    for (const limit of [1, 2, 3, 1_000]) {
      const [alone, prefixes]: [string[], string[]] = [[], []];
      let continuation: string | undefined;
      for (;;) {
        const query = { prefix: "files/", delimiter: "_", limit, ...(continuation && { continuation }) };
        const page = await client.list(query, signal());
        assert.ok(page.entries.length + page.prefixes!.length <= limit);
        alone.push(...page.entries.map((entry) => entry.key));
        prefixes.push(...page.prefixes!);
        continuation = page.next;
        if (continuation === undefined) break;
      }
      assert.deepEqual([alone, prefixes], [["files/alone"], ["files/a%5Fb_", "files/b+_", "files/b_"]]);
    }
  });
});

Deno.test("a request goes out once: not again when its reused connection breaks, nor when it is called off", async () => {
  await withClient(async (client, emulator) => {
    for (const effect of [{ kind: "lost" }, { kind: "reset" }] as const) {
      await client.put("warm", BODY, undefined, signal());
      emulator.fault({ method: "PUT", key: "once", effect });
      const error = await errorOf(client.put(`once-${effect.kind}`, BODY, { ifNoneMatch: true }, signal()));
      assert.equal(error.kind, "ambiguous");
      assert.equal(emulator.count("PUT", `once-${effect.kind}`), 1);
    }
    await client.put("warm", BODY, undefined, signal());
    const held = Promise.withResolvers<void>();
    emulator.fault({ method: "PUT", key: "called-off", effect: { kind: "late", until: held.promise } });
    const controller = new AbortController();
    const put = errorOf(client.put("called-off", BODY, undefined, controller.signal));
    while (emulator.count("PUT", "called-off") === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    controller.abort();
    assert.equal((await put).kind, "ambiguous");
    held.resolve();
    await client.put("warm", BODY, undefined, signal());
    assert.equal(emulator.count("PUT", "called-off"), 1);
  });
});

Deno.test("connections are used again", async () => {
  await withClient(async (client, emulator) => {
    for (let count = 0; count < 20; count++) await client.put(`k${count}`, BODY, undefined, signal());
    assert.equal(emulator.connections, 1);
  });
});

Deno.test("half a body, and a body that takes too long, are errors", async () => {
  await withClient(async (client, emulator) => {
    await client.put("k", new Uint8Array(1_000_000), undefined, signal());
    emulator.fault({ method: "GET", effect: { kind: "half" } });
    assert.equal((await errorOf(client.get("k", signal()))).kind, "ambiguous");
    const held = Promise.withResolvers<void>();
    emulator.fault({ method: "GET", effect: { kind: "half", until: held.promise } });
    assert.equal((await errorOf(client.get("k", AbortSignal.timeout(50)))).kind, "ambiguous");
    held.resolve();
  });
});

Deno.test("a signature is dated by the clock of the process, wrong as it may be", async () => {
  await using emulator = await S3Emulator.start();
  const clock = { ...systemClock, now: () => Date.parse("2031-02-03T04:05:06Z") };
  const client = await openS3Client(optionsFor(emulator.endpoint), clock);
  for (let count = 0; count < 2; count++) {
    await client.get("k", signal());
    assert.match(emulator.seen.at(-1)!.date!, /^20310203T0405/);
  }
  client.close();
});

Deno.test("what the flags say is checked before anything is sent", () => {
  const wrong: readonly (readonly [Partial<S3Options>, RegExp])[] = [
    [{ endpoint: "http://127.0.0.1:9000" }, /-s3-endpoint is host:port without a scheme/],
    [{ endpoint: "minio:9000/path" }, /-s3-endpoint/],
    [{ endpoint: "minio:port" }, /-s3-endpoint/],
    [{ endpoint: "" }, /-s3-endpoint/],
    [{ bucket: "" }, /-s3-bucket/],
    [{ accessKey: "" }, /-s3-access-key/],
    [{ secretKey: "" }, /-s3-secret-key/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(
      () => parsePlace({ ...optionsFor("minio:9000"), ...options }),
      (error) => error instanceof StorageError && error.reason === "configuration" && message.test(error.message),
    );
  }
  for (const endpoint of ["minio:9000", "[::1]:9000", "s3.eu-west-1.amazonaws.com", "192.168.1.2:80", "s3_store:1"]) {
    const place = parsePlace(optionsFor(endpoint));
    assert.deepEqual([place.endpoint, place.region], [`http://${endpoint}`, "us-east-1"]);
    assert.equal(place.aws, endpoint.includes("amazonaws"));
  }
  assert.equal(
    parsePlace(optionsFor("s3.amazonaws.com:443", { useSsl: true })).endpoint,
    "https://s3.amazonaws.com:443",
  );
  assert.equal(parsePlace(optionsFor("amazonaws.com.example.org:1")).aws, false);
});

const openssl = await new Deno.Command("sh", { args: ["-c", "command -v openssl"], stdout: "null" }).output();

Deno.test({
  name: "TLS: an authority that is not known, and plain HTTP where TLS is wanted, are one clear line each",
  ignore: !openssl.success,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "deltadb-tls-" });
    try {
      const made = await new Deno.Command("openssl", {
        args: [
          ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
          ...["-keyout", `${directory}/key.pem`, "-out", `${directory}/cert.pem`, "-subj", "/CN=localhost"],
        ],
        stderr: "null",
      }).output();
      assert.ok(made.success);
      const [cert, key] = await Promise.all(
        ["cert", "key"].map((file) => Deno.readTextFile(`${directory}/${file}.pem`)),
      );
      const server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, cert: cert!, key: key!, onListen: () => {} },
        () => new Response(null, { status: 404 }),
      );
      const endpoint = `127.0.0.1:${server.addr.port}`;
      const refusal = (useSsl: boolean) =>
        openStore(endpoint, {}, { useSsl }).then(() => assert.fail("it opened"), (error: StorageError) => error);
      const untrusted = await refusal(true);
      assert.deepEqual([untrusted.reason, /certificate .* is not trusted/.test(untrusted.message)], [
        "configuration",
        true,
      ]);
      const plain = await refusal(false);
      assert.deepEqual([plain.reason, /-s3-use-ssl=true/.test(plain.message)], ["configuration", true]);
      await server.shutdown();
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
