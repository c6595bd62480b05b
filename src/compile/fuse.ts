/**
 * Fusion: joins the fine nodes of a graph into the operations that kernels implement. A pure function; the
 * result is a list in execution order, one entry per dispatch.
 *
 * It follows values from a linear node to their only reader: a residual add, an activation, a gated product or
 * the attention inputs become the epilogue of the matmul that feeds them. Whatever stays unfused is refused
 * loudly rather than run by some slow path nobody would notice.
 */
import { SluiceError } from "../errors.ts";
import { type Graph, inputsOf, type Node, outputOf, type Value } from "../graph/graph.ts";
import type { FusedLinear, FusedOp, LinearPart, TappedSite } from "./fused.ts";

type NodeOf<Op extends Node["op"]> = Extract<Node, { op: Op }>;

export function fuse(graph: Graph): readonly FusedOp[] {
  return new Fuser(graph).run();
}

class Fuser {
  readonly #graph: Graph;
  readonly #readers = new Map<number, Node[]>();
  readonly #maker = new Map<number, Node>();
  /** Nodes that are part of an operation already emitted or about to be. */
  readonly #taken = new Set<Node>();
  #layer: number | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
    for (const node of graph.nodes) {
      for (const input of inputsOf(node)) {
        const readers = this.#readers.get(input.id);
        if (readers) readers.push(node);
        else this.#readers.set(input.id, [node]);
      }
      const out = outputOf(node);
      if (out) this.#maker.set(out.id, node);
    }
  }

  run(): readonly FusedOp[] {
    const ops: FusedOp[] = [];
    for (const node of this.#graph.nodes) {
      if (this.#taken.has(node)) continue;
      this.#layer = layerOf(node) ?? (node.op === "select_outs" ? undefined : this.#layer);
      const op = this.#fuseFrom(node);
      if (op) ops.push(op);
    }
    for (const node of this.#graph.nodes) {
      if (!this.#taken.has(node))
        throw new SluiceError("gpu", `No kernel serves a ${node.op} node that stands alone in the graph`);
    }
    return ops;
  }

  /** The operation that begins with this node, or nothing when a later node will begin it. */
  #fuseFrom(node: Node): FusedOp | undefined {
    switch (node.op) {
      case "embed":
        this.#taken.add(node);
        return {
          kind: "embed",
          label: "embed",
          layer: undefined,
          taps: taps([["embed", node.out, "embed"]]),
          tokens: node.tokens,
          positions: node.positions,
          out: node.out,
        };
      case "norm":
        return this.#norm(node);
      case "linear":
        return this.#linear(node);
      case "attention":
        this.#taken.add(node);
        return {
          kind: "attention",
          label: this.#label("attn.core"),
          layer: this.#layer,
          taps: taps([["z", node.out, "attn_z"]]),
          queries: node.queries,
          out: node.out,
          scale: node.scale,
          window: node.window,
          pattern: node.pattern,
        };
      default:
        return undefined;
    }
  }

  #norm(node: NodeOf<"norm">): FusedOp {
    this.#taken.add(node);
    const maker = this.#maker.get(node.input.id);
    const select = maker?.op === "select_outs" ? maker : undefined;
    if (select) this.#taken.add(select);
    const input = select ? select.input : node.input;
    const name = node.out.sites[0]?.startsWith("mlp_norm") ? "mlp.norm" : "attn.norm";
    return {
      kind: "norm",
      label: select ? "final_norm" : this.#label(name),
      layer: select ? undefined : this.#layer,
      taps: taps([
        ["resid_post", input, "resid_post"],
        ["resid_pre", input, "resid_pre"],
        ["resid_pre", input, "resid_mid"],
        ["out", node.out, ""],
      ]),
      norm: node.kind,
      input,
      out: node.out,
      selectsOuts: select !== undefined,
      gain: node.gain,
      bias: node.bias,
      eps: node.eps,
    };
  }

  #linear(node: NodeOf<"linear">): FusedOp {
    return this.#qkv(node) ?? this.#gated(node) ?? this.#activated(node) ?? this.#residual(node) ?? this.#stored(node);
  }

  /** Three linears of one input whose results are a layer's queries, keys and values. */
  #qkv(first: NodeOf<"linear">): FusedLinear | undefined {
    const direct = this.#onlyReader(first.out);
    const attention = direct?.op === "rope" ? this.#onlyReader(direct.out) : direct;
    if (attention?.op !== "attention") return undefined;
    const cache = this.#graph.nodes.find((node) => node.op === "cache" && node.layer === attention.layer);
    if (cache?.op !== "cache") return undefined;

    const q = this.#linearBehind(attention.queries);
    const k = this.#linearBehind(cache.keys);
    const v = this.#linearBehind(cache.values);
    if (!q || !k || !v || k.linear.input !== q.linear.input || v.linear.input !== q.linear.input) return undefined;
    if ((q.rope === undefined) !== (k.rope === undefined) || v.rope) return undefined;
    for (const node of [q.linear, q.rope, k.linear, k.rope, v.linear, cache]) if (node) this.#taken.add(node);
    return {
      kind: "linear",
      label: this.#label("attn.qkv"),
      layer: this.#layer,
      taps: taps([
        ["q", q.linear.out, "attn_q"],
        ["k", k.linear.out, "attn_k"],
        ["v", v.linear.out, "attn_v"],
      ]),
      input: q.linear.input,
      epilogue: {
        kind: "qkv",
        q: part(q.linear),
        k: part(k.linear),
        v: part(v.linear),
        rope: q.rope !== undefined,
        head_dim: this.#graph.config.head_dim,
        out: attention.queries,
      },
    };
  }

  /** activation(gate) · up, from two linears of one input. */
  #gated(first: NodeOf<"linear">): FusedLinear | undefined {
    const activation = this.#onlyReader(first.out);
    if (activation?.op !== "activation") return undefined;
    const product = this.#onlyReader(activation.out);
    if (product?.op !== "multiply" || product.left !== activation.out) return undefined;
    const up = this.#maker.get(product.right.id);
    if (up?.op !== "linear" || up.input !== first.input) return undefined;
    for (const node of [first, activation, product, up]) this.#taken.add(node);
    return {
      kind: "linear",
      label: this.#label("mlp.gate_up"),
      layer: this.#layer,
      taps: taps([
        ["gate", first.out, "gate_pre"],
        ["up", up.out, "up"],
        ["post", product.out, "mlp_post"],
      ]),
      input: first.input,
      epilogue: { kind: "gated", gate: part(first), up: part(up), activation: activation.kind, out: product.out },
    };
  }

  #activated(node: NodeOf<"linear">): FusedLinear | undefined {
    const activation = this.#onlyReader(node.out);
    if (activation?.op !== "activation") return undefined;
    this.#taken.add(node).add(activation);
    return {
      kind: "linear",
      label: this.#label("mlp.up"),
      layer: this.#layer,
      taps: taps([
        ["pre", node.out, "mlp_pre"],
        ["post", activation.out, "mlp_post"],
      ]),
      input: node.input,
      epilogue: { kind: "activation", part: part(node), activation: activation.kind, out: activation.out },
    };
  }

  #residual(node: NodeOf<"linear">): FusedLinear | undefined {
    const add = this.#onlyReader(node.out);
    if (add?.op !== "add" || add.right !== node.out) return undefined;
    this.#taken.add(node).add(add);
    const name = node.out.sites[0]?.startsWith("attn_out") ? "attn.out" : "mlp.down";
    return {
      kind: "linear",
      label: this.#label(name),
      layer: this.#layer,
      taps: taps([
        ["out", node.out, "attn_out"],
        ["out", node.out, "mlp_out"],
      ]),
      input: node.input,
      epilogue: { kind: "residual", part: part(node), residual: add.left, out: add.out },
    };
  }

  #stored(node: NodeOf<"linear">): FusedLinear {
    this.#taken.add(node);
    return {
      kind: "linear",
      label: node.out === this.#graph.logits ? "lm_head" : this.#label("linear"),
      layer: node.out === this.#graph.logits ? undefined : this.#layer,
      taps: new Map(),
      input: node.input,
      epilogue: { kind: "store", part: part(node), out: node.out },
    };
  }

  #linearBehind(value: Value): { linear: NodeOf<"linear">; rope: NodeOf<"rope"> | undefined } | undefined {
    const maker = this.#maker.get(value.id);
    const rope = maker?.op === "rope" ? maker : undefined;
    const linear = rope ? this.#maker.get(rope.input.id) : maker;
    return linear?.op === "linear" ? { linear, rope } : undefined;
  }

  #onlyReader(value: Value): Node | undefined {
    const readers = this.#readers.get(value.id);
    return readers?.length === 1 ? readers[0] : undefined;
  }

  #label(name: string): string {
    return this.#layer === undefined ? name : `blocks.${this.#layer}.${name}`;
  }
}

function part(node: NodeOf<"linear">): LinearPart {
  return { weight: node.weight, out: node.out, ...(node.bias && { bias: node.bias }) };
}

/** The block a node belongs to, read off the site names of its output. */
function layerOf(node: Node): number | undefined {
  const site = outputOf(node)?.sites.find((name) => !name.startsWith("resid_"));
  const layer = site?.split(".")[1];
  return layer === undefined ? undefined : Number(layer);
}

/** Of `[tap, value, site kind]`, those whose value carries a site of that kind (any site, for an empty kind). */
function taps(candidates: readonly (readonly [tap: string, value: Value, kind: string])[]): Map<string, TappedSite> {
  const found = new Map<string, TappedSite>();
  for (const [tap, value, kind] of candidates) {
    const site = value.sites.find((name) => kind === "" || name === kind || name.startsWith(`${kind}.`));
    if (site !== undefined) found.set(tap, { site, width: value.width });
  }
  return found;
}
