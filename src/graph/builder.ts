/** Methods for writing model graphs: each method adds a node and returns its value. */
import type { ActivationName, ModelConfig } from "../model-config.ts";
import type { Graph, MatrixRef, Node, Value, VectorRef } from "./graph.ts";
import type { Site } from "./site.ts";

export class GraphBuilder {
  readonly #nodes: Node[] = [];
  #values = 0;

  embed(tokens: MatrixRef, positions: MatrixRef | undefined, sites: readonly Site[]): Value {
    const out = this.#value(tokens.inputs, sites);
    this.#nodes.push({ op: "embed", out, tokens, ...(positions && { positions }) });
    return out;
  }

  norm(
    kind: "layer" | "rms",
    input: Value,
    parameters: { gain: VectorRef; bias?: VectorRef; eps: number },
    site: Site,
  ): Value {
    const out = this.#value(input.width, [site], input.rows);
    this.#nodes.push({ op: "norm", kind, input, out, ...parameters });
    return out;
  }

  linear(input: Value, weight: MatrixRef, bias: VectorRef | undefined, site?: Site): Value {
    const out = this.#value(weight.outputs, site ? [site] : [], input.rows);
    this.#nodes.push({ op: "linear", input, out, weight, ...(bias && { bias }) });
    return out;
  }

  rope(input: Value, head_dim: number, rotary: number): Value {
    const out = this.#value(input.width, []);
    this.#nodes.push({ op: "rope", input, out, head_dim, rotary });
    return out;
  }

  cache(layer: number, keys: Value, values: Value): void {
    this.#nodes.push({ op: "cache", layer, keys, values });
  }

  attention(layer: number, queries: Value, scale: number, window: number): Value {
    const out = this.#value(queries.width, [{ kind: "attn_z", layer }]);
    this.#nodes.push({ op: "attention", layer, queries, out, scale, window, pattern: { kind: "attn_pattern", layer } });
    return out;
  }

  activation(kind: ActivationName, input: Value, site?: Site): Value {
    const out = this.#value(input.width, site ? [site] : []);
    this.#nodes.push({ op: "activation", kind, input, out });
    return out;
  }

  multiply(left: Value, right: Value, site: Site): Value {
    const out = this.#value(left.width, [site]);
    this.#nodes.push({ op: "multiply", left, right, out });
    return out;
  }

  add(left: Value, right: Value, sites: readonly Site[]): Value {
    const out = this.#value(left.width, sites);
    this.#nodes.push({ op: "add", left, right, out });
    return out;
  }

  selectOuts(input: Value): Value {
    const out = this.#value(input.width, [], "outs");
    this.#nodes.push({ op: "select_outs", input, out });
    return out;
  }

  finish(config: ModelConfig, logits: Value): Graph {
    return { config, nodes: this.#nodes, logits };
  }

  #value(width: number, sites: readonly Site[], rows: Value["rows"] = "rows"): Value {
    return { id: this.#values++, width, rows, sites };
  }
}

/** The sites of the stream after the embedding. */
export const embedSites: readonly Site[] = [
  { kind: "embed", layer: null },
  { kind: "resid_pre", layer: 0 },
];

/** The sites of the stream after block `layer`: its end and, except after the last block, the next one's beginning. */
export function residPostSites(layer: number, layers: number): readonly Site[] {
  const end: Site = { kind: "resid_post", layer };
  return layer + 1 < layers ? [end, { kind: "resid_pre", layer: layer + 1 }] : [end];
}
