/**
 * Rows of the source table of an edge mask: one slot for each source that some masked destination needs, two for what no
 * source wrote (E: read from one, written to the other, so that no dispatch waits for itself), and private ones, one for
 * each variant of a norm, for what the shared slots only get in the same dispatch.
 */
import type { EdgeVariant, Value } from "../graph/graph.ts";
import { type FusedNorm, type FusedOp, keptBy, labelOf } from "./fused.ts";
import { NONE } from "./stage-image.ts";
import type { ProgramSlots } from "./stage-placer.ts";

/** Source tables take at most this many bytes for the rows of a step; more sources make the steps smaller. */
const SOURCE_BYTES = 64 << 20;

export class SourceSlots {
  /** Slots in all; 0 without an edge mask. */
  readonly count: number;
  /** Some stage's change must be recorded as written by no source. */
  readonly tracked: boolean;
  readonly #slotOf = new Map<number, number>();
  readonly #norms = new Map<FusedNorm, { readonly slots: ProgramSlots; readonly eNow: number }>();

  constructor(ops: readonly FusedOp[]) {
    for (const op of ops) {
      for (const source of keptBy(op)) this.#slotOf.set(source, this.#slotOf.size);
    }
    const norms = ops.filter((op): op is FusedNorm => op.kind === "norm");
    this.tracked = norms.some(isTracked);
    const most = Math.max(0, ...norms.map((op) => variantsOf(op)));
    let end = this.#slotOf.size;
    const take = (count: number): number => {
      end += count;
      return end - count;
    };
    const e = this.tracked ? [take(1), take(1)] : [NONE, NONE];
    const needsPrivateE = norms.some((op) => isTracked(op) && hasKept(op));
    const privateE = needsPrivateE ? take(most) : NONE;
    const needsPrivateDelta = norms.some((op) => op.edit?.delta?.source !== undefined && variantsOf(op) > 1);
    const privateDelta = needsPrivateDelta ? take(most) : NONE;
    this.count = end;

    let now = NONE;
    for (const op of norms) {
      const source = op.edit?.delta?.source;
      const changes = isTracked(op);
      const next = changes ? (e[now === e[0] ? 1 : 0] as number) : now;
      this.#norms.set(op, {
        slots: {
          delta: source === undefined ? NONE : this.slotOf(source),
          privateDelta: source === undefined || variantsOf(op) === 1 ? NONE : privateDelta,
          eIn: changes ? now : NONE,
          eOut: changes ? next : NONE,
          privateE: changes && hasKept(op) ? privateE : NONE,
        },
        eNow: next,
      });
      now = next;
    }
  }

  /** Most rows of a step for which the table fits. */
  chunkRows(width: number, limit: number): number {
    if (this.count === 0) return Infinity;
    return Math.max(1, Math.floor(Math.min(SOURCE_BYTES, limit) / (this.count * Math.ceil(width / 4) * 16)));
  }

  slotOf(source: number): number {
    const slot = this.#slotOf.get(source);
    if (slot === undefined) throw new Error(`Nothing in the plan makes source ${source}`);
    return slot;
  }

  programSlots(op: FusedNorm): ProgramSlots {
    return this.#of(op).slots;
  }

  /** The slot from which a variant of a norm reads a source: its own copy of one that this norm makes. */
  sourceSlot(op: FusedNorm, source: number, variant: number): number {
    const { privateDelta } = this.#of(op).slots;
    return op.edit?.delta?.source === source ? privateDelta + variant : this.slotOf(source);
  }

  /** The slot from which a variant of a norm reads E; NONE if it is still zero. */
  eSlot(op: FusedNorm, variant: number): number {
    const { slots, eNow } = this.#of(op);
    return slots.privateE === NONE ? eNow : slots.privateE + variant;
  }

  #of(op: FusedNorm): { readonly slots: ProgramSlots; readonly eNow: number } {
    const found = this.#norms.get(op);
    if (!found) throw new Error(`${labelOf(op.role, op.layer)} is not a norm of this plan`);
    return found;
  }
}

/** Versions of a norm's rows. */
export function variantsOf(op: FusedNorm): number {
  return op.out.variants ?? 1;
}

/** Every destination with masked edges, in the order of the plan. */
export function edgeVariants(ops: readonly FusedOp[]): readonly EdgeVariant[] {
  return ops.flatMap((op) => (op.kind === "norm" ? (op.edit?.variants ?? []) : []));
}

/** Whether anything reads the uncorrected rows of a norm. */
export function readsPlainRows(ops: readonly FusedOp[], { id }: Value): boolean {
  return ops.some((op) => op.kind === "linear" && op.input.id === id && (op.reads ?? [op.variant]).includes(0));
}

function isTracked({ edit }: FusedNorm): boolean {
  return [...(edit?.delta?.stages ?? []), ...(edit?.post ?? []), ...(edit?.pre ?? [])].some(({ tracked }) => tracked);
}

function hasKept({ edit }: FusedNorm): boolean {
  return edit?.variants.some(({ form }) => form === "kept") === true;
}
