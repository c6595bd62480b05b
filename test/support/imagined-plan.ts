/** Plans of models that exist in shape alone: nothing is read, nothing runs. */

import { gpt2Graph } from "../../src/architectures/gpt2.ts";
import { llamaGraph } from "../../src/architectures/llama.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { fuse } from "../../src/compile/fuse.ts";
import { type LowerOptions, lower } from "../../src/compile/lower.ts";
import { belongs, type Dispatch, kernelsOf, type Plan } from "../../src/compile/plan.ts";
import { WeightLayout } from "../../src/compile/weight-layout.ts";
import type { Checkpoint, StoredDtype } from "../../src/formats/checkpoint.ts";
import { type Graph, type MatrixRef, type VectorRef, weightsOf } from "../../src/graph/graph.ts";
import { rewrite } from "../../src/interventions/rewrite.ts";
import type { Composition } from "../../src/interventions/stage.ts";
import type { Cost } from "../../src/kernels/kernel.ts";
import type { ModelConfig, QuantFormat } from "../../src/model-config.ts";

/** In sight of a decode step. */
const KEYS = 256;

const LIMITS = { maxBufferSize: 1 << 30, maxStorageBufferBindingSize: 1 << 30 };

/** GPT-2 small's configuration. */
export const gpt2Small: ModelConfig = readConfig(
  {
    model_type: "gpt2",
    n_embd: 768,
    n_head: 12,
    n_layer: 12,
    vocab_size: 50257,
    n_positions: 1024,
    activation_function: "gelu_new",
    layer_norm_epsilon: 1e-5,
  },
  "config.json",
);

export function imaginedPlan(
  config: ModelConfig,
  composition: Composition,
  {
    dtype = "F32",
    quantize,
    ...options
  }: Partial<
    Pick<
      LowerOptions,
      "family" | "captures" | "choices" | "pooling" | "reference" | "sequences" | "subgroups" | "programs"
    >
  > & {
    readonly dtype?: StoredDtype;
    readonly quantize?: QuantFormat;
  } = {},
): Plan {
  const { plain, layout } = imaginedModel(config, { dtype, ...(quantize && { quantize }) });
  const graph = rewrite(plain, composition);
  return lower(graph, fuse(graph), layout, {
    family: "register",
    reference: false,
    sequences: 1,
    capacity: 512,
    composition,
    ...LIMITS,
    ...options,
  });
}

/** The graph of a model without stages, and where its weights would lie. */
export function imaginedModel(
  config: ModelConfig,
  { dtype = "F32", quantize }: { readonly dtype?: StoredDtype; readonly quantize?: QuantFormat } = {},
): { readonly plain: Graph; readonly layout: WeightLayout } {
  const isGpt2 = config.architecture === "gpt2";
  const embedding = isGpt2 ? "wte.weight" : "model.embed_tokens.weight";
  const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
  const plain = isGpt2
    ? gpt2Graph(config, { prefix: "", embedding, head })
    : llamaGraph(config, { prefix: "model.", embedding, head });
  return { plain, layout: new WeightLayout(fuse(plain), imagined(plain, dtype), LIMITS, quantize) };
}

/** Every dispatch of a greedy decode step that sees 256 keys, with its kernel. */
export function decodeStep(
  plan: Plan,
): readonly { readonly dispatch: Dispatch; readonly name: string; readonly cost: Cost }[] {
  const step = [...plan.body, ...plan.finalNorm, ...plan.head, ...plan.tails.greedy];
  const own = step.filter((dispatch) => belongs(dispatch, plan, 1, KEYS));
  return own.flatMap((dispatch) =>
    kernelsOf(dispatch, 1).map((kernel) => {
      return { dispatch, name: kernel.name, cost: kernel.cost({ rows: 1, keys: dispatch.readsCache ? KEYS : 0 }) };
    }),
  );
}

/** A checkpoint that has every tensor of a graph, and no bytes. */
function imagined(graph: Graph, dtype: StoredDtype): Checkpoint {
  const tensors = new Map<string, { dtype: StoredDtype; shape: readonly number[]; byteLength: number }>();
  const add = (tensor: string, shape: readonly number[]): void => {
    tensors.set(tensor, { dtype, shape, byteLength: shape.reduce((a, b) => a * b, dtype === "F32" ? 4 : 2) });
  };
  const matrix = ({ tensor, transposed, inputs, tensorOutputs }: MatrixRef): void =>
    add(tensor, transposed ? [inputs, tensorOutputs] : [tensorOutputs, inputs]);
  const vector = ({ tensor, tensorLength }: VectorRef): void => add(tensor, [tensorLength]);
  for (const node of graph.nodes) {
    const { matrices, vectors } = weightsOf(node);
    matrices.forEach(matrix);
    vectors.forEach(vector);
  }
  return {
    tensors,
    read: () => Promise.reject(new Error("An imagined checkpoint has no bytes")),
  } as unknown as Checkpoint;
}
