/**
 * Lowering: fused operations become dispatches. Chooses kernels, places activations, lays out captures and
 * connects every binding. A pure function; asking for the plan of a session costs a few milliseconds.
 */
import { SluiceError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import { type Composition, noStages } from "../interventions/stage.ts";
import type { PoolReduction } from "../kernels/fit/pool.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { CacheDtype } from "../kernels/linear/epilogue.ts";
import { seenWords } from "../kernels/sample/sample.ts";
import type { KernelChoices } from "../kernels/variants.ts";
import { ceil4 } from "../numbers/round-up.ts";
import { ActivationPlanner } from "./activations.ts";
import { CaptureLayout } from "./captures.ts";
import { type FusedLinear, type FusedOp, rowsOf, writtenBy } from "./fused.ts";
import { splitRule } from "./lower-attention.ts";
import { type LoweringContext, MAX_ROWS } from "./lower-context.ts";
import { lowerTails } from "./lower-ends.ts";
import { lowerPools } from "./lower-pool.ts";
import { lowerOperation } from "./operations.ts";
import type { Dispatch, Plan } from "./plan.ts";
import type { ProgramBounds } from "./programs.ts";
import { SourceSlots } from "./source-slots.ts";
import { StageLowering } from "./stage-lowering.ts";
import { linearSources, type WeightLayout } from "./weight-layout.ts";

export { MAX_ROWS } from "./lower-context.ts";

/** Logits of one step take at most this many bytes: far below the binding limit, enough to keep the head busy. */
const LOGITS_BYTES = 32 << 20;

export interface LowerOptions {
  readonly family: KernelFamily;
  /** One summation class per matrix for every number of rows. */
  readonly reference: boolean;
  /** How keys and values are cached; default f32, as always if heads are not a multiple of four wide. */
  readonly cache?: CacheDtype;
  /** What the tuner chose on this device; the reference plan takes no notice of it. Default: the built-in guess. */
  readonly choices?: KernelChoices;
  readonly sequences: number;
  /** Positions per sequence. */
  readonly capacity: number;
  /** Cache rows of each layer; default: enough for all sequences to be full. */
  readonly slots?: number;
  /** Sites to capture. */
  readonly captures?: readonly string[];
  /** Captures are pooled over each sequence's rows, and nothing after the last of them is run: see `Plan.pooled`. */
  readonly pooling?: PoolReduction;
  readonly maxStorageBufferBindingSize: number;
  /** The device has WGSL's subgroups. */
  readonly subgroups?: boolean;
  /** Most rows of a step, if it must be that of another plan; default: as many as fit. */
  readonly chunkRows?: number;
  /** The stages that the graph was rewritten for; default: none. */
  readonly composition?: Composition;
  /** Each sequence has stages of its own, at the sites of the composition's: see compile/programs.ts. */
  readonly programs?: ProgramBounds;
}

/**
 * @throws SluiceError `device_limit` if a buffer would exceed what the device can bind, `usage` for a site that
 *   the model does not have
 */
export function lower(graph: Graph, ops: readonly FusedOp[], layout: WeightLayout, options: LowerOptions): Plan {
  return new Lowering(graph, ops, layout, options).run();
}

class Lowering {
  readonly #graph: Graph;
  readonly #ops: readonly FusedOp[];
  /** What becomes dispatches: up to the last capture, where captures are pooled. */
  readonly #lowered: readonly FusedOp[];
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
      options.chunkRows ?? MAX_ROWS,
      this.#slots,
      sources.chunkRows(graph.config.hidden_size, limit),
      mostRows(ops, limit),
    );
    const pooled = options.pooling !== undefined;
    const logitsRow = ceil4(graph.config.vocab_size) * 4;
    const outs = pooled ? rows : Math.max(1, Math.min(rows, Math.floor(Math.min(LOGITS_BYTES, limit) / logitsRow)));
    // When capturing, every row is an out row, since the last stream and the final norm are known of those alone.
    const captures = options.captures ?? [];
    this.#captures = new CaptureLayout(graph, ops, captures, {
      rows: captures.length > 0 ? outs : rows,
      keys: capacity,
      limit,
      pooled,
    });
    this.#lowered = pooled ? ops.slice(0, 1 + ops.findLastIndex((op) => this.#captures.isCapturedAt(op))) : ops;
    this.#chunkRows = this.#captures.chunkRows;
    this.#chunkOuts = Math.min(outs, this.#chunkRows);
    // Two plans that take turns have the same steps; pooled captures may share an operation in one of them alone.
    if (options.chunkRows !== undefined && this.#chunkRows < options.chunkRows) {
      throw new SluiceError(
        "device_limit",
        `Captures leave room for ${options.chunkRows} rows a step with stages, and ${this.#chunkRows} without`,
        { hint: "Capture fewer sites at once." },
      );
    }
    this.#activations = new ActivationPlanner(this.#lowered, {
      rows: this.#chunkRows,
      outs: this.#chunkOuts,
      logits: graph.logits,
      limit,
    });
    this.#stages = new StageLowering(ops, sources, {
      config: graph.config,
      composition: options.composition ?? noStages,
      programs: options.programs,
      sequences,
      chunkRows: this.#chunkRows,
      outputBias: (layer) => this.#outputBias(layer),
    });
  }

  run(): Plan {
    const { config } = this.#graph;
    const { sequences, capacity, family, reference, pooling } = this.#options;
    const cache = config.head_dim % 4 === 0 ? (this.#options.cache ?? "f32") : "f32";
    const context: LoweringContext = {
      graph: this.#graph,
      ops: this.#ops,
      layout: this.#layout,
      options: { ...this.#options, cache },
      captures: this.#captures,
      activations: this.#activations,
      stages: this.#stages,
      chunkOuts: this.#chunkOuts,
    };
    const body: Dispatch[] = [];
    const finalNorm: Dispatch[] = [];
    const head: Dispatch[] = [];
    for (const op of this.#lowered) {
      const outs = op.kind === "norm" ? finalNorm : head;
      const list = rowsOf(op) === "rows" ? body : outs;
      list.push(...lowerOperation(context, op));
      if (pooling) list.push(...lowerPools(context, op, pooling));
    }
    const cacheRowBytes = ceil4(config.num_key_value_heads * config.head_dim) * (cache === "f16" ? 2 : 4);
    this.#checkCache(cacheRowBytes);
    const { image, programs, sourceBytes } = this.#stages;
    const split = splitRule(body);
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
      tails: pooling ? { greedy: [], sample: [], adjusted: [], scored: [], loss: [] } : lowerTails(context),
      activations: this.#activations.byteLengths,
      partialBytes: Math.max(0, ...[...body, ...head].map((dispatch) => this.#partialBytes(dispatch))),
      ...(!pooling && {
        logits: { index: this.#activations.indexOf(this.#graph.logits), stride: ceil4(config.vocab_size) },
      }),
      ...(split && { split }),
      ...(image && { stages: { image, byteLength: image.byteLength, sourceBytes } }),
      ...(programs && { stages: { programs, byteLength: programs.end * 16, sourceBytes } }),
      captures: this.#captures.regions,
      captureBytes: this.#captures.byteLength,
      ...(this.#captures.pooled && { pooled: this.#captures.pooled }),
      seenWords: seenWords(config.vocab_size),
      cache,
      cacheRowBytes,
      layers: config.num_hidden_layers,
    };
  }

  /** Where a layer's output bias lies in `params`. */
  #outputBias(layer: number): number | undefined {
    const projection = this.#ops.find(
      (op): op is FusedLinear => op.kind === "linear" && op.role === "attn.out" && op.layer === layer,
    );
    const bias = projection && linearSources(projection).bias;
    return bias && this.#layout.vectorOffset(bias);
  }

  /** Of the largest step that a dispatch can serve with a kernel that leaves partial sums. */
  #partialBytes({ candidates, rows }: Dispatch): number {
    const most = rows === "outs" ? this.#chunkOuts : this.#chunkRows;
    const bytes = candidates.map(({ maxRows, kernel }) => kernel.split?.bytes(Math.min(maxRows, most)) ?? 0);
    return Math.max(...bytes);
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
