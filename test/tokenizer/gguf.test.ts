/** Tokenizers in GGUF files give the ids of the tokenizer.json that they were made from: scripts/gguf/generate.py. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openSource } from "../../src/formats/open-source.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { loadTokenizer } from "../../src/tokenizer/load.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { refusal } from "../formats/refusal.ts";
import { location, readJson } from "../support/files.ts";
import { type Field, writeGguf } from "../support/gguf-writer.ts";

const bpe = await readJson<{
  readonly tokens: readonly string[];
  readonly token_type: readonly number[];
  readonly merges: readonly string[];
  readonly bos: number;
  readonly eos: number;
  readonly texts: readonly string[];
  readonly kinds: Readonly<
    Record<string, { readonly ids: readonly (readonly number[])[]; readonly decoded: readonly string[] }>
  >;
}>("test/data/gguf/tokenizers.json");

const MODEL: Readonly<Record<string, Field>> = {
  "general.architecture": "llama",
  "llama.embedding_length": 8,
  "llama.attention.head_count": 1,
  "llama.block_count": 1,
  "llama.feed_forward_length": 8,
  "llama.context_length": 8,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
};

/** The tokenizer of a file whose model is left out. */
async function tokenizerOf(fields: Readonly<Record<string, Field>>): Promise<Tokenizer | null> {
  const embedding = { type: 0, shape: [1000, 8], bytes: new Uint8Array(32_000) };
  const file = new File([writeGguf({ ...MODEL, ...fields }, { "token_embd.weight": embedding })], "model.gguf");
  const files = await openSource([file]);
  try {
    const model = { architecture: "llama", model_type: "llama", vocab_size: 1000, eos_token_ids: [] };
    return await loadTokenizer(files, model as unknown as ModelConfig);
  } finally {
    await files.close();
  }
}

const byteLevel = (pre: string): Record<string, Field> => ({
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": pre,
  "tokenizer.ggml.tokens": bpe.tokens,
  "tokenizer.ggml.token_type": Int32Array.from(bpe.token_type),
  "tokenizer.ggml.merges": bpe.merges,
  "tokenizer.ggml.bos_token_id": bpe.bos,
  "tokenizer.ggml.eos_token_id": bpe.eos,
});

for (const [pre, { ids, decoded }] of Object.entries(bpe.kinds)) {
  test(`byte-level BPE, ${pre}: the Rust library's ids`, async () => {
    const tokenizer = (await tokenizerOf(byteLevel(pre))) as Tokenizer;
    for (const [i, text] of bpe.texts.entries()) {
      assert.equal(tokenizer.encode(text), ids[i], JSON.stringify(text));
      assert.is(tokenizer.decode(ids[i] ?? [], { skipSpecialTokens: true }), decoded[i]);
    }
  });
}

test("SentencePiece with scores: the ids of the model's folder, with specials inside, spaces and unknown characters", async () => {
  const model = { architecture: "llama", model_type: "llama", vocab_size: 512, eos_token_ids: [] };
  const open = async (path: string): Promise<Tokenizer> => {
    const files = await openSource(location(path));
    try {
      return (await loadTokenizer(files, model as unknown as ModelConfig)) as Tokenizer;
    } finally {
      await files.close();
    }
  };
  const folder = await open("weights/stories260K");
  const gguf = await open("test/data/gguf/stories260K-Q8_0.gguf");
  const texts = [
    "Once upon a time, there was",
    "  two  spaces ",
    " a",
    "",
    "Tom's €5 🙂\n\nEnd",
    "</s>x<s> y",
    ...bpe.texts,
  ];
  for (const text of texts) {
    const ids = folder.encode(text);
    assert.equal(gguf.encode(text), ids, JSON.stringify(text));
    assert.is(gguf.decode(ids), folder.decode(ids));
  }
});

const pieces = ["<unk>", "<s>", "</s>", "▁", "a", "b", "c", "ab", "bc", "abc", "▁ab"];
const PIECES: Readonly<Record<string, Field>> = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": pieces,
  "tokenizer.ggml.token_type": Int32Array.of(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),
};

test("SentencePiece: the score says what is merged first, the id if all scores are alike, a list of merges if there is one", async () => {
  const ids = async (more: Readonly<Record<string, Field>>): Promise<readonly number[] | undefined> =>
    (await tokenizerOf({ ...PIECES, "tokenizer.ggml.add_space_prefix": false, ...more }))?.encode("abc");
  const scored = { "tokenizer.ggml.scores": Float32Array.of(0, 0, 0, -9, -9, -9, -9, -2, -1, -30, -30) };
  assert.equal(await ids(scored), [1, 9]);
  const without = { ...scored, "tokenizer.ggml.tokens": pieces.map((piece) => (piece === "abc" ? "x" : piece)) };
  assert.equal(await ids(without), [1, 4, 8]);
  const alike = { ...without, "tokenizer.ggml.scores": new Float32Array(11).fill(-1000) };
  assert.equal(await ids(alike), [1, 7, 6]);
  assert.equal(await ids({ ...alike, "tokenizer.ggml.merges": ["b c"] }), [1, 4, 8]);
});

test("the space before a text, BOS and EOS are as the file says", async () => {
  const ids = async (more: Readonly<Record<string, Field>>): Promise<readonly number[] | undefined> =>
    (await tokenizerOf({ ...PIECES, ...more }))?.encode("b");
  assert.equal(await ids({}), [1, 3, 5]);
  assert.equal(await ids({ "tokenizer.ggml.add_space_prefix": false }), [1, 5]);
  assert.equal(await ids({ "tokenizer.ggml.add_bos_token": false }), [3, 5]);
  assert.equal(await ids({ "tokenizer.ggml.add_eos_token": true }), [1, 3, 5, 2]);
  assert.equal(await ids({ "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.bos_token_id": 2 }), [2, 3, 5]);
  assert.equal(
    (await tokenizerOf({ ...byteLevel("gpt-2"), "tokenizer.ggml.add_bos_token": true }))?.encode("a")[0],
    bpe.bos,
  );
});

test("tokens that fill the embedding up are none", async () => {
  const filled = {
    ...PIECES,
    "tokenizer.ggml.tokens": [...pieces, "[PAD11]"],
    "tokenizer.ggml.token_type": Int32Array.of(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5),
  };
  assert.is((await tokenizerOf(filled))?.decode([11, 4]), "a");
});

test("chat templates: one, or several by name", async () => {
  const chat = { "tokenizer.chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}" };
  const messages = [{ role: "user", content: "hi" }];
  assert.is((await tokenizerOf({ ...PIECES, ...chat }))?.applyChatTemplate(messages), "<s>hi</s>");
  const named = {
    ...PIECES,
    ...chat,
    "tokenizer.chat_templates": ["tool_use"],
    "tokenizer.chat_template.tool_use": "tools: {{ messages[0].content }}",
  };
  assert.is((await tokenizerOf(named))?.applyChatTemplate(messages, { template: "tool_use" }), "tools: hi");
});

test("a tokenizer.json in the file goes first", async () => {
  const json = JSON.stringify({ model: { type: "WordLevel", vocab: { abc: 7 }, unk_token: "abc" } });
  assert.equal(
    (await tokenizerOf({ ...PIECES, "tokenizer.huggingface.json": json }))?.encode("abc", { addSpecialTokens: false }),
    [7],
  );
});

test("unknown kinds are refused by name, and damage is reported", async () => {
  const many = { ...PIECES, "tokenizer.ggml.tokens": Array.from({ length: 1001 }, (_, i) => `t${i}`) };
  await refusal("bad_file", () => tokenizerOf(many), "1001 tokens", "1000 rows");
  await refusal("bad_file", () => tokenizerOf(byteLevel("klingon")), "tokenizer.ggml.pre", '"klingon"');
  await refusal("bad_file", () => tokenizerOf({ ...PIECES, "tokenizer.ggml.model": "t5" }), '"t5"');
  const scores = { "tokenizer.ggml.scores": new Float32Array(3) };
  await refusal("bad_file", () => tokenizerOf({ ...PIECES, ...scores }), "11 tokens but the scores of 3");
  const infinite = { "tokenizer.ggml.scores": new Float32Array(11).fill(Number.NEGATIVE_INFINITY) };
  await refusal("bad_file", () => tokenizerOf({ ...PIECES, ...infinite }), "score of token 0 is -Infinity");
  const typed = { "tokenizer.ggml.token_type": new Int32Array(11).fill(9) };
  await refusal("bad_file", () => tokenizerOf({ ...PIECES, ...typed }), "token 0 is of the type 9");
  await refusal(
    "bad_file",
    () => tokenizerOf({ ...byteLevel("gpt-2"), "tokenizer.ggml.merges": ["zz yy"] }),
    "merge 0",
  );
  await refusal("bad_config", () => tokenizerOf({ ...PIECES, "tokenizer.ggml.tokens": 5 }), "tokenizer.ggml.tokens");
  assert.is(await tokenizerOf({ "tokenizer.ggml.model": "none" }), null);
  assert.is(await tokenizerOf({}), null);
});

test.run();
