/**
 * Weights that MLX quantised, in safetensors: `X.weight` as U32 `[outputs, inputs·bits / 32]`, in each word the codes
 * of neighbouring inputs, the first in the lowest bits; `X.scales` and `X.biases` `[outputs, inputs / group]`. A weight is
 * code·scale + bias.
 */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import type { Checkpoint, StoredDtype, TensorInfo } from "./checkpoint.ts";
import { areFinite, nonFiniteTensor, withFiniteScales } from "./finite.ts";
import { widen } from "./half.ts";
import type { QuantizedMatrix, TensorReader } from "./quantized-matrix.ts";

/** How a module's weights are quantised. */
export interface MlxCoding {
  readonly bits: 4 | 8;
  /** Inputs that share a scale. */
  readonly group: 32 | 64 | 128;
}

/** How a model's weights are quantised: config.json's `quantization`. */
export interface MlxQuantization {
  readonly usual: MlxCoding;
  /** Exceptions, by the module's path (a tensor's name without `.weight`); null: not quantised. */
  readonly modules: ReadonlyMap<string, MlxCoding | null>;
}

const SCALES = ".scales";

/**
 * A checkpoint with the quantised matrices that its tensors make up. As in mlx-lm, what has scales is quantised.
 * @throws `bad_weights` for tensors that do not fit each other, or the description
 */
export function mlxCheckpoint(stored: Checkpoint, quantization: MlxQuantization): Checkpoint {
  const quantized = new Map<string, QuantizedMatrix>();
  for (const name of stored.tensors.keys()) {
    if (!name.endsWith(SCALES)) continue;
    const matrix = matrixOf(stored, name.slice(0, -SCALES.length), quantization);
    const weight = `${name.slice(0, -SCALES.length)}.weight`;
    quantized.set(weight, withFiniteScales(matrix, stored.tensors.get(weight) as TensorInfo));
  }
  const { tensors, missing, label, forwardOnly, readAhead } = stored;
  return {
    tensors,
    quantized,
    ...(missing && { missing }),
    ...(label !== undefined && { label }),
    ...(forwardOnly !== undefined && { forwardOnly }),
    ...(readAhead && {
      readAhead(names: ReadonlySet<string>, signal: AbortSignal | undefined) {
        const all = [...names].flatMap((name) => quantized.get(name)?.tensors ?? [name]);
        stored.readAhead?.(new Set(all), signal);
      },
    }),
    read: (name, begin, end, signal) => stored.read(name, begin, end, signal),
    close: () => stored.close(),
  };
}

function matrixOf(stored: Checkpoint, path: string, { usual, modules }: MlxQuantization): QuantizedMatrix {
  const own = modules.get(path);
  if (own === null) {
    throw unfit(path, `config.json says that it is not quantised, but there is ${path}${SCALES}`);
  }
  const { bits, group } = own ?? usual;
  const names = { weight: `${path}.weight`, scales: `${path}${SCALES}`, biases: `${path}.biases` };
  const [weight, scales, biases] = [names.weight, names.scales, names.biases].map((name) => {
    const info = stored.tensors.get(name);
    if (info) return info;
    throw unfit(path, `the weights have no ${name}`);
  }) as [TensorInfo, TensorInfo, TensorInfo];
  const [outputs = 0, words = 0] = weight.shape;
  const inputs = (words * 32) / bits;
  const groups = inputs / group;
  const fits =
    weight.shape.length === 2 &&
    [scales, biases].every(({ shape }) => shape.length === 2 && shape[0] === outputs && shape[1] === groups);
  if (!fits || weight.dtype !== "U32" || !isFloat(scales.dtype) || !isFloat(biases.dtype)) {
    const found = [weight, scales, biases].map(({ dtype, shape }) => `${dtype} ${show(shape)}`).join(", ");
    throw unfit(path, `weight, scales and biases are ${found}: not ${bits} bits in groups of ${group}`);
  }
  return {
    outputs,
    inputs,
    coding: { bits, signed: false, group, scales: scales.dtype === biases.dtype ? scales.dtype : "F32" },
    tensors: [names.weight, names.scales, names.biases],
    format: `MLX with ${bits} bits`,
    async readRows(reader, first, end, signal) {
      const packed = await reader.read(names.weight, first * words * 4, end * words * 4, signal);
      return {
        codes: bits === 8 ? packed : unpacked(packed),
        scales: await floats(reader, scales, first * groups, end * groups, signal),
        offsets: await floats(reader, biases, first * groups, end * groups, signal),
      };
    },
  };
}

function isFloat(dtype: string): dtype is StoredDtype {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** The codes of 4 bits in little-endian words: low half of a byte first. */
function unpacked(packed: Uint8Array): Uint8Array {
  const codes = new Uint8Array(packed.length * 2);
  for (let i = 0; i < packed.length; i++) {
    const byte = packed[i] as number;
    codes[2 * i] = byte & 15;
    codes[2 * i + 1] = byte >> 4;
  }
  return codes;
}

async function floats(
  reader: TensorReader,
  info: TensorInfo,
  first: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const size = info.dtype === "F32" ? 4 : 2;
  const values = widen(info.dtype, await reader.read(info.name, first * size, end * size, signal));
  if (areFinite(values)) return values;
  throw (await nonFiniteTensor(reader, info, signal)) ?? new Error(`Tensor ${info.name} changed while it was read`);
}

function unfit(path: string, problem: string): SluiceError {
  return new SluiceError("bad_weights", `${path} cannot be read as MLX's quantised weights: ${problem}`, {
    hint: "config.json and the weights do not belong together, or one of them is damaged. Download both again.",
  });
}
