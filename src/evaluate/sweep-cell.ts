/** What a model with interventions costs and does at one setting: a cell of a sweep. */
import type { Model } from "../model/model.ts";
import type { Window } from "../model/windows.ts";
import { divergence, logSumExp } from "../numbers/distributions.ts";
import { logitRows } from "../runtime/logit-rows.ts";
import { notFinite } from "../runtime/not-finite.ts";
import type { ShardKind } from "../shards/shards.ts";
import { likeliest, predicted, predictionShards } from "./predictions.ts";
import { openPairs, withoutPromptScopes } from "./prompt-scopes.ts";

/** How well a model with interventions predicts texts. */
export interface CellTexts {
  /** Predicted tokens: all but the first of each text. */
  readonly tokens: number;
  /** exp of the mean negative log-likelihood, with the interventions. */
  readonly perplexity: number;
  /** Of the same model without them. */
  readonly plain_perplexity: number;
  /** KL(plain ‖ edited) per predicted token, in nats. */
  readonly kl_nats: number;
  /** Share of predictions whose likeliest token stays the same. */
  readonly agreement: number;
}

/** What the interventions do to the prediction after a prompt. */
export interface PromptEffect {
  /** KL(plain ‖ edited) of the next token, in nats. */
  readonly kl_nats: number;
  /** The likeliest next token without the interventions. */
  readonly plain_token: number;
  /** The likeliest next token with them. */
  readonly edited_token: number;
  /** New tokens with the interventions, the likeliest at each step; absent if none were wanted. */
  readonly tokens?: readonly number[];
  /** Their text; null without a tokenizer. */
  readonly text?: string | null;
}

/** What is measured in a cell. */
export interface CellInput {
  /** Of the texts; none if there are no texts. */
  readonly windows: readonly Window[];
  readonly prompts: readonly (readonly number[])[];
  /** Tokens to continue each prompt by; 0: none. */
  readonly newTokens: number;
}

/** What was measured in a cell. */
export interface MeasuredCell {
  readonly texts: CellTexts | null;
  readonly prompts: readonly PromptEffect[];
}

/** Prompts run at a time. */
const MOST_PROMPTS = 8;

/** A cell. On texts and after prompts, stages whose positions depend on a prompt act at every token. */
export const measuredCell: ShardKind<CellInput, MeasuredCell> = {
  name: "sweep",
  amount: () => 1,
  async run(model, { windows, prompts, newTokens }, { signal }) {
    const everywhere = withoutPromptScopes(model);
    const texts = windows.length > 0 ? await predictTexts(everywhere, windows, signal) : null;
    const effects = await nextTokens(everywhere, prompts, signal);
    if (newTokens === 0) return { texts, prompts: effects };
    const said: { readonly tokens: readonly number[]; readonly text: string | null }[] = [];
    for (let first = 0; first < prompts.length; first += MOST_PROMPTS) {
      const options = { maxNewTokens: newTokens, temperature: 0, ...(signal && { signal }) };
      const results = await model.generateBatch(prompts.slice(first, first + MOST_PROMPTS), options);
      said.push(...results.map(({ tokens, text }) => ({ tokens, text })));
    }
    return { texts, prompts: effects.map((effect, i) => ({ ...effect, ...said[i] })) };
  },
};

async function predictTexts(
  model: Model,
  windows: readonly Window[],
  signal: AbortSignal | undefined,
): Promise<CellTexts> {
  let [tokens, plain, edited, kl, agreeing] = [0, 0, 0, 0, 0];
  for (const { input } of predictionShards(model, windows)) {
    for (const sums of await predicted.run(model, input, { signal })) {
      tokens += sums.tokens;
      plain += sums.plain;
      edited += sums.edited;
      kl += sums.divergence;
      agreeing += sums.agreeing;
    }
  }
  return {
    tokens,
    perplexity: Math.exp(edited / tokens),
    plain_perplexity: Math.exp(plain / tokens),
    kl_nats: kl / tokens,
    agreement: agreeing / tokens,
  };
}

/** The prediction after each prompt, in the order of the prompts. */
async function nextTokens(
  model: Model,
  prompts: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<readonly PromptEffect[]> {
  if (prompts.length === 0) return [];
  const context = prompts.reduce((most, { length }) => Math.max(most, length), 0);
  const sequences = await openPairs(model, Math.min(MOST_PROMPTS, prompts.length), context, signal);
  const effects: PromptEffect[] = [];
  try {
    const most = sequences.plan.sequences >> 1;
    for (let first = 0; first < prompts.length; first += most) {
      const feeds = prompts.slice(first, first + most).flatMap((tokens, i) => {
        return [2 * i, 2 * i + 1].map((sequence) => ({ sequence, tokens, outs: 1 as const }));
      });
      for (const { sequence, tokens } of feeds) sequences.beginPrompt(sequence, tokens.length);
      const rows: Float32Array[] = [];
      for await (const { sequence, row } of logitRows(sequences, feeds, signal)) rows[sequence] = row;
      for (let i = 0; 2 * i < feeds.length; i++) {
        const [p, q] = [rows[2 * i], rows[2 * i + 1]] as [Float32Array, Float32Array];
        const [plain, edited] = [logSumExp(p), logSumExp(q)];
        const bad = Number.isFinite(plain) ? (Number.isFinite(edited) ? null : "edited") : "plain";
        if (bad) {
          const owner = bad === "plain" ? 2 * i : 2 * i + 1;
          throw await notFinite(sequences, owner, `The ${bad} model's logits after prompt ${first + i + 1}`);
        }
        const kl_nats = divergence(p, q, plain, edited);
        effects.push({ kl_nats, plain_token: likeliest(p), edited_token: likeliest(q) });
      }
      for (const { sequence } of feeds) sequences.slots.truncate(sequence, 0);
    }
  } finally {
    sequences.dispose();
  }
  return effects;
}
