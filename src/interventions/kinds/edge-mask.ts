/** `edge_mask`: what every destination reads of every source. It has no site, no layers and no positions. */
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import { show } from "../../show.ts";
import { numberText } from "../describe-values.ts";
import { countEdges, destinationName, listDestinations, listSources, sourceName } from "../edges.ts";
import { isFloat32, type ManifestFields } from "../manifest-fields.ts";
import type { ModelShape } from "../sites.ts";
import type { Destinations, EdgeMaskStage } from "../stage.ts";

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

/** Edges that are listed one by one; of more, the first are. */
const LISTED = 12;

/** The kind that is not at sites; the records of the others are `SiteStageKind`s. */
export const edgeMask = {
  check,
  /** Of the tensors `ID.NAME` that a stage may have. */
  tensorNames: ["mask", "constants"],
  describe,
  manifest: manifestOf,
} as const;

/** Checks a manifest's fields for their types. @throws `bad_bundle` */
function check(manifest: ManifestFields): void {
  if (manifest.has("positions")) {
    throw manifest.refuse("positions", "has no meaning for an edge_mask, which acts everywhere", "Leave it out.");
  }
  manifest.only(["id", "kind", "destinations", "attn_bias", "replace", "edges", "strength"]);
  manifest.word("destinations", ["heads", "qkv_groups"]);
  if (manifest.has("attn_bias")) manifest.word("attn_bias", ["per_head", "separate"]);
  if (manifest.has("replace")) {
    const classes = ["attn", "mlp", "logits"];
    const replace = manifest.object("replace");
    replace.only(classes);
    for (const name of classes) if (replace.has(name)) replace.word(name, ["zero", "constants"]);
  }
  if (!manifest.has("edges")) return;
  manifest.list("edges").forEach((edge, index) => {
    if (
      !Array.isArray(edge) ||
      edge.length !== 3 ||
      typeof edge[0] !== "string" ||
      typeof edge[1] !== "string" ||
      !isFloat32(edge[2])
    ) {
      throw manifest.refuse(`edges[${index}]`, `is ${show(edge)}, not [source, destination, value]`);
    }
    if (edge[2] < 0 || edge[2] > 1) {
      throw manifest.refuse(`edges[${index}]`, `is ${show(edge)}: its value lies outside [0, 1]`);
    }
  });
}

/** In words: which edges, and what replaces what they cut. */
function describe(stage: EdgeMaskStage, shape: ModelShape): string[] {
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
      `  ${sources[source]} → ${destinations[destination]}: ${value === 0 ? "cut" : `kept by ${numberText(value)}`}`,
    );
  }
  if (stage.edges.length > LISTED) lines.push(`  … and ${stage.edges.length - LISTED} more edges`);
  return lines;
}

/**
 * The way back from a stage to a file.
 * @param id of the stage in the file
 * @param tensors takes its constants
 */
function manifestOf(
  config: ModelShape,
  stage: EdgeMaskStage,
  id: string,
  tensors: Map<string, StoredTensor>,
): EdgeMaskManifest {
  const sources = listSources(config).map(sourceName);
  const destinations = listDestinations(config, stage.destinations).map(destinationName);
  if (stage.constants) {
    tensors.set(`${id}.constants`, storeFloat32(stage.constants, [sources.length, config.hidden_size]));
  }
  const { kind, attn_bias, replace, strength } = stage;
  const edges = stage.edges.map(
    ({ source, destination, value }) => [sources[source] ?? "", destinations[destination] ?? "", value] as const,
  );
  return { id, kind, destinations: stage.destinations, attn_bias, replace, edges, strength };
}
