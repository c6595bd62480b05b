/** An edge mask as the rewrite needs it: which destinations have inputs of their own, and which sources they need. */
import type { EdgeVariant } from "../graph/graph.ts";
import type { Site } from "../graph/site.ts";
import type { ModelConfig } from "../model-config.ts";
import {
  type Destination,
  destinationName,
  listDestinations,
  type Source,
  sourceIndex,
  visibleSources,
} from "./edges.ts";
import { type EdgeMaskStage, isAtSite, type MaskedEdge, type SiteStage, type Stage } from "./stage.ts";

export class EdgePlan {
  /** Some destination adds up what is left, and so asks for the changes that stages make to the stream. */
  readonly hasKept: boolean;
  /** b_O/H is part of a head's output. */
  readonly biasPerHead: boolean;
  readonly #config: ModelConfig;
  readonly #variants: ReadonlyMap<Destination, EdgeVariant>;
  /** Canonical indices of the sources that some masked destination needs. */
  readonly #needed = new Set<number>();

  /** @param stages the composition that the mask belongs to */
  constructor(config: ModelConfig, mask: EdgeMaskStage, stages: readonly Stage[]) {
    this.#config = config;
    this.biasPerHead = mask.attn_bias === "per_head";
    const edgesOf = new Map<number, { readonly edge: MaskedEdge; readonly number: number }[]>();
    mask.edges.forEach((edge, number) => {
      edgesOf.set(edge.destination, [...(edgesOf.get(edge.destination) ?? []), { edge, number }]);
    });
    const edited = editedSources(config, stages);
    const variants = new Map<Destination, EdgeVariant>();
    listDestinations(config, mask.destinations).forEach((destination, index) => {
      const edges = edgesOf.get(index);
      if (edges) variants.set(destination, variantOf(config, destination, index, edges, edited));
    });
    this.#variants = variants;
    this.hasKept = [...variants.values()].some(({ form }) => form === "kept");
    for (const { terms } of variants.values()) for (const { source } of terms) this.#needed.add(source);
  }

  /** Variants for the destinations that read a norm and have masked edges. */
  variantsAt(norm: Site): readonly EdgeVariant[] {
    return this.#readersOf(norm.kind, norm.layer).map(([, variant]) => variant);
  }

  /**
   * Which variant of its norm a projection reads: for q, k and v one per head. Variant 0 is the uncorrected one.
   * @param output the site of what it makes; undefined for the head
   */
  readsAt(output: Site | undefined): readonly number[] {
    const own = output && inputOf[output.kind];
    if (!own) return [1];
    const { num_attention_heads: H, num_key_value_heads: G } = this.#config;
    const readers = this.#readersOf("attn_norm", output.layer);
    return Array.from({ length: own === "q" ? H : G }, (_, head) => {
      const isOwn = (each: Destination) => (each.kind === "head" || each.kind === own) && each.head === head;
      return 1 + readers.findIndex(([each]) => isOwn(each));
    });
  }

  /** Canonical index of a source, if some masked destination needs it. */
  neededSource(source: Source): number | undefined {
    const index = sourceIndex(this.#config, source);
    return this.#needed.has(index) ? index : undefined;
  }

  /** The heads of a layer that some masked destination needs. */
  headsOf(layer: number): readonly { readonly head: number; readonly source: number }[] {
    return Array.from({ length: this.#config.num_attention_heads }, (_, head) => ({
      head,
      source: this.neededSource({ kind: "head", layer, head }),
    })).filter((entry): entry is { head: number; source: number } => entry.source !== undefined);
  }

  #readersOf(kind: Site["kind"], layer: Site["layer"]): readonly (readonly [Destination, EdgeVariant])[] {
    return [...this.#variants].filter(([destination]) => {
      const norm = normOf(destination);
      return norm.kind === kind && norm.layer === layer;
    });
  }
}

/** What attention's projections read if the inputs of a head are told apart. */
const inputOf: Partial<Record<Site["kind"], "q" | "k" | "v">> = { attn_q: "q", attn_k: "k", attn_v: "v" };

/** Canonical indices of the sources to whose output some stage adds. */
function editedSources(config: ModelConfig, stages: readonly Stage[]): ReadonlySet<number> {
  const atOutputs = stages.filter((stage): stage is SiteStage => isAtSite(stage) && stage.site === "mlp_out");
  return new Set(atOutputs.flatMap(({ layers }) => layers.map((layer) => sourceIndex(config, { kind: "mlp", layer }))));
}

/**
 * Subtracting what is cut leaves the rounding of the whole sum in what remains; adding up what is kept does not, but reads
 * all sources. Kept where a stage adds to the output of a masked source, as much as it likes, and where more than half of
 * what the destination sees is listed: any of it may be cut while the model runs, and most sources are read anyway.
 */
function variantOf(
  config: ModelConfig,
  destination: Destination,
  index: number,
  edges: readonly { readonly edge: MaskedEdge; readonly number: number }[],
  edited: ReadonlySet<number>,
): EdgeVariant {
  const name = destinationName(destination);
  const visible = visibleSources(config, destination);
  const isKept = edges.length > visible / 2 || edges.some(({ edge }) => edited.has(edge.source));
  if (!isKept) {
    const terms = edges.map(({ edge, number }) => ({ source: edge.source, edge: number }));
    return { name, destination: index, form: "cut", terms };
  }
  const numbers = new Map(edges.map(({ edge, number }) => [edge.source, number]));
  const terms = Array.from({ length: visible }, (_, source) => ({ source, edge: numbers.get(source) ?? null }));
  return { name, destination: index, form: "kept", terms };
}

/** The norm whose output a destination reads. */
function normOf(destination: Destination): Site {
  if (destination.kind === "logits") return { kind: "final_norm", layer: null };
  return { kind: destination.kind === "mlp" ? "mlp_norm" : "attn_norm", layer: destination.layer };
}
