/** Plain and edited in one batch: sequence 0 with every strength at 0, sequence 1 as its stages are set. */
import type { StageChange } from "sluice";
import type { WorkerModel, WorkerSession } from "../engine.ts";

export interface Sampling {
  readonly temperature: number;
  readonly seed: number;
  readonly maxNewTokens: number;
}

export interface PairToken {
  readonly side: "plain" | "edited";
  readonly id: number;
  readonly text: string;
}

export interface PairOptions {
  readonly sampling: Sampling;
  readonly signal: AbortSignal;
  /** How the stages of the edited sequence begin. */
  readonly stages: readonly { readonly id: string; readonly change: StageChange }[];
  /** Given the session before the first token, to change stages of sequence {@link EDITED} in the middle of the run. */
  readonly onSession?: (session: WorkerSession) => void;
}

export const PLAIN = 0;
export const EDITED = 1;

/**
 * Continues ids by a model and, if it is given, the same model with stages. Both draw with one seed.
 * @returns tokens per second, both sides together; null if there were too few to tell
 */
export async function* runPair(
  model: WorkerModel,
  edited: WorkerModel | null,
  ids: readonly number[],
  { sampling, signal, stages, onSession }: PairOptions,
): AsyncGenerator<PairToken, number | null> {
  const { temperature, seed, maxNewTokens } = sampling;
  const context = Math.min(model.config.max_position_embeddings, ids.length + maxNewTokens);
  const session = await (edited ?? model).session({ sequences: edited ? 2 : 1, context, signal });
  try {
    for (const { id, change } of edited ? stages : []) {
      await session.set(id, { strength: 0 }, { sequence: PLAIN });
      await session.set(id, change, { sequence: EDITED });
    }
    if (edited) onSession?.(session);
    const generation = session.generate(ids, {
      // Two samples of a prompt need a temperature; of one token there is nothing to draw.
      ...(temperature === 0 ? { temperature: 1, topK: 1 } : { temperature }),
      ...(edited ? { samples: 2, seeds: [seed, seed] } : { seed }),
      maxNewTokens,
      signal,
    });
    for await (const { token, text, sequence } of generation) {
      yield { side: sequence === PLAIN ? "plain" : "edited", id: token, text: text ?? ` ${token}` };
    }
    const { timings } = await generation.result();
    return timings.decode_tokens_per_s || null;
  } finally {
    session.dispose();
  }
}

/** Collects tokens of both sides, and tells at most once per frame, so that a fast model does not draw the page for each. */
export class PairBuffer<Token> {
  readonly plain: Token[] = [];
  readonly edited: Token[] = [];
  readonly #tell: (plain: readonly Token[], edited: readonly Token[]) => void;
  #frame = 0;

  constructor(tell: (plain: readonly Token[], edited: readonly Token[]) => void) {
    this.#tell = tell;
  }

  push(side: "plain" | "edited", token: Token): void {
    this[side].push(token);
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  /** Replaces the last token of a side, if there is one. */
  amend(side: "plain" | "edited", change: (last: Token) => Token): void {
    const last = this[side].pop();
    if (last !== undefined) this.push(side, change(last));
  }

  flush(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#tell([...this.plain], [...this.edited]);
  }
}
