/**
 * Programs: what the rows of a sequence go through, when each sequence has stages of its own. The plan is compiled for what
 * the programs may have (compile/envelope.ts); its kernels look a row's stages up in a directory with which its sequence's
 * program begins, at places that are the same in all programs. Lists and vectors follow the directory.
 */
import type { EdgeVariant, StageUse } from "../graph/graph.ts";
import { initialSettings } from "../interventions/settings.ts";
import type { Composition } from "../interventions/stage.ts";
import type { ArgValues } from "../kernels/kernel.ts";
import type { ModelConfig } from "../model-config.ts";
import { type FusedOp, labelOf } from "./fused.ts";
import { edgeVariants } from "./source-slots.ts";
import type { EdgeBlocks } from "./stage-edges.ts";
import { NONE } from "./stage-image.ts";
import { packed } from "./stage-layout.ts";
import { type NormProgram, normSwitches, type StagePlacer, type VariantPlaces } from "./stage-placer.ts";
import { StageTableBuilder } from "./stage-table.ts";

/** What the programs of a plan have in common. */
export interface ProgramLayout {
  /** Records of a row, and of a sequence: a head that names the program, then one per stage. */
  readonly recordStride: number;
  /** vec4 at which the records of sequences begin. */
  readonly sequenceRecords: number;
  /** The directory of a program that does nothing. */
  readonly directory: readonly number[];
  /** Places in the directory, in vec4s: of a norm by its label, of a list by label and name. */
  readonly places: ReadonlyMap<string, number>;
  /** Structure that all share, and the vec4 at which it lies. */
  readonly shared: readonly { readonly at: number; readonly words: readonly number[] }[];
  /** Destinations that a norm has inputs for, by its label, and where these find what they read. */
  readonly variants: ReadonlyMap<string, { readonly list: readonly EdgeVariant[]; readonly places: VariantPlaces }>;
  /** Where the mask values and vectors of the first sequence lie, and the vec4s of a sequence's. */
  readonly edges: { readonly at: number; readonly values: number; readonly vectors: number };
  /** vec4 from which on programs lie. */
  readonly end: number;
}

/** Records of a program that come before those of its stages. */
export const HEAD_RECORDS = 1;

/** No stage of single elements at a site. */
const NO_LIST = packed("Scaling", { stage: NONE, scale: NONE, shift: NONE, more: NONE });
/** No groups, no list, no variants. */
const NO_NORM = [[0, 0, 0, 0], NO_LIST, [NONE, 0, 0, 0]].flat();

export interface ProgramBounds {
  /** Stages of a program, at most. */
  readonly stages: number;
  /** Coordinates of a group of affine stages, at most. */
  readonly ranks: number;
}

/** Finds places in a directory. */
export class ProgramPlaces implements StagePlacer {
  readonly recordStride: number;
  readonly sequenceRecords: number;
  readonly ranks: number;
  readonly #directory: number[] = [];
  readonly #places = new Map<string, number>();
  readonly #shared: { readonly at: number; readonly words: readonly number[] }[] = [];
  readonly #variants = new Map<string, { readonly list: readonly EdgeVariant[]; readonly places: VariantPlaces }>();
  readonly #edges: ProgramLayout["edges"];
  #end: number;

  /** @param variants of all norms */
  constructor(
    { stages, ranks }: ProgramBounds,
    { sequences, chunkRows, config }: { sequences: number; chunkRows: number; config: ModelConfig },
    variants: readonly EdgeVariant[],
  ) {
    this.ranks = ranks;
    this.recordStride = HEAD_RECORDS + stages;
    this.sequenceRecords = chunkRows * this.recordStride;
    const at = this.sequenceRecords + sequences * this.recordStride;
    const edges = variants.reduce((sum, { terms }) => sum + terms.length, 0);
    const values = Math.ceil((edges + variants.length) / 4);
    const vectors = variants.length * Math.ceil(config.hidden_size / 4);
    this.#edges = { at, values, vectors };
    this.#end = at + sequences * (values + vectors);
  }

  list(_: readonly StageUse[] | undefined, place: string): readonly number[] {
    return [this.#place(place, NO_LIST)];
  }

  program(program: NormProgram, place: string): ArgValues {
    return { ...normSwitches(program), program: this.#place(place, NO_NORM) };
  }

  heads(heads: readonly { readonly head: number; readonly slot: number }[]): number {
    const words = heads.flatMap((head) => packed("Head", head));
    const at = this.#end;
    this.#shared.push({ at, words });
    this.#end += words.length / 4;
    return at;
  }

  /** Programs say which of the variants are corrected. */
  variants(list: readonly EdgeVariant[], places: VariantPlaces, place: string): number {
    this.#variants.set(place, { list, places });
    return NONE;
  }

  finish(): ProgramLayout {
    return {
      recordStride: this.recordStride,
      sequenceRecords: this.sequenceRecords,
      directory: this.#directory,
      places: this.#places,
      shared: this.#shared,
      variants: this.#variants,
      edges: this.#edges,
      end: this.#end,
    };
  }

  #place(name: string, empty: readonly number[]): number {
    const at = this.#directory.length / 4;
    this.#directory.push(...empty);
    this.#places.set(name, at);
    return at;
  }
}

/** The label of an operation's list. */
export function listPlace(op: FusedOp, list: string): string {
  return `${labelOf(op.role, op.layer)} ${list}`;
}

/** A program as words for the table, from vec4 `base4` on. */
export interface Program {
  readonly words: Uint32Array<ArrayBuffer>;
  /** Mask values and vectors of a sequence, by m of each edge. */
  readonly edges: EdgeBlocks;
}

/**
 * @param ops the operations of the model with the program's stages alone
 * @param composition the stages, which the layout's plan can run
 */
export function buildProgram(
  ops: readonly FusedOp[],
  composition: Composition,
  config: ModelConfig,
  layout: ProgramLayout,
  base4: number,
): Program {
  const bounds = { config, sequences: 0, chunkRows: 0 };
  const at = { base4, firstRecord: HEAD_RECORDS };
  const table = new StageTableBuilder(composition, bounds, edgeVariants(ops), at);
  const directory = [...layout.directory];
  table.begin(directory);
  const put = (place: string, words: readonly number[]): void => {
    const found = layout.places.get(place);
    if (found === undefined) throw new Error(`The plan has no place for stages at ${place}`);
    directory.splice(found * 4, words.length, ...words);
  };
  for (const op of ops) {
    if (op.kind === "norm") {
      if (!op.edit) continue;
      const { delta, post, pre, norm } = op.edit;
      const known = op.edit.variants.length > 0 ? layout.variants.get(labelOf(op.role, op.layer)) : undefined;
      const own = op.edit.variants;
      const edges = known
        ? table.variants(
            known.list.map(({ destination }) => own.find((each) => each.destination === destination)),
            known.places,
          )
        : NONE;
      const unplaced = { delta: NONE, privateDelta: NONE, eIn: NONE, eOut: NONE, privateE: NONE };
      const { groups, list_norm, mask } = table.program({
        ...{ delta: delta?.stages, post, pre, norm, writesStream: false, edges, slots: unplaced },
      });
      put(labelOf(op.role, op.layer), [...groups, ...list_norm, ...mask]);
    } else if (op.kind === "linear") {
      for (const [list, uses] of op.stages) if (uses.length > 0) put(listPlace(op, list), table.list(uses));
    } else if (op.list !== undefined && op.stages.length > 0) {
      put(listPlace(op, op.list), table.list(op.stages));
    }
  }
  return {
    words: table.finish().contents(initialSettings(composition, 0, config.hidden_size)).integers,
    edges: table.edges,
  };
}
