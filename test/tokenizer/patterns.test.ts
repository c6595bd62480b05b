import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { compilePattern, Effort } from "../../src/tokenizer/patterns/pattern.ts";
import { readJson } from "../support/files.ts";

type Case = [pattern: string, texts: [text: string, pieces: string[], matches: string[]][]];

/** The matches, and all pieces into which they cut the text, both without empty ones. */
function cut(pattern: string, text: string): { pieces: string[]; matches: string[] } {
  const places = compilePattern(pattern).matches(text, new Effort(text.length));
  const cuts = [0, ...places, text.length];
  const between = cuts.slice(1).map((end, index) => text.slice(cuts[index], end));
  return {
    pieces: between.filter((piece) => piece !== ""),
    matches: between.filter((piece, index) => piece !== "" && index % 2 === 1),
  };
}

function refusal(pattern: string, text = ""): SluiceError {
  try {
    compilePattern(pattern).matches(text, new Effort(text.length));
  } catch (error) {
    assert.instance(error, SluiceError);
    return error as SluiceError;
  }
  throw new Error(`${pattern.slice(0, 50)} was not refused`);
}

test("patterns match what they match in Oniguruma", async () => {
  const { cases } = await readJson<{ cases: Case[] }>("test/data/tokenizers/patterns.json");
  for (const [pattern, texts] of cases) {
    for (const [text, pieces, matches] of texts) {
      assert.equal(cut(pattern, text), { pieces, matches }, `${pattern} on ${JSON.stringify(text)}`);
    }
  }
});

test("patterns that backtrack for ever elsewhere take linear time", () => {
  const n = 6000;
  const many = "a".repeat(n);
  const count = (pattern: string, text: string) => cut(pattern, text).matches.length;
  assert.is(count("(a+)+$", `${many}b`), 0);
  assert.is(count("(a|a)*b", many), 0);
  assert.is(count("(.*)*x", many), 0);
  assert.is(count("(?:a|aa)+$", `${many}b`), 0);
  assert.is(count("(?=(a+)+b)a", many), 0);
  // Quadratic elsewhere: each character is the start of a scan to the end.
  assert.is(count("[ ]+x|.", " ".repeat(n)), n);
  assert.is(count("[ ]++x|.", " ".repeat(n)), n);
  assert.is(count("(?:.|\\n)*?zz|.", many), n);
  assert.is(count("a(?=[^b]*b)", `${many}b`), n);
  assert.is(count("\\d{1,3}(?=(?:\\d{3})*\\b)", "1234567890".repeat(n / 10)), Math.ceil(n / 3));
});

test("remembering changes no match", () => {
  // Long enough to make the machine remember; each line would match by itself in the same way.
  const line = "aaaa aab  ab 12 345,";
  const lines = Array.from({ length: 300 }, () => line);
  for (const pattern of [
    "(?:a|a)*?b",
    "(?:a+)+b|\\s++\\d+",
    "(?=(?:a|\\w)+b)\\w|(?!\\w{1,3},)\\d",
    "(?>a+|b)+ ",
    "(?:\\w{1,2})*\\d",
  ]) {
    const one = cut(pattern, line).matches;
    assert.ok(one.length > 0, pattern);
    assert.equal(
      cut(pattern, lines.join("")).matches,
      lines.flatMap(() => one),
      pattern,
    );
  }
});

test("a long list of words may be tried at each character", () => {
  const words = Array.from({ length: 3000 }, (_, at) => `x${at}y`).join("|");
  const pattern = compilePattern(`(?:${words})`);
  const text = "x2999y x1 ".repeat(200);
  assert.is(pattern.matches(text, new Effort(text.length, pattern.size)).length, 2 * 200);
});

test("patterns that still take too long end in an error", () => {
  const error = refusal("(?<!x.*)a", "a".repeat(3000));
  assert.is(error.code, "bad_file");
  assert.match(error.message, /the pattern "\(\?<!x\.\*\)a" takes too long/);
});

test("patterns that cannot be used are refused at once, and cut short in the message", () => {
  const refused: [string, RegExp][] = [
    ["a{1,1000000000}", /repeats more than 100000 times/],
    ["((((a{100}){100}){100}){100}){100}", /repeats too much/],
    ["((((){100000}){100000}){100000}){100000}", /repeats too much/],
    [`${"(".repeat(20_000)}a${")".repeat(20_000)}`, /nested too deeply/],
    ["[".repeat(20_000), /nested too deeply/],
    [`a${"*".repeat(20_000)}`, /too many signs/],
    [`${"a?".repeat(20_000)}b`, /repeats too much/],
    ["x".repeat(1_000_000), /more than 50000 characters/],
    ["(a)\\1", /back-references are not supported/],
    ["\\k<n>", /\\k is not supported/],
    ["(?~a)", /the group \(\?~ is not supported/],
    ["\\p{Constructor}", /no character property "Constructor"/],
    ["[z-a]", /range ends before it begins/],
    ["[a", /bracket is not closed/],
    ["(a", /parenthesis is not closed/],
    ["a)", /closed that was not opened/],
    ["*a", /\* repeats nothing/],
    ["a\\", /ends too early/],
    ["\\x{110000}", /does not name a character/],
  ];
  for (const [pattern, message] of refused) {
    const error = refusal(pattern);
    assert.is(error.code, "bad_file");
    assert.match(error.message, message);
    assert.ok(error.message.length < 400, pattern.slice(0, 50));
  }
});

test("two hundred thousand characters take a moment", () => {
  const text = "The quick brown fox's 1234 jumps, over 漢字 and\n\n  it'll do.  ".repeat(3300);
  const { pieces } = cut("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", text);
  assert.is(pieces.join(""), text);
  assert.is(pieces.length, 3300 * 17);
});

test.run();
