/** Circuits: the edges that a mask keeps, as graphs of EAP-IG and as lists of Edge-Pruning. */
import { listDestinations, listSources, type Source, visibleSources } from "../edges.ts";
import type { ModelShape } from "../sites.ts";
import type { EdgeMaskStage, Stage } from "../stage.ts";
import { bytesOf, type Exported, type ExportFormat, kindName } from "./export-format.ts";

/** An edge from a source to the MLP, the logits, or one input of a query head, as the projects tell them apart. */
interface Edge {
  readonly source: Source;
  readonly to:
    | { readonly kind: "logits" }
    | { readonly kind: "mlp"; readonly layer: number }
    | { readonly kind: "q" | "k" | "v"; readonly layer: number; readonly head: number };
  readonly isKept: boolean;
}

/** Why a mask has no form as a list of edges that are kept or cut. */
function obstacle(stage: Stage, config: ModelShape): string | null {
  if (stage.kind !== "edge_mask") return `is of the kind ${kindName(stage)}, and the format has edges alone`;
  const between = stage.edges.find(({ value }) => ![0, 1].includes(masked(stage, value)));
  if (between) return `keeps edges in part (${masked(stage, between.value)}), and the format keeps or cuts them`;
  return edgesOf(stage, config).some(({ isKept }) => isKept) ? null : "cuts every edge, so nothing is left to list";
}

function masked({ strength }: EdgeMaskStage, value: number): number {
  return 1 - strength * (1 - value);
}

/** All edges, to the three inputs of every query head. Heads that share keys and values share these edges. */
function edgesOf(stage: EdgeMaskStage, config: ModelShape): readonly Edge[] {
  const { num_attention_heads: heads, num_key_value_heads: groups } = config;
  const sources = listSources(config);
  const cut = new Set(
    stage.edges.flatMap(({ destination, source, value }) =>
      masked(stage, value) === 0 ? [destination * sources.length + source] : [],
    ),
  );
  return listDestinations(config, stage.destinations).flatMap((destination, index) =>
    sources.slice(0, visibleSources(config, destination)).flatMap((source, from) => {
      const isKept = !cut.has(index * sources.length + from);
      return readersOf(destination, heads / groups).map((to) => ({ source, to, isKept }));
    }),
  );
}

function readersOf(destination: ReturnType<typeof listDestinations>[number], share: number): readonly Edge["to"][] {
  switch (destination.kind) {
    case "logits":
    case "mlp":
      return [destination];
    case "head":
      return (["q", "k", "v"] as const).map((kind) => ({ ...destination, kind }));
    case "q":
      return [{ ...destination, kind: "q" }];
    default: {
      const { kind, layer, head } = destination;
      return Array.from({ length: share }, (_, i) => ({ kind, layer, head: head * share + i }));
    }
  }
}

/** What the formats do not say of a mask. */
function warn({ stages, warn: tell }: Exported, bias: EdgeMaskStage["attn_bias"], project: string): EdgeMaskStage {
  const [stage] = stages as readonly [EdgeMaskStage];
  if (stage.constants && Object.values(stage.replace).includes("constants")) {
    tell(`stage "${stage.id}": its constants are left out; ${project} replaces what is cut by another prompt's values`);
  }
  if (stage.attn_bias !== bias) {
    const theirs =
      bias === "separate" ? "keeps the bias of the output projection" : "gives each head a share of the bias";
    tell(`stage "${stage.id}": its attn_bias is "${stage.attn_bias}", and ${project} ${theirs} ("${bias}")`);
  }
  return stage;
}

function blockName(block: Exclude<Source, { readonly kind: "embed" }>): string {
  return block.kind === "mlp" ? `m${block.layer}` : `a${block.layer}.h${block.head}`;
}

export const eapIgGraph: ExportFormat = {
  obstacle,
  write(exported) {
    const stage = warn(exported, "separate", "EAP-IG");
    const { config, name } = exported;
    const edges = edgesOf(stage, config);
    const nodeOf = (source: Source): string => (source.kind === "embed" ? "input" : blockName(source));
    const kept = new Set(["input", "logits"]);
    const entries = edges.map(({ source, to, isKept }) => {
      const reader = to.kind === "logits" ? "logits" : to.kind === "mlp" ? `m${to.layer}` : `a${to.layer}.h${to.head}`;
      if (isKept) for (const node of [nodeOf(source), reader]) kept.add(node);
      const input = to.kind === "logits" || to.kind === "mlp" ? "" : `<${to.kind}>`;
      return [`${nodeOf(source)}->${reader}${input}`, { score: isKept ? 1 : 0, in_graph: isKept }] as const;
    });
    const nodes = [...listSources(config).map(nodeOf), "logits"].map((node) => [node, { in_graph: kept.has(node) }]);
    const graph = {
      cfg: {
        n_layers: config.num_hidden_layers,
        n_heads: config.num_attention_heads,
        parallel_attn_mlp: false,
        d_model: config.hidden_size,
      },
      nodes: Object.fromEntries(nodes) as object,
      edges: Object.fromEntries(entries),
    };
    return new Map([[`${name}.json`, bytesOf(JSON.stringify(graph))]]);
  },
};

export const edgePruningList: ExportFormat = {
  obstacle,
  write(exported) {
    const stage = warn(exported, "per_head", "Edge-Pruning");
    const { config, name } = exported;
    const embeddings = config.learned_positions ? ["tok_embeds", "pos_embeds"] : ["embeds"];
    const pairs = edgesOf(stage, config).flatMap(({ source, to, isKept }) => {
      if (!isKept) return [];
      const reader =
        to.kind === "logits"
          ? "resid_post"
          : to.kind === "mlp"
            ? `m${to.layer}`
            : `a${to.layer}.h${to.head}.${to.kind}`;
      const writers = source.kind === "embed" ? embeddings : [blockName(source)];
      return writers.map((writer) => [writer, reader]);
    });
    return new Map([[`${name}.json`, bytesOf(JSON.stringify(pairs))]]);
  },
};
