/**
 * The stage table: the buffer in which kernels find everything about stages (shaders/stages/table.wgsl). Structure is
 * written once; regions of data know which settings they are made of, and are written again when those change.
 */

import { SluiceError } from "../errors.ts";
import type { EdgeVariant, StageUse } from "../graph/graph.ts";
import { type BalancedRow, balancedRows, checkClampedRows, divided } from "../interventions/balanced-rows.ts";
import { kindOf } from "../interventions/kinds/kinds.ts";
import type { ElementForm, LoweredElements, RowForm } from "../interventions/kinds/stage-kind.ts";
import type { LiveSettings } from "../interventions/settings.ts";
import { type Composition, isAtSite, type SiteStage, type StageValues } from "../interventions/stage.ts";
import { factorsOf, unscaled } from "../interventions/stage-scale.ts";
import type { ArgValues } from "../kernels/kernel.ts";
import { MOST_RANKS } from "../kernels/norm/edited.ts";
import type { ModelConfig } from "../model-config.ts";
import { dot } from "../numbers/dot.ts";
import type { RowStage } from "./fused.ts";
import { EdgeBlocks } from "./stage-edges.ts";
import { makeImage, NONE, type Origin, type Region, type StageImage } from "./stage-image.ts";
import { codeOf, packed } from "./stage-layout.ts";
import {
  type NormPlaces,
  type NormProgram,
  normSwitches,
  type StagePlacer,
  type VariantPlaces,
} from "./stage-placer.ts";

export class StageTableBuilder implements StagePlacer {
  readonly #composition: Composition;
  readonly #width: number;
  readonly #structure: { readonly at: number; readonly words: readonly number[] }[] = [];
  readonly #regions: Region[] = [];
  readonly #placed = new Map<string, number>();
  /** vec4s in use. */
  #end4: number;
  readonly #edges: EdgeBlocks;
  /** Most coordinates of a group so far. */
  ranks = 0;

  readonly sequenceRecords: number;
  /** vec4 of the table at which what is built begins. */
  readonly #base4: number;
  /** Number of the first stage's record among those of a row. */
  readonly #firstRecord: number;

  /**
   * @param variants every variant of an edge mask that the plan makes
   * @param at for the program of a sequence, which has neither rows nor sequences: the vec4 at which it begins, and how
   *   many records come before those of its stages
   */
  constructor(
    composition: Composition,
    { config, sequences, chunkRows }: { config: ModelConfig; sequences: number; chunkRows: number },
    variants: readonly EdgeVariant[],
    { base4, firstRecord }: { readonly base4: number; readonly firstRecord: number } = { base4: 0, firstRecord: 0 },
  ) {
    this.#composition = composition;
    this.#width = config.hidden_size;
    this.#base4 = base4;
    this.#firstRecord = firstRecord;
    this.sequenceRecords = chunkRows * composition.stages.length;
    this.#end4 = base4 + this.sequenceRecords + sequences * composition.stages.length;
    this.#edges = new EdgeBlocks(composition, config, sequences, variants, (count4) => this.#take(count4));
    for (let sequence = 0; sequence < sequences; sequence++) this.#placeRecords(sequence);
  }

  get recordStride(): number {
    return this.#composition.stages.length;
  }

  /** A list of stages of single elements, as shaders/stages/neuron_scale.wgsl reads it: the first, and where the others are. */
  list(uses: readonly StageUse[] = []): readonly number[] {
    const [first, ...others] = uses.map((use) => ({ stage: this.#recordOf(use), ...this.#elementVectors(use) }));
    if (!first) return packed("Scaling", { stage: NONE, scale: NONE, shift: NONE, more: NONE });
    const more =
      others.length > 0 ? this.#listed(others.map((each) => packed("Scaling", { ...each, more: NONE }))) : NONE;
    return packed("Scaling", { ...first, more });
  }

  /** The vec4 of a list of heads, each with its slot. */
  heads(heads: readonly { readonly head: number; readonly slot: number }[]): number {
    return this.#fixed(heads.map((head) => packed("Head", head)));
  }

  /** The program of an edited norm, as args: see shaders/norm/edited.wgsl. */
  program(program: NormProgram): ArgValues & NormPlaces {
    const { delta, post, pre } = program;
    const [ofDelta, ofPost, ofPre] = [delta ?? [], post, pre].map((stages) => this.#groups(stages)) as [
      number[][],
      number[][],
      number[][],
    ];
    const groups = [...ofDelta, ...ofPost, ...ofPre];
    const edgeStage = this.#composition.stages.findIndex(({ kind }) => kind === "edge_mask");
    return {
      groups: [groups.length > 0 ? this.#fixed(groups) : 0, ofDelta.length, ofPost.length, ofPre.length],
      ...normSwitches(program),
      list_norm: this.list(program.norm),
      mask: [program.edges, Math.max(0, edgeStage) + this.#firstRecord],
    };
  }

  /** Values of the edge mask, by sequence. */
  get edges(): EdgeBlocks {
    return this.#edges;
  }

  /** The vec4 of a norm's variants: the uncorrected one, then one a destination; undefined: that is uncorrected, too. */
  variants(variants: readonly (EdgeVariant | undefined)[], place: VariantPlaces): number {
    const form = codeOf("FORM", "plain");
    const plain = packed("Variant", { form, terms: 0, terms_at: 0, kappa: 0, fixed_at: NONE, cut: 0, e_slot: NONE });
    const entries = variants.map((variant, i) => {
      if (!variant) return plain;
      const terms = variant.terms.map(({ source, edge }) =>
        packed("Term", { slot: place.slotOf(source, i + 1), edge: edge ?? NONE }),
      );
      const fixed = variant.form === "kept" ? place.fixedBiases(variant) : [];
      return packed("Variant", {
        form: codeOf("FORM", variant.form),
        terms: terms.length,
        fixed_at: fixed.length > 0 ? this.#listed(fixed.map((at) => [at, 0, 0, 0])) : NONE,
        terms_at: this.#fixed(terms),
        kappa: this.#edges.kappaOf(variant),
        cut: this.#edges.cutOf(variant),
        e_slot: place.eSlot(i + 1),
      });
    });
    return this.#fixed([plain, ...entries]);
  }

  finish(): StageImage {
    return makeImage((this.#end4 - this.#base4) * 4, this.#structure, [...this.#regions, ...this.#edges.regions]);
  }

  /** Stages in a row as groups: those of whole rows that follow one another share a reduction. */
  #groups(stages: readonly RowStage[]): number[][] {
    const groups: number[][] = [];
    let run: StageUse[] = [];
    let reads = 0;
    const flush = (): void => {
      if (run.length > 0) {
        const entries = this.#rowEntries(run, reads);
        groups.push(packed("RowGroup", { form: codeOf("GROUP", "row"), entries, count: run.length, reads }));
      }
      this.ranks = Math.max(this.ranks, reads);
      run = [];
      reads = 0;
    };
    for (const { form, use } of stages) {
      if (form === "elements") {
        flush();
        const own = { form: codeOf("GROUP", form), stage: this.#recordOf(use) };
        groups.push(packed("ElementGroup", { ...own, ...this.#elementVectors(use) }));
        continue;
      }
      const rank = this.#rankOf(use);
      if (rank > MOST_RANKS) {
        throw new SluiceError(
          "device_limit",
          `Stage ${use.id} has rank ${rank} at layer ${use.layer}; at most ${MOST_RANKS} can be run`,
          {
            hint: "Give it fewer rows of v and u.",
          },
        );
      }
      if (reads + rank > MOST_RANKS) flush();
      run.push(use);
      reads += rank;
    }
    flush();
    return groups;
  }

  #rowEntries(uses: readonly StageUse[], totalReads: number): number {
    const entries: number[][] = [];
    let read = 0;
    uses.forEach((use, i) => {
      const { stage, values, lowering } = this.#rowStage(use);
      const rank = this.#rankOf(use);
      read += rank;
      const adds = lowering.adds(stage, values);
      const gate = lowering.gate(stage);
      checkClampedRows(lowering.lower(stage, values, this.#width), gate, `Stage ${use.id}, layer ${use.layer}`);
      const later = totalReads - read;
      const vectors = this.#rowVectors(use, rank, adds !== "nothing");
      entries.push(
        packed("Entry", {
          stage: this.#recordOf(use),
          gate: codeOf("GATE", typeof gate === "object" ? "clamp" : gate),
          reads: rank,
          adds: codeOf("ADDS", adds === "nothing" ? adds : "bias"),
          ...vectors,
          // Bounds follow the scale of the rows: data.
          lo: 0,
          hi: 0,
          products: later > 0 ? this.#products(uses, i, later, rank + (adds === "nothing" ? 0 : 1)) : 0,
        }),
      );
    });
    const at = this.#fixed(entries);
    uses.forEach((use, i) => {
      const { stage, lowering } = this.#rowStage(use);
      if (typeof lowering.gate(stage) === "object") this.#placeBounds(use, at + i * ENTRY_VEC4S + BOUNDS_VEC4);
    });
    return at;
  }

  /** Bounds of a clamp, at the end of its entry. */
  #placeBounds(use: StageUse, at4: number): void {
    const at = this.#wordOf(at4);
    this.#regions.push({
      at,
      length: 2,
      origins: [tensorsOf(use)],
      write: ({ floats }, settings) => floats.set(this.#lowered(use, settings).bounds, at),
    });
  }

  /** V, U, b, c of a stage at a layer. */
  #rowVectors(use: StageUse, rank: number, adds: boolean): Record<"v" | "u" | "b" | "c", number> {
    const w4 = Math.ceil(this.#width / 4);
    const place = (name: string, count4: number, write: (to: Float32Array, lowered: BalancedRow) => void): number =>
      count4 === 0
        ? 0
        : this.#data(`${name} ${use.stage} ${use.layer}`, count4, [tensorsOf(use)], (to, settings) =>
            write(to, this.#lowered(use, settings)),
          );
    const rows = (to: Float32Array, list: readonly Float64Array[]) => list.forEach((row, k) => to.set(row, k * w4 * 4));
    return {
      v: place("v", rank * w4, (to, { v }) => rows(to, v)),
      u: place("u", rank * w4, (to, { u }) => rows(to, u)),
      b: place("b", adds ? w4 : 0, (to, { b }) => to.set(b ?? [])),
      c: place("c", Math.ceil(rank / 4), (to, { c }) => to.set(c)),
    };
  }

  /** V rows of later stages of a group times what an earlier one adds: its U rows, then its b. */
  #products(uses: readonly StageUse[], index: number, later: number, added: number): number {
    const own = uses[index] as StageUse;
    const behind = uses.slice(index + 1);
    const key = `products ${[own, ...behind].map(({ stage, layer }) => `${stage} ${layer}`).join(", ")}`;
    return this.#data(key, Math.ceil((added * later) / 4), [own, ...behind].map(tensorsOf), (to, settings) => {
      const { u, b } = this.#lowered(own, settings);
      const reads = behind.flatMap((use) => this.#lowered(use, settings).v);
      [...u, ...(b ? [b] : [])].forEach((vector, k) => {
        reads.forEach((read, j) => (to[k * later + j] = dot(read, vector)));
      });
    });
  }

  /** scale and shift of a stage of single elements at a layer, or NONE. */
  #elementVectors(use: StageUse): Record<keyof LoweredElements, number> {
    const { stage, lowering } = this.#elementStage(use);
    const lowered = lowering.lower(stage, valuesOf(stage, use));
    const place = (name: keyof LoweredElements): number => {
      const length = lowered[name]?.length;
      if (length === undefined) return NONE;
      const key = `${name} ${use.stage} ${use.layer}`;
      return this.#data(key, Math.ceil(length / 4), [tensorsOf(use)], (to, settings) => {
        const now = settings.tensors[use.stage]?.get(use.layer) ?? {};
        const { row } = settings.scales[use.stage] ?? unscaled;
        to.set(divided(lowering.lower(stage, now)[name] ?? [], row));
      });
    };
    return { scale: place("scale"), shift: place("shift") };
  }

  #placeRecords(sequence: number): void {
    const { stages } = this.#composition;
    const at = (this.sequenceRecords + sequence * stages.length) * 4;
    this.#regions.push({
      at,
      length: stages.length * 4,
      origins: [{ kind: "records", sequence }],
      write: ({ integers, floats }, { sequences, scopes, scales }) => {
        const { strengths, alphas } = sequences[sequence] as LiveSettings["sequences"][number];
        stages.forEach((stage, i) => {
          const strength = strengths[i] as number;
          floats[at + 4 * i] = strength;
          if (isAtSite(stage)) {
            const given = { strength, alpha: alphas[i] as number };
            floats.set(factorsOf(stage, given, scales[i] ?? unscaled), at + 4 * i);
            const scope = scopes[sequence]?.[i];
            integers.set([scope?.at ?? 0, scope?.count ?? NONE], at + 4 * i + 2);
          } else {
            integers.set([...this.#edges.blocksOf(sequence), NONE], at + 4 * i + 1);
          }
        });
      },
    });
  }

  #recordOf({ stage }: StageUse): number {
    return this.#firstRecord + stage;
  }

  #stageOf({ stage, id }: StageUse): SiteStage {
    const found = this.#composition.stages[stage];
    if (!found || !isAtSite(found)) throw new Error(`Stage ${id} does not act at a site`);
    return found;
  }

  #elementStage(use: StageUse): { readonly stage: SiteStage; readonly lowering: ElementForm<SiteStage, StageValues> } {
    const stage = this.#stageOf(use);
    const { lowering } = kindOf(stage);
    if (lowering.form !== "elements") throw new Error(`Stage ${use.id} needs whole rows`);
    return { stage, lowering };
  }

  #rowStage(use: StageUse): {
    readonly stage: SiteStage;
    readonly values: StageValues;
    readonly lowering: RowForm<SiteStage, StageValues>;
  } {
    const stage = this.#stageOf(use);
    const { lowering } = kindOf(stage);
    if (lowering.form !== "row") throw new Error(`Stage ${use.id} edits single elements`);
    return { stage, values: valuesOf(stage, use), lowering };
  }

  #rankOf(use: StageUse): number {
    const { stage, values, lowering } = this.#rowStage(use);
    return lowering.rank(stage, values, this.#width);
  }

  #lowered(use: StageUse, { tensors, scales }: LiveSettings): BalancedRow {
    const { stage, values, lowering } = this.#rowStage(use);
    const lowered = lowering.lower(stage, tensors[use.stage]?.get(use.layer) ?? values, this.#width);
    const balanced = balancedRows(lowered, lowering.gate(stage));
    const { row, added } = scales[use.stage] ?? unscaled;
    if (row === 1 && added === 1) return balanced;
    const { u, b } = balanced;
    return { ...balanced, u: u.map((each) => divided(each, row)), b: b && divided(b, added) };
  }

  /** Structure: a vec4 with the number of the items, then these. */
  #listed(items: readonly (readonly number[])[]): number {
    return this.#fixed([[items.length, 0, 0, 0], ...items]);
  }

  /** Structure: vec4s of integers. */
  #fixed(vec4s: readonly (readonly number[])[]): number {
    const words = vec4s.flat();
    const at = this.#take(words.length / 4);
    this.#structure.push({ at: this.#wordOf(at), words });
    return at;
  }

  /** Data of floats, placed once for a key. */
  #data(
    key: string,
    count4: number,
    origins: readonly Origin[],
    write: (to: Float32Array, settings: LiveSettings) => void,
  ): number {
    const known = this.#placed.get(key);
    if (known !== undefined) return known;
    const at = this.#take(count4);
    this.#placed.set(key, at);
    const [from, length] = [this.#wordOf(at), count4 * 4];
    this.#regions.push({
      at: from,
      length,
      origins,
      write: ({ floats }, settings) => write(floats.subarray(from, from + length), settings),
    });
    return at;
  }

  /** Where a vec4 of the table lies in what is built. */
  #wordOf(at: number): number {
    return (at - this.#base4) * 4;
  }

  /** Places structure first of all: its words may change until `finish`. */
  begin(words: readonly number[]): void {
    this.#structure.push({ at: this.#wordOf(this.#take(words.length / 4)), words });
  }

  #take(count4: number): number {
    const at = this.#end4;
    this.#end4 += count4;
    return at;
  }
}

/** vec4s of an Entry, and which of them begins with the bounds. */
const ENTRY_VEC4S = 3;
const BOUNDS_VEC4 = 2;

function tensorsOf({ stage, layer }: StageUse): Origin {
  return { kind: "tensors", stage, layer };
}

function valuesOf(stage: SiteStage, { layer }: StageUse): StageValues {
  return stage.values.get(layer) ?? {};
}
