/** Looking into a model with stages: sites hold what stands there after all stages, and looking changes nothing. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadOptions, Model } from "../../src/index.ts";
import { destinationName, listDestinations, listSources, sourceName } from "../../src/interventions/edges.ts";
import {
  type AffineStage,
  affineSites,
  type Composition,
  type EdgeMaskStage,
  type MaskedEdge,
  type NeuronScaleStage,
  type NeuronSite,
  neuronSites,
  type Stage,
} from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { lastLogits } from "../support/last-logits.ts";
import { load } from "../support/load.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const TOKENS = [65, 7, 28, 64, 1, 66, 100, 2, 3, 21];
const PROMPT_LENGTH = 6;

const of = (...stages: Stage[]): Composition => ({ stages, warnings: [] });
const wave = (length: number, phase: number, size: number) =>
  Float32Array.from({ length }, (_, i) => size * Math.sin(1.7 * i + phase));

function addition(model: Model, site: AffineStage["site"], layers: readonly number[]): AffineStage {
  const d = model.config.hidden_size;
  return {
    id: `push_${site}`,
    kind: "affine",
    method: "addition",
    site,
    layers,
    positions: "last_prompt_onward",
    gate: "identity",
    alpha: 0.75,
    strength: 1,
    values: new Map(layers.map((layer) => [layer, { direction: wave(d, layer + site.length, 0.5) }])),
  };
}

function neurons(model: Model, site: NeuronSite, layers: readonly number[]): NeuronScaleStage {
  const { hidden_size: d, intermediate_size: f, num_attention_heads: H, head_dim } = model.config;
  const width = site === "attn_z" ? H * head_dim : /^(?:mlp_pre|gate_pre|up|mlp_post)$/.test(site) ? f : d;
  const values = new Map(
    layers.map((layer) => [layer, { scale: wave(width, layer, 1.5), shift: wave(width, site.length, 0.25) }]),
  );
  return { id: `neurons_${site}`, kind: "neuron_scale", site, layers, positions: "all", strength: 0.5, values };
}

function edgeMask(model: Model, pairs: readonly (readonly [source: string, destination: string])[]): EdgeMaskStage {
  const { num_attention_heads: H, num_key_value_heads: G } = model.config;
  const destinations = H === G ? "heads" : "qkv_groups";
  const names = listDestinations(model.config, destinations).map(destinationName);
  const sources = listSources(model.config).map(sourceName);
  const edges: MaskedEdge[] = pairs.map(([source, destination], i) => ({
    source: sources.indexOf(source),
    destination: names.indexOf(destination),
    value: i % 2 === 0 ? 0 : 0.5,
  }));
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  return { id: "edges", kind: "edge_mask", destinations, attn_bias: "per_head", replace, edges, strength: 1 };
}

/** Where attention's first input of a layer is named, whichever way they are told apart. */
const attentionInput = (model: Model, layer: number) =>
  `blocks.${layer}.${model.config.num_attention_heads === model.config.num_key_value_heads ? "head" : "q"}.0`;

/** A stage at every site there is, and a mask whose sources are no heads, so that attn_out may have stages too. */
function everywhere(model: Model): Composition {
  const missing = model.config.mlp === "plain" ? ["gate_pre", "up"] : ["mlp_pre"];
  const sites = neuronSites.filter((site) => !missing.includes(site));
  return of(
    ...sites.map((site) => neurons(model, site, [0, 1])),
    ...affineSites.map((site) => addition(model, site, [0, 1])),
    edgeMask(model, [
      ["embed", attentionInput(model, 1)],
      ["blocks.0.mlp", attentionInput(model, 1)],
      ["embed", "blocks.1.mlp"],
      ["blocks.1.mlp", "logits"],
    ]),
  );
}

/** Every site of a layer that can be captured. */
function sitesOf(model: Model, layers: readonly number[]): readonly string[] {
  const own = model.config.mlp === "plain" ? ["mlp_pre"] : ["gate_pre", "up"];
  const attention = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_pattern", "attn_z", "attn_out"];
  const names = ["resid_pre", ...attention, "resid_mid", "mlp_norm", ...own, "mlp_post", "mlp_out", "resid_post"];
  return ["embed", ...layers.flatMap((layer) => names.map((name) => `${name}.${layer}`)), "final_norm"];
}

async function withModel(folder: string, options: LoadOptions, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await load(location(folder), options);
  try {
    await use(model);
  } finally {
    model.dispose();
  }
}

const tokensFor = (model: Model) => TOKENS.map((token) => token % model.config.vocab_size);

// Stages everywhere and all captures: each a kernel of its own to compile.
for (const folder of myTurns(["test/golden/gpt2-tiny", "test/golden/llama-tiny"])) {
  test(`${folder}: under stages everywhere every site is what the reference says, and capturing changes no logit`, () =>
    withModel(folder, {}, async (plain) => {
      const { config, weights } = await openReference(location(folder));
      const composition = everywhere(plain);
      const sites = sitesOf(plain, [0, 1]);
      const run = { tokens: tokensFor(plain), promptLength: PROMPT_LENGTH };
      const expected = referenceForward(weights, config, composition, { ...run, sites });
      const edited = plain.withStages(composition);
      const captured = await edited.capture(run.tokens, sites, { promptLength: PROMPT_LENGTH });
      for (const site of sites) {
        const values = Float32Array.from(expected.sites.get(site) ?? []);
        assert.ok(values.length > 0, site);
        assertClose(captured.get(site)?.data as Float32Array, values, site);
      }
      // Capturing changes no bit, neither in prefill nor in decode.
      assert.equal(await rowsOfLogits(edited, run.tokens, sites), await rowsOfLogits(edited, run.tokens, []));
    }));
}

/** Logits of a prefill's last token and of two tokens decoded behind it, while sites are captured. */
async function rowsOfLogits(model: Model, tokens: readonly number[], captures: readonly string[]) {
  const sequences = await model.openSequences({ context: tokens.length, captures });
  try {
    sequences.beginPrompt(0, PROMPT_LENGTH);
    const rows: Float32Array[] = [];
    for (const part of [tokens.slice(0, -2), tokens.slice(-2, -1), tokens.slice(-1)]) {
      rows.push(...(await lastLogits(sequences, [{ sequence: 0, tokens: part }])).values());
    }
    return rows;
  } finally {
    sequences.dispose();
  }
}

test("one tensor at two names: resid_post is what its own stages leave, resid_pre of the next layer what its add", () =>
  withModel("test/golden/gpt2-tiny", { plan: "reference" }, async (plain) => {
    const d = plain.config.hidden_size;
    const tokens = tokensFor(plain);
    const stage = addition(plain, "resid_pre", [1]);
    const sites = ["resid_post.0", "resid_pre.1"];
    const [before, after] = [
      await plain.capture(tokens, sites),
      await plain.withStages(of(stage)).capture(tokens, sites, { promptLength: PROMPT_LENGTH }),
    ];
    assert.equal(before.get("resid_post.0")?.data, before.get("resid_pre.1")?.data);
    assert.equal(after.get("resid_post.0")?.data, before.get("resid_post.0")?.data);
    const direction = stage.values.get(1)?.direction as Float32Array;
    const unedited = before.get("resid_pre.1")?.data as Float32Array;
    const expected = unedited.map(
      (value, i) => value + (Math.floor(i / d) >= PROMPT_LENGTH - 1 ? 0.75 * (direction[i % d] as number) : 0),
    );
    assertClose(after.get("resid_pre.1")?.data as Float32Array, expected, "resid_pre.1", 1e-6);
    // Each alone is what it is beside the other.
    for (const site of sites) {
      const alone = await plain.withStages(of(stage)).capture(tokens, [site], { promptLength: PROMPT_LENGTH });
      assert.equal(alone.get(site)?.data, after.get(site)?.data, site);
    }
  }));

for (const folder of ["test/golden/gpt2-tiny", "test/golden/llama-tiny"]) {
  inTurn(`${folder}: under an edge mask the norms are captured uncorrected, and what reads them is corrected`, () =>
    withModel(folder, { plan: "reference" }, async (plain) => {
      const tokens = tokensFor(plain);
      const cut = edgeMask(plain, [
        ["embed", attentionInput(plain, 1)],
        ["blocks.0.head.1", attentionInput(plain, 1)],
      ]);
      const sites = ["resid_pre.1", "attn_norm.1", "attn_q.1"];
      const [before, after] = [
        await plain.capture(tokens, sites),
        await plain.withStages(of(cut)).capture(tokens, sites),
      ];
      for (const site of ["resid_pre.1", "attn_norm.1"]) {
        assertClose(after.get(site)?.data as Float32Array, before.get(site)?.data as Float32Array, site, 1e-6);
      }
      // The first head's queries read the corrected row, the others' the row as it was.
      const { num_attention_heads: H, head_dim } = plain.config;
      const [own, cutQ] = [before, after].map((each) => each.get("attn_q.1")?.data as Float32Array);
      for (const [t] of tokens.entries()) {
        const heads = (of: Float32Array | undefined) => of?.slice(t * H * head_dim, (t + 1) * H * head_dim);
        const [a, b] = [heads(own) as Float32Array, heads(cutQ) as Float32Array];
        assertClose(b.slice(head_dim), a.slice(head_dim), `other heads of token ${t}`, 1e-6);
        assert.ok(
          a.slice(0, head_dim).some((value, i) => Math.abs(value - (b[i] as number)) > 1e-3),
          `the first head of token ${t} is corrected`,
        );
      }
    }),
  );
}

test.run();
