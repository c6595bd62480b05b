/** Methods for writing model graphs: each method adds a node and returns its value. */
import type { ActivationName, ModelConfig } from "../model-config.ts";
import { type Graph, inputsOf, type MatrixRef, type NewNode, type Node, type Value, type VectorRef } from "./graph.ts";
import type { Site } from "./site.ts";

export class GraphBuilder {
  readonly #nodes: Node[] = [];
  #values = 0;

  /** A node of any kind that makes as wide a value, of as many rows, as the first that it reads. */
  node(fields: NewNode, sites: readonly Site[] = []): Value {
    const [input] = inputsOf(fields);
    if (!input) throw new Error(`A node of kind ${fields.op} reads no value whose shape its own could have`);
    return this.#make(fields, this.#value(input.width, sites, input.rows));
  }

  embed(tokens: MatrixRef, positions: MatrixRef | undefined, sites: readonly Site[]): Value {
    return this.#make({ op: "embed", tokens, ...(positions && { positions }) }, this.#value(tokens.inputs, sites));
  }

  norm(
    kind: "layer" | "rms",
    input: Value,
    parameters: { gain: VectorRef; bias?: VectorRef; eps: number },
    site?: Site,
  ): Value {
    return this.node({ op: "norm", kind, input, ...parameters }, site && [site]);
  }

  linear(input: Value, weight: MatrixRef, bias: VectorRef | undefined, site?: Site): Value {
    const out = this.#value(weight.outputs, site ? [site] : [], input.rows);
    return this.#make({ op: "linear", input, weight, ...(bias && { bias }) }, out);
  }

  rope(input: Value, head_dim: number, rotary: number): Value {
    return this.node({ op: "rope", input, head_dim, rotary });
  }

  cache(layer: number, keys: Value, values: Value): void {
    this.#nodes.push({ op: "cache", layer, keys, values });
  }

  attention(layer: number, queries: Value, scale: number, window: number): Value {
    const pattern: Site = { kind: "attn_pattern", layer };
    return this.node({ op: "attention", layer, queries, scale, window, pattern }, [{ kind: "attn_z", layer }]);
  }

  activation(kind: ActivationName, input: Value, site?: Site): Value {
    return this.node({ op: "activation", kind, input }, site && [site]);
  }

  multiply(left: Value, right: Value, site?: Site): Value {
    return this.node({ op: "multiply", left, right }, site && [site]);
  }

  add(left: Value, right: Value, sites?: readonly Site[]): Value {
    return this.node({ op: "add", left, right }, sites);
  }

  selectOuts(input: Value): Value {
    return this.#make({ op: "select_outs", input }, this.#value(input.width, [], "outs"));
  }

  finish(config: ModelConfig, logits: Value): Graph {
    return { config, nodes: this.#nodes, logits };
  }

  #make(fields: NewNode, out: Value): Value {
    this.#nodes.push({ ...fields, out } as Node);
    return out;
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
