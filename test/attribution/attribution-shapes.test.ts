/** Mask gradients of awkward models, in chunks and texts of all kinds, against differences of the float64 reference. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { EdgeGradient } from "../../src/attribution/attribute-edges.ts";
import { attributeEdges, openAttribution } from "../../src/fit/attribution.ts";
import { listSources } from "../../src/interventions/edges.ts";
import type { Composition, Destinations } from "../../src/interventions/stage.ts";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import { normal, seedOf, uniform } from "../reference/draw.ts";
import { maskedEdges, maskGradient, referenceLoss } from "../reference/loss.ts";
import { openRandomModel, type RandomModel } from "../reference/random-models.ts";
import { load } from "../support/load.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

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

function shaped({ config }: RandomModel, { destinations, mask, constants }: Given) {
  const sources = listSources(config).length;
  return {
    destinations,
    mask: { data: mask, shape: [mask.length / sources, sources] },
    constants: { data: constants, shape: [sources, config.hidden_size] },
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
  const scale = result.gradient.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const sources = result.gradient.shape[1];
  for (const [i, index] of chosen.entries()) {
    const { destination, source } = edges[index] as (typeof edges)[number];
    const actual = result.gradient.data[destination * sources + source] as number;
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
  intermediateSize?: number,
): Promise<void> {
  const model = await openRandomModel(seed, intermediateSize);
  const loaded = await load(model.files, { family });
  try {
    const problem = given(model, seed);
    compare(model, problem, await attributeEdges(loaded, problem.tokens, { ...shaped(model, problem), ...more }));
  } finally {
    loaded.dispose();
  }
}

for (const seed of myTurns([0, 1, 2, 3, 4, 5, 6, 7])) {
  test(`random model ${seed}`, () => run(seed, "register", {}));
}

test("in chunks, with heads' outputs made again, and with the kernels for GPUs", async () => {
  const runs = [
    () => run(1, "register", { chunkRows: 4, keptBytes: 0 }),
    () => run(2, "tiled", { chunkRows: 5, keptBytes: 0 }),
    () => run(3, "tiled", { chunkRows: 6 }),
    // Sums over that many inputs are split among workgroups.
    () => run(4, "tiled", {}, 264),
  ];
  for (const each of myTurns(runs)) await each();
});

inTurn("texts in one batch give the mean over all their predictions, in whatever chunks", async () => {
  const model = await openRandomModel(5);
  const loaded = await load(model.files);
  const texts = [4, 9, 1, 6].map((length, i) => given(model, i + 40, length).tokens);
  const { destinations, ...values } = shaped(model, given(model, 5));
  const batch = async (chunkRows: number) => {
    const attribution = await openAttribution(loaded, texts, { destinations, chunkRows });
    try {
      // A second run under the same mask begins anew.
      await attribution.run({});
      return await attribution.run(values);
    } finally {
      attribution.dispose();
    }
  };
  const whole = await batch(64);
  const expected = new Float64Array(whole.gradient.data.length);
  let loss = 0;
  for (const text of texts.filter(({ length }) => length > 1)) {
    const alone = await attributeEdges(loaded, text, values);
    const share = (text.length - 1) / 16;
    loss += share * alone.loss;
    alone.gradient.data.forEach((value, i) => {
      expected[i] = (expected[i] as number) + share * value;
    });
  }
  assert.ok(Math.abs(whole.loss - loss) < 1e-5, `loss ${whole.loss}, not ${loss}`);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const { gradient } of [whole, await batch(3)]) {
    const off = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (gradient.data[i] as number))), 0);
    assert.ok(off < 1e-5 * scale, `off by ${off} of ${scale}`);
  }
  loaded.dispose();
});

inTurn("masks side by side have the losses that each has alone, also where only late layers change", async () => {
  const model = await openRandomModel(5);
  const loaded = await load(model.files);
  const texts = [4, 9].map((length, i) => given(model, i + 40, length).tokens);
  const masks = [5, 6, 7].map((seed) => {
    const { mask, constants } = shaped(model, { ...given(model, 5), mask: given(model, seed * 8 + 5).mask });
    return { mask, constants };
  });
  const [first] = masks as [(typeof masks)[number]];
  // The last destination alone, then nothing.
  const late = {
    ...first,
    mask: { ...first.mask, data: first.mask.data.map((m, i) => (i < first.mask.data.length - 3 ? m : 0.5)) },
  };
  const three = await openAttribution(loaded, texts, { masks: 3 });
  const one = await openAttribution(loaded, texts, { destinations: three.destinations });
  const alone: number[] = [];
  for (const mask of [...masks, late, late]) alone.push((await one.run(mask)).loss);
  assert.equal(await three.losses(masks), alone.slice(0, 3));
  assert.equal(await three.losses([late, ...masks.slice(1)]), [alone[3], ...alone.slice(1, 3)]);
  assert.equal(await three.losses([late]), [alone[4]]);
  assert.is(alone[3], alone[4]);
  three.dispose();
  one.dispose();
  loaded.dispose();
});

inTurn("a source's mean is that of its site", async () => {
  const model = await openRandomModel(4);
  const loaded = await load(model.files);
  const { tokens } = given(model, 4);
  const { num_hidden_layers: layers, num_attention_heads: H, hidden_size: d } = model.config;
  const sites = ["embed", ...Array.from({ length: layers }, (_, l) => [`attn_out.${l}`, `mlp_out.${l}`]).flat()];
  const captured = await loaded.capture(tokens, sites);
  const attribution = await openAttribution(loaded, [tokens], { chunkRows: 5 });
  const { data, shape } = await attribution.means();
  assert.equal([...shape], [1 + layers * (H + 1), d]);
  const meanOf = (site: string) =>
    Float64Array.from({ length: d }, (_, i) => {
      const rows = captured.get(site)?.data as Float32Array;
      return tokens.reduce((sum, _t, t) => sum + (rows[t * d + i] as number), 0) / tokens.length;
    });
  const rowsSummed = (first: number, count: number) =>
    Float64Array.from({ length: d }, (_, i) => {
      let sum = 0;
      for (let s = first; s < first + count; s++) sum += data[s * d + i] as number;
      return sum;
    });
  const compareRow = (site: string, first: number, count: number) => {
    const expected = meanOf(site);
    rowsSummed(first, count).forEach((value, i) => {
      assert.ok(Math.abs(value - (expected[i] as number)) < 1e-5, `${site}: ${value}, not ${expected[i]}`);
    });
  };
  compareRow("embed", 0, 1);
  for (let l = 0; l < layers; l++) {
    compareRow(`attn_out.${l}`, 1 + l * (H + 1), H);
    compareRow(`mlp_out.${l}`, 1 + l * (H + 1) + H, 1);
  }
  attribution.dispose();
  loaded.dispose();
});

test("a mask of zeros leaves the norms nothing to read, and the gradient stays exact", async () => {
  for (const seed of myTurns([8, 11])) {
    const model = await openRandomModel(seed);
    const loaded = await load(model.files);
    const problem = given(model, seed);
    const emptied = { ...problem, mask: problem.mask.map(() => 0), constants: problem.constants.map((c) => c / 10) };
    compare(model, emptied, await attributeEdges(loaded, emptied.tokens, shaped(model, emptied)));
    // Without constants even the norms' inputs are zero, and nothing depends on the tokens.
    const { mask } = shaped(model, emptied);
    const { loss, gradient } = await attributeEdges(loaded, emptied.tokens, {
      destinations: emptied.destinations,
      mask,
    });
    assert.ok(Number.isFinite(loss) && gradient.data.some((value) => value !== 0), model.summary);
    loaded.dispose();
  }
});

test("what does not fit is refused by name", async () => {
  const model = await openRandomModel(1);
  const loaded = await load(model.files);
  const { tokens, ...rest } = given(model, 1);
  const values = shaped(model, { tokens, ...rest });
  const refused = (problem: Promise<unknown>, pattern: RegExp) =>
    problem.then(
      () => assert.unreachable(String(pattern)),
      (error: Error) => assert.match(error.message, pattern),
    );
  const [rows, columns] = values.mask.shape as [number, number];
  await refused(
    attributeEdges(loaded, tokens, { ...values, mask: { ...values.mask, shape: [rows * columns, 1] } }),
    /mask is \[\d+, \d+\], and must be \[\d+, \d+\] \(\[destinations, sources\]\)/,
  );
  await refused(
    attributeEdges(loaded, tokens, { ...values, mask: { ...values.mask, data: rest.mask.map(() => 1.5) } }),
    /mask is 1.5 on the edge from embed to blocks\.0\./,
  );
  await refused(
    attributeEdges(loaded, tokens, {
      ...values,
      constants: { ...values.constants, data: rest.constants.map(() => NaN) },
    }),
    /constants hold NaN for source 0/,
  );
  await refused(attributeEdges(loaded, tokens.slice(0, 1), values), /at least two tokens/);
  await refused(attributeEdges(loaded, [1, model.config.vocab_size], values), /outside the vocabulary/);
  for (const chunkRows of [0, -3, 2.5, Number.NaN]) {
    await refused(
      attributeEdges(loaded, tokens, { ...values, chunkRows }),
      /chunkRows is .*a whole number of at least 1/,
    );
  }
  for (const keptBytes of [-1, Number.NaN]) {
    await refused(attributeEdges(loaded, tokens, { ...values, keptBytes }), /keptBytes is .*at least 0/);
  }
  if (model.config.num_attention_heads !== model.config.num_key_value_heads) {
    await refused(attributeEdges(loaded, tokens, { destinations: "heads" }), /qkv_groups/);
  }
  loaded.dispose();
});

test.run();
