import assert from "assert";
import fc from "fast-check";
import { JSON_DEPTH_MAX } from "../limits.ts";
import { scanDocument } from "./scanner.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const scan = (text: string) => scanDocument(encode(text));

function accepts(text: string): void {
  const result = scan(text);
  assert.equal(result.ok, true, `${text}: ${result.ok || result.reason}`);
}

function refuses(input: string | number[], offset: number, reason: RegExp): void {
  const result = scanDocument(typeof input === "string" ? encode(input) : new Uint8Array(input));
  assert.ok(!result.ok, `${input} was accepted`);
  assert.equal(result.code, "bad_json");
  assert.match(result.reason, reason);
  assert.equal(result.offset, offset, `${input}: ${result.reason}`);
}

Deno.test("a value is found without the white space around it", () => {
  assert.deepEqual(scan(' \t\r\n{"a": [1, 2 ]} \n'), { ok: true, start: 4, end: 18 });
  assert.deepEqual(scan("0"), { ok: true, start: 0, end: 1 });
  const view = encode('xx{"a":1}xx').subarray(2, 9);
  assert.deepEqual(scanDocument(view), { ok: true, start: 0, end: 7 });
});

Deno.test("nothing but white space is empty", () => {
  for (const text of ["", " ", "\n\t \r"]) {
    const result = scan(text);
    assert.ok(!result.ok && result.code === "empty", text);
  }
});

Deno.test("every kind of value is accepted", () => {
  for (
    const text of [
      ...["null", "true", "false", "0", "-0", "7", "-12", "1.0", "1.10", "0.5e1", "1E+2", "1e-2", "1e400", "-1e-400"],
      ...[
        "12345678901234567890",
        '""',
        '"a"',
        '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"',
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[[],{}]",
      ],
      ...['{"a":1,"a":2}', '{"":{"":[null]}}', '"\\ud800"', '"\\udc00\\ud800"', '"\u007f"', '"é"', '"漢"', '"😀"'],
      ...['{"__proto__":{"x":1}}', "[1,[2,[3]],4]", '[{"a":{"b":[]}},{"c":{}}]'],
    ]
  ) accepts(text);
});

Deno.test("what is not JSON is refused where it begins to be wrong", () => {
  refuses("nul", 0, /expected a JSON value/);
  refuses("nulL", 0, /expected a JSON value/);
  refuses("True", 0, /expected a JSON value/);
  refuses("NaN", 0, /expected a JSON value/);
  refuses("01", 0, /leading zero/);
  refuses("[-012]", 1, /leading zero/);
  refuses("-", 1, /ends where a digit/);
  refuses("-a", 1, /expected a digit/);
  refuses("1.", 2, /ends where a digit/);
  refuses(".5", 0, /expected a JSON value/);
  refuses("+1", 0, /expected a JSON value/);
  refuses("[1.e3]", 3, /expected a digit/);
  refuses("1e", 2, /ends where a digit/);
  refuses("1e+", 3, /ends where a digit/);
  refuses("1 2", 2, /unexpected data after/);
  refuses("{} x", 3, /unexpected data after/);
  refuses("[1,]", 3, /expected a JSON value/);
  refuses("[,1]", 1, /expected a JSON value/);
  refuses("[1 2]", 3, /expected ',' or ']'/);
  refuses("[1", 2, /ends where ',' or ']'/);
  refuses("[", 1, /ends where a JSON value/);
  refuses("{", 1, /ends where a member name/);
  refuses("{a:1}", 1, /expected a member name/);
  refuses("{'a':1}", 1, /expected a member name/);
  refuses('{"a" 1}', 5, /expected ':'/);
  refuses('{"a"', 4, /ends where ':'/);
  refuses('{"a":}', 5, /expected a JSON value/);
  refuses('{"a":1,}', 7, /expected a member name/);
  refuses('{"a":1 "b":2}', 7, /expected ',' or '}'/);
  refuses("[1}", 2, /expected ',' or ']'/);
  refuses('{"a":1]', 6, /expected ',' or '}'/);
  refuses("]", 0, /expected a JSON value/);
  refuses("// x\n1", 0, /expected a JSON value/);
  refuses("[1,\u00a02]", 3, /expected a JSON value/);
  refuses("\u0000", 0, /expected a JSON value/);
});

Deno.test("strings hold no raw control character and no unknown escape", () => {
  refuses('"a\nb"', 2, /control character/);
  refuses('"abcdefg\u0000"', 8, /control character/);
  refuses('"\\x41"', 1, /unknown escape/);
  refuses('"\\u12g4"', 1, /four hexadecimal digits/);
  refuses('"abc', 4, /ends inside a string/);
  refuses('"abcdefgh', 9, /ends inside a string/);
  refuses('"\\', 2, /ends inside a string/);
  refuses('"\\u12', 5, /ends inside a string/);
  refuses('"\\"', 3, /ends inside a string/);
});

Deno.test("text that is not UTF-8 is refused", () => {
  const inString = (...bytes: number[]) => [0x22, ...bytes, 0x22];
  const bad: number[][] = [
    [0x80],
    [0xbf],
    [0xc0, 0x80],
    [0xc1, 0xbf],
    [0xe0, 0x80, 0x80],
    [0xe0, 0x9f, 0xbf],
    [0xed, 0xa0, 0x80],
    [0xed, 0xbf, 0xbf],
    [0xf0, 0x80, 0x80, 0x80],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xff],
    [0xc3],
    [0xe2, 0x82],
    [0xf0, 0x9f, 0x98],
    [0xc3, 0x41],
    [0xe2, 0x28, 0xa1],
    [0xf0, 0x28, 0x8c, 0xbc],
  ];
  for (const bytes of bad) refuses(inString(...bytes), 1, /not valid UTF-8/);
  refuses([0x22, 0xc3], 1, /not valid UTF-8/);
  refuses([0x22, 0xf0, 0x9f], 1, /not valid UTF-8/);
  refuses([0xc3, 0xa9], 0, /expected a JSON value/);
});

Deno.test("a byte order mark is refused by name", () => {
  refuses([0xef, 0xbb, 0xbf, 0x31], 0, /byte order mark/);
  refuses([0x20, 0xef, 0xbb, 0xbf], 1, /expected a JSON value/);
});

Deno.test("the depth limit is exact", () => {
  const nest = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);
  accepts(nest("[", "]", JSON_DEPTH_MAX));
  refuses(nest("[", "]", JSON_DEPTH_MAX + 1), JSON_DEPTH_MAX, /deeper than 128 levels/);
  accepts(`${'{"a":'.repeat(JSON_DEPTH_MAX)}1${"}".repeat(JSON_DEPTH_MAX)}`);
  refuses(`${'{"a":'.repeat(JSON_DEPTH_MAX + 1)}1`, JSON_DEPTH_MAX * 5, /deeper than 128 levels/);
  refuses(nest("[", "]", 1_000_000), JSON_DEPTH_MAX, /deeper than 128 levels/);
  accepts(`[${Array(1_000).fill(nest("[", "]", JSON_DEPTH_MAX - 1)).join(",")}]`);
  assert.equal(scanDocument(encode("1"), 0).ok, true);
  assert.equal(scanDocument(encode("[]"), 0).ok, false);
});

/** What `JSON.parse` and a fatal decoder say of the same bytes. */
function platformAccepts(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

function agrees(bytes: Uint8Array): void {
  const result = scanDocument(bytes, 1_000_000);
  assert.equal(result.ok, platformAccepts(bytes), `${[...bytes]}: ${result.ok || result.reason}`);
  if (result.ok) {
    const text = new TextDecoder().decode(bytes);
    assert.equal(new TextDecoder().decode(bytes.subarray(result.start, result.end)), text.trim());
  } else {
    assert.ok(result.offset >= 0 && result.offset <= bytes.length);
  }
}

Deno.test("property: accepts what JSON.parse writes, with any white space", () => {
  fc.assert(
    fc.property(
      fc.json({ stringUnit: "binary" }),
      fc.constantFrom(0, 1, 3),
      fc.stringMatching(/^[ \t\r\n]*$/),
      (json, indent, space) => {
        agrees(encode(space + JSON.stringify(JSON.parse(json), null, indent) + space));
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("property: agrees with JSON.parse on bytes that resemble JSON", () => {
  const piece = fc.constantFrom(
    ...[
      '{"a":',
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      '"x"',
      "\\",
      "\\u",
      "00e9",
      "d8",
      "0",
      "-",
      "1",
      ".5",
      "e",
      "E+9",
      "true",
    ],
    ...[
      "null",
      "fals",
      "e",
      " ",
      "\n",
      "\t",
      "é",
      "漢",
      "😀",
      "\u0000",
      "\u001f",
      "\u007f",
      "\ufeff",
      "\u2028",
      "/",
      "{}",
    ],
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => agrees(encode(pieces.join("")))),
    { numRuns: 20_000 },
  );
});

Deno.test("property: agrees with JSON.parse on documents with a byte changed, added, dropped or cut off", () => {
  fc.assert(
    fc.property(
      fc.json({ stringUnit: "grapheme" }),
      fc.nat(),
      fc.nat(255),
      fc.constantFrom("set", "insert", "drop", "cut"),
      (json, place, byte, how) => {
        const bytes = [...encode(json)];
        const at = place % bytes.length;
        if (how === "cut") bytes.length = at;
        else if (how === "set") bytes[at] = byte;
        else bytes.splice(at, how === "drop" ? 1 : 0, ...(how === "insert" ? [byte] : []));
        agrees(new Uint8Array(bytes));
      },
    ),
    { numRuns: 10_000 },
  );
});

Deno.test("property: agrees with JSON.parse on random bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), agrees), { numRuns: 5_000 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => agrees(new Uint8Array([0x22, ...bytes, 0x22]))),
    { numRuns: 20_000 },
  );
});
