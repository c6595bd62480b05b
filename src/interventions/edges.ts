/**
 * The edges of a model's computational graph (Circuit Breaking, arXiv 2309.05973): every block reads what all earlier
 * blocks wrote. Names and canonical order of sources and destinations, and which destination sees which source.
 */
import type { ModelConfig } from "../model-config.ts";
import type { Destinations } from "./stage.ts";

/** The part of a model's configuration that decides its edges. */
export type EdgeShape = Pick<ModelConfig, "num_hidden_layers" | "num_attention_heads" | "num_key_value_heads">;

export type Source =
  | { readonly kind: "embed" }
  | { readonly kind: "head"; readonly layer: number; readonly head: number }
  | { readonly kind: "mlp"; readonly layer: number };

export type Destination =
  /** The input that a head's query, key and value share (`heads`). */
  | { readonly kind: "head"; readonly layer: number; readonly head: number }
  /** The input of one query head, key group or value group (`qkv_groups`). */
  | { readonly kind: "q" | "k" | "v"; readonly layer: number; readonly head: number }
  | { readonly kind: "mlp"; readonly layer: number }
  | { readonly kind: "logits" };

/** Sources in canonical order: `embed`, then of each layer its heads and its MLP. */
export function listSources(shape: EdgeShape): readonly Source[] {
  const sources: Source[] = [{ kind: "embed" }];
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    for (let head = 0; head < shape.num_attention_heads; head++) sources.push({ kind: "head", layer, head });
    sources.push({ kind: "mlp", layer });
  }
  return sources;
}

/** Destinations in canonical order: of each layer its attention inputs and its MLP, then `logits`. */
export function listDestinations(shape: EdgeShape, destinations: Destinations): readonly Destination[] {
  const { num_attention_heads: H, num_key_value_heads: G } = shape;
  const list: Destination[] = [];
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    if (destinations === "heads") {
      for (let head = 0; head < H; head++) list.push({ kind: "head", layer, head });
    } else {
      for (let head = 0; head < H; head++) list.push({ kind: "q", layer, head });
      for (let head = 0; head < G; head++) list.push({ kind: "k", layer, head });
      for (let head = 0; head < G; head++) list.push({ kind: "v", layer, head });
    }
    list.push({ kind: "mlp", layer });
  }
  list.push({ kind: "logits" });
  return list;
}

/** How many sources a destination sees: always the first ones in canonical order. */
export function visibleSources(shape: EdgeShape, destination: Destination): number {
  const { num_hidden_layers: layers, num_attention_heads: H } = shape;
  switch (destination.kind) {
    case "logits":
      return 1 + layers * (H + 1);
    case "mlp":
      return 1 + destination.layer * (H + 1) + H;
    default:
      return 1 + destination.layer * (H + 1);
  }
}

/** Canonical index of a source: its place in {@link listSources}. */
export function sourceIndex({ num_attention_heads: H }: EdgeShape, source: Source): number {
  if (source.kind === "embed") return 0;
  return 1 + source.layer * (H + 1) + (source.kind === "head" ? source.head : H);
}

/** Number of edges: 11,611 for GPT-2 small by heads. */
export function countEdges(shape: EdgeShape, destinations: Destinations): number {
  return listDestinations(shape, destinations).reduce(
    (sum, destination) => sum + visibleSources(shape, destination),
    0,
  );
}

/** `embed`, `blocks.3.head.1`, `blocks.3.mlp`. */
export function sourceName(source: Source): string {
  if (source.kind === "embed") return "embed";
  return source.kind === "mlp" ? `blocks.${source.layer}.mlp` : `blocks.${source.layer}.head.${source.head}`;
}

/** `blocks.3.head.1`, `blocks.3.q.1`, `blocks.3.mlp`, `logits`. */
export function destinationName(destination: Destination): string {
  if (destination.kind === "logits") return "logits";
  if (destination.kind === "mlp") return `blocks.${destination.layer}.mlp`;
  return `blocks.${destination.layer}.${destination.kind}.${destination.head}`;
}
