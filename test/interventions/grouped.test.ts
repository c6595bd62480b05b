/**
 * q, k and v that read rows of their own, with the kernels for GPUs: head widths below a tile and no multiples of four,
 * so that one tile's columns would belong to several variants.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listDestinations, visibleSources } from "../../src/interventions/edges.ts";
import type { Composition, EdgeMaskStage, MaskedEdge } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { referenceForward } from "../reference/forward.ts";
import { openRandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { lastLogits } from "../support/last-logits.ts";
import { load } from "../support/load.ts";
import { myTurns } from "../support/turns.ts";

/** Random models by seed: GPT-2 of width 7 a head, Llama of 6 and Qwen2 of 10, both with grouped queries. */
const MODELS = [
  { seed: 0, head_dim: 7 },
  { seed: 35, head_dim: 6 },
  { seed: 37, head_dim: 10 },
];

/** Every n-th edge at a third; the last heads of each kind keep all, so that both kinds of row meet in one matrix. */
function everyNth(config: ModelConfig, n: number): Composition {
  const list: MaskedEdge[] = [];
  listDestinations(config, "qkv_groups").forEach((destination, index) => {
    const isLast = destination.kind === "q" && destination.head === config.num_attention_heads - 1;
    for (let source = 0; source < visibleSources(config, destination); source++) {
      if ((index + source) % n === 0 && !isLast) list.push({ destination: index, source, value: 1 / 3 });
    }
  });
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  const stage: EdgeMaskStage = {
    id: "edges",
    kind: "edge_mask",
    destinations: "qkv_groups",
    attn_bias: "per_head",
    replace,
    edges: list,
    strength: 1,
  };
  return { stages: [stage], warnings: [] };
}

for (const { seed, head_dim } of myTurns(MODELS)) {
  test(`heads of width ${head_dim} (random model ${seed}), in more rows than a tile has and in one`, async () => {
    const { config, weights, files, summary } = await openRandomModel(seed);
    assert.is(config.head_dim, head_dim, "the random models have changed: choose other seeds");
    const tokens = Array.from({ length: 45 }, (_, i) => (i * i + 7 * i + seed) % config.vocab_size);
    const model = await load(files, { family: "tiled" });
    try {
      for (const n of [1, 2]) {
        const composition = everyNth(config, n);
        const expected = Float32Array.from(referenceForward(weights, config, composition, { tokens }).logits);
        const edited = model.withStages(composition);
        const what = `${summary}, every ${n}. edge`;
        assertClose((await edited.logits(tokens)).data, expected, what);
        const sequences = await edited.openSequences({ context: tokens.length });
        await lastLogits(sequences, [{ sequence: 0, tokens: tokens.slice(0, -1) }]);
        const last = (await lastLogits(sequences, [{ sequence: 0, tokens: tokens.slice(-1) }])).get(0);
        assertClose(last as Float32Array, expected.slice(-config.vocab_size), `${what}, decoded`);
        sequences.dispose();
      }
    } finally {
      model.dispose();
    }
  });
}

test.run();
