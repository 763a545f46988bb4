import assert from "assert";
import fc from "fast-check";
import { MASTER_KEYS_MAX } from "../limits.ts";
import {
  advertiseAddress,
  bool,
  bucketName,
  choice,
  count,
  credential,
  defaultWorkerId,
  dialAddress,
  duration,
  endpoint,
  formatAddress,
  formatDuration,
  formatSize,
  hostName,
  isLoopback,
  isUnspecified,
  keyId,
  type Kind,
  logLevel,
  namedKeys,
  parseAddress,
  parseDuration,
  parseHexKey,
  parseSize,
  path,
  powerOfTwo,
  region,
  size,
  threads,
  ValueError,
  workerId,
} from "./values.ts";

function refuses(parse: (text: string) => unknown, ...texts: string[]): void {
  for (const text of texts) assert.throws(() => parse(text), ValueError, JSON.stringify(text));
}

Deno.test("durations: Go's notation and days", () => {
  const cases: Record<string, number> = {
    "0": 0,
    "0s": 0,
    "90s": 90_000,
    "1h30m": 5_400_000,
    "1.5h": 5_400_000,
    ".5s": 500,
    "1.s": 1_000,
    "250ms": 250,
    "7d": 604_800_000,
    "1d12h": 129_600_000,
    "24h": 86_400_000,
    "1500us": 2,
    "1500µs": 2,
    "1500μs": 2,
    "1ns": 1,
    "30m1h": 5_400_000,
  };
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text), ms, text);
});

Deno.test("durations: everything else is refused", () => {
  refuses(
    parseDuration,
    "",
    "1",
    "s",
    "1 s",
    "-1s",
    "+1s",
    "1h ",
    "1x",
    "1e3s",
    ".s",
    "1H",
    "1h30",
    "36501d",
    "9".repeat(400) + "h",
  );
  refuses(duration(1_000, 60_000).parse, "999ms", "61s", "0");
  assert.throws(() => duration(1_000, 60_000).parse("2m"), { message: "must be between 1s and 1m" });
});

Deno.test("durations: what formatDuration writes is read back", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 10 * 365 * 86_400_000 }), (ms) => {
    assert.equal(parseDuration(formatDuration(ms)), ms);
  }));
});

Deno.test("sizes: bytes and binary units", () => {
  assert.equal(parseSize("0"), 0);
  assert.equal(parseSize("1048576"), 1_048_576);
  assert.equal(parseSize("4KiB"), 4_096);
  assert.equal(parseSize("64MiB"), 67_108_864);
  assert.equal(parseSize("2GiB"), 2_147_483_648);
  refuses(parseSize, "", "-1", "1.5MiB", "1MB", "1 MiB", "1k", "0x10", "1e6", "9007199254740993", "999999999999999GiB");
  refuses(size(10, 20).parse, "9", "21");
  fc.assert(fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => {
    assert.equal(parseSize(formatSize(bytes)), bytes);
  }));
});

Deno.test("numbers: bounds hold at both ends", () => {
  assert.equal(count(1, 3).parse("1"), 1);
  assert.equal(count(1, 3).parse("3"), 3);
  refuses(count(1, 3).parse, "0", "4", "1.0", "+1", " 1", "", "one");
  assert.equal(powerOfTwo(1, 1_024).parse("1"), 1);
  assert.equal(powerOfTwo(1, 1_024).parse("1024"), 1_024);
  refuses(powerOfTwo(1, 1_024).parse, "0", "3", "2048", "-2", "");
  assert.equal(threads.parse("auto"), "auto");
  assert.equal(threads.parse("64"), 64);
  refuses(threads.parse, "0", "65", "AUTO", "", "1.5");
});

Deno.test("truth values as strconv.ParseBool reads them", () => {
  for (const text of ["1", "t", "T", "TRUE", "true", "True"]) assert.equal(bool.parse(text), true);
  for (const text of ["0", "f", "F", "FALSE", "false", "False"]) assert.equal(bool.parse(text), false);
  refuses(bool.parse, "", "yes", "no", "on", "tRUE", "2");
});

Deno.test("words: choices and log levels", () => {
  assert.equal(choice(["json", "text"]).parse("text"), "text");
  refuses(choice(["json", "text"]).parse, "xml", "", "JSON");
  assert.equal(logLevel.parse("WARN"), "warn");
  assert.equal(logLevel.parse("Warning"), "warn");
  refuses(logLevel.parse, "trace", "", "fatal");
});

Deno.test("addresses: names, IPv4, IPv6, empty hosts and port 0", () => {
  assert.deepEqual(parseAddress("127.0.0.1:50051"), { host: "127.0.0.1", port: 50_051 });
  assert.deepEqual(parseAddress("[::1]:8080"), { host: "::1", port: 8_080 });
  assert.deepEqual(parseAddress("[fe80::1%eth0]:1"), { host: "fe80::1%eth0", port: 1 });
  assert.deepEqual(parseAddress(":8080"), { host: "", port: 8_080 });
  assert.deepEqual(parseAddress("localhost:0"), { host: "localhost", port: 0 });
  assert.deepEqual(parseAddress("main_worker.db-1.svc.:65535"), { host: "main_worker.db-1.svc.", port: 65_535 });
  refuses(
    parseAddress,
    "",
    "localhost",
    "localhost:",
    "::1:8080",
    "[::1]",
    "[::1]8080",
    "[]:80",
    "[zz::1]:80",
    "[1.2.3.4]:80",
    "1.2.3:80",
    "1.2.3.256:80",
    "a..b:80",
    "-a:80",
    "a b:80",
    "a:65536",
    "a:-1",
    "a:080808",
    "a:http",
    "http://a:80",
    "a/b:80",
    `${"a".repeat(254)}:80`,
  );
  assert.throws(() => parseAddress("::1"), { message: "an IPv6 address goes in brackets: [::1]:8080" });
});

Deno.test("addresses: what formatAddress writes is read back", () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain().filter((name) => name.length < 250), fc.constant(""));
  fc.assert(fc.property(host, fc.nat({ max: 65_535 }), (host, port) => {
    assert.deepEqual(parseAddress(formatAddress({ host, port })), { host, port });
  }));
});

Deno.test("addresses: what can be dialled, advertised, and what everybody reaches", () => {
  assert.deepEqual(dialAddress.parse("main:50051"), { host: "main", port: 50_051 });
  refuses(dialAddress.parse, ":50051", "0.0.0.0:50051", "[::]:50051", "main:0");
  assert.deepEqual(advertiseAddress.parse(":50052"), { host: "", port: 50_052 });
  refuses(advertiseAddress.parse, "pod:0");
  assert.ok(isUnspecified("0.0.0.0") && isUnspecified("::") && isUnspecified("0:0:0:0:0:0:0:0") && isUnspecified(""));
  assert.ok(!isUnspecified("::1") && !isUnspecified("10.0.0.0"));
  assert.ok(isLoopback("127.0.0.9") && isLoopback("::1") && isLoopback("localhost") && !isLoopback("0.0.0.0"));
});

Deno.test("endpoints: a service with or without a port, never a URL", () => {
  for (const text of ["minio:9000", "s3.amazonaws.com", "[::1]:9000"]) assert.equal(endpoint.parse(text), text);
  refuses(endpoint.parse, "", "http://minio:9000", "minio:9000/bucket", ":9000", "0.0.0.0:9000", "minio:0", "a:b:c");
});

Deno.test("hosts: a name or an address, without a port", () => {
  for (const text of ["deltadatabase", "db.example.com", "10.0.0.7", "::1"]) assert.equal(hostName.parse(text), text);
  refuses(hostName.parse, "", "db:50051", "[::1]", "a b", "1.2.3", "a..b", "https://db");
});

Deno.test("names: worker ids, key ids, buckets, regions, paths, credentials", () => {
  for (const id of ["proc-1", "proc-7f9c4b.node_3", "p"]) assert.equal(workerId.parse(id), id);
  refuses(workerId.parse, "", "-p", "p-", "a b", "a/b", "é", "a\n", "p".repeat(129));
  assert.equal(keyId.parse("main-key-v1"), "main-key-v1");
  refuses(keyId.parse, "", "a,b", "a:b", "k".repeat(65));
  assert.equal(bucketName.parse("my-deltadatabase-bucket"), "my-deltadatabase-bucket");
  refuses(bucketName.parse, "ab", "Abc", "a_b", "-abc", "abc.", "a".repeat(64));
  refuses(region.parse, "", "us east", "us/east");
  assert.equal(path.parse("./data/db"), "./data/db");
  refuses(path.parse, "a\0b", "a\nb", "x".repeat(4_097));
  assert.equal(credential.parse("s3cret!"), "s3cret!");
  refuses(credential.parse, "a b", "a\tb", "ключ", "x".repeat(4_097));
});

Deno.test("a default worker id can be made of any host name", () => {
  assert.equal(defaultWorkerId("node-3"), "proc-node-3");
  assert.equal(defaultWorkerId(""), "proc-1");
  assert.equal(defaultWorkerId("---"), "proc-1");
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (hostname) => {
    assert.equal(workerId.parse(defaultWorkerId(hostname)), defaultWorkerId(hostname));
  }));
});

Deno.test("keys: 64 hex digits, a fresh array each time", () => {
  const hex = "00ff".repeat(16);
  const key = parseHexKey(hex.toUpperCase());
  assert.equal(key.toHex(), hex);
  key.fill(0);
  assert.equal(parseHexKey(hex).toHex(), hex);
  refuses(parseHexKey, "", "00", hex + "00", "0x" + hex.slice(2), hex.slice(0, 63) + "g", ` ${hex.slice(1)}`);
});

Deno.test("old keys: a list of ids and keys", () => {
  const [a, b] = ["a1".repeat(32), "b2".repeat(32)];
  const keys = namedKeys.parse(`v1:${a}, v2:${b} ,`);
  assert.deepEqual(keys.map((key) => [key.id, key.key.toHex()]), [["v1", a], ["v2", b]]);
  assert.deepEqual(namedKeys.parse(" , "), []);
  refuses(namedKeys.parse, "v1", `:${a}`, "v1:00", `v1:${a},v1:${b}`, `v/1:${a}`);
  refuses(namedKeys.parse, Array.from({ length: 16 }, (_, index) => `v${index}:${a}`).join(","));
});

Deno.test("old keys: what is wrong in a list is said by its place, without anything of a key", () => {
  const hex = "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210";
  const cases: readonly (readonly [string, RegExp])[] = [
    [hex, /key 1 of the list has no id before a colon/],
    [`a:${hex},${hex}`, /key 2 of the list has no id before a colon/],
    [`a:${hex},:${hex}`, /key 2 of the list has no id before a colon/],
    [`a:${hex},b:${hex}0`, /key 2 of the list: want 64 hex digits/],
    [`a:${hex},b:${hex.replace("f", "g")}`, /key 2 of the list: want 64 hex digits/],
    [`${hex}:main`, /key 1 of the list: want 64 hex digits/],
    [`a:b:${hex}`, /key 1 of the list: want 64 hex digits/],
    [`${hex}0:${hex}`, /key 1 of the list: longer than 64 characters/],
    [`a:${hex},b:${hex},a:${hex}`, /key 3 of the list has the id of an earlier one/],
    [Array.from({ length: MASTER_KEYS_MAX }, (_, index) => `k${index}:${hex}`).join(), /at most 15 old keys/],
  ];
  for (const [text, said] of cases) {
    assert.throws(() => namedKeys.parse(text), (error) => {
      assert.ok(error instanceof ValueError);
      assert.match(error.message, said);
      const shown = Deno.inspect(error) + error.message;
      for (let at = 0; at + 8 <= hex.length; at++) assert.ok(!shown.includes(hex.slice(at, at + 8)), shown);
      return true;
    });
  }
});

Deno.test("no parser's error repeats the text, and no text makes a parser fail in another way", () => {
  const kinds: Kind<unknown>[] = [
    duration(),
    size(0, 10),
    count(0, 9),
    powerOfTwo(1, 8),
    bool,
    logLevel,
    threads,
    dialAddress,
    advertiseAddress,
    endpoint,
    hostName,
    path,
    workerId,
    keyId,
    credential,
    bucketName,
    region,
    namedKeys,
    { name: "key", parse: parseHexKey },
  ];
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^[\dhms.:[\]%a-f,]*$/),
    fc.constant("canary-7c1f/ \u0000"),
  );
  fc.assert(fc.property(fc.constantFrom(...kinds), texts, (kind, text) => {
    try {
      kind.parse(text);
    } catch (error) {
      assert.ok(error instanceof ValueError);
      assert.ok(!error.message.includes("canary-7c1f"));
      assert.ok(!error.message.includes("\n"));
    }
  }));
});
