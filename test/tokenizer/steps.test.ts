import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { type AddedToken, AddedTokens } from "../../src/tokenizer/added-tokens.ts";
import { compileNormalizer } from "../../src/tokenizer/normalizer.ts";
import { compilePreTokenizer } from "../../src/tokenizer/pre-tokenizer.ts";

interface Parts {
  readonly added_tokens?: readonly Partial<AddedToken>[];
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
}

type Case = [parts: Parts, texts: [text: string, reached: (string | [number])[]][]];

const plain = { special: false, single_word: false, lstrip: false, rstrip: false, normalized: false };

/** What reaches the model: texts, and added tokens as their places in the list. */
function compile({ added_tokens = [], normalizer, pre_tokenizer }: Parts): (text: string) => (string | [number])[] {
  const normalize = compileNormalizer(normalizer);
  const preTokenize = compilePreTokenizer(pre_tokenizer) ?? ((pieces) => [...pieces]);
  const tokens = added_tokens.map((token, id) => ({ content: "", ...plain, ...token, id }));
  const splitter = new AddedTokens(tokens, normalize);
  return (text) =>
    splitter
      .split(text)
      .flatMap((part): (string | [number])[] =>
        "id" in part ? [[part.id]] : preTokenize([part]).flatMap(({ text }) => (text === "" ? [] : [text])),
      );
}

function refusal(parts: Parts): string {
  try {
    compile(parts);
  } catch (error) {
    assert.instance(error, SluiceError);
    assert.is((error as SluiceError).code, "bad_file");
    return (error as SluiceError).message;
  }
  throw new Error("was not refused");
}

test("normalizers, pre-tokenizers and added tokens do what they do in Rust", async () => {
  const charsmap = (await readFile("test/data/tokenizers/charsmap.txt", "utf8")).trim();
  const fixture = (await readFile("test/data/tokenizers/steps.json", "utf8")).replaceAll("charsmap.txt", charsmap);
  const { cases } = JSON.parse(fixture) as { cases: Case[] };
  for (const [parts, texts] of cases) {
    const cut = compile(parts);
    for (const [text, reached] of texts) {
      assert.equal(cut(text), reached, `${JSON.stringify(parts).replaceAll(charsmap, "…")} on ${JSON.stringify(text)}`);
    }
  }
});

test("lone surrogates count as U+FFFD, pairs stay", () => {
  const cut = compile({ added_tokens: [{ content: "<s>" }] });
  assert.equal(cut("a\ud83d<s>\ude00b😀"), ["a\ufffd", [0], "\ufffdb😀"]);
});

test("Metaspace marks the first piece alone where it is told so", () => {
  const first = { type: "Metaspace", replacement: "▁", prepend_scheme: "first" };
  const added_tokens = [{ content: "<s>" }];
  assert.equal(compile({ added_tokens, pre_tokenizer: first })("a<s>b c"), ["▁a", [0], "b", "▁c"]);
  assert.equal(compile({ added_tokens, pre_tokenizer: first })("<s>a"), [[0], "a"]);
  // What a normalizer made of the first character begins the text; what follows white space that it took does not.
  const words = { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, first] };
  assert.equal(compile({ normalizer: { type: "NFKC" }, pre_tokenizer: words })("ﬁ b"), ["▁fi", "b"]);
  assert.equal(compile({ normalizer: { type: "Strip" }, pre_tokenizer: words })(" a b"), ["a", "b"]);
  // Files from before there were schemes.
  const old = { type: "Metaspace", replacement: "▁", add_prefix_space: false };
  assert.equal(compile({ pre_tokenizer: old })("a b"), ["a", "▁b"]);
});

test("many added tokens are found in one pass, the leftmost and longest", () => {
  const added_tokens = Array.from({ length: 5000 }, (_, at) => ({ content: `<extra_${at}>` }));
  const cut = compile({ added_tokens: [...added_tokens, { content: "<extra_" }, { content: "xtra_12>y" }] });
  assert.equal(cut("<extra_12>y<extra_9999>"), [[12], "y", [5000], "9999>"]);
  assert.is(cut("<extra_49999 ".repeat(5000)).length, 10_000);
});

test("added tokens that nearly match everywhere take no quadratic time", () => {
  const cut = compile({ added_tokens: [{ content: `${"a".repeat(20_000)}b` }] });
  assert.equal(cut("a".repeat(100_000)).length, 1);
});

test("a long text is searched for in linear time, and a long token takes little memory", () => {
  const long = "a".repeat(50_000);
  const [piece] = compile({ normalizer: { type: "Replace", pattern: { String: `${long}b${long}` }, content: "" } })(
    `${long.repeat(6)}b${long.repeat(2)}`,
  );
  assert.is((piece as string).length, 6 * 50_000);
  const before = process.memoryUsage().arrayBuffers;
  const cut = compile({ added_tokens: [{ content: "q".repeat(1_000_000) }, { content: "qqq" }] });
  assert.equal(cut("qqqq"), [[1], "q"]);
  assert.ok(process.memoryUsage().arrayBuffers - before < 64e6);
});

test("steps that make a text ever longer are stopped", () => {
  const many = <Item>(item: Item): Item[] => Array.from({ length: 60 }, () => item);
  const double = { type: "Replace", pattern: { String: "a" }, content: "aa" };
  const long = { type: "Replace", pattern: { Regex: "." }, content: "x".repeat(1e6) };
  for (const parts of [
    { normalizer: { type: "Sequence", normalizers: many(double) } },
    { normalizer: long },
    { pre_tokenizer: { type: "Sequence", pretokenizers: many({ type: "ByteLevel" }) } },
  ]) {
    const cut = compile(parts);
    assert.throws(() => cut("aé".repeat(1000)), /more than 64 times as long/);
  }
});

test("steps that cannot be used are refused with their place, in a short sentence", () => {
  let deep: unknown = { type: "Digits", individual_digits: true };
  for (let level = 0; level < 20_000; level++) deep = { type: "Sequence", pretokenizers: [deep] };
  const refused: [Parts, RegExp][] = [
    [{ pre_tokenizer: deep }, /`pre_tokenizer\S*` is nested more than 64 levels deep/],
    [{ normalizer: { type: "Sequence", normalizers: Array(9999).fill({ type: "NFC" }) } }, /more than 500 steps/],
    [{ pre_tokenizer: { type: "constructor" } }, /`pre_tokenizer` has the type "constructor", which is not supported/],
    [{ pre_tokenizer: ["Digits"] }, /`pre_tokenizer` is \["Digits"\], and not an object/],
    [{ pre_tokenizer: { type: "Sequence" } }, /needs a list of `pretokenizers`/],
    [{ pre_tokenizer: { type: "Split", pattern: "a", behavior: "Isolated" } }, /needs a `pattern`/],
    [{ pre_tokenizer: { type: "Split", pattern: { String: "a" }, behavior: "Gone" } }, /`behavior` "Gone"/],
    [{ pre_tokenizer: { type: "Split", pattern: { Regex: "(a" }, behavior: "Removed" } }, /pattern "\(a": a paren/],
    [{ pre_tokenizer: { type: "Metaspace", replacement: "ab" } }, /one character as `replacement`/],
    [{ pre_tokenizer: { type: "FixedLength", length: 0 } }, /whole number above 0/],
    [
      { normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "x".repeat(1e6) }] } },
      /normalizers\[1\]/,
    ],
    [{ normalizer: { type: "Prepend" } }, /needs a text as `prepend`/],
    [{ normalizer: { type: "Precompiled", precompiled_charsmap: "AAA?" } }, /not base64/],
    [{ normalizer: { type: "Precompiled", precompiled_charsmap: "////fw==" } }, /damaged `precompiled_charsmap`/],
    [{ normalizer: { type: "Strip", strip_left: 1 } }, /`strip_left` 1, which is neither true nor false/],
  ];
  for (const [parts, message] of refused) {
    assert.match(refusal(parts), message);
    assert.ok(refusal(parts).length < 400);
  }
});

test.run();
