import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { readJson } from "../support/files.ts";
import { loaded, streamed, triedTokenizer } from "./tokenizer-of.ts";

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

/** So deep that only a loop can take it apart. */
function nested(type: string, field: string, inside: Json): Json {
  let step = inside;
  for (let depth = 0; depth < 100; depth++) step = { type, [field]: [step] };
  return step;
}

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
  // What neither field states is left to the post-processor.
  assert.equal(await encode({ add_bos_token: undefined, add_eos_token: undefined }), [1, ...ids]);
  assert.equal(
    await encode({ add_bos_token: undefined, add_eos_token: true, tokenizer_class: "PreTrainedTokenizerFast" }),
    [1, ...ids, 2],
  );
  const files = { "tokenizer.json": byteLevel() };
  assert.equal((await loaded(files)).encode("a a"), [0, 4]);
  // No file names a BOS to add.
  assert.equal((await loaded({ ...files, "tokenizer_config.json": { add_bos_token: true } })).encode("a a"), [0, 4]);
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
    [byteLevel({ model: { type: "BPE", vocab: { a: 2e9 * 2 }, merges: [] } }), /"a" has the id 4000000000/],
    [byteLevel({ model: { type: "BPE", vocab: { a: 0 } } }), /`model\.merges` is not a list/],
    [byteLevel({ model: { type: "BPE", vocab: { a: 0 }, merges: ["a b c"] } }), /merge 0 is "a b c"/],
    [
      byteLevel({ model: { type: "BPE", vocab: { a: 0 }, merges: ["a b"] } }),
      /names a token that `model\.vocab` lacks/,
    ],
    [byteLevel({ model: { type: "Unigram", vocab: [["a", 0]], unk_id: 0.5 } }), /`model\.unk_id` is 0\.5/],
    [byteLevel({ model: { type: "Unigram", vocab: [["a", 0]], unk_id: 1 } }), /not the index of one of the 1 tokens/],
    [byteLevel({ model: { type: "Unigram", vocab: [["a"]] } }), /`model\.vocab\[0\]` is \["a"\]/],
    // 1e999 is Infinity: sums of scores would be NaN.
    ['{"model":{"type":"Unigram","vocab":[["a",0],["b",1e999]]}}', /`model\.vocab\[1\]` is \["b",Infinity\]/],
    [
      byteLevel({ model: { type: "Unigram", vocab: [["a", 0]], byte_fallback: "no" } }),
      /`model\.byte_fallback` is "no"/,
    ],
    [byteLevel({ model: { type: "BPE", vocab: { a: 0 }, merges: [], fuse_unk: 1 } }), /`model\.fuse_unk` is 1/],
    [byteLevel({ model: { type: "BPE", vocab: { a: 0 }, merges: [], dropout: 2 } }), /`model\.dropout` is 2/],
    [byteLevel({ model: { type: "WordLevel", vocab: { a: 0 }, unk_token: 0 } }), /`model\.unk_token` is 0/],
    [byteLevel({ added_tokens: [{ id: 0.5, content: "x" }] }), /added_tokens\[0\]` has the id 0\.5/],
    [byteLevel({ added_tokens: [{ id: 5, content: "x", lstrip: "no" }] }), /has `lstrip` "no"/],
    [byteLevel({ decoder: { type: "Metaspace", replacement: "ab" } }), /needs one character as `replacement`/],
    [byteLevel({ version: "2.0" }), /of version "2\.0"/],
    [byteLevel({ model: { type: "Nonsense", vocab: { a: 0 } } }), /the model "Nonsense"/],
    [byteLevel({ added_tokens: [{ id: 1 }] }), /added_tokens\[0\]/],
    [byteLevel({ decoder: { type: "Nonsense" } }), /`decoder` has the type "Nonsense"/],
    [byteLevel({ decoder: nested("Sequence", "decoders", { type: "Fuse" }) }), /`decoder.*nested more than 64/],
    [
      byteLevel({ post_processor: nested("Sequence", "processors", { type: "ByteLevel" }) }),
      /`post_processor.*nested more than 64/,
    ],
    [
      byteLevel({
        post_processor: {
          type: "TemplateProcessing",
          single: [],
          special_tokens: {},
          pair: [{ SpecialToken: { id: "constructor" } }],
        },
      }),
      /neither a text nor one of `special_tokens`/,
    ],
    [
      byteLevel({
        post_processor: {
          type: "TemplateProcessing",
          single: Array(200).fill({ SpecialToken: { id: "s" } }),
          special_tokens: { s: { id: "s", ids: Array(100).fill(1), tokens: ["s"] } },
        },
      }),
      /puts 20000 ids around a text in `single`; at most 10000/,
    ],
    [
      byteLevel({
        post_processor: {
          type: "TemplateProcessing",
          single: Array(17).fill({ Sequence: { id: "A" } }),
          special_tokens: {},
        },
      }),
      /puts 17 texts into `single`; at most 16/,
    ],
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

test("leaves out what a BPE has no token for, as the Rust library does", async () => {
  const tokenizer = await loaded({ "tokenizer.json": byteLevel() });
  assert.equal(tokenizer.encode("axa"), [0, 0]);
});

test("a text that begins with BOS gets no second one, with a notice", async () => {
  const tokenizer = await loaded(await stories());
  const notices: string[] = [];
  const onNotice = (message: string): void => void notices.push(message);
  assert.equal(tokenizer.encode("<s>Once", { onNotice }), tokenizer.encode("Once"));
  assert.is(notices.length, 1);
  assert.match(notices[0] ?? "", /<s>/);
  // Two that the text has are the text's.
  assert.equal(tokenizer.encode("<s><s>Once").slice(0, 3), [1, 1, 403]);
});

test("lone surrogates count as U+FFFD", async () => {
  const tokenizer = await loaded(await stories());
  assert.equal(tokenizer.encode("a\ud800b\udc00"), tokenizer.encode("a\ufffdb\ufffd"));
  assert.is(tokenizer.decode(tokenizer.encode("\ud83e\udd99")), "🦙");
});

test("takes tokens named like what every JavaScript object has", async () => {
  const json = JSON.stringify(
    byteLevel({ added_tokens: [], pre_tokenizer: { type: "WhitespaceSplit" }, decoder: null, model: "MODEL" }),
  );
  const model = '{"type":"WordLevel","unk_token":"?","vocab":{"?":0,"__proto__":1,"constructor":2,"toString":3}}';
  const tokenizer = await loaded({ "tokenizer.json": json.replace('"MODEL"', model) });
  assert.equal(tokenizer.encode("__proto__ constructor toString valueOf hasOwnProperty"), [1, 2, 3, 0, 0]);
  assert.is(tokenizer.decode([1, 2, 3]), "__proto__ constructor toString");
});

test("an id far beyond the vocabulary costs nothing", async () => {
  const vocab = { a: 0, b: 2_000_000_000, ab: 100_000_000 };
  const tokenizer = await loaded({
    "tokenizer.json": byteLevel({ added_tokens: [], model: { type: "BPE", vocab, merges: ["a b"] } }),
  });
  assert.equal(tokenizer.encode("abb"), [100_000_000, 2_000_000_000]);
  assert.is(tokenizer.decode([100_000_000, 2_000_000_000]), "abb");
});

test("a decoder whose steps can make a text ever longer is refused", async () => {
  const filesOf = (pattern: unknown, content: string) => {
    const decoders = Array.from({ length: 40 }, () => ({ type: "Replace", pattern, content }));
    return { "tokenizer.json": byteLevel({ decoder: { type: "Sequence", decoders } }) };
  };
  for (const pattern of [{ String: "a" }, { Regex: "a" }, { Regex: "(?=a)" }, { Regex: "" }]) {
    assert.match((await refusal(filesOf(pattern, "aa"))).message, /more than 1000 times as long/);
  }
  for (const pattern of [{ String: "zz" }, { Regex: "\\s\\s" }]) assert.ok(await loaded(filesOf(pattern, "a")));
});

test("a tokenizer that cannot be read is an error when it is used", async () => {
  const files = { "tokenizer.json": byteLevel({ normalizer: { type: "Nonsense" } }) };
  const { tokenizer, error } = await triedTokenizer(files);
  assert.is(tokenizer, null);
  assert.match(error?.message ?? "", /Nonsense/);
  assert.match(error?.hint ?? "", /token ids/);
});

// Found by the fuzzer.
test("ids around a text are in the vocabulary, even those of no token", async () => {
  const piece = new TextEncoder().encode("\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02");
  const files = { "tokenizer.model": piece, "tokenizer_config.json": { tokenizer_class: "LlamaTokenizer" } };
  const tokenizer = await loaded(files, { bos_token_id: 1 });
  assert.equal([tokenizer.encode("")[0], tokenizer.vocabSize], [1, 2]);
  const frame = { type: "BertProcessing", cls: ["a", 7], sep: ["b", 9] };
  const framed = await loaded({ "tokenizer.json": byteLevel({ post_processor: frame }) }, {});
  assert.equal([framed.encode("").at(-1), framed.vocabSize], [9, 10]);
});

test.run();
