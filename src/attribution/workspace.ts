/**
 * The buffers of an attribution and how large they are.
 *
 * Kept for every token: the embedding, each layer's attn_z and mlp_out, from which every source's output follows without
 * cancelling, and the gradients of the last two. Heads' outputs are kept too if they all fit into KEPT_BYTES, else made
 * again for each layer that reads them. Everything else exists for one layer or one chunk of rows at a time.
 */
import { MAX_ROWS } from "../compile/lower-context.ts";
import { type EdgeShape, listDestinations, listSources } from "../interventions/edges.ts";
import type { Destinations } from "../interventions/stage.ts";
import { backwardAttention } from "../kernels/backward/attention.ts";
import { maskProductBytes } from "../kernels/backward/edge-mask.ts";
import { crossEntropyKernels } from "../kernels/sample/cross-entropy.ts";
import type { ModelConfig } from "../model-config.ts";
import { ceil4 } from "../numbers/round-up.ts";
import type { Bound, Recording } from "./program.ts";
import { type Chunk, type PackedRows, packRows } from "./rows.ts";

/** Heads' outputs of all layers and tokens are kept up to this many bytes. */
const KEPT_BYTES = 256 << 20;

/** The largest buffers of a chunk stay below this, whatever the device could bind. */
const SCRATCH_BYTES = 96 << 20;

/** Logits, and their gradient, of a tile of rows take at most this many bytes each. */
const LOGITS_BYTES = 32 << 20;

/** Attention inputs, MLPs and logits may each replace what is cut by constants of their own: see mask-tables.ts. */
const destinationClassCount = 3;

/** Rows of a tile come in multiples of this, so that its bytes begin at multiples of 256. */
const TILE_STEP = 16;

export interface EdgeCounts {
  readonly sources: number;
  readonly destinations: number;
  /** Attention inputs of a layer. */
  readonly inputs: number;
}

export function countOf(config: EdgeShape, destinations: Destinations): EdgeCounts {
  const { num_attention_heads: H, num_key_value_heads: G } = config;
  return {
    sources: listSources(config).length,
    destinations: listDestinations(config, destinations).length,
    inputs: destinations === "heads" ? H : H + 2 * G,
  };
}

/** How many rows a chunk has, so that what is largest in it stays within bounds. */
export function chunkRowsFor(config: ModelConfig, counts: EdgeCounts, bindingLimit: number): number {
  const { hidden_size: d, intermediate_size: f, num_attention_heads: H } = config;
  const limit = Math.min(bindingLimit, SCRATCH_BYTES);
  const row = 4 * Math.max(Math.max(counts.inputs, H) * ceil4(d), 2 * ceil4(f));
  const rows = Math.min(MAX_ROWS, Math.floor(limit / row), Math.floor(Math.sqrt(limit / (8 * H))));
  return Math.max(TILE_STEP, Math.floor(rows / TILE_STEP) * TILE_STEP);
}

/** What is run, and in how much memory. */
export interface WorkspaceOptions {
  /** Masks side by side; only a single one is differentiated. */
  readonly masks: number;
  /** Position of the first token whose prediction counts. */
  readonly scoreFrom?: number;
  readonly bindingLimit: number;
  readonly chunkRows?: number;
  readonly keptBytes?: number;
}

/** Sizes, and what is run on them. */
interface Extent {
  readonly config: ModelConfig;
  readonly counts: EdgeCounts;
  readonly rows: PackedRows;
  /** Rows of the largest chunk; variants of a value lie that many rows apart. */
  readonly chunkRows: number;
  readonly tileRows: number;
  /** Index of each chunk's step in the program. */
  readonly steps: readonly number[];
  readonly headsKept: boolean;
  readonly masks: number;
  /** Texts under each mask. */
  readonly texts: number;
  readonly differentiates: boolean;
  /** vec4s of a row of the stream. */
  readonly d4: number;
  /** vec4s from one variant of a stream-wide value to the next. */
  readonly variantStride: number;
}

/** Everything that an attribution runs on: sizes and buffers. */
export interface Workspace
  extends Extent,
    ReturnType<typeof inputBuffers>,
    ReturnType<typeof streamBuffers>,
    ReturnType<typeof layerBuffers>,
    ReturnType<typeof chunkBuffers> {}

/** @throws SluiceError `device_limit`, and as `packRows` for texts that the model does not take */
export function makeWorkspace(
  program: Recording,
  config: ModelConfig,
  destinations: Destinations,
  texts: readonly (readonly number[])[],
  memory: WorkspaceOptions,
): Workspace {
  const extent = measure(program, config, destinations, texts, memory);
  const allot = new Allotment(program, extent);
  const space: Workspace = {
    ...extent,
    ...inputBuffers(allot, extent),
    ...streamBuffers(allot, extent),
    ...layerBuffers(allot, extent),
    ...chunkBuffers(allot, extent),
  };
  const { rows } = space;
  program.write(space.tokens.buffer, rows.tokens);
  program.write(space.slots.buffer, rows.slots);
  program.write(space.shares.buffer, rows.shares);
  program.write(
    space.headList.buffer,
    Uint32Array.from({ length: 4 * config.num_attention_heads }, (_, i) => (i % 4 < 2 ? i >> 2 : 0)),
  );
  return space;
}

/** Step of a chunk. */
export function stepOf({ steps }: Pick<Workspace, "steps">, { index }: Chunk): number {
  return steps[index] as number;
}

function measure(
  program: Recording,
  config: ModelConfig,
  destinations: Destinations,
  texts: readonly (readonly number[])[],
  { masks, bindingLimit, ...memory }: WorkspaceOptions,
): Extent {
  const { hidden_size: d, num_attention_heads: H, num_hidden_layers: layers } = config;
  const counts = countOf(config, destinations);
  const limit = Math.min(memory.chunkRows ?? MAX_ROWS, chunkRowsFor(config, counts, bindingLimit));
  const all = Array.from({ length: masks }, () => texts).flat();
  const rows = packRows(all, { ...config, chunkRows: limit, scoreFrom: memory.scoreFrom ?? 1 });
  const chunkRows = Math.max(...rows.chunks.map(({ count }) => count));
  const logitsRow = ceil4(config.vocab_size) * 4;
  const tileRows = Math.floor(Math.min(LOGITS_BYTES, bindingLimit) / logitsRow / TILE_STEP) * TILE_STEP;
  const d4 = ceil4(d) / 4;
  return {
    config,
    counts,
    rows,
    chunkRows,
    tileRows: Math.max(TILE_STEP, tileRows),
    steps: rows.chunks.map(({ first, count }) => program.step(rows.step(first, count))),
    headsKept: layers * rows.chunks.length * H * chunkRows * d4 * 16 <= (memory.keptBytes ?? KEPT_BYTES),
    masks,
    texts: texts.length,
    differentiates: masks === 1,
    d4,
    variantStride: chunkRows * d4,
  };
}

/** Makes buffers by the shape of what they hold. */
class Allotment {
  readonly #program: Recording;
  readonly #extent: Extent;

  constructor(program: Recording, extent: Extent) {
    this.#program = program;
    this.#extent = extent;
  }

  whole(label: string, floats: number): Bound {
    return { buffer: this.#program.buffer(label, floats * 4) };
  }

  /** For gradients alone: next to nothing if nothing is differentiated. */
  gradient(label: string, floats: number): Bound {
    return this.whole(label, this.#extent.differentiates ? floats : 0);
  }

  /** A chunk's rows of each of several variants, `[variants][chunkRows][ceil4(width)]`, by chunk. */
  chunked(label: string, width: number, { variants = 1, isGradient = false } = {}): readonly Bound[] {
    const { rows, chunkRows } = this.#extent;
    const floats = variants * chunkRows * ceil4(width);
    return rows.chunks.map(() => (isGradient ? this.gradient(label, floats) : this.whole(label, floats)));
  }

  /** The same by layer, then chunk. */
  layered(
    label: string,
    width: number,
    options: { readonly variants?: number; readonly isGradient?: boolean } = {},
  ): readonly (readonly Bound[])[] {
    const { num_hidden_layers: length } = this.#extent.config;
    return Array.from({ length }, () => this.chunked(label, width, options));
  }
}

/** What runs begin with, and what they sum up over all rows. */
function inputBuffers(allot: Allotment, { config, counts, rows, masks }: Extent) {
  const row = ceil4(config.hidden_size);
  return {
    tokens: allot.whole("tokens", rows.total),
    slots: allot.whole("slots", rows.slots.length),
    shares: allot.whole("shares", rows.total),
    losses: allot.whole("losses", rows.total),
    mask: allot.whole("mask", masks * counts.destinations * counts.sources),
    /** κ `[destinations][d]` */
    kappa: allot.whole("kappa", masks * counts.destinations * row),
    /** repl by class of destination, `[classes][sources][d]` */
    replaced: allot.gradient("replaced", destinationClassCount * counts.sources * row),
    /** `[destinations][sources]` */
    gradient: allot.gradient("mask gradient", counts.destinations * counts.sources),
    /** Of what each source wrote `[sources][d]` */
    sums: allot.gradient("source sums", counts.sources * row),
    /** (head, slot) of every head. */
    headList: allot.whole("heads", config.num_attention_heads * 4),
  };
}

/** What is kept for every row. */
function streamBuffers(allot: Allotment, { config, chunkRows, rows, headsKept }: Extent) {
  const { hidden_size: d, num_attention_heads: H, num_hidden_layers: layers, head_dim } = config;
  const heads = (): readonly (readonly Bound[])[] => {
    if (headsKept) return allot.layered("head outputs", d, { variants: H });
    const shared = allot.whole("head outputs", H * chunkRows * ceil4(d));
    return Array.from({ length: layers }, () => rows.chunks.map(() => shared));
  };
  return {
    /** By chunk. */
    embed: allot.chunked("embed", d),
    /** By layer, then chunk. */
    z: allot.layered("attn_z", H * head_dim),
    dz: allot.layered("attn_z gradient", H * head_dim, { isGradient: true }),
    mlpOut: allot.layered("mlp_out", d),
    dmlpOut: allot.layered("mlp_out gradient", d, { isGradient: true }),
    /** Heads' outputs; one buffer for all if they are not kept. */
    headOuts: heads(),
  };
}

/** What exists for the layer at hand, by chunk or for all rows. */
function layerBuffers(allot: Allotment, { config, rows }: Extent) {
  const { hidden_size: d, num_attention_heads: H, num_key_value_heads: G, head_dim } = config;
  return {
    q: allot.chunked("q", H * head_dim),
    dqkv: allot.chunked("qkv gradient", (H + 2 * G) * head_dim, { isGradient: true }),
    stats: allot.chunked("attention stats", 2 * H, { isGradient: true }),
    dmlpInput: allot.chunked("mlp input gradient", d, { isGradient: true }),
    keys: allot.whole("keys", rows.total * ceil4(G * head_dim)),
    values: allot.whole("values", rows.total * ceil4(G * head_dim)),
  };
}

/** What exists for the chunk at hand: inputs of destinations, normed, and their gradients. */
function chunkBuffers(allot: Allotment, { config, counts, chunkRows: C, tileRows }: Extent) {
  const { hidden_size: d, intermediate_size: f, num_attention_heads: H, num_key_value_heads: G } = config;
  const { head_dim, vocab_size: vocab } = config;
  const inner = config.mlp === "plain" ? ceil4(f) : 2 * ceil4(f);
  const attention = backwardAttention({ heads: H, kv_heads: G, head_dim, tile: C, maxRows: MAX_ROWS });
  const tile = Math.min(tileRows, C);
  const partialBytes = crossEntropyKernels({ vocab, maxRows: MAX_ROWS }).partialBytes(tile);
  return {
    x: allot.whole("attention inputs", counts.inputs * C * ceil4(d)),
    normed: allot.whole("normed", counts.inputs * C * ceil4(d)),
    dx: allot.gradient("attention input gradients", counts.inputs * C * ceil4(d)),
    headGradients: allot.gradient("head gradients", H * C * ceil4(d)),
    xMlp: allot.whole("row input", C * ceil4(d)),
    row: allot.whole("row", C * ceil4(d)),
    pre: allot.gradient("mlp_pre", C * inner),
    dpre: allot.gradient("mlp_pre gradient", C * inner),
    post: allot.whole("mlp_post", C * ceil4(f)),
    products: allot.gradient("mask products", maskProductBytes(C, counts.inputs, H) / 4),
    tile: allot.gradient("attention tile", attention.tileBytes(C) / 4),
    logits: allot.whole("logits", tile * ceil4(vocab)),
    dlogits: allot.gradient("logit gradients", tile * ceil4(vocab)),
    partials: allot.whole("loss partials", partialBytes / 4),
  };
}
