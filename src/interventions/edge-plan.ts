/** An edge mask as the rewrite needs it: which destinations have inputs of their own, and which sources they need. */
import type { EdgeVariant } from "../graph/graph.ts";
import type { ModelConfig } from "../model-config.ts";
import {
  type Destination,
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "./edges.ts";
import type { EdgeMaskStage, MaskedEdge } from "./stage.ts";

type HeadKind = "head" | "q" | "k" | "v";

export class EdgePlan {
  /** Some destination adds up what is left, and so asks for the changes that stages make to the stream. */
  readonly hasKept: boolean;
  /** b_O/H is part of a head's output. */
  readonly biasPerHead: boolean;
  readonly #config: ModelConfig;
  readonly #variants: ReadonlyMap<Destination, EdgeVariant>;
  /** Canonical index of each needed source, by name. */
  readonly #needed = new Map<string, number>();

  constructor(config: ModelConfig, mask: EdgeMaskStage) {
    this.#config = config;
    this.biasPerHead = mask.attn_bias === "per_head";
    const edgesOf = new Map<number, { readonly edge: MaskedEdge; readonly number: number }[]>();
    mask.edges.forEach((edge, number) => {
      edgesOf.set(edge.destination, [...(edgesOf.get(edge.destination) ?? []), { edge, number }]);
    });
    const variants = new Map<Destination, EdgeVariant>();
    listDestinations(config, mask.destinations).forEach((destination, index) => {
      const edges = edgesOf.get(index);
      if (edges) variants.set(destination, variantOf(config, destination, index, edges));
    });
    this.#variants = variants;
    this.hasKept = [...variants.values()].some(({ form }) => form === "kept");
    const sources = listSources(config).map(sourceName);
    for (const { terms } of variants.values()) {
      for (const { source } of terms) this.#needed.set(sources[source] as string, source);
    }
  }

  /** The destinations that read a norm (`attn_norm.3`, `mlp_norm.3`, `final_norm`) and have masked edges. */
  variantsAt(norm: string): readonly EdgeVariant[] {
    return [...this.#variants].filter(([destination]) => normOf(destination) === norm).map(([, variant]) => variant);
  }

  /**
   * Which variant of its norm a projection reads, by the name of its output (`attn_q.3`, `mlp_pre.3`; nothing for the
   * head): for q, k and v one a head. Variant 0 is the uncorrected one.
   */
  readsAt(output: string): readonly number[] {
    const [name = "", layer] = output.split(".");
    if (!name.startsWith("attn_")) return [1];
    const { num_attention_heads: H, num_key_value_heads: G } = this.#config;
    const kind = name.slice("attn_".length) as HeadKind;
    const listed = this.variantsAt(`attn_norm.${layer}`);
    return Array.from({ length: kind === "q" ? H : G }, (_, head) => {
      const names = [`blocks.${layer}.head.${head}`, `blocks.${layer}.${kind}.${head}`];
      return 1 + listed.findIndex((variant) => names.includes(variant.name));
    });
  }

  /** Canonical index of a source, if some masked destination needs it. */
  sourceNamed(name: string): number | undefined {
    return this.#needed.get(name);
  }

  /** The heads of a layer that some masked destination needs. */
  headsOf(layer: number): readonly { readonly head: number; readonly source: number }[] {
    return Array.from({ length: this.#config.num_attention_heads }, (_, head) => ({
      head,
      source: this.sourceNamed(`blocks.${layer}.head.${head}`),
    })).filter((entry): entry is { head: number; source: number } => entry.source !== undefined);
  }
}

/**
 * Subtracting what is cut leaves the rounding of the whole sum in what remains; adding up what is kept does not. The form
 * is the one in which less is cancelled: kept where more than half of what the destination sees is cut.
 */
function variantOf(
  config: ModelConfig,
  destination: Destination,
  index: number,
  edges: readonly { readonly edge: MaskedEdge; readonly number: number }[],
): EdgeVariant {
  const name = destinationName(destination);
  const visible = visibleSources(config, destination);
  const cut = edges.reduce((sum, { edge }) => sum + (1 - edge.value), 0);
  if (cut <= visible / 2) {
    const terms = edges.map(({ edge, number }) => ({ source: edge.source, edge: number }));
    return { name, destination: index, form: "cut", terms };
  }
  const numbers = new Map(edges.map(({ edge, number }) => [edge.source, number]));
  const terms = Array.from({ length: visible }, (_, source) => ({ source, edge: numbers.get(source) ?? null }));
  return { name, destination: index, form: "kept", terms };
}

function normOf(destination: Destination): string {
  if (destination.kind === "logits") return "final_norm";
  return destination.kind === "mlp" ? `mlp_norm.${destination.layer}` : `attn_norm.${destination.layer}`;
}
