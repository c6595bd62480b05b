/** An edge mask's part of the stage table: a sequence's mask values, and what is put in the place of what they cut. */
import type { EdgeVariant } from "../graph/graph.ts";
import { listDestinations, visibleSources } from "../interventions/edges.ts";
import type { LiveSettings } from "../interventions/settings.ts";
import { type Composition, type EdgeMaskStage, edgeMaskIn } from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";
import { NONE, type Region, type StageWords } from "./stage-image.ts";

/**
 * One block of values a sequence: m of every edge, then Σ (1 − m) of every masked destination; and one block of vectors
 * κ = Σ (1 − m)·repl, for the destinations that replace anything.
 */
export class EdgeBlocks {
  readonly regions: readonly Region[];
  readonly #variants: readonly EdgeVariant[];
  readonly #width: number;
  readonly #cut = new Map<number, number>();
  readonly #kappa = new Map<number, number>();
  readonly #valuesAt: number;
  readonly #values4: number;
  readonly #kappaAt: number;
  readonly #kappa4: number;

  /** @param take reserves vec4s of the table and returns the first */
  constructor(
    composition: Composition,
    config: ModelConfig,
    sequences: number,
    variants: readonly EdgeVariant[],
    take: (count4: number) => number,
  ) {
    const mask = edgeMaskIn(composition.stages);
    this.#variants = variants;
    this.#width = config.hidden_size;
    const edges = mask?.edges.length ?? 0;
    const destinations = mask && variants.length > 0 ? listDestinations(config, mask.destinations) : [];
    for (const { destination } of variants) {
      this.#cut.set(destination, edges + this.#cut.size);
      const kind = destinations[destination]?.kind;
      const reader = kind === "mlp" || kind === "logits" ? kind : "attn";
      if (mask?.constants && mask.replace[reader] === "constants") this.#kappa.set(destination, this.#kappa.size);
    }
    this.#values4 = variants.length === 0 ? 0 : Math.ceil((edges + variants.length) / 4);
    this.#kappa4 = this.#kappa.size * this.#width4;
    this.#valuesAt = take(this.#values4 * sequences);
    this.#kappaAt = take(this.#kappa4 * sequences);
    this.regions = Array.from({ length: sequences }, (_, sequence) => this.#regionsOf(sequence)).flat();
  }

  /** vec4s of a sequence's values, and of its vectors. */
  get sizes(): readonly [values: number, kappa: number] {
    return [this.#values4, this.#kappa4];
  }

  /** A sequence's block of values. @param edges m of each edge */
  values(edges: ArrayLike<number>): Float32Array<ArrayBuffer> {
    const floats = new Float32Array(this.#values4 * 4);
    floats.set(edges);
    for (const variant of this.#variants) {
      const cut = variant.terms.reduce((sum, { edge }) => sum + (edge === null ? 0 : 1 - (edges[edge] as number)), 0);
      floats[this.cutOf(variant)] = cut;
    }
    return floats;
  }

  /** A sequence's block of vectors. @param constants what replaces each source; zeros if absent */
  vectors(edges: ArrayLike<number>, constants: Float32Array | undefined): Float32Array<ArrayBuffer> {
    const floats = new Float32Array(this.#kappa4 * 4);
    for (const variant of this.#variants) {
      const index = this.#kappa.get(variant.destination);
      if (index === undefined || !constants) continue;
      const sum = new Float64Array(this.#width);
      for (const { source, edge } of variant.terms) {
        const cut = edge === null ? 0 : 1 - (edges[edge] as number);
        if (cut === 0) continue;
        for (let i = 0; i < sum.length; i++) {
          sum[i] = (sum[i] as number) + cut * (constants[source * this.#width + i] as number);
        }
      }
      floats.set(sum, index * this.#width4 * 4);
    }
    return floats;
  }

  /** vec4s at which a sequence's values and vectors begin. */
  blocksOf(sequence: number): readonly [values: number, kappa: number] {
    return [this.#valuesAt + sequence * this.#values4, this.#kappaAt + sequence * this.#kappa4];
  }

  /** Index of Σ (1 − m) of a destination among the values. */
  cutOf({ destination }: EdgeVariant): number {
    return this.#cut.get(destination) ?? 0;
  }

  /** Index of a destination's vector, or NONE. */
  kappaOf({ destination }: EdgeVariant): number {
    return this.#kappa.get(destination) ?? NONE;
  }

  get #width4(): number {
    return Math.ceil(this.#width / 4);
  }

  #regionsOf(sequence: number): readonly Region[] {
    const [values, kappa] = this.blocksOf(sequence).map((at4) => at4 * 4) as [number, number];
    const origins = [{ kind: "edges", sequence } as const];
    return [
      {
        at: values,
        length: this.#values4 * 4,
        origins,
        write: ({ floats }: StageWords, settings: LiveSettings) =>
          floats.set(this.values(this.#edgesOf(settings, sequence)), values),
      },
      {
        at: kappa,
        length: this.#kappa4 * 4,
        origins,
        write: ({ floats }: StageWords, settings: LiveSettings) =>
          floats.set(this.vectors(this.#edgesOf(settings, sequence), settings.constants), kappa),
      },
    ].filter(({ length }) => length > 0);
  }

  #edgesOf({ sequences }: LiveSettings, sequence: number): Float64Array {
    return sequences[sequence]?.edges ?? new Float64Array(0);
  }
}

/** How many layers' output biases a destination sees: always the first ones. */
export function visibleLayers(config: ModelConfig, destination: number, mask: EdgeMaskStage): number {
  const found = listDestinations(config, mask.destinations)[destination];
  if (!found) return 0;
  const visible = visibleSources(config, found);
  return Math.ceil((visible - 1) / (config.num_attention_heads + 1));
}
