/**
 * Fusion: joins the fine nodes of a graph into the operations that kernels implement. A pure function; the
 * result is a list in execution order, one entry per operation.
 *
 * It follows values from a linear node to their only reader: a residual add, an activation, a gated product or
 * the attention inputs become the epilogue of the matmul that feeds them. Nodes with a record in operations.ts are operations
 * of their own. Whatever stays is refused loudly rather than run by some slow path nobody would notice.
 */
import { SluiceError } from "../errors.ts";
import { type Graph, type Node, type NodeOf, outputOf, type StageUse, type Value } from "../graph/graph.ts";
import { isStream, type SiteKind } from "../graph/site.ts";
import { Flow, inEpilogue, type StageNode } from "./flow.ts";
import type { FusedLinear, FusedNorm, FusedOp, LinearPart, NormEdit, RowStage, TappedSite } from "./fused.ts";
import { operationOf } from "./operations.ts";

export function fuse(graph: Graph): readonly FusedOp[] {
  return new Fuser(graph).run();
}

class Fuser {
  readonly #graph: Graph;
  readonly #flow: Flow;
  /** Nodes that are part of an operation already emitted or about to be. */
  readonly #taken = new Set<Node>();
  #layer: number | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#flow = new Flow(graph);
  }

  run(): readonly FusedOp[] {
    const ops: FusedOp[] = [];
    for (const node of this.#graph.nodes) {
      if (this.#taken.has(node)) continue;
      if (node.op === "attention") this.#layer = node.layer;
      const op = this.#fuseFrom(node);
      if (op) ops.push(op);
    }
    for (const node of this.#graph.nodes) {
      if (!this.#taken.has(node))
        throw new SluiceError("gpu", `No kernel serves a ${node.op} node that is alone in the graph`);
    }
    return ops;
  }

  /** The operation that begins with this node, or nothing when a later node will begin it. */
  #fuseFrom(node: Node): FusedOp | undefined {
    if (node.op === "norm") return this.#norm(node);
    if (node.op === "linear") return this.#linear(node);
    return this.#alone(node);
  }

  /** An operation that is this node alone, with the stages that its kernel carries. */
  #alone(node: Exclude<Node, NodeOf<"norm" | "linear">>): FusedOp | undefined {
    const operation = operationOf(node.op);
    if (!operation) return undefined;
    this.#taken.add(node);
    const { role, tap, list } = operation;
    const made = outputOf(node);
    const { uses, value: out } = made && list ? this.#stagesOf(made) : { uses: [], value: made };
    const site = out?.sites.find((each) => !isStream(each));
    return {
      ...(out && operation.isSource && this.#sourceOf(out)),
      kind: node.op,
      role,
      layer: this.#layer,
      taps: taps([[tap, out, site?.kind]]),
      stages: uses,
      ...(list !== undefined && { list }),
      node,
      out,
    } as FusedOp;
  }

  #norm(node: NodeOf<"norm">): FusedNorm {
    this.#taken.add(node);
    const mixMaker = this.#flow.makerOf(node.input);
    const mix = mixMaker?.op === "edge_mix" ? mixMaker : undefined;
    const selectMaker = this.#flow.makerOf(mix?.input ?? node.input);
    const select = selectMaker?.op === "select_outs" ? selectMaker : undefined;
    for (const part of [mix, select]) if (part) this.#taken.add(part);
    const end = select?.input ?? mix?.input ?? node.input;
    const normed = this.#stagesOf(node.out);
    this.#layer = select ? undefined : (layerIn(normed.value) ?? this.#layer);
    const { input, edit, afterPost, deltaEnd } = this.#stream(end);
    const isEdited = edit.delta || edit.post.length + edit.pre.length + normed.uses.length > 0 || mix;
    const role = normed.value.sites[0]?.kind === "mlp_norm" ? "mlp.norm" : "attn.norm";
    return {
      kind: "norm",
      role: select ? "final_norm" : role,
      layer: this.#layer,
      taps: taps([
        ["delta", deltaEnd, "attn_out"],
        ["delta", deltaEnd, "mlp_out"],
        ["resid_post", afterPost, "resid_post"],
        ["resid_pre", end, "resid_pre"],
        ["resid_pre", end, "resid_mid"],
        ["out", normed.value, "attn_norm"],
        ["out", normed.value, "mlp_norm"],
        ["out", normed.value, "final_norm"],
      ]),
      node,
      input,
      out: normed.value,
      selectsOuts: select !== undefined,
      ...(isEdited && {
        edit: {
          ...edit,
          norm: normed.uses,
          variants: mix?.variants ?? [],
          ...(end !== input && !select && { stream: end }),
        },
      }),
    };
  }

  /** What a norm does to the stream before it: from the value that lies in memory to the one that is normed. */
  #stream(end: Value): {
    readonly input: Value;
    readonly afterPost: Value;
    readonly deltaEnd: Value | undefined;
    readonly edit: Pick<NormEdit, "delta" | "post" | "pre">;
  } {
    const { stages, value: begin } = this.#flow.stagesBefore(end);
    for (const stage of stages) this.#taken.add(stage);
    // Stages at resid_post or resid_mid come first; the last of them carries the name.
    const named = stages.findIndex(({ out }) =>
      out.sites.some(({ kind }) => kind === "resid_post" || kind === "resid_mid"),
    );
    const post = stages.slice(0, named + 1).map(rowStage);
    const pre = stages.slice(named + 1).map(rowStage);
    const afterPost = stages[named]?.out ?? begin;
    const add = this.#flow.makerOf(begin);
    const right = add?.op === "add" ? this.#flow.stagesBefore(add.right) : undefined;
    const rest = right?.stages.slice(inEpilogue(right.stages)) ?? [];
    if (add?.op !== "add" || !right || rest.length === 0) {
      return { input: begin, afterPost, deltaEnd: undefined, edit: { post, pre } };
    }
    for (const part of [add, ...rest]) this.#taken.add(part);
    const delta = {
      value: (rest[0] as StageNode).input,
      stages: rest.map(rowStage),
      ...this.#sourceOf(add.right),
    };
    return { input: add.left, afterPost, deltaEnd: add.right, edit: { delta, post, pre } };
  }

  #linear(node: NodeOf<"linear">): FusedLinear {
    return this.#qkv(node) ?? this.#gated(node) ?? this.#activated(node) ?? this.#residual(node) ?? this.#stored(node);
  }

  /** Three linears of one input whose results are a layer's queries, keys and values. */
  #qkv(first: NodeOf<"linear">): FusedLinear | undefined {
    const direct = this.#flow.onlyReaderOf(first.out);
    const attention = direct?.op === "rope" ? this.#flow.onlyReaderOf(direct.out) : direct;
    if (attention?.op !== "attention") return undefined;
    const cache = this.#graph.nodes.find((node) => node.op === "cache" && node.layer === attention.layer);
    if (cache?.op !== "cache") return undefined;

    const q = this.#linearBehind(attention.queries);
    const k = this.#linearBehind(cache.keys);
    const v = this.#linearBehind(cache.values);
    if (!q || !k || !v || k.linear.input !== q.linear.input || v.linear.input !== q.linear.input) return undefined;
    if ((q.rope === undefined) !== (k.rope === undefined) || v.rope) return undefined;
    for (const node of [q.linear, q.rope, k.linear, k.rope, v.linear, cache]) if (node) this.#taken.add(node);
    const { reads: ofQ, input } = q.linear;
    const reads = ofQ && [...ofQ, ...(k.linear.reads ?? []), ...(v.linear.reads ?? [])];
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = this.#graph.config;
    const rotary = q.rope?.rotary ?? 0;
    return {
      kind: "linear",
      role: "attn.qkv",
      layer: this.#layer,
      taps: taps([
        ["q", q.linear.out, "attn_q"],
        ["k", k.linear.out, "attn_k"],
        ["v", v.linear.out, "attn_v"],
      ]),
      input,
      variant: 0,
      ...(reads && { reads }),
      stages: new Map(),
      parts: [part(q.linear), part(k.linear), part(v.linear)],
      rotary,
      epilogue: { kind: "qkv", heads, kvHeads, headDim, rope: rotary > 0 },
      out: attention.queries,
    };
  }

  /** activation(gate) · up, from two linears of one input. */
  #gated(first: NodeOf<"linear">): FusedLinear | undefined {
    const gate = this.#flow.stagesAfter(first.out);
    const activation = this.#flow.onlyReaderOf(gate.value);
    if (activation?.op !== "activation") return undefined;
    const product = this.#flow.onlyReaderOf(activation.out);
    if (product?.op !== "multiply" || product.left !== activation.out) return undefined;
    const up = this.#flow.stagesBefore(product.right);
    const second = this.#flow.makerOf(up.value);
    if (second?.op !== "linear" || second.input !== first.input) return undefined;
    for (const node of [first, activation, product, second]) this.#taken.add(node);
    const post = this.#stagesOf(product.out);
    return {
      kind: "linear",
      role: "mlp.gate_up",
      layer: this.#layer,
      taps: taps([
        ["gate", gate.value, "gate_pre"],
        ["up", product.right, "up"],
        ["post", post.value, "mlp_post"],
      ]),
      input: first.input,
      variant: first.reads?.[0] ?? 0,
      stages: new Map([
        ["gate", this.#take(gate.stages, gate.value).uses],
        ["up", this.#take(up.stages, up.value).uses],
        ["post", post.uses],
      ]),
      parts: [part(first), part(second)],
      epilogue: { kind: "gated", activation: activation.kind },
      out: post.value,
    };
  }

  #activated(node: NodeOf<"linear">): FusedLinear | undefined {
    const pre = this.#flow.stagesAfter(node.out);
    const activation = this.#flow.onlyReaderOf(pre.value);
    if (activation?.op !== "activation") return undefined;
    this.#taken.add(node).add(activation);
    const post = this.#stagesOf(activation.out);
    return {
      kind: "linear",
      role: "mlp.up",
      layer: this.#layer,
      taps: taps([
        ["pre", pre.value, "mlp_pre"],
        ["post", post.value, "mlp_post"],
      ]),
      input: node.input,
      variant: node.reads?.[0] ?? 0,
      stages: new Map([
        ["pre", this.#take(pre.stages, pre.value).uses],
        ["post", post.uses],
      ]),
      parts: [part(node)],
      epilogue: { kind: "activation", activation: activation.kind },
      out: post.value,
    };
  }

  /** A projection back into the stream. If a stage needs its whole row, the next norm adds the row instead. */
  #residual(node: NodeOf<"linear">): FusedLinear | undefined {
    const { stages, value } = this.#flow.stagesAfter(node.out);
    const add = this.#flow.onlyReaderOf(value);
    if (add?.op !== "add" || add.right !== value) return undefined;
    this.#taken.add(node);
    const count = inEpilogue(stages);
    const own = this.#take(stages.slice(0, count), node.out);
    const joins = count === stages.length;
    if (joins) this.#taken.add(add);
    const common = {
      kind: "linear",
      role: value.sites[0]?.kind === "attn_out" ? "attn.out" : "mlp.down",
      layer: this.#layer,
      input: node.input,
      variant: 0,
      stages: new Map([["out", own.uses]]),
      parts: [part(node)],
    } as const;
    if (!joins) return { ...common, taps: new Map(), epilogue: { kind: "store" }, out: own.value };
    return {
      ...common,
      ...this.#sourceOf(value),
      taps: taps([
        ["out", value, "attn_out"],
        ["out", value, "mlp_out"],
      ]),
      epilogue: { kind: "residual" },
      residual: add.left,
      out: add.out,
    };
  }

  #stored(node: NodeOf<"linear">): FusedLinear {
    this.#taken.add(node);
    const isHead = node.out.rows === "outs";
    return {
      kind: "linear",
      role: isHead ? "lm_head" : "linear",
      layer: isHead ? undefined : this.#layer,
      taps: new Map(),
      input: node.input,
      variant: node.reads?.[0] ?? 0,
      stages: new Map(),
      parts: [part(node)],
      epilogue: { kind: "store" },
      out: node.out,
    };
  }

  #linearBehind(value: Value): { linear: NodeOf<"linear">; rope: NodeOf<"rope"> | undefined } | undefined {
    const maker = this.#flow.makerOf(value);
    const rope = maker?.op === "rope" ? maker : undefined;
    const linear = rope ? this.#flow.makerOf(rope.input) : maker;
    return linear?.op === "linear" ? { linear, rope } : undefined;
  }

  /** The stages that follow a value, as part of the operation that makes it. */
  #stagesOf(value: Value): { readonly uses: readonly StageUse[]; readonly value: Value } {
    return this.#take(this.#flow.stagesAfter(value).stages, value);
  }

  /** Makes stages part of the operation that carries them; `value` is what there is without any. */
  #take(stages: readonly StageNode[], value: Value): { readonly uses: readonly StageUse[]; readonly value: Value } {
    for (const stage of stages) this.#taken.add(stage);
    return { uses: stages.map(({ use }) => use), value: stages.at(-1)?.out ?? value };
  }

  /** The place of a value among the sources of the edge mask, if it is one. */
  #sourceOf(value: Value): { readonly source?: number } {
    const node = this.#flow.sourceOf(value);
    if (!node) return {};
    this.#taken.add(node);
    return { source: node.source };
  }
}

function part(node: NodeOf<"linear">): LinearPart {
  return { weight: node.weight, ...(node.bias && { bias: node.bias }) };
}

function rowStage({ form, use, tracked }: StageNode): RowStage {
  return { form, use, tracked };
}

/** The block that a value belongs to; the stream's sites do not say, since they name the blocks on both sides. */
function layerIn({ sites }: Value): number | undefined {
  return sites.find((site) => !isStream(site))?.layer ?? undefined;
}

/** Of `[tap, value, kind]`, those whose value is a site of that kind. */
function taps(
  candidates: readonly (readonly [tap: string | undefined, value: Value | undefined, kind: SiteKind | undefined])[],
): Map<string, TappedSite> {
  const found = new Map<string, TappedSite>();
  for (const [tap, value, kind] of candidates) {
    const site = value?.sites.find((each) => each.kind === kind);
    if (tap !== undefined && value && site) found.set(tap, { site, width: value.width });
  }
  return found;
}
