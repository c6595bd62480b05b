/**
 * The buffers of an attribution and how large they are.
 *
 * Kept for every token: the embedding, each layer's attn_z and mlp_out, from which every source's output follows without
 * cancelling, and the gradients of the last two. Heads' outputs are kept too where they all fit into KEPT_BYTES, else made
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
import type { Bound, Program } from "./program.ts";
import { type Chunk, type PackedRows, packRows } from "./rows.ts";

/** Heads' outputs of all layers and tokens are kept up to so many bytes. */
const KEPT_BYTES = 256 << 20;

/** The largest buffers of a chunk stay below this, whatever the device could bind. */
const SCRATCH_BYTES = 96 << 20;

/** Logits, and their gradient, of a tile of rows take at most so many bytes each. */
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

export class Workspace {
  readonly config: ModelConfig;
  readonly counts: EdgeCounts;
  readonly rows: PackedRows;
  /** Rows of the largest chunk; variants of a value stand so many rows apart. */
  readonly chunkRows: number;
  readonly tileRows: number;
  /** Index of each chunk's step in the program. */
  readonly steps: readonly number[];
  readonly headsKept: boolean;
  readonly masks: number;
  /** Texts under each mask. */
  readonly texts: number;
  readonly differentiates: boolean;

  readonly tokens: Bound;
  readonly slots: Bound;
  readonly shares: Bound;
  readonly losses: Bound;
  readonly mask: Bound;
  /** κ `[destinations][d]` */
  readonly kappa: Bound;
  /** repl by class of destination, `[classes][sources][d]` */
  readonly replaced: Bound;
  /** `[destinations][sources]` */
  readonly gradient: Bound;
  /** Of what each source wrote `[sources][d]` */
  readonly sums: Bound;
  /** (head, slot) of every head. */
  readonly headList: Bound;

  /** By chunk. */
  readonly embed: readonly Bound[];
  /** By layer, then chunk. */
  readonly z: readonly (readonly Bound[])[];
  readonly dz: readonly (readonly Bound[])[];
  readonly mlpOut: readonly (readonly Bound[])[];
  readonly dmlpOut: readonly (readonly Bound[])[];
  /** Heads' outputs; one buffer for all where they are not kept. */
  readonly headOuts: readonly (readonly Bound[])[];

  /** Of the layer at hand, by chunk. */
  readonly q: readonly Bound[];
  readonly dqkv: readonly Bound[];
  readonly stats: readonly Bound[];
  readonly dmlpInput: readonly Bound[];
  readonly keys: Bound;
  readonly values: Bound;

  /** Of the chunk at hand: inputs of destinations, normed, and their gradients. */
  readonly x: Bound;
  readonly normed: Bound;
  readonly dx: Bound;
  readonly headGradients: Bound;
  readonly xMlp: Bound;
  readonly row: Bound;
  readonly pre: Bound;
  readonly dpre: Bound;
  readonly post: Bound;
  readonly products: Bound;
  readonly tile: Bound;
  readonly logits: Bound;
  readonly dlogits: Bound;
  readonly partials: Bound;

  constructor(
    program: Program,
    config: ModelConfig,
    destinations: Destinations,
    texts: readonly (readonly number[])[],
    memory: WorkspaceOptions,
  ) {
    const { bindingLimit } = memory;
    const { hidden_size: d, intermediate_size: f, num_attention_heads: H, num_key_value_heads: G, head_dim } = config;
    const counts = countOf(config, destinations);
    const chunkRows = Math.min(memory.chunkRows ?? MAX_ROWS, chunkRowsFor(config, counts, bindingLimit));
    const { masks } = memory;
    const differentiates = masks === 1;
    this.masks = masks;
    this.texts = texts.length;
    this.differentiates = differentiates;
    const all = Array.from({ length: masks }, () => texts).flat();
    const rows = packRows(all, { ...config, chunkRows, scoreFrom: memory.scoreFrom ?? 1 });
    this.config = config;
    this.counts = counts;
    this.rows = rows;
    this.chunkRows = Math.max(...rows.chunks.map(({ count }) => count));
    this.steps = rows.chunks.map(({ first, count }) => program.step(rows.step(first, count)));
    this.tileRows = Math.max(
      TILE_STEP,
      Math.floor(Math.min(LOGITS_BYTES, bindingLimit) / (ceil4(config.vocab_size) * 4) / TILE_STEP) * TILE_STEP,
    );

    const layers = config.num_hidden_layers;
    const [C, T] = [this.chunkRows, rows.total];
    const whole = (label: string, floats: number): Bound => ({ buffer: program.buffer(label, floats * 4) });
    /** For gradients alone. */
    const also = (label: string, floats: number): Bound => whole(label, differentiates ? floats : 0);
    const chunked = (label: string, width: number, variants = 1, buffer = whole): readonly Bound[] =>
      rows.chunks.map(() => buffer(label, variants * C * ceil4(width)));
    const layered = (label: string, width: number, variants = 1, buffer = whole) =>
      Array.from({ length: layers }, () => chunked(label, width, variants, buffer));

    this.tokens = whole("tokens", T);
    this.slots = whole("slots", rows.slots.length);
    this.shares = whole("shares", T);
    this.losses = whole("losses", T);
    this.mask = whole("mask", masks * counts.destinations * counts.sources);
    this.kappa = whole("kappa", masks * counts.destinations * ceil4(d));
    this.replaced = also("replaced", destinationClassCount * counts.sources * ceil4(d));
    this.gradient = also("mask gradient", counts.destinations * counts.sources);
    this.sums = also("source sums", counts.sources * ceil4(d));
    this.headList = whole("heads", H * 4);

    this.embed = chunked("embed", d);
    this.z = layered("attn_z", H * head_dim);
    this.dz = layered("attn_z gradient", H * head_dim, 1, also);
    this.mlpOut = layered("mlp_out", d);
    this.dmlpOut = layered("mlp_out gradient", d, 1, also);
    this.headsKept = layers * rows.chunks.length * H * C * ceil4(d) * 4 <= (memory.keptBytes ?? KEPT_BYTES);
    if (this.headsKept) this.headOuts = layered("head outputs", d, H);
    else {
      const shared = whole("head outputs", H * C * ceil4(d));
      this.headOuts = Array.from({ length: layers }, () => rows.chunks.map(() => shared));
    }

    this.q = chunked("q", H * head_dim);
    this.dqkv = chunked("qkv gradient", (H + 2 * G) * head_dim, 1, also);
    this.stats = chunked("attention stats", 2 * H, 1, also);
    this.dmlpInput = chunked("mlp input gradient", d, 1, also);
    this.keys = whole("keys", T * ceil4(G * head_dim));
    this.values = whole("values", T * ceil4(G * head_dim));

    this.x = whole("attention inputs", counts.inputs * C * ceil4(d));
    this.normed = whole("normed", counts.inputs * C * ceil4(d));
    this.dx = also("attention input gradients", counts.inputs * C * ceil4(d));
    this.headGradients = also("head gradients", H * C * ceil4(d));
    this.xMlp = whole("row input", C * ceil4(d));
    this.row = whole("row", C * ceil4(d));
    const innerWidth = config.mlp === "plain" ? ceil4(f) : 2 * ceil4(f);
    this.pre = also("mlp_pre", C * innerWidth);
    this.dpre = also("mlp_pre gradient", C * innerWidth);
    this.post = whole("mlp_post", C * ceil4(f));
    this.products = also("mask products", maskProductBytes(C, counts.inputs, H) / 4);
    const attention = backwardAttention({
      heads: H,
      kv_heads: G,
      head_dim,
      tile: C,
      maxRows: MAX_ROWS,
    });
    this.tile = also("attention tile", attention.tileBytes(C) / 4);
    const tileRows = Math.min(this.tileRows, C);
    this.logits = whole("logits", tileRows * ceil4(config.vocab_size));
    this.dlogits = also("logit gradients", tileRows * ceil4(config.vocab_size));
    const vocabulary = { vocab: config.vocab_size, maxRows: MAX_ROWS };
    this.partials = whole("loss partials", crossEntropyKernels(vocabulary).partialBytes(tileRows) / 4);

    program.write(this.tokens.buffer, rows.tokens);
    program.write(this.slots.buffer, rows.slots);
    program.write(this.shares.buffer, rows.shares);
    program.write(
      this.headList.buffer,
      Uint32Array.from({ length: 4 * H }, (_, i) => (i % 4 < 2 ? i >> 2 : 0)),
    );
  }

  /** vec4s of a row of the stream. */
  get d4(): number {
    return ceil4(this.config.hidden_size) / 4;
  }

  /** vec4s from one variant of a stream-wide value to the next. */
  get variantStride(): number {
    return this.chunkRows * this.d4;
  }

  /** Step of a chunk. */
  stepOf({ index }: Chunk): number {
    return this.steps[index] as number;
  }
}
