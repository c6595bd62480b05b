import { array, assert as check, constantFrom, property, string } from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { StopStrings } from "../../src/tokenizer/stop-strings.ts";

interface Shown {
  readonly text: string;
  readonly matched: string | null;
}

function feed(stops: readonly string[], pieces: readonly string[]): Shown {
  const matcher = new StopStrings(stops);
  const text = pieces.map((piece) => matcher.push(piece)).join("") + matcher.end();
  return { text, matched: matcher.matched };
}

test("cuts the text before a stop string that is spread over pieces", () => {
  assert.equal(feed(["\n\nUser:"], ["Hello", "\n", "\nUs", "er", ": hi"]), { text: "Hello", matched: "\n\nUser:" });
});

/** Pieces in angle brackets are special tokens. */
function feedTokens(stops: readonly string[], pieces: readonly string[]): Shown {
  const matcher = new StopStrings(stops, ["<end>", "<x>"]);
  const show = (piece: string): string => (piece.startsWith("<") ? matcher.pushHidden(piece) : matcher.push(piece));
  return { text: pieces.map(show).join("") + matcher.end(), matched: matcher.matched };
}

test("finds special tokens, which are not in the text, by their own text and with what is around them", () => {
  assert.equal(feedTokens(["<end>"], ["he", "<end>", "y"]), { text: "he", matched: "<end>" });
  assert.equal(feedTokens(["o<end>\nU"], ["hello", "<end>", "\n", "User"]), { text: "hell", matched: "o<end>\nU" });
  assert.equal(feedTokens(["<end><x>"], ["a", "<end>", "b", "<end>", "<x>", "c"]), { text: "ab", matched: "<end><x>" });
  // A model may also write the same characters with other tokens.
  const matcher = new StopStrings(["<end>"], ["<end>"]);
  assert.is(matcher.push("he<e") + matcher.push("nd>y"), "he");
});

test("does not see special tokens in other stop strings", () => {
  assert.equal(feedTokens(["ab"], ["xa", "<end>", "by"]), { text: "x", matched: "ab" });
  assert.equal(feedTokens(["ab", "<x>"], ["xa", "<end>", "by"]), { text: "x", matched: "ab" });
  assert.equal(feedTokens(["b<x>c"], ["ab", "<end>", "<x>", "c"]), { text: "abc", matched: null });
  assert.equal(feedTokens(["abc", "<x>z"], ["a", "<x>", "b", "<end>", "d"]), { text: "abd", matched: null });
});

test("holds back only what could be the beginning, and gives it up when it is not", () => {
  const matcher = new StopStrings(["END"]);
  assert.is(matcher.push("the E"), "the ");
  assert.is(matcher.push("N"), "");
  assert.is(matcher.push("T"), "ENT");
  assert.is(matcher.push("EN"), "");
  assert.is(matcher.end(), "EN");
  assert.is(matcher.matched, null);
});

test("falls back inside a repeating string", () => {
  assert.equal(feed(["aab"], ["aaa", "a", "b"]), { text: "aa", matched: "aab" });
});

test("the first to be complete wins, of two at once the longer", () => {
  assert.equal(feed(["abcd", "c"], ["abcd"]), { text: "ab", matched: "c" });
  assert.equal(feed(["d", "bcd"], ["abcd"]), { text: "a", matched: "bcd" });
});

test("shows nothing after a match", () => {
  const matcher = new StopStrings(["."]);
  assert.is(matcher.push("One. Two"), "One");
  assert.is(matcher.push(" three"), "");
  assert.is(matcher.end(), "");
});

test("without stop strings everything passes at once", () => {
  assert.is(new StopStrings([]).push("anything"), "anything");
});

test("refuses an empty stop string", () => {
  assert.throws(() => new StopStrings(["a", ""]), /empty/);
});

test("where the pieces are cut makes no difference, and the result is that of a plain search", () => {
  const letters = string({ unit: constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
  check(
    property(array(letters, { minLength: 1, maxLength: 3 }), array(letters, { maxLength: 8 }), (stops, pieces) => {
      const whole = pieces.join("");
      const ends = [...whole].map((_, i) => stops.filter((stop) => whole.slice(0, i + 1).endsWith(stop)));
      const end = ends.findIndex((found) => found.length > 0);
      const longest = ends[end]?.sort((a, b) => b.length - a.length)[0];
      const expected: Shown =
        longest === undefined
          ? { text: whole, matched: null }
          : { text: whole.slice(0, end + 1 - longest.length), matched: longest };
      for (const cut of [pieces, [whole], [...whole]]) assert.equal(feed(stops, cut), expected);
    }),
  );
});

test.run();
