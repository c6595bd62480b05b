/**
 * Random stages of all kinds at all sites of a model, valid by the specification. They shrink towards fewer stages,
 * layers and edges; a tensor's values depend on its stage's seed, its layer and its name alone, so that what remains
 * after a step of shrinking is unchanged.
 */
import fc from "fast-check";
import { listDestinations, listSources, visibleSources } from "../../src/interventions/edges.ts";
import type { Positions } from "../../src/interventions/positions.ts";
import {
  type AffineStage,
  type AffineValues,
  affineSites,
  type Composition,
  type EdgeMaskStage,
  type Gate,
  type MaskedEdge,
  type NeuronScaleStage,
  type NeuronSite,
  neuronSites,
  type Stage,
} from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { normal, seedOf, uniform } from "./draw.ts";

/** A model's input, with the prompt's length P somewhere within it. */
export function randomRuns(config: ModelConfig): fc.Arbitrary<{ tokens: number[]; promptLength: number }> {
  return fc
    .array(fc.nat(config.vocab_size - 1), { minLength: 1, maxLength: 14 })
    .chain((tokens) =>
      fc.record({ tokens: fc.constant(tokens), promptLength: fc.integer({ min: 1, max: tokens.length }) }),
    );
}

/** Up to five stages and, half of the time, an edge mask somewhere among them. */
export function randomCompositions(config: ModelConfig): fc.Arbitrary<Composition> {
  return fc
    .record({
      stages: fc.array(fc.oneof(neuronScales(config), affines(config)), { maxLength: 5 }),
      mask: fc.option(edgeMasks(config), { nil: undefined }),
      place: fc.nat(5),
    })
    .map(({ stages, mask, place }) => {
      const closed = mask ? layersWithMaskedHeads(mask, config) : new Set<number>();
      const all: Stage[] = stages.filter(
        ({ site, layers }) => site !== "attn_out" || !layers.some((layer) => closed.has(layer)),
      );
      if (mask) all.splice(place, 0, mask);
      return { stages: all.map((stage, i) => ({ ...stage, id: `s${i}` })), warnings: [] };
    });
}

/** No stage may stand at `attn_out` where heads of the layer have masked outgoing edges. */
function layersWithMaskedHeads(mask: EdgeMaskStage, config: ModelConfig): ReadonlySet<number> {
  const sources = listSources(config);
  return new Set(
    mask.edges.flatMap(({ source }) => {
      const from = sources[source];
      return from?.kind === "head" ? [from.layer] : [];
    }),
  );
}

/** 0 among them, and beyond 1 and below 0. All have short binary forms, so that float32 holds them. */
const strengths = fc.constantFrom(1, 0, 0.5, 0.75, -0.5, 1.25);
const alphas = fc.constantFrom(1, 0, 0.5, -1.5, 2);
const seeds = fc.nat(2 ** 30);

const simplePositions: fc.Arbitrary<Positions> = fc.oneof(
  fc.constantFrom("all" as const, "prompt" as const, "generated" as const, "last_prompt_onward" as const),
  fc.integer({ min: -8, max: 8 }).map((from) => ({ from })),
  fc.integer({ min: -8, max: 8 }).map((from) => ({ from, to: "P" as const })),
  fc.tuple(fc.nat(8), fc.integer({ min: 1, max: 8 })).map(([from, count]) => ({ from, to: from + count })),
  fc.tuple(fc.nat(8), fc.integer({ min: -8, max: -1 })).map(([from, to]) => ({ from, to })),
  fc.array(fc.integer({ min: -6, max: 12 }), { minLength: 1, maxLength: 6 }),
  // Of ids as random models have them, so that many are met.
  fc.array(fc.nat(40), { minLength: 1, maxLength: 12 }).map((tokens) => ({ tokens })),
);

/** Positions of every form, nested a little. */
export const randomPositions: fc.Arbitrary<Positions> = fc.letrec<{ any: Positions; simple: Positions }>((tie) => ({
  simple: simplePositions,
  any: fc.oneof(
    { maxDepth: 3, depthIdentifier: "positions" },
    { arbitrary: tie("simple"), weight: 3 },
    { arbitrary: fc.array(tie("any"), { minLength: 1, maxLength: 3 }).map((any) => ({ any })), weight: 1 },
    { arbitrary: tie("any").map((not) => ({ not })), weight: 1 },
  ),
})).any;

const gates: fc.Arbitrary<Gate> = fc.oneof(
  fc.constantFrom("identity" as const, "relu" as const),
  fc.constantFrom<Gate>({ clamp: [-0.5, 0.25] }, { clamp: [0, 1] }, { clamp: [0.5, 0.5] }),
);

function someLayers(config: ModelConfig): fc.Arbitrary<number[]> {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
  return fc.subarray(layers, { minLength: 1 });
}

function neuronScales(config: ModelConfig): fc.Arbitrary<NeuronScaleStage> {
  const missing = config.mlp === "plain" ? ["gate_pre", "up"] : ["mlp_pre"];
  const sites = neuronSites.filter((site) => !missing.includes(site)) as [NeuronSite, ...NeuronSite[]];
  return fc
    .record({
      site: fc.constantFrom(...sites),
      layers: someLayers(config),
      positions: randomPositions,
      strength: strengths,
      seed: seeds,
      holds: fc.constantFrom("both", "scale", "shift"),
    })
    .map(({ seed, holds, ...stage }) => {
      const width = siteWidth(stage.site, config);
      const values = valuesOf(stage.layers, (layer) => ({
        ...(holds === "shift" ? {} : { scale: normal(seed, `${layer}.scale`, width, 0.5, 0.75) }),
        ...(holds === "scale" ? {} : { shift: normal(seed, `${layer}.shift`, width, 0.3) }),
      }));
      return { id: "n", kind: "neuron_scale", ...stage, values };
    });
}

function siteWidth(site: NeuronSite, config: ModelConfig): number {
  if (site === "attn_z") return config.num_attention_heads * config.head_dim;
  return ["mlp_pre", "gate_pre", "up", "mlp_post"].includes(site) ? config.intermediate_size : config.hidden_size;
}

function affines(config: ModelConfig): fc.Arbitrary<AffineStage> {
  return fc
    .record({
      method: fc.constantFrom(
        "directional_ablation" as const,
        "addition" as const,
        "ace" as const,
        "low_rank" as const,
      ),
      site: fc.constantFrom(...affineSites),
      layers: someLayers(config),
      positions: randomPositions,
      gate: gates,
      alpha: alphas,
      strength: strengths,
      seed: seeds,
      rank: fc.integer({ min: 1, max: 6 }),
      optional: fc.boolean(),
    })
    .map(({ seed, rank, optional, ...stage }) => {
      const gate = stage.method === "addition" ? "identity" : stage.gate;
      const values = valuesOf(stage.layers, (layer) =>
        affineValues(stage.method, config.hidden_size, rank, optional, (name, count, deviation) =>
          normal(seed, `${layer}.${name}`, count, deviation),
        ),
      );
      return { id: "a", kind: "affine", ...stage, gate, values };
    });
}

/** Scaled so that y = h·Vᵀ is of the order of 1 for a row of ones, whatever the width and the rank. */
function affineValues(
  method: AffineStage["method"],
  d: number,
  rank: number,
  optional: boolean,
  draw: (name: string, count: number, deviation: number) => Float32Array,
): AffineValues {
  const direction = () => draw("direction", d, 1 / Math.sqrt(d));
  switch (method) {
    case "addition":
    case "directional_ablation":
      return { direction: direction() };
    case "ace":
      return { direction: direction(), reference: draw("reference", d, 0.5) };
    case "low_rank":
      return {
        v: draw("v", rank * d, 1 / Math.sqrt(d)),
        u: draw("u", rank * d, 0.5 / Math.sqrt(rank)),
        ...(optional ? { c: draw("c", rank, 0.5), bias: draw("bias", d, 0.3) } : {}),
      };
  }
}

function valuesOf<Values>(layers: readonly number[], draw: (layer: number) => Values): ReadonlyMap<number, Values> {
  return new Map(layers.map((layer) => [layer, draw(layer)]));
}

function edgeMasks(config: ModelConfig): fc.Arbitrary<EdgeMaskStage> {
  const granularities: readonly EdgeMaskStage["destinations"][] =
    config.num_attention_heads === config.num_key_value_heads ? ["heads", "qkv_groups"] : ["qkv_groups"];
  const replaced = fc.constantFrom("constants" as const, "zero" as const);
  return fc
    .record({
      destinations: fc.constantFrom(...granularities),
      attn_bias: fc.constantFrom("per_head" as const, "separate" as const),
      replace: fc.record({ attn: replaced, mlp: replaced, logits: replaced }),
      strength: fc.constantFrom(1, 0, 0.5, 0.75),
      seed: seeds,
      constants: fc.boolean(),
    })
    .chain(({ seed, constants, ...stage }) =>
      someEdges(config, stage.destinations, seed).map((edges) => ({
        id: "e",
        kind: "edge_mask" as const,
        ...stage,
        edges,
        ...(constants
          ? { constants: normal(seed, "constants", listSources(config).length * config.hidden_size, 0.3) }
          : {}),
      })),
    );
}

/** A few edges, all of them, or most of what one destination sees: by ascending destination, then source. */
function someEdges(
  config: ModelConfig,
  destinations: EdgeMaskStage["destinations"],
  seed: number,
): fc.Arbitrary<readonly MaskedEdge[]> {
  const all: readonly MaskedEdge[] = listDestinations(config, destinations).flatMap((place, destination) =>
    Array.from({ length: visibleSources(config, place) }, (_, source) => ({
      destination,
      source,
      value: maskValue(seed, destination, source),
    })),
  );
  const last = all.at(-1)?.destination ?? 0;
  return fc.oneof(
    fc.subarray([...all], { minLength: 1, maxLength: Math.min(12, all.length) }),
    fc.constant(all),
    // All but `embed`, so that the norm has something to work on.
    fc
      .integer({ min: 1, max: last })
      .map((chosen) =>
        all
          .filter(({ destination, source }) => destination === chosen && (source > 0 || visible(all, chosen) === 1))
          .map((edge) => ({ ...edge, value: 0 })),
      ),
  );
}

function visible(edges: readonly MaskedEdge[], chosen: number): number {
  return edges.filter(({ destination }) => destination === chosen).length;
}

/** Half of the edges are cut, some are kept whole, the rest lies between. */
function maskValue(seed: number, destination: number, source: number): number {
  const next = uniform(seedOf(seed, `${destination} ${source}`));
  const kind = next();
  if (kind < 0.5) return 0;
  return kind < 0.65 ? 1 : Math.fround(next());
}
