/** A bundle in words: what it is for, what each stage does where, and how strongly. */

import { entry } from "../arguments/entry.ts";
import { showText } from "../show.ts";
import { bundle as anyBundle, type BundleInput } from "./arguments.ts";
import type { Bundle } from "./bundle-types.ts";
import { compose, shapeOf } from "./compose.ts";
import { describePositions } from "./describe-positions.ts";
import { maximum } from "./describe-values.ts";
import { describeFit } from "./inspect-fit.ts";
import { edgeMask } from "./kinds/edge-mask.ts";
import { kindOf } from "./kinds/kinds.ts";
import type { Manifest } from "./manifest.ts";
import { siteWidth } from "./site-names.ts";
import type { ModelShape } from "./sites.ts";
import type { SiteStage, Stage } from "./stage.ts";
import { layerTensorName } from "./tensor-names.ts";

/** Edges and layers that are listed one by one; of more, the first are. */
const LISTED = 12;

export const inspectDoor = entry("inspectBundle", ["bundle", anyBundle]);

/**
 * Checks a bundle against the model it says it was made for, and reports what it holds.
 * @returns lines, each ended
 * @throws `bad_bundle` for what `compose` would refuse
 */
export function inspectBundle(given: BundleInput): string {
  const [bundle] = inspectDoor.read(given);
  const { file, manifest, tensors } = bundle;
  const shape = shapeOf(manifest.base);
  const { stages } = compose(shape, [{ bundle }], { shares: true });
  const lines = [`${showText(manifest.name, 120)} (${file})`];
  if (manifest.description) lines.push(`  ${showText(manifest.description, 600)}`);
  lines.push(`  made for ${describeBase(manifest)}`);
  for (const stage of stages) lines.push("", ...describeStage(stage, shape));
  lines.push("", ...describeRest(manifest), `tensors: ${tensors.size}, ${byteCount(bundle)} bytes`);
  const unread = unreadTensors(stages, [...tensors.keys()]);
  if (unread.length > 0) lines.push(`tensors that no stage reads: ${some(unread)}`);
  return `${lines.join("\n")}\n`;
}

function describeBase({ base }: Manifest): string {
  const heads =
    base.num_heads === base.num_kv_heads
      ? `${base.num_heads} heads`
      : `${base.num_heads} heads on ${base.num_kv_heads}`;
  const origin = base.repo ? ` (${showText(base.repo, 120)})` : "";
  return (
    `${base.model_type}${origin}: ${count(base.num_layers, "layer")}, width ${base.hidden_size}, ${heads} of ` +
    `${base.head_dim}, MLP ${base.intermediate_size}, vocabulary ${base.vocab_size}`
  );
}

function describeStage(stage: Stage, shape: ModelShape): string[] {
  if (stage.kind === "edge_mask") return edgeMask.describe(stage, shape);
  const kind = kindOf(stage);
  const width = siteWidth(shape, stage.site) ?? 0;
  return [
    `${stage.id}: ${kind.name(stage)} ${kind.says(stage)} at ${where(stage, shape)}`,
    `  strength ${stage.strength}${kind.settings(stage)}`,
    ...perLayer(stage, (layer) => kind.describe(stage, stage.values.get(layer) ?? {}, width)),
  ];
}

function where({ site, layers, positions }: SiteStage, shape: ModelShape): string {
  const all = layers.length === shape.num_hidden_layers;
  const which = all ? "all layers" : `layer${layers.length === 1 ? "" : "s"} ${layers.join(", ")}`;
  return `${site} of ${which}, ${describePositions(positions)}`;
}

function perLayer({ layers }: { readonly layers: readonly number[] }, describe: (layer: number) => string): string[] {
  const lines = layers.slice(0, LISTED).map((layer) => `  layer ${layer}: ${describe(layer)}`);
  return layers.length > LISTED ? [...lines, `  … and ${layers.length - LISTED} more layers`] : lines;
}

/** Provenance and checks. */
function describeRest({ fit, checks = [] }: Manifest): string[] {
  const provenance = describeFit(fit ?? {});
  const tolerance = checks.length > 0 ? `, within ${maximum(checks.map(({ atol }) => atol))}` : "";
  return [
    ...(provenance.length > 0 ? ["fitted:", ...provenance] : []),
    `checks: ${checks.length === 0 ? "none" : `${checks.length}${tolerance}`}`,
  ];
}

function unreadTensors(stages: readonly Stage[], names: readonly string[]): string[] {
  const read = new Set<string>();
  for (const stage of stages) {
    if (stage.kind === "edge_mask") {
      for (const name of edgeMask.tensorNames) read.add(`${stage.id}.${name}`);
    } else {
      for (const [layer, values] of stage.values) {
        for (const name of Object.keys(values)) read.add(layerTensorName(stage.id, layer, name));
      }
    }
  }
  return names.filter((name) => !read.has(name));
}

function byteCount({ tensors }: Bundle): string {
  return [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0).toLocaleString("en");
}

function some(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
  return (
    names
      .slice(0, LISTED)
      .map((name) => showText(name))
      .join(", ") + more
  );
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
