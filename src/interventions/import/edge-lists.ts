/** Circuits as lists of edges: Edge-Pruning's pairs of names, and ACDC's tuples of TransformerLens' hooks. */
import { textIn } from "../../show.ts";
import { type ForeignKind, type Given, unfit } from "./foreign-kind.ts";
import { type HeadInput, KeptEdges } from "./kept-edges.ts";

/** A list of the file, JSON or a pickle. */
function listIn({ files }: Given): readonly unknown[] | null {
  const [file] = files;
  const list = file?.json ?? file?.value;
  return files.length === 1 && Array.isArray(list) && list.length > 0 ? list : null;
}

export const edgePruning: ForeignKind = {
  name: "Edge-Pruning",
  takes: [],
  matches(given) {
    const first = listIn(given)?.[0];
    return Array.isArray(first) && first.length === 2 && first.every((end) => typeof end === "string");
  },
  read(given) {
    const edges = new KeptEdges(given);
    listIn(given)?.forEach((edge, index) => {
      const where = `edge ${index}`;
      const [from, to] = Array.isArray(edge) ? (edge as readonly unknown[]) : [];
      const writer = /^(?:(tok_embeds|pos_embeds|embeds)|a(\d+)\.h(\d+)|m(\d+))$/.exec(textIn(from));
      const reader = /^(?:(resid_post)|m(\d+)|a(\d+)\.h(\d+)\.([qkv]))$/.exec(textIn(to));
      if (!writer || !reader) throw unfit(given, where, "is not named as Edge-Pruning does");
      const source = writer[1]
        ? "embed"
        : writer[4] === undefined
          ? `blocks.${writer[2]}.head.${writer[3]}`
          : `blocks.${writer[4]}.mlp`;
      const mlp = reader[2];
      const attention = (): string => edges.input(Number(reader[3]), Number(reader[4]), reader[5] as HeadInput);
      edges.keep(source, reader[1] ? "logits" : mlp === undefined ? attention() : `blocks.${mlp}.mlp`, where);
    });
    // Their GPT-2 gives each head its share of the bias; Llama's projections have none.
    return edges.stage("per_head");
  },
};

export const acdc: ForeignKind = {
  name: "ACDC",
  takes: [],
  matches(given) {
    const first = listIn(given)?.[0];
    return Array.isArray(first) && Array.isArray(first[0]) && first[0].length === 4 && typeof first[0][0] === "string";
  },
  read(given) {
    const edges = new KeptEdges(given);
    listIn(given)?.forEach((entry, index) => {
      const where = `edge ${index}`;
      const [tuple, effect] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
      const [to, toIndex, from, fromIndex] = Array.isArray(tuple) ? (tuple as readonly unknown[]) : [];
      const [receiver, sender] = [textIn(to), textIn(from)];
      // Inside a head, from its inputs to its output, ACDC has edges that are always there.
      if (/\.attn\.hook_[qkv]$/.test(receiver) || /\.attn\.hook_(?:[qkv]|result)$/.test(receiver)) return;
      const source = sourceOf(sender, headIn(fromIndex));
      const destination = destinationOf(given, edges, receiver, headIn(toIndex));
      if (source === null || destination === null) throw unfit(given, where, "does not join hooks as ACDC does");
      // A list of results says of each edge whether it is there; a list of effects has those that are.
      if (effect !== false) edges.keep(source, destination, where);
    });
    return edges.stage("separate");
  },
};

/** The head in an index such as [null, null, 4]. */
function headIn(index: unknown): number {
  const last: unknown = Array.isArray(index) ? index.at(-1) : undefined;
  return typeof last === "number" ? last : -1;
}

function sourceOf(hook: string, head: number): string | null {
  if (/^(?:blocks\.0\.hook_resid_pre|hook_embed|hook_pos_embed)$/.test(hook)) return "embed";
  const [, layer, kind] = /^blocks\.(\d+)\.(?:attn\.)?hook_(result|mlp_out)$/.exec(hook) ?? [];
  if (layer === undefined) return null;
  return kind === "mlp_out" ? `blocks.${layer}.mlp` : `blocks.${layer}.head.${head}`;
}

function destinationOf(given: Given, edges: KeptEdges, hook: string, head: number): string | null {
  const last = given.config.num_hidden_layers - 1;
  if (hook === `blocks.${last}.hook_resid_post`) return "logits";
  const [, layer, kind, input] = /^blocks\.(\d+)\.hook_(mlp_in|([qkv])_input)$/.exec(hook) ?? [];
  if (layer === undefined) return null;
  return kind === "mlp_in" ? `blocks.${layer}.mlp` : edges.input(Number(layer), head, input as HeadInput);
}
