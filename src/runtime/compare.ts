/** A model beside itself with interventions: what either says, and how far their predictions lie apart. */
import { SluiceError } from "../errors.ts";
import type { GenerateOptions } from "./generation.ts";
import type { Model } from "./model.ts";
import type { PromptInput } from "./request.ts";

/** A token whose probability, as the next one after the prompt, the interventions moved. */
export interface MovedToken {
  readonly token: number;
  /** Null without a tokenizer. */
  readonly text: string | null;
  readonly plain: number;
  readonly edited: number;
}

export interface Continuation {
  readonly tokens: readonly number[];
  readonly text: string | null;
}

export interface Comparison {
  readonly prompt_tokens: readonly number[];
  readonly plain: Continuation;
  readonly edited: Continuation;
  /** KL(plain ‖ edited) of the next-token distributions in nats: after the prompt, and the mean over its positions. */
  readonly kl_last: number;
  readonly kl_mean: number;
  /** Those that moved most, by the size of the change. */
  readonly moved: readonly MovedToken[];
}

export interface CompareOptions extends Omit<GenerateOptions, "context"> {
  /** How many moved tokens to report, default 10. */
  readonly most?: number;
}

/**
 * Continues a prompt with and without the model's interventions, as two sequences of one batch: the plain one is the
 * edited plan with every strength at 0.
 * @param model one with interventions
 * @throws SluiceError `usage` for a model without; and what generating throws
 */
export async function compareWithPlain(
  model: Model,
  prompt: PromptInput,
  options: CompareOptions = {},
): Promise<Comparison> {
  if (model.stages.length === 0) {
    throw new SluiceError("usage", "There are no interventions to compare with", { hint: "Use model.with(bundles)." });
  }
  const { most = 10, ...generation } = options;
  const tokens = model.encode(prompt);
  const { maxNewTokens = 40, promptLength, signal } = generation;
  const context = Math.min(tokens.length + maxNewTokens, model.config.max_position_embeddings);
  const session = await model.session({ sequences: 2, context, signal });
  try {
    for (const { id } of model.stages) session.set(id, { strength: 0 }, { sequence: 0 });
    const [plain, edited] = await session.generateBatch([prompt, prompt], { ...generation, maxNewTokens });
    const scoring = { ...(promptLength !== undefined && { promptLength }), ...(signal && { signal }) };
    const before = (await model.plain.logits(tokens, { ...(signal && { signal }) })).data;
    const after = (await model.logits(tokens, scoring)).data;
    const vocab = model.config.vocab_size;
    const rows = tokens.map((_, t) => {
      const [p, q] = [before, after].map((logits) => logSoftmax(logits.subarray(t * vocab, (t + 1) * vocab)));
      return { p: p as Float64Array, q: q as Float64Array };
    });
    const divergences = rows.map(({ p, q }) => divergence(p, q));
    const last = rows.at(-1) as (typeof rows)[number];
    const byChange = Array.from(last.p, (value, token) => ({
      token,
      text: model.tokenizer?.decode([token]) ?? null,
      plain: Math.exp(value),
      edited: Math.exp(last.q[token] as number),
    }));
    byChange.sort((a, b) => Math.abs(b.edited - b.plain) - Math.abs(a.edited - a.plain));
    return {
      prompt_tokens: tokens,
      plain: { tokens: plain?.tokens ?? [], text: plain?.text ?? null },
      edited: { tokens: edited?.tokens ?? [], text: edited?.text ?? null },
      kl_last: divergences.at(-1) as number,
      kl_mean: divergences.reduce((sum, value) => sum + value, 0) / divergences.length,
      moved: byChange.slice(0, most),
    };
  } finally {
    session.dispose();
  }
}

function logSoftmax(logits: Float32Array): Float64Array {
  const top = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const total = logits.reduce((sum, value) => sum + Math.exp(value - top), 0);
  const shift = top + Math.log(total);
  return Float64Array.from(logits, (value) => value - shift);
}

/** KL(p ‖ q) in nats, of logarithms of probabilities. */
function divergence(p: Float64Array, q: Float64Array): number {
  const sum = p.reduce((total, value, i) => total + Math.exp(value) * (value - (q[i] as number)), 0);
  // Rounding can leave equal distributions a hair below 0.
  return Math.max(0, sum);
}
