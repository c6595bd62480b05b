/** A sweep: every cell against the evaluation and the logits of the model that it stands for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { storeFloat32 } from "../../src/formats/safetensors.ts";
import { type Bundle, evaluate, sweep } from "../../src/index.ts";
import { bundleOf } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

const model = await load(location("weights/gpt-nano-sort"));
const d = model.config.hidden_size;
const row = (phase: number) =>
  storeFloat32(
    Float32Array.from({ length: d }, (_, i) => 0.6 * Math.sin(phase + i)),
    [d],
  );

/** An addition with a direction per layer, by phase. */
function adding(directions: Readonly<Record<number, number>>, more: object = {}): Bundle {
  const layers = Object.keys(directions).map(Number);
  const stage = { id: "add", kind: "affine", method: "addition", site: "resid_post", layers, ...more };
  const tensors = Object.entries(directions).map(([layer, phase]) => [`add.${layer}.direction`, row(phase)]);
  return bundleOf(model.config, [stage], Object.fromEntries(tensors));
}

const documents = [
  [2, 0, 1, 1, 0, 2, 0, 0, 1, 1, 2],
  [1, 0, 2, 2],
  [0, 2, 1, 0, 1, 0, 0, 0],
];
const prompts = [
  [2, 0, 1, 1, 0, 2],
  [1, 1],
  [0, 2, 2],
];

test("each cell is the evaluation of the bundle at its layer and strength", async () => {
  const at1 = adding({ 1: 0.3 });
  const scorer = ({ tokens }: { readonly tokens: readonly number[] }) => tokens.length;
  const options = { strengths: [0, 1.5], layers: [0, 1], documents, prompts, newTokens: 2, scorer };
  const { cells, layers, stages, widened } = await sweep(model, [at1], options);
  assert.equal([layers, stages, widened], [[0, 1], ["add"], []]);
  assert.equal(
    cells.map(({ layer, strength }) => [layer, strength]),
    [
      [0, 0],
      [0, 1.5],
      [1, 0],
      [1, 1.5],
    ],
  );
  for (const { layer, strength, texts, prompts: effect } of cells) {
    const edited = model.with([adding({ [layer ?? -1]: 0.3 })], { strengths: { add: strength } });
    const { predictions } = await evaluate(edited, { documents });
    assert.is(texts?.perplexity, predictions?.perplexity.edited.value);
    assert.is(texts?.plain_perplexity, predictions?.perplexity.plain.value);
    assert.equal([texts?.kl_nats, texts?.agreement], [predictions?.kl_nats.value, predictions?.agreement.value]);
    for (const [i, prompt] of prompts.entries()) {
      const { kl_nats } = await edited.compare(prompt, { maxNewTokens: 1 });
      const { tokens } = await edited.generate(prompt, { maxNewTokens: 2 }).result();
      assert.ok(Math.abs((effect?.each[i]?.kl_nats ?? -1) - kl_nats.last) < 1e-5);
      assert.equal([effect?.each[i]?.tokens, effect?.each[i]?.edited_token], [tokens, tokens[0]]);
    }
    assert.is(effect?.score, 2);
    if (strength === 0) assert.equal([texts?.kl_nats, effect?.kl_nats, effect?.agreement], [0, 0, 1]);
  }
  assert.ok((cells[3]?.texts?.kl_nats ?? 0) > 0.001, "the edit changes something");
});

test("a stage with values for a layer uses these; positions that depend on a prompt are widened, and named", async () => {
  const both = adding({ 0: 0.3, 1: 2 }, { positions: "generated" });
  const { cells, widened } = await sweep(model, [both], { strengths: [1], layers: [1, 0], documents });
  assert.equal(widened, ["add"]);
  for (const [layer, phase] of [0.3, 2].entries()) {
    const { predictions } = await evaluate(model.with([adding({ [layer]: phase })]), { documents });
    assert.is(cells[layer]?.texts?.perplexity, predictions?.perplexity.edited.value);
  }
});

test("what cannot be swept is refused by name", async () => {
  const bundle = adding({ 0: 0.3, 1: 2 });
  const refused = async (options: object, pattern: RegExp): Promise<void> => {
    const error = await sweep(model, [bundle], { strengths: [1], documents, ...options }).then(
      () => null,
      (thrown: Error) => thrown,
    );
    assert.match(error?.message ?? "", pattern);
  };
  await refused({ layers: [2] }, /stage "add" has values for layers 0, 1, and none for layer 2/);
  await refused({ layers: [9] }, /There is no layer 9/);
  await refused({ stages: ["calm"] }, /There is no stage "calm"/);
  await refused({ documents: undefined }, /nothing to measure on/);
  await refused({ scorer: () => 1 }, /judges continuations, and there are none/);
  await refused({ strengths: [] }, /strengths/);
});

test.run();
