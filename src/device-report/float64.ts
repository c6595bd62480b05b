/** A model's graph in float64 on the CPU: plain loops over whole texts, without a cache, fusion or kernels. */
import { ropeTable } from "../architectures/rope.ts";
import type { Graph, MatrixRef, NodeOf, Value, VectorRef } from "../graph/graph.ts";
import { siteName } from "../graph/site.ts";
import type { ActivationName } from "../model-config.ts";

/** A row per token. */
export type Rows = readonly Float64Array[];

/** Values of tensors by name, as they are stored. */
export type Tensors = ReadonlyMap<string, ArrayLike<number>>;

export interface Float64Run {
  /** `[T][vocab]` */
  readonly logits: Rows;
  /** Rows by site, after its edit. */
  readonly sites: ReadonlyMap<string, Rows>;
}

/** @param edit what an intervention makes of a site's rows; default: nothing */
export function runInFloat64(
  graph: Graph,
  tensors: Tensors,
  tokens: readonly number[],
  edit: (site: string, rows: Rows) => Rows = (_, rows) => rows,
): Float64Run {
  const values = new Map<number, Rows>();
  const sites = new Map<string, Rows>();
  const caches = new Map<number, NodeOf<"cache">>();
  const of = (value: Value): Rows => values.get(value.id) as Rows;
  const make = (out: Value, made: Rows): void => {
    let rows = made;
    for (const site of out.sites.map(siteName)) {
      rows = edit(site, rows);
      sites.set(site, rows);
    }
    values.set(out.id, rows);
  };
  for (const node of graph.nodes) {
    switch (node.op) {
      case "embed": {
        const { tokens: table, positions } = node;
        const rows = tokens.map((token, t) => {
          const row = matrixRow(tensors, table, token);
          return positions ? plus(row, matrixRow(tensors, positions, t)) : row;
        });
        make(node.out, rows);
        break;
      }
      case "norm":
        make(
          node.out,
          of(node.input).map((row) => normed(node, tensors, row)),
        );
        break;
      case "linear":
        make(node.out, project(tensors, node.weight, node.bias, of(node.input)));
        break;
      case "rope":
        make(node.out, rotated(graph, node, of(node.input)));
        break;
      case "cache":
        caches.set(node.layer, node);
        break;
      case "attention": {
        const { keys, values: kept } = caches.get(node.layer) as NodeOf<"cache">;
        make(node.out, attended(graph, node, of(node.queries), of(keys), of(kept)));
        break;
      }
      case "activation":
        make(
          node.out,
          of(node.input).map((row) => row.map((x) => activated(node.kind, x))),
        );
        break;
      case "multiply":
        make(
          node.out,
          of(node.left).map((row, t) => row.map((x, i) => x * (of(node.right)[t]?.[i] as number))),
        );
        break;
      case "add":
        make(
          node.out,
          of(node.left).map((row, t) => plus(row, of(node.right)[t] as Float64Array)),
        );
        break;
      case "select_outs":
        make(node.out, of(node.input));
        break;
      default:
        throw new Error(`The reference has no ${node.op}`);
    }
  }
  return { logits: of(graph.logits), sites };
}

/** Row `index` of a table of `inputs` numbers per row. */
function matrixRow(tensors: Tensors, { tensor, inputs, first }: MatrixRef, index: number): Float64Array {
  const stored = tensors.get(tensor) as ArrayLike<number>;
  return Float64Array.from({ length: inputs }, (_, i) => stored[(first + index) * inputs + i] as number);
}

function vectorOf(tensors: Tensors, { tensor, first, length }: VectorRef): Float64Array {
  const stored = tensors.get(tensor) as ArrayLike<number>;
  return Float64Array.from({ length }, (_, i) => stored[first + i] as number);
}

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((x, i) => x + (b[i] as number));
}

function normed({ kind, gain, bias, eps }: NodeOf<"norm">, tensors: Tensors, row: Float64Array): Float64Array {
  const mean = kind === "layer" ? row.reduce((sum, x) => sum + x, 0) / row.length : 0;
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
  const gains = vectorOf(tensors, gain);
  const biases = bias && vectorOf(tensors, bias);
  return row.map((x, i) => ((x - mean) / Math.sqrt(variance + eps)) * (gains[i] as number) + (biases?.[i] ?? 0));
}

function project(tensors: Tensors, weight: MatrixRef, bias: VectorRef | undefined, rows: Rows): Rows {
  const { tensor, transposed, first, outputs, inputs, tensorOutputs } = weight;
  const stored = tensors.get(tensor) as ArrayLike<number>;
  const biases = bias && vectorOf(tensors, bias);
  return rows.map((row) =>
    Float64Array.from({ length: outputs }, (_, j) => {
      let sum = biases?.[j] ?? 0;
      for (let i = 0; i < inputs; i++) {
        const at = transposed ? i * tensorOutputs + first + j : (first + j) * inputs + i;
        sum += (stored[at] as number) * (row[i] as number);
      }
      return sum;
    }),
  );
}

/** Pairs (i, i + rotary/2) of each head turn by the row's position. */
function rotated({ config }: Graph, { head_dim, rotary }: NodeOf<"rope">, rows: Rows): Rows {
  if (!config.rope) throw new Error("A model that rotates has no angles");
  const table = ropeTable(config.rope, head_dim, rows.length);
  const half = rotary / 2;
  return rows.map((row, t) => {
    const turned = row.slice();
    for (let head = 0; head < row.length; head += head_dim) {
      for (let i = 0; i < half; i++) {
        const [cos, sin] = [table[t * head_dim + 2 * i] as number, table[t * head_dim + 2 * i + 1] as number];
        const [a, b] = [row[head + i] as number, row[head + half + i] as number];
        turned[head + i] = a * cos - b * sin;
        turned[head + half + i] = b * cos + a * sin;
      }
    }
    return turned;
  });
}

function attended({ config }: Graph, node: NodeOf<"attention">, queries: Rows, keys: Rows, kept: Rows): Rows {
  const { num_attention_heads: heads, num_key_value_heads: groups, head_dim } = config;
  const { scale, window } = node;
  return queries.map((query, t) => {
    const out = new Float64Array(heads * head_dim);
    for (let head = 0; head < heads; head++) {
      const [q, k] = [head * head_dim, Math.floor(head / (heads / groups)) * head_dim];
      const from = window > 0 ? Math.max(0, t - window + 1) : 0;
      const scores = keys.slice(from, t + 1).map((key) => {
        let sum = 0;
        for (let i = 0; i < head_dim; i++) sum += (query[q + i] as number) * (key[k + i] as number);
        return sum * scale;
      });
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      weights.forEach((weight, at) => {
        const value = kept[from + at] as Float64Array;
        for (let i = 0; i < head_dim; i++)
          out[q + i] = (out[q + i] as number) + (weight / total) * (value[k + i] as number);
      });
    }
    return out;
  });
}

function activated(kind: ActivationName, x: number): number {
  switch (kind) {
    case "relu":
      return Math.max(x, 0);
    case "silu":
      return x / (1 + Math.exp(-x));
    case "gelu_quick":
      return x / (1 + Math.exp(-1.702 * x));
    case "gelu_new":
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case "gelu":
      throw new Error("The reference has no exact GELU");
  }
}
