/** The cost of each intervention stage where it is fused: the plan is timed with and without it, alternately. */

import { throwIfAborted } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { type LaneRun, ProfiledLane } from "./lane.ts";
import type { Phase, StageCost } from "./profile-result.ts";
import { median, medianInterval } from "./statistics.ts";
import { TimestampObserver } from "./timestamps.ts";

const PAIRS = 7;

/** Times every stage of a model, in both phases. Opens one more session at a time. */
export async function stageCosts(
  model: Model,
  tokens: readonly number[],
  newTokens: number,
  options: { readonly signal?: AbortSignal | undefined; onProgress?(done: number, total: number): void },
): Promise<readonly StageCost[]> {
  const { stages } = model;
  const { signal } = options;
  const costs: StageCost[] = [];
  if (stages.length === 0) return costs;
  const whole = await Timed.open(model, tokens, newTokens, signal);
  try {
    for (const [i, stage] of stages.entries()) {
      const rest = stages.filter((other) => other !== stage);
      const without = await Timed.open(model.withStages({ stages: rest, warnings: [] }), tokens, newTokens, signal);
      try {
        const pairs: (readonly [Measured, Measured])[] = [];
        for (let pair = 0; pair < PAIRS; pair++) {
          throwIfAborted(signal);
          // The first of two runs finds other data in the caches.
          const first = pair % 2 === 0 ? await whole.run() : undefined;
          const plain = await without.run();
          pairs.push([first ?? (await whole.run()), plain]);
          options.onProgress?.(i * PAIRS + pair + 1, stages.length * PAIRS);
        }
        for (const phase of ["prefill", "decode"] as const) {
          costs.push({ phase, stage: stage.id, kind: stage.kind, ...costOf(phase, pairs) });
        }
      } finally {
        without.dispose();
      }
    }
  } finally {
    whole.dispose();
  }
  return costs;
}

type Measured = Pick<LaneRun, "timed" | "wall">;

/** A lane with its clock. */
class Timed {
  readonly #lane: ProfiledLane;
  readonly #observer: TimestampObserver | undefined;
  readonly #close: () => void;

  private constructor(lane: ProfiledLane, observer: TimestampObserver | undefined, close: () => void) {
    this.#lane = lane;
    this.#observer = observer;
    this.#close = close;
  }

  static async open(
    model: Model,
    tokens: readonly number[],
    newTokens: number,
    signal: AbortSignal | undefined,
  ): Promise<Timed> {
    const sequences = await model.openSequences({ context: tokens.length + newTokens, signal });
    let observer: TimestampObserver | undefined;
    try {
      const lane = new ProfiledLane(sequences, tokens, newTokens, { signal });
      const hasClock = model.device.features.timestampQuery;
      if (hasClock) observer = new TimestampObserver(model.internals.gpu, lane.mostDispatches);
      // Compiles, and fills caches.
      await lane.run();
      return new Timed(lane, observer, () => sequences.dispose());
    } catch (error) {
      // No caller has the lane yet, so none could close it.
      observer?.dispose();
      sequences.dispose();
      throw error;
    }
  }

  run(): Promise<Measured> {
    return this.#lane.run({ clock: this.#observer });
  }

  dispose(): void {
    this.#observer?.dispose();
    this.#close();
  }
}

function costOf(
  phase: Phase,
  pairs: readonly (readonly [Measured, Measured])[],
): Pick<StageCost, "dispatches" | "ms" | "interval" | "share" | "clock"> {
  const differing = differingLabels(phase, pairs[0] as readonly [Measured, Measured]);
  const own = ({ timed }: Measured) => timed.filter((each) => each.phase === phase);
  const onGpu = pairs.every((pair) =>
    pair.every(
      (run) => own(run).length > 0 && own(run).every(({ beginNs, endNs }) => beginNs !== null && endNs !== null),
    ),
  );
  const sum = (run: Measured, takes: (label: string) => boolean): number =>
    own(run).reduce((ms, { dispatch, beginNs, endNs }) => {
      return takes(dispatch.label) ? ms + ((endNs as number) - (beginNs as number)) / 1e6 : ms;
    }, 0);
  const differences = pairs.map(([whole, without]) =>
    onGpu
      ? sum(whole, (label) => differing.has(label)) - sum(without, (label) => differing.has(label))
      : whole.wall[phase] - without.wall[phase],
  );
  const base = median(pairs.map(([, without]) => (onGpu ? sum(without, () => true) : without.wall[phase])));
  const ms = median(differences);
  return {
    dispatches: differing.size,
    ms,
    interval: medianInterval(differences),
    share: base === 0 ? 0 : ms / base,
    clock: onGpu ? "gpu timestamps" : "host",
  };
}

/** Places in the model whose kernel or stages differ between the two plans, or that one of them lacks. */
function differingLabels(phase: Phase, [whole, without]: readonly [Measured, Measured]): ReadonlySet<string> {
  const describe = ({ timed }: Measured): Map<string, string> =>
    new Map(
      timed
        .filter((each) => each.phase === phase)
        .map(({ dispatch, kernel }) => [dispatch.label, JSON.stringify([kernel.name, dispatch.stages ?? []])]),
    );
  const [a, b] = [describe(whole), describe(without)];
  return new Set([...a.keys(), ...b.keys()].filter((label) => a.get(label) !== b.get(label)));
}
