import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { readJson } from "../support/files.ts";
import { loaded, streamed } from "./tokenizer-of.ts";

type Json = Record<string, unknown>;

const stories = async (config: Json = {}): Promise<Record<string, Json>> => ({
  "tokenizer.json": await readJson<Json>("weights/stories260K/tokenizer.json"),
  "tokenizer_config.json": { ...(await readJson<Json>("weights/stories260K/tokenizer_config.json")), ...config },
});

/** A byte-level BPE of single bytes and one merge, with an added token. */
const byteLevel = (more: Json = {}): Json => ({
  added_tokens: [{ id: 5, content: "<|end|>", special: true }],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
  post_processor: null,
  decoder: { type: "ByteLevel" },
  // "é" is the bytes C3 A9, which GPT-2 writes as "Ã" and "©".
  model: { type: "BPE", vocab: { a: 0, Ġ: 1, Ã: 2, "©": 3, Ġa: 4 }, merges: ["Ġ a"] },
  ...more,
});

async function refusal(files: Json): Promise<SluiceError> {
  try {
    await loaded(files);
  } catch (error) {
    assert.instance(error, SluiceError);
    return error as SluiceError;
  }
  throw new Error("was not refused");
}

test("encodes with BOS and gives the text back", async () => {
  const tokenizer = await loaded(await stories());
  assert.equal(tokenizer.encode("Once upon a time"), [1, 403, 407, 261, 378]);
  assert.equal(tokenizer.encode("Once upon a time", { addSpecialTokens: false }), [403, 407, 261, 378]);
  assert.equal(tokenizer.encode(""), [1]);
  assert.is(tokenizer.bosTokenId, 1);
  assert.is(tokenizer.eosTokenId, 2);
  assert.is(tokenizer.vocabSize, 512);
  for (const text of ["Once upon a time", "héllo 🦙  wörld", " two  spaces first", "line\nline\n", "<0x41>", "中文"]) {
    assert.is(tokenizer.decode(tokenizer.encode(text)), text);
    assert.is(streamed(tokenizer, tokenizer.encode(text)), text);
  }
});

test("decodes what stories260K writes, after the prompt and as a whole", async () => {
  const tokenizer = await loaded(await stories());
  const { greedy_ids, text } = await readJson<{ greedy_ids: number[]; text: string }>(
    "weights/stories260K/expected_greedy.json",
  );
  // The ids begin with BOS, so that the text is one token longer than they are.
  assert.is(`${tokenizer.decode(greedy_ids)} she`, text);
  assert.is(streamed(tokenizer, greedy_ids.slice(1), [1]), tokenizer.decode(greedy_ids));
});

test("drops the leading space of a first word, and keeps that of a continuation", async () => {
  const tokenizer = await loaded(await stories());
  const [, once, upon] = tokenizer.encode("Once upon") as [number, number, number];
  assert.is(streamed(tokenizer, [once, upon]), "Once upon");
  assert.is(streamed(tokenizer, [once, upon], [1]), "Once upon");
  assert.is(streamed(tokenizer, [upon], [1, once]), " upon");
  assert.is(tokenizer.decode([1, once], { skipSpecialTokens: false }), "<s> Once");
});

test("holds back the bytes of a character, also those that the prompt ended with", async () => {
  const tokenizer = await loaded(await stories());
  const [, space, ...bytes] = tokenizer.encode("🦙") as [number, number, ...number[]];
  assert.is(bytes.length, 4);
  const stream = tokenizer.stream({ context: [1, space] });
  assert.equal(
    bytes.map((id) => stream.push(id)),
    ["", "", "", "🦙"],
  );
  assert.is(streamed(tokenizer, bytes.slice(2), [1, space, ...bytes.slice(0, 2)]), "🦙");
});

test("add_bos_token and add_eos_token decide over the post-processor", async () => {
  const ids = [403, 407];
  const encode = async (config: Json) => (await loaded(await stories(config))).encode("Once upon");
  assert.equal(await encode({ add_bos_token: false }), ids);
  assert.equal(await encode({ add_eos_token: true }), [1, ...ids, 2]);
  // Stated by neither field, a Llama tokenizer adds BOS; another class leaves it to the post-processor.
  assert.equal(await encode({ add_bos_token: undefined, add_eos_token: undefined }), [1, ...ids]);
  assert.equal(
    await encode({ add_bos_token: undefined, add_eos_token: true, tokenizer_class: "PreTrainedTokenizerFast" }),
    [1, ...ids, 2],
  );
  const files = { "tokenizer.json": byteLevel() };
  assert.equal((await loaded(files)).encode("a a"), [0, 4]);
  const error = await refusal({ ...files, "tokenizer_config.json": { add_bos_token: true } });
  assert.is(error.code, "bad_file");
  assert.match(error.message, /no bos_token is known/);
});

test("reads special tokens given as objects, and those that only tokenizer_config.json names", async () => {
  const tokenizer = await loaded({
    "tokenizer.json": byteLevel(),
    "tokenizer_config.json": { eos_token: { content: "<|end|>" }, bos_token: "Ã", add_bos_token: true },
  });
  assert.is(tokenizer.eosTokenId, 5);
  assert.is(tokenizer.bosTokenId, 2);
  assert.equal(tokenizer.encode("a<|end|>"), [2, 0, 5]);
  assert.is(tokenizer.decode([2, 0, 4, 5]), "a a");
});

test("streams byte-level BPE by whole characters, and added tokens as they are written", async () => {
  const tokenizer = await loaded({
    "tokenizer.json": byteLevel({ added_tokens: [{ id: 5, content: "é ü", special: false }] }),
  });
  const stream = tokenizer.stream();
  assert.equal(
    [2, 3, 5, 4].map((id) => stream.push(id)),
    ["", "é", "é ü", " a"],
  );
  assert.is(tokenizer.decode([2, 0]), "\ufffda");
});

test("decodes Metaspace, WordPiece and plain words as Hugging Face does", async () => {
  const words = (decoder: unknown) =>
    byteLevel({
      added_tokens: [],
      decoder,
      model: { type: "WordLevel", vocab: { "▁a": 0, "##b": 1, c: 2 }, unk_token: "c" },
    });
  const decode = async (decoder: unknown) => (await loaded({ "tokenizer.json": words(decoder) })).decode([0, 1, 0, 2]);
  assert.is(await decode({ type: "Metaspace", replacement: "▁", prepend_scheme: "first" }), "a##b ac");
  assert.is(await decode({ type: "Metaspace", replacement: "▁", prepend_scheme: "never" }), " a##b ac");
  assert.is(await decode({ type: "WordPiece", prefix: "##" }), "▁ab ▁a c");
  assert.is(await decode(null), "▁a ##b ▁a c");
  assert.is(
    await decode({ type: "Sequence", decoders: [{ type: "Replace", pattern: { Regex: "[▁#]" }, content: "_" }] }),
    "_a__b_ac",
  );
});

test("names what is wrong with a damaged tokenizer.json", async () => {
  const cases: [unknown, RegExp][] = [
    ['{"model": ', /tokenizer\.json: not valid JSON/],
    ["[]", /does not hold a JSON object/],
    [byteLevel({ model: undefined }), /`model` is missing/],
    [byteLevel({ model: { type: "BPE", merges: [] } }), /`model\.vocab` is missing or empty/],
    [byteLevel({ model: { type: "BPE", vocab: { a: "0" }, merges: [] } }), /"a" has the id "0"/],
    [byteLevel({ model: { type: "BPE", vocab: { a: 0 } } }), /tokenizer\.json cannot be used/],
    [byteLevel({ added_tokens: [{ content: "x" }] }), /added_tokens\[0\]/],
    [byteLevel({ decoder: { type: "CTC" } }), /decoder "CTC" is not supported/],
    [byteLevel({ pre_tokenizer: { type: "Nonsense" } }), /Nonsense/],
  ];
  for (const [tokenizer, message] of cases) {
    const error = await refusal({ "tokenizer.json": tokenizer });
    assert.is(error.code, "bad_file", String(message));
    assert.match(error.message, message);
  }
});

test("refuses text that the vocabulary has no token for", async () => {
  const vocab = { a: 0, b: 1 };
  const tokenizer = await loaded({
    "tokenizer.json": byteLevel({
      added_tokens: [],
      pre_tokenizer: { type: "Whitespace" },
      model: { type: "WordLevel", vocab },
    }),
  });
  assert.equal(tokenizer.encode("a b"), [0, 1]);
  assert.throws(() => tokenizer.encode("a zebra"), /no token for "zebra"/);
});

test.run();
