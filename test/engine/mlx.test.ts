/** Models that MLX quantised: the weights that their numbers mean, with every kind of intervention, and refusals. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noStages } from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { randomCompositions, randomRuns } from "../reference/random-compositions.ts";
import { assertClose } from "../support/closeness.ts";
import { load } from "../support/load.ts";
import { type DrawnModel, drawnModel } from "../support/mlx-files.ts";
import { myTurns } from "../support/turns.ts";

/** odd numbers of rows and of groups; a head of its own and a tied one. */
const LLAMA = {
  model_type: "llama",
  hidden_size: 96,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 32,
  vocab_size: 61,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

const GPT2 = { model_type: "gpt2", n_embd: 96, n_head: 4, n_layer: 2, vocab_size: 67, n_positions: 40 };

const MODELS: readonly (DrawnModel & { readonly what: string })[] = [
  { what: "llama, 4 bits, F16", config: LLAMA, usual: { bits: 4, group: 32 }, scales: "F16", seed: 10 },
  {
    what: "llama, 4 and 8 bits and floats within fused projections, BF16",
    config: { ...LLAMA, hidden_size: 128, num_attention_heads: 4, tie_word_embeddings: false },
    usual: { bits: 4, group: 64 },
    modules: {
      "model.layers.0.mlp.down_proj": { bits: 8, group: 32 },
      "model.layers.1.mlp.down_proj": { bits: 4, group: 32 },
      "model.layers.0.self_attn.v_proj": { bits: 8, group: 128 },
      "model.layers.1.self_attn.q_proj": false,
      lm_head: { bits: 8, group: 64 },
    },
    scales: "BF16",
    seed: 9,
  },
  { what: "gpt2, 8 bits, F32", config: GPT2, usual: { bits: 8, group: 32 }, scales: "F32", seed: 12 },
  {
    what: "gpt2, 4 bits, F32",
    config: GPT2,
    usual: { bits: 4, group: 32 },
    modules: { "model.wte": { bits: 8, group: 32 }, "model.wpe": false, "model.h.1.attn.c_proj": false },
    scales: "F32",
    seed: 4,
  },
];

const TOKENS = Array.from({ length: 19 }, (_, i) => (i * 23 + 5) % 61);

for (const { what, ...drawn } of myTurns(MODELS)) {
  test(`${what}: what the weights that the numbers mean give in float64, plain, edited, and one by one`, async () => {
    const { quantised, floats } = drawnModel(drawn);
    const { weights, config } = await openReference(floats);
    const model = await load(quantised);
    try {
      assert.is(model.config.quantization, "mlx");
      const bytes = floats.reduce((sum, { size }) => sum + size, 0);
      assert.ok(model.gpuBytes < 0.55 * bytes, `${model.gpuBytes} of ${bytes} bytes`);
      const { logits } = referenceForward(weights, config, noStages, { tokens: TOKENS });
      assertClose((await model.logits(TOKENS)).data, Float32Array.from(logits), what, 1e-5);
      const { tokens } = await model.generate(TOKENS, { maxNewTokens: 5 }).result();
      const all = referenceForward(weights, config, noStages, { tokens: [...TOKENS, ...tokens] }).logits;
      const best = tokens.map((_, i) => {
        const row = [
          ...all.subarray((TOKENS.length + i - 1) * config.vocab_size, (TOKENS.length + i) * config.vocab_size),
        ];
        return row.indexOf(Math.max(...row));
      });
      assert.equal([...tokens], best);

      // Compiling takes the time: one composition, of every kind of stage in the four models together.
      const cases = fc.tuple(randomCompositions(config), randomRuns(config));
      for (const [composition, run] of fc.sample(cases, { numRuns: 1, seed: drawn.seed })) {
        const expected = referenceForward(weights, config, composition, run);
        const { data } = await model.withStages(composition).logits(run.tokens, { promptLength: run.promptLength });
        const kinds = composition.stages.map(({ kind }) => kind).join();
        assertClose(data, Float32Array.from(expected.logits), `${what} with ${kinds}`, 1e-5);
      }
    } finally {
      model.dispose();
    }
  });
}

test.run();
