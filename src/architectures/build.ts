/** Makes a graph from a configuration and the available tensors; every weight is checked to exist and to fit. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { BLOCK_BYTES, blockCount, isQuantFormat } from "../formats/quantized-block.ts";
import { type Graph, isKeptAsStored, type MatrixRef, type Node, type VectorRef, weightsOf } from "../graph/graph.ts";
import type { ModelConfig, QuantFormat } from "../model-config.ts";
import { show, showText } from "../show.ts";
import { foreignWeight } from "./foreign-quantization.ts";
import { gpt2Graph, OUTPUTS_FIRST } from "./gpt2.ts";
import type { GraphNames } from "./graph-names.ts";
import { llamaGraph } from "./llama.ts";

const HEAD = "lm_head.weight";

/** How an architecture's graph is made, and how its tensors are named. */
interface Architecture {
  /** Possible prefixes of the names, beside none: files have all spellings. */
  readonly prefixes: readonly [string, ...string[]];
  readonly embedding: string;
  readonly layers: string;
  graph(config: ModelConfig, names: GraphNames): Graph;
}

const architectures: Readonly<Record<ModelConfig["architecture"], Architecture>> = {
  gpt2: { prefixes: ["transformer.", OUTPUTS_FIRST], embedding: "wte", layers: "h", graph: gpt2Graph },
  llama: { prefixes: ["model."], embedding: "embed_tokens", layers: "layers", graph: llamaGraph },
};

/**
 * Builds the graph and checks every tensor it names against the checkpoint.
 * @throws SluiceError `bad_weights` naming the tensor, what config.json implies and what the file has
 */
export function buildGraph(config: ModelConfig, checkpoint: Checkpoint): Graph {
  const prefix = namePrefix(config, checkpoint);
  checkLayerCount(config, checkpoint, prefix);
  const names = { prefix, ...endsOf(config, checkpoint, prefix) };
  const graph = architectures[config.architecture].graph(config, names);
  const { quantization } = config;
  for (const node of graph.nodes) checkNode(node, checkpoint, isQuantFormat(quantization) ? quantization : undefined);
  return graph;
}

/** The prefix of the tensors' names. */
export function namePrefix({ architecture }: ModelConfig, { tensors }: Pick<Checkpoint, "tensors">): string {
  const { prefixes, embedding } = architectures[architecture];
  return [...prefixes, ""].find((prefix) => tensors.has(`${prefix}${embedding}.weight`)) ?? prefixes[0];
}

/** The names of the token embedding and of the head. If they are one tensor, it may be stored under either name. */
export function endsOf(
  config: ModelConfig,
  { tensors }: Pick<Checkpoint, "tensors">,
  prefix = namePrefix(config, { tensors }),
): { readonly embedding: string; readonly head: string } {
  const stored = `${prefix}${architectures[config.architecture].embedding}.weight`;
  const isHeadAlone = config.tie_word_embeddings && !tensors.has(stored) && tensors.has(HEAD);
  const embedding = isHeadAlone ? HEAD : stored;
  return { embedding, head: config.tie_word_embeddings ? embedding : HEAD };
}

function checkNode(node: Node, checkpoint: Checkpoint, quantization: QuantFormat | undefined): void {
  const { matrices, vectors } = weightsOf(node);
  for (const matrix of matrices) {
    checkMatrix(matrix, checkpoint, isKeptAsStored(node, matrix) ? undefined : quantization);
  }
  for (const vector of vectors) checkVector(vector, checkpoint);
}

function checkMatrix(ref: MatrixRef, checkpoint: Checkpoint, quantization?: QuantFormat): void {
  const quantized = checkpoint.quantized?.get(ref.tensor);
  if (quantized) {
    const { outputs, inputs, turned = false } = quantized;
    if (ref.transposed !== turned) {
      const problem = `${ref.tensor} is quantised as ${quantized.format}, under a name whose weights are stored [inputs, outputs]`;
      throw new SluiceError("bad_weights", problem, { hint: "Convert the model with its own program's converter." });
    }
    if (outputs === ref.tensorOutputs && inputs === ref.inputs) return;
    throw unfit(ref.tensor, [outputs, inputs], [ref.tensorOutputs, ref.inputs]);
  }
  if (quantization) {
    const blocks = [ref.tensorOutputs, blockCount(ref.inputs), BLOCK_BYTES[quantization]];
    checkTensor(ref.tensor, blocks, checkpoint, ["U8"]);
    return;
  }
  const shape = ref.transposed ? [ref.inputs, ref.tensorOutputs] : [ref.tensorOutputs, ref.inputs];
  checkTensor(ref.tensor, shape, checkpoint);
}

function checkVector(ref: VectorRef, checkpoint: Checkpoint): void {
  checkTensor(ref.tensor, [ref.tensorLength], checkpoint);
}

function checkTensor(
  name: string,
  shape: readonly number[],
  checkpoint: Checkpoint,
  dtypes: readonly string[] = ["F32", "F16", "BF16"],
): void {
  const tensor = checkpoint.tensors.get(name);
  if (!tensor || !dtypes.includes(tensor.dtype)) {
    const foreign = foreignWeight(name, checkpoint);
    if (foreign) throw foreign;
  }
  if (!tensor) throw missing(name, checkpoint);
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw unfit(name, tensor.shape, shape);
  }
  if (!dtypes.includes(tensor.dtype)) {
    const wanted = dtypes.length > 1 ? "F32, F16, BF16 and F64 are supported" : `quantised, it would be ${dtypes[0]}`;
    throw new SluiceError("bad_weights", `Tensor ${name} is stored as ${tensor.dtype}; ${wanted}`, {
      hint: "Save the model in one of these types.",
    });
  }
}

function unfit(name: string, shape: readonly number[], implied: readonly number[]): SluiceError {
  return new SluiceError(
    "bad_weights",
    `Tensor ${name} has shape ${show(shape)}, but config.json implies ${show(implied)}`,
    { hint: "config.json and the weights do not belong together." },
  );
}

function missing(name: string, { missing: absent }: Checkpoint): SluiceError {
  const shard = absent?.get(name);
  if (shard !== undefined) {
    return new SluiceError("not_found", `Tensor ${name} is in ${showText(shard)}, which does not exist`, {
      hint: "Download the missing file into the same folder.",
    });
  }
  const hint =
    name === HEAD
      ? 'Set "tie_word_embeddings": true in config.json if this model shares its embedding with its head.'
      : "The weights are incomplete, or config.json belongs to another model.";
  return new SluiceError("bad_weights", `The weights have no tensor ${name}, which config.json requires`, { hint });
}

/**
 * Compares config.json's number of layers with the weights', before anything is made per layer. A checkpoint with more
 * layers would run, silently cut short.
 */
function checkLayerCount(config: ModelConfig, checkpoint: Checkpoint, prefix: string): void {
  const count = config.num_hidden_layers;
  const stem = `${prefix}${architectures[config.architecture].layers}.`;
  const known = new Set<number>();
  for (const name of [...checkpoint.tensors.keys(), ...(checkpoint.missing?.keys() ?? [])]) {
    if (!name.startsWith(stem)) continue;
    const layer = Number.parseInt(name.slice(stem.length), 10);
    if (layer < count) known.add(layer);
    else if (layer >= count && checkpoint.tensors.has(name)) {
      throw new SluiceError(
        "bad_weights",
        `The weights hold ${showText(name)}, but config.json has ${count} layers (0 to ${count - 1})`,
        { hint: "config.json and the weights do not belong together." },
      );
    }
  }
  for (let layer = 0; layer < count && known.size < count; layer++) {
    if (known.has(layer)) continue;
    throw new SluiceError(
      "bad_weights",
      `The weights have no tensor ${stem}${layer}.*, but config.json has ${count} layers (0 to ${count - 1})`,
      { hint: "The weights are incomplete, or config.json belongs to another model." },
    );
  }
}
