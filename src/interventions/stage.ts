/**
 * Stages: what a bundle does to a model, checked against it and ready to be compiled. The mathematics of each kind and
 * the sites they may act at are in docs/bundle-format.md; `bundle.ts` reads them from a file, `rewrite.ts` puts them
 * into a graph.
 */
import type { LayerSiteKind } from "../graph/site.ts";
import type { AffineMethodName, AffineValues } from "./kinds/affine-methods.ts";
import type { Gate } from "./kinds/stage-kind.ts";
import type { Positions } from "./positions.ts";

export type { AffineValues } from "./kinds/affine-methods.ts";
export type { Gate } from "./kinds/stage-kind.ts";

/** Sites that a `neuron_scale` may act at. */
export const neuronSites = [
  "attn_norm",
  "attn_z",
  "attn_out",
  "mlp_norm",
  "mlp_pre",
  "gate_pre",
  "up",
  "mlp_post",
  "mlp_out",
] as const satisfies readonly LayerSiteKind[];
/** Where a `neuron_scale` acts: a site of which single neurons are scaled and shifted. */
export type NeuronSite = (typeof neuronSites)[number];

/** Sites that an `affine` may act at. */
export const affineSites = [
  "resid_pre",
  "resid_mid",
  "resid_post",
  "attn_out",
  "mlp_out",
] as const satisfies readonly LayerSiteKind[];
/** Where an `affine` acts: a site whose rows are as wide as the residual stream. */
export type AffineSite = (typeof affineSites)[number];

interface StageBase {
  /** Unique in a composition; `PREFIX/ID` for a bundle that was given a prefix. */
  readonly id: string;
  /** s; live. 0 equals leaving the stage out. */
  readonly strength: number;
}

/** a ← a + s·((scale − 1)⊙a + shift), per layer. */
export interface NeuronScaleStage extends StageBase {
  /** Tells the kinds of stages apart. */
  readonly kind: "neuron_scale";
  /** Where it acts. */
  readonly site: NeuronSite;
  /** Layers it acts in, from 0, ascending. */
  readonly layers: readonly number[];
  /** Tokens it acts on. */
  readonly positions: Positions;
  /** Vectors by layer. */
  readonly values: ReadonlyMap<number, NeuronValues>;
}

/** One layer's vectors, each as wide as the site; a missing scale is ones, a missing shift zeros. */
export interface NeuronValues {
  /** `[width of the site]`, float32; ones if absent. */
  readonly scale?: Float32Array;
  /** `[width of the site]`, float32; zeros if absent. */
  readonly shift?: Float32Array;
}

/** h ← h + s·(b − g(h·Vᵀ − c)·U), per layer. */
export interface AffineStage extends StageBase {
  /** Tells the kinds of stages apart. */
  readonly kind: "affine";
  /** Which tensors it has and what they mean. */
  readonly method: AffineMethodName;
  /** Where it acts. */
  readonly site: AffineSite;
  /** Layers it acts in, from 0, ascending. */
  readonly layers: readonly number[];
  /** Tokens it acts on. */
  readonly positions: Positions;
  /** g. */
  readonly gate: Gate;
  /** α: multiplies what some methods add, such as `ace` and `addition`; live. The others have no use for it. */
  readonly alpha: number;
  /** Tensors by layer. */
  readonly values: ReadonlyMap<number, AffineValues>;
}

/** x_D = R_D − Σ_s (1 − m'[D,s])·(out_s − repl_s), m' = 1 − strength·(1 − m), at every destination D. */
export interface EdgeMaskStage extends StageBase {
  /** Tells the kinds of stages apart. */
  readonly kind: "edge_mask";
  /** How finely attention's inputs are told apart. */
  readonly destinations: Destinations;
  /** Is b_O/H part of a head's output, or does the bias of the output projection belong to no source? */
  readonly attn_bias: "per_head" | "separate";
  /** Replacements by class of destination. */
  readonly replace: Readonly<Record<"attn" | "mlp" | "logits", "zero" | "constants">>;
  /**
   * The structure and its first values: edges by ascending destination, then source. All of them are in the plan,
   * whatever their value; others cannot be set later.
   */
  readonly edges: readonly MaskedEdge[];
  /** `[n_src, d]`, row-major; zeros if absent. */
  readonly constants?: Float32Array;
}

/** How finely attention's inputs are told apart: one for each head, or one for each query head, key and value group. */
export type Destinations = "heads" | "qkv_groups";

/** An edge by its canonical indices (`edges.ts`). */
export interface MaskedEdge {
  /** Index of what reads. */
  readonly destination: number;
  /** Index of what writes. */
  readonly source: number;
  /** m in [0, 1]; 1 keeps the edge whole. */
  readonly value: number;
}

/** An intervention: neurons scaled, rows of the stream moved, or edges cut. */
export type Stage = NeuronScaleStage | AffineStage | EdgeMaskStage;

/** Stages that act on the values at a site. */
export type SiteStage = Exclude<Stage, EdgeMaskStage>;

/** One layer's tensors of a stage at a site. */
export type StageValues = NeuronValues | AffineValues;

export function isAtSite(stage: Stage): stage is SiteStage {
  return "site" in stage;
}

/** The edge mask of a composition, if it has one. */
export function edgeMaskIn(stages: readonly Stage[]): EdgeMaskStage | undefined {
  return stages.find((stage): stage is EdgeMaskStage => stage.kind === "edge_mask");
}

/** Stages of one or more bundles, in the order in which they act; at most one `edge_mask`. */
export interface Composition {
  /** In the order in which they act. */
  readonly stages: readonly Stage[];
  /** For people: what deserves a word, such as a bundle made for other weights. */
  readonly warnings: readonly string[];
}

export const noStages: Composition = { stages: [], warnings: [] };
