import ranks from "gpt-tokenizer/bpeRanks/r50k_base";
import { encode as encodeByPackage } from "gpt-tokenizer/encoding/r50k_base";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readJson, readText } from "../support/files.ts";
import { loaded, streamed, tokenizerOf } from "./tokenizer-of.ts";

/** Repetitions, apostrophes, scripts, joined emoji, accents in both forms, control characters. */
const HARD = [
  "=".repeat(3000),
  "ab".repeat(1500),
  "it's I'LL we've 'tis ''''s 'ſ",
  "  \n\n \t x  \r\n y \u00a0\u3000z ",
  "汉字かな交じり文 한국어 ภาษาไทย العربية עברית हिन्दी",
  "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪 e\u0301é\u0327 ﬁ½²Ⅷ٣",
  "\u0000\u0001\u001b[0m\u007f\u00ad\u200b\u200d",
];

const CHARACTERS = [..." \n\t'stdAaBzé中🦙0９²½—_.,!?()-=\u00a0\u0301"];

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomText(random: () => number): string {
  const pick = (): string => CHARACTERS[Math.floor(random() * CHARACTERS.length)] as string;
  return Array.from({ length: Math.floor(random() * 40) }, pick).join("");
}

const gpt2 = { architecture: "gpt2", vocab_size: 50257 } as const;

test("gives the ids of the 47 published vectors, and their text back", async () => {
  const tokenizer = await loaded({}, gpt2);
  const inputs = (await readText("test/data/gpt2-tokenizer/inputs.txt")).split("\n__ggml_vocab_test__\n");
  const expected = (await readText("test/data/gpt2-tokenizer/expected.txt")).split("\n");
  assert.is(inputs.length, 47);
  assert.is(expected.length, 47);
  for (const [index, input] of inputs.entries()) {
    const ids = (expected[index] ?? "").trim().split(" ").filter(Boolean).map(Number);
    assert.equal(tokenizer.encode(input), ids, `vector ${index}: ${JSON.stringify(input)}`);
    assert.is(tokenizer.decode(ids), input, `vector ${index} decoded`);
    assert.is(streamed(tokenizer, ids), input, `vector ${index} streamed`);
  }
});

test("has the tokens of the package that its merges were taken from, and gives that package's ids", async () => {
  const tokenizer = await loaded({}, gpt2);
  const utf8 = new TextEncoder();
  const utf16 = new TextDecoder("utf-8", { ignoreBOM: true });
  const texts = ranks.map((piece) =>
    utf16.decode(typeof piece === "string" ? utf8.encode(piece) : Uint8Array.from(piece)),
  );
  assert.is(
    texts.findIndex((text, id) => text !== tokenizer.decode([id])),
    -1,
  );
  const random = generator(7);
  const corpus = [...HARD, ...Array.from({ length: 300 }, () => randomText(random))];
  for (const text of corpus) assert.equal(tokenizer.encode(text), encodeByPackage(text), JSON.stringify(text));
});

test("takes time in proportion to a word without a break", async () => {
  const tokenizer = await loaded({}, gpt2);
  // The package, which merges in quadratic time, takes minutes.
  assert.is(tokenizer.encode("=".repeat(320_000)).length, 5_000);
});

test("encodes the prompts of gpt2-stories and decodes what it writes", async () => {
  const tokenizer = await loaded({}, gpt2);
  interface Greedy {
    readonly prompt: string;
    readonly prompt_ids: number[];
    readonly greedy_ids: number[];
    readonly text: string;
  }
  const { greedy } = await readJson<{ greedy: Greedy[] }>("weights/gpt2-stories/expected.json");
  for (const { prompt, prompt_ids, greedy_ids, text } of greedy) {
    assert.equal(tokenizer.encode(prompt), prompt_ids);
    assert.is(streamed(tokenizer, greedy_ids, prompt_ids), text);
  }
});

test("reads <|endoftext|> in a text as the special token", async () => {
  const tokenizer = await loaded({}, gpt2);
  assert.equal(tokenizer.encode("Hello<|endoftext|> world"), [15496, 50256, 995]);
  assert.equal(tokenizer.encode("<|endoftext|><|endoftext|>"), [50256, 50256]);
  assert.is(tokenizer.decode([15496, 50256, 995]), "Hello world");
  assert.is(tokenizer.decode([15496, 50256, 995], { skipSpecialTokens: false }), "Hello<|endoftext|> world");
  assert.is(tokenizer.bosTokenId, 50256);
  assert.is(tokenizer.eosTokenId, 50256);
});

test("adds a BOS only if tokenizer_config.json requests it", async () => {
  const plain = await loaded({}, gpt2);
  assert.equal(plain.encode("Hello"), [15496]);
  const withBos = await loaded({ "tokenizer_config.json": { add_bos_token: true } }, gpt2);
  assert.equal(withBos.encode("Hello"), [50256, 15496]);
  assert.equal(withBos.encode("Hello", { addSpecialTokens: false }), [15496]);
});

test("shows an emoji of three tokens when its last one has come", async () => {
  const tokenizer = await loaded({}, gpt2);
  const ids = tokenizer.encode("a 🦙!");
  const stream = tokenizer.stream();
  assert.equal(
    ids.map((id) => stream.push(id)),
    ["a", " ", "", "🦙", "!"],
  );
  assert.is(stream.end(), "");
});

test("ends in U+FFFD where the ids end inside a character", async () => {
  const tokenizer = await loaded({}, gpt2);
  const ids = tokenizer.encode("🦙").slice(0, -1);
  assert.is(tokenizer.decode(ids), "\ufffd");
  assert.is(streamed(tokenizer, ids), "\ufffd");
});

test("keeps a byte order mark, and adds nothing for ids beyond the vocabulary", async () => {
  const tokenizer = await loaded({}, { ...gpt2, vocab_size: 50304 });
  assert.is(tokenizer.decode(tokenizer.encode("\ufeffhi")), "\ufeffhi");
  assert.is(tokenizer.decode([15496, 50300, 995]), "Hello world");
});

test("is not guessed for a small vocabulary or another architecture", async () => {
  assert.is(await tokenizerOf({}, { architecture: "gpt2", vocab_size: 50256 }), null);
  assert.is(await tokenizerOf({}, { architecture: "llama", vocab_size: 50257 }), null);
});

test.run();
