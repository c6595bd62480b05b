/** From a configuration and the tensors at hand to a graph whose every weight is known to be there and to fit. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { BLOCK_BYTES, blockCount } from "../formats/quantized-block.ts";
import type { Graph, MatrixRef, Node, VectorRef } from "../graph/graph.ts";
import type { ModelConfig, QuantFormat } from "./config.ts";
import { gpt2Graph } from "./gpt2.ts";
import { llamaGraph } from "./llama.ts";

/**
 * Builds the graph and checks every tensor it names against the checkpoint.
 * @throws SluiceError `bad_weights` naming the tensor, what config.json implies and what the file holds
 */
export function buildGraph(config: ModelConfig, checkpoint: Checkpoint): Graph {
  const graph =
    config.architecture === "gpt2"
      ? gpt2Graph(config, checkpoint.tensors.has("transformer.wte.weight") ? "transformer." : "")
      : llamaGraph(config, checkpoint.tensors.has("model.embed_tokens.weight") ? "model." : "");
  for (const node of graph.nodes) checkNode(node, checkpoint, config.quantization);
  checkLayerCount(config, checkpoint);
  return graph;
}

function checkNode(node: Node, checkpoint: Checkpoint, quantization: QuantFormat | undefined): void {
  if (node.op === "embed") {
    checkMatrix(node.tokens, checkpoint, quantization);
    if (node.positions) checkMatrix(node.positions, checkpoint);
  } else if (node.op === "linear") {
    checkMatrix(node.weight, checkpoint, quantization);
    if (node.bias) checkVector(node.bias, checkpoint);
  } else if (node.op === "norm") {
    checkVector(node.gain, checkpoint);
    if (node.bias) checkVector(node.bias, checkpoint);
  }
}

function checkMatrix(ref: MatrixRef, checkpoint: Checkpoint, quantization?: QuantFormat): void {
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
  if (!tensor) {
    const hint =
      name === "lm_head.weight"
        ? 'Set "tie_word_embeddings": true in config.json if this model shares its embedding with its head.'
        : "The weights are incomplete, or config.json belongs to another model.";
    throw new SluiceError("bad_weights", `The weights hold no tensor ${name}, which config.json asks for`, { hint });
  }
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw new SluiceError(
      "bad_weights",
      `Tensor ${name} has shape [${tensor.shape.join(", ")}], but config.json implies [${shape.join(", ")}]`,
      { hint: "config.json and the weights do not belong together." },
    );
  }
  if (!dtypes.includes(tensor.dtype)) {
    const wanted = dtypes.length > 1 ? "F32, F16 and BF16 can be run" : `quantised, it would be ${dtypes[0]}`;
    throw new SluiceError("bad_weights", `Tensor ${name} is stored as ${tensor.dtype}; ${wanted}`, {
      hint: "Save the model in one of these types.",
    });
  }
}

/** A checkpoint with more blocks than config.json names would run, and be silently cut short. */
function checkLayerCount(config: ModelConfig, checkpoint: Checkpoint): void {
  const pattern = config.architecture === "gpt2" ? /^(?:transformer\.)?h\.(\d+)\./ : /^(?:model\.)?layers\.(\d+)\./;
  for (const name of checkpoint.tensors.keys()) {
    const layer = pattern.exec(name)?.[1];
    if (layer !== undefined && Number(layer) >= config.num_hidden_layers) {
      throw new SluiceError(
        "bad_weights",
        `The weights hold ${name}, but config.json has ${config.num_hidden_layers} layers (0 to ${config.num_hidden_layers - 1})`,
        { hint: "config.json and the weights do not belong together." },
      );
    }
  }
}
