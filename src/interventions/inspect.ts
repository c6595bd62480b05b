/** A bundle in words: what it is for, what each stage does where, and how strongly. */

import { entry } from "../arguments/entry.ts";
import { showText } from "../show.ts";
import { bundle as anyBundle, type BundleInput } from "./arguments.ts";
import type { Bundle } from "./bundle-types.ts";
import { compose, shapeOf } from "./compose.ts";
import { describePositions } from "./describe-positions.ts";
import { countEdges, destinationName, listDestinations, listSources, sourceName } from "./edges.ts";
import { describeFit } from "./inspect-fit.ts";
import { hasAlpha, type Manifest } from "./manifest.ts";
import type { ModelShape } from "./sites.ts";
import type { AffineStage, EdgeMaskStage, Gate, NeuronScaleStage, Stage } from "./stage.ts";

/** Edges and layers that are listed one by one; of more, the first are. */
const LISTED = 12;

export const inspectDoor = entry("inspectBundle", ["bundle", anyBundle]);

/**
 * Checks a bundle against the model it says it was made for, and tells what it holds.
 * @returns lines, each ended
 * @throws `bad_bundle` for what `compose` would refuse
 */
export function inspectBundle(given: BundleInput): string {
  const [bundle] = inspectDoor.read(given);
  const { file, manifest, tensors } = bundle;
  const shape = shapeOf(manifest.base);
  const { stages } = compose(shape, [{ bundle }]);
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
  switch (stage.kind) {
    case "neuron_scale":
      return [
        `${stage.id}: neuron_scale scales neurons at ${where(stage, shape)}`,
        `  strength ${stage.strength}`,
        ...perLayer(stage, (layer) => describeNeurons(stage, layer)),
      ];
    case "affine":
      return [
        `${stage.id}: ${stage.method} ${METHODS[stage.method]} at ${where(stage, shape)}`,
        `  strength ${stage.strength}${hasAlpha(stage.method) ? `, alpha ${stage.alpha}` : ""}${describeGate(stage.gate)}`,
        ...perLayer(stage, (layer) => describeDirections(stage, layer, shape)),
      ];
    case "edge_mask":
      return describeEdges(stage, shape);
  }
}

const METHODS = {
  directional_ablation: "takes a direction away",
  addition: "adds a direction",
  ace: "sets the coordinate along a direction",
  low_rank: "edits a few directions",
} as const;

function where({ site, layers, positions }: NeuronScaleStage | AffineStage, shape: ModelShape): string {
  const all = layers.length === shape.num_hidden_layers;
  const which = all ? "all layers" : `layer${layers.length === 1 ? "" : "s"} ${layers.join(", ")}`;
  return `${site} of ${which}, ${describePositions(positions)}`;
}

function describeGate(gate: Gate): string {
  if (gate === "identity") return "";
  return gate === "relu" ? ", only where it is above its threshold" : `, only outside [${gate.clamp.join(", ")}]`;
}

function perLayer({ layers }: { readonly layers: readonly number[] }, describe: (layer: number) => string): string[] {
  const lines = layers.slice(0, LISTED).map((layer) => `  layer ${layer}: ${describe(layer)}`);
  return layers.length > LISTED ? [...lines, `  … and ${layers.length - LISTED} more layers`] : lines;
}

function describeNeurons({ values }: NeuronScaleStage, layer: number): string {
  const { scale, shift } = values.get(layer) ?? {};
  const parts: string[] = [];
  if (scale) {
    const scaled = scale.filter((value) => value !== 1);
    const range = scaled.length > 0 ? ` by ${number(minimum(scaled))} to ${number(maximum(scaled))}` : "";
    parts.push(`${scaled.length} of ${scale.length} neurons scaled${range}`);
  }
  if (shift) {
    const shifted = shift.filter((value) => value !== 0);
    parts.push(`${shifted.length} of ${shift.length} shifted by up to ${number(maximum(shifted.map(Math.abs)))}`);
  }
  return parts.join(", ");
}

function describeDirections({ method, values }: AffineStage, layer: number, { hidden_size }: ModelShape): string {
  const { direction, reference, v, c, bias } = values.get(layer) ?? {};
  const parts: string[] = [];
  if (direction) parts.push(`direction of norm ${number(norm(direction))}`);
  if (direction && reference) {
    const along = direction.reduce((sum, value, i) => sum + value * (reference[i] ?? 0), 0) / norm(direction);
    parts.push(`reference at ${number(along)} along it`);
  }
  if (method === "low_rank" && v) parts.push(`rank ${v.length / hidden_size}`);
  if (c) parts.push("with thresholds");
  if (bias) parts.push(`bias of norm ${number(norm(bias))}`);
  return parts.join(", ");
}

function describeEdges(stage: EdgeMaskStage, shape: ModelShape): string[] {
  const sources = listSources(shape).map(sourceName);
  const destinations = listDestinations(shape, stage.destinations).map(destinationName);
  const total = countEdges(shape, stage.destinations).toLocaleString("en");
  const kinds = Object.entries(stage.replace).filter(([, way]) => way === "zero" || !stage.constants);
  const zeros = kinds.length === 3 ? "zero" : `constants${kinds.map(([name]) => `, zero for ${name}`).join("")}`;
  const lines = [
    `${stage.id}: edge_mask cuts ${stage.edges.length.toLocaleString("en")} of ${total} edges (${stage.destinations})`,
    `  strength ${stage.strength}, replaced by ${zeros}, bias of the output projection ${stage.attn_bias}`,
  ];
  for (const { source, destination, value } of stage.edges.slice(0, LISTED)) {
    lines.push(
      `  ${sources[source]} → ${destinations[destination]}: ${value === 0 ? "cut" : `kept by ${number(value)}`}`,
    );
  }
  if (stage.edges.length > LISTED) lines.push(`  … and ${stage.edges.length - LISTED} more edges`);
  return lines;
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
      for (const name of ["mask", "constants"]) read.add(`${stage.id}.${name}`);
    } else {
      for (const [layer, values] of stage.values) {
        for (const name of Object.keys(values)) read.add(`${stage.id}.${layer}.${name}`);
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

function number(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function norm(values: Float32Array): number {
  return Math.hypot(...values);
}

function minimum(values: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of values) least = Math.min(least, value);
  return least;
}

function maximum(values: Iterable<number>): number {
  let most = 0;
  for (const value of values) most = Math.max(most, value);
  return most;
}
