/** What one stage adds and a later one takes away, at the same place or further on: refused, since float32 loses the row. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/index.ts";
import { checkStrengths } from "../../src/interventions/check-strengths.ts";
import { initialSettings } from "../../src/interventions/settings.ts";
import type { AffineStage, NeuronScaleStage, Stage } from "../../src/interventions/stage.ts";

const WIDTH = 24;
const wave = (k: number, scale = 1) => Float32Array.from({ length: WIDTH }, (_, i) => scale * Math.sin(i * k + 0.3));
const d = wave(1.7);
const common = { layers: [0], positions: "all", strength: 1 } as const;

function affine(
  id: string,
  method: AffineStage["method"],
  own: Partial<AffineStage>,
  values = { direction: d },
): Stage {
  const stage = {
    id,
    kind: "affine",
    method,
    site: "resid_post",
    gate: "identity",
    alpha: 1,
    ...common,
    ...own,
  } as const;
  return { ...stage, values: new Map(stage.layers.map((layer) => [layer, values])) };
}

const push = (own: Partial<AffineStage> = {}) => affine("push", "addition", { strength: 1e8, ...own });
const ablate = (own: Partial<AffineStage> = {}) => affine("ablate", "directional_ablation", own);
const neurons = (id: string, own: Partial<NeuronScaleStage>, values: Record<string, Float32Array>): Stage => {
  const stage = { id, kind: "neuron_scale", site: "mlp_out", ...common, ...own } as const;
  return { ...stage, values: new Map(stage.layers.map((layer) => [layer, values])) };
};

/** What is said of stages, or "" if they may run. */
function said(stages: readonly Stage[], norm: "layer" | "rms" = "rms"): string {
  const { sequences, ...settings } = initialSettings({ stages, warnings: [] }, 1, WIDTH);
  const [sequence] = sequences;
  if (!sequence) throw new Error("There is no sequence");
  try {
    checkStrengths({ stages, ...settings, ...sequence, config: { hidden_size: WIDTH, norm } });
    return "";
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "usage" || error.field !== "strength") throw error;
    return error.message;
  }
}

const full = (value: number) => new Float32Array(WIDTH).fill(value);
const refused: Readonly<Record<string, readonly [stages: readonly Stage[], message: RegExp]>> = {
  "at the same place": [[push(), ablate()], /^Stage ablate takes away what stage push adds at resid_post\.0, up to/],
  "at the beginning of the next layer": [
    [push(), ablate({ site: "resid_pre", layers: [1] })],
    /^Stage ablate takes away what stage push adds at resid_post\.0/,
  ],
  "layers later": [
    [push({ layers: [3] }), ablate({ layers: [5] })],
    /^Stage ablate takes away at resid_post\.5 what stage push adds at resid_post\.3/,
  ],
  "in the middle of a layer, of what attention gives": [
    [push({ site: "attn_out" }), ablate({ site: "resid_mid" })],
    /^Stage ablate takes away at resid_mid\.0 what stage push adds at attn_out\.0/,
  ],
  "by an addition": [
    [push(), { ...push({ strength: -1e8, layers: [2] }), id: "back" }],
    /^Stage back takes away at resid_post\.2/,
  ],
  "by shifts": [
    [neurons("up", { strength: 1e10 }, { shift: d }), neurons("down", { strength: -1e10, layers: [1] }, { shift: d })],
    /^Stage down takes away at mlp_out\.1 what stage up adds at mlp_out\.0/,
  ],
  "of neurons within a block": [
    [
      neurons("up", { site: "mlp_post", strength: 1e10 }, { shift: d }),
      neurons("down", { site: "mlp_post", strength: -1e10 }, { shift: d }),
    ],
    /^Stage down takes away what stage up adds at mlp_post\.0/,
  ],
  "before another push covers it": [
    [push(), ablate({ layers: [1] }), { ...push({ layers: [2] }), id: "again" }],
    /^Stage ablate takes away at resid_post\.1/,
  ],
  "many small pushes together": [
    [push({ strength: 2 ** 19, layers: [0, 1, 2, 3] }), ablate({ layers: [4] })],
    /^Stage ablate takes away at resid_post\.4/,
  ],
  "what is multiplied": [
    [ablate({ strength: -1e9 }), { ...ablate({ layers: [1] }), id: "then" }],
    /^Stage then takes away at resid_post\.1 what stage ablate adds/,
  ],
  "positions that meet": [
    [push({ positions: { from: 0, to: 5 } }), ablate({ positions: "prompt", layers: [1] })],
    /^Stage ablate takes away at resid_post\.1/,
  ],
  "on some tokens, while others get a push after it": [
    [push(), ablate({ positions: "prompt" }), { ...push({ positions: "generated" }), id: "again" }],
    /^Stage ablate takes away what stage push adds/,
  ],
};

const allowed: Readonly<Record<string, readonly Stage[]>> = {
  "a push alone": [push({ strength: 1e20 })],
  "along another direction": [
    push(),
    affine("other", "directional_ablation", { layers: [1] }, { direction: wave(0.9) }),
  ],
  "in part": [push(), ablate({ strength: 0.5, layers: [1] })],
  "on other tokens": [push({ positions: "prompt" }), ablate({ positions: "generated", layers: [1] })],
  "on other tokens, by position": [push({ positions: [0, 1] }), ablate({ positions: { from: 2 }, layers: [1] })],
  "before the push": [ablate(), push({ layers: [1] })],
  "a push that is off": [push({ strength: 0 }), ablate({ layers: [1] })],
  "a push of a thousand": [push({ strength: 1e3 }), ablate({ layers: [1] })],
  "neurons that are set to 0": [push({ site: "mlp_out" }), neurons("zero", {}, { scale: full(0) })],
  "scales that multiply to 1": [neurons("up", {}, { scale: full(1e18) }), neurons("down", {}, { scale: full(1e-18) })],
};

test("a later stage takes away what an earlier one adds", () => {
  for (const [name, [stages, message]] of Object.entries(refused)) assert.match(said(stages), message, name);
  for (const [name, stages] of Object.entries(allowed)) assert.is(said(stages), "", name);
});

test("a norm that takes the mean away takes away a push along it", () => {
  const along = affine("along", "addition", { strength: 1e8 }, { direction: full(1) });
  assert.match(said([along], "layer"), /^The norm after it takes away what stage along adds at resid_post\.0/);
  assert.is(said([along], "rms"), "");
  // Whose sum the norm itself reports.
  const beyond = affine("along", "addition", { strength: 1e38 }, { direction: full(1) });
  assert.is(said([beyond], "layer"), "");
  assert.is(said([push()], "layer"), "");
});

test.run();
