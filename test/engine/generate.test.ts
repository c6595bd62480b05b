/** Text and ids out of the real models in weights/. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { decode, prepareDecode } from "../../src/runtime/decode.ts";
import { settleSampling } from "../../src/runtime/sampling.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { sharedOut } from "../support/turns.ts";

// Each kind of model tells its text in both; what the texts rest on is shared out.
const inTurn = sharedOut(test);

test("stories260K tells the reference story at temperature 0", async () => {
  const expected = await readJson<{ prompt_ids: number[]; greedy_ids: number[]; text: string }>(
    "weights/stories260K/expected_greedy.json",
  );
  const model = await load(location("weights/stories260K"));
  const { tokens, prompt_tokens, text } = await model.generate(expected.prompt_ids, { maxNewTokens: 200 }).result();
  assert.equal([...prompt_tokens, ...tokens].slice(0, expected.greedy_ids.length), expected.greedy_ids);
  assert.is(text, model.tokenizer?.decode([...prompt_tokens, ...tokens]));
  let streamed = "";
  const generation = model.generate("", { maxNewTokens: 200 });
  for await (const piece of generation) streamed += piece.text;
  assert.is((await generation.result()).text, streamed);
  assert.ok(expected.text.trim().startsWith(streamed.trim().slice(0, 500)));
  model.dispose();
});

inTurn("a seed draws the same text again, alone and in a batch", async () => {
  const model = await load(location("weights/stories260K"));
  const options = { maxNewTokens: 24, temperature: 0.9, topK: 50, topP: 0.95, seed: 7 };
  const alone = await model.generate("Once upon a time", options).result();
  const [first, second] = await model.generateBatch(["Once upon a time", "The dog"], options);
  assert.equal(first?.tokens, alone.tokens);
  assert.is.not(first?.text, second?.text);
  model.dispose();
});

test("stop texts and stop tokens end generation and are cut from the text", async () => {
  const model = await load(location("weights/stories260K"));
  const plain = await model.generate("Once upon a time", { maxNewTokens: 30 }).result();
  const stopped = await model.generate("Once upon a time", { maxNewTokens: 30, stop: ["Lily"] }).result();
  assert.is(stopped.finish, "stop");
  assert.is(stopped.text, plain.text?.slice(0, plain.text.indexOf("Lily")));
  const third = plain.tokens[2] as number;
  const byToken = await model.generate("Once upon a time", { maxNewTokens: 30, stopTokens: [third] }).result();
  assert.equal(byToken.tokens, plain.tokens.slice(0, plain.tokens.indexOf(third) + 1));
  assert.is(byToken.finish, "stop");
  model.dispose();
});

test("a stop text that is a special token stops, and a tokenizer that cannot be read leaves ids to be run", async () => {
  const tokenizer = await readJson<{ added_tokens: object[]; normalizer: unknown }>(
    "weights/stories260K/tokenizer.json",
  );
  const plain = await load(location("weights/stories260K"));
  const { tokens } = await plain.generate("Once upon a time", { maxNewTokens: 12 }).result();
  const ninth = tokens[8] as number;
  const content = plain.tokenizer
    ?.decode([1, ninth], { skipSpecialTokens: false })
    .replace("<s>", "")
    .replace(" ", "▁") as string;
  plain.dispose();

  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const special = { ...tokenizer, added_tokens: [...tokenizer.added_tokens, { ...flags, id: ninth, content }] };
  const model = await load(await storiesWith(special));
  const stopped = await model.generate("Once upon a time", { maxNewTokens: 12, stop: [content] }).result();
  assert.equal(stopped.tokens, tokens.slice(0, tokens.indexOf(ninth) + 1));
  assert.is(stopped.finish, "stop");
  model.dispose();

  const notices: string[] = [];
  const onNotice = (message: string): void => void notices.push(message);
  const mute = await load(await storiesWith({ ...tokenizer, normalizer: { type: "Nope" } }), { onNotice });
  assert.ok(notices.some((notice) => notice.includes("Nope")));
  assert.is(mute.tokenizer, null);
  assert.is(await codeOf(() => mute.generate("Once").result()), "bad_file");
  const ids = await mute.generate([1, 403, 407, 261, 378], { maxNewTokens: 12 }).result();
  assert.equal(ids.tokens, tokens);
  assert.is(ids.text, null);
  mute.dispose();
});

/** The files of stories260K with another tokenizer.json. */
async function storiesWith(tokenizer: unknown): Promise<File[]> {
  const same = ["config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json"];
  const files = same.map(async (name) => new File([await readBytes(`weights/stories260K/${name}`)], name));
  return [...(await Promise.all(files)), new File([JSON.stringify(tokenizer)], "tokenizer.json")];
}

inTurn("nothing compiles between two tokens, also as the sequences of a batch end one by one", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  const prompts = [0, 1, 2, 3, 4].map((sequence) => ({ sequence, tokens: [sequence + 1, 7, 9], reused: 0 }));
  const sequences = await model.openSequences({ sequences: prompts.length, context: 12 });
  const options = { maxNewTokens: 6, stopTokens: new Set<number>(), ...settleSampling({}) };
  await prepareDecode(sequences, prompts, options);
  const { created } = model.internals.pipelines;
  const stopped = new Set<number>();
  let tokens = 0;
  for await (const { sequence } of decode(sequences, prompts, options, stopped)) {
    tokens++;
    // One sequence more ends after each of its tokens.
    if (stopped.size < prompts.length - 1) stopped.add(sequence);
  }
  assert.ok(tokens > prompts.length, `${tokens} tokens`);
  assert.is(model.internals.pipelines.created, created);
  sequences.dispose();
  model.dispose();
});

inTurn("gpt-nano-sort sorts all 729 inputs", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const inputs = Array.from({ length: 729 }, (_, n) => Array.from({ length: 6 }, (_, i) => Math.floor(n / 3 ** i) % 3));
  for (let at = 0; at < inputs.length; at += 243) {
    const batch = inputs.slice(at, at + 243);
    const results = await model.generateBatch(batch, { maxNewTokens: 6 });
    results.forEach(({ tokens }, i) => assert.equal(tokens, [...(batch[i] as number[])].sort()));
  }
  model.dispose();
});

inTurn("gpt-nano-sort has the published PyTorch activations", async () => {
  const { tensors } = parseSafetensors(await readBytes("weights/gpt-nano-sort/expected.safetensors"));
  const tokens = tensors.get("tokens");
  assert.ok(tokens);
  const ids = new Int32Array(tokens.bytes.slice().buffer);
  const model = await load(location("weights/gpt-nano-sort"));
  const sites = [...tensors.keys()].filter((name) => name !== "tokens" && name !== "logits");
  for (let input = 0; input < 3; input++) {
    const row = [...ids.subarray(input * 11, input * 11 + 11)];
    const captured = await model.capture(row, sites);
    const actual = new Map([...captured, ["logits", await model.logits(row)] as const]);
    for (const [site, { data }] of actual) {
      const all = toFloat32(tensors.get(site) as NonNullable<ReturnType<typeof tensors.get>>);
      assertClose(data, all.subarray(input * data.length, (input + 1) * data.length), `${site} of input ${input}`);
    }
  }
  model.dispose();
});

test("gpt2-stories gives the expected ids and text", async () => {
  interface Expected {
    readonly greedy: readonly { prompt: string; prompt_ids: number[]; greedy_ids: number[]; text: string }[];
  }
  const expected = await readJson<Expected>("weights/gpt2-stories/expected.json");
  const model = await load(location("weights/gpt2-stories"));
  for (const { prompt, prompt_ids, greedy_ids, text } of expected.greedy) {
    const result = await model.generate(prompt, { maxNewTokens: greedy_ids.length }).result();
    assert.equal(result.prompt_tokens, prompt_ids);
    assert.equal(result.tokens, greedy_ids);
    assert.is(result.text, text);
  }
  model.dispose();
});

inTurn("gpt2-stories does not draw the tokens that its training never saw", async () => {
  // 2, 4, 5, 7, 8 and 14 are such tokens: as inputs they must not lead to others.
  const odd = [
    [50256, 2, 4, 5, 464, 5822, 531],
    [7, 8, 14, 7454, 2402, 257],
    [31373, 995, 40000, 11, 23000, 198, 198],
  ];
  const model = await load(location("weights/gpt2-stories"));
  for (const tokens of odd) {
    const { data } = await model.logits(tokens);
    const width = model.config.vocab_size;
    for (let row = 0; row < tokens.length; row++) {
      const logits = data.subarray(row * width, (row + 1) * width);
      const unseen = logits[2] as number;
      const most = logits.reduce((a, b) => Math.max(a, b));
      let [count, seen] = [0, 0];
      for (const logit of logits) {
        if (logit === unseen) count++;
        else seen += Math.exp(logit - most);
      }
      assert.is(count, 36_616);
      const below = most + Math.log(seen) - unseen;
      assert.ok(below > 25, `after ${tokens.slice(0, row + 1)}: only ${below} below`);
    }
  }
  model.dispose();
});

test("a prompt beyond the context, ids beyond the vocabulary and an empty prompt are refused", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  assert.is(await codeOf(() => model.generate(Array(12).fill(0)).result()), "context_overflow");
  assert.is(await codeOf(() => model.logits(Array(12).fill(0))), "context_overflow");
  assert.is(await codeOf(() => model.logits([0, 3])), "bad_tokens");
  assert.is(await codeOf(() => model.logits([])), "usage");
  assert.is(await codeOf(() => model.generate("text").result()), "bad_tokens");
  assert.is(await codeOf(() => model.capture([0, 1], ["mlp_pre.3"])), "usage");
  model.dispose();
  assert.is(await codeOf(() => model.logits([0])), "usage");
});

test.run();
