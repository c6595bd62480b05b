/**
 * What stages add to dispatches: which kernels carry them, and the args and bindings by which they find their part of the
 * stage table. Kernels of one kind carry stages everywhere in the model or nowhere, with empty lists if there are none,
 * so that a bundle adds few pipelines; only norms are edited one by one.
 */

import type { EdgeVariant, StageUse } from "../graph/graph.ts";
import { type Composition, edgeMaskIn } from "../interventions/stage.ts";
import type { ArgValues } from "../kernels/kernel.ts";
import { linearLists } from "../kernels/linear/linear.ts";
import type { ModelConfig } from "../model-config.ts";
import { type FusedLinear, type FusedNode, type FusedNorm, type FusedOp, labelOf, type NormEdit } from "./fused.ts";
import type { BufferRole } from "./plan.ts";
import { listPlace, type ProgramBounds, type ProgramLayout, ProgramPlaces } from "./programs.ts";
import { edgeVariants, readsPlainRows, type SourceSlots, variantsOf } from "./source-slots.ts";
import { visibleLayers } from "./stage-edges.ts";
import { NONE, type StageImage } from "./stage-image.ts";
import type { StagePlacer } from "./stage-placer.ts";
import { StageTableBuilder } from "./stage-table.ts";

/** What a dispatch takes over. */
export interface StagePart {
  readonly args: ArgValues;
  readonly bind: Readonly<Record<string, BufferRole>>;
  /** For people: which stages it carries. */
  readonly names: readonly string[];
}

const nothing: StagePart = { args: {}, bind: {}, names: [] };

export interface StageBounds {
  readonly config: ModelConfig;
  readonly composition: Composition;
  readonly sequences: number;
  /** Rows of a step. */
  readonly chunkRows: number;
  /** Each sequence has a program of its own, within these bounds; default: all have the composition's stages. */
  readonly programs?: ProgramBounds | undefined;
  /** Place in `params` of a layer's output bias, in vec4s; undefined if the model has none. */
  outputBias(layer: number): number | undefined;
}

export class StageLowering {
  readonly slots: SourceSlots;
  /** Most coordinates that a group of affine stages has. */
  readonly ranks: number;
  /** Whether some norm carries stages of single elements. */
  readonly scalesInNorms: boolean;
  /** The table of the composition's stages, or the layout of programs; neither without stages. */
  readonly image: StageImage | undefined;
  readonly programs: ProgramLayout | undefined;
  readonly #ops: readonly FusedOp[];
  readonly #bounds: StageBounds;
  readonly #table: StagePlacer;
  readonly #staged = new Set<string>();
  /** By role of a linear operation: the values that stages edit somewhere, and whether several follow one another. */
  readonly #edits = new Map<string, Set<string>>();
  readonly #stacked = new Set<string>();
  readonly #sourced = new Set<string>();
  readonly #programs = new Map<FusedNorm, ArgValues>();
  readonly #lists = new Map<FusedOp, StagePart>();

  constructor(ops: readonly FusedOp[], slots: SourceSlots, bounds: StageBounds) {
    this.#ops = ops;
    this.#bounds = bounds;
    this.slots = slots;
    const places = bounds.programs && new ProgramPlaces(bounds.programs, bounds, edgeVariants(ops));
    const table = places ? undefined : new StageTableBuilder(bounds.composition, bounds, edgeVariants(ops));
    this.#table = (places ?? table) as StagePlacer;
    for (const op of ops) {
      if (op.kind === "norm") continue;
      if (op.kind === "linear") this.#noteEdits(op);
      else if (op.stages.length > 0) this.#staged.add(op.role);
      if (op.source !== undefined) this.#sourced.add(op.role);
    }
    const isEmpty =
      this.#staged.size === 0 && slots.count === 0 && !ops.some((op) => op.kind === "norm" && op.edit !== undefined);
    for (const op of ops) if (op.kind === "embed" && !isEmpty) this.#staged.add(op.role);
    for (const op of ops) {
      if (op.kind === "norm" && op.edit) this.#programs.set(op, this.#program(op));
      else if (op.kind !== "norm") this.#lists.set(op, this.#partOf(op));
    }
    this.ranks = this.#table.ranks;
    this.scalesInNorms = ops.some((op) => op.kind === "norm" && op.edit !== undefined && hasScales(op.edit));
    this.image = isEmpty ? undefined : table?.finish();
    this.programs = isEmpty ? undefined : places?.finish();
  }

  /** Whether kernels look up what a row's own sequence goes through. */
  get hasPrograms(): boolean {
    return this.#bounds.programs !== undefined;
  }

  get sourceBytes(): number {
    return this.slots.count * this.#slotBytes;
  }

  isStaged(op: FusedOp): boolean {
    return this.#staged.has(op.role);
  }

  /** Values of a linear operation that its kernel must be able to edit. */
  editsOf(op: FusedLinear): readonly string[] {
    return linearLists(op.epilogue.kind).filter((name) => this.#edits.get(op.role)?.has(name) === true);
  }

  /** Whether the kernel must be able to run several stages one after the other at one value. */
  isStacked(op: FusedLinear): boolean {
    return this.#stacked.has(op.role) || (this.hasPrograms && this.#edits.has(op.role));
  }

  isSourced(op: FusedOp): boolean {
    return this.#sourced.has(op.role);
  }

  /** Args, bindings and names for an operation other than a norm. */
  partOf(op: FusedOp): StagePart {
    return this.#lists.get(op) ?? nothing;
  }

  /**
   * What an edited norm takes.
   * @param variantStride vec4s between variants of its output
   * @param tapsOut its normed row is captured
   */
  normPart(op: FusedNorm, variantStride: number, tapsOut: boolean): StagePart & { readonly variants: number } {
    const all = variantsOf(op);
    const first = all > 1 && !(tapsOut && !op.selectsOuts) && !readsPlainRows(this.#ops, op.out) ? 1 : 0;
    const { edit } = op;
    const stages = [...(edit?.delta?.stages ?? []), ...(edit?.post ?? []), ...(edit?.pre ?? [])];
    return {
      variants: all - first,
      args: {
        ...this.#programs.get(op),
        record_stride: this.#table.recordStride,
        variant_stride: variantStride,
        slot_stride: this.#slotBytes / 16,
        first_variant: first,
      },
      bind: { stages: { role: "stages" }, sources: { role: "sources" } },
      names: [
        ...stages.map(({ use }) => use.id),
        ...(edit?.norm ?? []).map(({ id }) => id),
        ...(edit?.variants ?? []).map(({ name, form, terms }) => `${name} (${form}, ${terms.length} sources)`),
      ],
    };
  }

  #noteEdits(op: FusedLinear): void {
    const { role } = op;
    if (op.reads) this.#staged.add(role);
    for (const [name, { length }] of op.stages) {
      if (length === 0) continue;
      this.#staged.add(role);
      this.#edits.set(role, (this.#edits.get(role) ?? new Set()).add(name));
      if (length > 1) this.#stacked.add(role);
    }
  }

  get #slotBytes(): number {
    return this.#bounds.chunkRows * Math.ceil(this.#bounds.config.hidden_size / 4) * 16;
  }

  #program(op: FusedNorm): ArgValues {
    const edit = op.edit as NonNullable<FusedNorm["edit"]>;
    const { slots } = this;
    const edges =
      edit.variants.length === 0
        ? NONE
        : this.#table.variants(
            edit.variants,
            {
              slotOf: (source, variant) => slots.sourceSlot(op, source, variant),
              eSlot: (variant) => slots.eSlot(op, variant),
              fixedBiases: (variant) => this.#fixedBiases(variant),
            },
            labelOf(op.role, op.layer),
          );
    return this.#table.program(
      {
        delta: edit.delta?.stages,
        post: edit.post,
        pre: edit.pre,
        norm: edit.norm,
        writesStream: edit.stream !== undefined,
        edges,
        slots: slots.programSlots(op),
      },
      labelOf(op.role, op.layer),
    );
  }

  /** Output biases that belong to no head, of the layers that a destination sees. */
  #fixedBiases({ destination }: EdgeVariant): readonly number[] {
    const { config, composition, outputBias } = this.#bounds;
    const mask = edgeMaskIn(composition.stages);
    if (mask?.attn_bias !== "separate") return [];
    return Array.from({ length: visibleLayers(config, destination, mask) }, (_, layer) => outputBias(layer)).filter(
      (at): at is number => at !== undefined,
    );
  }

  #partOf(op: Exclude<FusedOp, FusedNorm>): StagePart {
    if (op.kind === "linear") return this.#linearPart(op);
    if (op.kind === "head_sources") return this.#headPart(op);
    if (op.kind === "embed") return this.#embedPart(op);
    if (op.list === undefined || !this.isStaged(op)) return nothing;
    return {
      args: {
        record_stride: this.#table.recordStride,
        [`list_${op.list}`]: this.#table.list(op.stages, listPlace(op, op.list)),
      },
      bind: { stages: { role: "stages" } },
      names: idsOf(op.stages),
    };
  }

  #linearPart(op: FusedLinear): StagePart {
    const isStaged = this.isStaged(op);
    const isSourced = this.isSourced(op);
    return {
      args: {
        ...(isStaged && { record_stride: this.#table.recordStride, ...this.#linearLists(op) }),
        ...(isSourced && { source: op.source === undefined ? NONE : this.#sourceAt(op.source) }),
      },
      bind: {
        ...(isStaged && ({ stages: { role: "stages" } } as const)),
        ...(isSourced && ({ sources: { role: "sources" } } as const)),
      },
      names: [
        ...[...op.stages.values()].flatMap(idsOf),
        ...(op.source === undefined ? [] : ["mlp_out, kept as a source"]),
        ...(op.reads ? ["one input a head"] : []),
      ],
    };
  }

  /** The step's first kernel, which makes the records of its rows. */
  #embedPart(op: FusedNode<"embed">): StagePart {
    if (!this.isStaged(op)) return nothing;
    const { recordStride: record_stride, sequenceRecords: sequence_records } = this.#table;
    const isSource = op.source !== undefined;
    return {
      args: { record_stride, sequence_records, ...(isSource && { source: this.#sourceAt(op.source) }) },
      bind: {
        stage_table: { role: "stages" },
        scopes: { role: "scopes" },
        ...(isSource && ({ sources: { role: "sources" } } as const)),
      },
      names: ["where each stage acts", ...(isSource ? ["embed, kept as a source"] : [])],
    };
  }

  #linearLists(op: FusedLinear): Record<string, readonly number[]> {
    return Object.fromEntries(
      this.editsOf(op).map((name) => [`list_${name}`, this.#table.list(op.stages.get(name), listPlace(op, name))]),
    );
  }

  #headPart(op: FusedNode<"head_sources">): StagePart {
    const heads = op.node.heads.map(({ head, source }) => ({ head, slot: this.slots.slotOf(source) }));
    return {
      args: { heads: this.#table.heads(heads), head_count: heads.length, slot_stride: this.#slotBytes / 16 },
      bind: { stages: { role: "stages" }, sources: { role: "sources" } },
      names: heads.map(({ head }) => `head ${head}, kept as a source`),
    };
  }

  #sourceAt(source: number): number {
    return (this.slots.slotOf(source) * this.#slotBytes) / 16;
  }
}

/** What a dispatch takes that carries the parts of two operations. */
export function joined(a: StagePart, b: StagePart): StagePart {
  return { args: { ...a.args, ...b.args }, bind: { ...a.bind, ...b.bind }, names: [...a.names, ...b.names] };
}

function hasScales({ delta, post, pre, norm }: NormEdit): boolean {
  return norm.length > 0 || [...(delta?.stages ?? []), ...post, ...pre].some(({ form }) => form === "elements");
}

function idsOf(uses: readonly StageUse[]): readonly string[] {
  return uses.map(({ id }) => id);
}
