/** A graph as text: one line per node, values named by their sites. */
import {
  type Graph,
  inputsOf,
  type MatrixRef,
  type Node,
  outputOf,
  type Value,
  type VectorRef,
  weightsOf,
} from "./graph.ts";
import { siteName } from "./site.ts";

export function printGraph(graph: Graph): string {
  return graph.nodes.map(printNode).join("\n");
}

function printNode(node: Node): string {
  const out = outputOf(node);
  const formula = formulaOf(node);
  if (!out) return `  ${formula}`;
  const variants = out.variants === undefined ? "" : `${out.variants} × `;
  return `  ${name(out)} [${variants}${out.rows}, ${out.width}] = ${formula}`;
}

/** An operation in its own notation; the others as `name(inputs, weights, constant=…)`. */
function formulaOf(node: Node): string {
  switch (node.op) {
    case "norm":
      return `${node.kind}_norm(${name(node.input)}, ${vector(node.gain)}${bias(node.bias)}, eps=${node.eps})`;
    case "linear": {
      const variants = node.reads ? ` variants ${node.reads.join(" ")}` : "";
      return `linear(${name(node.input)}${variants}, ${matrix(node.weight)}${bias(node.bias)})`;
    }
    case "rope": {
      const part = node.rotary < node.head_dim ? `, rotary=${node.rotary}` : "";
      return `rope(${name(node.input)}, head_dim=${node.head_dim}${part})`;
    }
    case "cache":
      return `kv_cache.${node.layer} ← ${name(node.keys)}, ${name(node.values)}`;
    case "attention": {
      const window = node.window > 0 ? `, window=${node.window}` : "";
      return `attention(${name(node.queries)}, kv_cache.${node.layer}, scale=${node.scale.toPrecision(6)}${window})`;
    }
    case "activation":
      return `${node.kind}(${name(node.input)})`;
    case "multiply":
      return `${name(node.left)} · ${name(node.right)}`;
    case "add":
      return `${name(node.left)} + ${name(node.right)}`;
    case "stage":
      return `${node.use.kind}(${name(node.input)}, stage ${node.use.id})`;
    case "source":
      return `source.${node.source} ← ${name(node.input)}`;
    case "head_sources": {
      const heads = node.heads.map(({ head, source }) => `source.${source} ← head ${head}`).join(", ");
      return `${heads} of ${name(node.input)} · ${matrix(node.weight)}${bias(node.bias)}`;
    }
    case "edge_mix": {
      const variants = node.variants.map(
        ({ name: destination, form, terms }) => `${destination} ${form} ${terms.length}`,
      );
      return `edge_mix(${name(node.input)}; ${variants.join(", ")})`;
    }
    case "select_outs":
      return `rows of ${name(node.input)} whose logits are wanted`;
    default:
      return `${node.op}(${partsOf(node).join(", ")})`;
  }
}

/** What a node reads, its weights, and its constants. */
function partsOf(node: Node): readonly string[] {
  const { matrices, vectors } = weightsOf(node);
  const constants = Object.entries(node).filter(([, field]) => typeof field === "number");
  return [
    ...inputsOf(node).map(name),
    ...matrices.map(matrix),
    ...vectors.map(vector),
    ...constants.map(([field, value]) => `${field}=${value}`),
  ];
}

/** A value's site names, or its number. */
function name(value: Value): string {
  return value.sites.length > 0 ? value.sites.map(siteName).join(" = ") : `%${value.id}`;
}

function matrix({ tensor, first, outputs, inputs, tensorOutputs }: MatrixRef): string {
  const part = outputs === tensorOutputs ? "" : ` outputs ${first}..${first + outputs - 1}`;
  return `${tensor}${part} [${outputs}, ${inputs}]`;
}

function vector({ tensor, first, length, tensorLength }: VectorRef): string {
  return length === tensorLength ? tensor : `${tensor}[${first}..${first + length - 1}]`;
}

function bias(ref: VectorRef | undefined): string {
  return ref ? `, ${vector(ref)}` : "";
}
