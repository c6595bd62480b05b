/**
 * Random stages of all kinds, mixed, on random models: logits and sites against the float64 reference. Few shapes and
 * several compositions of each, since every shape has kernels of its own to compile.
 */
import fc from "fast-check";
import { test } from "uvu";
import type { Model } from "../../src/index.ts";
import type { Composition } from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { randomCompositions, randomRuns } from "../reference/random-compositions.ts";
import { openRandomModel, type RandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { load } from "../support/load.ts";
import { myTurns } from "../support/turns.ts";

/** GPT-2 in F32, Llama in F16, and Mistral's window with grouped queries in BF16. */
const MODELS = [0, 1, 5];
const COMPOSITIONS = 3;

for (const seed of myTurns(MODELS)) {
  test(`random compositions on the random model ${seed}`, async () => {
    const random = await openRandomModel(seed);
    const model = await load(random.files);
    const cases = fc.tuple(randomCompositions(random.config), randomRuns(random.config));
    try {
      // Sampled, not asserted: shrinking on a software device takes minutes. A failure's message has what to shrink.
      for (const [i, [composition, run]] of fc.sample(cases, { numRuns: COMPOSITIONS, seed }).entries()) {
        await compare(random, model, composition, run, i === 0);
      }
    } finally {
      model.dispose();
    }
  });
}

async function compare(
  { config, weights, summary }: RandomModel,
  model: Model,
  composition: Composition,
  run: { readonly tokens: readonly number[]; readonly promptLength: number },
  withSites: boolean,
): Promise<void> {
  const { tokens, promptLength } = run;
  const last = config.num_hidden_layers - 1;
  const sites = [`resid_pre.${last}`, `attn_norm.${last}`, `attn_z.${last}`, `mlp_post.${last}`, `resid_post.${last}`];
  const expected = referenceForward(weights, config, composition, { ...run, sites });
  const what = `${summary}\n${describe(composition)}\n${JSON.stringify(run)}\n`;
  const edited = model.withStages(composition);
  try {
    const logits = await edited.logits(tokens, { promptLength });
    assertClose(logits.data, Float32Array.from(expected.logits), `${what}logits`);
    if (!withSites) return;
    const captured = await edited.capture(tokens, sites, { promptLength });
    for (const [site, values] of expected.sites) {
      assertClose(captured.get(site)?.data ?? new Float32Array(), Float32Array.from(values), what + site);
    }
  } finally {
    edited.dispose();
  }
}

/** Stages without their tensors. */
function describe({ stages }: Composition): string {
  return stages
    .map((stage) =>
      JSON.stringify(stage, (key, value: unknown) => (key === "values" || key === "constants" ? "…" : value)),
    )
    .join("\n");
}

test.run();
