/** Bundles against a model: everything checked and resolved, so that the result can be compiled without further checks. */

import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { StageTensors } from "./bundle-tensors.ts";
import type { Bundle, ComposedBundle, ComposeSettings } from "./bundle-types.ts";
import { checkPositions } from "./check-positions.ts";
import { listSources } from "./edges.ts";
import { hasAlpha, kindOf, type SiteManifest, type StageManifest } from "./kinds/kinds.ts";
import { type Base, baseSizes, idPattern, type Layers } from "./manifest.ts";
import { isFloat32, refuse } from "./manifest-fields.ts";
import { type Positions, tokensIn } from "./positions.ts";
import { resolveEdgeMask } from "./resolve-edges.ts";
import { siteWidth } from "./site-names.ts";
import type { ModelShape } from "./sites.ts";
import { type Composition, edgeMaskIn, isAtSite, type SiteStage, type Stage } from "./stage.ts";

/** Settings, and how values are taken. */
interface Composing extends ComposeSettings {
  /** Stages may hold the bundles' own memory: for what is described and let go. */
  readonly shares?: boolean;
}

/**
 * Checks bundles against a model and resolves them to stages, in the order in which they act.
 * @throws `bad_bundle` naming file, stage and field; `usage` for settings that name no stage
 */
export function compose(config: ModelShape, bundles: readonly ComposedBundle[], settings: Composing = {}): Composition {
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
    hint: "A prefix is made of at most 200 letters, digits, _ and -.",
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
    // A base names its model's type alone; of those that run, GPT-2 is the one with these.
    mlp: base.model_type === "gpt2" ? "plain" : "gated",
    learned_positions: base.model_type === "gpt2",
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

/** A bundle may give every affine stage an alpha; if it is not the default, its maker meant something by it. */
function idleAlpha(file: string, id: string, manifest: StageManifest): string[] {
  if (!("alpha" in manifest) || (manifest.alpha ?? 1) === 1 || kindOf(manifest).hasAlpha(manifest)) return [];
  const name = kindOf(manifest).name(manifest);
  return [`${file}: stage "${id}": its alpha of ${manifest.alpha} acts on nothing: ${name} has none`];
}

function resolveStage(
  config: ModelShape,
  bundle: Bundle,
  manifest: StageManifest,
  id: string,
  settings: Composing,
): Stage {
  const strength = settings.strengths?.get(id) ?? manifest.strength ?? 1;
  if (manifest.kind === "edge_mask") {
    return { id, strength, ...resolveEdgeMask(config, bundle, manifest, settings) };
  }
  const kind = kindOf(manifest);
  const width = widthOf(config, bundle, manifest);
  const layers = resolveLayers(config, bundle, manifest);
  const tensors = new StageTensors(bundle, manifest.id, settings.shares);
  const specs = kind.tensors(manifest);
  const needs = kind.name(manifest);
  return {
    id,
    strength,
    ...kind.own(manifest, settings.params?.get(id)?.alpha),
    site: manifest.site,
    layers,
    positions: givenPositions(config, id, settings) ?? manifest.positions ?? "all",
    values: new Map(layers.map((layer) => [layer, tensors.ofLayer(layer, specs, width, needs)])),
  } as SiteStage;
}

function widthOf(config: ModelShape, bundle: Bundle, manifest: SiteManifest): number {
  const width = siteWidth(config, manifest.site);
  if (width !== null) return width;
  throw refuse(
    `${bundle.file}: stage "${manifest.id}"`,
    "site",
    `is "${manifest.site}", which a model of type ${config.model_type} does not have`,
    config.mlp === "plain" ? "Its MLP has mlp_pre and mlp_post." : "Its MLP has gate_pre, up and mlp_post.",
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
  const withAlpha = stages.filter(hasAlpha).map(({ id }) => id);
  for (const [id, strength] of strengths ?? []) checkSetting("strength", id, strength, ids);
  for (const [id, { alpha }] of params ?? []) checkSetting("alpha", id, alpha, withAlpha);
  const withPositions = stages.filter(isAtSite).map(({ id }) => id);
  for (const id of positions?.keys() ?? []) checkNamed("positions", id, withPositions);
  if (edges !== undefined && !edgeMaskIn(stages)) {
    throw new SluiceError("usage", "Edges are named to be set later, but no stage is an edge_mask");
  }
}

/** Positions that settings give a stage in place of its own: a copy. */
function givenPositions({ vocab_size }: ModelShape, id: string, { positions }: ComposeSettings): Positions | undefined {
  const given = positions?.get(id);
  if (given === undefined) return undefined;
  const refuse = (field: string, problem: string, hint?: string) =>
    new SluiceError("usage", `Stage ${show(id)}: ${field} ${problem}`, { ...(hint && { hint }), field: "positions" });
  return structuredClone(checkPositions(given, refuse, vocab_size));
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
    if (!isAtSite(stage) || stage.site !== "attn_out") continue;
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
