/** Tensors as quantised weights stand for them. */
import { f16ToF32 } from "../formats/half.ts";
import { QUANT_BLOCK, quantizeBlock } from "../formats/quantized-block.ts";
import { type Graph, isKeptAsStored, weightsOf } from "../graph/graph.ts";
import type { QuantFormat } from "../model-config.ts";
import type { Tensors } from "./float64.ts";

/** Each output's inputs in blocks of 32, each with its scale: what q8 and q4 keep of a graph's matrices. */
export function quantizedTensors({ nodes }: Graph, tensors: Tensors, format: QuantFormat): Tensors {
  const all = new Map(tensors);
  const codes = new Int8Array(QUANT_BLOCK);
  for (const node of nodes) {
    for (const matrix of weightsOf(node).matrices) {
      const { tensor, transposed, inputs, tensorOutputs } = matrix;
      if (isKeptAsStored(node, matrix) || all.get(tensor) !== tensors.get(tensor)) continue;
      const values = Float64Array.from(tensors.get(tensor) as ArrayLike<number>);
      for (let output = 0; output < tensorOutputs; output++) {
        const at = (i: number): number => (transposed ? i * tensorOutputs + output : output * inputs + i);
        for (let first = 0; first < inputs; first += QUANT_BLOCK) {
          const count = Math.min(QUANT_BLOCK, inputs - first);
          const block = new Float64Array(QUANT_BLOCK);
          for (let i = 0; i < count; i++) block[i] = values[at(first + i)] as number;
          const scale = f16ToF32(quantizeBlock(format, block, codes, tensor));
          for (let i = 0; i < count; i++) values[at(first + i)] = scale * (codes[i] as number);
        }
      }
      all.set(tensor, values);
    }
  }
  return all;
}
