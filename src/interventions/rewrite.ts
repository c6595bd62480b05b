/**
 * Interventions as a rewrite of the graph: each stage becomes nodes at its sites, and everything downstream reads what
 * they make. Fusion comes after and knows nothing of bundles. Without stages the graph is returned as it is.
 */
import {
  type Graph,
  type Node,
  type NodeOf,
  outputOf,
  type StageForm,
  type StageUse,
  type Value,
  withValues,
} from "../graph/graph.ts";
import { isStream, type Site, siteName } from "../graph/site.ts";
import { EdgePlan } from "./edge-plan.ts";
import type { Source } from "./edges.ts";
import { kindOf } from "./kinds/kinds.ts";
import { type Composition, edgeMaskIn, isAtSite } from "./stage.ts";

interface PlacedStage {
  readonly form: StageForm;
  readonly use: StageUse;
}

/** @param composition checked against the graph's model */
export function rewrite(graph: Graph, composition: Composition): Graph {
  return composition.stages.length === 0 ? graph : new Rewriter(graph, composition).run();
}

class Rewriter {
  readonly #graph: Graph;
  readonly #nodes: Node[] = [];
  /** What later nodes read in place of a value of the original graph, by its id. */
  readonly #replaced = new Map<number, Value>();
  /** Stages in order, by the name of their site. */
  readonly #staged = new Map<string, PlacedStage[]>();
  readonly #edges: EdgePlan | undefined;
  #values: number;

  constructor(graph: Graph, { stages }: Composition) {
    this.#graph = graph;
    this.#values = 1 + Math.max(...graph.nodes.map((node) => outputOf(node)?.id ?? 0));
    stages.forEach((stage, index) => {
      if (!isAtSite(stage)) return;
      const { form } = kindOf(stage).lowering;
      for (const layer of stage.layers) {
        const site: Site = { kind: stage.site, layer };
        const placed = { form, use: { stage: index, id: stage.id, kind: stage.kind, layer } };
        this.#staged.set(siteName(site), [...this.#stagesAt(site), placed]);
      }
    });
    const mask = edgeMaskIn(stages);
    // A mask without edges, such as a dense one that is all ones, changes nothing and adds nothing to the graph.
    this.#edges = mask && mask.edges.length > 0 ? new EdgePlan(graph.config, mask, stages) : undefined;
  }

  run(): Graph {
    for (const node of this.#graph.nodes) this.#copy(node);
    return { config: this.#graph.config, nodes: this.#nodes, logits: this.#now(this.#graph.logits) };
  }

  #copy(original: Node): void {
    const node = this.#reading(original);
    if (node.op === "norm") this.#copyNorm(node);
    else if (node.op === "linear") this.#copyLinear(node);
    else this.#nodes.push(node);
    const out = outputOf(original);
    if (!out) return;
    if (node.op === "embed") this.#keep({ kind: "embed" }, node.out);
    this.#applyStages(out);
    const [site] = out.sites;
    if (site?.kind === "mlp_out") this.#keep({ kind: "mlp", layer: site.layer }, this.#now(out));
  }

  /** The node, reading what its inputs have become, its output without the sites that stages will take over. */
  #reading(node: Node): Node {
    return withValues(
      node,
      (value) => this.#now(value),
      (value) => this.#unstaged(value),
    );
  }

  /** Puts the edge mask's corrections between the stream and the norm. */
  #copyNorm(node: NodeOf<"norm">): void {
    const site = this.#siteOf(node.out);
    const variants = (site && this.#edges?.variantsAt(site)) ?? [];
    if (variants.length === 0) {
      this.#nodes.push(node);
      return;
    }
    const count = variants.length + 1;
    const mixed = this.#value(node.input, [], count);
    const out = { ...node.out, variants: count };
    this.#nodes.push({ op: "edge_mix", input: node.input, out: mixed, variants }, { ...node, input: mixed, out });
    this.#replaced.set(node.out.id, out);
  }

  /** Readers of a norm with variants read those of their own destinations; heads are sources before they are mixed. */
  #copyLinear(node: NodeOf<"linear">): void {
    const site = this.#siteOf(node.out);
    if (this.#edges && site?.kind === "attn_out") {
      const { layer } = site;
      const heads = this.#edges.headsOf(layer);
      const { input, weight, bias } = node;
      const share = bias && this.#edges.biasPerHead ? { bias } : {};
      if (heads.length > 0) this.#nodes.push({ op: "head_sources", layer, input, weight, ...share, heads });
    }
    const reads = node.input.variants === undefined ? undefined : this.#edges?.readsAt(site);
    this.#nodes.push(reads ? { ...node, reads } : node);
  }

  /** Appends the stages at every name of a value; the last of them is what later nodes read. */
  #applyStages(original: Value): void {
    const { sites } = original;
    const staged = sites.map((site) => this.#stagesAt(site));
    const tracked = this.#edges?.hasKept === true && sites.some((site) => isStream(site) || site.kind === "attn_out");
    let value = this.#now(original);
    staged.forEach((list, i) => {
      const next = staged.findIndex((other, j) => j > i && other.length > 0);
      list.forEach(({ form, use }, k) => {
        // The last stage at a name makes the value of that name, and of later ones that have no stages.
        const names = k + 1 < list.length ? [] : sites.slice(i, next < 0 ? undefined : next);
        const out = this.#value(value, names, value.variants);
        this.#nodes.push({ op: "stage", form, use, input: value, out, tracked });
        value = out;
      });
    });
    this.#replaced.set(original.id, value);
  }

  /** The value with its names up to the first that has stages. */
  #unstaged(value: Value): Value {
    const first = value.sites.findIndex((site) => this.#stagesAt(site).length > 0);
    if (first < 0) return value;
    const bare = { ...value, sites: value.sites.slice(0, first) };
    this.#replaced.set(value.id, bare);
    return bare;
  }

  #stagesAt(site: Site): readonly PlacedStage[] {
    return this.#staged.get(siteName(site)) ?? [];
  }

  #keep(source: Source, input: Value): void {
    const index = this.#edges?.neededSource(source);
    if (index !== undefined) this.#nodes.push({ op: "source", source: index, input });
  }

  /** The first site that a value of the original graph was, even if stages have taken it over. */
  #siteOf({ id }: Value): Site | undefined {
    const original = this.#graph.nodes.map(outputOf).find((out) => out?.id === id);
    return original?.sites[0];
  }

  #now(value: Value): Value {
    return this.#replaced.get(value.id) ?? value;
  }

  #value(like: Value, sites: readonly Site[], variants: number | undefined): Value {
    const { width, rows } = like;
    return { id: this.#values++, width, rows, sites, ...(variants !== undefined && { variants }) };
  }
}
