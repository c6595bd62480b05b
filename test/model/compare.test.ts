/** model.compare: what either model says, how far their predictions lie apart, and which tokens moved. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Bundle, loadBundle, type Model, writeBundle } from "../../src/index.ts";
import { bundleOf, filled, vector } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

const PROMPT = "Once upon a time";

/** Scales some neurons, and pushes the stream; the bytes go through the format, as a file's would. */
async function smallBundle({ config }: Model): Promise<Bundle> {
  const { intermediate_size: f, hidden_size: d } = config;
  const scale = Float32Array.from({ length: f }, (_, i) => (i % 3 === 0 ? 0.25 : 1));
  const push = Float32Array.from({ length: d }, (_, i) => Math.sin(i * 1.7));
  const bundle = bundleOf(
    config,
    [
      { id: "damp", kind: "neuron_scale", site: "mlp_post", layers: [1] },
      { id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [2], alpha: 4 },
    ],
    { "damp.1.scale": vector(...scale), "push.2.direction": vector(...push) },
  );
  return loadBundle(writeBundle(bundle));
}

/** Halves what every MLP writes. */
function halves({ config }: Model): Bundle {
  const stage = { id: "half", kind: "neuron_scale", site: "mlp_out", layers: "all" };
  const names = Array.from({ length: config.num_hidden_layers }, (_, layer) => `half.${layer}.scale`);
  return bundleOf(config, [stage], Object.fromEntries(names.map((name) => [name, filled([config.hidden_size])])));
}

/** One for all tests, since kernels compile slowly and stay with the model. */
let model: Model;
test.before(async () => {
  model = await load(location("weights/stories260K"), { plan: "reference" });
});
test.after(() => model.dispose());

function probabilities(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - top));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}

test("it says what both models say alone, and measures what their logits give by hand", async () => {
  const edited = model.with([await smallBundle(model)]);
  const result = await edited.compare(PROMPT, { maxNewTokens: 12, most: 5 });
  const tokens = model.encode(PROMPT);
  assert.equal(result.prompt_tokens, tokens);

  for (const [name, alone] of [["plain", model] as const, ["edited", edited] as const]) {
    const { tokens: ids, text, finish } = await alone.generate(PROMPT, { maxNewTokens: 12 }).result();
    assert.equal(result[name], { tokens: ids, text, finish }, name);
  }
  const { common_tokens: common } = result;
  assert.equal(result.plain.tokens.slice(0, common), result.edited.tokens.slice(0, common));
  assert.is.not(result.plain.tokens[common], result.edited.tokens[common]);

  const vocab = model.config.vocab_size;
  const [before, after] = [await model.logits(tokens), await edited.logits(tokens)];
  const rows = tokens.map((_, t) => {
    const [p, q] = [before, after].map(({ data }) => probabilities(data.subarray(t * vocab, (t + 1) * vocab)));
    return { p: p as number[], q: q as number[] };
  });
  const divergences = rows.map(({ p, q }) => p.reduce((sum, v, i) => sum + v * Math.log(v / (q[i] as number)), 0));
  assert.is(result.kl_nats.positions.length, tokens.length);
  divergences.forEach((value, t) => {
    assert.ok(value > 1e-3, `position ${t} should be moved by these stages`);
    assert.ok(Math.abs((result.kl_nats.positions[t] as number) - value) < 1e-9, `position ${t}`);
  });
  assert.is(result.kl_nats.last, result.kl_nats.positions.at(-1));
  const mean = divergences.reduce((sum, value) => sum + value, 0) / divergences.length;
  assert.ok(Math.abs(result.kl_nats.mean - mean) < 1e-9);

  const { p, q } = rows.at(-1) as (typeof rows)[number];
  const order = p.map((_, token) => token);
  const change = (token: number): number => Math.abs((q[token] as number) - (p[token] as number));
  order.sort((a, b) => change(b) - change(a));
  assert.equal(
    result.moved.map(({ token }) => token),
    order.slice(0, 5),
  );
  for (const { token, text, plain: was, edited: is } of result.moved) {
    assert.is(text, model.tokenizer?.decode([token]));
    assert.ok(Math.abs(was - (p[token] as number)) < 1e-12 && Math.abs(is - (q[token] as number)) < 1e-12);
  }
});

test("stages that are off move nothing, and stages behind the prompt leave its predictions alone", async () => {
  const bundle = await smallBundle(model);
  const off = new Map(bundle.manifest.stages.map(({ id }) => [id, 0]));
  const same = await model.with([bundle], { strengths: off }).compare(PROMPT, { maxNewTokens: 4 });
  assert.equal(same.plain, same.edited);
  assert.is(same.common_tokens, 4);
  assert.equal([same.kl_nats.last, same.kl_nats.mean, same.moved], [0, 0, []]);

  const { config } = model;
  const stage = {
    id: "x",
    kind: "affine",
    method: "addition",
    site: "resid_post",
    layers: [4],
    positions: "generated",
  };
  const push = vector(...Array.from({ length: config.hidden_size }, (_, i) => 4 * Math.cos(i * 2.3)));
  const later = bundleOf(config, [stage], { "x.4.direction": push });
  const result = await model.with([later]).compare(PROMPT, { maxNewTokens: 8 });
  assert.equal(result.kl_nats.positions, new Array(result.prompt_tokens.length).fill(0));
  assert.equal(result.moved, []);
  assert.ok(result.common_tokens >= 1 && result.common_tokens < 8, `${result.common_tokens} in common`);
  // With a shorter prompt the same stage acts on its last tokens.
  const sooner = await model.with([later]).compare(PROMPT, { maxNewTokens: 1, promptLength: 2 });
  assert.equal(
    sooner.kl_nats.positions.map((value) => value > 0),
    sooner.prompt_tokens.map((_, position) => position >= 2),
  );
});

test("what is drawn is drawn with one seed, which the result names", async () => {
  const edited = model.with([await smallBundle(model)]);
  const options = { maxNewTokens: 10, temperature: 1 };
  const first = await edited.compare(PROMPT, options);
  assert.type(first.seed, "number");
  const again = await edited.compare(PROMPT, { ...options, seed: first.seed as number });
  assert.equal(again, first);
  const alone = await model.generate(PROMPT, { ...options, seed: first.seed as number }).result();
  assert.equal(first.plain.tokens, alone.tokens);
});

test("ids are compared without a tokenizer, to the end of the context", async () => {
  const tiny = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  try {
    const { max_position_embeddings: length, vocab_size } = tiny.config;
    const tokens = Array.from({ length }, (_, i) => (i * 7 + 3) % vocab_size);
    const result = await tiny.with([halves(tiny)]).compare(tokens, { maxNewTokens: 3 });
    assert.equal([result.plain.text, result.moved[0]?.text], [null, null]);
    assert.is(result.plain.finish, "context");
    assert.is(result.moved.length, 10);
  } finally {
    tiny.dispose();
  }
});

test("a prompt of several steps is compared token by token", async () => {
  const edited = model.with([halves(model)]);
  const length = 400;
  const tokens = Array.from({ length }, (_, i) => (i * 7 + 3) % model.config.vocab_size);
  const { chunkOuts } = edited.plan({ sequences: 2, context: length });
  assert.ok(2 * length > chunkOuts, `two sequences need more than a step of ${chunkOuts}`);
  const { kl_nats } = await edited.compare(tokens, { maxNewTokens: 1 });
  const vocab = model.config.vocab_size;
  const [before, after] = [await model.logits(tokens), await edited.logits(tokens)];
  assert.is(kl_nats.positions.length, length);
  for (const t of [0, 1, Math.floor(chunkOuts / 2) - 1, Math.floor(chunkOuts / 2), length - 1]) {
    const [p = [], q = []] = [before, after].map(({ data }) =>
      probabilities(data.subarray(t * vocab, (t + 1) * vocab)),
    );
    const expected = p.reduce((sum, value, i) => sum + value * Math.log(value / (q[i] as number)), 0);
    assert.ok(Math.abs((kl_nats.positions[t] as number) - expected) < 1e-9, `position ${t}`);
  }
});

test("refused: a plain model, prompts beyond the context, options out of range, numbers that overflow", async () => {
  assert.is(await codeOf(() => model.compare([1, 2])), "usage");
  const bundle = await smallBundle(model);
  const edited = model.with([bundle]);
  const long = new Array(model.config.max_position_embeddings + 1).fill(1);
  assert.is(await codeOf(() => edited.compare(long)), "context_overflow");
  assert.is(await codeOf(() => edited.compare([1, 2], { promptLength: 3 })), "usage");
  assert.is(await codeOf(() => edited.compare([1, 2], { most: -1 })), "usage");
  // @ts-expect-error Both sides draw with one seed: a list, one a prompt, is not offered.
  assert.is(await codeOf(() => edited.compare([1, 2], { seeds: [1] })), "usage");
  assert.is(await codeOf(() => edited.compare([model.config.vocab_size])), "bad_tokens");
  const huge = model.with([bundle], {
    strengths: new Map([["push", 3e38]]),
    params: new Map([["push", { alpha: 3e38 }]]),
  });
  assert.is(await codeOf(() => huge.compare(PROMPT)), "non_finite");
});

test.run();
