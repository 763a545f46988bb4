import assert from "assert";
import fc from "fast-check";
import { PATTERN_CHARS_MAX } from "../limits.ts";
import { Meter, TooCostly } from "./meter.ts";
import { compilePattern, PatternError } from "./pattern.ts";

function compile(source: string) {
  const meter = new Meter();
  meter.reset(100_000);
  return compilePattern(source, meter);
}

function platform(source: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch {
    return new RegExp(source);
  }
}

const TEXTS = [
  ...["", "a", "b", "ab", "aab", "abc", "A", "0", "42", "a-b", "a.b", "foo", "foobar", "x1", "_", "é", "É", "ß", "漢"],
  ...["😀", "\ud800", " ", "\t", "\n", "\r", "\u000b", "\u00a0", "\u2028", "\ufeff", "a\nb", "/", "\\", "^", "$", "-"],
  ...[
    "]",
    "[",
    "{",
    "}",
    "a{2}",
    "aa",
    "\u0000",
    "\u0008",
    "\u001a",
    "\u007f",
    "Ω",
    "٣",
    "2024-05-01",
    "user@example.org",
  ],
];

Deno.test("patterns mean what they mean in ECMAScript", () => {
  const sources = [
    ...[
      "",
      "a",
      "^a$",
      "^(a|b)+$",
      "a.b",
      "^.$",
      "^..$",
      "[abc]",
      "[^abc]",
      "^[a-c]+$",
      "[]",
      "[^]",
      "\\d",
      "\\D",
      "\\w",
    ],
    ...[
      "\\W",
      "\\s",
      "\\S",
      "^\\s$",
      "[\\s\\d]",
      "[^\\s]",
      "[\\S]",
      "[\\D]",
      "[\\W_]",
      "\\bfoo\\b",
      "\\Bo",
      "[\\b]",
      "^$",
    ],
    ...[
      "a{2}",
      "^a{1,}b?$",
      "a{0,1}b",
      "a+?b",
      "(?:ab)*c",
      "(?<year>\\d{4})-\\d\\d",
      "\\u0061",
      "\\u{1F600}",
      "\\ud83d\\ude00",
    ],
    ...[
      "\\x61",
      "\\cZ",
      "\\0",
      "\\/",
      "\\^",
      "[\\^\\]\\-]",
      "[a\\-z]",
      "[-a]",
      "[a-]",
      "[[]",
      "[&&]",
      "[:alpha:]",
      "\\.",
      "^\\\\$",
    ],
    ...[
      "\\p{L}",
      "^\\p{Lu}$",
      "\\P{L}",
      "[\\p{L}\\d]",
      "[^\\p{Letter}]",
      "\\p{Script=Greek}",
      "\\p{sc=Han}",
      "\\p{gc=Nd}",
    ],
    ...[
      "\\p{ASCII}",
      "\\P{ASCII}",
      "\\p{Any}",
      "\\P{Any}",
      "[\\P{L}a]",
      "é",
      "[à-ÿ]",
      "😀|漢",
      "^[^@]+@[^@]+\\.[a-z]{2,}$",
    ],
    ...["a|", "|a", "(|a)b", "()", "(a(b(c)))", "^(?:a|ab)(?:c|bcd)?$", "\\t|\\n|\\v|\\f|\\r"],
    // Only without the u flag:
    ...["\\-", "a\\_b", "a{", "{", "}", "]", "a{,2}", "\\a", "[\\w-.]", "\\u{2}", "\\c", "\\xg", "\\ug", "[\\d-z]"],
  ];
  for (const source of sources) {
    const pattern = compile(source);
    const expected = platform(source);
    for (const text of TEXTS) {
      assert.equal(pattern.test(text), expected.test(text), `/${source}/ on ${JSON.stringify(text)}`);
    }
  }
});

Deno.test("property: random patterns mean what they mean in ECMAScript", () => {
  const piece = fc.constantFrom(
    ...[
      "a",
      "b",
      ".",
      "\\d",
      "\\s",
      "[ab]",
      "[^a]",
      "(",
      "(?:",
      ")",
      "|",
      "*",
      "+",
      "?",
      "{2}",
      "{0,3}",
      "{1,}",
      "^",
      "$",
    ],
    ...["\\b", "-", "\\u0061", "[a-c-]", "é", "\\S", "[\\sa]", "?"],
  );
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "é", "1", " ", "\n", "-"), maxLength: 8 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.array(text, { maxLength: 8 }), (pieces, texts) => {
      const source = pieces.join("");
      let expected: RegExp;
      try {
        expected = platform(source);
      } catch {
        assert.throws(() => compile(source), PatternError);
        return;
      }
      const pattern = compile(source);
      for (const text of texts) {
        assert.equal(pattern.test(text), expected.test(text), `/${source}/ on ${JSON.stringify(text)}`);
      }
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("what cannot be matched in linear time is refused by name", () => {
  const refused: [string, RegExp][] = [
    ["(a)\\1", /refers back/],
    ["(?<n>a)\\k<n>", /refers back/],
    ["(?=a)", /ahead or behind/],
    ["^(?!a)b", /ahead or behind/],
    ["(?<=a)b", /ahead or behind/],
    ["(?<!a)b", /ahead or behind/],
    ["(?i:a)", /switches flags/],
    ["\\p{Script_Extensions=Greek}", /not supported/],
    ["(", /not a regular expression/],
    ["[b-a]", /not a regular expression/],
    ["a{2,1}", /not a regular expression/],
    ["a**", /not a regular expression/],
    ["a".repeat(PATTERN_CHARS_MAX + 1), /4097 characters/],
    ["a{1001}", /more than 1000 times/],
    ["(a{100}){100}", /repetitions written out/],
    ["((a{30}){30}){30}", /repetitions written out/],
    ["(?:".repeat(51) + ")".repeat(51), /nest deeper/],
  ];
  for (const [source, message] of refused) assert.throws(() => compile(source), message, source);
});

Deno.test("no pattern costs more than the meter allows", () => {
  const attacks = [
    ...[
      "^(a+)+$",
      "^(a|aa)+$",
      "(a*)*b",
      "^(a|a)*b$",
      "(x+x+)+y",
      "^a*a*a*a*a*b$",
      "(.*a){20}x",
      "^(\\w+\\s?)*$",
      "a*b",
    ],
    ...["([ab]*a[ab]{200}[cd])+x", "(a?){400}a{400}[xy]", "\\w{0,999}[!?]"],
  ];
  const texts = ["a".repeat(40) + "!", "a".repeat(100_000), "ab".repeat(50_000)];
  for (const source of attacks) {
    for (const text of texts) {
      try {
        compile(source).test(text);
      } catch (error) {
        assert.ok(error instanceof TooCostly, String(error));
      }
    }
  }
});

Deno.test("the work of a pattern is charged", () => {
  for (const source of ["^[a-z]+$", "^(a+)+$"]) {
    const meter = new Meter();
    meter.reset(100_000);
    const before = meter.left;
    const pattern = compilePattern(source, meter);
    pattern.test("a");
    const small = before - meter.left;
    pattern.test("a".repeat(10_000));
    assert.ok(before - meter.left - small > small);
  }
});
