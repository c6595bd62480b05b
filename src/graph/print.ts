/** A graph as text: one line per node, values named by their sites. */
import type { Graph, MatrixRef, Node, Value, VectorRef } from "./graph.ts";
import { siteName } from "./site.ts";

export function printGraph(graph: Graph): string {
  return graph.nodes.map(printNode).join("\n");
}

function printNode(node: Node): string {
  switch (node.op) {
    case "embed":
      return line(node.out, `embed(${matrix(node.tokens)}${node.positions ? `, ${matrix(node.positions)}` : ""})`);
    case "norm":
      return line(
        node.out,
        `${node.kind}_norm(${name(node.input)}, ${vector(node.gain)}${bias(node.bias)}, eps=${node.eps})`,
      );
    case "linear":
      return line(
        node.out,
        `linear(${name(node.input)}${node.reads ? ` variants ${node.reads.join(" ")}` : ""}, ${matrix(node.weight)}${bias(node.bias)})`,
      );
    case "rope":
      return line(
        node.out,
        `rope(${name(node.input)}, head_dim=${node.head_dim}${node.rotary < node.head_dim ? `, rotary=${node.rotary}` : ""})`,
      );
    case "cache":
      return `  kv_cache.${node.layer} ← ${name(node.keys)}, ${name(node.values)}`;
    case "attention": {
      const window = node.window > 0 ? `, window=${node.window}` : "";
      return line(
        node.out,
        `attention(${name(node.queries)}, kv_cache.${node.layer}, scale=${node.scale.toPrecision(6)}${window})`,
      );
    }
    case "activation":
      return line(node.out, `${node.kind}(${name(node.input)})`);
    case "multiply":
      return line(node.out, `${name(node.left)} · ${name(node.right)}`);
    case "add":
      return line(node.out, `${name(node.left)} + ${name(node.right)}`);
    case "stage":
      return line(node.out, `${node.use.kind}(${name(node.input)}, stage ${node.use.id})`);
    case "source":
      return `  source.${node.source} ← ${name(node.input)}`;
    case "head_sources": {
      const heads = node.heads.map(({ head, source }) => `source.${source} ← head ${head}`).join(", ");
      return `  ${heads} of ${name(node.input)} · ${matrix(node.weight)}${bias(node.bias)}`;
    }
    case "edge_mix": {
      const variants = node.variants.map(
        ({ name: destination, form, terms }) => `${destination} ${form} ${terms.length}`,
      );
      return line(node.out, `edge_mix(${name(node.input)}; ${variants.join(", ")})`);
    }
    case "select_outs":
      return line(node.out, `rows of ${name(node.input)} whose logits are wanted`);
  }
}

function line(out: Value, text: string): string {
  const variants = out.variants === undefined ? "" : `${out.variants} × `;
  return `  ${name(out)} [${variants}${out.rows}, ${out.width}] = ${text}`;
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
