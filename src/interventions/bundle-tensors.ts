/** The tensors of one stage, read by name, with their shapes and values checked. */

import type { SluiceError } from "../errors.ts";
import { float32View, toFloat32 } from "../formats/safetensors.ts";
import type { Bundle } from "./bundle-types.ts";
import type { TensorSpec } from "./kinds/stage-kind.ts";
import { refuse } from "./manifest-fields.ts";

const FLOATS: readonly string[] = ["F32", "F16", "BF16"];

/** What a tensor is for, in errors, and the sizes that it must have; null leaves one open. */
export type ExpectedShape = readonly (number | null)[];

export class StageTensors {
  readonly #bundle: Bundle;
  readonly #id: string;
  readonly #shares: boolean;

  /** @param shares float32 tensors are the bundle's own memory: for what is described and let go */
  constructor(bundle: Bundle, id: string, shares = false) {
    this.#bundle = bundle;
    this.#id = id;
    this.#shares = shares;
  }

  has(suffix: string): boolean {
    return this.#bundle.tensors.has(`${this.#id}.${suffix}`);
  }

  /**
   * Sizes and values of a tensor, which must be there.
   * @param finite must every value be finite? A mask may hold anything where there is no edge
   * @throws `bad_bundle`
   */
  read(suffix: string, expected: ExpectedShape, finite = true): { shape: readonly number[]; data: Float32Array } {
    const tensor = this.#bundle.tensors.get(`${this.#id}.${suffix}`);
    if (!tensor) throw this.refuse(suffix, "is missing");
    const { dtype, shape } = tensor;
    if (!FLOATS.includes(dtype)) throw this.refuse(suffix, `is of dtype ${dtype}, not F32, F16 or BF16`);
    const fits =
      shape.length === expected.length &&
      shape.every((size, axis) => size === (expected[axis] ?? size)) &&
      !shape.includes(0);
    if (!fits) {
      const wanted = expected.map((size) => size ?? "r").join(", ");
      throw this.refuse(suffix, `has shape [${shape.join(", ")}], not [${wanted}]`);
    }
    const data = (this.#shares && float32View(tensor)) || toFloat32(tensor);
    const bad = finite ? data.findIndex((value) => !Number.isFinite(value)) : -1;
    if (bad >= 0) throw this.refuse(suffix, `holds ${data[bad]} at index ${bad}; every value must be finite`);
    return { shape, data };
  }

  /**
   * A layer's tensors by name.
   * @param width of the site
   * @param needs what needs a tensor that may not be all zeros
   */
  ofLayer(
    layer: number,
    specs: Readonly<Record<string, TensorSpec>>,
    width: number,
    needs: string,
  ): Readonly<Record<string, Float32Array>> {
    const found: Record<string, Float32Array> = {};
    let rank: number | null = null;
    for (const [name, { shape, optional, nonzero }] of Object.entries(specs)) {
      const suffix = `${layer}.${name}`;
      if (optional && !this.has(suffix)) continue;
      const tensor = this.read(suffix, { row: [width], rows: [rank, width], rank: [rank] }[shape]);
      if (shape === "rows") rank = tensor.shape[0] as number;
      if (nonzero && tensor.data.every((value) => value === 0)) {
        throw this.refuse(suffix, `is zero; ${needs} needs a ${name}`);
      }
      found[name] = tensor.data;
    }
    const [first, ...others] = Object.keys(specs);
    if (first === undefined || Object.keys(found).length > 0) return found;
    const rest = others.map((name) => `, and so is ${this.#id}.${layer}.${name}`).join("");
    throw this.refuse(`${layer}.${first}`, `is missing${rest}`);
  }

  /** Values of a tensor, or undefined if there is none. */
  optional(suffix: string, expected: ExpectedShape): Float32Array | undefined {
    return this.has(suffix) ? this.read(suffix, expected).data : undefined;
  }

  /** The error for a tensor of this stage. */
  refuse(suffix: string, problem: string, hint?: string): SluiceError {
    const where = `${this.#bundle.file}: stage "${this.#id}"`;
    return refuse(where, `tensor ${this.#id}.${suffix}`, problem, hint);
  }
}
