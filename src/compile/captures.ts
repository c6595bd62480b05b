/** Where captured sites land: which kernel's tap writes which region of the capture buffer. */

import { pairAdjacentOrder } from "../architectures/rope.ts";
import { SluiceError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import { type Site, siteForm, siteName } from "../graph/site.ts";
import { show } from "../show.ts";
import { type FusedNode, type FusedOp, rowsOf } from "./fused.ts";
import type { CaptureRegion, PooledLayout, PooledRegion } from "./plan.ts";

/** Most bytes that captures of one step take; more sites or longer contexts make the steps smaller. */
const CAPTURE_BYTES = 64 << 20;

export interface CaptureBounds {
  /** Most rows of a step without captures. */
  readonly rows: number;
  /** Keys a row can see: the session's capacity. */
  readonly keys: number;
  /** Most bytes of one buffer. */
  readonly limit: number;
  /** Each operation's captures are pooled right after it, so that the next one's may take their place. */
  readonly pooled?: boolean;
}

/** A region before the number of rows is known. */
interface Wanted {
  readonly site: Site;
  readonly op: FusedOp;
  /** Null: the softmax weights of an attention. */
  readonly tap: string | null;
  readonly width: number;
  readonly order?: readonly number[];
}

export class CaptureLayout {
  /** Rows of a step for which all regions fit. */
  readonly chunkRows: number;
  readonly regions: readonly CaptureRegion[];
  readonly byteLength: number;
  /** Absent unless captures are pooled. */
  readonly pooled: PooledLayout | undefined;
  readonly #wanted: readonly Wanted[];

  /** @throws SluiceError `usage` for a site the model does not have or that cannot be pooled, `device_limit` when not even one row fits */
  constructor(graph: Graph, ops: readonly FusedOp[], sites: readonly string[], bounds: CaptureBounds) {
    const offered = offeredSites(graph, ops);
    this.#wanted = [...new Set(sites)].map((site) => offered.get(site) ?? refuse(site, offered, graph));
    const heads = graph.config.num_attention_heads;
    const pattern = this.#wanted.find(({ tap }) => tap === null);
    if (bounds.pooled && pattern) {
      throw new SluiceError(
        "usage",
        `${siteName(pattern.site)} has no width of its own, so it cannot be pooled over tokens`,
      );
    }
    const stride = (wanted: Wanted) => (wanted.tap === null ? bounds.keys : Math.ceil(wanted.width / 4) * 4);
    const rowBytesOf = (held: readonly Wanted[]): number =>
      held.reduce((sum, wanted) => sum + stride(wanted) * (wanted.tap === null ? heads : 1) * 4, 0);
    const rowBytes = bounds.pooled
      ? Math.max(0, ...this.#wanted.map(({ op }) => rowBytesOf(this.#wanted.filter((other) => other.op === op))))
      : rowBytesOf(this.#wanted);
    const limit = Math.min(CAPTURE_BYTES, bounds.limit) - 16 * this.#wanted.length;
    this.chunkRows = rowBytes === 0 ? bounds.rows : Math.min(bounds.rows, Math.floor(limit / rowBytes));
    if (this.chunkRows < 1) {
      throw new SluiceError(
        "device_limit",
        `One row of these ${this.#wanted.length} sites takes ${rowBytes} bytes; ${limit} can be captured at a time`,
        {
          hint: "Capture fewer sites at once, or a shorter context.",
        },
      );
    }
    const ends = new Map<FusedOp | undefined, number>();
    this.regions = this.#wanted.map((wanted) => {
      const shared = bounds.pooled ? wanted.op : undefined;
      const offset = ends.get(shared) ?? 0;
      const region: CaptureRegion = {
        site: siteName(wanted.site),
        offset,
        width: wanted.width,
        stride: stride(wanted),
        rows: rowsOf(wanted.op),
        ...(wanted.order && { order: wanted.order }),
        ...(wanted.tap === null && { heads }),
      };
      // Taps address whole vec4s, so every region starts on one.
      const floats = Math.ceil((region.stride * this.chunkRows * (wanted.tap === null ? heads : 1)) / 4) * 4;
      ends.set(shared, offset + floats);
      return region;
    });
    this.byteLength = Math.max(0, ...ends.values()) * 4;
    let at = 0;
    const pooled = this.regions.map(({ site, width, order, stride: floats }): PooledRegion => {
      at += floats;
      return { site, width, ...(order && { order }), offset: at - floats };
    });
    if (bounds.pooled) this.pooled = { regions: pooled, stride: at };
  }

  /** Whether any site that an operation owns is captured. */
  isCapturedAt(op: FusedOp): boolean {
    return this.#wanted.some((wanted) => wanted.op === op);
  }

  /** The captures of an operation, each with its place among the pooled. */
  pooledOf(op: FusedOp): readonly { readonly from: CaptureRegion; readonly to: PooledRegion }[] {
    return (this.pooled?.regions ?? []).flatMap((to, i) =>
      this.#wanted[i]?.op === op ? [{ from: this.regions[i] as CaptureRegion, to }] : [],
    );
  }

  /** The taps of an operation that are in use, and the args that place them. */
  tapsOf(op: FusedOp): { readonly names: readonly string[]; readonly args: Readonly<Record<string, number>> } {
    const names: string[] = [];
    const args: Record<string, number> = {};
    this.#wanted.forEach((wanted, i) => {
      if (wanted.op !== op || wanted.tap === null) return;
      names.push(wanted.tap);
      args[`tap_${wanted.tap}`] = (this.regions[i] as CaptureRegion).offset / 4;
    });
    return { names, args };
  }

  /** The region for an attention's softmax weights, if they are captured. */
  patternOf(op: FusedNode<"attention">): CaptureRegion | undefined {
    return this.regions[this.#wanted.findIndex((wanted) => wanted.op === op && wanted.tap === null)];
  }
}

/** Every site of the model that can be captured, by name. */
export function offeredSites(graph: Graph, ops: readonly FusedOp[]): ReadonlyMap<string, Wanted> {
  const { head_dim, num_attention_heads, num_key_value_heads } = graph.config;
  const offered = new Map<string, Wanted>();
  for (const op of ops) {
    for (const [tap, { site, width }] of op.taps) {
      const rotary = op.kind === "linear" && tap !== "v" ? (op.rotary ?? 0) : 0;
      const heads = tap === "q" ? num_attention_heads : num_key_value_heads;
      const order = rotary > 0 && { order: headsInOrder(heads, head_dim, rotary) };
      offered.set(siteName(site), { site, op, tap, width, ...order });
    }
    if (op.kind === "attention") {
      const { pattern } = op.node;
      offered.set(siteName(pattern), { site: pattern, op, tap: null, width: 0 });
    }
  }
  return offered;
}

/** The pair-adjacent order of `heads` heads side by side. */
function headsInOrder(heads: number, head_dim: number, rotary: number): readonly number[] {
  const order = pairAdjacentOrder(head_dim, rotary);
  return Array.from({ length: heads * head_dim }, (_, i) => i - (i % head_dim) + (order[i % head_dim] as number));
}

function refuse(site: string, offered: ReadonlyMap<string, Wanted>, graph: Graph): never {
  const kinds = [...new Set([...offered.values()].map(({ site }) => siteForm(site.kind)))];
  const last = graph.config.num_hidden_layers - 1;
  throw new SluiceError("usage", `This model has no site ${show(site)}`, {
    hint: `Sites are ${kinds.join(", ")}, with LAYER from 0 to ${last}; TransformerLens' names are taken too.`,
  });
}
