/** transformers.js: `generate()` on its own build of ONNX Runtime for pages, with WebGPU. */
import { type Lane, type LaneOptions, type ModelFiles, phases } from "../lane.ts";

interface HfTensor {
  readonly data: Float32Array;
}

interface HfModel {
  generate(options: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** The part of transformers.js's interface that is used here. */
export interface Transformers {
  readonly env: {
    allowRemoteModels: boolean;
    allowLocalModels: boolean;
    localModelPath: string;
    useBrowserCache: boolean;
    readonly backends: { readonly onnx: { readonly wasm?: { wasmPaths?: string; numThreads?: number } } };
  };
  readonly AutoModelForCausalLM: {
    from_pretrained(name: string, options: Readonly<Record<string, unknown>>): Promise<HfModel>;
  };
  readonly Tensor: new (type: "int64", data: BigInt64Array, shape: readonly number[]) => HfTensor;
}

/** @param wasmPaths address of ONNX Runtime's files */
export async function openTransformersLane(
  { env, AutoModelForCausalLM, Tensor }: Transformers,
  { folder }: ModelFiles,
  { backend = "webgpu", threads }: LaneOptions,
  wasmPaths: string,
): Promise<Lane> {
  const [, parent = "", name = ""] = /^(.*\/)([^/]+)\/?$/.exec(folder) ?? [];
  Object.assign(env, {
    allowRemoteModels: false,
    allowLocalModels: true,
    localModelPath: parent,
    useBrowserCache: false,
  });
  Object.assign(env.backends.onnx.wasm ?? {}, { wasmPaths, numThreads: threads });
  const model = await AutoModelForCausalLM.from_pretrained(name, {
    device: backend,
    dtype: "fp32",
    use_external_data_format: true,
  });
  const ids = (values: readonly number[]) =>
    new Tensor("int64", BigInt64Array.from(values.map(BigInt)), [1, values.length]);
  return {
    device: null,
    async generate(prompt, newTokens) {
      const times: number[] = [];
      const tokens: number[] = [];
      const started = performance.now();
      const streamer = {
        put([row]: readonly (readonly bigint[])[]) {
          // The prompt comes through first.
          if (row?.length !== 1) return;
          times.push(performance.now());
          tokens.push(Number(row[0]));
        },
        end: () => undefined,
      };
      await model.generate({
        inputs: ids(prompt),
        attention_mask: ids(prompt.map(() => 1)),
        max_new_tokens: newTokens,
        min_new_tokens: newTokens,
        do_sample: false,
        streamer,
      });
      return { ...phases(started, times), tokens };
    },
    logProbabilities: async () => null,
  };
}
