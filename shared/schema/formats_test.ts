import assert from "assert";
import { FORMATS } from "./formats.ts";

const CASES: Record<string, [accepted: unknown[], refused: unknown[]]> = {
  date: [["2024-02-29"], ["2023-02-29", "2024-13-01", "24-01-01", "2024-1-1", "2024-02-29 "]],
  time: [["10:00:00Z", "23:59:60Z", "10:00:00.123+02:00"], ["10:00", "25:00:00Z", "10:00:00"]],
  "date-time": [["2024-05-01T10:00:00Z", "2024-05-01t10:00:00.5-01:30"], ["2024-05-01", "2024-05-01T10:00:00", "x"]],
  duration: [["P1Y2M3DT4H5M6S", "P1W", "PT1S"], ["P", "1Y", "PT", "P1S"]],
  email: [["a.b+c@example.org"], ["a", "a@", "@b", "a b@example.org", `${"a".repeat(400)}@example.org`]],
  "idn-email": [["用户@例え.jp", "a@example.org"], ["a", "@b.c", "a b@c.d"]],
  hostname: [["example.org", "a-b.c", "xn--bcher-kva.example"], [
    "-a",
    "a_b",
    "a..b",
    "a".repeat(64),
    `${"a.".repeat(130)}a`,
  ]],
  "idn-hostname": [["bücher.example", "example.org"], ["-a", "a b", "a/b", ""]],
  ipv4: [["127.0.0.1", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4 "]],
  ipv6: [["::1", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4"], ["1.2.3.4", ":::", "fe80::1%eth0", "12345::"]],
  uuid: [["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380", "x"]],
  uri: [
    ["http://example.org/a?b#c", "urn:isbn:1", "mailto:a@b.c", "http://[::1]:80/", "a:b%20c", "ftp://u:p@h/"],
    [
      "/a",
      "a",
      "http://a b",
      "http://a/%zz",
      "http://[::g]/",
      "http://a:x/",
      "a:b#c#d",
      "http://a/<x>",
      "http://a/é",
      ":a",
      "1a:b",
    ],
  ],
  "uri-reference": [["/a", "a", "", "#x", "?y", "../b", "http://example.org/", "//host/p"], [
    "\\a",
    "a b",
    "%",
    "#a#b",
    ":a",
    "[a]",
  ]],
  iri: [["http://exämple.org/é", "http://example.org/"], ["é", "http://a b/", "http://a/<x>"]],
  "iri-reference": [["é/ü", "a", ""], ["a b", "\\x"]],
  url: [["https://example.org/x"], ["urn:a:b", "http://", "example.org"]],
  "uri-template": [["http://a/{b}", "{+path}/x{?q,r*}", "{a:3}", "plain", ""], [
    "{",
    "}",
    "{a",
    "{}",
    "a b",
    "{a{b}}",
    "{^a}",
  ]],
  "json-pointer": [["", "/a/b", "/a~0b~1c", "/"], ["a", "/~", "/~2", "#/a"]],
  "json-pointer-uri-fragment": [["#", "#/a", "#/a%25"], ["/a", "#a", "#/~2", "#/%"]],
  "relative-json-pointer": [["0", "1/a", "0#", "12/b~0"], ["/a", "01", "-1", "1a", "0##", ""]],
  regex: [["^a+$", "(?=a)"], ["(", "[b-a]", "\\"]],
  byte: [["", "QQ==", "QUI=", "QUJD"], ["Q", "QQ=", "====", "Q===", "QU*D", "Q=QQ"]],
  int32: [[0, 2 ** 31 - 1, -(2 ** 31)], [2 ** 31, -(2 ** 31) - 1, 1.5, Infinity]],
  int64: [[0, 2 ** 53], [1.5, 1e19, Infinity]],
};

function accepts(name: string, value: unknown): boolean {
  const format = FORMATS.get(name)!;
  return typeof format === "function" ? format(value as string) : format.validate(value as number);
}

Deno.test("each format accepts what it describes and nothing else", () => {
  for (const [name, [accepted, refused]] of Object.entries(CASES)) {
    for (const value of accepted) assert.equal(accepts(name, value), true, `${name} refuses ${value}`);
    for (const value of refused) assert.equal(accepts(name, value), false, `${name} accepts ${value}`);
  }
});

Deno.test("each format has a case", () => {
  const withoutRules = ["iso-time", "iso-date-time"];
  assert.deepEqual([...FORMATS.keys()].filter((name) => !(name in CASES)), withoutRules);
});

Deno.test("no text makes a format throw or take more than linear time", () => {
  const size = 200_000;
  const pieces = [
    "a",
    "1",
    "/",
    "~",
    "%",
    "%4",
    "{",
    "{a}",
    "{a,",
    ":",
    "[",
    "]",
    "@",
    "a.",
    "a-",
    "::",
    "-",
    "\\",
    "(",
    "t",
    " ",
    "é",
  ];
  pieces.push("\ud800", "http://", "//", "a:", "//a@", "=", "P1Y", "#", "?", "0", ".", "x@", "+", "1:");
  for (const name of FORMATS.keys()) {
    if (typeof FORMATS.get(name) !== "function") continue;
    for (const piece of pieces) {
      const many = piece.repeat(size / piece.length);
      for (const text of [many, `a:${many}`, `http://${many}!`, `/${many}\u0000`, `{${many}`]) accepts(name, text);
    }
  }
});
