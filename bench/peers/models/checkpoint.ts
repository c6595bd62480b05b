/** A float32 checkpoint of one safetensors file, read whole: what the writers of other formats start from. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../../../src/architectures/read-config.ts";
import { parseSafetensors, toFloat32 } from "../../../src/formats/safetensors.ts";
import type { ModelConfig } from "../../../src/model-config.ts";

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface Checkpoint {
  readonly config: ModelConfig;
  /** @throws Error if there is none with that name */
  tensor(name: string): Tensor;
}

/** Reads config.json and model.safetensors of a folder. */
export function readCheckpoint(folder: string): Checkpoint {
  const path = join(folder, "config.json");
  const config = readConfig(JSON.parse(readFileSync(path, "utf8")), path);
  const { tensors } = parseSafetensors(readFileSync(join(folder, "model.safetensors")), folder);
  return {
    config,
    tensor(name) {
      const stored = tensors.get(name);
      if (!stored) throw new Error(`${folder} holds no tensor ${name}`);
      return { shape: stored.shape, data: toFloat32(stored) };
    },
  };
}

/** `[rows, columns]` → `[columns, rows]`. */
export function transpose({ shape, data }: Tensor): Tensor {
  const [rows = 0, columns = 0] = shape;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column] as number;
  }
  return { shape: [columns, rows], data: out };
}

/** The same outputs as one matrix: `[n_i, inputs]` below each other. */
export function stack(...parts: readonly Tensor[]): Tensor {
  const rows = parts.reduce((sum, { shape: [n = 0] }) => sum + n, 0);
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { shape: [rows, parts[0]?.shape[1] ?? 0], data };
}
