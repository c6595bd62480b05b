/** Records the operations of an attribution, each for one chunk of rows: linear layers, norms, and what an edge mask sums. */

import { ropeTable } from "../architectures/rope.ts";
import { MAX_ROWS } from "../compile/lower-context.ts";
import type { Destinations } from "../interventions/stage.ts";
import { maskMix, maskProductSum, maskProducts, mixBegin, rowSums } from "../kernels/backward/edge-mask.ts";
import { backwardLinear, type OutputSpan, spanTable } from "../kernels/backward/linear.ts";
import { variantNorm } from "../kernels/backward/norm.ts";
import { type ArgValues, type Kernel, kernelFor } from "../kernels/kernel.ts";
import { type LinearEpilogue, linearKernels, MOST_PARTIAL_BYTES } from "../kernels/linear/linear.ts";
import { headSourcesKernel } from "../kernels/stages/head-sources.ts";
import type { AttributionParts, PlacedMatrix, PlacedModel, PlacedNorm } from "./model.ts";
import type { Bound, Recorded, Recording, Section } from "./program.ts";
import type { Chunk } from "./rows.ts";
import { stepOf, type Workspace } from "./workspace.ts";

/** Destinations whose inputs lie side by side: a layer's attention inputs, its MLP, or the logits. */
export interface DestinationGroup {
  readonly kind: "attention" | "mlp" | "logits";
  /** Canonical index of the first. */
  readonly first: number;
  readonly count: number;
}

/** Sources whose outputs lie side by side: the embedding, a layer's heads, or its MLP. */
export interface SourceGroup {
  readonly kind: "embed" | "heads" | "mlp";
  readonly layer: number;
  /** Canonical index of the first. */
  readonly first: number;
  readonly count: number;
}

/** What a linear layer runs on. */
interface LinearUse {
  readonly step: number;
  readonly rows: number;
  readonly epilogue: LinearEpilogue;
  readonly bind: Readonly<Record<string, Bound>>;
  readonly args?: ArgValues;
}

export class Recorder {
  readonly parts: AttributionParts;
  readonly model: PlacedModel;
  readonly space: Workspace;
  readonly destinations: Destinations;
  /** Table of rotations, for models that rotate. */
  readonly rope: Bound | undefined;
  readonly #program: Recording;
  readonly #params: Bound;
  #partials: Bound | undefined;

  constructor(
    parts: AttributionParts,
    model: PlacedModel,
    space: Workspace,
    program: Recording,
    destinations: Destinations,
  ) {
    const { rope, head_dim } = parts.config;
    if (rope) {
      const table = ropeTable(rope, head_dim, space.rows.longest);
      this.rope = { buffer: program.buffer("rope", table.byteLength) };
      program.write(this.rope.buffer, table);
    }
    this.parts = parts;
    this.model = model;
    this.space = space;
    this.destinations = destinations;
    this.#program = program;
    this.#params = { buffer: parts.weights.params };
  }

  /** A dispatch over a chunk's rows. */
  over(chunk: Chunk, kernel: Kernel, bind: Readonly<Record<string, Bound>>, args?: ArgValues): void {
    const { keys, count: rows } = chunk;
    this.#program.record({ kernel, step: stepOf(this.space, chunk), rows, keys, bind, ...(args && { args }) });
  }

  /** What is recorded from here on belongs to a part that runs may leave out. */
  begin(section: Section): void {
    this.#program.begin(section);
  }

  /** Adds a source group's rows to its sums. */
  addSums(chunk: Chunk, from: SourceGroup, outs: Bound, sums: Bound): void {
    const kernel = rowSums(this.#edges(), from.count);
    const args = { count: from.count, first: from.first, stride: this.space.variantStride };
    this.over(chunk, kernel, { input: outs, output: sums }, args);
  }

  /** A dispatch with a step, or a number of rows, of its own. */
  dispatch(dispatch: Recorded): void {
    this.#program.record(dispatch);
  }

  /** A step over some rows of a chunk, all of them out rows. */
  newStep(first: number, count: number): number {
    return this.#program.step(this.space.rows.step(first, count));
  }

  /** y = epilogue(input · Wᵀ + bias) */
  linear(matrix: PlacedMatrix, { step, rows, epilogue, bind, args = {} }: LinearUse): void {
    const { k: K, n: N, dtype, bias } = matrix;
    for (const { buffer, firstStrip, strips } of matrix.parts) {
      const grouped = epilogue.kind === "qkv";
      const shape = { K, N, strips, dtype, epilogue, bias: bias !== undefined, taps: [], grouped, maxRows: MAX_ROWS };
      const kernel = kernelFor(linearKernels(shape, this.parts), rows);
      this.#program.record({
        kernel,
        step,
        rows,
        args: { ...args, first_strip: firstStrip, ...(bias !== undefined && { bias }) },
        bind: {
          ...bind,
          ...(kernel.split && { partials: this.#partialSums() }),
          weights: { buffer },
          params: this.#params,
        },
      });
    }
  }

  /** What kernels that split their sums leave from one half to the other; all use it in turn. */
  #partialSums(): Bound {
    this.#partials ??= { buffer: this.#program.buffer("partials", MOST_PARTIAL_BYTES) };
    return this.#partials;
  }

  /** dx = dy·W for each variant of the input: the spans of outputs that read it. */
  linearGradient(
    matrix: PlacedMatrix,
    use: { readonly step: number; readonly rows: number; readonly gradient: Bound; readonly output: Bound },
    variants: readonly (readonly OutputSpan[])[] = [[[0, matrix.n]]],
  ): void {
    const { step, rows, gradient, output } = use;
    for (const [i, { buffer, firstStrip, strips }] of matrix.parts.entries()) {
      this.#program.record({
        kernel: backwardLinear({ ...this.#gradientShape(matrix, strips), reads: { kind: "spans", variants } }, rows),
        step,
        rows,
        args: {
          first_strip: firstStrip,
          accumulate: i > 0 ? 1 : 0,
          grad_stride: 0,
          out_stride: this.space.variantStride,
          spans: spanTable(variants),
        },
        bind: { weights: { buffer }, gradient, output },
      });
    }
  }

  /** Norms a group's inputs, or turns dy into the gradient of its inputs. */
  norm(
    chunk: Chunk,
    norm: PlacedNorm,
    variants: number,
    bind: { input: Bound; gradient?: Bound; output: Bound },
  ): void {
    const { gain, bias, eps } = norm;
    const shape = { kind: norm.kind, width: this.space.config.hidden_size, maxRows: MAX_ROWS };
    const kernel = variantNorm(shape, bind.gradient ? "gradient" : "forward", variants);
    const stride = this.space.variantStride;
    const { input, gradient, output } = bind;
    const buffers = { input, output, params: this.#params, ...(gradient && { gradient }) };
    this.over(chunk, kernel, buffers, { gain, bias, stride, eps });
  }

  /** Canonical index of a layer's attention inputs, MLP, or of the logits. */
  destinationsOf(kind: DestinationGroup["kind"], layer = this.model.layers.length): DestinationGroup {
    const { inputs } = this.space.counts;
    const first = layer * (inputs + 1);
    if (kind === "attention") return { kind, first, count: inputs };
    return { kind, first: kind === "mlp" ? first + inputs : first, count: 1 };
  }

  headsOf(layer: number): SourceGroup {
    const H = this.space.config.num_attention_heads;
    return { kind: "heads", layer, first: 1 + layer * (H + 1), count: H };
  }

  /** The sources before a layer's attention, in canonical order; for the number of layers: all. */
  sourcesBefore(layer: number): readonly SourceGroup[] {
    const groups: SourceGroup[] = [{ kind: "embed", layer: 0, first: 0, count: 1 }];
    for (let l = 0; l < layer; l++) {
      const heads = this.headsOf(l);
      groups.push(heads, { kind: "mlp", layer: l, first: heads.first + heads.count, count: 1 });
    }
    return groups;
  }

  /** Where a group's outputs are. Those of heads are made here unless they are kept. */
  written(group: SourceGroup, chunk: Chunk): Bound {
    const { space } = this;
    if (group.kind === "embed") return space.embed[chunk.index] as Bound;
    if (group.kind === "mlp") return at(space.mlpOut, group.layer, chunk);
    if (!space.headsKept) this.makeHeads(group.layer, chunk);
    return at(space.headOuts, group.layer, chunk);
  }

  /** z_h·W_O[h] + b_O/H of every head of a layer. */
  makeHeads(layer: number, chunk: Chunk): void {
    const { space } = this;
    const { num_attention_heads: heads, head_dim, hidden_size: width } = space.config;
    const { output } = this.layer(layer);
    for (const { buffer, firstStrip, strips } of output.parts) {
      const bias = output.bias !== undefined;
      const shape = { heads, head_dim, width, strips, dtype: output.dtype, bias, maxRows: MAX_ROWS };
      this.over(
        chunk,
        headSourcesKernel(shape, heads),
        {
          weights: { buffer },
          z: at(space.z, layer, chunk),
          params: this.#params,
          stages: space.headList,
          sources: at(space.headOuts, layer, chunk),
        },
        { first_strip: firstStrip, bias: output.bias ?? 0, heads: 0, slot_stride: space.variantStride },
      );
    }
  }

  /** x_D ← (κ_D, or x_D as it is) + Σ_s m[D,s]·out_s */
  addSources(chunk: Chunk, to: DestinationGroup, from: SourceGroup, outs: Bound, output: Bound): void {
    const { space } = this;
    this.over(
      chunk,
      maskMix(this.#edges(), to.count, from.count),
      { input: outs, mask: space.mask, kappa: space.kappa, output },
      {
        begin: from.kind === "embed" ? mixBegin.constant : mixBegin.output,
        outputs: to.count,
        inputs: from.count,
        weight: to.first * space.counts.sources + from.first,
        weight_out: space.counts.sources,
        weight_in: 1,
        constant: to.first,
        stride_out: space.variantStride,
        stride_in: space.variantStride,
        ...this.#masks(),
      },
    );
  }

  /** ∂L/∂m[D,s] += Σ_rows ⟨dx_D, out_s − repl_s⟩ */
  addMaskGradient(chunk: Chunk, to: DestinationGroup, from: SourceGroup, outs: Bound, dx: Bound): void {
    const { space } = this;
    const pair = { destinations: to.count, sources: from.count };
    const replacement = ["attention", "mlp", "logits"].indexOf(to.kind) * space.counts.sources + from.first;
    this.over(
      chunk,
      maskProducts(this.#edges(), to.count, from.count),
      { gradient: dx, written: outs, replaced: space.replaced, output: space.products },
      { ...pair, first_source: replacement, stride_dst: space.variantStride, stride_src: space.variantStride },
    );
    this.over(
      chunk,
      maskProductSum(this.#edges(), to.count, from.count),
      { products: space.products, output: space.gradient },
      { ...pair, first_destination: to.first, first_source: from.first },
    );
  }

  /** g_s ← (0, or g_s as it is) + Σ_D m[D,s]·dx_D */
  addDestinations(
    chunk: Chunk,
    to: SourceGroup,
    from: DestinationGroup,
    dx: Bound,
    output: Bound,
    begin: "zero" | "output",
  ): void {
    const { space } = this;
    this.over(
      chunk,
      maskMix(this.#edges(), to.count, from.count),
      { input: dx, mask: space.mask, kappa: space.kappa, output },
      {
        begin: mixBegin[begin],
        outputs: to.count,
        inputs: from.count,
        weight: from.first * space.counts.sources + to.first,
        weight_out: 1,
        weight_in: space.counts.sources,
        constant: 0,
        stride_out: space.variantStride,
        stride_in: space.variantStride,
        ...this.#masks(),
      },
    );
  }

  /** dz_h (+)= g_h·W_O[h] for every head of a layer. */
  headsGradient(layer: number, chunk: Chunk, begin: "zero" | "output"): void {
    const { space } = this;
    const { num_attention_heads: heads, head_dim } = space.config;
    const matrix = this.layer(layer).output;
    for (const [i, { buffer, firstStrip, strips }] of matrix.parts.entries()) {
      const reads = { kind: "heads", heads, head_dim } as const;
      this.over(
        chunk,
        backwardLinear({ ...this.#gradientShape(matrix, strips), reads }, chunk.count),
        { weights: { buffer }, gradient: space.headGradients, output: at(space.dz, layer, chunk) },
        {
          first_strip: firstStrip,
          accumulate: begin === "output" || i > 0 ? 1 : 0,
          grad_stride: space.variantStride,
          out_stride: 0,
        },
      );
    }
  }

  #gradientShape({ k: K, n: N, dtype }: PlacedMatrix, strips: number) {
    return { K, N, strips, dtype, maxRows: MAX_ROWS, anyShape: this.parts.family === "register" };
  }

  layer(index: number): PlacedModel["layers"][number] {
    return this.model.layers[index] as PlacedModel["layers"][number];
  }

  /** Which mask acts on a row. */
  #masks(): ArgValues {
    const { counts, texts } = this.space;
    return { texts, mask_stride: counts.destinations * counts.sources, kappa_stride: counts.destinations };
  }

  #edges(): { readonly width: number; readonly sources: number; readonly maxRows: number } {
    return { width: this.space.config.hidden_size, sources: this.space.counts.sources, maxRows: MAX_ROWS };
  }
}

/** A layer's buffer of a chunk. */
export function at(buffers: readonly (readonly Bound[])[], layer: number, { index }: Chunk): Bound {
  return buffers[layer]?.[index] as Bound;
}
