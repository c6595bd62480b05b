/** Mask gradients of awkward models, in chunks and texts of all kinds, against differences of the float64 reference. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { EdgeGradient } from "../../src/fit/attribution/attribute-edges.ts";
import { listSources } from "../../src/interventions/edges.ts";
import type { Composition, Destinations } from "../../src/interventions/stage.ts";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import { load } from "../../src/runtime/load.ts";
import { normal, seedOf, uniform } from "../reference/draw.ts";
import { maskedEdges, maskGradient, referenceLoss } from "../reference/loss.ts";
import { openRandomModel, type RandomModel } from "../reference/random-models.ts";

/** Edges whose gradient is compared, evenly spread. */
const EDGES = 14;

interface Given {
  readonly tokens: readonly number[];
  readonly destinations: Destinations;
  readonly mask: Float32Array;
  readonly constants: Float32Array;
}

/** A text, a mask with values of all sizes and 0 and 1 among them, and constants. */
function given({ config }: RandomModel, seed: number, length = 13): Given {
  const { num_attention_heads: H, num_key_value_heads: G, num_hidden_layers: layers, hidden_size: d } = config;
  const destinations = H === G && seed % 4 < 2 ? "heads" : "qkv_groups";
  const sources = listSources(config).length;
  const count = layers * ((destinations === "heads" ? H : H + 2 * G) + 1) + 1;
  const draw = uniform(seedOf(seed, "mask"));
  const pick = uniform(seedOf(seed, "tokens"));
  return {
    tokens: Array.from({ length }, () => Math.floor(pick() * config.vocab_size)),
    destinations,
    mask: Float32Array.from(
      { length: count * sources },
      () => [0, 1, draw(), draw() / 50][Math.floor(draw() * 4)] as number,
    ),
    constants: normal(seed, "constants", sources * d, 0.5),
  };
}

/** Compares loss and a spread of edges with the reference. */
function compare(model: RandomModel, { tokens, destinations, mask, constants }: Given, result: EdgeGradient): void {
  const edges = maskedEdges(model.config, destinations, mask);
  const replace = { attn: "constants", mlp: "constants", logits: "constants" } as const;
  const composition: Composition = {
    stages: [
      { id: "e", kind: "edge_mask", strength: 1, destinations, attn_bias: "per_head", replace, edges, constants },
    ],
    warnings: [],
  };
  const loss = referenceLoss(model, composition, { tokens });
  assert.ok(
    Math.abs(result.loss - loss) < 2e-4 * Math.max(1, loss),
    `${model.summary}: loss ${result.loss}, not ${loss}`,
  );
  const chosen = Array.from({ length: EDGES }, (_, i) => Math.floor(((i + 0.5) * edges.length) / EDGES));
  const expected = maskGradient(model, composition, { tokens }, chosen);
  const scale = result.gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const sources = result.shape[1];
  for (const [i, index] of chosen.entries()) {
    const { destination, source } = edges[index] as (typeof edges)[number];
    const actual = result.gradient[destination * sources + source] as number;
    const off = Math.abs(actual - (expected[i] as number));
    assert.ok(
      off <= 1e-3 * scale,
      `${model.summary}: edge ${source} to ${destination} is ${actual}, not ${expected[i]}`,
    );
  }
}

async function run(
  seed: number,
  family: KernelFamily,
  more: { chunkRows?: number; keptBytes?: number },
): Promise<void> {
  const model = await openRandomModel(seed);
  const loaded = await load(model.files, { family });
  try {
    const problem = given(model, seed);
    compare(model, problem, await loaded.attributeEdges(problem.tokens, { ...problem, ...more }));
  } finally {
    loaded.dispose();
  }
}

for (const seed of [0, 1, 2, 3, 4, 5, 6, 7]) {
  test(`random model ${seed}`, () => run(seed, "register", {}));
}

test("in chunks, with heads' outputs made again, and with the kernels for GPUs", async () => {
  await run(1, "register", { chunkRows: 4, keptBytes: 0 });
  await run(2, "tiled", { chunkRows: 5, keptBytes: 0 });
  await run(3, "tiled", { chunkRows: 6 });
});

test.run();
