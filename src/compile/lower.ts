/**
 * Lowering: fused operations become dispatches. Chooses kernels, places activations, lays out captures and
 * connects every binding. A pure function; asking for the plan of a session costs a few milliseconds.
 */
import { SluiceError } from "../errors.ts";
import type { StoredDtype } from "../formats/checkpoint.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { type Composition, noStages } from "../interventions/stage.ts";
import { argmaxKernels } from "../kernels/argmax.ts";
import { attentionKernels, patternKernel } from "../kernels/attention.ts";
import { crossEntropyKernels } from "../kernels/cross-entropy.ts";
import { embedKernel } from "../kernels/embed.ts";
import { headSourcesKernel } from "../kernels/head-sources.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import { type LinearEpilogue, linearKernels, type WeightDtype } from "../kernels/linear.ts";
import { type NormShape, normKernels } from "../kernels/norm.ts";
import { editedNormKernel } from "../kernels/norm-edited.ts";
import { sampleKernel, seenWords } from "../kernels/sample.ts";
import { ActivationPlanner } from "./activations.ts";
import { CaptureLayout } from "./captures.ts";
import {
  type FusedAttention,
  type FusedEmbed,
  type FusedHeadSources,
  type FusedLinear,
  type FusedNorm,
  type FusedOp,
  type NormEdit,
  writtenBy,
} from "./fused.ts";
import type { BufferRole, Dispatch, Plan } from "./plan.ts";
import { SourceSlots } from "./source-slots.ts";
import { StageLowering, type StagePart } from "./stage-lowering.ts";
import { linearSources, tableSource, vectorSource, type WeightLayout } from "./weight-layout.ts";

/** MAX_ROWS of the step uniform: the largest chunk of rows that one step can carry. */
export const MAX_ROWS = 256;

/** Logits of one step take at most so many bytes: far below the binding limit, enough to keep the head busy. */
const LOGITS_BYTES = 32 << 20;

export interface LowerOptions {
  readonly family: KernelFamily;
  /** One summation class per matrix for every number of rows. */
  readonly reference: boolean;
  readonly sequences: number;
  /** Positions per sequence. */
  readonly capacity: number;
  /** Cache rows of each layer; default: enough for all sequences to be full. */
  readonly slots?: number;
  /** Sites to capture. */
  readonly captures?: readonly string[];
  readonly maxStorageBufferBindingSize: number;
  /** The stages that the graph was rewritten for; default: none. */
  readonly composition?: Composition;
}

/**
 * @throws SluiceError `device_limit` where a buffer would exceed what the device can bind, `usage` for a site that
 *   the model does not have
 */
export function lower(graph: Graph, ops: readonly FusedOp[], layout: WeightLayout, options: LowerOptions): Plan {
  return new Lowering(graph, ops, layout, options).run();
}

class Lowering {
  readonly #graph: Graph;
  readonly #ops: readonly FusedOp[];
  readonly #layout: WeightLayout;
  readonly #options: LowerOptions;
  readonly #captures: CaptureLayout;
  readonly #activations: ActivationPlanner;
  readonly #stages: StageLowering;
  readonly #slots: number;
  readonly #chunkRows: number;
  readonly #chunkOuts: number;

  constructor(graph: Graph, ops: readonly FusedOp[], layout: WeightLayout, options: LowerOptions) {
    this.#graph = graph;
    this.#ops = ops;
    this.#layout = layout;
    this.#options = options;
    const { capacity, sequences, maxStorageBufferBindingSize: limit } = options;
    this.#slots = options.slots ?? sequences * capacity;
    const sources = new SourceSlots(ops);
    const rows = Math.min(
      MAX_ROWS,
      this.#slots,
      sources.chunkRows(graph.config.hidden_size, limit),
      mostRows(ops, limit),
    );
    const logitsRow = ceil4(graph.config.vocab_size) * 4;
    const outs = Math.max(1, Math.min(rows, Math.floor(Math.min(LOGITS_BYTES, limit) / logitsRow)));
    // When capturing, every row is an out row, since the last stream and the final norm are known of those alone.
    const captures = options.captures ?? [];
    this.#captures = new CaptureLayout(graph, ops, captures, {
      rows: captures.length > 0 ? outs : rows,
      keys: capacity,
      limit,
    });
    this.#chunkRows = this.#captures.chunkRows;
    this.#chunkOuts = Math.min(outs, this.#chunkRows);
    this.#activations = new ActivationPlanner(ops, {
      rows: this.#chunkRows,
      outs: this.#chunkOuts,
      logits: graph.logits,
      limit,
    });
    this.#stages = new StageLowering(ops, sources, {
      config: graph.config,
      composition: options.composition ?? noStages,
      sequences,
      chunkRows: this.#chunkRows,
      outputBias: (layer) => this.#outputBias(layer),
    });
  }

  run(): Plan {
    const { config } = this.#graph;
    const { sequences, capacity, family, reference } = this.#options;
    const body: Dispatch[] = [];
    const finalNorm: Dispatch[] = [];
    const head: Dispatch[] = [];
    for (const op of this.#ops) {
      if (op.kind === "embed") body.push(...this.#embed(op));
      else if (op.kind === "norm") (op.selectsOuts ? finalNorm : body).push(this.#norm(op));
      else if (op.kind === "head_sources") body.push(...this.#headSources(op));
      else if (op.kind === "attention") body.push(...this.#attention(op));
      else (op.epilogue.out === this.#graph.logits ? head : body).push(...this.#linear(op));
    }
    const cacheRowBytes = ceil4(config.num_key_value_heads * config.head_dim) * 4;
    this.#checkCache(cacheRowBytes);
    const { image, sourceBytes } = this.#stages;
    return {
      family,
      reference,
      maxRows: MAX_ROWS,
      chunkRows: this.#chunkRows,
      chunkOuts: this.#chunkOuts,
      sequences,
      capacity,
      slots: this.#slots,
      body,
      finalNorm,
      head,
      tails: this.#tails(),
      activations: this.#activations.byteLengths,
      logits: { index: this.#activations.indexOf(this.#graph.logits), stride: ceil4(config.vocab_size) },
      ...(image && { stages: { image, sourceBytes } }),
      captures: this.#captures.regions,
      captureBytes: this.#captures.byteLength,
      seenWords: seenWords(config.vocab_size),
      cacheRowBytes,
      layers: config.num_hidden_layers,
    };
  }

  /** One dispatch for each part of the table; rows of other parts are left alone. */
  #embed(op: FusedEmbed): Dispatch[] {
    const { config } = this.#graph;
    const table = this.#layout.matrix(tableSource(op.tokens));
    const positions = op.positions && this.#layout.matrix(tableSource(op.positions));
    if (positions && positions.parts.length > 1) {
      throw new SluiceError(
        "device_limit",
        `The position table (${op.positions?.tensor}) exceeds what this device can bind at once`,
        {
          hint: "No model in circulation does; use a device with a larger maxStorageBufferBindingSize.",
        },
      );
    }
    const taps = this.#captures.tapsOf(op);
    const stages = this.#stages.partOf(op);
    return table.parts.map((part, i) => ({
      ...naming(stages),
      label: table.parts.length > 1 ? `${op.label} ${i + 1}/${table.parts.length}` : op.label,
      layer: op.layer,
      rows: "rows",
      readsCache: false,
      candidates: [
        {
          maxRows: Infinity,
          kernel: embedKernel({
            width: config.hidden_size,
            vocab: config.vocab_size,
            wte: kernelDtype(table.dtype),
            ...(positions && { wpe: kernelDtype(positions.dtype) }),
            taps: taps.names,
            ...(op.source !== undefined && { sourced: true }),
            maxRows: MAX_ROWS,
          }),
        },
      ],
      args: { first_row: part.firstStrip * 4, row_count: part.strips * 4, ...taps.args, ...stages.args },
      bind: {
        tokens: { role: "tokens" },
        wte: { role: "weights", part: part.index },
        ...(positions && { wpe: { role: "weights", part: positions.parts[0]?.index ?? 0 } }),
        output: this.#activation(op.out),
        capture: { role: "capture" },
        ...stages.bind,
      },
    }));
  }

  #norm(op: FusedNorm): Dispatch {
    const taps = this.#captures.tapsOf(op);
    const edited = op.edit && this.#editedNorm(op, op.edit, taps.names);
    return {
      ...naming(edited?.part),
      label: op.label,
      layer: op.layer,
      rows: op.selectsOuts ? "outs" : "rows",
      readsCache: false,
      candidates: edited?.candidates ?? normKernels({ ...normShape(op), taps: taps.names }, this.#options),
      args: {
        gain: this.#layout.vectorOffset(vectorSource(op.gain)),
        bias: op.bias ? this.#layout.vectorOffset(vectorSource(op.bias)) : 0,
        eps: op.eps,
        ...taps.args,
        ...edited?.part.args,
      },
      bind: {
        input: this.#activation(op.input),
        params: { role: "params" },
        output: this.#activation(op.out),
        capture: { role: "capture" },
        ...edited?.part.bind,
      },
    };
  }

  /** The kernel of a norm whose rows stages edit, and what it takes besides. */
  #editedNorm(
    op: FusedNorm,
    edit: NormEdit,
    taps: readonly string[],
  ): { readonly candidates: Dispatch["candidates"]; readonly part: StagePart } {
    const { slots, ranks } = this.#stages;
    const part = this.#stages.normPart(op, this.#activations.variantStride(op.out) / 16, taps.includes("out"));
    const shape = {
      ...normShape(op),
      taps,
      // Of all norms, so that they share a kernel; what a norm does not have it binds its input in place of.
      deltas: this.#ops.some((other) => other.kind === "norm" && other.edit?.delta !== undefined),
      sourced: slots.count > 0,
      tracked: slots.tracked,
      ranks,
    };
    return {
      candidates: [{ maxRows: Infinity, kernel: editedNormKernel(shape, part.variants, this.#options) }],
      part: {
        ...part,
        bind: {
          ...part.bind,
          delta: this.#activation(edit.delta?.value ?? op.input),
          stream: edit.stream
            ? this.#activation(edit.stream)
            : { role: "activation", index: (this.#unwritten ??= this.#activations.scratch(16)) },
        },
      },
    };
  }

  /** Bound where an edited norm leaves the stream as it is. */
  #unwritten: number | undefined;

  /** One dispatch for each part of the output projection. */
  #headSources(op: FusedHeadSources): Dispatch[] {
    const { num_attention_heads: heads, head_dim, hidden_size: width } = this.#graph.config;
    const matrix = this.#layout.matrix(tableSource(op.weight));
    const stages = this.#stages.partOf(op);
    return matrix.parts.map((part, i) => ({
      ...naming(stages),
      label: matrix.parts.length > 1 ? `${op.label} ${i + 1}/${matrix.parts.length}` : op.label,
      layer: op.layer,
      rows: "rows",
      readsCache: false,
      candidates: [
        {
          maxRows: Infinity,
          kernel: headSourcesKernel(
            {
              heads,
              head_dim,
              width,
              strips: part.strips,
              dtype: kernelDtype(matrix.dtype),
              bias: op.bias !== undefined,
              maxRows: MAX_ROWS,
            },
            op.heads.length,
          ),
        },
      ],
      args: {
        first_strip: part.firstStrip,
        bias: op.bias ? this.#layout.vectorOffset(vectorSource(op.bias)) : 0,
        ...stages.args,
      },
      bind: {
        weights: { role: "weights", part: part.index },
        z: this.#activation(op.input),
        params: { role: "params" },
        ...stages.bind,
      },
    }));
  }

  /** Where a layer's output bias stands in `params`. */
  #outputBias(layer: number): number | undefined {
    const projection = this.#ops.find(
      (op): op is FusedLinear => op.kind === "linear" && op.label === `blocks.${layer}.attn.out`,
    );
    const bias = projection && linearSources(projection).bias;
    return bias && this.#layout.vectorOffset(bias);
  }

  #linear(op: FusedLinear): Dispatch[] {
    const { epilogue } = op;
    const { config } = this.#graph;
    const sources = linearSources(op);
    const matrix = this.#layout.matrix(sources.matrix);
    const taps = this.#captures.tapsOf(op);
    const outs = op.input.rows === "outs";
    const stages = this.#stages.partOf(op);
    const grouped = op.epilogue.kind === "qkv" && this.#stages.isStaged(op);
    const stride = this.#activations.variantStride(op.input);
    return matrix.parts.map((part, i) => ({
      ...naming(stages),
      label: matrix.parts.length > 1 ? `${op.label} ${i + 1}/${matrix.parts.length}` : op.label,
      layer: op.layer,
      rows: outs ? "outs" : "rows",
      readsCache: false,
      candidates: linearKernels(
        {
          K: matrix.k,
          N: matrix.n,
          strips: part.strips,
          dtype: kernelDtype(matrix.dtype),
          epilogue: kernelEpilogue(op, config),
          bias: sources.bias !== undefined,
          taps: taps.names,
          outs,
          ...(this.#stages.isStaged(op) && !grouped && { staged: true }),
          ...(this.#stages.isSourced(op) && { sourced: true }),
          ...(grouped && { grouped }),
          maxRows: MAX_ROWS,
        },
        this.#options,
      ),
      args: {
        ...stages.args,
        ...(grouped && { variant_stride: stride / 16, variants: op.reads ?? this.#plainReads() }),
        first_strip: part.firstStrip,
        ...(sources.bias && { bias: this.#layout.vectorOffset(sources.bias) }),
        ...taps.args,
      },
      bind: {
        weights: { role: "weights", part: part.index },
        input: this.#activation(op.input, op.variant * stride),
        params: { role: "params" },
        ...stages.bind,
        ...(epilogue.kind === "qkv"
          ? {
              q: this.#activation(epilogue.out),
              rope: { role: "rope" },
              k_cache: { role: "keys", layer: op.layer ?? 0 },
              v_cache: { role: "values", layer: op.layer ?? 0 },
            }
          : { output: this.#activation(epilogue.out) }),
        ...(epilogue.kind === "residual" && { residual: this.#activation(epilogue.residual) }),
        capture: { role: "capture" },
      },
    }));
  }

  #attention(op: FusedAttention): Dispatch[] {
    const { config } = this.#graph;
    const layer = op.layer ?? 0;
    const taps = this.#captures.tapsOf(op);
    const shape = {
      heads: config.num_attention_heads,
      kv_heads: config.num_key_value_heads,
      head_dim: config.head_dim,
      taps: taps.names,
      ...(this.#stages.isStaged(op) && { staged: true }),
      maxRows: MAX_ROWS,
    };
    const stages = this.#stages.partOf(op);
    const args = { scale: op.scale, window: op.window, slot_stride: this.#options.capacity };
    const bind: Record<string, BufferRole> = {
      q: this.#activation(op.queries),
      k_cache: { role: "keys", layer },
      v_cache: { role: "values", layer },
      slots: { role: "slots" },
      z: this.#activation(op.out),
      capture: { role: "capture" },
    };
    const place = { layer: op.layer, rows: "rows", readsCache: true } as const;
    const core: Dispatch = {
      ...naming(stages),
      ...place,
      label: op.label,
      candidates: attentionKernels(shape, this.#options),
      args: { ...args, ...taps.args, ...stages.args },
      bind: { ...bind, ...stages.bind },
    };
    const pattern = this.#captures.patternOf(op);
    if (!pattern) return [core];
    return [
      core,
      {
        ...place,
        label: `${op.label} pattern`,
        candidates: [{ maxRows: Infinity, kernel: patternKernel({ ...shape, staged: false }) }],
        args: { ...args, offset: pattern.offset, key_stride: pattern.stride },
        bind: { ...bind, pattern: { role: "capture" } },
      },
    ];
  }

  #tails(): Plan["tails"] {
    const shape = { vocab: this.#graph.config.vocab_size, maxRows: MAX_ROWS };
    const argmax = argmaxKernels(shape);
    const loss = crossEntropyKernels(shape);
    const partial: BufferRole = {
      role: "activation",
      index: this.#activations.scratch(
        Math.max(argmax.partialBytes(this.#chunkOuts), loss.partialBytes(this.#chunkOuts)),
      ),
    };
    const bind: Record<string, BufferRole> = {
      logits: this.#activation(this.#graph.logits),
      partials: partial,
      tokens: { role: "tokens" },
      settings: { role: "settings" },
      seen: { role: "seen" },
      losses: { role: "losses" },
    };
    const tail = (label: string, kernel: Dispatch["candidates"][number]["kernel"]): Dispatch => ({
      label,
      layer: undefined,
      rows: "outs",
      readsCache: false,
      candidates: [{ maxRows: Infinity, kernel }],
      args: { offset: 0 },
      bind,
    });
    return {
      greedy: [tail("argmax partial", argmax.partial), tail("argmax", argmax.final)],
      sample: [tail("sample", sampleKernel(shape, this.#options))],
      loss: [tail("cross_entropy partial", loss.partial), tail("cross_entropy", loss.final)],
    };
  }

  /** Every head reads the uncorrected rows. */
  #plainReads(): readonly number[] {
    const { num_attention_heads: H, num_key_value_heads: G } = this.#graph.config;
    return Array<number>(H + 2 * G).fill(0);
  }

  #activation(value: Value, offset = 0): BufferRole {
    return { role: "activation", index: this.#activations.indexOf(value), ...(offset > 0 && { offset }) };
  }

  #checkCache(rowBytes: number): void {
    const { sequences, maxStorageBufferBindingSize: limit } = this.#options;
    const needed = this.#slots * rowBytes;
    if (needed <= limit) return;
    const fits = Math.floor(limit / (sequences * rowBytes));
    throw new SluiceError(
      "device_limit",
      `Keys take ${needed} bytes a layer for ${this.#slots} positions in all, and this device binds at most ${limit} (maxStorageBufferBindingSize)`,
      { hint: fits > 0 ? `Ask for a context of at most ${fits}.` : "Use fewer sequences at once." },
    );
  }
}

/** Most rows of a step for which every value with variants can be bound whole. */
function mostRows(ops: readonly FusedOp[], limit: number): number {
  const rows = ops
    .flatMap(writtenBy)
    .map(({ width, variants = 1 }) =>
      variants === 1 ? Infinity : Math.floor(limit / (variants * (Math.ceil(width / 4) * 16 + 256))),
    );
  return Math.max(1, Math.min(...rows));
}

function normShape(op: FusedNorm): NormShape {
  return { kind: op.norm, width: op.input.width, outs: op.selectsOuts, maxRows: MAX_ROWS };
}

/** The stages of a dispatch by name, where it has any. */
function naming(part: StagePart | undefined): { readonly stages?: readonly string[] } {
  return part && part.names.length > 0 ? { stages: part.names } : {};
}

function kernelEpilogue({ epilogue }: FusedLinear, config: Graph["config"]): LinearEpilogue {
  switch (epilogue.kind) {
    case "activation":
    case "gated":
      return { kind: epilogue.kind, activation: epilogue.activation };
    case "qkv":
      return {
        kind: "qkv",
        heads: config.num_attention_heads,
        kvHeads: config.num_key_value_heads,
        headDim: config.head_dim,
        rope: epilogue.rope,
      };
    default:
      return { kind: epilogue.kind };
  }
}

function kernelDtype(dtype: StoredDtype): WeightDtype {
  return ({ F32: "f32", F16: "f16", BF16: "bf16" } as const)[dtype];
}

function ceil4(n: number): number {
  return Math.ceil(n / 4) * 4;
}
