/**
 * The stages of a session while it runs: their strengths, alphas, positions and values, per sequence, and the part of
 * the GPU's stage table that has to be written again when they change. Nothing here makes a buffer or a pipeline.
 */
import { layOutScopes, mostScopeVec4s } from "../compile/scope-buffer.ts";
import type { Origin, StageImage, StageWords } from "../compile/stage-image.ts";
import { SluiceError } from "../errors.ts";
import { checkClampedRows } from "../interventions/balanced-rows.ts";
import { checkPositions } from "../interventions/check-positions.ts";
import { checkStrengths } from "../interventions/check-strengths.ts";
import { destinationName, listDestinations, listSources, sourceName } from "../interventions/edges.ts";
import { methodsWithAlpha } from "../interventions/kinds/affine-methods.ts";
import { hasAlpha, kindOf, stageName } from "../interventions/kinds/kinds.ts";
import { isFloat32 } from "../interventions/manifest-fields.ts";
import { dependsOnPrompt, type Positions } from "../interventions/positions.ts";
import { initialSettings, type LiveSettings, type SequenceSettings } from "../interventions/settings.ts";
import {
  type Composition,
  type EdgeMaskStage,
  isAtSite,
  type SiteStage,
  type Stage,
  type StageValues,
} from "../interventions/stage.ts";
import { scaleOf } from "../interventions/stage-scale.ts";
import type { ModelConfig } from "../model-config.ts";
import { show } from "../show.ts";
import { firstNewRole } from "./new-roles.ts";
import type { SequenceStages } from "./sequence-stages.ts";

/** New values for a stage; those left out stay. */
export interface StageChange {
  /** Any finite float32 number; 0 equals leaving the stage out. */
  readonly strength?: number;
  /** Any finite float32 number; for `ace` and `addition`. */
  readonly alpha?: number;
  /** Which tokens it acts on; any form that a bundle may have. Not for an edge mask. */
  readonly positions?: Positions;
  /** Mask values by edge, [source, destination, m] with m in [0, 1]: only edges that the bundle lists. */
  readonly edges?: readonly (readonly [source: string, destination: string, value: number])[];
}

/** A stage in a sequence, as it is now. */
export interface StageState {
  /** s: 0 is the model without the stage. */
  readonly strength: number;
  /** α of `ace` and `addition`. */
  readonly alpha: number;
  /** Where it acts. */
  readonly positions: Positions;
}

/** A change, as results report it. */
export interface StageNotice extends StageChange {
  /** Id of the stage. */
  readonly id: string;
  /** Tensors that were replaced, by the names they have in a bundle: `ID.LAYER.scale`. */
  readonly tensors?: readonly string[];
}

/** The buffers that stages live in. */
export interface StageBuffers {
  /** Writes words at a byte offset of the stage table. */
  writeTable(offset: number, words: Uint32Array<ArrayBuffer>): void;
  /** Writes the whole scope buffer, which grows as it must. */
  writeScopes(words: Uint32Array<ArrayBuffer>): void;
  /** What the scope buffer can grow to. */
  readonly mostScopeBytes: number;
}

export class LiveStages implements SequenceStages {
  readonly #composition: Composition;
  readonly #config: ModelConfig;
  readonly #image: StageImage | undefined;
  readonly #settings: LiveSettings;
  readonly #words: StageWords | undefined;
  readonly #buffers: StageBuffers;
  #stale: Origin[] = [];
  #areScopesStale = false;
  /** Changes since the last query, by sequence. */
  readonly #notices: StageNotice[][];
  /** Number of each edge of the structure, by `source → destination`. */
  #edges: ReadonlyMap<string, number> | undefined;

  /** @param image absent if the composition leaves no trace in the plan */
  constructor(
    composition: Composition,
    config: ModelConfig,
    image: StageImage | undefined,
    sequences: number,
    buffers: StageBuffers,
  ) {
    this.#composition = composition;
    this.#config = config;
    this.#image = image;
    this.#settings = initialSettings(composition, sequences, config.hidden_size);
    this.#notices = this.#settings.sequences.map(() => []);
    this.#buffers = buffers;
    this.#checkScopes(() => undefined);
    for (const each of this.#settings.sequences) this.#checkStrengths(each);
    this.#words = image?.contents(this.#settings);
    if (!this.#words) return;
    buffers.writeTable(0, this.#words.integers);
    this.#areScopesStale = true;
  }

  /** Ids of the stages, in the order in which they act. */
  get ids(): readonly string[] {
    return this.#composition.stages.map(({ id }) => id);
  }

  /** Whether every stage is off in each of these sequences. */
  areOff(sequences: Iterable<number>): boolean {
    for (const sequence of sequences) {
      if (this.#of(sequence).strengths.some((strength) => strength !== 0)) return false;
    }
    return true;
  }

  /**
   * Changes a stage in one sequence, or in all. It acts from the next submit on.
   * @returns the sequences for which something is different from before
   * @throws SluiceError `usage` for a stage that does not exist, a value that float32 cannot hold, an edge outside the
   *   structure
   */
  set(id: string, change: StageChange, sequence?: number): readonly number[] {
    const index = this.#indexOf(id);
    const stage = this.#composition.stages[index] as Stage;
    for (const name of ["strength", "alpha"] as const) {
      const value = change[name];
      if (value !== undefined && !isFloat32(value)) {
        throw new SluiceError("usage", `The ${name} of stage ${id} cannot be ${value}`, {
          hint: "Give a finite number that float32 holds.",
        });
      }
    }
    if (change.alpha !== undefined && !hasAlpha(stage)) {
      throw new SluiceError("usage", `Stage ${id} has no alpha: it is ${stageName(stage)}`, {
        hint: `Only ${methodsWithAlpha.join(" and ")} do; change its strength instead.`,
      });
    }
    const edges = this.#edgeChanges(stage, change);
    const positions = this.#newPositions(index, change, sequence);
    const changed: number[] = [];
    const sequences = sequence === undefined ? [...this.#settings.sequences.keys()] : [sequence];
    for (const i of sequences) {
      const now = this.#of(i);
      this.#checkStrengths({
        strengths: now.strengths.with(index, change.strength ?? (now.strengths[index] as number)),
        alphas: now.alphas.with(index, change.alpha ?? (now.alphas[index] as number)),
        positions: now.positions.with(index, positions ?? (now.positions[index] as Positions)),
      });
    }
    for (const i of sequences) {
      const settings = this.#of(i);
      let isDifferent = false;
      if (change.strength !== undefined && settings.strengths[index] !== change.strength) {
        settings.strengths[index] = change.strength;
        this.#stale.push({ kind: "records", sequence: i });
        isDifferent = true;
      }
      if (change.alpha !== undefined && settings.alphas[index] !== change.alpha) {
        settings.alphas[index] = change.alpha;
        this.#stale.push({ kind: "records", sequence: i });
        isDifferent = true;
      }
      if (positions !== undefined && JSON.stringify(settings.positions[index]) !== JSON.stringify(positions)) {
        settings.positions[index] = positions;
        this.#areScopesStale = true;
        isDifferent = true;
      }
      for (const [edge, value] of edges) {
        if (settings.edges[edge] === value) continue;
        settings.edges[edge] = value;
        this.#stale.push({ kind: "edges", sequence: i });
        isDifferent = true;
      }
      if (!isDifferent) continue;
      changed.push(i);
      (this.#notices[i] as StageNotice[]).push({ id, ...change, ...(positions !== undefined && { positions }) });
    }
    return changed;
  }

  /** Whether a sequence has changes that `takeNotices` would give. */
  hasNotices(sequence: number): boolean {
    return (this.#notices[sequence] as StageNotice[]).length > 0;
  }

  /** The changes of a sequence since this was last asked. */
  takeNotices(sequence: number): readonly StageNotice[] {
    return (this.#notices[sequence] as StageNotice[]).splice(0);
  }

  /**
   * Replaces tensors of a stage at a layer by copies of others of the same shape, for all sequences.
   * @throws SluiceError `usage` for a layer or tensor that the stage does not have, another shape, or values that a
   *   bundle could not have
   */
  setTensors(id: string, layer: number, tensors: StageValues): void {
    const index = this.#indexOf(id);
    const stage = this.#composition.stages[index] as Stage;
    const current = this.#settings.tensors[index]?.get(layer) as Readonly<Record<string, Float32Array>> | undefined;
    if (!current || !isAtSite(stage)) throw new SluiceError("usage", `Stage ${id} does not act at layer ${layer}`);
    const specs = kindOf(stage).tensors(stage);
    for (const [name, values] of Object.entries(tensors) as [string, Float32Array][]) {
      const present = Object.hasOwn(current, name) ? current[name] : undefined;
      if (!(values instanceof Float32Array) || present?.length !== values.length) {
        throw new SluiceError(
          "usage",
          `Tensor ${id}.${layer}.${name} has ${present?.length ?? 0} values, not ${show(values)}`,
          {
            hint: "Values can change while a model runs; which tensors there are and their shapes cannot.",
          },
        );
      }
      if (!values.every(Number.isFinite)) {
        throw new SluiceError("usage", `Tensor ${id}.${layer}.${name} holds a value that is not finite`);
      }
      if (specs[name]?.nonzero && values.every((value) => value === 0)) {
        throw new SluiceError("usage", `Tensor ${id}.${layer}.${name} is zero; ${stageName(stage)} needs a ${name}`, {
          hint: "Set the strength to 0 to turn the stage off.",
        });
      }
    }
    const names = Object.keys(tensors);
    const copies = Object.fromEntries(Object.entries(tensors).map(([name, values]) => [name, values.slice()]));
    this.#replaceTensors(index, stage, layer, { ...current, ...copies });
    for (const notices of this.#notices) notices.push({ id, tensors: names.map((name) => `${id}.${layer}.${name}`) });
  }

  /** @throws SluiceError for values that float32 has no right result for; then nothing is changed */
  #replaceTensors(index: number, stage: SiteStage, layer: number, values: StageValues): void {
    const { tensors, scales, sequences } = this.#settings;
    const { hidden_size } = this.#config;
    const { lowering } = kindOf(stage);
    if (lowering.form === "row") {
      const row = lowering.lower(stage, values, hidden_size);
      checkClampedRows(row, lowering.gate(stage), `Stage ${stage.id}, layer ${layer}`);
    }
    const changed = new Map(tensors[index]).set(layer, values);
    const scale = scaleOf(stage, changed, hidden_size);
    for (const each of sequences) {
      this.#checkStrengths(each, { tensors: tensors.with(index, changed), scales: scales.with(index, scale) });
    }
    const before = scales[index];
    tensors[index]?.set(layer, values);
    scales[index] = scale;
    this.#stale.push({ kind: "tensors", stage: index, layer });
    if (before?.row === scale.row && before.added === scale.added) return;
    // All vectors of the stage have another scale, and what multiplies them.
    for (const other of changed.keys()) this.#stale.push({ kind: "tensors", stage: index, layer: other });
    sequences.forEach((_, sequence) => this.#stale.push({ kind: "records", sequence }));
  }

  #checkStrengths(
    { strengths, alphas, positions }: Pick<SequenceSettings, "strengths" | "alphas" | "positions">,
    { tensors, scales }: Pick<LiveSettings, "tensors" | "scales"> = this.#settings,
  ): void {
    const { stages } = this.#composition;
    checkStrengths({ stages, strengths, alphas, positions, tensors, scales, config: this.#config });
  }

  /** P of a sequence: its positions [0, P) are the prompt's. */
  setPromptLength(sequence: number, promptLength: number): void {
    const settings = this.#of(sequence);
    if (settings.promptLength === promptLength) return;
    settings.promptLength = promptLength;
    if (settings.positions.some(dependsOnPrompt)) this.#areScopesStale = true;
  }

  firstNewRole(sequence: number, tokens: readonly number[], before: (position: number) => number, now: number): number {
    return firstNewRole(this.#of(sequence), tokens, before, now);
  }

  /** Ids and positions of the stages in a sequence. */
  positionsOf(sequence: number): readonly { readonly id: string; readonly positions: Positions }[] {
    const { positions } = this.#of(sequence);
    return this.#composition.stages.map(({ id }, stage) => ({ id, positions: positions[stage] as Positions }));
  }

  /** Strength, alpha and positions of a stage in a sequence. */
  get(id: string, sequence = 0): StageState {
    const index = this.#indexOf(id);
    const { strengths, alphas, positions } = this.#of(sequence);
    return {
      strength: strengths[index] as number,
      alpha: alphas[index] as number,
      positions: positions[index] as Positions,
    };
  }

  /** Sends what changed to the GPU; it is in force for everything submitted from now on. */
  flush(): void {
    const stale = this.#stale;
    this.#stale = [];
    if (!this.#image || !this.#words) return;
    if (this.#areScopesStale) {
      const { words, places } = layOutScopes(this.#settings.sequences);
      this.#areScopesStale = false;
      this.#buffers.writeScopes(words);
      this.#settings.scopes = places;
      places.forEach((_, sequence) => stale.push({ kind: "records", sequence }));
    }
    if (stale.length === 0) return;
    const spans = this.#image.update(this.#words, this.#settings, (origin) =>
      stale.some((other) => isSame(origin, other)),
    );
    for (const { at, length } of spans)
      this.#buffers.writeTable(at * 4, this.#words.integers.subarray(at, at + length));
  }

  /** A copy of the positions to set, once they are known to be valid and to have room. */
  #newPositions(index: number, { positions }: StageChange, sequence: number | undefined): Positions | undefined {
    if (positions === undefined) return undefined;
    const { id, kind } = this.#composition.stages[index] as Stage;
    if (kind === "edge_mask") {
      throw new SluiceError("usage", `Stage ${id} is an edge_mask, which acts everywhere and has no positions`);
    }
    const refuse = (field: string, problem: string, hint?: string) =>
      new SluiceError("usage", `Stage ${id}: ${field} ${problem}`, hint === undefined ? {} : { hint });
    const copy = structuredClone(checkPositions(positions, refuse, this.#config.vocab_size));
    this.#checkScopes((i, stage) => (stage === index && (sequence ?? i) === i ? copy : undefined));
    return copy;
  }

  /** @throws SluiceError `device_limit` if the positions of all sequences, with these changes, could not be bound */
  #checkScopes(change: (sequence: number, stage: number) => Positions | undefined): void {
    const vec4s = this.#settings.sequences.reduce((sum, { positions }, i) => {
      return positions.reduce((part, each, stage) => part + mostScopeVec4s(change(i, stage) ?? each), sum);
    }, 0);
    const { mostScopeBytes } = this.#buffers;
    if (vec4s * 16 <= mostScopeBytes) return;
    throw new SluiceError(
      "device_limit",
      `The positions of all stages and sequences take up to ${vec4s * 16} bytes, and this device binds at most ${mostScopeBytes}`,
      { hint: "List fewer positions and token ids, or use fewer sequences at once." },
    );
  }

  #edgeChanges(stage: Stage, { edges = [] }: StageChange): readonly (readonly [edge: number, value: number])[] {
    if (edges.length === 0) return [];
    if (stage.kind !== "edge_mask")
      throw new SluiceError("usage", `Stage ${stage.id} is not an edge_mask and has no edges`);
    this.#edges ??= numberEdges(stage, this.#config);
    const numbers = this.#edges;
    return edges.map(([source, destination, value]) => {
      const edge = numbers.get(`${source} → ${destination}`);
      if (edge === undefined) {
        throw new SluiceError("usage", `The edge ${source} → ${destination} is not among those of stage ${stage.id}`, {
          hint: "Its structure is what the bundle lists; add the edge there, with the value 1 if it is to be kept at first.",
        });
      }
      if (!(value >= 0 && value <= 1)) {
        throw new SluiceError("usage", `The edge ${source} → ${destination} cannot have the value ${value}`, {
          hint: "Mask values lie between 0 (cut) and 1 (kept).",
        });
      }
      return [edge, value] as const;
    });
  }

  #indexOf(id: string): number {
    const index = this.#composition.stages.findIndex((stage) => stage.id === id);
    if (index >= 0) return index;
    const { ids } = this;
    throw new SluiceError("usage", `There is no stage ${show(id)}`, {
      hint: ids.length > 0 ? `The stages are ${ids.join(", ")}.` : "This model runs without stages.",
    });
  }

  #of(sequence: number): SequenceSettings {
    const settings = this.#settings.sequences[sequence];
    if (settings) return settings;
    throw new SluiceError(
      "usage",
      `There is no sequence ${sequence}; this session has ${this.#settings.sequences.length}`,
    );
  }
}

/** Number of each edge of a mask, by `source → destination`. */
export function numberEdges(stage: EdgeMaskStage, config: ModelConfig): ReadonlyMap<string, number> {
  const sources = listSources(config).map(sourceName);
  const destinations = listDestinations(config, stage.destinations).map(destinationName);
  return new Map(
    stage.edges.map(({ source, destination }, i) => [`${sources[source]} → ${destinations[destination]}`, i]),
  );
}

function isSame(a: Origin, b: Origin): boolean {
  if (a.kind === "tensors") return b.kind === "tensors" && a.stage === b.stage && a.layer === b.layer;
  return b.kind === a.kind && a.sequence === b.sequence;
}
