/**
 * The manifest of a bundle: JSON as its writer wrote it, with every field that the engine reads checked for its type.
 * What depends on the model or on the tensors is checked by `compose.ts`. Optional fields stay absent here.
 */
import { show } from "../show.ts";
import { checkPositions } from "./check-positions.ts";
import { isFloat32, isInteger, ManifestFields, refuse } from "./manifest-fields.ts";
import type { Positions } from "./positions.ts";
import {
  type AffineSite,
  type AffineStage,
  affineSites,
  type Destinations,
  type EdgeMaskStage,
  type Gate,
  type NeuronSite,
  neuronSites,
} from "./stage.ts";

/** What a bundle says of itself, as JSON in its metadata. docs/bundle-format.md describes every field. */
export interface Manifest {
  /** For people. */
  readonly name: string;
  /** For people: what the edit does. */
  readonly description?: string;
  /** The model that it was made for. */
  readonly base: Base;
  /** In the order in which they act at a site. */
  readonly stages: readonly StageManifest[];
  /** Where it comes from: method, data, counts, seed. Free. */
  readonly fit?: Readonly<Record<string, unknown>>;
  /** Logits that the maker saw, to be checked elsewhere. */
  readonly checks?: readonly Check[];
  /** Whatever else the writer put there. */
  readonly [extra: string]: unknown;
}

/** The model that a bundle was made for. */
export interface Base {
  /** Such as `gpt2` or `llama`. */
  readonly model_type: string;
  /** Blocks of the model. */
  readonly num_layers: number;
  /** Width of the residual stream. */
  readonly hidden_size: number;
  /** Query heads per block. */
  readonly num_heads: number;
  /** Key and value heads per block. */
  readonly num_kv_heads: number;
  /** Width of a head. */
  readonly head_dim: number;
  /** Width of the MLP. */
  readonly intermediate_size: number;
  /** Rows of the token embedding. */
  readonly vocab_size: number;
  /** Where the weights came from, for people. */
  readonly repo?: string;
  /** Hex digest of the weight file; for shards, of their sorted hex digests joined by newlines. */
  readonly weights_sha256?: string;
  /** Hex digest of tokenizer.json. */
  readonly tokenizer_sha256?: string;
  readonly [extra: string]: unknown;
}

/** The highest logits at the last token, with the bundle applied at its own strengths. */
export interface Check {
  /** Ids to run. */
  readonly tokens: readonly number[];
  /** All tokens if absent. */
  readonly prompt_length?: number;
  /** Logits after the last token, by token id. */
  readonly top: readonly (readonly [token: number, logit: number])[];
  /** Largest difference that is allowed. */
  readonly atol: number;
}

/** All layers, or those listed. */
export type Layers = "all" | readonly number[];

/** A `neuron_scale` stage in a manifest. */
export interface NeuronScaleManifest {
  /** Unique in the bundle; tensors are named `ID.LAYER.NAME`. */
  readonly id: string;
  /** Tells the kinds of stages apart. */
  readonly kind: "neuron_scale";
  /** Where it acts. */
  readonly site: NeuronSite;
  /** Layers it acts in. */
  readonly layers?: Layers;
  /** Tokens it acts on; default: all. */
  readonly positions?: Positions;
  /** s; default 1. */
  readonly strength?: number;
}

/** An `affine` stage in a manifest. */
export interface AffineManifest {
  /** Unique in the bundle; tensors are named `ID.LAYER.NAME`. */
  readonly id: string;
  /** Tells the kinds of stages apart. */
  readonly kind: "affine";
  /** Which tensors it has and what they mean. */
  readonly method: AffineStage["method"];
  /** Where it acts. */
  readonly site: AffineSite;
  /** Layers it acts in. */
  readonly layers?: Layers;
  /** Tokens it acts on; default: all. */
  readonly positions?: Positions;
  /** g of `low_rank`; default `identity`. */
  readonly gate?: Gate;
  /** α of `ace` and `addition`; default 1. */
  readonly alpha?: number;
  /** s; default 1. */
  readonly strength?: number;
}

/** An `edge_mask` stage in a manifest. */
export interface EdgeMaskManifest {
  /** Unique in the bundle; tensors are named `ID.NAME`. */
  readonly id: string;
  /** Tells the kinds of stages apart. */
  readonly kind: "edge_mask";
  /** How finely attention's inputs are told apart. */
  readonly destinations: Destinations;
  /** Whether a head's output has its share of the output projection's bias. */
  readonly attn_bias?: EdgeMaskStage["attn_bias"];
  /** What replaces a cut source, by class of destination. */
  readonly replace?: Partial<EdgeMaskStage["replace"]>;
  /**
   * Masked edges, `[source, destination, m]` with m from 0 (cut) to 1 (kept); in place of entries of the tensor
   * `ID.mask`.
   */
  readonly edges?: readonly (readonly [source: string, destination: string, value: number])[];
  /** s; default 1. */
  readonly strength?: number;
}

/** A stage, as a manifest has it. */
export type StageManifest = NeuronScaleManifest | AffineManifest | EdgeMaskManifest;

const KINDS = ["neuron_scale", "affine", "edge_mask"] as const;
const METHODS = ["directional_ablation", "addition", "ace", "low_rank"] as const;

/** The dimensions of a base, by which a bundle fits a model or not. */
export const baseSizes = [
  "num_layers",
  "hidden_size",
  "num_heads",
  "num_kv_heads",
  "head_dim",
  "intermediate_size",
  "vocab_size",
] as const satisfies readonly (keyof Base)[];

/**
 * Bounds of what a base may claim: its counts become lists of layers, heads and edges. Each is many times that of the
 * largest model there is.
 */
const MOST: Readonly<Partial<Record<(typeof baseSizes)[number], number>>> = {
  num_layers: 2048,
  num_heads: 2048,
  num_kv_heads: 2048,
};

/** Sources that a model may have under an edge mask. */
const MOST_SOURCES = 1 << 16;

/** Stage ids, and the prefixes that bundles may be given. */
export const idPattern = /^[A-Za-z0-9_-]+$/;

/** Does a method add α times its direction? The others have no use for an alpha. */
export function hasAlpha(method: AffineManifest["method"]): boolean {
  return method === "ace" || method === "addition";
}

/**
 * Checks what the JSON of a manifest holds; the result is the same object.
 * @param json what it parses to
 * @param file names the bundle in errors
 * @throws `bad_bundle` naming stage and field
 */
export function checkManifest(json: unknown, file: string): Manifest {
  const fields = new ManifestFields(json, file);
  fields.string("name");
  if (fields.has("description")) fields.string("description");
  checkBase(fields.object("base"));
  if (fields.has("fit")) fields.object("fit");
  if (fields.has("checks")) fields.list("checks").forEach((check, index) => checkCheck(check, file, index));
  const stages = fields.list("stages");
  if (stages.length === 0) throw fields.refuse("stages", "is empty: the bundle would do nothing");
  const hasMask = stages.some((stage) => (stage as { readonly kind?: unknown } | null)?.kind === "edge_mask");
  checkSources((json as Manifest).base, hasMask, file);
  const ids = new Set<string>();
  stages.forEach((stage, index) => {
    const id = checkStage(stage, file, index);
    if (ids.has(id)) throw refuse(`${file}: stage "${id}"`, "id", "stands for two stages; each needs its own");
    ids.add(id);
  });
  return json as Manifest;
}

function checkBase(base: ManifestFields): void {
  base.string("model_type");
  for (const size of baseSizes) base.integer(size, 1, MOST[size]);
  if (base.has("repo")) base.string("repo");
  for (const digest of ["weights_sha256", "tokenizer_sha256"]) {
    if (base.has(digest) && !/^[0-9a-f]{64}$/i.test(base.string(digest))) {
      throw base.refuse(digest, `is ${show(base.raw(digest))}, not 64 hexadecimal digits`);
    }
  }
}

/** Every head and every MLP is a source of an edge mask, and so an entry of lists. */
function checkSources({ num_layers, num_heads }: Base, hasMask: boolean, file: string): void {
  const sources = 1 + num_layers * (num_heads + 1);
  if (!hasMask || sources <= MOST_SOURCES) return;
  throw refuse(
    file,
    "base",
    `has ${sources} sources of edges in ${num_layers} layers; an edge mask can have ${MOST_SOURCES}`,
  );
}

function checkCheck(json: unknown, file: string, index: number): void {
  const check = new ManifestFields(json, file, `checks[${index}]`);
  const tokens = check.list("tokens");
  if (tokens.length === 0 || !tokens.every((token) => isInteger(token, 0))) {
    throw check.refuse("tokens", `is ${show(tokens)}, not a list of token ids`);
  }
  if (check.has("prompt_length")) check.integer("prompt_length", 1, tokens.length);
  const top = check.list("top");
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && isInteger(pair[0], 0) && isFloat32(pair[1]);
  if (top.length === 0 || !top.every(isPair)) {
    throw check.refuse("top", `is ${show(top)}, not a list of pairs [token id, logit]`);
  }
  if (check.number("atol") < 0) throw check.refuse("atol", `is ${show(check.raw("atol"))}; it may not be negative`);
}

/** @returns the stage's id */
function checkStage(json: unknown, file: string, index: number): string {
  const id = new ManifestFields(json, file, `stages[${index}]`).string("id");
  if (!idPattern.test(id)) {
    throw refuse(file, `stages[${index}].id`, `is ${show(id)}`, "An id is made of letters, digits, _ and -.");
  }
  const stage = new ManifestFields(json, `${file}: stage "${id}"`);
  switch (stage.word("kind", KINDS)) {
    case "neuron_scale":
      stage.only(["id", "kind", "site", "layers", "positions", "strength"]);
      checkSite(stage, "neuron_scale", neuronSites);
      checkScope(stage);
      break;
    case "affine":
      stage.only(["id", "kind", "method", "site", "layers", "positions", "gate", "alpha", "strength"]);
      checkSite(stage, "affine", affineSites);
      checkScope(stage);
      checkMethod(stage);
      break;
    case "edge_mask":
      checkEdgeMask(stage);
  }
  if (stage.has("strength")) stage.number("strength");
  return id;
}

function checkSite(stage: ManifestFields, kind: string, sites: readonly string[]): void {
  const site = stage.raw("site");
  if (sites.some((candidate) => candidate === site)) return;
  throw stage.refuse(
    "site",
    `is ${show(site)}, which is no site for a stage of kind ${kind}`,
    `It can stand at ${sites.join(", ")}.`,
  );
}

/** Layers and positions. */
function checkScope(stage: ManifestFields): void {
  if (stage.has("layers") && stage.raw("layers") !== "all") {
    const layers = stage.raw("layers");
    if (!Array.isArray(layers) || !layers.every((layer) => isInteger(layer, 0))) {
      throw stage.refuse("layers", `is ${show(layers)}, neither "all" nor a list of layer numbers`);
    }
    if (layers.length === 0) throw stage.refuse("layers", "is empty: the stage would touch nothing");
    const seen = new Set<unknown>();
    for (const layer of layers as unknown[]) {
      if (seen.has(layer)) throw stage.refuse("layers", `lists layer ${show(layer)} twice`);
      seen.add(layer);
    }
  }
  if (!stage.has("positions")) return;
  checkPositions(stage.raw("positions"), (field, problem, hint) => stage.refuse(field, problem, hint));
}

function checkMethod(stage: ManifestFields): void {
  const method = stage.word("method", METHODS);
  if (stage.has("alpha")) stage.number("alpha");
  if (!stage.has("gate")) return;
  if (method === "addition") {
    throw stage.refuse("gate", "has no meaning for addition", "Gates act on what the other methods take away.");
  }
  const gate = stage.raw("gate");
  if (gate === "identity" || gate === "relu") return;
  if (typeof gate !== "object") {
    throw stage.refuse(
      "gate",
      `is ${show(gate)}, which is unknown`,
      'Known are identity, relu and {"clamp": [lo, hi]}.',
    );
  }
  const object = stage.object("gate");
  object.only(["clamp"]);
  const bounds = object.list("clamp");
  if (bounds.length !== 2 || !bounds.every(isFloat32)) {
    throw object.refuse("clamp", `is ${show(bounds)}, not two finite numbers [lo, hi]`);
  }
  const [lo, hi] = bounds as [number, number];
  if (lo > hi) throw object.refuse("clamp", `is ${show(bounds)}: lo is above hi`);
}

function checkEdgeMask(stage: ManifestFields): void {
  if (stage.has("positions")) {
    throw stage.refuse("positions", "has no meaning for an edge_mask, which acts everywhere", "Leave it out.");
  }
  stage.only(["id", "kind", "destinations", "attn_bias", "replace", "edges", "strength"]);
  stage.word("destinations", ["heads", "qkv_groups"]);
  if (stage.has("attn_bias")) stage.word("attn_bias", ["per_head", "separate"]);
  if (stage.has("replace")) {
    const classes = ["attn", "mlp", "logits"];
    const replace = stage.object("replace");
    replace.only(classes);
    for (const name of classes) if (replace.has(name)) replace.word(name, ["zero", "constants"]);
  }
  if (!stage.has("edges")) return;
  stage.list("edges").forEach((edge, index) => {
    if (
      !Array.isArray(edge) ||
      edge.length !== 3 ||
      typeof edge[0] !== "string" ||
      typeof edge[1] !== "string" ||
      !isFloat32(edge[2])
    ) {
      throw stage.refuse(`edges[${index}]`, `is ${show(edge)}, not [source, destination, value]`);
    }
    if (edge[2] < 0 || edge[2] > 1) {
      throw stage.refuse(`edges[${index}]`, `is ${show(edge)}: its value lies outside [0, 1]`);
    }
  });
}
