/** The stages of a batch's sequences: each has a program and settings of its own. */
import { layOutScopes } from "../../compile/scope-buffer.ts";
import { NONE } from "../../compile/stage-image.ts";
import { dependsOnPrompt, type Positions } from "../../interventions/positions.ts";
import { firstNewRole } from "../new-roles.ts";
import type { SequenceStages } from "../sequence-stages.ts";
import type { ProgramBlock, ProgramStore } from "./program-store.ts";

/** What acts on the rows of a request. Lists are by stage. */
export interface RequestStages {
  readonly program: ProgramBlock;
  readonly strengths: readonly number[];
  /** What multiplies the vectors of each stage (interventions/stage-scale.ts); of an edge mask, its strength. */
  readonly factors: readonly (readonly [own: number, other: number])[];
  readonly positions: readonly Positions[];
  /** The edge mask, if there is one: its place among the stages, and its values. */
  readonly edges?: {
    readonly stage: number;
    readonly values: Float32Array<ArrayBuffer>;
    readonly vectors: Float32Array<ArrayBuffer>;
  };
  /** Equal for requests whose tokens have the same keys and values. */
  readonly key: string;
}

export interface ProgramStageBuffers {
  /** Writes words of the stage table from a vec4 on. */
  writeTable(at4: number, words: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): void;
  writeScopes(words: Uint32Array<ArrayBuffer>): void;
}

interface SequenceState {
  stages: RequestStages | undefined;
  promptLength: number;
}

export class ProgramStages implements SequenceStages {
  readonly #store: ProgramStore;
  readonly #buffers: ProgramStageBuffers;
  readonly #sequences: SequenceState[];
  /** Whose records, and whose mask values, are to be written. */
  readonly #stale = new Set<number>();
  readonly #staleEdges = new Set<number>();
  #areScopesStale = true;
  #losses: number;
  #places: ReturnType<typeof layOutScopes>["places"] = [];

  constructor(store: ProgramStore, sequences: number, buffers: ProgramStageBuffers) {
    this.#store = store;
    this.#buffers = buffers;
    this.#losses = store.losses;
    this.#sequences = Array.from({ length: sequences }, () => ({ stages: undefined, promptLength: 0 }));
    this.#sequences.forEach((_, sequence) => this.#stale.add(sequence));
  }

  /** Says what acts on a sequence from now on. */
  begin(sequence: number, stages: RequestStages | undefined): void {
    const state = this.#of(sequence);
    const isScoped = (each: RequestStages | undefined) =>
      each?.positions.some((positions) => positions !== "all") === true;
    if (isScoped(state.stages) || isScoped(stages)) this.#areScopesStale = true;
    state.stages = stages;
    this.#stale.add(sequence);
    this.#staleEdges.add(sequence);
  }

  /** Whether what a sequence holds was computed under these stages. */
  isFilledUnder(sequence: number, stages: RequestStages | undefined): boolean {
    return this.#of(sequence).stages?.key === stages?.key;
  }

  areOff(sequences: Iterable<number>): boolean {
    for (const sequence of sequences) if (this.#of(sequence).stages) return false;
    return true;
  }

  setPromptLength(sequence: number, promptLength: number): void {
    const state = this.#of(sequence);
    if (state.promptLength === promptLength) return;
    state.promptLength = promptLength;
    if (state.stages?.positions.some(dependsOnPrompt)) this.#areScopesStale = true;
  }

  firstNewRole(sequence: number, tokens: readonly number[], before: (position: number) => number, now: number): number {
    const { stages } = this.#of(sequence);
    return stages ? firstNewRole(stages, tokens, before, now) : tokens.length;
  }

  flush(): void {
    const all = this.#sequences.keys();
    if (this.#losses !== this.#store.losses) {
      for (const sequence of all) {
        this.#stale.add(sequence);
        this.#staleEdges.add(sequence);
      }
    }
    this.#losses = this.#store.losses;
    if (this.#areScopesStale) {
      const settings = this.#sequences.map(({ stages, promptLength }) => ({
        positions: stages?.positions ?? [],
        promptLength,
      }));
      const { words, places } = layOutScopes(settings);
      this.#areScopesStale = false;
      this.#buffers.writeScopes(words);
      this.#places = places;
      for (const sequence of this.#sequences.keys()) this.#stale.add(sequence);
    }
    for (const sequence of this.#stale) this.#writeRecords(sequence);
    for (const sequence of this.#staleEdges) this.#writeEdges(sequence);
    this.#stale.clear();
    this.#staleEdges.clear();
  }

  /** vec4s of a sequence's mask values and vectors. */
  #edgePlaces(sequence: number): readonly [values: number, vectors: number] {
    const { at, values, vectors } = this.#store.layout.edges;
    const own = at + sequence * (values + vectors);
    return [own, own + values];
  }

  #writeEdges(sequence: number): void {
    const edges = this.#of(sequence).stages?.edges;
    if (!edges) return;
    const [values, vectors] = this.#edgePlaces(sequence);
    this.#buffers.writeTable(values, edges.values);
    if (edges.vectors.length > 0) this.#buffers.writeTable(vectors, edges.vectors);
  }

  #writeRecords(sequence: number): void {
    const { stages } = this.#of(sequence);
    const { recordStride, sequenceRecords } = this.#store.layout;
    const count = 1 + (stages?.strengths.length ?? 0);
    const words = new Uint32Array(4 * count);
    const floats = new Float32Array(words.buffer);
    words.set([(stages?.program ?? this.#store.empty).at, count, 0, NONE]);
    stages?.factors.forEach((factors, stage) => {
      const at = 4 * (1 + stage);
      const scope = this.#places[sequence]?.[stage];
      floats.set(factors, at);
      if (stages.edges?.stage === stage) {
        words.set([...this.#edgePlaces(sequence), NONE], at + 1);
        return;
      }
      words.set([scope?.at ?? 0, scope?.count ?? NONE], at + 2);
    });
    this.#buffers.writeTable(sequenceRecords + sequence * recordStride, words);
  }

  #of(sequence: number): SequenceState {
    return this.#sequences[sequence] as SequenceState;
  }
}
