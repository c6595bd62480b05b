/** ONNX Runtime, in Node and in pages: a greedy loop over one session, with the cache left where the provider keeps it. */
import { type Lane, type LaneOptions, logSoftmax, type ModelFiles, timed } from "../lane.ts";

interface OrtTensor {
  readonly data: Float32Array;
  dispose(): void;
}

type Tensors = Readonly<Record<string, OrtTensor>>;

interface OrtSession {
  readonly inputNames: readonly string[];
  run(feeds: Tensors): Promise<Tensors>;
}

/** The part of onnxruntime-common's interface that is used here. */
export interface Ort {
  readonly Tensor: new (
    type: "int64" | "float32",
    data: BigInt64Array | Float32Array,
    shape: readonly number[],
  ) => OrtTensor;
  readonly InferenceSession: {
    create(model: string, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
}

/** @param device what is known of where it runs: the runtime itself does not say */
export async function openOnnxLane(
  ort: Ort,
  model: ModelFiles,
  { backend = "cpu", threads }: LaneOptions,
  inPage: boolean,
): Promise<Lane> {
  const path = backend === "cpu" ? model.onnxFused : model.onnx;
  const data = `${path}_data`;
  const name = data.slice(data.lastIndexOf("/") + 1);
  const session = await ort.InferenceSession.create(path, {
    executionProviders: [backend],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    preferredOutputLocation: outputLocations(model.layers, backend === "webgpu" ? "gpu-buffer" : "cpu"),
    ...(inPage && { externalData: [{ path: name, data }] }),
  });
  const ids = (values: readonly number[]) =>
    new ort.Tensor("int64", BigInt64Array.from(values.map(BigInt)), [1, values.length]);
  const emptyCache = (): Tensors =>
    Object.fromEntries(
      cacheNames(model.layers).map((key) => {
        return [
          `past_key_values.${key}`,
          new ort.Tensor("float32", new Float32Array(0), [1, model.kvHeads, 0, model.headDim]),
        ];
      }),
    );

  /** Runs rows from `position`; returns logits and the cache, in place of the one given. */
  async function step(tokens: readonly number[], position: number, cache: Tensors) {
    const positions = tokens.map((_, i) => position + i);
    const feeds: Record<string, OrtTensor> = {
      ...cache,
      input_ids: ids(tokens),
      attention_mask: ids(Array(position + tokens.length).fill(1)),
      ...(session.inputNames.includes("position_ids") && { position_ids: ids(positions) }),
    };
    const outputs = await session.run(feeds);
    disposeAll(cache);
    const keys = cacheNames(model.layers);
    const grown = Object.fromEntries(
      keys.map((key) => [`past_key_values.${key}`, outputs[`present.${key}`] as OrtTensor]),
    );
    return { logits: (outputs.logits as OrtTensor).data, cache: grown };
  }

  async function* greedy(prompt: readonly number[]): AsyncGenerator<number> {
    let { logits, cache } = await step(prompt, 0, emptyCache());
    try {
      for (let position = prompt.length; ; position++) {
        const token = greatest(logits);
        yield token;
        ({ logits, cache } = await step([token], position, cache));
      }
    } finally {
      disposeAll(cache);
    }
  }

  return {
    device: null,
    async generate(prompt, newTokens) {
      return await timed(newTokens, greedy(prompt));
    },
    async logProbabilities(tokens) {
      const last = tokens.length - 1;
      const before = await step(tokens.slice(0, last), 0, emptyCache());
      const { logits, cache } = await step(tokens.slice(last), last, before.cache);
      disposeAll(cache);
      return logSoftmax(logits);
    },
  };
}

function disposeAll(tensors: Tensors): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

function cacheNames(layers: number): readonly string[] {
  return Array.from({ length: layers }, (_, l) => [`${l}.key`, `${l}.value`]).flat();
}

function outputLocations(layers: number, location: string): Readonly<Record<string, string>> {
  return { logits: "cpu", ...Object.fromEntries(cacheNames(layers).map((key) => [`present.${key}`, location])) };
}

function greatest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}
