/** An `edge_mask` of a bundle against a model: which edges are its structure, and with what values. */

import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { StageTensors } from "./bundle-tensors.ts";
import type { Bundle, WidenedEdges } from "./bundle-types.ts";
import {
  type Destination,
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "./edges.ts";
import type { EdgeMaskManifest } from "./manifest.ts";
import { refuse } from "./manifest-fields.ts";
import type { ModelShape } from "./sites.ts";
import type { EdgeMaskStage, MaskedEdge } from "./stage.ts";

/**
 * @param edges further ones that become part of the structure, at 1
 * @param shares the stage may hold the bundle's own memory
 * @throws SluiceError `bad_bundle`; `usage` for a further edge that does not exist
 */
export function resolveEdgeMask(
  config: ModelShape,
  bundle: Bundle,
  manifest: EdgeMaskManifest,
  { edges: widen, shares }: { readonly edges?: WidenedEdges; readonly shares?: boolean } = {},
): Omit<EdgeMaskStage, "id" | "strength"> {
  const where = `${bundle.file}: stage "${manifest.id}"`;
  const tensors = new StageTensors(bundle, manifest.id, shares);
  if (manifest.destinations === "heads" && config.num_key_value_heads !== config.num_attention_heads) {
    throw refuse(
      where,
      "destinations",
      `is "heads", but this model's ${config.num_attention_heads} query heads share ${config.num_key_value_heads} key/value heads`,
      'Use "qkv_groups" for it.',
    );
  }
  if (!tensors.has("mask") && (manifest.edges ?? []).length === 0) {
    throw refuse(where, "edges", `and the tensor ${manifest.id}.mask are missing: the stage would touch nothing`);
  }
  const edges = new EdgeTable(config, manifest, where);
  if (widen) edges.widen(widen);
  if (tensors.has("mask")) edges.addMask(tensors);
  edges.addListed();
  const sources = listSources(config).length;
  const constants = tensors.optional("constants", [sources, config.hidden_size]);
  return {
    kind: "edge_mask",
    destinations: manifest.destinations,
    attn_bias: manifest.attn_bias ?? "per_head",
    replace: { attn: "constants", mlp: "constants", logits: "constants", ...manifest.replace },
    edges: edges.sorted(),
    ...(constants ? { constants } : {}),
  };
}

/** Values by edge: the caller's widening first, at 1, then the mask, then the listed edges, each over the one before. */
class EdgeTable {
  readonly #manifest: EdgeMaskManifest;
  readonly #where: string;
  readonly #destinations: readonly Destination[];
  readonly #visible: readonly number[];
  readonly #sourceCount: number;
  readonly #sourceIndex: ReadonlyMap<string, number>;
  readonly #destinationIndex: ReadonlyMap<string, number>;
  /** By destination · number of sources + source. */
  readonly #values = new Map<number, number>();

  constructor(config: ModelShape, manifest: EdgeMaskManifest, where: string) {
    this.#manifest = manifest;
    this.#where = where;
    const sources = listSources(config);
    this.#destinations = listDestinations(config, manifest.destinations);
    this.#visible = this.#destinations.map((destination) => visibleSources(config, destination));
    this.#sourceCount = sources.length;
    this.#sourceIndex = new Map(sources.map((source, index) => [sourceName(source), index]));
    this.#destinationIndex = new Map(this.#destinations.map((item, index) => [destinationName(item), index]));
  }

  /** Entries below 1 are structure; those that are not edges are ignored, whatever they hold. */
  addMask(tensors: StageTensors): void {
    const { data } = tensors.read("mask", [this.#destinations.length, this.#sourceCount], false);
    this.#visible.forEach((visible, destination) => {
      for (let source = 0; source < visible; source++) {
        const key = destination * this.#sourceCount + source;
        const value = data[key] as number;
        if (!(value >= 0 && value <= 1)) {
          throw tensors.refuse("mask", `holds ${value} for ${this.#name(key)}, outside [0, 1]`);
        }
        if (value < 1) this.#values.set(key, value);
      }
    });
  }

  addListed(): void {
    const listed = new Set<number>();
    (this.#manifest.edges ?? []).forEach(([source, destination, value], index) => {
      const key = this.#find(source, destination, (problem) => refuse(this.#where, `edges[${index}]`, problem));
      if (listed.has(key)) throw refuse(this.#where, `edges[${index}]`, `repeats ${this.#name(key)}`);
      listed.add(key);
      this.#values.set(key, value);
    });
  }

  widen(widen: WidenedEdges): void {
    if (widen !== "all") {
      // The caller's own edges: the bundle has done nothing wrong.
      const refuseCaller = (problem: string) => new SluiceError("usage", `settings.edges ${problem}`);
      for (const [source, destination] of widen) this.#values.set(this.#find(source, destination, refuseCaller), 1);
      return;
    }
    this.#visible.forEach((visible, destination) => {
      for (let source = 0; source < visible; source++) this.#values.set(destination * this.#sourceCount + source, 1);
    });
  }

  /** By ascending destination, then source. */
  sorted(): readonly MaskedEdge[] {
    return [...this.#values]
      .sort(([a], [b]) => a - b)
      .map(([key, value]) => ({
        destination: Math.floor(key / this.#sourceCount),
        source: key % this.#sourceCount,
        value,
      }));
  }

  #find(sourceText: string, destinationText: string, wrong: (problem: string) => SluiceError): number {
    const source = this.#sourceIndex.get(sourceText);
    const destination = this.#destinationIndex.get(destinationText);
    if (source === undefined) throw wrong(`names ${show(sourceText)}, no source of this model`);
    if (destination === undefined) {
      const kind = this.#manifest.destinations;
      throw wrong(`names ${show(destinationText)}, no destination of this model by "${kind}"`);
    }
    if (source >= (this.#visible[destination] as number)) {
      const edge = `${sourceText} → ${destinationText}`;
      throw wrong(`names ${edge}, which is not an edge: a block reads only what was written before it`);
    }
    return destination * this.#sourceCount + source;
  }

  #name(key: number): string {
    const names = [...this.#sourceIndex.keys()];
    const destination = this.#destinations[Math.floor(key / this.#sourceCount)] as Destination;
    return `${names[key % this.#sourceCount]} → ${destinationName(destination)}`;
  }
}
