/** A bundle of a circuit's edges, made in the page. */
import type { Bundle, ModelConfig } from "sluice";
import type { Edge, Graph } from "./graph.ts";

/** Values that take the place of what is cut: `[sources, d]`. */
export interface Means {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export const STAGE = "circuit";

/**
 * @param edges those in the mask's structure
 * @param cut mask indices of those that begin at 0; the others begin at 1
 */
export function circuitBundle(
  config: ModelConfig,
  graph: Graph,
  edges: readonly Edge[],
  cut: ReadonlySet<number>,
  means: Means | null,
): Bundle {
  const { data, shape } = means ?? { data: null, shape: [] };
  const bytes = data && new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return {
    file: "circuit.safetensors",
    manifest: {
      name: "Circuit",
      description: `${cut.size} of ${graph.edges.length} edges cut in the playground`,
      base: {
        model_type: config.model_type,
        num_layers: config.num_hidden_layers,
        hidden_size: config.hidden_size,
        num_heads: config.num_attention_heads,
        num_kv_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        intermediate_size: config.intermediate_size,
        vocab_size: config.vocab_size,
      },
      stages: [
        {
          id: STAGE,
          kind: "edge_mask",
          destinations: graph.destinations,
          edges: edges.map(({ source, destination, index }) => [source.name, destination.name, cut.has(index) ? 0 : 1]),
        },
      ],
    },
    tensors: new Map(bytes ? [[`${STAGE}.constants`, { dtype: "F32", shape, bytes }]] : []),
    metadata: new Map(),
  };
}
