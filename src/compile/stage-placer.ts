/** What a plan needs of whatever lays its stages out: one table for all sequences, or a program for each. */
import type { EdgeVariant, StageUse } from "../graph/graph.ts";
import type { ArgValues } from "../kernels/kernel.ts";
import type { RowStage } from "./fused.ts";

/** Where the source table's rows are, for the programs of norms. */
export interface ProgramSlots {
  readonly delta: number;
  readonly privateDelta: number;
  readonly eIn: number;
  readonly eOut: number;
  readonly privateE: number;
}

/** What finds a place for the stages of operations. `place`: the operation's label, and the name of the list. */
export interface StagePlacer {
  /** Records of a row, and of a sequence. */
  readonly recordStride: number;
  /** vec4 at which the records of sequences begin, after those of a step's rows. */
  readonly sequenceRecords: number;
  /** Most coordinates of a group. */
  readonly ranks: number;
  list(uses: readonly StageUse[] | undefined, place: string): readonly number[];
  heads(heads: readonly { readonly head: number; readonly slot: number }[]): number;
  program(program: NormProgram, place: string): ArgValues;
  variants(variants: readonly EdgeVariant[], places: VariantPlaces, place: string): number;
}

/** What an edited norm does to its rows. */
export interface NormProgram {
  readonly delta: readonly RowStage[] | undefined;
  readonly post: readonly RowStage[];
  readonly pre: readonly RowStage[];
  readonly norm: readonly StageUse[];
  readonly writesStream: boolean;
  /** The vec4 of its variants, or NONE. */
  readonly edges: number;
  readonly slots: ProgramSlots;
}

/** Where a norm's variants find what they read. */
export interface VariantPlaces {
  slotOf(source: number, variant: number): number;
  eSlot(variant: number): number;
  /** Places in `params` of the output biases that a destination sees and no head has. */
  fixedBiases(variant: EdgeVariant): readonly number[];
}

/** What an edited norm takes of a program in any case. */
export function normSwitches({ delta, writesStream, slots }: NormProgram): ArgValues {
  return {
    has_delta: delta ? 1 : 0,
    writes_stream: writesStream ? 1 : 0,
    tracks_delta: delta?.some(({ tracked }) => tracked) === true ? 1 : 0,
    delta_slot: slots.delta,
    private_delta: slots.privateDelta,
    e_in: slots.eIn,
    e_out: slots.eOut,
    private_e: slots.privateE,
  };
}

/** Where a norm finds its groups, its list and its variants. */
export interface NormPlaces {
  readonly groups: readonly number[];
  readonly list_norm: readonly number[];
  readonly mask: readonly number[];
}
