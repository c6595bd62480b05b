/** Bundles against a model: everything checked and resolved, so that what comes out can be compiled as it stands. */

import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { StageTensors } from "./bundle-tensors.ts";
import type { Bundle, ComposedBundle, ComposeSettings } from "./bundle-types.ts";
import { checkPositions } from "./check-positions.ts";
import { listSources } from "./edges.ts";
import {
  type AffineManifest,
  type Base,
  baseSizes,
  hasAlpha,
  idPattern,
  type Layers,
  type NeuronScaleManifest,
  type StageManifest,
} from "./manifest.ts";
import { isFloat32, refuse } from "./manifest-fields.ts";
import { type Positions, tokensIn } from "./positions.ts";
import { resolveEdgeMask } from "./resolve-edges.ts";
import { siteWidth } from "./site-names.ts";
import type { ModelShape } from "./sites.ts";
import type { AffineStage, AffineValues, Composition, NeuronScaleStage, NeuronValues, Stage } from "./stage.ts";

/**
 * Checks bundles against a model and resolves them to stages, in the order in which they act.
 * @throws `bad_bundle` naming file, stage and field; `usage` for settings that name no stage
 */
export function compose(
  config: ModelShape,
  bundles: readonly ComposedBundle[],
  settings: ComposeSettings = {},
): Composition {
  const stages: Stage[] = [];
  const warnings: string[] = [];
  /** Files by stage id. */
  const files = new Map<string, string>();
  for (const { bundle, prefix } of bundles) {
    if (prefix !== undefined) checkPrefix(prefix, bundle.file);
    checkBase(config, bundle);
    checkTokens(config, bundle);
    warnings.push(...digestWarnings(bundle, settings.digests ?? {}));
    for (const manifest of bundle.manifest.stages) {
      const id = prefix === undefined ? manifest.id : `${prefix}/${manifest.id}`;
      const other = files.get(id);
      if (other !== undefined) throw clash(id, other, bundle.file);
      files.set(id, bundle.file);
      checkPositionTokens(config, bundle.file, manifest);
      warnings.push(...idleAlpha(bundle.file, id, manifest));
      stages.push(resolveStage(config, bundle, manifest, id, settings));
    }
  }
  checkSettings(stages, settings);
  checkEdgeMasks(config, stages, files);
  return { stages, warnings };
}

function clash(id: string, first: string, second: string): SluiceError {
  const { code, message } = refuse(`${second}: stage "${id}"`, "id", `is also a stage of ${first}`);
  return new SluiceError(code, message, { hint: "Give one of them a prefix.", field: "prefix" });
}

function checkPrefix(prefix: string, file: string): void {
  if (idPattern.test(prefix)) return;
  throw new SluiceError("usage", `The prefix ${show(prefix)} for ${file} is not possible`, {
    hint: "A prefix is made of letters, digits, _ and -.",
  });
}

/** What a base's sizes are in a model. */
export function baseOf(config: ModelShape): Pick<Base, "model_type" | (typeof baseSizes)[number]> {
  return {
    model_type: config.model_type,
    num_layers: config.num_hidden_layers,
    hidden_size: config.hidden_size,
    num_heads: config.num_attention_heads,
    num_kv_heads: config.num_key_value_heads,
    head_dim: config.head_dim,
    intermediate_size: config.intermediate_size,
    vocab_size: config.vocab_size,
  };
}

/** The model that a bundle says it was made for. */
export function shapeOf(base: Base): ModelShape {
  return {
    architecture: base.model_type === "gpt2" ? "gpt2" : "llama",
    model_type: base.model_type,
    num_hidden_layers: base.num_layers,
    hidden_size: base.hidden_size,
    num_attention_heads: base.num_heads,
    num_key_value_heads: base.num_kv_heads,
    head_dim: base.head_dim,
    intermediate_size: base.intermediate_size,
    vocab_size: base.vocab_size,
  };
}

function checkBase(config: ModelShape, { file, manifest: { base } }: Bundle): void {
  const model = baseOf(config);
  for (const field of ["model_type", ...baseSizes] as const) {
    if (base[field] === model[field]) continue;
    throw refuse(
      file,
      `base.${field}`,
      `is ${show(base[field])}, but the model's is ${show(model[field])}`,
      "The bundle was made for another model.",
    );
  }
}

function checkTokens(config: ModelShape, { file, manifest: { checks = [] } }: Bundle): void {
  checks.forEach(({ tokens, top }, index) => {
    const outside = [...tokens, ...top.map(([token]) => token)].find((token) => token >= config.vocab_size);
    if (outside === undefined) return;
    throw refuse(file, `checks[${index}]`, `names token ${outside}, but the vocabulary has ${config.vocab_size}`);
  });
}

function checkPositionTokens({ vocab_size }: ModelShape, file: string, manifest: StageManifest): void {
  if (manifest.kind === "edge_mask") return;
  for (const token of tokensIn(manifest.positions ?? "all")) {
    if (token < vocab_size) continue;
    throw refuse(
      `${file}: stage "${manifest.id}"`,
      "positions",
      `names token ${token}, but the vocabulary has ${vocab_size}`,
    );
  }
}

function digestWarnings({ file, manifest }: Bundle, digests: NonNullable<ComposeSettings["digests"]>): string[] {
  const warnings: string[] = [];
  for (const [field, what] of [
    ["weights_sha256", "weights"],
    ["tokenizer_sha256", "tokenizer"],
  ] as const) {
    const wanted = manifest.base[field]?.toLowerCase();
    const given = digests[field]?.toLowerCase();
    if (wanted === undefined || given === undefined || wanted === given) continue;
    warnings.push(
      `${file}: base.${field} is ${wanted}, but this model's ${what} have ${given}: it was made for another`,
    );
  }
  return warnings;
}

/** A bundle may give every affine stage an alpha; where it is not the default, its maker meant something by it. */
function idleAlpha(file: string, id: string, manifest: StageManifest): string[] {
  if (manifest.kind !== "affine" || hasAlpha(manifest.method) || (manifest.alpha ?? 1) === 1) return [];
  return [`${file}: stage "${id}": its alpha of ${manifest.alpha} acts on nothing: ${manifest.method} has none`];
}

function resolveStage(
  config: ModelShape,
  bundle: Bundle,
  manifest: StageManifest,
  id: string,
  settings: ComposeSettings,
): Stage {
  const common = { id, strength: settings.strengths?.get(id) ?? manifest.strength ?? 1 };
  const scope = givenPositions(config, id, settings);
  switch (manifest.kind) {
    case "neuron_scale":
      return { ...common, ...resolveNeuronScale(config, bundle, manifest), ...scope };
    case "affine":
      return { ...common, ...resolveAffine(config, bundle, manifest, settings.params?.get(id)?.alpha), ...scope };
    case "edge_mask":
      return { ...common, ...resolveEdgeMask(config, bundle, manifest, settings.edges) };
  }
}

function resolveNeuronScale(
  config: ModelShape,
  bundle: Bundle,
  manifest: NeuronScaleManifest,
): Omit<NeuronScaleStage, "id" | "strength"> {
  const width = widthOf(config, bundle, manifest);
  const layers = resolveLayers(config, bundle, manifest);
  const tensors = new StageTensors(bundle, manifest.id);
  const values = new Map<number, NeuronValues>();
  for (const layer of layers) {
    const scale = tensors.optional(`${layer}.scale`, [width]);
    const shift = tensors.optional(`${layer}.shift`, [width]);
    if (!scale && !shift) throw tensors.refuse(`${layer}.scale`, `is missing, and so is ${manifest.id}.${layer}.shift`);
    values.set(layer, { ...(scale ? { scale } : {}), ...(shift ? { shift } : {}) });
  }
  return { kind: "neuron_scale", site: manifest.site, layers, positions: manifest.positions ?? "all", values };
}

function resolveAffine(
  config: ModelShape,
  bundle: Bundle,
  manifest: AffineManifest,
  alpha: number | undefined,
): Omit<AffineStage, "id" | "strength"> {
  const width = widthOf(config, bundle, manifest);
  const layers = resolveLayers(config, bundle, manifest);
  const tensors = new StageTensors(bundle, manifest.id);
  return {
    kind: "affine",
    method: manifest.method,
    site: manifest.site,
    layers,
    positions: manifest.positions ?? "all",
    gate: manifest.gate ?? "identity",
    alpha: alpha ?? manifest.alpha ?? 1,
    values: new Map(layers.map((layer) => [layer, affineValues(tensors, manifest.method, layer, width)])),
  };
}

function affineValues(
  tensors: StageTensors,
  method: AffineManifest["method"],
  layer: number,
  width: number,
): AffineValues {
  if (method === "low_rank") {
    const { shape, data: v } = tensors.read(`${layer}.v`, [null, width]);
    const rank = shape[0] as number;
    const c = tensors.optional(`${layer}.c`, [rank]);
    const bias = tensors.optional(`${layer}.bias`, [width]);
    const u = tensors.read(`${layer}.u`, [rank, width]).data;
    return { v, u, ...(c ? { c } : {}), ...(bias ? { bias } : {}) };
  }
  const direction = tensors.read(`${layer}.direction`, [width]).data;
  if (method === "addition") return { direction };
  if (direction.every((value) => value === 0)) {
    throw tensors.refuse(`${layer}.direction`, `is zero; ${method} needs a direction`);
  }
  return method === "ace" ? { direction, reference: tensors.read(`${layer}.reference`, [width]).data } : { direction };
}

function widthOf(config: ModelShape, bundle: Bundle, manifest: NeuronScaleManifest | AffineManifest): number {
  const width = siteWidth(config, manifest.site);
  if (width !== null) return width;
  throw refuse(
    `${bundle.file}: stage "${manifest.id}"`,
    "site",
    `is "${manifest.site}", which a model of type ${config.model_type} does not have`,
    config.architecture === "gpt2" ? "Its MLP has mlp_pre and mlp_post." : "Its MLP has gate_pre, up and mlp_post.",
  );
}

/** Ascending. */
function resolveLayers(
  config: ModelShape,
  bundle: Bundle,
  manifest: { readonly id: string; readonly layers?: Layers },
): readonly number[] {
  const count = config.num_hidden_layers;
  const { layers = "all" } = manifest;
  if (layers === "all") return Array.from({ length: count }, (_, layer) => layer);
  const outside = layers.find((layer) => layer >= count);
  if (outside === undefined) return [...layers].sort((a, b) => a - b);
  throw refuse(
    `${bundle.file}: stage "${manifest.id}"`,
    "layers",
    `lists layer ${outside}, but the model's are 0 to ${count - 1}`,
  );
}

/** Strengths and alphas must name stages of the composition that have one, and be numbers that a shader can take. */
function checkSettings(stages: readonly Stage[], { strengths, params, positions, edges }: ComposeSettings): void {
  const ids = stages.map(({ id }) => id);
  const withAlpha = stages.filter((stage) => stage.kind === "affine" && hasAlpha(stage.method)).map(({ id }) => id);
  for (const [id, strength] of strengths ?? []) checkSetting("strength", id, strength, ids);
  for (const [id, { alpha }] of params ?? []) checkSetting("alpha", id, alpha, withAlpha);
  const withPositions = stages.filter(({ kind }) => kind !== "edge_mask").map(({ id }) => id);
  for (const id of positions?.keys() ?? []) checkNamed("positions", id, withPositions);
  if (edges !== undefined && !stages.some(({ kind }) => kind === "edge_mask")) {
    throw new SluiceError("usage", "Edges are named to be set later, but no stage is an edge_mask");
  }
}

/** Positions that settings give a stage in place of its own: a copy. */
function givenPositions(
  { vocab_size }: ModelShape,
  id: string,
  { positions }: ComposeSettings,
): { readonly positions?: Positions } {
  const given = positions?.get(id);
  if (given === undefined) return {};
  const refuse = (field: string, problem: string, hint?: string) =>
    new SluiceError("usage", `Stage ${show(id)}: ${field} ${problem}`, { ...(hint && { hint }), field: "positions" });
  return { positions: structuredClone(checkPositions(given, refuse, vocab_size)) };
}

function checkNamed(what: "strength" | "alpha" | "positions", id: string, known: readonly string[]): void {
  if (known.includes(id)) return;
  const which = { strength: "No stage", alpha: "No stage with an alpha", positions: "No stage with positions" }[what];
  const hint = known.length > 0 ? `There are ${known.join(", ")}.` : "There is none.";
  throw new SluiceError("usage", `${which} is called ${show(id)}`, { hint });
}

function checkSetting(what: "strength" | "alpha", id: string, value: number, known: readonly string[]): void {
  checkNamed(what, id, known);
  if (isFloat32(value)) return;
  throw new SluiceError("usage", `The ${what} of stage "${id}" is ${value}; it must be a finite float32 number`);
}

/** What an edge mask does not go together with. */
function checkEdgeMasks(config: ModelShape, stages: readonly Stage[], files: ReadonlyMap<string, string>): void {
  const [mask, second] = stages.filter((stage) => stage.kind === "edge_mask");
  if (!mask) return;
  const where = (id: string) => `${files.get(id)}: stage "${id}"`;
  if (second) {
    throw refuse(where(second.id), "kind", `is edge_mask, and so is stage "${mask.id}"`, "A composition can have one.");
  }
  const sources = listSources(config);
  const cutLayers = new Set<number>();
  for (const edge of mask.edges) {
    const source = sources[edge.source];
    if (source?.kind === "head") cutLayers.add(source.layer);
  }
  for (const stage of stages) {
    if (stage.kind === "edge_mask" || stage.site !== "attn_out") continue;
    const layer = stage.layers.find((candidate) => cutLayers.has(candidate));
    if (layer === undefined) continue;
    throw refuse(
      where(stage.id),
      "site",
      `is attn_out in layer ${layer}, whose heads have masked edges in stage "${mask.id}": what a head wrote would be undefined`,
      "Edit attn_z instead, or leave that layer out.",
    );
  }
}
