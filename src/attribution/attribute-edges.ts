/**
 * The loss of given texts and its gradient with respect to every edge of a mask (interventions of kind `edge_mask`,
 * Circuit Breaking, arXiv 2309.05973; at a mask of ones the negative is edge attribution patching, arXiv 2310.10348).
 * Activations are differentiated, weights are not.
 */

import { entry, options } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { isList, listOf } from "../arguments/lists.ts";
import { test } from "../arguments/rule.ts";
import { callback, finite, oneOf, signal, whole } from "../arguments/rules.ts";
import { MAX_ROWS } from "../compile/lower-context.ts";
import { SluiceError, throwIfAborted } from "../errors.ts";
import { replacements } from "../interventions/arguments.ts";
import type { Destinations } from "../interventions/stage.ts";
import { ceil4 } from "../numbers/round-up.ts";
import { recordBackward } from "./backward.ts";
import { recordForward, recordSums } from "./forward.ts";
import { type MaskTables, type MaskValues, maskTables, type ShapedValues } from "./mask-tables.ts";
import { type AttributionParts, placeModel } from "./model.ts";
import { Program, type RunOptions } from "./program.ts";
import { Recorder } from "./recorder.ts";
import { packRows } from "./rows.ts";
import { makeWorkspace, type Workspace } from "./workspace.ts";

export type { MaskValues, ShapedValues } from "./mask-tables.ts";
export type { AttributionParts } from "./model.ts";

/** Options of attributing the loss on texts to edges. */
export interface AttributionOptions {
  /** One attention input for each head, or one for each query head, key and value group. Default: `heads` where G = H. */
  readonly destinations?: Destinations;
  /** Masks that {@link EdgeAttribution.losses} takes at once; with more than one there are no gradients. Default: 1. */
  readonly masks?: number;
  /** Position of the first token of each text whose prediction counts in the loss; default 1, all that can be. */
  readonly scoreFrom?: number;
  /** Most rows that are worked on at once; default: as many as the device's limits bear. */
  readonly chunkRows?: number;
  /** Bytes up to which all heads' outputs are kept and not made again for each layer; default 256 MiB. */
  readonly keptBytes?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Called with pipelines compiled, then dispatches run, of how many. */
  readonly onProgress?: (phase: "compile" | "run", done: number, total: number) => void;
}

/** Of a single run. */
export type AttributionRun = Pick<AttributionOptions, "signal" | "onProgress">;

/** The loss under a mask, and its gradient by every edge. */
export interface EdgeGradient {
  /** Mean next-token cross-entropy over all predictions that count, in nats. */
  readonly loss: number;
  /** ∂loss/∂mask, `[n_dst, n_src]`; 0 where there is no edge. */
  readonly gradient: { readonly data: Float32Array<ArrayBuffer>; readonly shape: readonly [number, number] };
}

const values = fields<ShapedValues>("values { data, shape }")({
  data: needed(test<ArrayLike<number>>("a list of numbers", isList)),
  shape: needed(listOf(whole({ least: 0 }))),
});
/** Rules of what a mask is run with. */
export const maskFields = { mask: values, constants: values, replace: replacements };
const maskValues = fields<MaskValues>("mask values { mask, constants, replace }")(maskFields);
const onProgress = callback<NonNullable<AttributionOptions["onProgress"]>>();
/** Rules of an attribution's options. */
export const attributionFields = {
  destinations: oneOf<Destinations>(["heads", "qkv_groups"]),
  masks: whole({ least: 1 }),
  scoreFrom: whole({ least: 1 }),
  chunkRows: whole({ least: 1 }),
  keptBytes: finite({ least: 0 }),
  signal,
  onProgress,
};
const runOptions = options(fields<AttributionRun>()({ signal, onProgress }));

export const attributionDoors = {
  run: entry("attribution.run", ["values", maskValues], runOptions),
  losses: entry("attribution.losses", ["values", listOf(maskValues)], runOptions),
  means: entry("attribution.means", runOptions),
};

/** Texts made ready on the device, to be run under one mask after another. One run at a time: a second is refused. */
export class EdgeAttribution {
  /** How finely attention's inputs are told apart. */
  readonly destinations: Destinations;
  /** How many masks {@link losses} takes. */
  readonly masks: number;
  readonly #parts: AttributionParts;
  readonly #program: Program;
  readonly #space: Workspace;
  /** What the last finished run left on the device; layers before the first difference need not run again. */
  #last: readonly MaskTables[] | undefined;
  /** A run is under way: its mask lies on the device until its last submit, and a second run would overwrite it. */
  #busy = false;

  private constructor(parts: AttributionParts, destinations: Destinations, program: Program, space: Workspace) {
    this.#parts = parts;
    this.destinations = destinations;
    this.masks = space.masks;
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
    { destinations: wanted, masks = 1, signal, onProgress, ...memory }: AttributionOptions = {},
  ): Promise<EdgeAttribution> {
    const { config, gpu, pipelines, pace } = parts;
    const destinations = destinationsOf(parts, wanted);
    throwIfAborted(signal);
    gpu.checkAlive();
    const program = new Program(gpu, pipelines, pace, MAX_ROWS);
    try {
      const bindingLimit = gpu.profile.limits.maxStorageBufferBindingSize;
      const space = makeWorkspace(program, config, destinations, texts, { ...memory, masks, bindingLimit });
      const recorder = new Recorder(parts, placeModel(parts), space, program, destinations);
      recordForward(recorder);
      recordBackward(recorder);
      if (space.differentiates) recordSums(recorder);
      await program.seal((done, total) => onProgress?.("compile", done, total), signal);
      return new EdgeAttribution(parts, destinations, program, space);
    } catch (error) {
      program.dispose();
      throw error;
    }
  }

  /**
   * Loss and gradient under a mask.
   * @throws SluiceError `usage` for values of the wrong shape or out of range, or if several masks are taken;
   *   `busy` while another run is under way; `non_finite`, `aborted`, `device_lost`
   */
  async run(values: MaskValues, options: AttributionRun = {}): Promise<EdgeGradient> {
    const [mask, run] = attributionDoors.run.read(values, options);
    this.#checkDifferentiates();
    const { counts, gradient } = this.#space;
    const byteLength = counts.destinations * counts.sources * 4;
    const { losses, bytes } = await this.#run([mask], ["loss", "gradient"], [{ ...gradient, byteLength }], run);
    const data = new Float32Array(bytes);
    if (!data.every(Number.isFinite)) throw notFinite("gradient of the loss");
    return {
      loss: losses[0] as number,
      gradient: { data, shape: [counts.destinations, counts.sources] },
    };
  }

  /**
   * The loss under each of up to `masks` masks. Equal masks give equal bits, whatever other masks there are.
   * @throws SluiceError as {@link run}
   */
  async losses(values: readonly MaskValues[], options: AttributionRun = {}): Promise<readonly number[]> {
    const [masks, run] = attributionDoors.losses.read(values, options);
    if (masks.length === 0 || masks.length > this.masks) {
      throw new SluiceError("usage", `${masks.length} masks were given, where 1 to ${this.masks} are taken`);
    }
    const filled = Array.from({ length: this.masks }, (_, i) => masks[i] ?? (masks[0] as MaskValues));
    const { losses } = await this.#run(filled, ["loss"], [], run);
    return losses.slice(0, masks.length);
  }

  /**
   * The mean of what each source writes, over all tokens of the texts, without a mask: `[n_src, d]`.
   * @throws SluiceError as {@link run}
   */
  async means(
    options: AttributionRun = {},
  ): Promise<{ readonly data: Float32Array<ArrayBuffer>; readonly shape: readonly [number, number] }> {
    const [run] = attributionDoors.means.read(options);
    this.#checkDifferentiates();
    const { counts, rows, sums } = this.#space;
    const d = this.#parts.config.hidden_size;
    const stride = ceil4(d);
    const reads = [{ ...sums, byteLength: counts.sources * stride * 4 }];
    const { bytes } = await this.#run([{}], ["loss", "sums"], reads, run);
    const totals = new Float32Array(bytes);
    const data = new Float32Array(counts.sources * d);
    for (let i = 0; i < data.length; i++) {
      data[i] = (totals[Math.floor(i / d) * stride + (i % d)] as number) / rows.total;
    }
    return { data, shape: [counts.sources, d] };
  }

  /** Bytes of the device that it holds. */
  get bytes(): number {
    return this.#program.bytes;
  }

  /** Frees the buffers. */
  dispose(): void {
    this.#program.dispose();
  }

  async #run(
    values: readonly MaskValues[],
    parts: RunOptions["parts"],
    reads: RunOptions["reads"],
    options: AttributionRun,
  ): Promise<{ readonly losses: readonly number[]; readonly bytes: ArrayBuffer }> {
    if (this.#busy) {
      throw new SluiceError("busy", "This attribution is running under another mask already", {
        hint: "Wait for that run, take several masks at once (losses), or open another attribution.",
      });
    }
    this.#busy = true;
    try {
      return await this.#runAlone(values, parts, reads, options);
    } finally {
      this.#busy = false;
    }
  }

  async #runAlone(
    values: readonly MaskValues[],
    parts: RunOptions["parts"],
    reads: RunOptions["reads"],
    { signal, onProgress }: AttributionRun,
  ): Promise<{ readonly losses: readonly number[]; readonly bytes: ArrayBuffer }> {
    const { rows, gradient, sums, losses, masks } = this.#space;
    const tables = values.map((mask) => maskTables(this.#parts.config, this.destinations, mask));
    const from = this.#firstChange(tables);
    this.#last = undefined;
    this.#write(tables);
    const [lossBytes, ...others] = await this.#program.run({
      parts,
      from,
      clear: [gradient.buffer, sums.buffer],
      reads: [{ ...losses, byteLength: rows.total * 4 }, ...reads],
      signal,
      onProgress: (done, total) => onProgress?.("run", done, total),
    });
    this.#last = tables;
    const each = new Float32Array(lossBytes as ArrayBuffer);
    const perMask = rows.total / masks;
    const means = tables.map((_, mask) => meanLoss(each, rows.shares, mask * perMask, (mask + 1) * perMask));
    if (!means.every(Number.isFinite)) throw notFinite("loss");
    return { losses: means, bytes: others[0] ?? new ArrayBuffer(0) };
  }

  /** The first layer whose inputs may be other than in the last run: all kept values before it hold. */
  #firstChange(tables: readonly MaskTables[]): number {
    const { counts, masks } = this.#space;
    const last = this.#last;
    const none = this.#parts.config.num_hidden_layers;
    if (!last || masks !== tables.length) return -1;
    const layers = tables.map(({ values, kappa }, mask) => {
      const before = last[mask] as MaskTables;
      const width = ceil4(this.#parts.config.hidden_size);
      const places = [
        Math.floor(firstDifference(values, before.values) / counts.sources),
        Math.floor(firstDifference(kappa, before.kappa) / width),
      ];
      return Math.floor(Math.min(...places) / (counts.inputs + 1));
    });
    return Math.min(none, ...layers);
  }

  #write(tables: readonly MaskTables[]): void {
    const { mask, kappa, replaced } = this.#space;
    this.#program.write(mask.buffer, concatenate(tables.map(({ values }) => values)));
    this.#program.write(kappa.buffer, concatenate(tables.map(({ kappa: sums }) => sums)));
    if (this.#space.differentiates) this.#program.write(replaced.buffer, (tables[0] as MaskTables).replaced);
  }

  #checkDifferentiates(): void {
    if (this.#space.differentiates) return;
    throw new SluiceError("usage", `With ${this.masks} masks side by side there are losses alone, no gradients`);
  }
}

/** Over rows [first, end) that predict something. */
function meanLoss(losses: Float32Array, shares: Float32Array, first: number, end: number): number {
  let sum = 0;
  let predictions = 0;
  for (let row = first; row < end; row++) {
    if (shares[row] === 0) continue;
    sum += losses[row] as number;
    predictions++;
  }
  return sum / predictions;
}

/** Infinity if all are equal. */
function firstDifference(a: Float32Array, b: Float32Array): number {
  const index = a.findIndex((value, i) => value !== b[i]);
  return index < 0 ? Infinity : index;
}

function concatenate(parts: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function notFinite(what: string): SluiceError {
  return new SluiceError("non_finite", `The ${what} is not finite`, {
    hint: "The weights, or the constants of the mask, hold values that float32 cannot carry through the model.",
  });
}

/**
 * Refuses what {@link EdgeAttribution.open} would refuse, as far as that can be told without the device.
 * @throws SluiceError `usage`, `bad_tokens`, `context_overflow`
 */
export function checkAttributable(
  parts: AttributionParts,
  texts: readonly (readonly number[])[],
  { destinations, scoreFrom = 1 }: Pick<AttributionOptions, "destinations" | "scoreFrom">,
): void {
  destinationsOf(parts, destinations);
  packRows(texts, { ...parts.config, chunkRows: MAX_ROWS, scoreFrom });
  placeModel(parts);
}

/** @throws SluiceError `usage` for destinations that the model does not have */
function destinationsOf({ config }: AttributionParts, wanted: Destinations | undefined): Destinations {
  const { num_attention_heads: H, num_key_value_heads: G } = config;
  if (wanted === "heads" && H !== G) {
    throw new SluiceError(
      "usage",
      `destinations "heads" needs as many key/value heads as heads; this model has ${G} and ${H}`,
      { hint: 'Use destinations "qkv_groups".' },
    );
  }
  return wanted ?? (H === G ? "heads" : "qkv_groups");
}
