/**
 * The loss of given texts and its gradient with respect to every edge of a mask (interventions of kind `edge_mask`,
 * Circuit Breaking, arXiv 2309.05973; at a mask of ones the negative is edge attribution patching, arXiv 2310.10348).
 * Activations are differentiated, weights are not.
 */

import { MAX_ROWS } from "../../compile/lower-context.ts";
import { SluiceError, throwIfAborted } from "../../errors.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../../interventions/edges.ts";
import type { Destinations } from "../../interventions/stage.ts";
import { recordBackward } from "./backward.ts";
import { recordForward } from "./forward.ts";
import { type AttributionParts, placeModel } from "./model.ts";
import { Program } from "./program.ts";
import { Recorder } from "./recorder.ts";
import { ceil4, Workspace } from "./workspace.ts";

export type { AttributionParts } from "./model.ts";

export interface AttributionOptions {
  /** One attention input for each head, or one for each query head, key and value group. Default: `heads` where G = H. */
  readonly destinations?: Destinations;
  /** Most rows that are worked on at once; default: as many as the device's limits bear. */
  readonly chunkRows?: number;
  /** Bytes up to which all heads' outputs are kept and not made again for each layer; default 256 MiB. */
  readonly keptBytes?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (phase: "compile" | "run", done: number, total: number) => void;
}

/** Values with their shape, row-major. */
export interface ShapedValues {
  readonly data: ArrayLike<number>;
  readonly shape: readonly number[];
}

/** A mask and what a cut source is replaced with; both in canonical order (`src/interventions/edges.ts`). */
export interface MaskValues {
  /** `[n_dst, n_src]`, in [0, 1]; entries that are no edges are ignored. Default: ones. */
  readonly mask?: ShapedValues | undefined;
  /** `[n_src, d]`. Default: zeros. */
  readonly constants?: ShapedValues | undefined;
}

export interface EdgeGradient {
  /** Mean next-token cross-entropy over all predictions, in nats. */
  readonly loss: number;
  /** ∂loss/∂mask, `[n_dst, n_src]`; 0 where there is no edge. */
  readonly gradient: { readonly data: Float32Array<ArrayBuffer>; readonly shape: readonly [number, number] };
}

/** Texts made ready on the device, to be run under one mask after another. */
export class EdgeAttribution {
  readonly destinations: Destinations;
  readonly #parts: AttributionParts;
  readonly #program: Program;
  readonly #space: Workspace;

  private constructor(parts: AttributionParts, destinations: Destinations, program: Program, space: Workspace) {
    this.#parts = parts;
    this.destinations = destinations;
    this.#program = program;
    this.#space = space;
  }

  /**
   * Makes buffers, compiles kernels and records every dispatch.
   * @param texts token ids; each is a sequence of its own
   * @throws SluiceError `usage`, `bad_tokens`, `context_overflow`, `device_limit`, `aborted`, `gpu`
   */
  static async open(
    parts: AttributionParts,
    texts: readonly (readonly number[])[],
    { destinations: wanted, signal, onProgress, ...memory }: AttributionOptions = {},
  ): Promise<EdgeAttribution> {
    const { config, gpu, pipelines, pace } = parts;
    const shared = config.num_attention_heads !== config.num_key_value_heads;
    const destinations = wanted ?? (shared ? "qkv_groups" : "heads");
    checkDestinations(parts, destinations);
    throwIfAborted(signal);
    gpu.checkAlive();
    const program = new Program(gpu, pipelines, pace, MAX_ROWS);
    try {
      const bindingLimit = gpu.profile.limits.maxStorageBufferBindingSize;
      const space = new Workspace(program, config, destinations, texts, { ...memory, bindingLimit });
      const recorder = new Recorder(parts, placeModel(parts), space, program, destinations);
      recordForward(recorder);
      recordBackward(recorder);
      await program.seal((done, total) => onProgress?.("compile", done, total), signal);
      return new EdgeAttribution(parts, destinations, program, space);
    } catch (error) {
      program.dispose();
      throw error;
    }
  }

  /**
   * Loss and gradient under a mask.
   * @throws SluiceError `usage` for values of the wrong number or out of range, `non_finite`, `aborted`, `device_lost`
   */
  async run(
    values: MaskValues,
    options: Pick<AttributionOptions, "signal" | "onProgress"> = {},
  ): Promise<EdgeGradient> {
    const { counts, rows, gradient, losses } = this.#space;
    this.#write(values);
    const { signal, onProgress } = options;
    const [gradientBytes, lossBytes] = await this.#program.run({
      clear: [gradient.buffer],
      reads: [
        { buffer: gradient.buffer, byteLength: counts.destinations * counts.sources * 4 },
        { buffer: losses.buffer, byteLength: rows.total * 4 },
      ],
      signal,
      onProgress: (done, total) => onProgress?.("run", done, total),
    });
    const each = new Float32Array(lossBytes as ArrayBuffer);
    let sum = 0;
    let predictions = 0;
    rows.shares.forEach((share, row) => {
      if (share === 0) return;
      sum += each[row] as number;
      predictions++;
    });
    const result = new Float32Array(gradientBytes as ArrayBuffer);
    if (!Number.isFinite(sum) || !result.every(Number.isFinite)) {
      throw new SluiceError("non_finite", "The loss or its gradient is not finite", {
        hint: "The weights, or the constants of the mask, hold values that float32 cannot carry through the model.",
      });
    }
    const shape = [counts.destinations, counts.sources] as const;
    return { loss: sum / predictions, gradient: { data: result, shape } };
  }

  /** Frees the buffers. */
  dispose(): void {
    this.#program.dispose();
  }

  /** Writes the mask, the constants, and what the mask replaces at each destination. */
  #write(given: MaskValues): void {
    const { config } = this.#parts;
    const { counts, kappa, replaced, mask: maskBuffer } = this.#space;
    const { sources, destinations } = counts;
    const d = config.hidden_size;
    const stride = ceil4(d);
    const mask = checked("mask", given.mask, [destinations, sources], "[destinations, sources]");
    const constants = checked("constants", given.constants, [sources, d], "[sources, hidden_size]");
    const values = new Float32Array(destinations * sources).fill(1);
    const sums = new Float32Array(destinations * stride);
    for (const [index, destination] of listDestinations(config, this.destinations).entries()) {
      const sum = new Float64Array(d);
      for (let s = 0; s < visibleSources(config, destination); s++) {
        const m = mask ? (mask[index * sources + s] as number) : 1;
        if (!(m >= 0 && m <= 1)) {
          const source = listSources(config)[s];
          throw new SluiceError(
            "usage",
            `The mask is ${m} on the edge from ${source ? sourceName(source) : s} to ${destinationName(destination)}; it must be from 0 to 1`,
          );
        }
        values[index * sources + s] = m;
        if (constants && m < 1) {
          for (let i = 0; i < d; i++) sum[i] = (sum[i] as number) + (1 - m) * (constants[s * d + i] as number);
        }
      }
      sums.set(sum, index * stride);
    }
    const repl = new Float32Array(sources * stride);
    for (let i = 0; constants && i < constants.length; i++) {
      const value = constants[i] as number;
      if (!Number.isFinite(value))
        throw new SluiceError("usage", `constants hold ${value} for source ${Math.floor(i / d)}`);
      repl[Math.floor(i / d) * stride + (i % d)] = value;
    }
    this.#program.write(maskBuffer.buffer, values);
    this.#program.write(kappa.buffer, sums);
    this.#program.write(replaced.buffer, repl);
  }
}

function checkDestinations({ config }: AttributionParts, destinations: Destinations): void {
  const { num_attention_heads: H, num_key_value_heads: G } = config;
  if (destinations === "heads" && H !== G) {
    throw new SluiceError(
      "usage",
      `destinations "heads" needs as many key/value heads as heads; this model has ${G} and ${H}`,
      {
        hint: 'Use destinations "qkv_groups".',
      },
    );
  }
}

/** The values, if they are as many as there must be and finite where they are read. */
function checked(
  what: string,
  values: ShapedValues | undefined,
  shape: readonly [number, number],
  meaning: string,
): ArrayLike<number> | undefined {
  if (!values) return undefined;
  const fits = values.shape.length === 2 && values.shape.every((size, i) => size === shape[i]);
  if (!fits || values.data.length !== shape[0] * shape[1]) {
    throw new SluiceError(
      "usage",
      `${what} is [${values.shape.join(", ")}], and must be [${shape.join(", ")}] (${meaning}) for this model`,
    );
  }
  return values.data;
}
