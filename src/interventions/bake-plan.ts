/**
 * Which stages of a composition can be multiplied into a model's weights exactly, and where. A stage at the output of a
 * linear layer, of a norm or of the embedding changes its columns and its bias; one at the input of an output
 * projection changes its rows; what is added to the stream moves into the bias of the layer that wrote to it last.
 */
import { type Graph, type MatrixRef, type NodeOf, outputOf, type Value, type VectorRef } from "../graph/graph.ts";
import { isSameSite, isStream, type Site, siteName } from "../graph/site.ts";
import { show } from "../show.ts";
import { type Source, sourceIndex, sourceName } from "./edges.ts";
import { isEverywhere } from "./positions.ts";
import { addsConstant, isTranslation, type RowMap, rowMapOf } from "./row-map.ts";
import { siteWidth } from "./site-names.ts";
import type { Composition, EdgeMaskStage, SiteStage } from "./stage.ts";

/** What is done to one linear layer. */
export interface LinearFold {
  readonly weight: MatrixRef;
  readonly bias: VectorRef | undefined;
  /** On its input, in order; scales only. */
  readonly inputs: readonly RowMap[];
  /** On its output, bias included, in order. */
  readonly outputs: readonly RowMap[];
}

export interface NormFold {
  readonly gain: VectorRef;
  readonly bias: VectorRef | undefined;
  readonly maps: readonly RowMap[];
}

export interface EmbedFold {
  readonly tokens: MatrixRef;
  readonly positions: MatrixRef | undefined;
  readonly maps: readonly RowMap[];
}

/** A stage in one layer that cannot be baked. */
export interface KeptStage {
  /** As the composition names it. */
  readonly id: string;
  /** Null for an edge mask, which has no layer. */
  readonly layer: number | null;
  /** Follows "cannot be baked: ". */
  readonly reason: string;
}

export interface BakePlan {
  readonly linears: readonly LinearFold[];
  readonly norms: readonly NormFold[];
  readonly embed: EmbedFold | null;
  readonly kept: readonly KeptStage[];
}

/** A place in the weights, and the sites whose stages it can take, in the order in which they run. */
interface Place {
  readonly sites: readonly Site[];
  /** At these only what is added can be folded: the stream is a sum, and one summand is at hand. */
  readonly streamSites: readonly Site[];
  /** Why it has no bias, or null if it has or can get one. */
  readonly noBias: string | null;
  /** Sources of an edge mask whose output would change if something is added to the stream here, or anything shifted. */
  readonly sources: { readonly written: readonly Source[]; readonly when: "stream" | "constant" };
  /** Stages that stay run before what is folded, as at a layer's input, and not after it. */
  readonly atInput: boolean;
}

interface PlacedStage {
  readonly stage: SiteStage;
  readonly layer: number;
  readonly site: Site;
}

export function planBake(graph: Graph, { stages }: Composition): BakePlan {
  return new Planner(graph, stages).plan();
}

class Planner {
  readonly #graph: Graph;
  /** In order, by the name of their site. */
  readonly #placed = new Map<string, PlacedStage[]>();
  readonly #kept: KeptStage[] = [];
  /** Stages that some place was asked to take. */
  readonly #met = new Set<PlacedStage>();
  readonly #mask: EdgeMaskStage | undefined;
  /** Canonical indices of sources with masked edges. */
  readonly #masked: ReadonlySet<number>;

  constructor(graph: Graph, stages: Composition["stages"]) {
    this.#graph = graph;
    for (const stage of stages) {
      if (stage.kind === "edge_mask") continue;
      for (const layer of stage.strength === 0 ? [] : stage.layers) {
        const site: Site = { kind: stage.site, layer };
        this.#placed.set(siteName(site), [...this.#placedAt(site), { stage, layer, site }]);
      }
    }
    this.#mask = stages
      .filter((stage) => stage.kind === "edge_mask")
      .find(({ strength, edges }) => strength !== 0 && edges.length > 0);
    this.#masked = new Set(this.#mask?.edges.map(({ source }) => source));
    if (this.#mask) {
      const reason = "an edge mask gives every block its own input, which no weight does";
      this.#kept.push({ id: this.#mask.id, layer: null, reason });
    }
  }

  plan(): BakePlan {
    const linears: LinearFold[] = [];
    const norms: NormFold[] = [];
    let embed: EmbedFold | null = null;
    for (const node of this.#graph.nodes) {
      if (node.op === "embed") embed = this.#embed(node);
      else if (node.op === "norm") norms.push(...this.#norm(node));
      else if (node.op === "linear") linears.push(...this.#linear(node));
    }
    for (const { stage, layer, site } of [...this.#placed.values()].flat().filter((item) => !this.#met.has(item))) {
      this.#kept.push({ id: stage.id, layer, reason: `no weight makes or reads the values at ${siteName(site)}` });
    }
    return { linears, norms, embed, kept: this.#kept };
  }

  #embed({ tokens, positions }: NodeOf<"embed">): EmbedFold | null {
    const maps = this.#fold({
      sites: [{ kind: "resid_pre", layer: 0 }],
      streamSites: [],
      noBias: null,
      sources: { written: [{ kind: "embed" }], when: "stream" },
      atInput: false,
    });
    return maps.length > 0 ? { tokens, positions, maps } : null;
  }

  #norm({ out, gain, bias }: NodeOf<"norm">): NormFold[] {
    const maps = this.#fold({
      sites: out.sites,
      streamSites: [],
      noBias: bias ? null : "an RMS norm has no bias that could take what it adds",
      sources: { written: [], when: "stream" },
      atInput: false,
    });
    return maps.length > 0 ? [{ gain, bias, maps }] : [];
  }

  #linear({ input, out, weight, bias }: NodeOf<"linear">): LinearFold[] {
    const [site] = out.sites;
    if (!site || site.layer === null) return [];
    const { kind, layer } = site;
    const noBias = bias || this.#graph.config.bias_switches ? null : this.#noBias();
    const common = { sites: out.sites, noBias, atInput: false };
    const heads = Array.from(
      { length: this.#graph.config.num_attention_heads },
      (_, head): Source => ({ kind: "head", layer, head }),
    );
    // Where the stream is written to by this layer itself, it can take what is added to the stream.
    const added = this.#graph.nodes.find((node) => node.op === "add" && node.right === out);
    const streamSites = (added && outputOf(added)?.sites) ?? [];
    let inputs: readonly RowMap[] = [];
    let outputs: readonly RowMap[] = [];
    if (kind === "attn_out") {
      const written = this.#mask?.attn_bias === "separate" ? [] : heads;
      inputs = this.#input(input, "attn_z", noBias, heads);
      outputs = this.#fold({ ...common, streamSites, sources: { written, when: "stream" } });
    } else if (kind === "mlp_out") {
      inputs = this.#input(input, "mlp_post", noBias, []);
      outputs = this.#fold({ ...common, streamSites, sources: { written: [{ kind: "mlp", layer }], when: "stream" } });
    } else if (kind === "mlp_pre" || kind === "gate_pre" || kind === "up") {
      outputs = this.#fold({ ...common, streamSites: [], sources: { written: [], when: "stream" } });
    }
    return inputs.length + outputs.length > 0 ? [{ weight, bias, inputs, outputs }] : [];
  }

  /** Stages at the input of an output projection. */
  #input(input: Value, kind: Site["kind"], noBias: string | null, heads: readonly Source[]): readonly RowMap[] {
    const sources = { written: heads, when: "constant" } as const;
    const sites = input.sites.filter((site) => site.kind === kind);
    return this.#fold({ sites, streamSites: [], noBias, sources, atInput: true });
  }

  #noBias(): string {
    return `a model of type ${this.#graph.config.model_type} has no bias there that could take what it adds`;
  }

  #placedAt(site: Site): readonly PlacedStage[] {
    return this.#placed.get(siteName(site)) ?? [];
  }

  /** The maps that a place takes, in order; stages that stay are noted. */
  #fold(place: Place): readonly RowMap[] {
    const placed = [...place.sites, ...place.streamSites].flatMap((site) => this.#placedAt(site));
    for (const item of placed) this.#met.add(item);
    const maps: RowMap[] = [];
    /** Stages met so far that stay: others cannot be moved past them, unless both only add. */
    const before: { readonly id: string; readonly adds: boolean }[] = [];
    for (const item of place.atInput ? placed.reverse() : placed) {
      const { stage, layer } = item;
      const map = rowMapOf(stage, layer, siteWidth(this.#graph.config, stage.site) ?? 0);
      const adds = map !== null && isTranslation(map);
      const obstacle = before.find((other) => !(adds && other.adds));
      const reason = this.#reason(item, map, place) ?? (obstacle && moves(obstacle.id, place));
      if (map !== null && reason === undefined) {
        maps.push(map);
        continue;
      }
      before.push({ id: stage.id, adds });
      this.#kept.push({ id: stage.id, layer, reason: reason ?? "" });
    }
    return place.atInput ? maps.reverse() : maps;
  }

  /** Why a stage cannot be folded at a place, whatever else acts there. */
  #reason({ stage, site }: PlacedStage, map: RowMap | null, place: Place): string | undefined {
    if (!isEverywhere(stage.positions)) return `it acts at some positions (${show(stage.positions)})`;
    if (map === null) return "its gate is not linear";
    const inStream = place.streamSites.some((each) => isSameSite(each, site));
    if (inStream && !isTranslation(map)) {
      return `the stream at ${siteName(site)} is the sum of all that was written to it, and no one tensor holds it`;
    }
    if (addsConstant(map) && place.noBias !== null) return place.noBias;
    const { written, when } = place.sources;
    const changes = when === "constant" ? addsConstant(map) : isStream(site);
    const masked = changes && written.find((source) => this.#masked.has(sourceIndex(this.#graph.config, source)));
    if (!masked) return undefined;
    return `the edge mask "${this.#mask?.id}" masks edges of ${sourceName(masked)}, whose output would change`;
  }
}

function moves(other: string, { atInput }: Place): string {
  return atInput ? `stage "${other}", which stays, acts after it` : `it acts after stage "${other}", which stays`;
}
