import assert from "assert";
import fc from "fast-check";
import { ConfigError, type FlagTable, helpText, parseFlags, variableName } from "./flags.ts";
import { type Address, bool, count, credential, listenAddress } from "./values.ts";

const table = {
  "rest-addr": { kind: listenAddress, default: "127.0.0.1:8080", group: "Network", help: "Where REST is served." },
  "metrics-addr": { kind: listenAddress, absent: "off", group: "Network", help: "Where metrics are served." },
  "s3-use-ssl": { kind: bool, default: "false", group: "Storage", help: "Use TLS." },
  "cache-size": { kind: count(0, 1_000), default: "256", group: "Storage", help: "Entries of the cache." },
  "admin-key": { kind: credential, secret: true, absent: "none", group: "Security", help: "The credential." },
} as const satisfies FlagTable;

const noEnvironment = new Map<string, string>();

function read(args: string[], env: Record<string, string> = {}) {
  const parsed = parseFlags(table, args, new Map(Object.entries(env)));
  assert.ok(parsed.kind === "values");
  return parsed;
}

function refusal(args: string[], env: Record<string, string> = {}): string {
  try {
    parseFlags(table, args, new Map(Object.entries(env)));
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.ok(!error.message.includes("\n"), "one line");
    return error.message;
  }
  assert.fail(`${args.join(" ")} was accepted`);
}

Deno.test("flags: each spelling gives the same value, typed by its kind", () => {
  for (
    const args of [
      ["-rest-addr=[::1]:81"],
      ["--rest-addr=[::1]:81"],
      ["-rest-addr", "[::1]:81"],
      ["--rest-addr", "[::1]:81"],
    ]
  ) {
    const { values } = read(args);
    const address: Address = values.restAddr;
    const size: number = values.cacheSize;
    const metrics: Address | undefined = values.metricsAddr;
    assert.deepEqual([address, size, metrics], [{ host: "::1", port: 81 }, 256, undefined]);
  }
});

Deno.test("flags: a boolean needs no value, and takes one only after an equals sign", () => {
  assert.equal(read([]).values.s3UseSsl, false);
  assert.equal(read(["-s3-use-ssl"]).values.s3UseSsl, true);
  assert.equal(read(["-s3-use-ssl=false"], { S3_USE_SSL: "true" }).values.s3UseSsl, false);
  assert.equal(read(["-s3-use-ssl", "-cache-size=1"]).values.cacheSize, 1);
  assert.equal(
    refusal(["-s3-use-ssl", "false"]),
    "argument 2 after -s3-use-ssl is not a flag; write -s3-use-ssl=true or -s3-use-ssl=false",
  );
});

Deno.test("flags: the last of repeated ones wins", () => {
  assert.equal(read(["-cache-size=1", "--cache-size", "2"]).values.cacheSize, 2);
});

Deno.test("flags: a flag beats its variable, an empty one counts as absent", () => {
  assert.equal(read([], { CACHE_SIZE: "7" }).values.cacheSize, 7);
  assert.equal(read([], { CACHE_SIZE: " 7\n" }).values.cacheSize, 7);
  assert.equal(read(["-cache-size=8"], { CACHE_SIZE: "7" }).values.cacheSize, 8);
  assert.equal(read(["-cache-size=8"], { CACHE_SIZE: "junk" }).values.cacheSize, 8);
  assert.equal(read([], { CACHE_SIZE: "", ADMIN_KEY: "" }).values.cacheSize, 256);
  assert.equal(read([], { ADMIN_KEY: "" }).values.adminKey, undefined);
  assert.equal(read(["-admin-key="], { ADMIN_KEY: "from-environment" }).values.adminKey, undefined);
});

Deno.test("flags: what is in force is told with its source and without secrets", () => {
  const { effective } = read(["-admin-key=canary", "-cache-size=8"], { REST_ADDR: ":1" });
  assert.deepEqual(effective, [
    { name: "rest-addr", value: ":1", source: "environment" },
    { name: "metrics-addr", value: "off", source: "default" },
    { name: "s3-use-ssl", value: "false", source: "default" },
    { name: "cache-size", value: "8", source: "flag" },
    { name: "admin-key", value: "set", source: "flag" },
  ]);
});

Deno.test("flags: help in each spelling, wherever it stands", () => {
  for (const args of [["-h"], ["--help"], ["-help"], ["-cache-size=1", "--h"]]) {
    assert.deepEqual(parseFlags(table, args, noEnvironment), { kind: "help" });
  }
});

Deno.test("flags: an unknown one is named, with the one that was meant", () => {
  assert.equal(refusal(["-rest-adr=:1"]), "unknown flag -rest-adr; did you mean -rest-addr?");
  assert.equal(refusal(["--admin_key=x"]), "unknown flag -admin_key; did you mean -admin-key?");
  assert.equal(refusal(["-verbose"]), "unknown flag -verbose; -h lists the flags");
  assert.equal(refusal(["-constructor=1"]), "unknown flag -constructor; -h lists the flags");
  assert.equal(refusal(["-__proto__=1"]), "an argument that starts with a dash is not a flag; -h lists the flags");
});

Deno.test("flags: a missing value, a value for nothing", () => {
  assert.equal(refusal(["-cache-size"]), "-cache-size needs a value: -cache-size=<number>");
  assert.equal(refusal(["-cache-size", "-rest-addr=:1"]), "-cache-size needs a value: -cache-size=<number>");
  assert.equal(refusal(["serve"]), "argument 1 is not a flag; flags start with a dash");
  assert.equal(refusal(["-cache-size=1", ""]), "argument 2 after -cache-size is not a flag; flags start with a dash");
  for (const odd of ["-", "--", "---x", "-=x", "--=x"]) refusal([odd]);
});

Deno.test("flags: a bad value is told with its flag or its variable", () => {
  assert.equal(refusal(["-cache-size=many"]), '-cache-size "many" is not valid: want a whole number from 0 to 1000');
  assert.equal(refusal([], { CACHE_SIZE: "-1" }), 'CACHE_SIZE "-1" is not valid: want a whole number from 0 to 1000');
  assert.match(refusal([`-cache-size=${"9".repeat(500)}`]), /^-cache-size "9{80}…" is not valid/);
});

Deno.test("flags: no error repeats a secret, wherever it was put", () => {
  const canary = "Canary-5ecret/7f3a";
  const spaced = `${canary} x`;
  for (
    const args of [
      [`-admin-key=${spaced}`],
      ["-admin-key", spaced],
      ["-admin-key=", canary],
      [`-admin-kye=${canary}`],
      [canary],
      [`-${canary}`],
      ["-cache-size=1", canary],
    ]
  ) {
    assert.ok(!refusal(args).includes("Canary"), args.join(" "));
  }
  assert.equal(
    refusal([], { ADMIN_KEY: spaced }),
    "ADMIN_KEY is not valid: want visible ASCII characters without spaces",
  );
});

Deno.test("flags: any command line gives values, help or a ConfigError of one line", () => {
  const names = fc.constantFrom(...Object.keys(table), "x", "");
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("1", "true", ":80", "", "\n"));
  const argument = fc.oneof(
    texts,
    fc.tuple(fc.constantFrom("-", "--"), names).map((parts) => parts.join("")),
    fc.tuple(fc.constantFrom("-", "--"), names, fc.constant("="), texts).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 6 }), fc.dictionary(names.map(variableName), texts), (args, env) => {
      try {
        parseFlags(table, args, new Map(Object.entries(env)));
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.ok(!error.message.includes("\n"));
      }
    }),
  );
});

Deno.test("help: each flag under its heading, with its variable and its default, in narrow lines", () => {
  const text = helpText("main-worker", "Serves.", table);
  for (const name of Object.keys(table)) {
    assert.match(text, new RegExp(`^  -${name}( <.*>)? +${variableName(name)}$`, "m"));
  }
  assert.match(text, /^Network:$[^]*\(default 127\.0\.0\.1:8080\)[^]*\(off\)[^]*^Storage:$/m);
  assert.ok(text.split("\n").every((line) => line.length <= 100));
  assert.ok(text.endsWith("\n") && !text.endsWith("\n\n"));
});
