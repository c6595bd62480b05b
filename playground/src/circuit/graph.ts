/**
 * The edges between a model's blocks, as a diagram: what writes to the stream, what reads it, and where each is drawn.
 * Names and canonical order are those of bundles (docs/bundle-format.md, `edge_mask`).
 */
import type { ModelConfig } from "sluice";
import { liftOf } from "./view.ts";

export interface Node {
  readonly name: string;
  readonly kind: "embed" | "head" | "mlp" | "logits" | "input";
  /** −1 for the embedding; the number of layers for the logits. */
  readonly layer: number;
  /** In units of the diagram. */
  readonly x: number;
  readonly y: number;
  /** What is written into it. */
  readonly label: string;
}

export interface Edge {
  readonly source: Node;
  readonly destination: Node;
  readonly name: string;
  /** Place in a mask `[destinations, sources]`. */
  readonly index: number;
}

export interface Graph {
  /** Nodes that are drawn: a head is one, whether it writes or reads. */
  readonly nodes: readonly Node[];
  readonly edges: readonly Edge[];
  readonly layers: number;
  readonly width: number;
  readonly height: number;
  /** `[destinations, sources]` of a mask. */
  readonly shape: readonly [number, number];
  /** How finely attention's inputs are told apart. */
  readonly destinations: "heads" | "qkv_groups";
}

type Shape = Pick<ModelConfig, "num_hidden_layers" | "num_attention_heads" | "num_key_value_heads">;

const COLUMN = 120;
/** Between heads: less if there are many and few layers, so that the diagram keeps a shape that fits a screen. */
const [LEAST_ROW, MOST_ROW] = [34, 72] as const;
/** Height of the blocks to the width of the diagram. */
const ASPECT = 0.34;

export function graphOf({ num_hidden_layers: L, num_attention_heads: H, num_key_value_heads: G }: Shape): Graph {
  const grouped = H !== G;
  const readers = grouped ? H + 2 * G : H;
  const perLayer = grouped ? 3 : 2;
  const columnOf = (layer: number, part: number) => (1 + layer * perLayer + part) * COLUMN;
  const width = columnOf(L, 0) + COLUMN / 2;
  // MLPs have a row of their own below the heads, so that edges that pass them are seen.
  const rows = readers + 2.2;
  const ROW = Math.min(MOST_ROW, Math.max(LEAST_ROW, (ASPECT * width) / rows));
  // Above the blocks pass the longest edges. A cubic curve rises by three quarters of what its control points do.
  const above = 0.75 * liftOf(width);
  const height = above + rows * ROW;
  const middle = above + ((readers + 0.6) * ROW) / 2;
  const floor = above + (readers + 1.4) * ROW;
  const spread = (i: number, count: number) => middle + (i - (count - 1) / 2) * ROW;
  const node = (name: string, kind: Node["kind"], layer: number, x: number, y: number, label: string): Node => {
    return { name, kind, layer, x, y, label };
  };

  const sources: Node[] = [node("embed", "embed", -1, COLUMN / 3, middle, "embed")];
  const destinations: Node[] = [];
  const inputs: Node[] = [];
  for (let layer = 0; layer < L; layer++) {
    const at = `blocks.${layer}`;
    const heads = Array.from({ length: H }, (_, h) =>
      node(`${at}.head.${h}`, "head", layer, columnOf(layer, grouped ? 1 : 0), spread(h, H), String(h)),
    );
    if (grouped) {
      const kinds = [
        ...Array.from({ length: H }, (_, i) => `q.${i}`),
        ...["k", "v"].flatMap((kind) => Array.from({ length: G }, (_, i) => `${kind}.${i}`)),
      ];
      const read = kinds.map((kind, i) =>
        node(`${at}.${kind}`, "input", layer, columnOf(layer, 0), spread(i, kinds.length), kind.replace(".", "")),
      );
      inputs.push(...read);
      destinations.push(...read);
    } else destinations.push(...heads);
    const mlp = node(`${at}.mlp`, "mlp", layer, columnOf(layer, perLayer - 1), floor, "mlp");
    sources.push(...heads, mlp);
    destinations.push(mlp);
  }
  const logits = node("logits", "logits", L, columnOf(L, 0), middle, "logits");
  destinations.push(logits);

  const edges = destinations.flatMap((destination, d) =>
    sources.slice(0, visible(destination, L, H)).map((source, s): Edge => {
      return { source, destination, name: `${source.name} → ${destination.name}`, index: d * sources.length + s };
    }),
  );
  return {
    nodes: [...sources, ...inputs, logits],
    edges,
    layers: L,
    width,
    height,
    shape: [destinations.length, sources.length],
    destinations: grouped ? "qkv_groups" : "heads",
  };
}

/** A destination sees the first sources in canonical order: attention those of earlier layers, an MLP also its layer's heads. */
function visible({ kind, layer }: Node, layers: number, heads: number): number {
  if (kind === "logits") return 1 + layers * (heads + 1);
  return 1 + layer * (heads + 1) + (kind === "mlp" ? heads : 0);
}
