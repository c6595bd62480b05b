/** How large a model is, and whether a device can hold it: from its files' headers, before weights are read. */
import { openModel } from "../architectures/open-model.ts";
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal, callback, oneOf, text, thing, whole } from "../arguments/rules.ts";
import { fuse } from "../compile/fuse.ts";
import { lower } from "../compile/lower.ts";
import type { Plan } from "../compile/plan.ts";
import { type BufferLimits, WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { ModelSource } from "../formats/open-source.ts";
import { isQuantFormat } from "../formats/quantized-block.ts";
import type { FileSource } from "../formats/source.ts";
import { chooseFamily } from "../gpu/known-devices.ts";
import { openGpu } from "../gpu/open.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { type Graph, tensorsOf, weightsOf } from "../graph/graph.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { QuantFormat } from "../model-config.ts";
import { COMPANIONS } from "./changed-model.ts";
import { hubChoice, modelSource } from "./doors.ts";
import { MOST_SEQUENCES } from "./generate-arguments.ts";
import type { LoadOptions, PlanName } from "./options.ts";
import { checkContext, DEFAULT_CONTEXT } from "./session-options.ts";

/** Options of {@link measureModel}. */
export interface FootprintOptions
  extends Pick<LoadOptions, "adapter" | "device" | "plan" | "hub" | "signal" | "onNotice"> {
  /** Positions per sequence that the cache holds; default: the model's, at most 2048. */
  readonly context?: number;
  /** Sequences; default 1. */
  readonly sequences?: number;
}

/** A model's memory on the GPU with its weights in one format. */
export interface WeightFootprint {
  /** `stored`: as the files hold them. `q8`, `q4`: as `load(…, { quantize })` keeps them. */
  readonly format: "stored" | QuantFormat;
  /** Bytes of the weights on the GPU. */
  readonly weight_bytes: number;
  /** Bytes of the weights, the cache and the activations together. */
  readonly gpu_bytes: number;
  /** Whether the device's limits allow it; null without a device. How much memory a device has cannot be known. */
  readonly fits: boolean | null;
  /** Why it does not fit, or why there is no device. */
  readonly problem: string | null;
}

/** What {@link measureModel} finds. All sizes are in bytes. */
export interface ModelFootprint {
  /** The folder, address or id. */
  readonly model: string;
  /** As config.json names the family. */
  readonly model_type: string;
  /** Weights that the model computes with; a head that is the embedding counts once. */
  readonly parameters: number;
  /** How most weights are stored: `BF16`, `q4`, `Q4_K`, … */
  readonly stored: string;
  /** Bytes of the weights and of the files beside them. */
  readonly download_bytes: number;
  /** Positions per sequence that the cache holds. */
  readonly context: number;
  /** Sequences that the cache holds. */
  readonly sequences: number;
  /** Bytes of keys and values of all sequences, each with its whole context. */
  readonly cache_bytes: number;
  /** Bytes of everything else that a step computes with. */
  readonly activation_bytes: number;
  /** As they are stored, and, of float weights, quantised. */
  readonly weights: readonly WeightFootprint[];
  /** The device that the limits are of; null if there is none. */
  readonly device: string | null;
}

export const measureModelDoor = entry(
  "measureModel",
  ["source", modelSource],
  optionsOf(
    fields<FootprintOptions>()({
      adapter: text,
      device: thing<GPUDevice>("a GPUDevice", { createBuffer: "function", queue: "object", limits: "object" }),
      plan: oneOf<PlanName>(["default", "reference", "f16-cache"]),
      context: whole({ least: 1 }),
      sequences: whole({ least: 1, most: MOST_SEQUENCES }),
      hub: hubChoice,
      signal: abortSignal,
      onNotice: callback<(message: string) => void>(),
    }),
  ),
);

/**
 * Measures a model before it is loaded: its parameters, its download, its memory on the GPU, and whether the device's
 * limits hold it as it is stored and quantised. Only the beginnings of files are read.
 * @param source the model's folder, address, files or id
 * @throws SluiceError errors of reading; `bad_weights`; `context_overflow`
 */
export async function measureModel(source: ModelSource, options: FootprintOptions = {}): Promise<ModelFootprint> {
  const [place, read] = measureModelDoor.read(source, options);
  const { signal, sequences = 1, onNotice: note = () => undefined } = read;
  const files = await openModelFiles(place, { hub: read.hub, signal, onNotice: note, streams: true });
  try {
    const { config, checkpoint, graph } = await openModel(files, note, signal);
    const context = checkContext(read.context ?? Math.min(DEFAULT_CONTEXT, config.max_position_embeddings), config);
    const { profile, problem: noDevice } = await openProfile(read);
    const ops = fuse(graph);
    const layoutFor = (format: QuantFormat | undefined, limits: BufferLimits): WeightLayout =>
      new WeightLayout(ops, checkpoint, limits, format ?? config.quantization);
    const planFor = (layout: WeightLayout, limits: BufferLimits): Plan =>
      lower(graph, ops, layout, {
        family: profile ? chooseFamily(profile) : "tiled",
        reference: read.plan === "reference",
        cache: read.plan === "f16-cache" ? "f16" : "f32",
        subgroups: profile !== null && profile.features.subgroups !== null,
        sequences,
        capacity: context,
        ...limits,
      });
    const plan = planFor(layoutFor(undefined, UNLIMITED), UNLIMITED);
    const cache = plan.layers * 2 * plan.slots * plan.cacheRowBytes;
    const activations = plan.activations.reduce((sum, bytes) => sum + bytes, plan.partialBytes);
    const formats = config.quantization ? [undefined] : ([undefined, "q8", "q4"] as const);
    const weights = formats.map((format): WeightFootprint => {
      const bytes = layoutFor(format, UNLIMITED).byteLength;
      const problem = profile ? problemOf(() => planFor(layoutFor(format, profile.limits), profile.limits)) : noDevice;
      return {
        format: format ?? "stored",
        weight_bytes: bytes,
        gpu_bytes: bytes + cache + activations,
        fits: profile && problem === null,
        problem,
      };
    });
    return {
      model: files.label,
      model_type: config.model_type,
      parameters: parametersOf(graph),
      stored: isQuantFormat(config.quantization)
        ? config.quantization
        : (config.quantized_as ?? usualFormat(checkpoint, graph)),
      download_bytes: await downloadBytes(files, checkpoint, signal),
      context,
      sequences,
      cache_bytes: cache,
      activation_bytes: activations,
      weights,
      device: profile?.name ?? null,
    };
  } finally {
    await files.close();
  }
}

/** For sizes that no device could hold. */
const UNLIMITED: BufferLimits = {
  maxBufferSize: Number.MAX_SAFE_INTEGER,
  maxStorageBufferBindingSize: Number.MAX_SAFE_INTEGER,
};

/** What the device can do; why there is none, if there is none. */
async function openProfile(
  options: Pick<FootprintOptions, "adapter" | "device" | "signal">,
): Promise<{ readonly profile: DeviceProfile | null; readonly problem: string | null }> {
  try {
    const gpu = await openGpu(options);
    gpu.destroy();
    return { profile: gpu.profile, problem: null };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "no_adapter") throw error;
    return { profile: null, problem: error.message };
  }
}

/** Why a device does not hold what `plan` plans; null if it does. */
function problemOf(plan: () => unknown): string | null {
  try {
    plan();
    return null;
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "device_limit") throw error;
    return error.message;
  }
}

function parametersOf({ nodes }: Graph): number {
  const counts = new Map<string, number>();
  for (const { matrices, vectors } of nodes.map(weightsOf)) {
    for (const { tensor, tensorOutputs, inputs } of matrices) counts.set(tensor, tensorOutputs * inputs);
    for (const { tensor, tensorLength } of vectors) counts.set(tensor, tensorLength);
  }
  return [...counts.values()].reduce((a, b) => a + b, 0);
}

/** The format of most weights. */
function usualFormat({ tensors, quantized }: Checkpoint, graph: Graph): string {
  const counts = new Map<string, number>();
  for (const name of tensorsOf(graph)) {
    const matrix = quantized?.get(name);
    const info = tensors.get(name);
    const format = matrix?.format ?? info?.dtype ?? "";
    const count = matrix ? matrix.outputs * matrix.inputs : (info?.shape.reduce((a, b) => a * b, 1) ?? 0);
    counts.set(format, (counts.get(format) ?? 0) + count);
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "";
}

/** Bytes of the tensors that the files hold, and of the files beside them. */
async function downloadBytes(files: FileSource, { tensors }: Checkpoint, signal: AbortSignal | undefined) {
  let bytes = [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  for (const name of ["config.json", ...COMPANIONS]) {
    if (await files.exists(name, signal)) bytes += await files.size(name, signal);
  }
  return bytes;
}
