/** llama.cpp through node-llama-cpp: prebuilt, with Vulkan or on the CPU, weights and cache in float32. */
import { type Lane, type LaneOptions, type ModelFiles, timed } from "../lane.ts";

interface LlamaSequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: Readonly<Record<string, unknown>>): AsyncGenerator<number>;
  controlledEvaluate(
    items: readonly (number | readonly [number, Readonly<Record<string, unknown>>])[],
  ): Promise<readonly ({ readonly next: { readonly probabilities?: ReadonlyMap<number, number> } } | undefined)[]>;
}

interface LlamaModel {
  createContext(options: Readonly<Record<string, unknown>>): Promise<{ getSequence(): LlamaSequence }>;
}

interface Llama {
  readonly gpu: string | false;
  getGpuDeviceNames(): Promise<readonly string[]>;
  loadModel(options: Readonly<Record<string, unknown>>): Promise<LlamaModel>;
}

/** The part of node-llama-cpp's interface that is used here. */
export interface NodeLlamaCpp {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<Llama>;
}

/** @throws Error if it would silently compute on another device than requested */
export async function openLlamaLane(
  { getLlama }: NodeLlamaCpp,
  { gguf, context }: ModelFiles,
  { backend, threads }: LaneOptions,
): Promise<Lane> {
  const gpu = backend === "vulkan" ? "vulkan" : false;
  const llama = await getLlama({ gpu, build: "never", logLevel: "error", progressLogs: false, maxThreads: threads });
  const devices = gpu === false ? [] : await llama.getGpuDeviceNames();
  if (llama.gpu !== gpu || (gpu !== false && devices.length === 0)) {
    throw new Error(`llama.cpp finds no ${backend} device it can use`);
  }
  const model = await llama.loadModel({ modelPath: gguf, gpuLayers: gpu === false ? 0 : "max" });
  const made = await model.createContext({
    contextSize: context,
    sequences: 1,
    threads,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const sequence = made.getSequence();
  return {
    device: devices.length > 0 ? devices.join(", ") : "CPU",
    async generate(prompt, newTokens) {
      await sequence.clearHistory();
      return await timed(newTokens, sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true }));
    },
    async logProbabilities(tokens) {
      await sequence.clearHistory();
      await sequence.controlledEvaluate(tokens.slice(0, -1));
      const last = [tokens.at(-1) ?? 0, { generateNext: { probabilities: true } }] as const;
      const results = await sequence.controlledEvaluate([last]);
      const probabilities = results.at(-1)?.next.probabilities;
      if (!probabilities) return null;
      const out = new Float32Array(probabilities.size).fill(Number.NEGATIVE_INFINITY);
      for (const [token, p] of probabilities) out[token] = Math.log(p);
      return out;
    },
  };
}
